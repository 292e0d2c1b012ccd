/**
 * Bundles: the needed files of a kernel or of a QEMU, unpacked in a directory below `.cache/vm/`. A bundle is built in a
 * temporary directory and renamed when it is complete; before use every file is compared with its checksum, and a damaged
 * bundle is built again. Nothing is installed into the machine.
 */
import { Apt, type Package, type Suite } from "./apt.ts";
import { runOrThrow } from "./process.ts";
import { extractVmlinux } from "./vmlinux.ts";

/** Kernels by version, and the suites that hold them. */
export const KERNEL_SUITES: Readonly<Record<string, Suite>> = { "5.4": "focal", "6.1": "bookworm", "6.12": "trixie" };

/** QEMUs by version, and the suites that hold them. A backports suite may have moved on to a later version. */
export const QEMU_SUITES: Readonly<Record<string, Suite>> = {
  "7.2": "bookworm",
  "10.0": "trixie",
  "11.1": "trixie-backports",
};

interface Recipe {
  readonly suite: Suite;
  readonly packages: readonly string[];
  /** Dependencies to follow, as the source of a regular expression. */
  readonly follow: string;
  /** Files to skip when packages are unpacked, as tar's wildcards. */
  readonly exclude: readonly string[];
}

/** A complete bundle. */
export interface Bundle {
  readonly directory: string;
  /** The version of its main package. */
  readonly version: string;
  readonly downloadBytes: number;
  /** Whether it was downloaded in this run. */
  readonly fresh: boolean;
}

interface Stamp {
  readonly recipe: string;
  readonly version: string;
  readonly downloadBytes: number;
  /** SHA-256 of every file (the target of every link) by its path in the bundle. */
  readonly files: Readonly<Record<string, string>>;
}

const STAMP = "bundle.json";
const UNPACK_TIMEOUT_MS = 300_000;

/** Folders whose modules are all included, and single modules of other folders that the showcase needs. */
const MODULES_KEPT = new RegExp(
  "/kernel/(?:(?:crypto|lib|drivers/virtio|drivers/crypto/virtio|arch/x86/crypto)/|" +
    "(?:drivers/block/brd|drivers/md/dm-(?:mod|crypt)|drivers/net/veth|fs/ecryptfs/ecryptfs|" +
    "net/ipv4/esp4|net/xfrm/xfrm_(?:algo|user))\\.ko)",
);

function kernelRecipe(suite: Suite): Recipe {
  const exclude = ["*/share", "*/kernel/sound", "*/kernel/net/[!ix]*", "*/kernel/fs/[!e]*"];
  exclude.push("*/kernel/drivers/[!bcmnv]*", "*/kernel/drivers/net/*/*", "*/kernel/drivers/media");
  const image = suite === "focal" ? "linux-image-generic" : "linux-image-amd64";
  return { suite, packages: [image, "busybox-static"], follow: "^linux-(?:image|modules)-", exclude };
}

/** Programs that the showcase runs in its guest, with their libraries. */
function toolsRecipe(): Recipe {
  const follow = "^(?:lib(?!pam|db|gssapi|krb|k5|keyutils|tirpc|com-err|xtables|cap2-bin)|zlib1g$)";
  const exclude = ["*/share", "./etc", "./var", "*/gconv", "*/engines-3", "*/ossl-modules", "*/tc"];
  return { suite: "trixie", packages: ["cryptsetup-bin", "dmsetup", "iproute2"], follow, exclude };
}

function qemuRecipe(suite: Suite): Recipe {
  const follow = "^(?:lib|seabios$|qemu-system-(?:common|data)$)";
  const exclude = ["*/share/doc", "*/share/man", "*/share/locale", "./etc", "./var"];
  return { suite, packages: ["qemu-system-x86"], follow, exclude };
}

/** The mirrors to fetch packages from, in place of those in the machine's apt sources. */
export interface Mirrors {
  readonly mirror: string | undefined;
  readonly ubuntuMirror: string | undefined;
}

/** The cache of bundles. */
export class Bundles {
  readonly #cache: string;
  readonly #scratch: string;
  readonly #mirrors: Mirrors;
  #apt: Apt | undefined;

