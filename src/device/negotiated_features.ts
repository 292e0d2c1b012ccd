/**
 * The features negotiated with the driver, in the form that request decoding needs.
 *
 * Off the data path: it is changed by a command, and its fields are read.
 *
 * @module
 */
import type { Draft } from "../wire/drafts/draft.ts";
import * as v15 from "../wire/drafts/v15.ts";
import * as wire from "../wire/virtio_crypto.ts";
import * as vring from "../wire/vring.ts";
import type { RingFeatures } from "../virtqueue/ring.ts";

/**
 * The asymmetric service exists in two forms that share their numbers: the ratified AKCIPHER and the older RFC. A
 * device offers one of them or none.
 */
export type AsymmetricForm = "akcipher" | "rfc3" | "off";

/** A mask of the symmetric services: bit n for service n. */
const SYMMETRIC_SERVICES = 0xf;

/** The negotiated features: one mutable record that all queues of a thread read. */
export class NegotiatedFeatures {
  /** VIRTIO_CRYPTO_F_MUX_MODE: structures have their own sizes, and `flag` counts. */
  mux = false;
  /** Number of changes so far. */
  changes = 0;
  /** Services that may be used without a session: bit n for service n. */
  statelessServices = 0;
  /** Services that control requests may create sessions of, and whose requests may use them: bit n for service n. */
  sessionCreation: number = SYMMETRIC_SERVICES;
  sessionRequests: number = SYMMETRIC_SERVICES;
  /** Offered services: bit n for service n. */
  readonly services: number;
  /** The form of the asymmetric service, on which the meaning of its opcodes depends. */
  readonly asymmetric: AsymmetricForm;
  /** The draft of the specification that the device follows. */
  readonly draft: Draft;

  /** Starts with no feature negotiated and `services` offered. */
  constructor(services: number, asymmetric: AsymmetricForm, draft: Draft = "v19") {
    this.services = services;
    this.asymmetric = asymmetric;
    this.draft = draft;
    if (draft === "v15") this.sessionCreation = this.sessionRequests = 0;
  }

  /** Sets the features that the driver acknowledged. */
  set(acknowledged: bigint): void {
    this.changes++;
    switch (this.draft) {
      case "v19":
        this.mux = hasBit(acknowledged, wire.F_MUX_MODE);
        this.statelessServices = Number(acknowledged >> 1n & 0x1fn);
        break;
      case "v15":
        this.sessionCreation = Number(acknowledged >> BigInt(v15.F_CIPHER_SESSION_MODE)) & SYMMETRIC_SERVICES;
        // A VMM that serves the control queue itself does not pass on what it has negotiated: its sessions may be used.
        this.sessionRequests = ringFeatures(acknowledged).known ? this.sessionCreation : SYMMETRIC_SERVICES;
        break;
      case "v5":
        break;
    }
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

/** Thrown for an asymmetric service that a draft of the specification does not have. */
export class DraftError extends TypeError {
  override readonly name = "DraftError";
}

/** The form of the asymmetric service that a device of `draft` offers if none is chosen. */
export function usualForm(draft: Draft): AsymmetricForm {
  return draft === "v19" ? "akcipher" : "off";
}

/** Throws {@linkcode DraftError} if a device of `draft` cannot offer the asymmetric service in this form. */
export function checkForm(draft: Draft, asymmetric: AsymmetricForm): void {
  const forms = draft === "v19" ? ["akcipher", "rfc3", "off"] : draft === "v15" ? ["rfc3", "off"] : ["off"];
  if (forms.includes(asymmetric)) return;
  throw new DraftError(
    `draft ${draft} has no asymmetric service of the form ${asymmetric}: choose ${forms.join(" or ")}`,
  );
}

/** Thrown for feature bits that contradict each other. */
export class FeatureError extends Error {
  override readonly name = "FeatureError";
}

const STATELESS_FEATURES: readonly number[] = [
  wire.F_CIPHER_STATELESS_MODE,
  wire.F_HASH_STATELESS_MODE,
  wire.F_MAC_STATELESS_MODE,
  wire.F_AEAD_STATELESS_MODE,
  wire.F_AKCIPHER_STATELESS_MODE,
];

/**
 * The feature bits that a device offers. Only v19 has MUX_MODE (unless `mux` is false) and, with it, stateless modes of
 * `statelessServices`.
 */
export function offeredFeatures(draft: Draft, mux: boolean, statelessServices: readonly number[]): bigint {
  // VIRTIO_F_IN_ORDER is not offered: every queue would have to complete in order, and a slow request would delay all
  // quick ones after it. Nor is VIRTIO_F_ACCESS_PLATFORM: the addresses in v5's requests would be another's to translate.
  const common = maskOf(vring.F_VERSION_1, vring.F_INDIRECT_DESC, vring.F_EVENT_IDX, vring.F_RING_PACKED);
  switch (draft) {
    case "v19":
      return common |
        (mux ? maskOf(wire.F_MUX_MODE, ...statelessServices.map((service) => STATELESS_FEATURES[service]!)) : 0n);
    case "v15":
      return common | maskOf(
        v15.F_CIPHER_SESSION_MODE,
        v15.F_HASH_SESSION_MODE,
        v15.F_MAC_SESSION_MODE,
        v15.F_AEAD_SESSION_MODE,
      );
    case "v5":
      return common;
  }
}

/** Checks the acknowledged bits against the offered ones and the requirements of `draft` between bits. */
export function checkFeatures(acknowledged: bigint, offered: bigint, draft: Draft): void {
  const surplus = acknowledged & ~offered;
  if (surplus !== 0n) {
    throw new FeatureError(`feature bits 0x${surplus.toString(16)} were acknowledged but never offered`);
  }
  const stateless = draft === "v19" ? maskOf(...STATELESS_FEATURES) : 0n;
  if ((acknowledged & stateless) !== 0n && !hasBit(acknowledged, wire.F_MUX_MODE)) {
    throw new FeatureError(
      "a stateless mode was acknowledged without VIRTIO_CRYPTO_F_MUX_MODE, which every stateless mode requires",
    );
  }
}
