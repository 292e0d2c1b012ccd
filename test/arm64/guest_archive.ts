/**
 * Writes what the arm64 guest's kernel unpacks as its root: Deno, libraries, a shell and the checkout.
 * Arguments: the cache of scripts/on-arm64, and the file to write.
 *
 * @module
 */
import { type ArchiveFile, cpioArchive } from "../vm/initramfs.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const LINK = 0o120777;
const PLAIN = 0o100000;
const PROGRAM = 0o100755;
/** What of the checkout the tests need. */
const CHECKOUT = ["deno.json", "mod.ts", "ffi", "src", "scripts", "test"];
/** Documentation and what no test there loads. */
const LEFT_OUT = /^usr\/share\/|\/gconv\/|\/test\/fuzz\//;

/** The files and links below `directory`, or the file that it is, under `name` in the guest. */
async function* filesOf(directory: string, name: string): AsyncGenerator<ArchiveFile> {
  const { isDirectory, isSymlink, mode } = await Deno.lstat(directory);
  if (LEFT_OUT.test(name)) return;
  if (isSymlink) {
    yield { path: name, mode: LINK, bytes: new TextEncoder().encode(await Deno.readLink(directory)) };
  } else if (!isDirectory) {
    yield { path: name, mode: PLAIN | mode! & 0o777, bytes: await Deno.readFile(directory) };
  } else {
    for await (const entry of Deno.readDir(directory)) {
      yield* filesOf(`${directory}/${entry.name}`, name === "" ? entry.name : `${name}/${entry.name}`);
    }
  }
}

const [cache, archive] = Deno.args;
const files: ArchiveFile[] = [
  { path: "init", mode: PROGRAM, bytes: await Deno.readFile(new URL("./guest_init", import.meta.url)) },
  // The guest has no network: JSR does not answer there, at any time.
  { path: "checkout/.cache/jsr-answers", mode: 0o100644, bytes: new TextEncoder().encode("no 99999999999\n") },
];
for (const name of ["dev", "proc", "sys", "tmp"]) {
  files.push({ path: `${name}/.keep`, mode: 0o100644, bytes: new Uint8Array() });
}
const sources: (readonly [from: string, to: string])[] = [
  [`${cache}/root`, ""],
  [`${cache}/guest/programs`, ""],
  [`${cache}/npm/package/deno`, "deno"],
  ...CHECKOUT.map((name) => [`${ROOT}${name}`, `checkout/${name}`] as const),
];
for (const [from, to] of sources) {
  for await (const file of filesOf(from, to)) files.push(file);
}
await Deno.writeFile(archive!, cpioArchive(files).stream());
