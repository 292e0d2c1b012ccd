/**
 * The tidy rules find what they are for, and leave alone what they are not for.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { check, codeOf, functionsOf, referencesOf } from "../../scripts/tidy.ts";

/** What is found in one file, without its path. */
function found(path: string, text: string): string[] {
  return check(new Map([[path, text]]), false).map((line) => line.replace(/^[^ ]+ /, ""));
}

const ON = "/**\n * A file.\n *\n * Data path.\n */\n";
const OFF = "/**\n * A file.\n *\n * Off the data path: it is set up once.\n */\n";

/** A function on the data path around `body`. */
function onDataPath(body: string): string[] {
  return found("src/virtqueue/split.ts", `${ON}class SplitRing {\n  fetch(): number {\n    ${body}\n  }\n}\n`);
}

Deno.test("tidy: a module imports modules below it and nothing else", () => {
  const line = (module: string) => `import { a } from "${module}";\n`;
  assertEquals(found("src/memory/a.ts", line("../os/errno.ts")), []);
  assertEquals(found("src/memory/a.ts", line("../device/device.ts")), [
    "imports src/device/device.ts, which the module memory must not import",
  ]);
  assertEquals(found("src/driver/a.ts", line("../virtqueue/chain.ts")).length, 1);
  assertEquals(found("src/device/a.ts", line("../driver/layout.ts")).length, 1);
  assertEquals(found("src/device/a.ts", line("../../test/device/harness.ts")).length, 1);
  assertEquals(found("src/vhost_user/a.ts", line("../device/backend.ts")), []);
  assertEquals(found("src/vhost_user/a.ts", line("../device/device.ts")).length, 1);
  assertEquals(found("src/wire/a.ts", `export type A = import("../os/errno.ts").SystemError;\n`).length, 1);
  assertEquals(found("src/attic/a.ts", "").length, 1);
  assertEquals(found("test/device/a.ts", line("../../src/driver/layout.ts")), []);
});

Deno.test("tidy: files do not import each other in a circle, types included", () => {
  const cycles = (...texts: readonly string[]) =>
    check(new Map(texts.map((text, i) => [`src/memory/${"abc"[i]}.ts`, text])), false)
      .filter((line) => line.includes("imports itself"));
  const line = (file: string) => `import type { A } from "./${file}.ts";\n`;
  assertEquals(cycles(line("b"), line("c"), ""), []);
  assertEquals(cycles(line("b"), line("c"), line("a")), [
    "src/memory/a.ts: imports itself through src/memory/b.ts, src/memory/c.ts",
  ]);
  assertEquals(cycles(line("b"), `${line("a")}${line("c")}`, "").length, 1);
  assertEquals(cycles(line("b"), `const worker = new URL("./a.ts", import.meta.url);\n`), []);
});

Deno.test("tidy: the driver is loaded by its own command, when it is asked for", () => {
  const command = "src/cli/driver_commands.ts";
  assertEquals(found(command, `const { probe } = await import("../tools/probe.ts");\n`), []);
  assertEquals(found(command, `import { probe } from "../tools/probe.ts";\n`).length, 1);
  assertEquals(found("src/cli/main.ts", `const { probe } = await import("../tools/probe.ts");\n`).length, 1);
});

Deno.test("tidy: libraries are opened in ffi/", () => {
  const text = `const library = Deno.dlopen("libc.so.6", {});\n`;
  assertEquals(found("src/os/a.ts", text), ["only ffi/ opens libraries"]);
  assertEquals(found("ffi/a.ts", text), []);
  assertEquals(found("src/os/a.ts", `/** Never calls Deno.dlopen. */\n`), []);
});

Deno.test("tidy: differences between architectures are in one file", () => {
  const text = `const O_DIRECT = Deno.build.arch === "aarch64" ? 0o200000 : 0o40000;\n`;
  assertEquals(found("src/os/a.ts", text), ["what differs between architectures is in src/os/architecture.ts"]);
  assertEquals(found("src/os/architecture.ts", text), []);
  assertEquals(found("test/a.ts", text), []);
});

