/**
 * The user's settings of OpenSSL: its configuration file, the properties of fetched algorithms, and the restriction to its
 * FIPS provider. They apply to the whole process, so they are applied once, before the first algorithm is fetched, and
 * are valid in every worker.
 *
 * Off the data path: it runs once, at start.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { mapAnonymous, unmap } from "../os/memory_map.ts";
import { akcipherOffer } from "./asymmetric/akcipher_offer.ts";
import { createCatalogue } from "./catalogue.ts";
import { cString, keepProviders } from "./openssl.ts";
import { configFileProblem, defaultConfigProblem } from "./openssl_config_file.ts";
import { opensslErrors } from "./openssl_errors.ts";

/** OPENSSL_INIT_LOAD_CONFIG: load the default configuration now; OPENSSL_INIT_NO_LOAD_CONFIG: never load it. */
const INIT_LOAD_CONFIG = 0x40n;
const INIT_NO_LOAD_CONFIG = 0x80n;
/** OSSL_PARAM_UTF8_PTR, and the size of an OSSL_PARAM: key, type, data, size of the data, size of the answer. */
const PARAM_UTF8_PTR = 6;
const PARAM_BYTES = 40;
/** Only what the FIPS provider calls approved, and only from that provider: others may call theirs approved too. */
const FIPS_PROPERTIES = "provider=fips,fips=yes";

/** Choices about OpenSSL. */
export interface OpensslSettings {
  /** A configuration file, loaded in place of the default one; the providers are those that it activates. */
  readonly config?: string | undefined;
  /** A property query for all that is fetched, as in "?provider=qat". Not together with `fips`. */
  readonly properties?: string | undefined;
  /** Nothing is used but OpenSSL's FIPS provider, which must be active and pass its self-test. */
  readonly fips?: boolean | undefined;
}

/** OpenSSL cannot be set up as chosen. The message names the choice and the remedy. */
export class OpensslSettingsError extends Error {
  /** The class's name. */
  override readonly name = "OpensslSettingsError";
}

/** The FIPS provider in its own words. */
export interface FipsProvider {
  readonly name: string;
  readonly version: string;
}

const NO_REASON = "OpenSSL gives no reason";

function loadConfig(file: string): void {
  libcrypto.OPENSSL_init_crypto(INIT_NO_LOAD_CONFIG, 0n);
  keepProviders();
  libcrypto.ERR_clear_error();
  const isLoaded = libcrypto.OSSL_LIB_CTX_load_config(0n, cString(file)) === 1;
  // Errors that are left behind count too, as success is reported for some of them.
  const reasons = opensslErrors();
  const problem = configFileProblem(file) ?? reasons ?? (isLoaded ? undefined : NO_REASON);
  if (problem === undefined) return;
  throw new OpensslSettingsError(
    `OpenSSL cannot use the configuration file ${file} (${problem}): correct its name (--openssl-config), or the ` +
      "section or the provider's module that is named here",
  );
}

function setProperties(query: string): void {
  // A configuration may set properties too: it is loaded first, so that these are the last word.
  libcrypto.OPENSSL_init_crypto(INIT_LOAD_CONFIG, 0n);
  if (libcrypto.EVP_set_default_properties(0n, cString(query)) !== 1) {
    throw new OpensslSettingsError(
      `OpenSSL does not accept the property query "${query}" (${
        opensslErrors() ?? NO_REASON
      }): write --openssl-properties as in "?provider=qat" (see property(7))`,
    );
  }
}

/** Throws unless OpenSSL has algorithms of a device with `choices`, and the random numbers that they need. */
function requireAlgorithms(choices: readonly string[]): void {
  const lack = !servesAnything()
    ? "no algorithm of a device"
    : libcrypto.RAND_status() !== 1
    ? "no random number generator, which its algorithms need,"
    : undefined;
  if (lack === undefined) return;
  throw new OpensslSettingsError(
    `OpenSSL has ${lack} with ${choices.join(" and ")}: activate a provider that has (--openssl-config), and prefer ` +
      'properties instead of demanding them (--openssl-properties="?…")',
  );
}

/** True if OpenSSL, as it is set up now, has any algorithm of a device. */
function servesAnything(): boolean {
  const { ciphers, hashes, macs, aeads } = createCatalogue(["openssl"]);
  return ciphers.size + hashes.size + macs.size + aeads.size > 0 || akcipherOffer().mask !== 0;
}

