/**
 * Checks whether this device can continue for the device of another process: negotiated values and sessions, which are
 * untrusted.
 *
 * Off the data path: it runs once, before a device continues for another one.
 *
 * @module
 */
import { AEADS, CIPHERS, HASHES, MACS } from "../engine/algorithms.ts";
import { AKCIPHER_KEY_BYTES_MAX } from "../engine/asymmetric/limits.ts";
import {
  AUTH_KEY_BYTES_MAX,
  CIPHER_KEY_BYTES_MAX,
  isKeyed,
  KIND_AEAD,
  KIND_AKCIPHER,
  KIND_CHAIN,
  KIND_CIPHER,
  type Parameters,
} from "../engine/operation.ts";
import type { NegotiatedState, SessionState } from "../handover/state.ts";
import type { Draft } from "../wire/drafts/draft.ts";
import type { AsymmetricForm } from "./negotiated_features.ts";
import { ORIGIN_MESSAGE } from "./sessions.ts";

/** A state with which this device cannot continue. The message says what to change. */
export class StateMismatchError extends Error {
  /** The class's name. */
  override readonly name = "StateMismatchError";
}

/** The offer of this device. */
export interface Offer {
  readonly queueCount: number;
  readonly features: bigint;
  readonly draft: Draft;
  readonly asymmetric: AsymmetricForm;
  /** The length of the configuration space. */
  readonly configBytes: number;
}

/** Throws {@linkcode StateMismatchError} unless a device with `offer` can continue with what was negotiated. */
export function checkNegotiated(state: NegotiatedState, offer: Offer): void {
  if (state.queueCount !== offer.queueCount) {
    throw new StateMismatchError(
      `the frontend was told of ${state.queueCount - 1} data queues, and this device has ${offer.queueCount - 1}: ` +
        `start it with --queues=${state.queueCount - 1}`,
    );
  }
  const missing = state.acknowledged & ~offer.features;
  if (missing !== 0n) {
    throw new StateMismatchError(
      `the driver has negotiated feature bits 0x${
        missing.toString(16)
      }, which this device does not offer: start it with ` +
        "the same --mux and --stateless",
    );
  }
  if (state.draft !== offer.draft) {
    throw new StateMismatchError(
      `the driver follows draft ${state.draft}, and this device ${offer.draft}: start it with --draft=${state.draft}`,
    );
  }
  if (state.asymmetric !== offer.asymmetric) {
    throw new StateMismatchError(
      `the driver was told of the asymmetric service ${state.asymmetric}, and this device has ${offer.asymmetric}: ` +
        `start it with --asymmetric=${state.asymmetric}`,
    );
  }
  if (state.config.length !== offer.configBytes) {
    throw new StateMismatchError(`a configuration space cannot have ${state.config.length} bytes`);
  }
}

/**
 * Sets `parameters`, whose key addresses stay, to those of `session`. Throws {@linkcode StateMismatchError} for numbers that
 * no session has, and for keys that no session can hold.
 */
export function setParameters(parameters: Parameters, session: SessionState): void {
  const { id, origin, kind, cipherKey, authKey } = session;
  const keyBytesMax = kind === KIND_AKCIPHER ? AKCIPHER_KEY_BYTES_MAX : CIPHER_KEY_BYTES_MAX;
  const isPossible = kind >= KIND_CIPHER && kind <= KIND_AKCIPHER && origin <= ORIGIN_MESSAGE &&
    cipherKey.length <= keyBytesMax && authKey.length <= AUTH_KEY_BYTES_MAX;
  if (!isPossible) {
    throw new StateMismatchError(
      `session ${id} is impossible: kind ${kind}, origin ${origin}, keys of ${cipherKey.length} and ${authKey.length} bytes`,
    );
  }
  parameters.kind = session.kind;
  parameters.algo = session.algo;
  parameters.keyLen = session.cipherKey.length;
  parameters.encrypt = session.encrypt;
  parameters.hashAlgo = session.hashAlgo;
  parameters.authKeyLen = session.authKey.length;
  parameters.authenticated = session.authenticated;
  parameters.hashFirst = session.hashFirst;
  parameters.hashResultLen = session.hashResultLen;
  parameters.tagLen = session.tagLen;
  parameters.aadLen = session.aadLen;
  parameters.keyType = session.keyType;
  parameters.para0 = session.para0;
  parameters.para1 = session.para1;
}

function nameIn(rows: readonly { readonly algo: number; readonly name: string }[], algo: number): string {
  return rows.find((row) => row.algo === algo)?.name ?? `number ${algo}`;
}

/** The algorithms of a session, for people. */
export function algorithmsOf(parameters: Parameters): string {
  const { kind, algo, hashAlgo } = parameters;
  if (kind === KIND_AKCIPHER) return `asymmetric number ${algo}`;
  if (kind === KIND_AEAD) return nameIn(AEADS, algo);
  const digest = nameIn(isKeyed(parameters) ? MACS : HASHES, hashAlgo);
  if (kind === KIND_CIPHER) return nameIn(CIPHERS, algo);
  return kind === KIND_CHAIN ? `${nameIn(CIPHERS, algo)} with ${digest}` : digest;
}
