/**
 * Defects to plant, each with the checks that must find it: for each check, the first defect whose pattern matches the
 * check's id is planted. A row states a defect as a statement about the device.
 *
 * @module
 */
import * as vu from "../../../src/wire/vhost_user.ts";
import { aeadSample } from "../../../src/tools/conform/samples.ts";
import * as w from "../../../src/wire/virtio_crypto.ts";
import { HOSTILE_DEFECTS, MIGRATION_DEFECTS } from "./hostile_defects.ts";
import { configField, ignores, replied, replyOf, sessionIds, u64Reply } from "./message_defects.ts";
import { type Defect, defect, type Hooks, type SeenRequest } from "./planting.ts";
import { LIFECYCLE_DEFECTS, MEMORY_DEFECTS, refuses, RING_DEFECTS } from "./ring_defects.ts";

/** Data requests whose status is `from` are answered with `to`. */
function dataStatus(from: number, to: number): Hooks {
  return {
    answer(request) {
      if (!request.isControl && request.status === from) request.status = to;
    },
  };
}

/** Control requests whose status is `from` are answered with `to`. */
function controlStatus(from: number, to: number, isFor: (request: SeenRequest) => boolean = () => true): Hooks {
  return {
    answer(request) {
      if (request.isControl && request.status === from && isFor(request)) request.status = to;
    },
  };
}

/** A bit of the first byte of each result is wrong. */
const WRONG_RESULT: Hooks = {
  answer(request) {
    if (!request.isControl && request.status === w.STATUS_OK) request.writable.set(0, request.writable.get(0) ^ 1);
  },
};

/** As above for the last byte of the result: that of the digest, in a chain, or of the tag. */
const WRONG_END: Hooks = {
  answer(request) {
    const last = request.writable.length - 2;
    if (request.isControl || request.status !== w.STATUS_OK) return;
    request.writable.set(last, request.writable.get(last) ^ 0x80);
  },
};

const FLAG_OFFSET = 16;
const LENGTHS_OFFSET = 24;
const DECRYPT_BIT = 1;

/** All requests are parsed in the form that was not negotiated. */
const OTHER_FORM: Hooks = {
  negotiated(features) {
    features.mux = !features.mux;
  },
};

function isCreation({ opcode }: SeenRequest): boolean {
  return (opcode & 1) === 0;
}

/** A session's id in the answer to its creation. */
function idIs(id: (request: SeenRequest, count: number) => number | undefined): () => Hooks {
  return () => {
    let count = 0;
    return {
      answer(request) {
        if (!request.isControl || !isCreation(request) || request.status !== w.STATUS_OK) return;
        const value = id(request, count++);
        if (value !== undefined) request.writable.setWord(0, value);
      },
    };
  };
}

const DATA_DEFECTS: readonly Defect[] = [
  defect("requests are parsed in the form that was not negotiated", /^(hash|mac|aead)\.parsed-/, OTHER_FORM),
  defect("good requests are answered with ERR", /\.(ok|parsed-.*|served|every-queue|accepts-[^.]*)(\.|$)/, {
    answer(request) {
      if (!request.isControl && request.status === w.STATUS_OK) request.status = w.STATUS_ERR;
    },
  }),
  defect("the flag of a request means the opposite", /\.flag\./, {
    request(request) {
      if (!request.isControl) request.readable.set(FLAG_OFFSET, request.readable.get(FLAG_OFFSET) ^ 1);
    },
  }),
  defect("what is not supported is ERR", /\.notsupp-/, dataStatus(w.STATUS_NOTSUPP, w.STATUS_ERR)),
  defect("a session that there is not is ERR", /\.invsess/, dataStatus(w.STATUS_INVSESS, w.STATUS_ERR)),
  defect(
    "malformed requests are answered with OK",
    /\.(err|wrong-direction)(\.|$)/,
    dataStatus(w.STATUS_ERR, w.STATUS_OK),
  ),
  defect("the digest's last byte is wrong", /\.(chain-auth|chain-.*result|chain-no-aad|result)(\.|$)/, WRONG_END),
  defect("the session decides which structure a request is, not the opcode", /^hash\.opcode/, {
    request(request) {
      if (request.opcode === w.MAC) request.readable.setWord(0, w.HASH);
    },
  }),
  defect("the direction of the opcode is inverted", /\.direction(\.|$)/, {
    request(request) {
      if (!request.isControl) request.readable.set(0, request.readable.get(0) ^ DECRYPT_BIT);
    },
  }),
  defect("unused bytes of a union have to be 0", /^symmetric\.cipher-fields/, {
    answer(request) {
      if (!request.isControl && request.readable.get(LENGTHS_OFFSET + 20) !== 0) request.status = w.STATUS_ERR;
    },
  }),
  defect("the additional data of a chain is ignored", /^symmetric\.chain-aad/, {
    request(request) {
      // In a stateless request, other lengths precede that of the additional data.
      for (const offset of [LENGTHS_OFFSET + 28, LENGTHS_OFFSET + 60]) {
        if (!request.isControl && request.readable.word(offset) === 9) request.readable.setWord(offset, 0);
      }
    },
  }),
  defect("a tag that does not match is ERR", /^aead\.verification/, dataStatus(w.STATUS_BADMSG, w.STATUS_ERR)),
  defect("every failure of AEAD is BADMSG", /^aead\.badmsg-only/, dataStatus(w.STATUS_ERR, w.STATUS_BADMSG)),
  defect("the tag is at the end of dst_data", /^aead\.tag-position/, {
    answer({ isControl, writable }) {
      if (isControl || writable.length < 81) return;
      const bytes = writable.copy();
      bytes.slice(50, 66).forEach((byte, i) => writable.set(64 + i, byte));
      for (let i = 50; i < 64; i++) writable.set(i, 0xee);
    },
  }),
  defect("the plaintext is written before the tag is verified", /^aead\.no-plaintext/, {
    answer(request) {
      if (request.status !== w.STATUS_BADMSG) return;
      aeadSample(w.OP_DECRYPT).dst.forEach((byte, i) => request.writable.set(i, byte));
    },
  }),
];

