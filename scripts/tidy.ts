/**
 * Reads the source and reports what the other checks do not cover: imports against the direction of the modules, calls
 * that are not allowed on the data path, long files and functions, unused exports, and text that must not be in a
 * repository. It changes nothing. Rules and exceptions are in `tidy_rules.ts`.
 *
 * @module
 */
import { importCycles } from "./import_cycles.ts";
import * as rules from "./tidy_rules.ts";

/** Paths, relative to the repository, and what the files say. */
export type Files = ReadonlyMap<string, string>;

/** A function found in a file: lines are counted from 1. */
interface FoundFunction {
  readonly name: string;
  readonly firstLine: number;
  readonly lastLine: number;
}

/** Matches a comment, a string, a template without nested ones, or a regular expression where one can stand. */
const NOT_CODE = new RegExp(
  [
    String.raw`\/\*[\s\S]*?\*\/`,
    String.raw`\/\/[^\n]*`,
    String.raw`"(?:[^"\\\n]|\\.)*"`,
    String.raw`'(?:[^'\\\n]|\\.)*'`,
    "`(?:[^`\\\\]|\\\\[\\s\\S])*`",
    String.raw`(?<=[(,=:[!&|?{};\n]\s*|return )\/(?:[^\/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*`,
  ].join("|"),
  "g",
);

/** The code of `text`: comments, strings and regular expressions become blanks, lines stay where they are. */
export function codeOf(text: string): string {
  // What a template interpolates is code, but for these rules it is only looked at for the names in it.
  return text.replace(
    NOT_CODE,
    (found) =>
      found.startsWith("`")
        ? found.replace(/(\$\{[^}]*\})|[^\n]/g, (_, code: string | undefined) => code ?? " ")
        : found.replace(/[^\n]/g, " "),
  );
}

