/**
 * Fetches Debian packages, and Ubuntu's if requested, with the machine's apt tools and a private state: its own source
 * list, package lists and an empty package status. The machine's packages and apt state do not change. The mirror is the
 * one in the machine's apt sources; apt verifies signatures and checksums.
 */
import { isInstalled, run, runOrThrow } from "./process.ts";

/** The suites from which packages are fetched: Debian's, and one of Ubuntu's for a kernel that Debian does not have. */
export type Suite = "bookworm" | "trixie" | "trixie-backports" | "focal";

/** Ubuntu's suites; all others are Debian's. */
const UBUNTU_SUITES: readonly Suite[] = ["focal"];

/** Packages are unavailable here: no apt, no mirror or no network. This is not a failure of the device. */
export class UnavailableError extends Error {
  override name = "UnavailableError";
}

/** A package to download. */
export interface Package {
  readonly name: string;
  readonly version: string;
  readonly sizeBytes: number;
}

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const UBUNTU_KEYRING = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";
const LISTS_TIMEOUT_MS = 180_000;
const DOWNLOAD_TIMEOUT_MS = 900_000;

/** The addresses of Debian's archive and of its security updates. */
export interface Mirror {
  readonly main: string;
  readonly security: string;
}

/** The mirror among the lines `URI RELEASE` that apt prints for the machine's sources. */
export function chooseMirror(indexTargets: string): Mirror | undefined {
  const debian = /^(?:bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)(-\S+)?$/;
  let main: string | undefined;
  let security: string | undefined;
  for (const line of indexTargets.split("\n")) {
    const [uri = "", release = ""] = line.trim().split(/\s+/);
    const found = debian.exec(release);
    if (found === null) continue;
    if (found[1] === "-security") security ??= uri;
    else main ??= uri;
  }
  if (main === undefined) return undefined;
  return { main, security: security ?? securityBeside(main) };
}

/** Debian's mirrors have the security archive next to the main one. */
function securityBeside(main: string): string {
  return `${main.replace(/\/+$/, "")}-security`;
}

/** Ubuntu's mirror among the lines `URI RELEASE`: those mirrors have one archive for everything, in a folder `ubuntu`. */
export function chooseUbuntuMirror(indexTargets: string): string | undefined {
  return indexTargets.split("\n").map((line) => line.split(/\s+/)[0]!).find((uri) => /\/ubuntu\/?$/.test(uri));
}

async function findMirror(given: string | undefined): Promise<Mirror> {
  if (given !== undefined) return { main: given, security: securityBeside(given) };
  for (const tool of ["apt-get", "apt-cache", "apt-config", "dpkg-deb"]) {
    if (!await isInstalled(tool)) {
      throw new UnavailableError(`${tool} is missing: the harness fetches Debian packages`);
    }
  }
  const mirror = chooseMirror(await listSources());
  if (mirror !== undefined) return mirror;
  throw new UnavailableError("This machine's apt sources name no Debian mirror: give one with --mirror=URL");
}

/** The machine's own apt sources, as lines `URI RELEASE`. */
async function listSources(): Promise<string> {
  const format = "$(REPO_URI) $(RELEASE)";
  const command = ["apt-get", "indextargets", "--format", format, "Created-By: Packages"];
  return (await run(command, { timeoutMs: 30_000 })).stdout;
}

/** Private apt states, one for each suite, below one directory. */
export class Apt {
  readonly #directory: string;
  readonly #mirror: Mirror;
  readonly #ubuntuMirror: string | undefined;
  readonly #ready = new Map<string, Promise<Record<string, string>>>();

  private constructor(directory: string, mirror: Mirror, ubuntuMirror: string | undefined) {
    this.#directory = directory;
    this.#mirror = mirror;
    this.#ubuntuMirror = ubuntuMirror;
  }

  /** Finds Debian's mirror and keeps all state in `directory`. Ubuntu's mirror is looked up on first use. */
  static async open(directory: string, mirror?: string, ubuntuMirror?: string): Promise<Apt> {
    return new Apt(directory, await findMirror(mirror), ubuntuMirror);
  }