const CONTROL_DEFECTS: readonly Defect[] = [
  defect("MAC's parameters are refused under HASH's opcode", /^sessions\.opcode/, {
    request(request) {
      if (request.isControl && request.opcode === w.HASH_CREATE_SESSION) {
        request.readable.setWord(0, w.MAC_CREATE_SESSION);
      }
    },
  }),
  { name: "the id of a new session is another's", found: /^sessions\.create-ok/, plant: idIs(() => 0x7fff_0000) },
  defect(
    "unsupported sessions are ERR",
    /^sessions\.create-notsupp/,
    controlStatus(w.STATUS_NOTSUPP, w.STATUS_ERR, isCreation),
  ),
  defect("a full table is NOTSUPP", /^sessions\.create-nospc/, {
    answer(request) {
      if (!request.isControl || !isCreation(request)) return;
      if (request.status === w.STATUS_NOSPC || request.status === w.STATUS_ERR) request.status = w.STATUS_NOTSUPP;
    },
  }),
  defect(
    "a bad session is NOTSUPP",
    /^sessions\.create-err/,
    controlStatus(w.STATUS_ERR, w.STATUS_NOTSUPP, isCreation),
  ),
  { name: "ids are given twice", found: /^sessions\.unique-ids/, plant: idIs((_, count) => 1 + (count >>> 1)) },
  { name: "the same id is given again at once", found: /^sessions\.no-reuse/, plant: idIs(() => 7) },
  defect("a destruction has no effect", /^sessions\.destroy-ok/, {
    request(request) {
      // The id of another session: the answer is changed to OK.
      if (request.isControl && !isCreation(request)) request.readable.setWord(16, 0x7fff_ffff);
    },
    answer(request) {
      if (request.isControl && !isCreation(request)) request.status = w.STATUS_OK;
    },
  }),
  defect("a destruction always succeeds", /^sessions\.destroy-err/, {
    answer(request) {
      if (request.isControl && !isCreation(request)) request.status = w.STATUS_OK;
    },
  }),
];