Deno.test("tidy: the data path allocates nothing, waits for nothing and throws nothing", () => {
  for (
    const bad of [
      "const part = bytes.subarray(0, 4);",
      "const part = bytes.slice(4);",
      "const view = new DataView(buffer);",
      "await done;",
      "throw error;",
      "chains.forEach((chain) => chain.drop());",
      "memcpy(to, BigInt(from), 4n);",
      "memcpy(to, BigInt.asUintN(64, BigInt(from)), 4n);",
      "const length = BigInt(span.length >>> 0);",
    ]
  ) {
    assertEquals(onDataPath(bad).length > 0, true, bad);
  }
  for (
    const good of [
      "memcpy(to, BigInt.asUintN(64, BigInt(length >>> 0)), 4n);",
      "memcpy(to, BigInt.asUintN(64, u64[i]! + BigInt(offset >>> 0)), 4n);",
      "memset(BigInt.asUintN(64, u64[i]! + BigInt((length[i]! - 1) >>> 0)), value, 1n);",
      "return 0; // No new view, no await.",
      'return fail("throw new Error()");',
    ]
  ) {
    assertEquals(onDataPath(good), [], good);
  }
  // Elsewhere all of it is welcome, and so it is in a constructor and in what a header excepts.
  const constructing = "class A {\n  constructor() {\n    this.b = new B();\n  }\n}\n";
  assertEquals(found("src/virtqueue/split.ts", ON + constructing), []);
  const excepting = "/**\n * Data path, but for\n * `open` (once).\n */\n";
  assertEquals(found("src/engine/a.ts", `${excepting}function open(): void {\n  use(new A());\n}\n`), []);
  assertEquals(found("src/engine/a.ts", `${excepting}function close(): void {\n  count++;\n}\n`).length, 1);
  assertEquals(found("src/cli/a.ts", "function a(): void {\n  throw new Error();\n}\n"), []);
});

Deno.test("tidy: each file that requests pass through says so", () => {
  const body = "function a(): void {\n  count++;\n}\n";
  const roots: [string, string][] = [["src/worker/data_main.ts", ON], ["src/device/queue_server.ts", ON]];
  const silent = (...others: readonly (readonly [string, string])[]) =>
    check(new Map([...roots, ...others]), true).filter((line) => line.includes("data path") && !line.includes("rules"));
  assertEquals(silent(), []);
  const importing = (text: string) => [roots[0]![0], `${text}import { a } from "../os/a.ts";\n`] as const;
  assertEquals(silent(importing(ON), ["src/os/a.ts", body]).length, 1);
  assertEquals(silent(importing(ON), ["src/os/a.ts", ON + body]), []);
  assertEquals(silent(importing(ON), ["src/os/a.ts", OFF + body]), []);
  assertEquals(silent(importing(ON), ["src/os/a.ts", "export const A = 1;\n"]), [], "it has no functions");
  assertEquals(silent(importing(OFF), ["src/os/a.ts", body]).length, 1, "the data path begins there");
  // Imports of imports are followed, and what stands behind an interface is found by it.
  const chain = ["src/os/a.ts", `${ON}import type { B } from "./b.ts";\n`] as const;
  assertEquals(silent(importing(ON), chain, ["src/os/b.ts", body]).length, 1);
  const base = ["src/os/b.ts", `${ON}export interface B {}\n`] as const;
  const implementing =
    `import type { B } from "./b.ts";\nclass C implements B {\n  c(): void {\n    count++;\n  }\n}\n`;
  assertEquals(silent(importing(ON), chain, base, ["src/os/c.ts", implementing]).length, 1);
  assertEquals(silent(importing(ON), chain, base, ["src/os/c.ts", ON + implementing]), []);
  assertEquals(silent(["src/os/c.ts", ON + body]).length, 1, "no file of the data path leads to it");
});

Deno.test("tidy: files and functions have a maximum length", () => {
  const file = (lines: number) => "const a = 1;\n".repeat(lines);
  assertEquals(found("src/cli/a.ts", file(500)), []);
  assertEquals(found("src/cli/a.ts", file(501)), ["501 lines, more than 500"]);
  const body = (lines: number) => "  count++;\n".repeat(lines);
  assertEquals(found("src/cli/a.ts", `function a(): void {\n${body(68)}}\n`), []);
  assertEquals(found("src/cli/a.ts", `function a(): void {\n${body(69)}}\n`), ["a() has 71 lines, more than 70"]);
});

Deno.test("tidy: a function has four parameters at most, and one boolean", () => {
  const five = "a: number, b: number, c: number, d: number, e: number";
  const forms = [
    `function five(${five}): void {\n}`,
    `async function five(\n  ${five.replaceAll(", ", ",\n  ")},\n): Promise<void> {\n}`,
    `const five = (${five}): number => a;`,
    `class A {\n  static five<T>(${five}): T {\n  }\n}`,
    `interface A {\n  five(${five}): void;\n}`,
    `class A {\n  constructor(${five}) {\n  }\n}`.replace("constructor", "five"),
  ];
  for (const form of forms) {
    assertEquals(found("src/os/a.ts", `${form}\n`), ["five() has 5 parameters, more than 4"], form);
    assertEquals(found("test/os/a.ts", `${form}\n`).length, 1);
    assertEquals(found("test/vectors/a.ts", `${form}\n`), []);
  }
  assertEquals(found("src/os/a.ts", "function two(map: Map<number, string>, isA: boolean, isB = false) {\n}\n"), [
    "two() has two booleans, whose calls do not tell them apart: name them",
  ]);
  assertEquals(found("src/os/a.ts", `function one({ a, b, c, d, e }: Options, f: Map<number, string>) {\n}\n`), []);
  assertEquals(found("src/os/a.ts", "  five(1, 2, 3, 4, 5);\n"), []);
});

