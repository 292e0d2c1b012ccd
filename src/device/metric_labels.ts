/**
 * Metric labels of requests: a number for each pair of service and algorithm, dense enough to index an array. Only
 * algorithms that the device serves have their own labels; any other number that a guest sends is counted as an unknown
 * algorithm of its service, so that a guest cannot make the counters grow.
 *
 * Data path, except `endOf` (once, when the file is loaded).
 *
 * @module
 */
import { AEADS, CIPHERS, HASHES, MACS } from "../engine/algorithms.ts";
import {
  isKeyed,
  KIND_AEAD,
  KIND_AKCIPHER,
  KIND_CHAIN,
  KIND_CIPHER,
  KIND_HASH,
  KIND_MAC,
  type Parameters,
} from "../engine/operation.ts";
import { AKCIPHER_ECDSA_UAPI } from "../wire/akcipher.ts";
import { ASYM_ECDH } from "../wire/asym_rfc3.ts";
import { SERVICE_AEAD, SERVICE_AKCIPHER, SERVICE_CIPHER, SERVICE_HASH, SERVICE_MAC } from "../wire/virtio_crypto.ts";

/** One more than the largest number in a table of algorithms; number 0 is an unknown one. */
function endOf(rows: readonly { readonly algo: number }[]): number {
  return 1 + Math.max(...rows.map(({ algo }) => algo));
}

const CIPHERS_END = endOf(CIPHERS);
export const HASHES_END: number = endOf(HASHES);
const MACS_END = endOf(MACS);
const AEADS_END = endOf(AEADS);
/** The same for the ratified asymmetric service and for the asymmetric RFC. */
const AKCIPHERS_END = 1 + AKCIPHER_ECDSA_UAPI;
const RFC3_END = 1 + ASYM_ECDH;

/** The first labels of each service, to which the number of the algorithm is added. */
export const LABELS_UNKNOWN = 0;
export const LABELS_CIPHER = 1;
export const LABELS_HASH: number = LABELS_CIPHER + CIPHERS_END;
export const LABELS_MAC: number = LABELS_HASH + HASHES_END;
export const LABELS_AEAD: number = LABELS_MAC + MACS_END;
export const LABELS_AKCIPHER: number = LABELS_AEAD + AEADS_END;
export const LABELS_RFC3: number = LABELS_AKCIPHER + AKCIPHERS_END;
/** Chains: for each cipher, a row of digests, hashes before MACs. */
export const LABELS_CHAIN: number = LABELS_RFC3 + RFC3_END;
export const CHAIN_DIGESTS: number = HASHES_END + MACS_END;
/** Control requests: a service, or {@linkcode SERVICES} for an unknown one, is added. */
export const SERVICES = 5;
export const LABELS_CREATE: number = LABELS_CHAIN + CIPHERS_END * CHAIN_DIGESTS;
export const LABELS_DESTROY: number = LABELS_CREATE + SERVICES + 1;
export const LABELS_OTHER_CONTROL: number = LABELS_DESTROY + SERVICES + 1;
/** Number of labels. */
export const LABELS_COUNT: number = LABELS_OTHER_CONTROL + SERVICES + 1;

/** `algo`, or 0 if it is not below `end`. */
function known(algo: number, end: number): number {
  return algo < end ? algo : 0;
}

/** The labels of requests with `parameters`. */
export function labelsOf(parameters: Parameters): number {
  const { algo, hashAlgo } = parameters;
  switch (parameters.kind) {
    case KIND_CIPHER:
      return LABELS_CIPHER + known(algo, CIPHERS_END);
    case KIND_HASH:
      return LABELS_HASH + known(hashAlgo, HASHES_END);
    case KIND_MAC:
      return LABELS_MAC + known(hashAlgo, MACS_END);
    case KIND_AEAD:
      return LABELS_AEAD + known(algo, AEADS_END);
    case KIND_AKCIPHER:
      return LABELS_AKCIPHER + known(algo, AKCIPHERS_END);
    case KIND_CHAIN: {
      const digest = isKeyed(parameters) ? HASHES_END + known(hashAlgo, MACS_END) : known(hashAlgo, HASHES_END);
      return LABELS_CHAIN + known(algo, CIPHERS_END) * CHAIN_DIGESTS + digest;
    }
    default:
      return LABELS_UNKNOWN;
  }
}

/** The labels of data requests of `service` whose algorithm is unknown, or not known yet. */
export function labelsOfService(service: number): number {
  switch (service) {
    case SERVICE_CIPHER:
      return LABELS_CIPHER;
    case SERVICE_HASH:
      return LABELS_HASH;
    case SERVICE_MAC:
      return LABELS_MAC;
    case SERVICE_AEAD:
      return LABELS_AEAD;
    case SERVICE_AKCIPHER:
      return LABELS_AKCIPHER;
    default:
      return LABELS_UNKNOWN;
  }
}

/** The labels of asymmetric jobs with algorithm `algo`, of the asymmetric RFC or of the ratified service. */
export function labelsOfJob(isRfc3: boolean, algo: number): number {
  return isRfc3 ? LABELS_RFC3 + known(algo >>> 0, RFC3_END) : LABELS_AKCIPHER + known(algo >>> 0, AKCIPHERS_END);
}

/** The labels of control requests of one operation (`LABELS_CREATE`, …) on a session of `service`. */
export function labelsOfControl(first: number, service: number): number {
  return first + (service < SERVICES ? service : SERVICES);
}