const CONFIG_DEFECTS: readonly Defect[] = [
  defect("max_dataqueues is 0", /^configuration\.max-dataqueues/, configField(w.CONFIG_MAX_DATAQUEUES_OFFSET, () => 0)),
  defect("S_HW_READY is clear", /^configuration\.status-ready/, configField(w.CONFIG_STATUS_OFFSET, () => 0)),
  defect("a flag of status is set that there is not", /^configuration\.status-flags/, configField(0, (v) => v | 2)),
  defect("HASH is on offer and refused", /^configuration\.services/, {
    answer(request) {
      if (request.opcode === w.HASH_CREATE_SESSION) request.status = w.STATUS_NOTSUPP;
    },
  }),
  defect(
    "AES-CTR is not on offer and accepted",
    /^configuration\.masks/,
    configField(w.CONFIG_CIPHER_ALGO_L_OFFSET, (v) => v & ~(1 << w.CIPHER_AES_CTR)),
  ),
  defect(
    "an algorithm is on offer that there is not",
    /^configuration\.defined-algorithms/,
    configField(w.CONFIG_HASH_ALGO_OFFSET, (v) => v | 1 << 20),
  ),
  defect(
    "max_size is a byte too small",
    /^configuration\.max-size/,
    configField(w.CONFIG_MAX_SIZE_OFFSET, (v) => v - 1),
  ),
  defect(
    "max_cipher_key_len is too small",
    /^configuration\.max-cipher-key-len/,
    configField(w.CONFIG_MAX_CIPHER_KEY_LEN_OFFSET, () => 16),
  ),
  defect(
    "max_auth_key_len is too small",
    /^configuration\.max-auth-key-len/,
    configField(w.CONFIG_MAX_AUTH_KEY_LEN_OFFSET, (v) => v - 1),
  ),
];

const MESSAGE_DEFECTS: readonly Defect[] = [
  defect(
    "VERSION_1 is not on offer",
    /^handshake\.version-1/,
    u64Reply(vu.GET_FEATURES, (bits) => bits & ~(1n << 32n)),
  ),
  defect(
    "protocol features are not on offer",
    /^handshake\.protocol-features/,
    u64Reply(vu.GET_FEATURES, (bits) => bits & ~(1n << 30n)),
  ),
  {
    name: "each connection is offered other features",
    found: /^handshake\.offer-is-stable/,
    plant: () => {
      let count = 0;
      return u64Reply(vu.GET_FEATURES, (bits) => count++ % 2 === 0 ? bits : bits ^ 1n << 29n);
    },
  },
  defect(
    "stateless modes are on offer without MUX_MODE",
    /^handshake\.feature-requirements/,
    u64Reply(vu.GET_FEATURES, (bits) => bits & ~1n),
  ),
  defect(
    "messages are never refused",
    /^handshake\.(refuses-.*|ring-index|unknown-message)$/,
    replied((request, reply) => {
      const isAck = request === vu.SET_FEATURES || request === vu.SET_VRING_NUM || request === 200;
      return isAck ? replyOf(request, new Uint8Array(8)) : reply;
    }),
  ),
  defect(
    "other memory can be read behind the configuration space",
    /^handshake\.config-range$/,
    replied((request, reply) => {
      const bytes = vu.HEADER_BYTES + vu.CONFIG_HEADER_BYTES;
      const isBehind = reply.length > bytes && new DataView(reply.buffer).getUint32(vu.HEADER_BYTES, true) >= 64;
      return request === vu.GET_CONFIG && isBehind ? reply.fill(0xa5, bytes) : reply;
    }),
  ),
  defect(
    "replies have NEED_REPLY set",
    /^handshake\.reply$/,
    replied((_, reply) => {
      reply[4]! |= vu.FLAG_NEED_REPLY;
      return reply;
    }),
  ),
  {
    name: "what arrives after the first of several messages is lost",
    found: /^handshake\.(several|parts)$/,
    plant: () => {
      let count = 0;
      return replied((_, reply) => count++ === 0 ? reply : new Uint8Array());
    },
  },
  defect(
    "messages are acknowledged without being asked",
    /^handshake\.no-reply$/,
    replied((request, reply) => {
      if (request !== vu.GET_FEATURES) return reply;
      return Uint8Array.of(...replyOf(vu.SET_OWNER, new Uint8Array(8)), ...reply);
    }),
  ),
  defect("every acknowledgement is 1", /^handshake\.reply-ack$/, u64Reply(vu.SET_FEATURES, () => 1n)),
  defect(
    "a message with a reply is acknowledged, too",
    /^handshake\.reply-ack-own-reply$/,
    replied((request, reply) => {
      if (request !== vu.GET_FEATURES) return reply;
      return Uint8Array.of(...reply, ...replyOf(request, new Uint8Array(8)));
    }),
  ),
  defect("there is one ring", /^handshake\.queue-num$/, u64Reply(vu.GET_QUEUE_NUM, () => 1n)),
  defect("no region can be added", /^handshake\.mem-slots$/, u64Reply(vu.GET_MAX_MEM_SLOTS, () => 0n)),
  defect("GET_CONFIG ignores its offset", /^handshake\.config-parts$/, {
    message(message) {
      if (message.request === vu.GET_CONFIG) message.view.setUint32(0, 0, true);
      return message;
    },
  }),
  defect("a ring that never started has base 0", /^handshake\.vring-base$/, {
    message(message) {
      if (message.request === vu.SET_VRING_BASE) message.view.setUint32(4, 0, true);
      return message;
    },
  }),
  defect("the device status is always 0", /^handshake\.status$/, u64Reply(vu.GET_STATUS, () => 0n)),
  defect("a message with a descriptor that it does not need ends the connection", /^handshake\.descriptors$/, {
    message: (message) => message.request === vu.SET_OWNER && message.fds.length > 0 ? "closed" : message,
  }),
];

