/**
 * Reads the text format of NIST's algorithm validation programme (CAVP response files) and the files that others wrote
 * in the same form: fields and paragraphs, without their meaning.
 *
 * @module
 */

import { ascii } from "./answer.ts";

/** An answer of a file: its own fields and those of its section. Names are in capitals. */
export class NistRecord {
  readonly #own: Map<string, string>;
  readonly #inherited: Map<string, string>;
  readonly #place: string;

  /** `place` names the record in errors. */
  constructor(own: Map<string, string>, inherited: Map<string, string>, place: string) {
    this.#own = own;
    this.#inherited = inherited;
    this.#place = place;
  }

  /** True if the record has the field or word. */
  has(name: string): boolean {
    return this.#own.has(name) || this.#inherited.has(name);
  }

  /** The field as it is written. */
  text(name: string): string {
    const value = this.#own.get(name) ?? this.#inherited.get(name);
    if (value === undefined) throw new Error(`${this.#place} has no field ${name}`);
    return value;
  }

  /** The field as a decimal number. */
  number(name: string): number {
    const value = this.text(name);
    if (!/^\d+$/.test(value)) throw new Error(`${this.#place}: ${name} = ${value} is not a number`);
    return Number(value);
  }

  /** The field as bytes: hexadecimal digits, or a text in quotation marks. `length` removes padding. */
  bytes(name: string, length?: number): Uint8Array {
    const value = this.text(name);
    const quoted = /^"(.*)"$/.exec(value);
    try {
      const bytes = quoted === null ? Uint8Array.fromHex(value) : ascii(quoted[1]!);
      return length === undefined ? bytes : bytes.subarray(0, length);
    } catch {
      throw new Error(`${this.#place}: ${name} is neither hexadecimal nor quoted`);
    }
  }
}

/**
 * The records of a file. A paragraph is a record when it counts (`Count`) or names the length of a message (`Len`);
 * any other paragraph, and everything in brackets, holds for the records below it.
 */
export function* nistRecords(text: string, fileName: string): Generator<NistRecord> {
  let inherited = new Map<string, string>();
  let paragraph = new Map<string, string>();
  let paragraphLine = 1;

  function* endParagraph(): Generator<NistRecord> {
    if (paragraph.has("COUNT") || paragraph.has("LEN")) {
      yield new NistRecord(paragraph, inherited, `${fileName}:${paragraphLine}`);
    } else {
      inherited = new Map([...inherited, ...paragraph]);
    }
    paragraph = new Map();
  }

  for (const [at, rawLine] of text.split("\n").entries()) {
    const line = rawLine.trim();
    if (line.startsWith("#")) continue;
    if (line === "" || line.startsWith("[")) {
      if (paragraph.size > 0) yield* endParagraph();
      if (line !== "") inherited = new Map([...inherited, ...sectionFields(line)]);
      continue;
    }
    if (paragraph.size === 0) paragraphLine = at + 1;
    const [name, value] = field(line);
    paragraph.set(name, value);
  }
  if (paragraph.size > 0) yield* endParagraph();
}

/** `name = value`; a bare word such as `FAIL` has the empty value. */
function field(line: string): [string, string] {
  const equals = line.indexOf("=");
  if (equals === -1) return [line.toUpperCase(), ""];
  return [line.slice(0, equals).trim().toUpperCase(), line.slice(equals + 1).trim()];
}

/** `[Alen = 0, Plen = 24]`, and `[ENCRYPT]` or `[DECRYPT]`, which become the field DIRECTION. */
function sectionFields(line: string): [string, string][] {
  return line.replace(/^\[|\]$/g, "").split(",").map(field).map(([name, value]) =>
    value === "" && (name === "ENCRYPT" || name === "DECRYPT") ? ["DIRECTION", name] : [name, value]
  );
}
