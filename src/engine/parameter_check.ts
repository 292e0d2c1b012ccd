/**
 * Decides what can be served. Sessions of every form are checked here when they are created, and requests that bring
 * their own parameters before they are executed, against the rows of the catalogue and nothing else.
 *
 * A length that a session fixes, which is any but 0, has to be one that a request can have: of its algorithm, and small
 * enough for a request with it to fit REQUEST_BYTES_MAX.
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

/** Says whether an operation with `parameters` could be served: DONE, FAILED (a wrong length) or UNSUPPORTED. */
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

/** Checks a hash or MAC, which `cipher` is chained with if there is one. */
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

/** Bytes that a request needs at least to have `aadLen` bytes of additional data and `resultLen` bytes of digest. */
function fewestBytes({ input }: DigestRow, cipher: CipherRow | undefined, aadLen: number, resultLen: number): number {
  const { bytesMin, unitBytes } = input;
  const digested = Math.max(bytesMin, Math.ceil(aadLen / unitBytes) * unitBytes);
  const source = digested - aadLen;
  // A chain's destination is as long as its source.
  return cipher === undefined ? source + resultLen : cipher.ivLen + aadLen + 2 * source + resultLen;
}

/** Bytes of data that libIPSec_MB's ciphers take at most. */
const DATA_BYTES_MAX: ReadonlyMap<number, number> = new Map([
  [CIPHER_KASUMI_F8, KASUMI_BYTES_MAX],
  [CIPHER_ZUC_EEA3, ZUC_BYTES_MAX],
]);

/** True if the cipher of `row` takes `dataLen` bytes with an IV of `ivLen` bytes. */
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

/** Says whether the keys of `parameters`, whose lengths {@linkcode checkParameters} found good, will be taken. */
export function checkKeys(parameters: Parameters, catalogue: Catalogue): boolean {
  const { kind, cipherKey, keyLen } = parameters;
  if (kind !== KIND_CIPHER && kind !== KIND_CHAIN) return true;
  // XTS with equal halves is what FIPS 140 forbids, and OpenSSL refuses to encrypt with it.
  return !catalogue.ciphers.get(parameters.algo)!.distinctHalves ||
    !equalSecrets(cipherKey, cipherKey + keyLen / 2, keyLen / 2);
}