const FUNCTION_HEAD =
  /^(\s*)(?:export )?(?:default )?(?:(?:async )?function\*? (\w+)|(?:static |override |async |get |set |\*)*(#?\w+)(?:<.*>)?\(|const (\w+) = (?:async )?\()/;
const NOT_NAMES = new Set(["if", "for", "while", "switch", "catch", "return", "await", "super", "import", "throw"]);

/** The functions of formatted code, by indentation: each ends at the first brace that stands below its head. */
export function functionsOf(code: string): FoundFunction[] {
  const lines = code.split("\n");
  const found: FoundFunction[] = [];
  for (const [at, line] of lines.entries()) {
    const head = FUNCTION_HEAD.exec(line);
    const name = head?.[2] ?? head?.[3] ?? head?.[4];
    if (head === null || name === undefined || NOT_NAMES.has(name) || !/[{(<[]\s*$/.test(line)) continue;
    const indent = head[1]!.length;
    const end = lines.findIndex((other, i) =>
      i > at && other.trim() !== "" && other.search(/\S/) <= indent && !/^\s*\).*\{$/.test(other)
    );
    // A declaration without a body and a call end otherwise.
    if (end > 0 && /^\s*\};?\s*$/.test(lines[end]!)) found.push({ name, firstLine: at + 1, lastLine: end + 1 });
  }
  return found;
}

/** A list in brackets: the positions of its items, and that of its closing bracket. */
interface BracketedList {
  readonly items: readonly string[];
  readonly close: number;
}

/** The list of `code` whose opening bracket is at `open`. */
function listAt(code: string, open: number): BracketedList {
  const items: string[] = [];
  let depth = 0;
  let start = open + 1;
  for (let at = open; at < code.length; at++) {
    const character = code[at]!;
    // Of what is less or greater, type arguments count as brackets, arrows and comparisons do not.
    const opens = "([{".includes(character) || character === "<" && /\w/.test(code[at - 1]!);
    const closes = ")]}".includes(character) || character === ">" && depth > 1 && !/[= ]/.test(code[at - 1]!);
    if (opens) depth++;
    if (closes) depth--;
    if (depth === 1 && character === "," || depth === 0) {
      const item = code.slice(start, at).trim();
      if (item !== "") items.push(item);
      start = at + 1;
    }
    if (depth === 0) return { items, close: at };
  }
  return { items, close: code.length };
}

const PARAMETERS_HEAD =
  /^[ \t]*(?:(?:export|default|declare|abstract|public|protected|private|static|override|async|get|set|readonly|const|function\*?)[ \t]+)*\*?(#?\w+)(?: = (?:async )?)?(?:<[^\n(]*>)?\(/gm;

/** A function's name and parameters, with its line. */
interface FoundParameters {
  readonly name: string;
  readonly line: number;
  readonly parameters: readonly string[];
}

/** The parameters of the functions, methods and constructors that formatted `code` declares. */
export function parametersOf(code: string): FoundParameters[] {
  const found: FoundParameters[] = [];
  for (const head of code.matchAll(PARAMETERS_HEAD)) {
    const name = head[1]!;
    const open = head.index + head[0].length - 1;
    const { items, close } = listAt(code, open);
    const isDeclaration = /^(?:: [^;]*?)?\s*(?:\{|=>|;)/.test(code.slice(close + 1, close + 200)) &&
      (items.length === 0 || items.some((item) => /^(?:\.\.\.)?[\w$]+\??: /.test(item)));
    if (NOT_NAMES.has(name) || !isDeclaration) continue;
    found.push({ name, line: code.slice(0, open).split("\n").length, parameters: items });
  }
  return found;
}

const IMPORT = /(?:\bfrom\s+|\bimport\s*\(\s*|\bimport\s+|new URL\(\s*)"(\.[^"]+)"/g;

/** A module that a file refers to. */
interface Reference {
  readonly path: string;
  readonly dynamic: boolean;
}

function resolve(from: string, relative: string): string {
  return new URL(relative, `file:///${from}`).pathname.slice(1);
}

/** The modules of this repository that `text`, the file at `path`, refers to. */
export function referencesOf(path: string, text: string): Reference[] {
  const withoutComments = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/[^\n]*/g, "");
  return [...withoutComments.matchAll(IMPORT)].map((found) => ({
    path: resolve(path, found[1]!),
    dynamic: /^(import\s*\(|new URL)/.test(found[0]),
  }));
}

function moduleOf(path: string): string {
  return /^(src\/[^/]+|[^/]+)\//.exec(path)?.[1]?.replace("src/", "") ?? "";
}

function checkImports(path: string, text: string): string[] {
  const module = moduleOf(path);
  const allowed = rules.MODULES[module];
  if (!path.startsWith("src/") && module !== "ffi") return [];
  if (allowed === undefined) {
    return [`${path}: no rule lists the imports of the module ${module} (tidy_rules.ts, MODULES)`];
  }
  const found: string[] = [];
  for (const reference of referencesOf(path, text)) {
    const target = moduleOf(reference.path);
    if (target === module || allowed.includes(target) || allowed.includes(reference.path)) continue;
    if (reference.dynamic && rules.DYNAMIC_IMPORTS[path] === target) continue;
    found.push(`${path}: imports ${reference.path}, which the module ${module} must not import`);
  }
  return found;
}

/** Files that import each other in a circle. A move of the shared type or function to its own file removes a circle. */
function checkCycles(files: Files): string[] {
  const imports = new Map(
    [...files].filter(([path]) => path.endsWith(".ts")).map(([path, text]) => [
      path,
      referencesOf(path, text).filter(({ dynamic }) => !dynamic).map((reference) => reference.path),
    ]),
  );
  return importCycles(imports).map((cycle) => `${cycle[0]}: imports itself through ${cycle.slice(1).join(", ")}`);
}

function checkDlopen(path: string, code: string): string[] {
  if (moduleOf(path) === "ffi" || path in rules.OPENS_LIBRARIES || !/\bdlopen\b/.test(code)) return [];
  return [`${path}: only ffi/ opens libraries`];
}

function checkArchitecture(path: string, code: string): string[] {
  if (!/^(src|ffi)\//.test(path) || path in rules.ASKS_ARCHITECTURE || !/\bbuild\.arch\b/.test(code)) return [];
  return [`${path}: what differs between architectures is in src/os/architecture.ts`];
}

/** Code that a function of the data path must not contain. */
const BANNED: readonly (readonly [RegExp, string])[] = [
  [/\.(subarray|slice)\(/, "makes a view or a copy"],
  [/\basync\b|\bawait\b|\bPromise\b/, "waits for the event loop"],
  [/\bnew\s/, "allocates"],
  [/\bthrow\b/, "throws"],
  [/=>/, "makes a closure"],
  [
    /(?<!\bBigInt\.asUintN\(64, (?:[^,;]*\+ )?)\bBigInt\(|\bBigInt\((?![^;]* >>> 0\))/,
    "makes a BigInt that is not a call's word",
  ],
];

/** The statement about the data path in a file's header: on it, except named functions, or off it; undefined: none. */
export function markerOf(text: string): { readonly isOn: boolean; readonly exceptions: readonly string[] } | undefined {
  const header = /^\/\*\*[\s\S]*?\*\//.exec(text)?.[0].replace(/^(?:\/\*\*\n| \* ?)/gm, "") ?? "";
  const paragraph = header.split(/\n\n/).find((part) => /^(Data path[.,]|Off the data path: )/.test(part));
  if (paragraph === undefined) return undefined;
  const isOn = paragraph.startsWith("Data path");
  return { isOn, exceptions: isOn ? [...paragraph.matchAll(/`([#\w]+)`/g)].map((found) => found[1]!) : [] };
}

function checkDataPath(path: string, text: string, code: string): string[] {
  const marker = markerOf(text);
  if (marker === undefined || !marker.isOn) return [];
  const lines = code.split("\n");
  const found: string[] = [];
  const functions = functionsOf(code);
  for (const { name, firstLine, lastLine } of functions) {
    if (name === "constructor" || marker.exceptions.includes(name)) continue;
    for (let line = firstLine; line <= lastLine; line++) {
      for (const [pattern, why] of BANNED) {
        if (pattern.test(lines[line - 1]!)) found.push(`${path}:${line}: ${name}() is on the data path and ${why}`);
      }
    }
  }
  for (const exception of marker.exceptions) {
    if (functions.some(({ name }) => name === exception)) continue;
    found.push(`${path}: its header excepts ${exception}() from the data path, which is not there`);
  }
  return found;
}

/** Classes and interfaces that `text` implements or extends, with the modules that they are imported from. */
function basesOf(path: string, text: string): string[] {
  const bases = [...text.matchAll(/\bclass \w+(?:<[^{]*>)? (?:extends|implements) ([^{]*)\{/g)].flatMap((found) =>
    found[1]!.split(/\W+/)
  );
  return [...text.matchAll(/^import (?:type )?\{([^}]*)\} from "(\.[^"]+)"/gm)]
    .filter((found) => found[1]!.split(/\W+/).some((name) => name !== "" && bases.includes(name)))
    .map((found) => resolve(path, found[2]!));
}

/**
 * Files that requests pass through and that do not say so: what the data path imports, and what implements or extends
 * something of it. Files without functions, and those of modules without any logic, need to say nothing.
 */
function checkMarkers(files: Files): string[] {
  const found: string[] = [];
  const onPath = new Set<string>();
  const silent = new Set<string>();
  const reach = (path: string, how: string) => {
    const text = files.get(path);
    if (text === undefined || onPath.has(path) || silent.has(path) || !path.startsWith("src/")) return;
    const marker = markerOf(text);
    if (
      marker === undefined && functionsOf(codeOf(text)).length > 0 && !rules.CONSTANT_MODULES.includes(moduleOf(path))
    ) {
      silent.add(path);
      found.push(`${path}: ${how}: its header must say "Data path.", with exceptions, or "Off the data path:" and why`);
    }
    if (marker?.isOn !== true) return;
    onPath.add(path);
    for (const reference of referencesOf(path, text)) {
      if (!reference.dynamic) reach(reference.path, `${path}, which is on the data path, imports it`);
    }
  };
  for (const path of rules.DATA_PATH_ROOTS) {
    if (files.has(path) && markerOf(files.get(path)!)?.isOn !== true) found.push(`${path}: the data path begins here`);
    reach(path, "the data path begins here");
  }
  for (let size = -1; size !== onPath.size;) {
    size = onPath.size;
    for (const [path, text] of files) {
      if (!path.startsWith("src/") || onPath.has(path)) continue;
      const base = basesOf(path, text).find((other) => onPath.has(other));
      if (base !== undefined) reach(path, `it implements or extends something of ${base}, which is on the data path`);
    }
  }
  for (const [path, text] of files) {
    if (/^src\/.*\.ts$/.test(path) && markerOf(text)?.isOn && !onPath.has(path)) {
      found.push(`${path}: its header says "Data path", but no file of the data path leads to it`);
    }
  }
  return found;
}

function checkLengths(path: string, code: string): string[] {
  const found: string[] = [];
  const lines = code.trimEnd().split("\n").length;
  if (lines > rules.FILE_LINES_MAX) found.push(`${path}: ${lines} lines, more than ${rules.FILE_LINES_MAX}`);
  for (const { name, firstLine, lastLine } of functionsOf(code)) {
    const length = lastLine - firstLine + 1;
    if (length <= rules.FUNCTION_LINES_MAX || `${path} ${name}` in rules.LONG_FUNCTIONS) continue;
    found.push(`${path}:${firstLine}: ${name}() has ${length} lines, more than ${rules.FUNCTION_LINES_MAX}`);
  }
  return found;
}

/** Values that change: collections, typed arrays that are not filled with a constant, native memory. */
const CHANGING_VALUES = [
  String.raw`new (?:Map|Set|WeakMap)(?:<.*>)?\(`,
  String.raw`new (?:\w*Array|DataView)\((?!0?\)|.*\)\.fill\()`,
  String.raw`new (?:Span|\w+Args|\w+Pool|OwnedMemory)\(`,
  String.raw`map(?:Anonymous|Secret)\(`,
  String.raw`\w+\.map(?:Secret)?\(\w+\);`,
  String.raw`\[\];`,
];
/** A variable of a module whose value, or type, can change. */
const MODULE_STATE = new RegExp(
  String.raw`^(?:export )?(?:let (\w+)|const (\w+)\b(?!: (?:Readonly|readonly ))[^=\n]* = (?:${
    CHANGING_VALUES.join("|")
  }))`,
  "gm",
);

/** State of modules: objects have state, and what makes them passes them on. */
function checkModuleState(path: string, code: string): string[] {
  if (!/^(src|ffi)\//.test(path)) return [];
  return [...code.matchAll(MODULE_STATE)].filter((found) => !(`${path} ${found[1] ?? found[2]}` in rules.MODULE_STATE))
    .map((found) =>
      `${path}:${code.slice(0, found.index).split("\n").length}: ${found[1] ?? found[2]} is state of the module: ` +
      "make it a part of an object"
    );
}

function checkParameters(path: string, code: string): string[] {
  const prefixes = Object.keys(rules.FIELDS_AS_PARAMETERS);
  if (prefixes.some((prefix) => prefix.endsWith("/") ? path.startsWith(prefix) : path === prefix)) return [];
  const found: string[] = [];
  for (const { name, line, parameters } of parametersOf(code)) {
    if (`${path} ${name}` in rules.MANY_PARAMETERS) continue;
    if (parameters.length > rules.PARAMETERS_MAX) {
      found.push(`${path}:${line}: ${name}() has ${parameters.length} parameters, more than ${rules.PARAMETERS_MAX}`);
    }
    if (parameters.filter((parameter) => /: boolean\b|= (?:true|false)$/.test(parameter)).length > 1) {
      found.push(`${path}:${line}: ${name}() has two booleans, whose calls do not tell them apart: name them`);
    }
  }
  return found;
}

function checkWords(path: string, text: string): string[] {
  const found: string[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    for (const [pattern, why] of rules.WORDS) {
      if (pattern.test(line)) found.push(`${path}:${at + 1}: ${why}`);
    }
  }
  return found;
}

const EXPORT =
  /^export (?:declare )?(?:abstract )?(?:async )?(const|let|function\*?|class|interface|type|enum) (\w+)/gm;

/** Exports of src/ and ffi/ that no other file names. A type counts as used where its own file's exports need it. */
function checkExports(files: Files): string[] {
  const readers = new Map<string, string[]>();
  const codes = new Map<string, string>();
  for (const [path, text] of files) {
    if (!path.endsWith(".ts")) continue;
    codes.set(path, codeOf(text));
    for (const reference of referencesOf(path, text)) {
      readers.set(reference.path, [...readers.get(reference.path) ?? [], path]);
    }
  }
  const found: string[] = [];
  for (const [path, code] of codes) {
    if (!/^(src|ffi)\//.test(path) || rules.COMPLETE_MODULES.includes(moduleOf(path))) continue;
    for (const [, kind, name] of code.matchAll(EXPORT)) {
      const word = new RegExp(`\\b${name}\\b`, "g");
      if ((readers.get(path) ?? []).some((reader) => word.test(codes.get(reader)!))) continue;
      // Callers may name what an export of the same file takes, returns or throws.
      const isType = kind === "interface" || kind === "type" || kind === "class" && name!.endsWith("Error");
      if (isType && [...code.matchAll(word)].length > 1 || `${path} ${name}` in rules.UNUSED_EXPORTS) continue;
      found.push(`${path}: ${name} is exported and used nowhere else`);
    }
  }
  return found;
}

/** Exceptions that except nothing any more. */
function checkExceptions(files: Files): string[] {
  const found: string[] = [];
  const named = [
    ...Object.keys(rules.OPENS_LIBRARIES),
    ...Object.keys(rules.ASKS_ARCHITECTURE),
    ...Object.keys(rules.LONG_FUNCTIONS),
    ...Object.keys(rules.MANY_PARAMETERS),
    ...Object.keys(rules.MODULE_STATE),
    ...Object.keys(rules.UNUSED_EXPORTS),
  ].map((key) => key.split(" "));
  for (const [path, name] of named) {
    const text = files.get(path!);
    if (text === undefined) found.push(`tidy_rules.ts: there is no ${path}`);
    else if (name !== undefined && !text.includes(name)) found.push(`tidy_rules.ts: there is no ${name} in ${path}`);
  }
  return found;
}

/** Everything that is wrong with `files`, a line for each; `whole` if they are all of the repository. */
export function check(files: Files, whole: boolean): string[] {
  const found: string[] = [];
  for (const [path, text] of files) {
    found.push(...checkWords(path, text));
    if (!path.endsWith(".ts")) continue;
    const code = codeOf(text);
    found.push(
      ...checkImports(path, text),
      ...checkDlopen(path, code),
      ...checkArchitecture(path, code),
      ...checkDataPath(path, text, code),
      ...checkLengths(path, code),
      ...checkParameters(path, code),
      ...checkModuleState(path, code),
    );
  }
  found.push(...checkExports(files), ...checkCycles(files));
  if (whole) found.push(...checkMarkers(files), ...checkExceptions(files));
  return found;
}

/** Reads the files below `folder` that these rules are about. */
function readFiles(root: URL, folder: string, files: Map<string, string>): void {
  for (const entry of Deno.readDirSync(new URL(folder, root))) {
    const path = `${folder.replace(/^\.\//, "")}${entry.name}`;
    if (entry.isDirectory) {
      if (!rules.FOREIGN_FOLDERS.includes(entry.name)) readFiles(root, `./${path}/`, files);
    } else if (entry.isFile && (/\.(ts|md|json|c|h)$/.test(path) || /^(scripts|\.ci)\/[^.]+$/.test(path))) {
      files.set(path, Deno.readTextFileSync(new URL(path, root)));
    }
  }
}

if (import.meta.main) {
  const files = new Map<string, string>();
  readFiles(new URL("../", import.meta.url), "./", files);
  const found = check(files, true);
  for (const line of found) console.error(line);
  console.error(found.length === 0 ? `tidy: ${files.size} files` : `tidy: ${found.length} findings`);
  Deno.exit(found.length === 0 ? 0 : 1);
}
