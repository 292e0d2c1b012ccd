/**
 * The features negotiated with the driver, in the form that request decoding needs.
 *
 * Off the data path: it is changed by a command, and its fields are read.
 *
 * @module
 */
import * as wire from "../wire/virtio_crypto.ts";
import * as vring from "../wire/vring.ts";
import type { RingFeatures } from "../virtqueue/ring.ts";

/**
 * The asymmetric service exists in two forms that share their numbers: the ratified AKCIPHER and the older RFC. A
 * device offers one of them or none.
 */
export type AsymmetricForm = "akcipher" | "rfc3" | "off";

/** The negotiated features: one mutable record that all queues of a thread read. */
export class NegotiatedFeatures {
  /** VIRTIO_CRYPTO_F_MUX_MODE: structures have their own sizes, and `flag` counts. */
  mux = false;
  /** Number of changes so far. */
  changes = 0;
  /** Services that may be used without a session: bit n for service n. */
  statelessServices = 0;
  /** Offered services: bit n for service n. */
  readonly services: number;
  /** The form of the asymmetric service, on which the meaning of its opcodes depends. */
  readonly asymmetric: AsymmetricForm;

  /** Starts with no feature negotiated and `services` offered. */
  constructor(services: number, asymmetric: AsymmetricForm) {
    this.services = services;
    this.asymmetric = asymmetric;
  }

  /** Sets the features that the driver acknowledged. */
  set(acknowledged: bigint): void {
    this.changes++;
    this.mux = hasBit(acknowledged, wire.F_MUX_MODE);
    this.statelessServices = Number(acknowledged >> 1n & 0x1fn);
  }
}

/** True if `mask` has bit number `bit`. */
export function hasBit(mask: bigint, bit: number): boolean {
  return (mask >> BigInt(bit) & 1n) !== 0n;
}

/** A mask of the given bit numbers. */
export function maskOf(...bits: number[]): bigint {
  return bits.reduce((mask, bit) => mask | 1n << BigInt(bit), 0n);
}

/**
 * Ring features that the driver acknowledged. A modern driver always acknowledges VERSION_1. If it is missing, a VMM
 * has negotiated with the guest and not passed on the result.
 */
export function ringFeatures(acknowledged: bigint): RingFeatures {
  return {
    known: hasBit(acknowledged, vring.F_VERSION_1),
    packed: hasBit(acknowledged, vring.F_RING_PACKED),
    eventIdx: hasBit(acknowledged, vring.F_EVENT_IDX),
  };
}

/** Thrown for feature bits that contradict each other. */
export class FeatureError extends Error {
  override readonly name = "FeatureError";
}

/** Checks the acknowledged bits against the offered ones and the specification's requirements between bits. */
export function checkFeatures(acknowledged: bigint, offered: bigint): void {
  const surplus = acknowledged & ~offered;
  if (surplus !== 0n) {
    throw new FeatureError(`feature bits 0x${surplus.toString(16)} were acknowledged but never offered`);
  }
  const stateless = maskOf(
    wire.F_CIPHER_STATELESS_MODE,
    wire.F_HASH_STATELESS_MODE,
    wire.F_MAC_STATELESS_MODE,
    wire.F_AEAD_STATELESS_MODE,
    wire.F_AKCIPHER_STATELESS_MODE,
  );
  if ((acknowledged & stateless) !== 0n && !hasBit(acknowledged, wire.F_MUX_MODE)) {
    throw new FeatureError(
      "a stateless mode was acknowledged without VIRTIO_CRYPTO_F_MUX_MODE, which every stateless mode requires",
    );
  }
}
