/**
 * Reads initialized arrays from C source: braces, numbers and words between commas become nested lists. It knows no
 * types and computes no expressions; callers interpret the tables.
 *
 * @module
 */

/** A number, or the list between braces. A word without a simple `#define` is NaN. */
export type CValue = number | readonly CValue[];

const TOKEN = /[{},]|0x[0-9a-f]+|\d+|[a-z_]\w*/giy;

/** The initializer of the array or struct called `name` in `source`. Throws a sentence if there is none. */
export function initializerOf(source: string, name: string): readonly CValue[] {
  const code = source.replace(/\/\*[^]*?\*\/|\/\/.*/g, " ");
  const start = new RegExp(`\\b${name}\\s*(?:\\[\\w*\\]\\s*)*=\\s*\\{`).exec(code);
  if (start === null) throw new Error(`There is no initializer of ${name}`);
  return new Reader(code, start.index + start[0].length, definitions(code)).list();
}

/** The `#define`s of a single number. */
function definitions(code: string): Map<string, number> {
  const found = code.matchAll(/^\s*#\s*define\s+(\w+)\s+\(?(0x[0-9a-f]+|\d+)\)?\s*$/gim);
  return new Map(found.map(([, name, digits]) => [name!, Number(digits)]));
}

class Reader {
  readonly #code: string;
  readonly #words: Map<string, number>;
  #at: number;

  constructor(code: string, at: number, words: Map<string, number>) {
    this.#code = code;
    this.#at = at;
    this.#words = words;
  }

  /** The list from here to the closing brace. */
  list(): CValue[] {
    const values: CValue[] = [];
    for (let token = this.#next(); token !== "}"; token = this.#next()) {
      if (token === "{") values.push(this.list());
      else if (token !== ",") values.push(this.#words.get(token) ?? Number(token));
    }
    return values;
  }

  #next(): string {
    while (/\s/.test(this.#code[this.#at] ?? "")) this.#at++;
    TOKEN.lastIndex = this.#at;
    const token = TOKEN.exec(this.#code)?.[0];
    if (token === undefined) throw new Error(`No initializer has "${this.#code.slice(this.#at, this.#at + 20)}" in it`);
    this.#at += token.length;
    return token;
  }
}
