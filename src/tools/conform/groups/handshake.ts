/**
 * The handshake and the messages of the vhost-user protocol.
 *
 * @module
 */
import { offers } from "../../../driver/config.ts";
import { RefusedError } from "../../../driver/errors.ts";
import { frame } from "../../../driver/frontend_connection.ts";
import { bitNumbers, FEATURE_NAMES, nameOf } from "../../../driver/names.ts";
import { closeFd, createEventFd } from "../../../os/event_fd.ts";
import * as vu from "../../../wire/vhost_user.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import { F_VERSION_1 } from "../../../wire/vring.ts";
import type { Clause, Group } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectEqual, expectThat, Mismatch } from "../expect.ts";
import type { RecordingFrontend } from "../messages.ts";
import { cipherSample } from "../samples.ts";
import { needsOf } from "./needs.ts";

const VERSION_AND_REPLY = vu.FLAG_VERSION | vu.FLAG_REPLY;
const NEED_REPLY = vu.FLAG_VERSION | vu.FLAG_NEED_REPLY;
const PROTOCOL_BIT = 1n << BigInt(vu.F_PROTOCOL_FEATURES);

/** A connection that has negotiated the offered ones of the protocol features `wanted`. */
async function greeted(context: CheckContext, ...wanted: number[]): Promise<RecordingFrontend> {
  const frontend = await context.frontend();
  await frontend.getFeatures();
  const mask = wanted.reduce((bits, bit) => bits | 1n << BigInt(bit), 0n);
  if (offers(context.offer.features, vu.F_PROTOCOL_FEATURES)) {
    await frontend.setProtocolFeatures(await frontend.getProtocolFeatures() & mask);
  }
  await frontend.setOwner();
  return frontend;
}

/** Throws unless `tell` is refused. */
async function expectRefusal(tell: Promise<unknown>, what: string): Promise<void> {
  try {
    await tell;
  } catch (error) {
    if (error instanceof RefusedError) return;
    throw error;
  }
  throw new Mismatch(`${what} was accepted`, "a refusal");
}

/** Feature bits of this device type that require others: each bit with what it requires (v19, Feature bit requirements). */
const REQUIRED = [1, 2, 3, 4].map((bit) => [bit, w.F_MUX_MODE] as const);

async function checkRequirements(context: CheckContext): Promise<void> {
  const { features } = context.offer;
  for (const [bit, required] of REQUIRED) {
    if (!offers(features, bit)) continue;
    const frontend = await greeted(context, vu.PROTOCOL_F_REPLY_ACK);
    const asked = 1n << BigInt(bit) | 1n << BigInt(F_VERSION_1) | PROTOCOL_BIT;
    await expectRefusal(frontend.setFeatures(asked), `feature ${bit} without feature ${required}`);
  }
}

