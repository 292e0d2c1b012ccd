/**
 * Checks parameters against the catalogue: those of a session when it is created, and those of a request that carries its
 * own before it is executed.
 *
 * A length that a session fixes (any but 0) must be valid for its algorithm, and so small that a request with it fits
 * REQUEST_BYTES_MAX.
 *
 * Data path.
 *
 * @module
 */
import type { AeadRow, CipherRow, DigestRow } from "./algorithms.ts";
import type { Catalogue } from "./catalogue.ts";
import { CIPHER_KASUMI_F8, CIPHER_ZUC_EEA3 } from "./algorithm_numbers.ts";
import { CUT_BLOCKS } from "./cipher.ts";
import { KASUMI_BYTES_MAX, ZUC_BYTES_MAX } from "./ipsec_mb.ts";
import { REQUEST_BYTES_MAX } from "./limits.ts";
import { equalSecrets } from "./openssl.ts";
import {
  DONE,
  FAILED,
  isKeyed,
  KIND_AEAD,
  KIND_CHAIN,
  KIND_CIPHER,
  type Parameters,
  type Template,
  UNSUPPORTED,
} from "./operation.ts";

/** Checks whether operations with `parameters` can be executed: DONE, FAILED (an invalid length) or UNSUPPORTED. */
export function checkParameters(parameters: Parameters, catalogue: Catalogue): number {
  const { kind, algo } = parameters;
  if (kind === KIND_AEAD) return checkAead(parameters, catalogue.aeads.get(algo));
  if (kind !== KIND_CIPHER && kind !== KIND_CHAIN) return checkDigest(parameters, catalogue, undefined);
  const cipher = catalogue.ciphers.get(algo);
  if (cipher === undefined) return UNSUPPORTED;
  if (!cipher.keyLens.has(parameters.keyLen)) return FAILED;
  return kind === KIND_CIPHER ? DONE : checkDigest(parameters, catalogue, cipher);
}

function checkAead({ keyLen, tagLen, aadLen }: Parameters, row: AeadRow | undefined): number {
  if (row === undefined) return UNSUPPORTED;
  if (!row.keyLens.has(keyLen) || (tagLen !== 0 && !row.tagLens.has(tagLen))) return FAILED;
  return row.ivLenMin + aadLen + (tagLen || row.tagLenMin) > REQUEST_BYTES_MAX ? FAILED : DONE;
}

/** Checks a hash or MAC, and its chain with `cipher` if that is given. */
function checkDigest(parameters: Parameters, catalogue: Catalogue, cipher: CipherRow | undefined): number {
  const keyed = isKeyed(parameters);
  const row = (keyed ? catalogue.macs : catalogue.hashes).get(parameters.hashAlgo);
  if (row === undefined) return UNSUPPORTED;
  if (keyed && !row.keyLens!.has(parameters.authKeyLen)) return FAILED;
  if (row.digestBytes !== 0 && parameters.hashResultLen > row.digestBytes) return FAILED;
  // Only a chain has additional data.
  const aadLen = cipher === undefined ? 0 : parameters.aadLen;
  if (aadLen > row.input.bytesMax) return FAILED;
  return fewestBytes(row, cipher, aadLen, parameters.hashResultLen || 1) > REQUEST_BYTES_MAX ? FAILED : DONE;
}

/** Minimum bytes of a request with `aadLen` bytes of additional data and `resultLen` bytes of digest. */
function fewestBytes({ input }: DigestRow, cipher: CipherRow | undefined, aadLen: number, resultLen: number): number {
  const { bytesMin, unitBytes } = input;
  const digested = Math.max(bytesMin, Math.ceil(aadLen / unitBytes) * unitBytes);
  const source = digested - aadLen;
  // A chain's destination is as long as its source.
  return cipher === undefined ? source + resultLen : cipher.ivLen + aadLen + 2 * source + resultLen;
}

/** Bytes of data that libIPSec_MB's ciphers accept at most. */
const DATA_BYTES_MAX: ReadonlyMap<number, number> = new Map([
  [CIPHER_KASUMI_F8, KASUMI_BYTES_MAX],
  [CIPHER_ZUC_EEA3, ZUC_BYTES_MAX],
]);

/** True if the cipher of `row` accepts `dataLen` bytes with an IV of `ivLen` bytes. */
function canCipher({ ivLen: rowIvLen, spec, algo, module }: CipherRow, ivLen: number, dataLen: number): boolean {
  if (ivLen !== rowIvLen) return false;
  if (module === undefined && dataLen > (DATA_BYTES_MAX.get(algo) ?? Infinity)) return false;
  if (spec === undefined || dataLen === 0) return true;
  return dataLen >= spec.dataBytesMin && (spec.cut !== CUT_BLOCKS || dataLen % spec.blockBytes === 0);
}

/**
 * True if neither half of a chain of `template` will be refused for its lengths, with `aadLen` bytes of additional data
 * and `srcLen` bytes of source, all of which is ciphered and digested.
 */
export function canChain(
  { parameters, ivLen }: Template,
  catalogue: Catalogue,
  aadLen: number,
  srcLen: number,
): boolean {
  const cipher = catalogue.ciphers.get(parameters.algo);
  const digest = (isKeyed(parameters) ? catalogue.macs : catalogue.hashes).get(parameters.hashAlgo);
  if (cipher === undefined || digest === undefined || !canCipher(cipher, ivLen, srcLen)) return false;
  const { bytesMin, bytesMax, unitBytes } = digest.input;
  const digested = aadLen + srcLen;
  return digested >= bytesMin && digested <= bytesMax && digested % unitBytes === 0;
}

/** False if an algorithm refuses a key of `parameters`, which have passed {@linkcode checkParameters}. */
export function checkKeys(parameters: Parameters, catalogue: Catalogue): boolean {
  const { kind, cipherKey, keyLen } = parameters;
  if (kind !== KIND_CIPHER && kind !== KIND_CHAIN) return true;
  // FIPS 140 forbids XTS keys with equal halves, and OpenSSL refuses to encrypt with them.
  return !catalogue.ciphers.get(parameters.algo)!.distinctHalves ||
    !equalSecrets(cipherKey, cipherKey + keyLen / 2, keyLen / 2);
}
