/**
 * Lists every algorithm of the specification with the library that serves it on this host, or the reason why none does.
 * Reads the engine's tables as a device does.
 *
 * @module
 */
import type { AsymmetricForm } from "../device/negotiated_features.ts";
import { AEADS, type Catalogue, CIPHERS, HASHES, MACS } from "../engine/algorithms.ts";
import { catalogueOf } from "../engine/fips.ts";
import type { FipsProvider } from "../engine/openssl_settings.ts";
import { AKCIPHER_ALGO_MASK } from "../engine/asymmetric/akcipher.ts";
import * as limits from "../engine/asymmetric/limits.ts";
import { asymAlgoMask } from "../engine/asymmetric/rfc3/service.ts";
import { multiBufferNames } from "../engine/multibuffer/kinds.ts";
import { choiceWithout, type MultiBufferPolicy, multiBufferPolicy } from "../engine/multibuffer/policy.ts";
import { wrongKinds } from "../engine/multibuffer/trial.ts";
import { type EngineName, ENGINES } from "../engine/libraries.ts";
import { gcryptProblem, gcryptVersion } from "../engine/gcrypt.ts";
import { ipsecMbProblem, ipsecMbVersion } from "../engine/ipsec_mb.ts";
import { legacyProblem, opensslVersion } from "../engine/openssl.ts";
import * as akcipher from "../wire/akcipher.ts";
import * as rfc3 from "../wire/asym_rfc3.ts";
import * as wire from "../wire/virtio_crypto.ts";

/** The name of a service, as in options. */
export type ServiceName = "cipher" | "hash" | "mac" | "aead" | "akcipher";

/** Lengths from `min` to `max`. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** One algorithm. */
export interface ListedAlgorithm {
  readonly service: ServiceName;
  /** Its number in its service. */
  readonly number: number;
  readonly name: string;
  /** Lengths of a symmetric key, in bytes. */
  readonly keyBytes?: readonly Range[];
  /** Length of a full digest, in bytes; 0 if the request chooses it. */
  readonly digestBytes?: number;
  /** Lengths of an asymmetric key's modulus, in bits. */
  readonly keyBits?: readonly Range[];
  /** Curves of elliptic-curve keys. */
  readonly curves?: readonly string[];
  /** The library that serves it; undefined if none does. */
  readonly library?: EngineName;
  /** The library that executes it in multi-buffer batches; undefined if none does. */
  readonly bursts?: EngineName;
  /** Why it is not served. */
  readonly reason?: string;
}

/** A library on this host. */
export interface ListedLibrary {
  readonly name: EngineName;
  /** The version that it reports; undefined if it was not found or not loaded. */
  readonly version?: string;
  /** Why it serves no algorithm. */
  readonly problem?: string;
}

/** The libraries and algorithms of this host. */
export interface AlgorithmList {
  readonly libraries: readonly ListedLibrary[];
  /** The FIPS provider that alone is used, if it is required. */
  readonly fips?: string;
  /** The form of the asymmetric service that is listed. */
  readonly asymmetric: AsymmetricForm;
  readonly algorithms: readonly ListedAlgorithm[];
}

/** A row of one of the engine's tables. */
interface Row {
  readonly engine?: EngineName;
  readonly algo: number;
  readonly name: string;
  readonly keyLens?: ReadonlySet<number>;
  readonly digestBytes?: number;
}

/** The ranges without gaps that consist of `lengths`. */
function rangesOf(lengths: ReadonlySet<number>): Range[] {
  const ranges: { min: number; max: number }[] = [];
  for (const length of [...lengths].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last?.max === length - 1) last.max = length;
    else ranges.push({ min: length, max: length });
  }
  return ranges;
}

/** The name and version of a provider that is required. */
function fipsText({ name, version }: FipsProvider): string {
  return `${name} ${version}`;
}

function libraries(chosen: ReadonlySet<EngineName>, fips: FipsProvider | undefined): ListedLibrary[] {
  const found: Readonly<Record<EngineName, () => { problem?: string | undefined; version?: string | undefined }>> = {
    "openssl": () => ({ version: opensslVersion().replace(/^OpenSSL /, "") }),
    "ipsec-mb": () => ({ problem: ipsecMbProblem(), version: ipsecMbVersion() }),
    "gcrypt": () => ({ problem: gcryptProblem(), version: gcryptVersion() }),
  };
  return ENGINES.map((name) => {
    if (!chosen.has(name)) return { name, problem: `excluded by ${fips === undefined ? "--engines" : "--fips"}` };
    const { problem, version } = found[name]();
    return { name, ...(version === undefined ? {} : { version }), ...(problem === undefined ? {} : { problem }) };
  });
}

/** The built-in thresholds of this host, for what is right here; undefined: there is no multi-buffer execution. */
function policyOf(catalogue: Catalogue): MultiBufferPolicy | undefined {
  const wrong = catalogue.engines.has("ipsec-mb") ? wrongKinds(catalogue) : null;
  if (wrong === null) return undefined;
  return multiBufferPolicy(choiceWithout("auto", wrong.variant, wrong.names), wrong.variant);
}

function burstsOf(service: ServiceName, algo: number, policy: MultiBufferPolicy | undefined): EngineName | undefined {
  if (policy === undefined) return undefined;
  return multiBufferNames(service, algo).some((name) => policy(name, [name]) !== null) ? "ipsec-mb" : undefined;
}