  /** Bundles are in `cache`; apt's state and incomplete bundles of this run are in `scratch`. */
  constructor(cache: string, scratch: string, mirrors: Mirrors) {
    this.#cache = cache;
    this.#scratch = scratch;
    this.#mirrors = mirrors;
  }

  /** The kernel of this version: `vmlinux`, `busybox` and `modules/`. */
  kernel(version: string, refresh: boolean): Promise<Bundle> {
    return this.#ensure(`linux-${version}`, kernelRecipe(KERNEL_SUITES[version]!), refresh, finishKernel);
  }

  /** The QEMU of this version as its packages lay it out. */
  qemu(version: string, refresh: boolean): Promise<Bundle> {
    return this.#ensure(`qemu-${version}`, qemuRecipe(QEMU_SUITES[version]!), refresh, () => Promise.resolve());
  }

  /** The programs of the showcase's guest: `bin/` and `lib/`. */
  tools(refresh: boolean): Promise<Bundle> {
    return this.#ensure("tools", toolsRecipe(), refresh, finishTools);
  }

  async #ensure(
    name: string,
    recipe: Recipe,
    refresh: boolean,
    finish: (directory: string) => Promise<void>,
  ): Promise<Bundle> {
    await Deno.mkdir(this.#cache, { recursive: true });
    // Two harnesses must not build the same bundle at the same time.
    using lock = await Deno.open(`${this.#cache}/${name}.lock`, { create: true, write: true });
    await lock.lock(true);
    const directory = `${this.#cache}/${name}`;
    const found = refresh ? undefined : await readWhole(directory, JSON.stringify(recipe));
    if (found !== undefined) return { directory, fresh: false, ...found };
    this.#apt ??= await Apt.open(`${this.#scratch}/apt`, this.#mirrors.mirror, this.#mirrors.ubuntuMirror);
    const built = await this.#build(`${this.#scratch}/${name}`, `${directory}.partial`, recipe, finish);
    await removeTree(directory);
    await Deno.rename(`${directory}.partial`, directory);
    return { directory, fresh: true, ...built };
  }

  async #build(
    downloads: string,
    directory: string,
    recipe: Recipe,
    finish: (directory: string) => Promise<void>,
  ): Promise<Stamp> {
    const packages = await this.#apt!.resolve(recipe.suite, recipe.packages, new RegExp(recipe.follow));
    const version = versionOf(packages, recipe);
    const downloadBytes = packages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    console.error(
      `vm: fetching ${packages.length} packages of ${recipe.suite} for ${recipe.packages[0]} ${version}, ` +
        megabytes(downloadBytes),
    );
    await this.#apt!.download(recipe.suite, packages, downloads);
    await removeTree(directory);
    await Deno.mkdir(directory);
    for await (const { name } of Deno.readDir(downloads)) {
      if (name.endsWith(".deb")) await unpackPackage(`${downloads}/${name}`, directory, recipe.exclude);
    }
    await removeTree(downloads);
    await finish(directory);
    const stamp = { recipe: JSON.stringify(recipe), version, downloadBytes, files: await checksums(directory) };
    await Deno.writeTextFile(`${directory}/${STAMP}`, JSON.stringify(stamp));
    return stamp;
  }
}

/** A number of bytes as text. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The upstream version of a bundle's main package: `1:7.2+dfsg-7+deb12u18` is 7.2. */
function versionOf(packages: readonly Package[], recipe: Recipe): string {
  const first = packages.find(({ name }) => name === recipe.packages[0]);
  if (first === undefined) throw new Error(`${recipe.suite} has no ${recipe.packages[0]}`);
  return first.version.replace(/^\d+:/, "");
}

async function unpackPackage(file: string, directory: string, exclude: readonly string[]): Promise<void> {
  const script = 'set -o pipefail; f=$1; shift; dpkg-deb --fsys-tarfile "$f" | tar -x --no-same-owner "$@"';
  const options = ["-C", directory, ...exclude.map((pattern) => `--exclude=${pattern}`)];
  await runOrThrow(["bash", "-c", script, "bash", file, ...options], { timeoutMs: UNPACK_TIMEOUT_MS });
}

