/**
 * The libraries that algorithms come from, with their versions, for people.
 *
 * @module
 */
import { openGcrypt } from "../../ffi/gcrypt.ts";
import { openIpsecMbVersion } from "../../ffi/ipsec_mb.ts";
import { loadCatalogue } from "./algorithms.ts";
import type { EngineName } from "./engines.ts";
import { opensslVersion } from "./openssl.ts";

const VERSIONS: Readonly<Record<EngineName, () => string>> = {
  openssl: opensslVersion,
  "ipsec-mb": () =>
    `libIPSec_MB ${new Deno.UnsafePointerView(openIpsecMbVersion().imb_get_version_str()!).getCString()}`,
  gcrypt: () => {
    const version = Deno.UnsafePointer.create(openGcrypt().gcry_check_version(0n))!;
    return `libgcrypt ${new Deno.UnsafePointerView(version).getCString()}`;
  },
};

/** The libraries of this isolate's catalogue in their own words; OpenSSL is the first, if it is there. */
export function libraryVersions(): string[] {
  return [...loadCatalogue().engines].map((engine) => VERSIONS[engine]());
}
