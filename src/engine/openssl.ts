/**
 * OpenSSL's objects by name: providers are loaded once, algorithms fetched once.
 *
 * Data path, except `keepProviders` (once, at start), `fetcher` (for a session's first request in a thread), `opensslVersion` (to tell people).
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { adviceFor } from "../../ffi/packages.ts";
import { NativeArgs } from "../memory/native.ts";

/**
 * OPENSSL_INIT_NO_ATEXIT: when the process exits, another thread may still execute an operation, so OpenSSL must not
 * free its tables. The first initialisation in the process decides.
 */
const INIT_NO_ATEXIT = 0x0008_0000n;
libcrypto.OPENSSL_init_crypto(INIT_NO_ATEXIT, 0n);

const encoder = new TextEncoder();

/** A C string. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text + "\0");
}

let loaded = false;

/** Keeps the providers that are loaded: those of a configuration, or in a worker those of the main thread. */
export function keepProviders(): void {
  loaded = true;
}
let hasLegacy = false;

/** ARC4 and DES are in the legacy provider. Once it is loaded explicitly, the default provider must be, too. */
function loadProviders(): void {
  if (loaded) return;
  loaded = true;
  libcrypto.OSSL_PROVIDER_load(0n, cString("default"));
  hasLegacy = libcrypto.OSSL_PROVIDER_load(0n, cString("legacy")) !== 0n;
  libcrypto.ERR_clear_error();
}

/** The reason why ARC4 and DES are missing, as the end of a sentence; undefined: the legacy provider is loaded. */
export function legacyProblem(): string | undefined {
  loadProviders();
  return hasLegacy ? undefined : `OpenSSL's legacy provider cannot be loaded: ${adviceFor("openssl-legacy")}`;
}

function fetcher(fetch: (name: Uint8Array<ArrayBuffer>) => bigint): (name: string) => bigint {
  const fetched = new Map<string, bigint>();
  return (name) => {
    let found = fetched.get(name);
    if (found === undefined) {
      loadProviders();
      found = fetch(cString(name));
      if (found === 0n) libcrypto.ERR_clear_error();
      fetched.set(name, found);
    }
    return found;
  };
}

/** The cipher of OpenSSL's name `name`, or 0n if no provider here has it. Fetched once, kept until the process ends. */
export const fetchCipher: (name: string) => bigint = fetcher((name) => libcrypto.EVP_CIPHER_fetch(0n, name, 0n));

/** The digest of that name, or 0n. */
export const fetchDigest: (name: string) => bigint = fetcher((name) => libcrypto.EVP_MD_fetch(0n, name, 0n));

/** The MAC of that name, or 0n. */
export const fetchMac: (name: string) => bigint = fetcher((name) => libcrypto.EVP_MAC_fetch(0n, name, 0n));

/** OpenSSL's version as it reports it. */
export function opensslVersion(): string {
  return new Deno.UnsafePointerView(libcrypto.OpenSSL_version(0)!).getCString();
}

const args = new NativeArgs(3);

/** Compares `length` secret bytes in a time that does not tell where they differ. */
export function equalSecrets(a: number, b: number, length: number): boolean {
  args.set(0, a);
  args.set(1, b);
  args.set(2, length);
  return libcrypto.CRYPTO_memcmp(
    BigInt.asUintN(64, args.u64[0]!),
    BigInt.asUintN(64, args.u64[1]!),
    BigInt.asUintN(64, args.u64[2]!),
  ) === 0;
}
