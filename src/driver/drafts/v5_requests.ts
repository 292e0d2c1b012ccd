/**
 * Requests of draft v5 as bytes: one structure of 104 bytes, all of it writable by the device, which contains the guest
 * addresses of keys and data. The structure is cut into the part in front of what the device writes (`head`), that part,
 * and the rest (`tail`). Pure functions; the addresses are filled in when the buffers are placed.
 *
 * @module
 */
import * as v5 from "../../wire/drafts/v5.ts";
import * as w from "../../wire/virtio_crypto.ts";
import { RequestError } from "../errors.ts";
import { type AddressedBuffer, concat, type EncodedRequest, le32s } from "../fields.ts";
import type { AeadRequest, ChainRequest, CipherRequest, DataRequest, HashRequest, MacRequest } from "../requests.ts";
import {
  controlHeader,
  type ControlOptions,
  CREATE_OPCODES,
  DESTROY_OPCODES,
  headerAlgo,
  sessionBody,
  type SessionParameters,
  type Struct,
} from "../sessions.ts";

const NOTHING = new Uint8Array();

/** The name of the part that contains the addresses. */
const HEAD = "head";

/** A buffer that the device reads, whose address is at `addressAt`. */
function source(name: string, addressAt: number, bytes: Uint8Array | undefined): AddressedBuffer {
  return { name, bytes: bytes ?? NOTHING, isWritable: false, addressIn: HEAD, addressAt };
}

/** A buffer of `sizeBytes` bytes that the device writes, whose address is at `addressAt`. */
function target(name: string, addressAt: number, sizeBytes: number): AddressedBuffer {
  return { name, bytes: new Uint8Array(sizeBytes), isWritable: true, addressIn: HEAD, addressAt };
}

/** A request whose answer, the field `name`, is the `sizeBytes` bytes at `answerAt` of `image`. */
function cut(
  image: Uint8Array,
  name: string,
  [answerAt, sizeBytes]: readonly [number, number],
  buffers: readonly AddressedBuffer[],
): EncodedRequest {
  const tailAt = answerAt + sizeBytes;
  return {
    readable: [],
    writable: [
      { name: HEAD, sizeBytes: answerAt, bytes: image.slice(0, answerAt) },
      { name, sizeBytes },
      { name: "tail", sizeBytes: image.length - tailAt, bytes: image.slice(tailAt) },
    ],
    buffers,
  };
}

/** `request` with the part in front of the device's answer in readable buffers, as a driver with two buffers has it. */
export function withReadableHead({ readable, writable, buffers = [] }: EncodedRequest): EncodedRequest {
  const [head, ...rest] = writable;
  return { readable: [...readable, { name: HEAD, bytes: head!.bytes! }], writable: rest, buffers };
}

/** Offsets of the answer and the keys in a request to create a session. */
function createParts(session: SessionParameters): { inputAt: number; keys: AddressedBuffer[] } {
  switch (session.service) {
    case "hash":
      return { inputAt: v5.CTRL_HASH_INPUT_OFFSET, keys: [] };
    case "mac":
      return {
        inputAt: v5.CTRL_MAC_INPUT_OFFSET,
        keys: [source("authKey", v5.CTRL_MAC_AUTH_KEY_ADDR_OFFSET, session.authKey)],
      };
    case "cipher":
      return {
        inputAt: v5.CTRL_CIPHER_INPUT_OFFSET,
        keys: [source("key", v5.CTRL_CIPHER_KEY_ADDR_OFFSET, session.key)],
      };
    case "chain":
      return {
        inputAt: v5.CTRL_CHAIN_INPUT_OFFSET,
        keys: [
          source("cipherKey", v5.CTRL_CHAIN_KEY_ADDR_OFFSET, session.cipherKey),
          source("authKey", v5.CTRL_CHAIN_AUTH_KEY_ADDR_OFFSET, session.authKey),
        ],
      };
    case "aead":
      return { inputAt: v5.CTRL_AEAD_INPUT_OFFSET, keys: [source("key", v5.CTRL_AEAD_KEY_ADDR_OFFSET, session.key)] };
    case "akcipher":
      throw new RequestError("draft v5 has no akcipher sessions: connect to a device of v19");
  }
}

