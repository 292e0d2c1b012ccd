import { assertEquals, assertStringIncludes } from "@std/assert";
import { COMMANDS, OPTIONS } from "../../src/cli/option_table.ts";
import { findProgram, PROGRAM, run, withDirectory } from "./programs.ts";

/** Writes the completion script of `shell` to a file. */
async function withCompletion(shell: string, body: (path: string, directory: string) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const { code, stdout, stderr } = await run(PROGRAM, [`--print-completion=${shell}`]);
    assertEquals([code, stderr], [0, ""]);
    const path = `${directory}/completion.${shell}`;
    await Deno.writeTextFile(path, stdout);
    await body(path, directory);
  });
}

/** Types `keys` in a shell on a pseudo-terminal, where the program prints its arguments; returns these. */
async function typed(shell: string, set: string, keys: string, directory: string): Promise<string[]> {
  const lines = `${set}\nvhost-user-crypto() { for a in "$@"; do echo "GOT<$a>"; done; }\n${keys}\nexit\n`;
  await Deno.writeTextFile(`${directory}/keys`, lines);
  const command = `cd ${directory}; TERM=dumb script -qec '${shell}' /dev/null <keys`;
  const { stdout } = await run("bash", ["-c", command]);
  return [...stdout.matchAll(/GOT<([^$]*?)>/g)].map((found) => found[1]!);
}

for (const { name, options } of [{ name: "", options: OPTIONS }, ...COMMANDS]) {
  Deno.test(`every option is in every completion: ${name || "the device's"}`, async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      await withCompletion(shell, async (path) => {
        const text = await Deno.readTextFile(path);
        for (const option of options) {
          assertStringIncludes(text, shell === "fish" ? `-l ${option.name} ` : `--${option.name}`);
        }
      });
    }
  });
}

Deno.test("bash accepts its completion", async () => {
  await withCompletion("bash", async (path) => {
    const { code, stderr } = await run("bash", ["-n", path]);
    assertEquals([code, stderr], [0, ""]);
  });
});

/** Typed keys, with tabs, and the resulting arguments. */
const TYPED: readonly (readonly [keys: string, args: readonly string[]])[] = [
  ["--asym\trf\t --onc\t-V", ["--asymmetric=rfc3", "--once", "-V"]],
  ["--mux of\t--log-f\tj\t", ["--mux", "off", "--log-format=json"]],
  ["--engines=ipsec-mb,gc\t", ["--engines=ipsec-mb,gcrypt"]],
  ["pro\t--qui\t-s fil\t--j\t", ["probe", "--quick", "-s", "file.sock", "--json"]],
  ["--socket-p\tfil\t", ["--socket-path=file.sock"]],
  ["--fd=\t3", ["--fd=3"]],
];

const hasScript = findProgram("script", "bsdutils");
Deno.test({ name: "bash completes what is typed", ignore: !hasScript }, async () => {
  await withCompletion("bash", async (path, directory) => {
    await Deno.writeTextFile(`${directory}/file.sock`, "");
    for (const [keys, args] of TYPED) {
      const got = await typed("bash --norc --noprofile -i", `source ${path}`, `vhost-user-crypto ${keys}`, directory);
      assertEquals(got, args, keys);
    }
  });
});

const hasZsh = findProgram("zsh", "zsh");
Deno.test({ name: "zsh completes what is typed", ignore: !(hasZsh && hasScript) }, async () => {
  await withCompletion("zsh", async (path, directory) => {
    assertEquals((await run("zsh", ["-n", path])).stderr, "");
    await Deno.writeTextFile(`${directory}/file.sock`, "");
    const set = `autoload -U compinit; compinit -u -d ${directory}/dump; source ${path}`;
    for (const [keys, args] of TYPED) {
      const got = await typed("zsh -f -i", set, `vhost-user-crypto ${keys}`, directory);
      assertEquals(got, args, keys);
    }
  });
});

const hasFish = findProgram("fish", "fish");
Deno.test({ name: "fish completes what is typed", ignore: !hasFish }, async () => {
  await withCompletion("fish", async (path) => {
    assertEquals((await run("fish", ["-n", path])).stderr, "");
    const offered = async (line: string) => {
      const { stdout } = await run("fish", [
        "--no-config",
        "-c",
        `source ${path}; complete -C "vhost-user-crypto ${line}"`,
      ]);
      return stdout.split("\n").filter((one) => one !== "").map((one) => one.split("\t")[0]);
    };
    assertEquals(await offered("--mux="), ["--mux=off", "--mux=on"]);
    assertEquals(await offered("--engines=ipsec-mb,g"), ["--engines=ipsec-mb,gcrypt"]);
    assertEquals(await offered("pro"), ["probe"]);
    assertEquals(await offered("probe --qui"), ["--quick"]);
    assertEquals(await offered("probe --mu"), []);
  });
});
