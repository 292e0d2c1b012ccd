/**
 * Replaces `@std/cli/parse-args` where the JSR registry cannot be reached: the options this project uses, with
 * the same names and behaviour, built on `node:util`.
 *
 * @module
 */
import { parseArgs as nodeParseArgs } from "node:util";

/** The part of `@std/cli`'s options that this project uses. */
export interface ParseOptions {
  /** Options that take a value. */
  string?: readonly string[];
  /** Options that are there or not. */
  boolean?: readonly string[];
  /** Options that may be given several times. */
  collect?: readonly string[];
  /** Short names, of one letter: `{ h: "help" }`. */
  alias?: Readonly<Record<string, string>>;
  /** Values of options that are not given. */
  default?: Readonly<Record<string, unknown>>;
  /** Called with what is neither option nor its value; false drops it. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Options by name, and the rest in `_`. */
export type Args = { _: string[]; [name: string]: unknown };

/** Splits `args` into options and the rest, as `parseArgs` of `@std/cli` does. */
export function parseArgs(args: string[], options: ParseOptions = {}): Args {
  const declared: Record<string, { type: "string" | "boolean"; multiple?: boolean; short?: string }> = {};
  for (const name of options.string ?? []) declared[name] = { type: "string", multiple: true };
  for (const name of options.boolean ?? []) declared[name] = { type: "boolean" };
  for (const [short, name] of Object.entries(options.alias ?? {})) declared[name]!.short = short;
  const { tokens } = nodeParseArgs({ args, options: declared, strict: false, allowPositionals: true, tokens: true });
  const result: Args = { _: [] };
  for (const [name, value] of Object.entries(options.default ?? {})) result[name] = value;
  for (const name of options.boolean ?? []) result[name] ??= false;
  for (const token of tokens) {
    if (token.kind === "positional") {
      if (options.unknown?.(token.value) !== false) result._.push(token.value);
    }
    if (token.kind !== "option") continue;
    const { name } = token;
    const type = declared[name]?.type;
    let value: unknown = token.value;
    if (type === undefined && options.unknown?.(token.rawName, name, value ?? true) === false) continue;
    if (type === "boolean") value = value === undefined || value === "true";
    value ??= type === "string" ? "" : true;
    if (options.collect?.includes(name)) {
      const list = result[name];
      result[name] = Array.isArray(list) ? [...list, value] : [value];
    } else {
      result[name] = value;
    }
  }
  for (const name of options.collect ?? []) result[name] ??= [];
  return result;
}