const SESSION_MESSAGE_DEFECTS: readonly Defect[] = [
  {
    name: "a session by message has the id of none",
    found: /^session-messages\.(cipher|chain)-/,
    plant: sessionIds((id) => id + 1n),
  },
  {
    name: "a session that cannot be created has an id",
    found: /^session-messages\.refusal-/,
    plant: sessionIds((id) => id < 0n ? -id : id),
  },
  defect(
    "a session message of any length creates a session",
    /^session-messages\.unknown-length$/,
    replied((request, reply) => {
      const isKnown = reply.length === vu.HEADER_BYTES + vu.SESSION_BYTES_OLD ||
        reply.length === vu.HEADER_BYTES + vu.SESSION_BYTES_NEW;
      return request !== vu.CREATE_CRYPTO_SESSION || isKnown
        ? reply
        : replyOf(request, new Uint8Array(vu.SESSION_BYTES_NEW));
    }),
  ),
  {
    name: "two sessions by message have the same id",
    found: /^session-messages\.several$/,
    plant: sessionIds((id, count) => count === 1 ? id - 1n : id),
  },
  {
    name: "sessions by message are not closed",
    found: /^session-messages\.closed$/,
    plant: () => ignores(vu.CLOSE_CRYPTO_SESSION),
  },
  defect("closing a session that does not exist ends the connection", /^session-messages\.close-unknown$/, {
    message: (message) => message.request === vu.CLOSE_CRYPTO_SESSION ? "closed" : message,
  }),
];

/** Limits of a device with buffers of a fixed size, in bytes. */
const SMALL_BUFFER_BYTES = 2176;

const LENGTH_DEFECTS: readonly Defect[] = [
  defect(
    "keys and results of any length are accepted",
    /^lengths\.(.*-keys|digest-sizes)/,
    controlStatus(w.STATUS_ERR, w.STATUS_OK, isCreation),
  ),
  defect(
    "nothing above 2176 bytes is served",
    /^lengths\.(cipher|digest|aead)-data/,
    refuses(({ readable }) => readable.length > SMALL_BUFFER_BYTES),
  ),
  defect(
    "lengths that do not fit are answered with OK",
    /^lengths\.(cipher-ragged|cipher-iv|shorter-destination|digest-too-long|chain-parts-beyond)/,
    dataStatus(w.STATUS_ERR, w.STATUS_OK),
  ),
  defect("the used length lacks the status", /^lengths\.used-length/, {
    answer(request) {
      if (!request.isControl && request.usedLen > 0) request.usedLen--;
    },
  }),
  defect("the status is in front of the result", /^lengths\.status-last/, {
    answer({ isControl, writable }) {
      if (isControl) return;
      writable.set(0, writable.get(writable.length - 1));
      writable.set(writable.length - 1, 0xee);
    },
  }),
  defect(
    "bytes in front of the status are changed",
    /^lengths\.(longer-destination|digest-lengths|chain-parts)/,
    WRONG_END,
  ),
];

/** All defects, in the order in which they are tried. */
export const DEFECTS: readonly Defect[] = [
  ...CONFIG_DEFECTS,
  ...CONTROL_DEFECTS,
  ...MESSAGE_DEFECTS,
  ...SESSION_MESSAGE_DEFECTS,
  ...RING_DEFECTS,
  ...MEMORY_DEFECTS,
  ...LIFECYCLE_DEFECTS,
  ...MIGRATION_DEFECTS,
  ...HOSTILE_DEFECTS,
  ...LENGTH_DEFECTS,
  ...DATA_DEFECTS,
  defect(
    "the first bit of each result is wrong",
    /^(symmetric\.dst-|aead\.dst\.|known-answers\.|compared\.)/,
    WRONG_RESULT,
  ),
  defect("a bit of an asymmetric request's last byte is misread", /^asymmetric\./, {
    request({ isControl, readable }) {
      const last = readable.length - 1;
      if (!isControl) readable.set(last, readable.get(last) ^ 1);
    },
  }),
];