/** Turns the unpacked kernel packages into `vmlinux`, `busybox` and `modules/`. */
async function finishKernel(directory: string): Promise<void> {
  const modules = `${directory}/modules`;
  await Deno.mkdir(modules);
  for (const path of await listFiles(directory)) {
    const name = path.split("/").at(-1)!;
    if (name.startsWith("vmlinuz-")) await extractVmlinux(`${directory}/${path}`, `${directory}/vmlinux`);
    else if (name === "busybox") await Deno.rename(`${directory}/${path}`, `${directory}/busybox`);
    else if (MODULES_KEPT.test(path)) await Deno.rename(`${directory}/${path}`, `${modules}/${name}`);
  }
  const packed = (await listFiles(modules)).filter((name) => name.endsWith(".xz"));
  if (packed.length > 0) await runOrThrow(["xz", "-d", ...packed], { cwd: modules, timeoutMs: UNPACK_TIMEOUT_MS });
  for (const folder of ["boot", "lib", "usr", "bin"]) await removeTree(`${directory}/${folder}`);
}

/** Turns the unpacked packages into `bin/` and `lib/`, where every library has the name that programs load. */
async function finishTools(directory: string): Promise<void> {
  for (const folder of ["bin", "lib"]) await Deno.mkdir(`${directory}/.${folder}`);
  for (const path of await listFiles(directory)) {
    const name = path.split("/").at(-1)!;
    if (/bin\/(?:ip|dmsetup|cryptsetup)$/.test(path)) await copyTo(`${directory}/.bin/${name}`, `${directory}/${path}`);
    if (/^usr\/lib\/.*\.so(?:\.\d+|\.1\.02\.1)$/.test(path)) {
      await copyTo(`${directory}/.lib/${name}`, `${directory}/${path}`);
    }
  }
  for (const folder of ["usr", "lib", "lib64", "bin", "sbin"]) await removeTree(`${directory}/${folder}`);
  for (const folder of ["bin", "lib"]) await Deno.rename(`${directory}/.${folder}`, `${directory}/${folder}`);
}

/** Copies the target of a link; a link out of the bundle (`ip` has one) is skipped. */
async function copyTo(to: string, from: string): Promise<void> {
  if (await Deno.stat(from).then(({ isFile }) => isFile, () => false)) await Deno.copyFile(from, to);
}

/** The stamp of a bundle whose files are unchanged since it was built; undefined otherwise. */
async function readWhole(directory: string, recipe: string): Promise<Stamp | undefined> {
  const text = await Deno.readTextFile(`${directory}/${STAMP}`).catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const stamp = JSON.parse(text) as Stamp;
    if (stamp.recipe !== recipe) return undefined;
    for (const [path, sum] of Object.entries(stamp.files)) {
      if (await checksum(`${directory}/${path}`) !== sum) throw new Error(`${path} was changed`);
    }
    return stamp;
  } catch (error) {
    console.error(`vm: ${directory} is damaged and made again: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}

async function checksums(directory: string): Promise<Record<string, string>> {
  const sums: Record<string, string> = {};
  for (const path of await listFiles(directory)) sums[path] = await checksum(`${directory}/${path}`);
  return sums;
}

async function checksum(path: string): Promise<string> {
  if ((await Deno.lstat(path)).isSymlink) return `link to ${await Deno.readLink(path)}`;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(path))).toHex();
}

/** All files and links below a directory, as paths relative to it. */
async function listFiles(directory: string, prefix = ""): Promise<string[]> {
  const paths: string[] = [];
  for await (const entry of Deno.readDir(`${directory}/${prefix}`)) {
    if (entry.isDirectory) paths.push(...await listFiles(directory, `${prefix}${entry.name}/`));
    else paths.push(`${prefix}${entry.name}`);
  }
  return paths.sort();
}

/** Removes a tree, if it exists. */
async function removeTree(path: string): Promise<void> {
  await Deno.remove(path, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
