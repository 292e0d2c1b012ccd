/**
 * The packages that contain the libraries, by distribution, as a table, and advice from it.
 *
 * @module
 */

/** The purposes of packages. */
export type PackagedLibrary = "openssl" | "openssl-legacy" | "ipsec-mb" | "gcrypt" | "libc";

/** A host, as far as packages depend on it. */
export interface PackageHost {
  /** The text of /etc/os-release; "" if it cannot be read. */
  readonly osRelease: string;
  /** As Deno.build.arch has it. */
  readonly arch: string;
}

/** Packages of one distribution, or of some of its releases; undefined: it has none. */
type Packages = Readonly<Record<PackagedLibrary, string | undefined>>;

const DEBIAN_13: Packages = {
  "openssl": "libssl3t64",
  "openssl-legacy": "openssl-provider-legacy",
  "ipsec-mb": "libipsec-mb2",
  "gcrypt": "libgcrypt20",
  "libc": "libc6",
};

const DEBIAN_12: Packages = {
  ...DEBIAN_13,
  "openssl": "libssl3",
  "openssl-legacy": "libssl3",
  "ipsec-mb": "libipsec-mb1",
};

/** Releases of Debian's family that differ from DEBIAN_13, by their code name. */
const DEBIAN_RELEASES: Readonly<Record<string, Packages>> = {
  // Their OpenSSL is 1.1.
  bullseye: { ...DEBIAN_12, "openssl": undefined, "openssl-legacy": undefined, "ipsec-mb": undefined },
  focal: { ...DEBIAN_12, "openssl": undefined, "openssl-legacy": undefined, "ipsec-mb": undefined },
  bookworm: DEBIAN_12,
  // Its libIPSec_MB is 1.2.
  jammy: { ...DEBIAN_12, "ipsec-mb": undefined },
  noble: { ...DEBIAN_12, "openssl": "libssl3t64", "openssl-legacy": "libssl3t64" },
};

const FEDORA: Packages = {
  "openssl": "openssl-libs",
  "openssl-legacy": "openssl-libs",
  "ipsec-mb": "intel-ipsec-mb",
  "gcrypt": "libgcrypt",
  "libc": "glibc",
};

/** RHEL and its kin: Fedora's package comes from a repository of its own. */
const RHEL: Packages = { ...FEDORA, "ipsec-mb": "intel-ipsec-mb from EPEL" };

/** The users' repository has libIPSec_MB 3.0. */
const ARCH: Packages = { ...FEDORA, "openssl": "openssl", "openssl-legacy": "openssl", "ipsec-mb": undefined };

/** Names of libraries for unknown distributions. */
const NAMES: Readonly<Record<PackagedLibrary, string>> = {
  "openssl": "OpenSSL 3's libcrypto",
  "openssl-legacy": "OpenSSL's legacy provider",
  "ipsec-mb": "libIPSec_MB",
  "gcrypt": "libgcrypt",
  "libc": "the GNU C library",
};

/** The fields of os-release(5), without their quotes. */
function fieldsOf(osRelease: string): ReadonlyMap<string, string> {
  const fields = [...osRelease.matchAll(/^([A-Z_]+)=(?:"(.*)"|'(.*)'|(.*))$/gm)];
  return new Map(fields.map(([, name, ...values]) => [name!, values.find((value) => value !== undefined) ?? ""]));
}

/** The packages of the distribution with `fields`; undefined: it is not known. */
function packagesOf(fields: ReadonlyMap<string, string>): Packages | undefined {
  const family = [fields.get("ID") ?? "", ...(fields.get("ID_LIKE") ?? "").split(" ")];
  if (family.includes("debian") || family.includes("ubuntu")) {
    const codeName = fields.get("UBUNTU_CODENAME") ?? fields.get("DEBIAN_CODENAME") ?? fields.get("VERSION_CODENAME");
    return DEBIAN_RELEASES[codeName ?? ""] ?? DEBIAN_13;
  }
  if (["rhel", "centos"].some((name) => family.includes(name))) return RHEL;
  if (family.includes("fedora")) return FEDORA;
  return family.includes("arch") ? ARCH : undefined;
}

/**
 * What to do on `host` to have `library`, as in "install Debian GNU/Linux's package libipsec-mb2"; or that it cannot be
 * had there.
 */
export function packageAdvice(library: PackagedLibrary, { osRelease, arch }: PackageHost): string {
  const fields = fieldsOf(osRelease);
  const distribution = fields.get("NAME") ?? "this system";
  if (library === "ipsec-mb" && arch !== "x86_64") return `there is no libIPSec_MB for ${arch}`;
  if (fields.get("ID") === "alpine" || (fields.get("ID_LIKE") ?? "").includes("alpine")) {
    return `use a distribution with the GNU C library: ${distribution} has another one, which Deno does not run on`;
  }
  const packages = packagesOf(fields);
  if (packages === undefined) return `install ${NAMES[library]} (in Debian 13 it is the package ${DEBIAN_13[library]})`;
  const name = packages[library];
  const release = fields.get("VERSION_ID") ?? "";
  if (name === undefined) {
    return `${[distribution, release].join(" ").trim()} has no package of a version of ${
      NAMES[library]
    } that can be used`;
  }
  return `install ${distribution}'s package ${name}`;
}

function readOsRelease(): string {
  try {
    return Deno.readTextFileSync("/etc/os-release");
  } catch {
    // Not there, or not to be read: the advice is general then.
    return "";
  }
}

/** The way to install `library` on this host; see {@linkcode packageAdvice}. */
export function adviceFor(library: PackagedLibrary): string {
  return packageAdvice(library, { osRelease: readOsRelease(), arch: Deno.build.arch });
}
