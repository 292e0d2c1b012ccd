/**
 * System call numbers of both architectures against the kernel's headers, which Linux has on any architecture: arm64's
 * numbers are the generic ones.
 *
 * @module
 */
import { assertEquals, assertGreater } from "@std/assert";
import type { ArchitectureName } from "../../src/os/architecture.ts";
import { SYSTEM_CALLS, systemCallNumber } from "../../src/os/system_calls.ts";
import { exists, findProgram, withDirectory } from "../cli/programs.ts";

/** What makes the headers define an architecture's numbers; arm64's own header asks for the same. */
const HEADERS: Readonly<Record<ArchitectureName, readonly string[]>> = {
  x86_64: ["#include <asm/unistd_64.h>"],
  aarch64: [
    "#define __BITS_PER_LONG 64",
    "#define __ARCH_WANT_RENAMEAT",
    "#define __ARCH_WANT_NEW_STAT",
    "#define __ARCH_WANT_SET_GET_RLIMIT",
    "#define __ARCH_WANT_TIME32_SYSCALLS",
    "#define __ARCH_WANT_SYS_CLONE3",
    "#define __ARCH_WANT_MEMFD_SECRET",
    "#include <asm-generic/unistd.h>",
  ],
};

/** Numbers by name, of those calls that the headers know. */
async function numbersInHeaders(directory: string, headers: readonly string[]): Promise<Map<string, number>> {
  const source = `${directory}/calls.c`;
  const lines = SYSTEM_CALLS.map((call) => `number_of "${call}" __NR_${call}`);
  await Deno.writeTextFile(source, [...headers, ...lines, ""].join("\n"));
  const { stdout, stderr, success } = await new Deno.Command("gcc", { args: ["-E", "-P", source] }).output();
  assertEquals(success, true, new TextDecoder().decode(stderr));
  const found = new TextDecoder().decode(stdout).matchAll(/^number_of "(\w+)" \(?([0-9 +()]+)$/gm);
  return new Map([...found].map(([, call, number]) => [call!, Number(number!.replace(")", ""))]));
}

const hasCompiler = findProgram("gcc", "gcc, with libc6-dev");

for (const name of ["x86_64", "aarch64"] as const) {
  const isElsewhere = name === "x86_64" && !exists("/usr/include/x86_64-linux-gnu/asm/unistd_64.h");
  Deno.test({
    name: `system call numbers of ${name} are those of the kernel's headers`,
    ignore: !hasCompiler || isElsewhere,
    fn: () =>
      withDirectory(async (directory) => {
        const numbers = await numbersInHeaders(directory, HEADERS[name]);
        assertGreater(numbers.size, 70);
        for (const call of SYSTEM_CALLS) {
          const number = systemCallNumber(call, name);
          // Headers older than a call do not have it.
          if (number > 444 && !numbers.has(call)) continue;
          assertEquals(numbers.get(call) ?? -1, number, call);
        }
      }),
  });
}
