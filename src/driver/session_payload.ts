/**
 * The payload of CREATE_CRYPTO_SESSION in the three layouts of QEMU. Pure functions.
 *
 * @module
 */
import {
  AKCIPHER_CREATE_SESSION,
  CIPHER_CREATE_SESSION,
  SYM_OP_ALGORITHM_CHAINING,
  SYM_OP_CIPHER,
} from "../wire/virtio_crypto.ts";
import * as w from "../wire/vhost_user.ts";
import { DriverError } from "./errors.ts";
import {
  akcipherParameters,
  type AkcipherSession,
  type ChainSession,
  type CipherSession,
  type SessionParameters,
} from "./sessions.ts";

/** A layout, named by the first QEMU version with it. The two older ones have the same length and no AKCIPHER. */
export type SessionMessageLayout = "qemu-2.12" | "qemu-7.1" | "qemu-8.1";

/** The value of the two pointers: addresses of the frontend, which the backend must ignore. */
const POINTER = 0x7fff_dead_beef_0000n;
const FIRST_POINTER_OFFSET = 40;

function symmetric(layout: SessionMessageLayout, session: CipherSession | ChainSession): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(layout === "qemu-8.1" ? w.SESSION_BYTES_NEW : w.SESSION_BYTES_OLD);
  const view = new DataView(payload.buffer);
  const isChain = session.service === "chain";
  const cipherKey = isChain ? session.cipherKey : session.key;
  const authKey = isChain ? session.authKey ?? new Uint8Array() : new Uint8Array();
  let offset = 8;
  if (layout === "qemu-8.1") view.setBigUint64(0, BigInt(CIPHER_CREATE_SESSION), true);
  if (layout === "qemu-2.12") {
    view.setUint32(8, CIPHER_CREATE_SESSION, true);
    offset = 12;
  }
  const numbers = isChain
    ? [
      session.cipherAlgo,
      cipherKey.length,
      session.hashAlgo,
      session.hashResultLen,
      authKey.length,
      session.aadLen ?? 0,
    ]
    : [session.algo, cipherKey.length, 0, 0, 0, 0];
  numbers.forEach((number, i) => view.setUint32(offset + 4 * i, number, true));
  payload.set([
    isChain ? SYM_OP_ALGORITHM_CHAINING : SYM_OP_CIPHER,
    session.op,
    isChain ? session.hashMode : 0,
    isChain ? session.algChainOrder : 0,
  ], offset + 24);
  view.setBigUint64(FIRST_POINTER_OFFSET, POINTER, true);
  view.setBigUint64(FIRST_POINTER_OFFSET + 8, POINTER, true);
  // A key that is too long overwrites the fields behind it, up to the payload's end: tests send such messages.
  payload.set(cipherKey.subarray(0, payload.length - w.SESSION_CIPHER_KEY_OFFSET), w.SESSION_CIPHER_KEY_OFFSET);
  payload.set(authKey.subarray(0, payload.length - w.SESSION_AUTH_KEY_OFFSET), w.SESSION_AUTH_KEY_OFFSET);
  return payload;
}

function asymmetric(session: AkcipherSession): Uint8Array<ArrayBuffer> {
  const [para0, para1] = akcipherParameters(session);
  const payload = new Uint8Array(w.SESSION_BYTES_NEW);
  const view = new DataView(payload.buffer);
  view.setBigUint64(0, BigInt(AKCIPHER_CREATE_SESSION), true);
  view.setUint32(w.SESSION_ASYM_ALGO_OFFSET, session.algo, true);
  view.setUint32(w.SESSION_ASYM_KEY_TYPE_OFFSET, session.keyType, true);
  view.setUint32(w.SESSION_ASYM_KEY_LEN_OFFSET, session.key.length, true);
  view.setBigUint64(24, POINTER, true);
  view.setUint32(w.SESSION_ASYM_PARA_OFFSET, para0, true);
  view.setUint32(w.SESSION_ASYM_PARA_OFFSET + 4, para1, true);
  payload.set(session.key.subarray(0, w.SESSION_ASYM_KEY_BYTES_MAX), w.SESSION_ASYM_KEY_OFFSET);
  return payload;
}

/** The payload that creates `session`. Throws {@linkcode DriverError} if the layout has no form for it. */
export function encodeSessionMessage(
  layout: SessionMessageLayout,
  session: SessionParameters,
): Uint8Array<ArrayBuffer> {
  if (session.service === "cipher" || session.service === "chain") return symmetric(layout, session);
  if (session.service === "akcipher" && layout === "qemu-8.1") return asymmetric(session);
  throw new DriverError(
    `the session message of layout ${layout} has no form for the service ${session.service}: use the control queue`,
  );
}

/** The session id in a reply; negative: refused. */
export function sessionIdOf(layout: SessionMessageLayout, reply: Uint8Array): bigint {
  const view = new DataView(reply.buffer, reply.byteOffset);
  return view.getBigInt64(layout === "qemu-8.1" ? w.SESSION_NEW_ID_OFFSET : 0, true);
}