  /**
   * The packages to download for `names`: these, and their dependencies that `follow` matches, reached through such
   * packages only. Other dependencies of a full installation are omitted.
   */
  async resolve(suite: Suite, names: readonly string[], follow: RegExp): Promise<Package[]> {
    const env = await this.#prepare(suite);
    const wanted = await this.#reach(env, names, follow);
    const solution = await runOrThrow(["apt-get", "install", "-qq", "-y", "--print-uris", ...names], {
      env,
      timeoutMs: LISTS_TIMEOUT_MS,
    });
    return parseUris(solution).filter(({ name }) => wanted.has(name));
  }

  /** Downloads packages into `directory`, checked against the signed lists. */
  async download(suite: Suite, packages: readonly Package[], directory: string): Promise<void> {
    const env = await this.#prepare(suite);
    await Deno.mkdir(directory, { recursive: true });
    const versions = packages.map(({ name, version }) => `${name}=${version}`);
    await runOrThrow(["apt-get", "-q", "download", ...versions], {
      env,
      cwd: directory,
      timeoutMs: DOWNLOAD_TIMEOUT_MS,
    }).catch(unavailable("The packages could not be downloaded"));
  }

  /** Downloads a source package's files into `directory`, checked against the signed lists; nothing is unpacked. */
  async downloadSource(suite: Suite, name: string, directory: string): Promise<void> {
    const env = await this.#prepare(suite, "deb-src");
    await Deno.mkdir(directory, { recursive: true });
    await runOrThrow(["apt-get", "-q", "source", "--download-only", "--only-source", name], {
      env,
      cwd: directory,
      timeoutMs: DOWNLOAD_TIMEOUT_MS,
    }).catch(unavailable(`The source of ${name} could not be downloaded`));
  }

  async #reach(env: Record<string, string>, names: readonly string[], follow: RegExp): Promise<Set<string>> {
    const text = await runOrThrow(["apt-cache", "depends", "-i", "--recurse", ...names], {
      env,
      timeoutMs: LISTS_TIMEOUT_MS,
    });
    return reachable(parseDepends(text), names, follow);
  }

  /** The environment of apt for a suite; binary and source packages have lists of their own. */
  #prepare(suite: Suite, kind: "deb" | "deb-src" = "deb"): Promise<Record<string, string>> {
    const state = kind === "deb" ? `${this.#directory}/${suite}` : `${this.#directory}/${suite}-source`;
    const known = this.#ready.get(state);
    if (known !== undefined) return known;
    const preparing = this.#update(state, suite, kind);
    this.#ready.set(state, preparing);
    return preparing;
  }

  async #update(state: string, suite: Suite, kind: "deb" | "deb-src"): Promise<Record<string, string>> {
    await Deno.mkdir(`${state}/lists/partial`, { recursive: true });
    await Deno.mkdir(`${state}/archives/partial`, { recursive: true });
    await Deno.writeTextFile(`${state}/status`, "");
    await Deno.writeTextFile(`${state}/sources.list`, await this.#sources(suite, kind));
    await Deno.writeTextFile(`${state}/apt.conf`, await configuration(state, suite));
    const env = { APT_CONFIG: `${state}/apt.conf`, LC_ALL: "C.UTF-8" };
    await runOrThrow(["apt-get", "-q", "update"], { env, timeoutMs: LISTS_TIMEOUT_MS })
      .catch(unavailable(`The package lists of ${suite} could not be fetched`));
    return env;
  }

  async #sources(suite: Suite, kind: "deb" | "deb-src"): Promise<string> {
    if (UBUNTU_SUITES.includes(suite)) return await this.#ubuntuSources(suite, kind);
    const signed = await Deno.stat(KEYRING).then(() => ` signed-by=${KEYRING}`, () => "");
    const release = suite.replace("-backports", "");
    const { main, security } = this.#mirror;
    const lines = [[main, release], [main, `${release}-updates`], [security, `${release}-security`]];
    if (suite !== release) lines.push([main, suite]);
    return lines.map(([uri, name]) => `${kind} [arch=amd64${signed}] ${uri} ${name} main\n`).join("");
  }

  async #ubuntuSources(suite: Suite, kind: "deb" | "deb-src"): Promise<string> {
    const mirror = this.#ubuntuMirror ?? chooseUbuntuMirror(await listSources());
    if (mirror === undefined) {
      throw new UnavailableError(
        `${suite} is Ubuntu's, and the apt sources have no Ubuntu mirror: give one with --ubuntu-mirror=URL`,
      );
    }
    const keyring = await this.#ubuntuKeyring();
    const names = [suite, `${suite}-updates`, `${suite}-security`];
    return names.map((name) => `${kind} [arch=amd64 signed-by=${keyring}] ${mirror} ${name} main\n`).join("");
  }

  /** The keys of Ubuntu's archive from a Debian package, so that Ubuntu's packages can be verified on a Debian machine. */
  async #ubuntuKeyring(): Promise<string> {
    if (await Deno.stat(UBUNTU_KEYRING).then(() => true, () => false)) return UBUNTU_KEYRING;
    const directory = `${this.#directory}/ubuntu-keyring`;
    const packages = await this.resolve("trixie", ["ubuntu-keyring"], /^$/);
    await this.download("trixie", packages, directory);
    for await (const { name } of Deno.readDir(directory)) {
      if (!name.endsWith(".deb")) continue;
      await runOrThrow(["dpkg-deb", "-x", `${directory}/${name}`, directory], { timeoutMs: 60_000 });
    }
    return directory + UBUNTU_KEYRING;
  }
}