const FEATURES: readonly Clause[] = [
  {
    id: "version-1",
    duty: "VIRTIO_F_VERSION_1 is offered",
    reference: { ratified: "Reserved Feature Bits" },
    run: async (context) => {
      const features = await (await context.frontend()).getFeatures();
      expectThat(offers(features, F_VERSION_1), `features 0x${features.toString(16)}`, "bit 32 set");
    },
  },
  {
    id: "protocol-features",
    duty: "VHOST_USER_F_PROTOCOL_FEATURES is offered, which acknowledgements and the configuration space need",
    level: "SHOULD",
    reference: { vhostUser: "Protocol features" },
    run: async (context) => {
      const features = await (await context.frontend()).getFeatures();
      expectThat(offers(features, vu.F_PROTOCOL_FEATURES), `features 0x${features.toString(16)}`, "bit 30 set");
    },
  },
  {
    id: "offer-is-stable",
    duty: "the same features are offered to every connection",
    reference: { vhostUser: "Front-end message types, GET_FEATURES" },
    run: async (context) => {
      const before = await (await context.frontend()).getFeatures();
      expectEqual(await (await context.frontend()).getFeatures(), before, "features on another connection");
    },
  },
  {
    id: "feature-requirements",
    duty: "feature bits that require each other are offered together: 1 to 5 with MUX_MODE",
    reference: { v19: 295, ratified: "Feature bit requirements" },
    run: async (context) => {
      const features = await (await context.frontend()).getFeatures();
      const dependent = bitNumbers(features & 0x3en);
      const isGood = dependent.length === 0 || offers(features, w.F_MUX_MODE);
      const names = dependent.map((bit) => nameOf(FEATURE_NAMES, bit)).join(", ");
      expectThat(isGood, `${names} without CRYPTO_MUX_MODE`, "CRYPTO_MUX_MODE too");
    },
  },
  {
    id: "refuses-unrequired",
    level: "SHOULD",
    duty: "features that lack what they require are refused",
    reference: { v19: 295, ratified: "Feature bit requirements" },
    needs: { features: [w.F_MUX_MODE], protocolFeatures: [vu.PROTOCOL_F_REPLY_ACK] },
    run: checkRequirements,
  },
  {
    id: "refuses-unoffered",
    level: "SHOULD",
    duty: "features that are not offered are refused",
    reference: { ratified: "Feature Bits" },
    needs: { protocolFeatures: [vu.PROTOCOL_F_REPLY_ACK] },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_REPLY_ACK);
      const unoffered = 1n << 23n;
      if ((context.offer.features & unoffered) !== 0n) return;
      await expectRefusal(frontend.setFeatures(1n << BigInt(F_VERSION_1) | PROTOCOL_BIT | unoffered), "feature 23");
    },
  },
];

/** Sends `bytes` in two parts and waits for the reply. */
async function inTwoParts(frontend: RecordingFrontend, bytes: Uint8Array, cut: number): Promise<void> {
  frontend.sendRaw(bytes.subarray(0, cut));
  // The device may read the first part alone or both at once.
  await new Promise((resolve) => setTimeout(resolve, 2));
  frontend.sendRaw(bytes.subarray(cut));
  const reply = await frontend.receiveRaw("the reply to GET_FEATURES");
  expectEqual([reply.request, reply.payload.length], [vu.GET_FEATURES, 8], `the reply, cut at byte ${cut}`);
}

