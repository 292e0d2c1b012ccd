/**
 * The guest's file system: a cpio archive with busybox, the modules in loading order, the check program and `init`.
 * Owns the archive format and the order of modules; what the modules are for is said in one list here.
 */

/** A file of the archive. */
export interface ArchiveFile {
  readonly path: string;
  readonly mode: number;
  readonly bytes: Uint8Array;
}

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;
const PLAIN = 0o100644;
const CHARACTER_DEVICE = 0o020600;
const CONSOLE = { major: 5, minor: 1 };

/**
 * What the guest loads, with what each needs loaded first. The device's driver comes last, so that everything its
 * self-test may ask for is there. Names that a kernel has built in, or not at all, are passed over.
 */
const MODULES = [
  "virtio_pci",
  "cbc",
  "ecb",
  "aes_generic",
  "sha1_generic",
  "sha256_generic",
  "rsa_generic",
  "af_alg",
  "algif_skcipher",
  "algif_hash",
  "algif_aead",
  "crypto_engine",
];
const DRIVER_MODULE = "virtio_crypto";

/** The names (with underscores) that a module's `.modinfo` says it depends on. */
export function moduleDepends(module: Uint8Array): string[] {
  const found = /(?:^|\0)depends=([^\0]*)\0/.exec(new TextDecoder("latin1").decode(module));
  return (found?.[1] ?? "").split(",").filter((name) => name !== "").map(canonical);
}

/** The kernel takes `-` and `_` in module names for the same. */
function canonical(name: string): string {
  return name.replaceAll("-", "_");
}

/** Puts `wanted` and all they depend on into an order in which they can be loaded. */
export function loadOrder(wanted: readonly string[], depends: (name: string) => readonly string[]): string[] {
  const order: string[] = [];
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const needed of depends(name)) visit(needed);
    order.push(name);
  };
  for (const name of wanted) visit(name);
  return order;
}

async function modulesInOrder(directory: string): Promise<ArchiveFile[]> {
  const bytesByName = new Map<string, Uint8Array>();
  for await (const { name } of Deno.readDir(directory)) {
    bytesByName.set(canonical(name.replace(/\.ko$/, "")), await Deno.readFile(`${directory}/${name}`));
  }
  if (!bytesByName.has(DRIVER_MODULE)) throw new Error(`The kernel has no module ${DRIVER_MODULE}`);
  const present = [...MODULES, DRIVER_MODULE].filter((name) => bytesByName.has(name));
  const order = loadOrder(present, (name) => {
    const bytes = bytesByName.get(name);
    if (bytes === undefined) throw new Error(`The kernel bundle lacks the module ${name}`);
    return moduleDepends(bytes);
  });
  return order.map((name, i) => {
    const path = `modules/${String(i).padStart(2, "0")}-${name}.ko`;
    return { path, mode: PLAIN, bytes: bytesByName.get(name)! };
  });
}

/** One entry of the archive in cpio's "newc" form: a header of 8-digit hexadecimal fields, name and bytes padded to 4. */
function entry(file: ArchiveFile, inode: number, device = { major: 0, minor: 0 }): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(`${file.path}\0`);
  const fields = [inode, file.mode, 0, 0, 1, 0, file.bytes.length, 0, 0, device.major, device.minor, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
  const nameEnd = pad4(header.length + name.length);
  const bytes = new Uint8Array(nameEnd + pad4(file.bytes.length));
  bytes.set(new TextEncoder().encode(header));
  bytes.set(name, header.length);
  bytes.set(file.bytes, nameEnd);
  return bytes;
}

function pad4(length: number): number {
  return (length + 3) & ~3;
}

/** A cpio archive the kernel unpacks as its root: `files`, the folders they are in, and a console. */
export function cpioArchive(files: readonly ArchiveFile[]): Blob {
  const nothing = new Uint8Array(0);
  const folders = new Set(["dev", ...files.flatMap(({ path }) => path.split("/").slice(0, -1))]);
  let inode = 1;
  const parts = [...folders].map((path) => entry({ path, mode: DIRECTORY, bytes: nothing }, inode++));
  parts.push(entry({ path: "dev/console", mode: CHARACTER_DEVICE, bytes: nothing }, inode++, CONSOLE));
  for (const file of files) parts.push(entry(file, inode++));
  parts.push(entry({ path: "TRAILER!!!", mode: 0, bytes: nothing }, inode));
  return new Blob(parts);
}

/** What `init` is told. */
export interface GuestSettings {
  /** The kernel driver that is checked. */
  readonly driver: string;
  /** Arguments of the check program. */
  readonly checkArguments: readonly string[];
  /** How long the kernel's self-tests may take. */
  readonly verdictTimeoutS: number;
}

/** Writes the initramfs for a kernel bundle to `path`. */
export async function writeInitramfs(
  path: string,
  kernelDirectory: string,
  checkProgram: string,
  settings: GuestSettings,
): Promise<void> {
  const configuration = [
    `DRIVER=${settings.driver}`,
    `CHECK_ARGUMENTS="${settings.checkArguments.join(" ")}"`,
    `VERDICT_S=${settings.verdictTimeoutS}`,
    "",
  ].join("\n");
  const archive = cpioArchive([
    { path: "init", mode: PROGRAM, bytes: await Deno.readFile(new URL("./guest/init", import.meta.url)) },
    { path: "bin/busybox", mode: PROGRAM, bytes: await Deno.readFile(`${kernelDirectory}/busybox`) },
    { path: "af_alg_check", mode: PROGRAM, bytes: await Deno.readFile(checkProgram) },
    { path: "etc/vm.conf", mode: PLAIN, bytes: new TextEncoder().encode(configuration) },
    ...await modulesInOrder(`${kernelDirectory}/modules`),
  ]);
  await Deno.writeFile(path, archive.stream());
}
