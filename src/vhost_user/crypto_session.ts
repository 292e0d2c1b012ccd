/**
 * Sessions that a frontend creates by message (CREATE_CRYPTO_SESSION), because it serves the control queue itself. The
 * message has three layouts, and no feature bit distinguishes them: its length and two bytes do. Keys are removed from
 * the receive buffer here, before the reply is sent.
 *
 * @module
 */
import type { BackendDevice, SessionMessage } from "../device/backend.ts";
import {
  SESSION_ASYM_ALGO_OFFSET,
  SESSION_ASYM_KEY_BYTES_MAX,
  SESSION_ASYM_KEY_LEN_OFFSET,
  SESSION_ASYM_KEY_OFFSET,
  SESSION_ASYM_KEY_TYPE_OFFSET,
  SESSION_ASYM_PARA_OFFSET,
  SESSION_AUTH_KEY_BYTES_MAX,
  SESSION_AUTH_KEY_OFFSET,
  SESSION_BYTES_NEW,
  SESSION_BYTES_OLD,
  SESSION_CIPHER_KEY_BYTES_MAX,
  SESSION_CIPHER_KEY_OFFSET,
  SESSION_NEW_ID_OFFSET,
} from "../wire/vhost_user.ts";
import { AKCIPHER_CREATE_SESSION, CIPHER_CREATE_SESSION, STATUS_ERR, STATUS_NOTSUPP } from "../wire/virtio_crypto.ts";
import { RequestError } from "./messages.ts";

/** The offsets of a layout. */
interface Layout {
  /** `op_code`; -1: the layout has none, all sessions are symmetric. */
  readonly opcodeOffset: number;
  /** Its width; it is little-endian. */
  readonly opcodeBytes: number;
  /** The symmetric parameters, whose order is the same in all layouts. */
  readonly parametersOffset: number;
  /** `session_id`. */
  readonly idOffset: number;
}

/** QEMU 2.12 to 7.0. */
const LAYOUT_FIRST: Layout = { opcodeOffset: 8, opcodeBytes: 4, parametersOffset: 12, idOffset: 0 };
/** QEMU 7.1 to 8.0. */
const LAYOUT_SECOND: Layout = { opcodeOffset: -1, opcodeBytes: 0, parametersOffset: 8, idOffset: 0 };
/** QEMU 8.1 and later. */
const LAYOUT_THIRD: Layout = { opcodeOffset: 0, opcodeBytes: 8, parametersOffset: 8, idOffset: SESSION_NEW_ID_OFFSET };

/** Offsets within the symmetric parameters. */
const CIPHER_ALGO_OFFSET = 0;
const CIPHER_KEY_LEN_OFFSET = 4;
const HASH_ALGO_OFFSET = 8;
const HASH_RESULT_LEN_OFFSET = 12;
const AUTH_KEY_LEN_OFFSET = 16;
const AAD_LEN_OFFSET = 20;
const OP_TYPE_OFFSET = 24;
const DIRECTION_OFFSET = 25;
const HASH_MODE_OFFSET = 26;
const CHAIN_ORDER_OFFSET = 27;

const NO_KEY = new Uint8Array(0);

function isOneOrTwo(byte: number): boolean {
  return byte === 1 || byte === 2;
}

/** The layout of a message, or undefined if it is unknown. `op_type` and direction are 1 or 2 in every session. */
function layoutOf(view: DataView): Layout | undefined {
  if (view.byteLength === SESSION_BYTES_NEW) return LAYOUT_THIRD;
  const opTypeFirst = LAYOUT_FIRST.parametersOffset + OP_TYPE_OFFSET;
  if (isOneOrTwo(view.getUint8(opTypeFirst)) && isOneOrTwo(view.getUint8(opTypeFirst + 1))) return LAYOUT_FIRST;
  // In the second layout the four bytes at the first one's op_type are padding.
  const opTypeSecond = LAYOUT_SECOND.parametersOffset + OP_TYPE_OFFSET;
  if (isOneOrTwo(view.getUint8(opTypeSecond)) && view.getUint32(opTypeFirst, true) === 0) return LAYOUT_SECOND;
  return undefined;
}

function opcodeOf(view: DataView, layout: Layout): number {
  if (layout.opcodeBytes === 0) return CIPHER_CREATE_SESSION;
  if (layout.opcodeBytes === 4) return view.getUint32(layout.opcodeOffset, true);
  return Number(view.getBigUint64(layout.opcodeOffset, true));
}