Deno.test("tidy: state belongs to objects", () => {
  const state = ["let count = 0;", "const count = new Map<string, number>();"];
  state.push("const count: number[] = [];", "const count = new Uint8Array(16);", "const count = mapSecret(4096);");
  for (const line of state) {
    assertEquals(
      found("src/os/a.ts", `${line}\n`),
      ["count is state of the module: make it a part of an object"],
      line,
    );
    assertEquals(found("test/os/a.ts", `${line}\n`), []);
    assertEquals(found("src/os/a.ts", `function a() {\n  ${line.replace("export ", "")}\n}\n`), []);
  }
  for (const line of ["const A: ReadonlyMap<number, number> = new Map([[1, 2]]);", "const NONE = new Uint8Array();"]) {
    assertEquals(found("src/os/a.ts", `${line}\n`), [], line);
  }
});

Deno.test("tidy: functions are found in every form", () => {
  const code = [
    "export async function free(): Promise<void> {\n  a();\n}",
    "class B<T> extends C {\n  static async method<T>(a: T): Promise<void> {\n    if (a) {\n      b();\n    }\n  }",
    "  #hidden(): void {\n  }",
    "  get value(): number {\n    return 1;\n  }",
    "  long(\n    a: number,\n  ): number {\n    return call(\n      a,\n    );\n  }\n}",
    "const arrow = (a: number) => {\n  while (a) {\n    a--;\n  }\n};",
    'Deno.test("name", () => {\n});',
  ].join("\n");
  const names = functionsOf(code).map(({ name, firstLine, lastLine }) => `${name} ${lastLine - firstLine + 1}`);
  assertEquals(names, ["free 3", "method 5", "#hidden 2", "value 3", "long 7", "arrow 5"]);
});

Deno.test("tidy: comments and strings are not code, template interpolations are", () => {
  assertEquals(codeOf('a("new", b); // new\n/* new */ c(/[/"]new/);'), "a(     , b);       \n          c(         );");
  assertEquals(codeOf("d(`new ${e}`);").includes("new"), false);
  assertEquals(codeOf("d(`new ${e}`);").includes("e"), true);
  const references = referencesOf("src/a/b.ts", `import "./c.ts";\nexport * from "../d.ts";\n// from "./e.ts"\n`);
  assertEquals(references.map(({ path }) => path), ["src/a/c.ts", "src/d.ts"]);
});

Deno.test("tidy: every export is used", () => {
  const a =
    "export const LIMIT = 1;\nexport interface Row {\n  limit: number;\n}\nexport const ROWS: readonly Row[] = [];\n";
  const user = 'import { LIMIT, ROWS } from "./a.ts";\nconsole.log(LIMIT, ROWS);\n';
  const checkWith = (b: string) => check(new Map([["src/os/a.ts", a], ["src/os/b.ts", b]]), false);
  assertEquals(checkWith(user), []);
  assertEquals(checkWith(user.replaceAll("LIMIT", "LIMITS")), ["src/os/a.ts: LIMIT is exported and used nowhere else"]);
  assertEquals(checkWith('import { ROWS } from "./a.ts";\n// LIMIT\nconsole.log(ROWS);\n').length, 1);
});

Deno.test("tidy: words that must not appear in the repository", () => {
  assertEquals(found("README.md", "TO" + "DO: write this\n").length, 1);
  assertEquals(found("README.md", "see /ho" + "me/me/notes\n"), ["names a path of one machine"]);
  assertEquals(found("README.md", "from registry.npm" + "js.org\n"), ["names the host of a package registry"]);
  assertEquals(found("README.md", "/run/crypto.sock, src/device/a.ts, ./work/a\n"), []);
});

Deno.test("tidy: an unused exception is reported", () => {
  const lines = check(new Map([["src/memory/segments.ts", "export const DISJOINT = 0;\n"]]), true);
  assertEquals(lines.includes("tidy_rules.ts: there is no ALIASED in src/memory/segments.ts"), true);
});