function unavailable(what: string): (error: unknown) => never {
  return (error) => {
    throw new UnavailableError(`${what}: ${error instanceof Error ? error.message : error}`);
  };
}

/** apt's settings: only the network settings of the machine (proxies, certificates). */
async function configuration(state: string, suite: Suite): Promise<string> {
  const machine = await runOrThrow(["apt-config", "dump"], { timeoutMs: 30_000 });
  const network = machine.split("\n").filter((line) => /^Acquire::https?::/i.test(line));
  return [
    'Dir::Etc::main "/dev/null";',
    'Dir::Etc::parts "/dev/null";',
    'Dir::Etc::preferences "/dev/null";',
    'Dir::Etc::preferencesparts "/dev/null";',
    'Dir::Etc::sourceparts "/dev/null";',
    `Dir::Etc::sourcelist "${state}/sources.list";`,
    `Dir::State "${state}";`,
    `Dir::State::status "${state}/status";`,
    `Dir::Cache "${state}";`,
    // In other suites the newest version is fetched, which may be a security update.
    suite.endsWith("-backports") ? `APT::Default-Release "${suite}";` : "",
    'APT::Architecture "amd64";',
    'APT::Install-Recommends "false";',
    // Downloads go to the caller's directories, where apt's sandbox user may not write.
    'APT::Sandbox::User "";',
    'Acquire::Languages "none";',
    'Acquire::Retries "3";',
    // Lists that could not be fetched are an error, not a warning.
    'APT::Update::Error-Mode "any";',
    'Acquire::http::Timeout "30";',
    ...network,
    "",
  ].join("\n");
}

/** Package names and what each depends on, from `apt-cache depends --recurse`. */
export function parseDepends(text: string): Map<string, string[]> {
  const graph = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of text.split("\n")) {
    const dependency = /^\s+\|?(?:Pre)?Depends: (\S+)/.exec(line)?.[1];
    if (dependency !== undefined) current.push(dependency);
    else if (/^\S/.test(line)) graph.set(line.trim(), current = []);
  }
  return graph;
}

/** The names reached from `from` along packages that `follow` matches. */
export function reachable(graph: Map<string, string[]>, from: readonly string[], follow: RegExp): Set<string> {
  const reached = new Set<string>();
  const open = [...from];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (reached.has(name)) continue;
    reached.add(name);
    open.push(...(graph.get(name) ?? []).filter((dependency) => follow.test(dependency)));
  }
  return reached;
}

/** Packages from the lines `'URI' NAME_VERSION_ARCH.deb SIZE HASH` of `--print-uris`. */
export function parseUris(text: string): Package[] {
  const packages: Package[] = [];
  for (const line of text.split("\n")) {
    const found = /^'\S+' ([^_\s]+)_([^_\s]+)_\S+\.deb (\d+)/.exec(line);
    if (found === null) continue;
    packages.push({ name: found[1]!, version: decodeURIComponent(found[2]!), sizeBytes: Number(found[3]) });
  }
  return packages;
}