/** A request to create a session; the answer is the field `input`, 12 bytes with session_id le64 and status le32. */
export function encodeCreateSessionV5(session: SessionParameters, options: ControlOptions = {}): EncodedRequest {
  const { inputAt, keys } = createParts(session);
  const opTypeAt = (offset: number) =>
    offset === w.SYM_SESSION_OP_TYPE_OFFSET && (session.service === "cipher" || session.service === "chain")
      ? v5.CTRL_OP_TYPE_BODY_OFFSET
      : offset;
  const body = sessionBody(session, options.claims ?? {});
  const image = le32s(
    v5.REQUEST_BYTES,
    body.map(([offset, value]) => [w.CTRL_HEADER_BYTES + opTypeAt(offset), value] as const),
  );
  image.set(controlHeader(CREATE_OPCODES[session.service], headerAlgo(session), options).bytes);
  return cut(image, "input", [inputAt, v5.CTRL_INPUT_BYTES], keys);
}

/** A request to destroy a session; the answer is the field `input`, a le32 status. */
export function encodeDestroySessionV5(
  service: SessionParameters["service"],
  sessionId: number | bigint,
  options: ControlOptions = {},
): EncodedRequest {
  const image = new Uint8Array(v5.REQUEST_BYTES);
  image.set(controlHeader(DESTROY_OPCODES[service], 0, options).bytes);
  const id = BigInt.asUintN(64, BigInt(sessionId));
  new DataView(image.buffer).setBigUint64(v5.CTRL_DESTROY_SESSION_ID_OFFSET, id, true);
  return cut(image, "input", [v5.CTRL_DESTROY_STATUS_OFFSET, v5.STATUS_BYTES], []);
}

/** A data request without its header. */
interface Parts {
  readonly opcode: number;
  readonly struct: Struct;
  readonly statusAt: number;
  readonly buffers: readonly AddressedBuffer[];
}

function cipherParts(r: CipherRequest): Parts {
  const { ivLen = r.iv?.length ?? 0, srcDataLen = r.src.length, dstDataLen = srcDataLen } = r.claims ?? {};
  return {
    opcode: r.op === w.OP_DECRYPT ? w.CIPHER_DECRYPT : w.CIPHER_ENCRYPT,
    struct: [
      [v5.CIPHER_IV_LEN_OFFSET, ivLen],
      [v5.CIPHER_SRC_DATA_LEN_OFFSET, srcDataLen],
      [v5.CIPHER_DST_DATA_LEN_OFFSET, dstDataLen],
      [v5.OP_TYPE_OFFSET, r.claims?.["opType"] ?? w.SYM_OP_CIPHER],
    ],
    statusAt: v5.CIPHER_STATUS_OFFSET,
    buffers: [
      source("iv", v5.CIPHER_IV_ADDR_OFFSET, r.iv),
      source("src", v5.CIPHER_SRC_DATA_ADDR_OFFSET, r.src),
      target("dst", v5.CIPHER_DST_DATA_ADDR_OFFSET, r.dstBytes ?? r.src.length),
    ],
  };
}

/** A chain covers its whole source, as there are no fields for anything else. */
function chainParts(r: ChainRequest): Parts {
  const { cipherStartSrcOffset = 0, hashStartSrcOffset = 0, lenToCipher, lenToHash } = r;
  const isWhole = cipherStartSrcOffset === 0 && hashStartSrcOffset === 0 &&
    (lenToCipher ?? r.src.length) === r.src.length && (lenToHash ?? r.src.length) === r.src.length;
  if (!isWhole) throw new RequestError("a chain request of draft v5 covers its whole source: leave out the ranges");
  const { ivLen = r.iv?.length ?? 0, srcDataLen = r.src.length, dstDataLen = srcDataLen } = r.claims ?? {};
  return {
    opcode: r.op === w.OP_DECRYPT ? w.CIPHER_DECRYPT : w.CIPHER_ENCRYPT,
    struct: [
      [v5.CIPHER_IV_LEN_OFFSET, ivLen],
      [v5.CIPHER_SRC_DATA_LEN_OFFSET, srcDataLen],
      [v5.CIPHER_DST_DATA_LEN_OFFSET, dstDataLen],
      [v5.CHAIN_AAD_LEN_OFFSET, r.claims?.["aadLen"] ?? r.aad?.length ?? 0],
      [v5.OP_TYPE_OFFSET, r.claims?.["opType"] ?? w.SYM_OP_ALGORITHM_CHAINING],
    ],
    statusAt: v5.CHAIN_STATUS_OFFSET,
    buffers: [
      source("iv", v5.CIPHER_IV_ADDR_OFFSET, r.iv),
      source("src", v5.CIPHER_SRC_DATA_ADDR_OFFSET, r.src),
      source("aad", v5.CHAIN_AAD_DATA_ADDR_OFFSET, r.aad),
      target("dst", v5.CHAIN_DST_DATA_ADDR_OFFSET, r.dstBytes ?? r.src.length),
      target("result", v5.CHAIN_DIGEST_RESULT_ADDR_OFFSET, r.resultBytes ?? r.hashResultLen ?? 0),
    ],
  };
}