/** Libraries and multi-buffer thresholds of a host. */
interface Host {
  readonly libraries: readonly ListedLibrary[];
  readonly policy: MultiBufferPolicy | undefined;
  /** OpenSSL's FIPS provider alone is used. */
  readonly isFips: boolean;
  /** Why OpenSSL does not serve an algorithm. */
  readonly lacks: string;
}

function symmetric(
  service: ServiceName,
  rows: readonly Row[],
  served: ReadonlyMap<number, Row>,
  host: Host,
): ListedAlgorithm[] {
  return rows.map(({ algo, name, digestBytes, engine: library = "openssl", ...row }) => {
    const keyLens = served.get(algo)?.keyLens ?? row.keyLens;
    const listed = {
      service,
      number: algo,
      name,
      ...(keyLens === undefined ? {} : { keyBytes: rangesOf(keyLens) }),
      ...(digestBytes === undefined ? {} : { digestBytes }),
    };
    if (!served.has(algo)) {
      const isLegacy = !host.isFips && library === "openssl" && /^(ARC4|DES-)/.test(name);
      const problem = host.libraries.find((one) => one.name === library)!.problem ??
        (isLegacy ? legacyProblem() : undefined);
      return { ...listed, reason: problem ?? host.lacks };
    }
    const bursts = burstsOf(service, algo, host.policy);
    return { ...listed, library, ...(bursts === undefined ? {} : { bursts }) };
  });
}

const RSA_BITS: readonly Range[] = [{ min: limits.RSA_MODULUS_BITS_MIN, max: limits.RSA_MODULUS_BITS_MAX }];
const DSA_BITS: readonly Range[] = [{ min: limits.DSA_MODULUS_BITS_MIN, max: limits.DSA_MODULUS_BITS_MAX }];
const DH_BITS: readonly Range[] = [{ min: limits.DH_MODULUS_BITS_MIN, max: limits.DH_MODULUS_BITS_MAX }];
const NIST_CURVES: readonly string[] = ["P-192", "P-224", "P-256", "P-384", "P-521"];
const ANY_CURVE: readonly string[] = ["any curve"];

type AsymmetricRow = Pick<ListedAlgorithm, "number" | "name" | "keyBits" | "curves">;

const AKCIPHER_ROWS: readonly AsymmetricRow[] = [
  { number: akcipher.AKCIPHER_RSA, name: "RSA", keyBits: RSA_BITS },
  { number: akcipher.AKCIPHER_ECDSA, name: "ECDSA", curves: NIST_CURVES },
  { number: akcipher.AKCIPHER_ECDSA_UAPI, name: "ECDSA (Linux's number)", curves: NIST_CURVES },
];

const RFC3_ROWS: readonly AsymmetricRow[] = [
  { number: rfc3.ASYM_RSA, name: "RSA", keyBits: RSA_BITS },
  { number: rfc3.ASYM_DSA, name: "DSA", keyBits: DSA_BITS },
  { number: rfc3.ASYM_DH, name: "DH", keyBits: DH_BITS },
  { number: rfc3.ASYM_ECDSA, name: "ECDSA", curves: ANY_CURVE },
  { number: rfc3.ASYM_ECDH, name: "ECDH", curves: ANY_CURVE },
];

function asymmetricRows(negotiated: AsymmetricForm, chosen: ReadonlySet<EngineName>): ListedAlgorithm[] {
  const mask = negotiated === "rfc3" ? asymAlgoMask() : AKCIPHER_ALGO_MASK;
  return (negotiated === "rfc3" ? RFC3_ROWS : AKCIPHER_ROWS).map((row) => {
    const listed = { service: "akcipher" as const, ...row };
    if (negotiated === "off") return { ...listed, reason: "excluded by --asymmetric=off" };
    if (!chosen.has("openssl")) return { ...listed, reason: "excluded by --engines" };
    if ((mask >> row.number & 1) === 0) return { ...listed, reason: "this host's OpenSSL does not have it" };
    return { ...listed, library: "openssl" };
  });
}

/** Asks this host's libraries; in FIPS mode the provider `fips`. Throws LibraryMissingError without OpenSSL. */
export function listAlgorithms(
  engines: readonly EngineName[],
  asymmetric: AsymmetricForm,
  fips?: FipsProvider,
): AlgorithmList {
  const catalogue = catalogueOf({ engines, fips: fips !== undefined });
  const chosen = new Set(engines);
  const lacks = fips === undefined
    ? "this host's OpenSSL does not have it"
    : "OpenSSL's FIPS provider does not have it";
  const host: Host = {
    libraries: libraries(chosen, fips),
    policy: policyOf(catalogue),
    isFips: fips !== undefined,
    lacks,
  };
  const list = (service: ServiceName, rows: readonly Row[], served: ReadonlyMap<number, Row>) =>
    symmetric(service, rows, served, host);
  const undefinedMac: ListedAlgorithm = {
    service: "mac",
    number: wire.MAC_CBCMAC_KASUMI_F9,
    name: "CBCMAC-KASUMI-F9",
    reason: "no standard defines it",
  };
  const macs = [...list("mac", MACS, catalogue.macs), undefinedMac].sort((a, b) => a.number - b.number);
  return {
    libraries: host.libraries,
    ...(fips === undefined ? {} : { fips: fipsText(fips) }),
    asymmetric,
    algorithms: [
      ...list("cipher", CIPHERS, catalogue.ciphers),
      ...list("hash", HASHES, catalogue.hashes),
      ...macs,
      ...list("aead", AEADS, catalogue.aeads),
      ...asymmetricRows(asymmetric, chosen),
    ],
  };
}