const FRAMING: readonly Clause[] = [
  {
    id: "reply",
    duty: "a reply has the number of its request, version 1, the reply flag and no other",
    reference: { vhostUser: "Header" },
    run: async (context) => {
      const frontend = await context.frontend();
      frontend.sendRaw(frame(vu.GET_FEATURES));
      const { request, flags, payload } = await frontend.receiveRaw("the reply to GET_FEATURES");
      expectEqual([request, flags, payload.length], [vu.GET_FEATURES, VERSION_AND_REPLY, 8], "number, flags, length");
    },
  },
  {
    id: "parts",
    duty: "a message that arrives in parts is handled as one message",
    reference: { vhostUser: "Communication" },
    run: async (context) => {
      const frontend = await context.frontend();
      for (const cut of [1, 4, 8, 11]) await inTwoParts(frontend, frame(vu.GET_FEATURES), cut);
    },
  },
  {
    id: "several",
    duty: "each of several messages that arrive at once gets its reply, in order",
    reference: { vhostUser: "Communication" },
    run: async (context) => {
      const frontend = await context.frontend();
      const one = frame(vu.GET_FEATURES);
      const count = 5;
      frontend.sendRaw(Uint8Array.from({ length: count * one.length }, (_, i) => one[i % one.length]!));
      for (let i = 0; i < count; i++) {
        const { request, payload } = await frontend.receiveRaw(`reply ${i + 1} to GET_FEATURES`);
        expectEqual([request, payload.length], [vu.GET_FEATURES, 8], `reply ${i + 1} of ${count}`);
      }
    },
  },
  {
    id: "no-reply",
    duty: "a message without NEED_REPLY that has no reply of its own gets none",
    reference: { vhostUser: "REPLY_ACK" },
    needs: { protocolFeatures: [vu.PROTOCOL_F_REPLY_ACK] },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_REPLY_ACK);
      frontend.sendRaw(frame(vu.SET_OWNER));
      frontend.sendRaw(frame(vu.GET_FEATURES));
      const { request } = await frontend.receiveRaw("the reply to GET_FEATURES");
      expectEqual(request, vu.GET_FEATURES, "the next reply");
    },
  },
  {
    id: "reply-ack",
    duty: "under REPLY_ACK, a message with NEED_REPLY is acknowledged with 0",
    reference: { vhostUser: "REPLY_ACK" },
    needs: { protocolFeatures: [vu.PROTOCOL_F_REPLY_ACK] },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_REPLY_ACK);
      const features = new Uint8Array(8);
      new DataView(features.buffer).setBigUint64(0, PROTOCOL_BIT | 1n << BigInt(F_VERSION_1), true);
      frontend.sendRaw(frame(vu.SET_FEATURES, features, NEED_REPLY));
      const { request, flags, payload } = await frontend.receiveRaw("the acknowledgement of SET_FEATURES");
      expectEqual([request, flags & ~vu.FLAG_NEED_REPLY], [vu.SET_FEATURES, VERSION_AND_REPLY], "number and flags");
      expectEqual(payload, new Uint8Array(8), "the acknowledgement");
    },
  },
  {
    id: "reply-ack-own-reply",
    duty: "a message that has a reply of its own and NEED_REPLY gets that reply only",
    reference: { vhostUser: "REPLY_ACK" },
    needs: { protocolFeatures: [vu.PROTOCOL_F_REPLY_ACK] },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_REPLY_ACK);
      frontend.sendRaw(frame(vu.GET_FEATURES, new Uint8Array(), NEED_REPLY));
      await frontend.receiveRaw("the reply to GET_FEATURES");
      frontend.sendRaw(frame(vu.GET_PROTOCOL_FEATURES));
      const { request } = await frontend.receiveRaw("the reply to GET_PROTOCOL_FEATURES");
      expectEqual(request, vu.GET_PROTOCOL_FEATURES, "the next reply");
    },
  },
  {
    id: "unknown-message",
    level: "SHOULD",
    duty: "an unknown message with NEED_REPLY is refused, and the connection continues",
    reference: { vhostUser: "REPLY_ACK" },
    needs: { protocolFeatures: [vu.PROTOCOL_F_REPLY_ACK] },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_REPLY_ACK);
      frontend.sendRaw(frame(200, new Uint8Array(8), NEED_REPLY));
      const { request, payload } = await frontend.receiveRaw("the refusal of message 200");
      expectEqual([request, payload.length], [200, 8], "number and length of the refusal");
      expectThat(payload.some((byte) => byte !== 0), "the acknowledgement 0", "one that is not 0");
      await frontend.getFeatures();
    },
  },
];

/** Minimum number of queues of a whole device: a data queue and the control queue. */
const QUEUES_MIN = 2;

