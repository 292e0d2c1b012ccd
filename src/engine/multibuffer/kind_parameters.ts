/**
 * Lists the kinds of operation that the self-test checks and the benchmark measures, as parameters without keys.
 *
 * @module
 */
import * as numbers from "../algorithm_numbers.ts";
import type { Catalogue } from "../catalogue.ts";
import { KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC, type Parameters } from "../operation.ts";
import { MULTI_BUFFER_AEADS, MULTI_BUFFER_CIPHERS, MULTI_BUFFER_HASHES, MULTI_BUFFER_MACS } from "./job_algorithms.ts";

/** The MACs with which AES-CBC is chained. */
const CHAINED_MACS = [
  numbers.MAC_HMAC_SHA1,
  numbers.MAC_HMAC_SHA_256,
  numbers.MAC_HMAC_SHA_384,
  numbers.MAC_HMAC_SHA_512,
];

/** Yields every algorithm of `catalogue` in every direction and key length; of chains, those of AES-CBC and HMAC. */
export function* kindParameters({ ciphers, hashes, macs, aeads }: Catalogue): Iterable<Partial<Parameters>> {
  const directions = [true, false];
  for (const algo of MULTI_BUFFER_CIPHERS.keys()) {
    for (const keyLen of ciphers.get(algo)?.keyLens ?? []) {
      for (const encrypt of directions) yield { kind: KIND_CIPHER, algo, keyLen, encrypt };
    }
  }
  for (const algo of MULTI_BUFFER_AEADS.keys()) {
    for (const keyLen of aeads.get(algo)?.keyLens ?? []) {
      for (const encrypt of directions) yield { kind: KIND_AEAD, algo, keyLen, encrypt };
    }
  }
  for (const hashAlgo of MULTI_BUFFER_HASHES.keys()) if (hashes.has(hashAlgo)) yield { kind: KIND_HASH, hashAlgo };
  for (const hashAlgo of MULTI_BUFFER_MACS.keys()) {
    const keyLens = macs.get(hashAlgo)?.keyLens;
    for (const authKeyLen of [16, 32]) if (keyLens?.has(authKeyLen)) yield { kind: KIND_MAC, hashAlgo, authKeyLen };
  }
  const authenticated = true;
  for (const keyLen of ciphers.get(numbers.CIPHER_AES_CBC)?.keyLens ?? []) {
    for (const hashAlgo of CHAINED_MACS) {
      if (!macs.has(hashAlgo)) continue;
      const kind = { kind: KIND_CHAIN, algo: numbers.CIPHER_AES_CBC, keyLen, hashAlgo, authKeyLen: 16, authenticated };
      for (const encrypt of directions) yield { ...kind, encrypt };
    }
  }
}
