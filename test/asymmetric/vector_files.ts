/**
 * Known answers for public-key operations from the files of Debian's package python3-cryptography-vectors: NIST's
 * validation files, and RSA Laboratories'. Reads them; knows no algorithm.
 *
 * @module
 */
import { hex } from "./rfc3_requests.ts";

const ROOT = "/usr/lib/python3/dist-packages/cryptography_vectors/asymmetric";

/** True where the package is installed. */
export function hasVectors(): boolean {
  try {
    return Deno.statSync(ROOT).isDirectory;
  } catch {
    return false;
  }
}

/** One answer: the fields of its own and those before it that still hold. */
export class VectorRecord {
  readonly #fields: ReadonlyMap<string, string>;
  /** The section it stands in, as in `P-192,SHA-1`. */
  readonly section: string;

  constructor(fields: ReadonlyMap<string, string>, section: string) {
    this.#fields = fields;
    this.section = section;
  }

  /** A field as it is written. */
  text(name: string): string {
    const value = this.#fields.get(name);
    if (value === undefined) throw new Error(`a record of [${this.section}] has no field ${name}`);
    return value;
  }

  /** A field as bytes. */
  bytes(name: string): Uint8Array {
    return hex(this.text(name));
  }

  /** A field in decimal as bytes. */
  decimal(name: string): Uint8Array {
    return hex(BigInt(this.text(name)).toString(16));
  }

  /** True for answers that are right. */
  get passes(): boolean {
    return this.text("Result").startsWith("P");
  }
}

/** The records of a file in NIST's format; the field `last` ends each. */
export function* records(path: string, last: string): Generator<VectorRecord> {
  const fields = new Map<string, string>();
  let section = "";
  for (const line of Deno.readTextFileSync(`${ROOT}/${path}`).split("\n").map((text) => text.trim())) {
    if (line.startsWith("[")) section = line.slice(1, -1);
    const at = line.indexOf("=");
    if (line.startsWith("#") || line.startsWith("[") || at < 0) continue;
    const name = line.slice(0, at).trim();
    fields.set(name, line.slice(at + 1).trim());
    if (name === last) yield new VectorRecord(new Map(fields), section);
  }
}

/** The records of a file of RSA Laboratories: a comment names a field, lines of hexadecimal follow. */
export function* labelled(path: string, last: string): Generator<VectorRecord> {
  const fields = new Map<string, string>();
  let name = "";
  for (const line of Deno.readTextFileSync(`${ROOT}/${path}`).split("\n").map((text) => text.trim())) {
    if (/^([0-9a-f]{2} ?)+$/.test(line)) {
      fields.set(name, (fields.get(name) ?? "") + line.replaceAll(" ", ""));
      continue;
    }
    if (name === last && fields.has(last) && line === "") {
      yield new VectorRecord(new Map(fields), "");
      name = "";
    }
    if (!line.startsWith("#")) continue;
    const label = line.slice(1).replace(":", "").trim();
    if (label === "") continue;
    name = label;
    fields.delete(name);
  }
}
