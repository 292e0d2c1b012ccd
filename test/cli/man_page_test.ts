import { assertEquals, assertStringIncludes } from "@std/assert";
import { COMMANDS, OPTIONS } from "../../src/cli/option_table.ts";
import { findProgram, PROGRAM, run, withDirectory } from "./programs.ts";

/** Writes the manual page to a file. */
async function withPage(body: (path: string) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const { code, stdout, stderr } = await run(PROGRAM, ["--print-man"]);
    assertEquals([code, stderr], [0, ""]);
    const path = `${directory}/vhost-user-crypto.1`;
    await Deno.writeTextFile(path, stdout);
    await body(path);
  });
}

Deno.test("--print-man has every option and command", async () => {
  await withPage(async (path) => {
    const page = (await Deno.readTextFile(path)).replaceAll("\\-", "-");
    for (const { name, short, value } of [...OPTIONS, ...COMMANDS.flatMap(({ options }) => options)]) {
      const names = `${short === undefined ? "" : `\\fB-${short}\\fR, `}\\fB--${name}\\fR${
        value === undefined ? "\n" : "="
      }`;
      assertStringIncludes(page, `.TP\n${names}`);
    }
    for (const { name } of COMMANDS) assertStringIncludes(page, `.SS ${name} `);
  });
});

const hasGroff = findProgram("groff", "groff-base");
Deno.test({ name: "groff accepts the manual page", ignore: !hasGroff }, async () => {
  await withPage(async (path) => {
    const { code, stdout, stderr } = await run("groff", ["-man", "-ww", "-Tutf8", "-P-cbou", path]);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(stdout, "-s, --socket-path=PATH");
  });
});

const hasMandoc = findProgram("mandoc", "mandoc");
Deno.test({ name: "mandoc accepts the manual page", ignore: !hasMandoc }, async () => {
  await withPage(async (path) => {
    const { code, stdout } = await run("mandoc", ["-T", "lint", path]);
    assertEquals([code, stdout], [0, ""]);
  });
});