/** The parameters `keys` of a provider, which are strings. */
function providerTexts(provider: bigint, keys: readonly string[]): string[] {
  const memory = mapAnonymous(4096);
  const view = new DataView(memory.buffer);
  const base = BigInt(memory.address);
  const results = PARAM_BYTES * (keys.length + 1);
  let names = results + 8 * keys.length;
  for (const [i, key] of keys.entries()) {
    new Uint8Array(memory.buffer).set(cString(key), names);
    view.setBigUint64(PARAM_BYTES * i, base + BigInt(names), true);
    view.setUint32(PARAM_BYTES * i + 8, PARAM_UTF8_PTR, true);
    view.setBigUint64(PARAM_BYTES * i + 16, base + BigInt(results + 8 * i), true);
    names += key.length + 1;
  }
  libcrypto.OSSL_PROVIDER_get_params(provider, base);
  const texts = keys.map((_, i) => {
    const pointer = Deno.UnsafePointer.create(view.getBigUint64(results + 8 * i, true));
    return pointer === null ? "unknown" : new Deno.UnsafePointerView(pointer).getCString();
  });
  unmap(memory);
  return texts;
}

/** The FIPS provider; `isDefault`: the configuration is that of OpenSSL itself. */
function requireFips(isDefault: boolean): FipsProvider {
  libcrypto.OPENSSL_init_crypto(INIT_LOAD_CONFIG, 0n);
  keepProviders();
  const active = libcrypto.OSSL_PROVIDER_available(0n, cString("fips")) === 1;
  const provider = active ? libcrypto.OSSL_PROVIDER_load(0n, cString("fips")) : 0n;
  if (provider === 0n) {
    const problem = isDefault ? defaultConfigProblem() : undefined;
    throw new OpensslSettingsError(
      `--fips=required: OpenSSL's FIPS provider is not active (${problem ?? opensslErrors() ?? NO_REASON}): install ` +
        "it, run openssl fipsinstall, and activate it in OpenSSL's configuration or in that of --openssl-config",
    );
  }
  if (libcrypto.OSSL_PROVIDER_self_test(provider) !== 1) {
    throw new OpensslSettingsError(
      `--fips=required: OpenSSL's FIPS provider fails its self-test (${
        opensslErrors() ?? NO_REASON
      }): reinstall it and run ` +
        "openssl fipsinstall again",
    );
  }
  if (libcrypto.EVP_set_default_properties(0n, cString(FIPS_PROPERTIES)) !== 1) {
    throw new OpensslSettingsError(
      `--fips=required: OpenSSL refuses "${FIPS_PROPERTIES}" (${opensslErrors() ?? NO_REASON})`,
    );
  }
  const [name, version] = providerTexts(provider, ["name", "version"]);
  return { name: name!, version: version! };
}

let applied: { readonly key: string; readonly fips: FipsProvider | undefined; isWarned: boolean } | undefined;

/**
 * Sets OpenSSL up for this process; the FIPS provider if it is required. The first call decides; another one must choose
 * the same. Throws {@linkcode OpensslSettingsError}.
 */
export function applyOpensslSettings({ config, properties, fips = false }: OpensslSettings): FipsProvider | undefined {
  const key = JSON.stringify([config, properties, fips]);
  if (applied !== undefined) {
    if (applied.key === key) return applied.fips;
    throw new OpensslSettingsError(
      "OpenSSL has been set up otherwise in this process: give all its devices the same configuration file, " +
        "properties and FIPS mode",
    );
  }
  if (fips && properties !== undefined) {
    throw new OpensslSettingsError("FIPS mode has properties of its own: leave out --openssl-properties");
  }
  if (config !== undefined) loadConfig(config);
  if (properties !== undefined) setProperties(properties);
  if (!fips && (config ?? properties) !== undefined) {
    requireAlgorithms([
      ...(config === undefined ? [] : [`--openssl-config=${config}`]),
      ...(properties === undefined ? [] : [`--openssl-properties=${properties}`]),
    ]);
  }
  const provider = fips ? requireFips(config === undefined) : undefined;
  libcrypto.ERR_clear_error();
  applied = { key, fips: provider, isWarned: false };
  return provider;
}

/**
 * What users should know of OpenSSL's own configuration, where no other file has been chosen: that it is not used as it
 * says, or that the FIPS provider which it activates is not alone. Undefined if there is nothing to say, or if it has
 * been said in this process.
 */
export function defaultConfigWarning({ config, fips = false }: OpensslSettings): string | undefined {
  if (config !== undefined || fips || applied?.isWarned) return undefined;
  if (applied !== undefined) applied.isWarned = true;
  libcrypto.OPENSSL_init_crypto(INIT_LOAD_CONFIG, 0n);
  const problem = defaultConfigProblem();
  if (problem !== undefined || libcrypto.OSSL_PROVIDER_available(0n, cString("fips")) !== 1) return problem;
  return "OpenSSL's configuration activates its FIPS provider, but other providers and libraries serve too: choose " +
    "--fips=required to serve with that provider alone";
}
