/**
 * From when on operations are executed in bursts: thresholds that were measured against one by one, ring to ring, on a
 * processor with AVX-512, vector AES and the SHA extensions. A lane of a burst is slower than OpenSSL is with the same
 * message alone, so a burst is worth it from some number of lanes on; SHA-256 has the strongest rival, whose
 * instructions do what takes ten lanes to make up for, and SHA-512 has none.
 *
 * @module
 */

/** From when on a burst is faster. */
export interface BurstThresholds {
  /** Bytes of all operations together, divided by those of the longest one: lanes that have work to the end. */
  readonly lanesMin: number;
  /** Bytes of all operations together: below, the way through the library costs more than it gains. */
  readonly bytesMin: number;
}

/**
 * The thresholds of a kind of operation, or null for no bursts at all: bytes of AES key (0: no cipher), direction, and
 * the hash that HMAC is with, by the library's number (0: none, 1: SHA-1, 2 to 5: SHA-224 to SHA-512).
 */
export type BurstPolicy = (keyLen: number, encrypt: boolean, hash: number) => BurstThresholds | null;

const BYTES_MIN = 1024;
const ENCRYPTION_LANES_MIN = 3;
/** Blocks of one message are decrypted side by side anyway: what is saved is calls. */
const DECRYPTION_LANES_MIN = 12;
/** By number of the hash. */
const MAC_LANES_MIN = [0, 6, 10, 10, 3, 3];
const CHAIN_LANES_MIN = [0, 5, 7, 7, 3, 3];

function measured(keyLen: number, encrypt: boolean, hash: number): BurstThresholds | null {
  if (hash === 0) return { lanesMin: encrypt ? ENCRYPTION_LANES_MIN : DECRYPTION_LANES_MIN, bytesMin: BYTES_MIN };
  // With decryption there is less to gain than with encryption: what the MAC alone needs will do.
  const lanesMin = (keyLen > 0 && encrypt ? CHAIN_LANES_MIN : MAC_LANES_MIN)[hash]!;
  return { lanesMin, bytesMin: BYTES_MIN };
}

let policy: BurstPolicy = measured;

/** The policy of engines made from now on. */
export function burstPolicy(): BurstPolicy {
  return policy;
}

/** Sets another policy; none: the usual one. */
export function setBurstPolicy(other: BurstPolicy = measured): void {
  policy = other;
}
