/**
 * Lists every algorithm of the specification with the library that serves it on this host, or the reason why none does.
 * Reads the engine's tables as a device does.
 *
 * @module
 */
import type { AsymmetricForm } from "../device/negotiated_features.ts";
import { AEADS, CIPHERS, HASHES, MACS } from "../engine/algorithms.ts";
import type { Catalogue } from "../engine/catalogue.ts";
import { catalogueOf } from "../engine/fips.ts";
import type { FipsProvider } from "../engine/openssl_settings.ts";
import { akcipherOffer } from "../engine/asymmetric/akcipher_offer.ts";
import * as limits from "../engine/asymmetric/limits.ts";
import { asymAlgoMask } from "../engine/asymmetric/rfc3/service.ts";
import { multiBufferNames } from "../engine/multibuffer/job_algorithms.ts";
import { allows, type MultiBufferPolicy } from "../engine/multibuffer/policy.ts";
import { wrongKinds } from "../engine/multibuffer/self_test.ts";
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
  /** Lengths for verification, if it accepts more. */
  readonly verifyKeyBits?: readonly Range[];
  /** Curves of elliptic-curve keys. */
  readonly curves?: readonly string[];
  /** Curves for verification, if it accepts more. */
  readonly verifyCurves?: readonly string[];
  /** The library that serves it; undefined if none does. */
  readonly library?: EngineName;
  /** The library that executes it in multi-buffer batches; undefined if none does. */
  readonly bursts?: EngineName;
  /** The reason why it is not served. */
  readonly reason?: string;
}

/** A library on this host. */
export interface ListedLibrary {
  readonly name: EngineName;
  /** The version that it reports; undefined if it was not found or not loaded. */
  readonly version?: string;
  /** The reason why it serves no algorithm. */
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

/** The policy without the kinds that the self-test excludes on this host; undefined without multi-buffer execution. */
function policyOf(catalogue: Catalogue): MultiBufferPolicy | undefined {
  const wrong = catalogue.engines.has("ipsec-mb") ? wrongKinds(catalogue) : null;
  return wrong === null ? undefined : { choice: "auto", excluded: wrong.names };
}

function burstsOf(service: ServiceName, algo: number, policy: MultiBufferPolicy | undefined): EngineName | undefined {
  if (policy === undefined) return undefined;
  return multiBufferNames(service, algo).some((name) => allows(policy, [name])) ? "ipsec-mb" : undefined;
}

/** Libraries and multi-buffer execution of a host. */
interface Host {
  readonly libraries: readonly ListedLibrary[];
  readonly policy: MultiBufferPolicy | undefined;
  /** OpenSSL's FIPS provider alone is used. */
  readonly isFips: boolean;
  /** The reason why OpenSSL does not serve an algorithm. */
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

const DSA_BITS: readonly Range[] = [{ min: limits.DSA_MODULUS_BITS_MIN, max: limits.DSA_MODULUS_BITS_MAX }];
const DH_BITS: readonly Range[] = [{ min: limits.DH_MODULUS_BITS_MIN, max: limits.DH_MODULUS_BITS_MAX }];
const CURVE_NAMES: Readonly<Record<number, string>> = {
  [akcipher.CURVE_NIST_P192]: "P-192",
  [akcipher.CURVE_NIST_P224]: "P-224",
  [akcipher.CURVE_NIST_P256]: "P-256",
  [akcipher.CURVE_NIST_P384]: "P-384",
  [akcipher.CURVE_NIST_P521]: "P-521",
};
const ANY_CURVE: readonly string[] = ["any curve"];

type AsymmetricRow = Pick<
  ListedAlgorithm,
  "number" | "name" | "keyBits" | "verifyKeyBits" | "curves" | "verifyCurves"
>;

function rsaBits(min: number = limits.RSA_MODULUS_BITS_MIN): readonly Range[] {
  return [{ min, max: limits.RSA_MODULUS_BITS_MAX }];
}

/** The service's rows, and which of them are served. */
interface AsymmetricRows {
  readonly rows: readonly AsymmetricRow[];
  readonly mask: number;
}

function akcipherRows(): AsymmetricRows {
  const { signing, verification, mask } = akcipherOffer();
  const names = (curves: readonly number[]) => curves.map((curve) => CURVE_NAMES[curve]!);
  const curves = {
    curves: names(signing.curves),
    ...(signing.curves.length === verification.curves.length ? {} : { verifyCurves: names(verification.curves) }),
  };
  const bits = {
    keyBits: rsaBits(signing.rsaBitsMin),
    ...(signing.rsaBitsMin === verification.rsaBitsMin ? {} : { verifyKeyBits: rsaBits(verification.rsaBitsMin) }),
  };
  const rows = [
    { number: akcipher.AKCIPHER_RSA, name: "RSA", ...bits },
    { number: akcipher.AKCIPHER_ECDSA, name: "ECDSA", ...curves },
    { number: akcipher.AKCIPHER_ECDSA_UAPI, name: "ECDSA (Linux's number)", ...curves },
  ];
  return { rows, mask };
}

const RFC3_ROWS: readonly AsymmetricRow[] = [
  { number: rfc3.ASYM_RSA, name: "RSA", keyBits: rsaBits() },
  { number: rfc3.ASYM_DSA, name: "DSA", keyBits: DSA_BITS },
  { number: rfc3.ASYM_DH, name: "DH", keyBits: DH_BITS },
  { number: rfc3.ASYM_ECDSA, name: "ECDSA", curves: ANY_CURVE },
  { number: rfc3.ASYM_ECDH, name: "ECDH", curves: ANY_CURVE },
];

function asymmetricRows(negotiated: AsymmetricForm, host: Host): ListedAlgorithm[] {
  const { rows, mask } = negotiated === "rfc3" ? { rows: RFC3_ROWS, mask: asymAlgoMask() } : akcipherRows();
  const isExcluded = host.libraries.find(({ name }) => name === "openssl")?.version === undefined;
  return rows.map((row) => {
    const listed = { service: "akcipher" as const, ...row };
    if (negotiated === "off") return { ...listed, reason: "excluded by --asymmetric=off" };
    if (isExcluded) return { ...listed, reason: "excluded by --engines" };
    return (mask >> row.number & 1) === 0 ? { ...listed, reason: host.lacks } : { ...listed, library: "openssl" };
  });
}

/** Lists this host's algorithms; in FIPS mode those of the provider `fips`. Throws LibraryMissingError without OpenSSL. */
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
      ...asymmetricRows(asymmetric, host),
    ],
  };
}
