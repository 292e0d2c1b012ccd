/**
 * Building blocks of defects in messages: replies that are changed on their way to the frontend.
 *
 * @module
 */
import { encodeReply, Message } from "../../../src/vhost_user/framing.ts";
import * as vu from "../../../src/wire/vhost_user.ts";
import type { Hooks } from "./planting.ts";

/** The bytes of a reply to `request`, header included. */
export function replyOf(request: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeReply(request, payload);
}

/** Each reply is replaced by what `change` makes of it. */
export function replied(
  change: (request: number, reply: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>,
): Hooks {
  return { reply: change };
}

/** The number in replies to `request` is changed. */
export function u64Reply(request: number, change: (value: bigint) => bigint): Hooks {
  return replied((number, reply) => {
    if (number !== request) return reply;
    const view = new DataView(reply.buffer);
    view.setBigUint64(vu.HEADER_BYTES, change(view.getBigUint64(vu.HEADER_BYTES, true)), true);
    return reply;
  });
}

/** The le32 at `offset` of the configuration space is changed. */
export function configField(offset: number, change: (value: number) => number): Hooks {
  return replied((number, reply) => {
    if (number !== vu.GET_CONFIG || reply.length < vu.HEADER_BYTES + vu.CONFIG_HEADER_BYTES) return reply;
    const view = new DataView(reply.buffer);
    const at = vu.HEADER_BYTES + vu.CONFIG_HEADER_BYTES + offset - view.getUint32(vu.HEADER_BYTES, true);
    if (at >= 0 && at + 4 <= reply.length) view.setUint32(at, change(view.getUint32(at, true)) >>> 0, true);
    return reply;
  });
}

/** Messages `request` are acknowledged, and nothing else. */
export function ignores(request: number): Hooks {
  let isIgnored = false;
  return {
    message(message) {
      isIgnored = message.request === request;
      if (!isIgnored) return message;
      return new Message({ ...message, request: vu.SET_OWNER }, message.payload.subarray(0, 0), message);
    },
    reply: (_, reply) => isIgnored ? replyOf(request, reply.subarray(vu.HEADER_BYTES)) : reply,
  };
}

/** Session ids in the replies to session messages are changed, in all three layouts. */
export function sessionIds(change: (id: bigint, count: number) => bigint): () => Hooks {
  return () => {
    let count = 0;
    return replied((request, reply) => {
      if (request !== vu.CREATE_CRYPTO_SESSION || reply.length < vu.HEADER_BYTES + vu.SESSION_BYTES_OLD) return reply;
      const isNew = reply.length >= vu.HEADER_BYTES + vu.SESSION_BYTES_NEW;
      const at = vu.HEADER_BYTES + (isNew ? vu.SESSION_NEW_ID_OFFSET : 0);
      const view = new DataView(reply.buffer);
      view.setBigInt64(at, change(view.getBigInt64(at, true), count++), true);
      return reply;
    });
  };
}
