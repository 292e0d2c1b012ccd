/**
 * Splits command lines by a table of options into values as text. Owns the errors that every option can have; callers
 * interpret the values.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { suggest } from "./suggestion.ts";

/** An invalid command line; the exit code is 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** One row of an option table. */
export interface OptionRow {
  /** Long name, without dashes. */
  readonly name: string;
  /** Short name. */
  readonly short?: string;
  /** The placeholder of the value in the help text; undefined if the option takes no value. */
  readonly value?: string;
  /** The allowed words of the value, or, if `isList`, of the elements of the list; undefined if it is not a word. */
  readonly choices?: readonly string[];
  /** The value is a list of `choices`, with commas between them. */
  readonly isList?: boolean;
  /** It can be given several times. */
  readonly isRepeated?: boolean;
  /** The value is the path of a file. */
  readonly isPath?: boolean;
  /** The help text: one clause with unit and default. */
  readonly help: string;
  /** Further sentences for the manual page. */
  readonly details?: string;
}

/** A command with its options. */
export interface CommandRow {
  /** The first word of the command line. */
  readonly name: string;
  /** The synopsis after its name. */
  readonly usage: string;
  /** A short description that follows its name. */
  readonly summary: string;
  /** The description, a string per paragraph. */
  readonly about: readonly string[];
  /** Its options. */
  readonly options: readonly OptionRow[];
  /** The meaning of its exit status, after "Exit status: ". */
  readonly exitStatus: string;
}

/** The device's socket: where the program listens, and where its commands connect. */
export const DEVICE_SOCKET: OptionRow = {
  name: "socket-path",
  short: "s",
  value: "PATH",
  isPath: true,
  help: "Path of the unix socket on which the device listens.",
};

/** The options of a command line. */
export interface CommandLine {
  /** The value of an option; undefined if it was not given. */
  text(name: string): string | undefined;
  /** All values of an option that may be repeated. */
  texts(name: string): readonly string[];
  /** True if an option that takes no value was given. */
  has(name: string): boolean;
}

/** The error about `arg`, which is none of the options `rows` and none of `commands`. */
function unknownWord(arg: string, rows: readonly OptionRow[], { whose, commands = [] }: WordsAbout): UsageError {
  const dashes = arg.startsWith("-") || commands.length === 0 ? "--" : "";
  const word = arg.replace(/^-+/, "").replace(/=.*/s, "");
  const near = suggest(word, dashes === "" ? commands : rows.map(({ name }) => name));
  return new UsageError(`${whose} "${arg}"${near === undefined ? "" : `: did you mean ${dashes}${near}?`}`);
}

/** Texts for errors about a command line as a whole. */
export interface WordsAbout {
  /** Beginning of the error about a word that is not an option. */
  readonly whose: string;
  /** Commands to suggest if the first word is mistyped. */
  readonly commands?: readonly string[];
}

/** Splits `args` by the table `rows`. Throws {@linkcode UsageError}. */
export function splitCommandLine(args: string[], rows: readonly OptionRow[], about: WordsAbout): CommandLine {
  for (const { name, value } of rows) {
    const given = args.find((arg) => arg.startsWith(`--${name}=`));
    if (value === undefined && given !== undefined) throw new UsageError(`--${name} takes no value, as in "${given}"`);
  }
  const takingValues = rows.filter(({ value }) => value !== undefined).map(({ name }) => name);
  const parsed: Record<string, unknown> = parseArgs(args, {
    string: takingValues,
    collect: takingValues,
    boolean: rows.filter(({ value }) => value === undefined).map(({ name }) => name),
    alias: Object.fromEntries(rows.flatMap(({ name, short }) => short ? [[short, name]] : [])),
    unknown: (arg: string) => {
      throw unknownWord(arg, rows, about);
    },
  });
  const values = new Map(takingValues.map((name) => [name, (parsed[name] ?? []) as readonly string[]]));
  const repeated = new Set(rows.filter(({ isRepeated }) => isRepeated).map(({ name }) => name));
  for (const [name, given] of values) {
    if (given.length > 1 && !repeated.has(name)) {
      throw new UsageError(`--${name} was given more than once: give it one value`);
    }
    if (given.includes("")) throw new UsageError(`--${name} needs a value`);
  }
  return {
    text: (name) => values.get(name)?.[0],
    texts: (name) => values.get(name) ?? [],
    has: (name) => parsed[name] === true,
  };
}

/** Range and default of an option with a whole number. */
export interface IntegerLimits {
  /** The value if the option is not given. */
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
}

/** Parses a whole number within `limits`. Throws {@linkcode UsageError}. */
export function integer(name: string, text: string | undefined, { fallback, min, max }: IntegerLimits): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new UsageError(`--${name} takes a whole number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}

/**
 * Checks that `text` is one of `choices`; `fallback` without `text`. `name` has dashes. Throws {@linkcode UsageError}.
 */
export function choice<Choice extends string>(
  name: string,
  text: string | undefined,
  fallback: Choice,
  choices: readonly Choice[],
): Choice {
  if (text === undefined) return fallback;
  const chosen = choices.find((one) => one === text);
  if (chosen === undefined) throw new UsageError(`${name} takes one of ${choices.join(", ")}, not "${text}"`);
  return chosen;
}