function digestParts(r: HashRequest | MacRequest): Parts {
  const src = r.service === "mac" && r.iv !== undefined ? concat(r.iv, r.src) : r.src;
  return {
    opcode: r.service === "mac" ? w.MAC : w.HASH,
    struct: [[v5.HASH_SRC_DATA_LEN_OFFSET, r.claims?.["srcDataLen"] ?? src.length]],
    statusAt: v5.HASH_STATUS_OFFSET,
    buffers: [
      source("src", v5.HASH_SRC_DATA_ADDR_OFFSET, src),
      target("result", v5.HASH_DIGEST_RESULT_ADDR_OFFSET, r.resultBytes ?? r.hashResultLen ?? 0),
    ],
  };
}

/** The tag is a buffer of its own in both directions. */
function aeadParts(r: AeadRequest): Parts {
  const decrypts = r.op === w.OP_DECRYPT;
  const tagLen = r.tagLen ?? 0;
  const textLen = decrypts ? Math.max(0, r.src.length - tagLen) : r.src.length;
  const text = r.src.subarray(0, textLen);
  const { ivLen = r.iv.length, aadLen = r.aad?.length ?? 0, srcDataLen = textLen } = r.claims ?? {};
  const tag = decrypts
    ? source("tag", v5.AEAD_DIGEST_RESULT_ADDR_OFFSET, r.src.subarray(textLen))
    : target("tag", v5.AEAD_DIGEST_RESULT_ADDR_OFFSET, tagLen);
  return {
    opcode: decrypts ? w.AEAD_DECRYPT : w.AEAD_ENCRYPT,
    struct: [
      [v5.AEAD_IV_LEN_OFFSET, ivLen],
      [v5.AEAD_AAD_LEN_OFFSET, aadLen],
      [v5.AEAD_SRC_DATA_LEN_OFFSET, srcDataLen],
      [v5.AEAD_DST_DATA_LEN_OFFSET, r.claims?.["dstDataLen"] ?? textLen],
    ],
    statusAt: v5.AEAD_STATUS_OFFSET,
    buffers: [
      source("iv", v5.AEAD_IV_ADDR_OFFSET, r.iv),
      source("src", v5.AEAD_SRC_DATA_ADDR_OFFSET, text),
      source("aad", v5.AEAD_ADD_DATA_ADDR_OFFSET, r.aad),
      target("dst", v5.AEAD_DST_DATA_ADDR_OFFSET, r.dstBytes ?? textLen),
      tag,
    ],
  };
}

function partsOf(request: DataRequest): Parts {
  switch (request.service) {
    case "cipher":
      return cipherParts(request);
    case "hash":
    case "mac":
      return digestParts(request);
    case "chain":
      return chainParts(request);
    case "aead":
      return aeadParts(request);
    case "akcipher":
      throw new RequestError("draft v5 has no akcipher requests: connect to a device of v19");
  }
}

/**
 * A data request; the answer is the field `status`, a le32, and the buffers `dst`, `result` and `tag`. Throws
 * {@linkcode RequestError} for what the draft has no form for.
 */
export function encodeDataV5(request: DataRequest): EncodedRequest {
  if (request.stateless !== undefined) {
    throw new RequestError("draft v5 has no requests without a session: create a session");
  }
  const { opcode, struct, statusAt, buffers } = partsOf(request);
  const image = le32s(v5.REQUEST_BYTES, [
    [w.DATA_OPCODE_OFFSET, request.opcode ?? opcode],
    [w.DATA_ALGO_OFFSET, request.algo ?? 0],
    [w.DATA_FLAG_OFFSET, request.flag ?? 0],
    ...struct,
  ]);
  const id = BigInt.asUintN(64, BigInt(request.sessionId ?? 0));
  new DataView(image.buffer).setBigUint64(w.DATA_SESSION_ID_OFFSET, id, true);
  return cut(image, "status", [statusAt, v5.STATUS_BYTES], buffers);
}
