/**
 * Builds the programs that run in guests. They are linked statically, so that a guest needs no libraries, and cached by
 * the checksums of their sources, so that they are compiled once.
 */
import { UnavailableError } from "./apt.ts";
import { isInstalled, run, runOrThrow } from "./process.ts";

/** The programs, each with its sources, the one to compile first. */
const SOURCES = {
  af_alg_check: ["af_alg_check.c", "af_alg.h", "aes_oracle.h"],
  load: ["load.c", "af_alg.h", "aes_oracle.h"],
  showcase_tool: ["showcase_tool.c"],
};
const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread"];

/** The path of a compiled program, built if its sources have changed. */
export async function buildProgram(cache: string, program: keyof typeof SOURCES): Promise<string> {
  const prefix = `${program}-`;
  const folder = new URL("./guest/", import.meta.url);
  const texts = await Promise.all(SOURCES[program].map((name) => Deno.readTextFile(new URL(name, folder))));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode([...FLAGS, ...texts].join("\0")));
  const path = `${cache}/${prefix}${new Uint8Array(digest).toHex().slice(0, 16)}`;
  if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  await requireCompiler();
  await Deno.mkdir(cache, { recursive: true });
  for await (const { name } of Deno.readDir(cache)) {
    if (name.startsWith(prefix)) await Deno.remove(`${cache}/${name}`);
  }
  const source = new URL(SOURCES[program][0]!, folder).pathname;
  await runOrThrow(["gcc", ...FLAGS, "-o", `${path}.partial`, source], { timeoutMs: 120_000 });
  await Deno.rename(`${path}.partial`, path);
  return path;
}

async function requireCompiler(): Promise<void> {
  const probe = ["sh", "-c", "echo 'int main(void){return 0;}' | gcc -static -x c -o /dev/null -"];
  if ((await run(probe, { timeoutMs: 60_000 })).code === 0) return;
  const advice = "gcc with the static C library is missing (Debian: apt-get install gcc libc6-dev)";
  if (Deno.uid() !== 0 || !await isInstalled("apt-get")) throw new UnavailableError(advice);
  console.error("vm: installing gcc and libc6-dev");
  const options = { timeoutMs: 600_000, env: { DEBIAN_FRONTEND: "noninteractive" } };
  const update = await run(["apt-get", "-q", "update"], options);
  const install = await run(["apt-get", "-qy", "--no-install-recommends", "install", "gcc", "libc6-dev"], options);
  if (install.code === 0) return;
  throw new UnavailableError(`${advice}; installing failed: ${(install.stderr || update.stderr).trim()}`);
}
