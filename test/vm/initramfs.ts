/**
 * The guest's file system: a cpio archive with busybox, the modules in loading order, programs and `init`. This file owns
 * the archive format, the list of modules and their order.
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
const LINK = 0o120777;
const CHARACTER_DEVICE = 0o020600;
const CONSOLE = { major: 5, minor: 1 };

/**
 * The modules that the guest loads, in addition to their dependencies. The device's driver is the last one, because its
 * self-test uses the others. Names that a kernel has built in, or does not have, are skipped.
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
const LINKER = "ld-linux-x86-64.so.2";
const LIBRARIES = "lib/x86_64-linux-gnu";

/** The names (with underscores) that a module's `.modinfo` says it depends on. */
export function moduleDepends(module: Uint8Array): string[] {
  const found = /(?:^|\0)depends=([^\0]*)\0/.exec(new TextDecoder("latin1").decode(module));
  return (found?.[1] ?? "").split(",").filter((name) => name !== "").map(canonical);
}

/** The kernel treats `-` and `_` in module names as equal. */
function canonical(name: string): string {
  return name.replaceAll("-", "_");
}

/** Returns `wanted` and their dependencies in an order in which they can be loaded. */
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

async function modulesInOrder(directory: string, more: readonly string[]): Promise<ArchiveFile[]> {
  const bytesByName = new Map<string, Uint8Array>();
  for await (const { name } of Deno.readDir(directory)) {
    bytesByName.set(canonical(name.replace(/\.ko$/, "")), await Deno.readFile(`${directory}/${name}`));
  }
  if (!bytesByName.has(DRIVER_MODULE)) throw new Error(`The kernel has no module ${DRIVER_MODULE}`);
  const present = [...MODULES, ...more, DRIVER_MODULE].filter((name) => bytesByName.has(name));
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

/** The folders a path is in, outer ones first. */
function foldersOf(path: string): string[] {
  const names = path.split("/").slice(0, -1);
  return names.map((_, i) => names.slice(0, i + 1).join("/"));
}

/** A cpio archive that the kernel unpacks as its root: `files`, their folders, and a console. */
export function cpioArchive(files: readonly ArchiveFile[]): Blob {
  const nothing = new Uint8Array(0);
  const folders = new Set(["dev", ...files.flatMap(({ path }) => foldersOf(path))]);
  let inode = 1;
  const parts = [...folders].map((path) => entry({ path, mode: DIRECTORY, bytes: nothing }, inode++));
  parts.push(entry({ path: "dev/console", mode: CHARACTER_DEVICE, bytes: nothing }, inode++, CONSOLE));
  for (const file of files) parts.push(entry(file, inode++));
  parts.push(entry({ path: "TRAILER!!!", mode: 0, bytes: nothing }, inode));
  return new Blob(parts);
}

/** The parts of a guest, in addition to busybox and the modules that every guest loads. */
export interface GuestParts {
  /** The script in `guest/` that is the guest's only process. */
  readonly init: "init" | "showcase" | "handovers";
  /** Statically linked programs by their paths in the guest. */
  readonly programs: Readonly<Record<string, string>>;
  /** Further modules to load. */
  readonly modules: readonly string[];
  /** A module in `later/`, which the guest loads itself. The others must include its dependencies. */
  readonly laterModule?: string;
  /** A directory with `bin/` and `lib/`: programs that go to `tools/`, and their libraries. */
  readonly toolsDirectory?: string;
  /** Other files by their paths in the guest. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** Shell variables for the script. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Writes the initramfs for a kernel bundle to `path`. */
export async function writeInitramfs(path: string, kernelDirectory: string, parts: GuestParts): Promise<void> {
  const configuration = Object.entries(parts.settings).map(([name, value]) => `${name}="${value}"\n`).join("");
  const own = async (name: string, mode: number, archived = name) => (
    { path: archived, mode, bytes: await Deno.readFile(new URL(`./guest/${name}`, import.meta.url)) }
  );
  const files: ArchiveFile[] = [
    await own(parts.init, PROGRAM, "init"),
    await own("start", PLAIN),
    { path: "bin/busybox", mode: PROGRAM, bytes: await Deno.readFile(`${kernelDirectory}/busybox`) },
    { path: "etc/vm.conf", mode: PLAIN, bytes: new TextEncoder().encode(configuration) },
  ];
  for (const [archived, program] of Object.entries(parts.programs)) {
    files.push({ path: archived, mode: PROGRAM, bytes: await Deno.readFile(program) });
  }
  for (const [archived, bytes] of Object.entries(parts.files ?? {})) files.push({ path: archived, mode: PLAIN, bytes });
  const modules = `${kernelDirectory}/modules`;
  files.push(...await modulesInOrder(modules, parts.modules));
  if (parts.laterModule !== undefined) {
    const module = `${parts.laterModule.replaceAll("_", "-")}.ko`;
    files.push({ path: `later/${module}`, mode: PLAIN, bytes: await Deno.readFile(`${modules}/${module}`) });
  }
  if (parts.toolsDirectory !== undefined) files.push(...await toolFiles(parts.toolsDirectory));
  await Deno.writeFile(path, cpioArchive(files).stream());
}

/** Programs with libraries, the libraries, and the linker at the path that the programs name. */
async function toolFiles(directory: string): Promise<ArchiveFile[]> {
  const files: ArchiveFile[] = [];
  for (const [from, to] of [["bin", "tools"], ["lib", LIBRARIES]]) {
    for await (const { name } of Deno.readDir(`${directory}/${from}`)) {
      files.push({ path: `${to}/${name}`, mode: PROGRAM, bytes: await Deno.readFile(`${directory}/${from}/${name}`) });
    }
  }
  files.push({ path: `lib64/${LINKER}`, mode: LINK, bytes: new TextEncoder().encode(`/${LIBRARIES}/${LINKER}`) });
  return files;
}
