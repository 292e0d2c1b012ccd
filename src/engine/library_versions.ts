/**
 * The libraries that implement algorithms, with their versions, for people.
 *
 * @module
 */
import type { EngineName } from "./libraries.ts";
import { gcryptVersion } from "./gcrypt.ts";
import { ipsecMbVersion } from "./ipsec_mb.ts";
import { opensslVersion } from "./openssl.ts";

const NAMES: Readonly<Record<EngineName, () => string>> = {
  openssl: opensslVersion,
  "ipsec-mb": () => `libIPSec_MB ${ipsecMbVersion()}`,
  gcrypt: () => `libgcrypt ${gcryptVersion()}`,
};

/** The names and versions of the libraries `engines`, as they report them; OpenSSL comes first, if it is available. */
export function libraryVersions(engines: ReadonlySet<EngineName>): string[] {
  return [...engines].map((engine) => NAMES[engine]());
}