/** The session that a message describes, or undefined if a key is longer than its field. */
function decode(payload: Uint8Array, view: DataView, layout: Layout): SessionMessage | undefined {
  const opcode = opcodeOf(view, layout);
  if (opcode === AKCIPHER_CREATE_SESSION) return decodeAsymmetric(payload, view, opcode);
  const at = layout.parametersOffset;
  const cipherKeyLen = view.getUint32(at + CIPHER_KEY_LEN_OFFSET, true);
  const authKeyLen = view.getUint32(at + AUTH_KEY_LEN_OFFSET, true);
  if (cipherKeyLen > SESSION_CIPHER_KEY_BYTES_MAX || authKeyLen > SESSION_AUTH_KEY_BYTES_MAX) return undefined;
  return {
    opcode,
    opType: view.getUint8(at + OP_TYPE_OFFSET),
    direction: view.getUint8(at + DIRECTION_OFFSET),
    cipherAlgo: view.getUint32(at + CIPHER_ALGO_OFFSET, true),
    hashAlgo: view.getUint32(at + HASH_ALGO_OFFSET, true),
    hashResultLen: view.getUint32(at + HASH_RESULT_LEN_OFFSET, true),
    aadLen: view.getUint32(at + AAD_LEN_OFFSET, true),
    hashMode: view.getUint8(at + HASH_MODE_OFFSET),
    algChainOrder: view.getUint8(at + CHAIN_ORDER_OFFSET),
    cipherKey: payload.subarray(SESSION_CIPHER_KEY_OFFSET, SESSION_CIPHER_KEY_OFFSET + cipherKeyLen),
    authKey: payload.subarray(SESSION_AUTH_KEY_OFFSET, SESSION_AUTH_KEY_OFFSET + authKeyLen),
  };
}

function decodeAsymmetric(payload: Uint8Array, view: DataView, opcode: number): SessionMessage | undefined {
  // Only the newest layout has the field.
  if (view.byteLength !== SESSION_BYTES_NEW) return undefined;
  const keyLen = view.getUint32(SESSION_ASYM_KEY_LEN_OFFSET, true);
  if (keyLen > SESSION_ASYM_KEY_BYTES_MAX) return undefined;
  return {
    opcode,
    opType: 0,
    direction: 0,
    cipherAlgo: 0,
    hashAlgo: 0,
    hashResultLen: 0,
    aadLen: 0,
    hashMode: 0,
    algChainOrder: 0,
    cipherKey: NO_KEY,
    authKey: NO_KEY,
    asymmetric: {
      algo: view.getUint32(SESSION_ASYM_ALGO_OFFSET, true),
      keyType: view.getUint32(SESSION_ASYM_KEY_TYPE_OFFSET, true),
      para0: view.getUint32(SESSION_ASYM_PARA_OFFSET, true),
      para1: view.getUint32(SESSION_ASYM_PARA_OFFSET + 4, true),
      key: payload.subarray(SESSION_ASYM_KEY_OFFSET, SESSION_ASYM_KEY_OFFSET + keyLen),
    },
  };
}

/**
 * Creates the session that `payload` describes and turns `payload` into the reply: the id, or minus a status, is in the
 * layout's field, and the keys are wiped. Throws {@linkcode RequestError} for a length that no layout has.
 */
export function createSession(payload: Uint8Array, device: BackendDevice): void {
  if (payload.length !== SESSION_BYTES_OLD && payload.length !== SESSION_BYTES_NEW) {
    throw new RequestError(
      `the payload has ${payload.length} bytes instead of ${SESSION_BYTES_OLD} or ${SESSION_BYTES_NEW}: the layout of ` +
        "this frontend's version is not supported",
    );
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const layout = layoutOf(view);
  let id = -STATUS_NOTSUPP;
  if (layout !== undefined) {
    const session = decode(payload, view, layout);
    id = session === undefined ? -STATUS_ERR : device.createSession(session);
  }
  // The rest consists of frontend pointers, keys and padding; the id is before or after it.
  const idOffset = layout?.idOffset ?? 0;
  payload.fill(0, SESSION_ASYM_KEY_OFFSET);
  view.setBigInt64(idOffset, BigInt(id), true);
}
