/**
 * Advice on packages, for hosts of every family that the README lists.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { packageAdvice, type PackagedLibrary } from "../../ffi/packages.ts";

const HOSTS: Readonly<Record<string, string>> = {
  "Debian 11": 'NAME="Debian GNU/Linux"\nVERSION_ID="11"\nVERSION_CODENAME=bullseye\nID=debian\n',
  "Debian 12": 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n',
  "Debian 13": 'NAME="Debian GNU/Linux"\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nID=debian\n',
  "Debian sid": 'NAME="Debian GNU/Linux"\nVERSION_CODENAME=forky\nID=debian\n',
  "Ubuntu 22.04": 'NAME="Ubuntu"\nVERSION_ID="22.04"\nID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=jammy\n',
  "Ubuntu 24.04": 'NAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble\n',
  "Mint 22": 'NAME="Linux Mint"\nVERSION_ID="22"\nID=linuxmint\nID_LIKE="ubuntu debian"\nUBUNTU_CODENAME=noble\n',
  "Fedora": 'NAME="Fedora Linux"\nVERSION_ID=42\nID=fedora\n',
  "Rocky": 'NAME="Rocky Linux"\nVERSION_ID="9.5"\nID="rocky"\nID_LIKE="rhel centos fedora"\n',
  "RHEL": 'NAME=\'Red Hat Enterprise Linux\'\nVERSION_ID="10.0"\nID="rhel"\nID_LIKE="centos fedora"\n',
  "Amazon": 'NAME="Amazon Linux"\nVERSION_ID="2023"\nID="amzn"\nID_LIKE="fedora"\n',
  "Arch": 'NAME="Arch Linux"\nID=arch\n',
  "Alpine": 'NAME="Alpine Linux"\nVERSION_ID=3.21.0\nID=alpine\n',
  "unknown": 'NAME="Slackware"\nID=slackware\n',
  "none": "",
};

function adviceOn(host: string, library: PackagedLibrary, arch = "x86_64"): string {
  return packageAdvice(library, { osRelease: HOSTS[host]!, arch });
}

Deno.test("advice names the package of the distribution and its release", () => {
  const expected: readonly (readonly [host: string, library: PackagedLibrary, advice: string])[] = [
    ["Debian 12", "ipsec-mb", "install Debian GNU/Linux's package libipsec-mb1"],
    ["Debian 12", "openssl", "install Debian GNU/Linux's package libssl3"],
    ["Debian 12", "openssl-legacy", "install Debian GNU/Linux's package libssl3"],
    ["Debian 13", "ipsec-mb", "install Debian GNU/Linux's package libipsec-mb2"],
    ["Debian 13", "openssl", "install Debian GNU/Linux's package libssl3t64"],
    ["Debian 13", "openssl-legacy", "install Debian GNU/Linux's package openssl-provider-legacy"],
    ["Debian 13", "gcrypt", "install Debian GNU/Linux's package libgcrypt20"],
    ["Debian sid", "ipsec-mb", "install Debian GNU/Linux's package libipsec-mb2"],
    ["Ubuntu 24.04", "ipsec-mb", "install Ubuntu's package libipsec-mb1"],
    ["Ubuntu 24.04", "openssl-legacy", "install Ubuntu's package libssl3t64"],
    ["Mint 22", "openssl", "install Linux Mint's package libssl3t64"],
    ["Fedora", "ipsec-mb", "install Fedora Linux's package intel-ipsec-mb"],
    ["Rocky", "ipsec-mb", "install Rocky Linux's package intel-ipsec-mb from EPEL"],
    ["Amazon", "openssl", "install Amazon Linux's package openssl-libs"],
    ["Rocky", "openssl-legacy", "install Rocky Linux's package openssl-libs"],
    ["RHEL", "gcrypt", "install Red Hat Enterprise Linux's package libgcrypt"],
    ["Arch", "openssl", "install Arch Linux's package openssl"],
  ];
  for (const [host, library, advice] of expected) assertEquals(adviceOn(host, library), advice, `${host}, ${library}`);
});

Deno.test("advice says where a library cannot be had", () => {
  const none = (library: string) => `has no package of a version of ${library} that can be used`;
  assertEquals(adviceOn("Debian 11", "openssl"), `Debian GNU/Linux 11 ${none("OpenSSL 3's libcrypto")}`);
  assertEquals(adviceOn("Ubuntu 22.04", "ipsec-mb"), `Ubuntu 22.04 ${none("libIPSec_MB")}`);
  assertEquals(adviceOn("Arch", "ipsec-mb"), `Arch Linux ${none("libIPSec_MB")}`);
  for (const host of Object.keys(HOSTS)) {
    assertEquals(adviceOn(host, "ipsec-mb", "aarch64"), "there is no libIPSec_MB for aarch64");
  }
  assertEquals(
    adviceOn("Alpine", "openssl"),
    "use a distribution with the GNU C library: Alpine Linux has another one, which Deno does not run on",
  );
});

Deno.test("advice for a system that is not known names the library, and a package as an example", () => {
  for (const host of ["unknown", "none"]) {
    assertEquals(adviceOn(host, "gcrypt"), "install libgcrypt (in Debian 13 it is the package libgcrypt20)");
  }
});