const MESSAGES: readonly Clause[] = [
  {
    id: "queue-num",
    duty: "GET_QUEUE_NUM returns the number of rings: those of the data queues and of the control queue",
    reference: { vhostUser: "Front-end message types, GET_QUEUE_NUM" },
    needs: { wholeDevice: true, protocolFeatures: [vu.PROTOCOL_F_MQ] },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_MQ);
      const expected = context.offer.config === undefined ? QUEUES_MIN : context.offer.config.maxDataqueues + 1;
      const count = await frontend.getQueueNum();
      expectThat(count >= expected, `${count} rings`, `at least ${expected}`);
    },
  },
  {
    id: "mem-slots",
    duty: "GET_MAX_MEM_SLOTS returns the number of regions that can be added, at least 1, and does not change",
    reference: { vhostUser: "Front-end message types, GET_MAX_MEM_SLOTS" },
    needs: { protocolFeatures: [vu.PROTOCOL_F_CONFIGURE_MEM_SLOTS] },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_CONFIGURE_MEM_SLOTS);
      const slots = await frontend.getMaxMemSlots();
      expectThat(slots >= 1, `${slots} regions`, "1 or more");
      expectEqual(await frontend.getMaxMemSlots(), slots, "regions, asked again");
    },
  },
  {
    id: "config-parts",
    duty: "GET_CONFIG of a part of the configuration space returns the bytes of that part",
    reference: { vhostUser: "Front-end message types, GET_CONFIG" },
    needs: { protocolFeatures: [vu.PROTOCOL_F_CONFIG] },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_CONFIG);
      const whole = await frontend.getConfig(0, 48);
      for (const [offset, length] of [[0, 4], [4, 4], [8, 12], [44, 4]] as const) {
        const part = await frontend.getConfig(offset, length);
        expectEqual(part, whole.slice(offset, offset + length), `${length} bytes at ${offset}`);
      }
    },
  },
  {
    id: "config-range",
    duty: "GET_CONFIG beyond the end of the configuration space is refused or returns zeros, never other memory",
    reference: { vhostUser: "Front-end message types, GET_CONFIG" },
    needs: { protocolFeatures: [vu.PROTOCOL_F_CONFIG] },
    run: async (context) => {
      for (const offset of [200, 0xffff_fff0]) {
        const frontend = await greeted(context, vu.PROTOCOL_F_CONFIG);
        try {
          expectEqual(await frontend.getConfig(offset, 56), new Uint8Array(56), `56 bytes at ${offset}`);
        } catch (error) {
          if (!(error instanceof RefusedError)) throw error;
        }
        await frontend.getFeatures();
      }
    },
  },
  {
    id: "vring-base",
    duty: "GET_VRING_BASE of a ring that never started returns the base that was set",
    reference: { vhostUser: "Ring states" },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_MQ);
      await frontend.setFeatures(1n << BigInt(F_VERSION_1) | PROTOCOL_BIT);
      await frontend.setVringNum(0, 64);
      await frontend.setVringBase(0, 7);
      expectEqual(await frontend.getVringBase(0), 7, "the base");
    },
  },
  {
    id: "status",
    duty: "GET_STATUS returns the status that SET_STATUS has set",
    reference: { vhostUser: "Front-end message types, GET_STATUS" },
    needs: { protocolFeatures: [vu.PROTOCOL_F_STATUS] },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_STATUS);
      expectEqual(await frontend.getStatus(), 0, "the status at first");
      await frontend.setStatus(3);
      expectEqual(await frontend.getStatus(), 3, "the status ACKNOWLEDGE and DRIVER");
    },
  },
  {
    id: "ring-index",
    level: "SHOULD",
    duty: "a message about a ring that does not exist is refused, and the connection continues",
    reference: { vhostUser: "Front-end message types" },
    needs: { protocolFeatures: [vu.PROTOCOL_F_REPLY_ACK] },
    run: async (context) => {
      const frontend = await greeted(context, vu.PROTOCOL_F_REPLY_ACK, vu.PROTOCOL_F_MQ);
      await expectRefusal(frontend.setVringNum(0xffff_ffff, 64), "SET_VRING_NUM of ring 0xffffffff");
      await frontend.getFeatures();
    },
  },
  {
    id: "descriptors",
    duty: "descriptors that a message does not need do not end the connection",
    level: "SHOULD",
    reference: { vhostUser: "Communication" },
    run: async (context) => {
      const frontend = await greeted(context);
      const fd = createEventFd();
      try {
        frontend.sendRaw(frame(vu.SET_OWNER), [fd]);
        await frontend.getFeatures();
      } finally {
        closeFd(fd);
      }
    },
  },
  {
    id: "served",
    duty: "a driver that negotiates as QEMU does is served",
    reference: { vhostUser: "Starting and stopping rings" },
    needs: needsOf(cipherSample()),
    run: async (context) => expectAnswer(await context.ask(cipherSample()), cipherSample()),
  },
];

/** Handshake and messages. */
export const HANDSHAKE: Group = {
  name: "handshake",
  title: "Handshake and messages",
  clauses: [...FEATURES, ...FRAMING, ...MESSAGES],
};
