/**
 * What was negotiated with the driver, in the form that request parsing needs.
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
 * device speaks one of them, or none.
 */
export type AsymmetricForm = "akcipher" | "rfc3" | "off";

/** The negotiated rules, one mutable record that all queues of an isolate look at. */
export class NegotiatedFeatures {
  /** VIRTIO_CRYPTO_F_MUX_MODE: structures have their own sizes, and `flag` counts. */
  mux = false;
  /** How often the rules have changed. */
  changes = 0;
  /** Services that may be used without a session: bit n for service n. */
  statelessServices = 0;
  /** Services on offer at all: bit n for service n. */
  readonly services: number;
  /** What opcodes of service 4 mean. */
  readonly asymmetric: AsymmetricForm;

  /** Nothing negotiated, with `services` on offer. */
  constructor(services: number, asymmetric: AsymmetricForm) {
    this.services = services;
    this.asymmetric = asymmetric;
  }

  /** Takes over what the driver acknowledged. */
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
 * Ring rules for what the driver acknowledged. A modern driver always acknowledges VERSION_1; if it is missing, a VMM
 * stands between that negotiated with the guest and told us nothing.
 */
export function ringFeatures(acknowledged: bigint): RingFeatures {
  return {
    known: hasBit(acknowledged, vring.F_VERSION_1),
    packed: hasBit(acknowledged, vring.F_RING_PACKED),
    eventIdx: hasBit(acknowledged, vring.F_EVENT_IDX),
  };
}

/** Thrown for feature bits that cannot be taken together. */
export class FeatureError extends Error {
  override readonly name = "FeatureError";
}

/** Checks what the driver acknowledged against the specification's requirements between bits. */
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
