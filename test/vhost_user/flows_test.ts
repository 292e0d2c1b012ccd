/**
 * Whole conversations, as the frontends that exist lead them: what each sends, in its order and with its flags.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import * as wire from "../../src/wire/vhost_user.ts";
import { FakeDevice } from "./fake_device.ts";
import {
  asU64,
  concat,
  countFds,
  countMappings,
  Harness,
  memTable,
  NEED_REPLY,
  region,
  type Reply,
  u32s,
  u64s,
  vringAddr,
  withEventFds,
  withMemory,
} from "./harness.ts";

const PLAIN = wire.FLAG_VERSION;
const ADDRESS = 0x10000000;
const BIT_30 = 1n << 30n;
const LOG_ALL = 1n << 26n;

/** How a ring is started: entries, position, and descriptors. */
interface RingStart {
  readonly size: number;
  readonly base: number;
  readonly kick: number;
  readonly call: number;
}

/** A frontend that leads its conversation with flags of its own. */
class Conversation {
  readonly harness: Harness;
  readonly device: FakeDevice;

  constructor(queueCount: number) {
    this.device = new FakeDevice(queueCount);
    this.harness = new Harness(this.device);
  }

  /** Sends without wanting an answer, and gets none. */
  async tell(request: number, payload?: Uint8Array, fds: number[] = []): Promise<void> {
    assertEquals(await this.harness.ask(request, payload, fds, PLAIN), undefined);
  }

  /** Asks for a number. */
  async u64(request: number, flags = PLAIN): Promise<bigint> {
    return asU64((await this.harness.ask(request, undefined, [], flags))!.payload);
  }

  /** Sends and gets a reply of its own. */
  async reply(request: number, payload: Uint8Array, flags = PLAIN): Promise<Reply> {
    return (await this.harness.ask(request, payload, [], flags))!;
  }

  /** Sends and wants success acknowledged. */
  must(request: number, payload?: Uint8Array, fds: number[] = []): Promise<void> {
    return this.harness.must(request, payload, fds);
  }

  /** Starts a ring as QEMU does. */
  async startRing(index: number, { size, base, kick, call }: RingStart): Promise<void> {
    await this.tell(wire.SET_VRING_NUM, u32s(index, size));
    await this.tell(wire.SET_VRING_BASE, u32s(index, base));
    await this.tell(wire.SET_VRING_ADDR, vringAddr(index, ADDRESS));
    await this.tell(wire.SET_VRING_KICK, u64s(index), [kick]);
    await this.tell(wire.SET_VRING_CALL, u64s(index), [call]);
  }
}

/** Leads a conversation and checks that nothing complained and nothing stays behind. */
async function converse(
  queueCount: number,
  lead: (conversation: Conversation, memory: number, kick: number, call: number) => Promise<void>,
): Promise<void> {
  await withEventFds(2, ([kick, call]) =>
    withMemory(1, async ([memory]) => {
      const [fds, mappings] = [countFds(), countMappings()];
      const conversation = new Conversation(queueCount);
      await lead(conversation, memory!, kick!, call!);
      assertEquals(conversation.harness.lines.filter((line) => !line.startsWith("debug")), []);
      await conversation.harness.close();
      assertEquals([countFds(), countMappings()], [fds, mappings]);
    }));
}

Deno.test("QEMU cryptodev-vhost-user: no ENABLE, no features, sessions on the socket, pause and resume", () =>
  converse(3, async (c, memory, kick, call) => {
    for (let queue = 0; queue < 2; queue++) {
      assertEquals(await c.u64(wire.GET_FEATURES), c.device.features | BIT_30 | LOG_ALL);
      const offered = await c.u64(wire.GET_PROTOCOL_FEATURES);
      await c.tell(wire.SET_PROTOCOL_FEATURES, u64s(offered & ~(1n << 9n)));
      if (queue === 0) {
        assertEquals(await c.u64(wire.GET_QUEUE_NUM), 3n);
        assertEquals(await c.u64(wire.GET_MAX_MEM_SLOTS), 64n);
        await c.tell(wire.SET_OWNER);
      }
      await c.u64(wire.GET_FEATURES);
      await c.tell(wire.SET_VRING_CALL, u64s(queue), [call]);
      await c.tell(wire.SET_VRING_ERR, u64s(queue), [call]);
    }
    await c.tell(wire.SET_FEATURES, u64s(BIT_30));
    assertEquals(await c.u64(wire.GET_STATUS), 0n);
    await c.tell(wire.SET_STATUS, u64s(8));
    await c.must(wire.ADD_MEM_REG, concat(u64s(0), region(0, 0x10000, ADDRESS)), [memory]);
    await c.startRing(0, { size: 1024, base: 0, kick, call });
    assertEquals(c.device.takeCalls(), ["setFeatures 0", "setMemory 1", "startRing 0 1024 0", "setRingCall 0 true"]);

    const session = new Uint8Array(1072);
    new DataView(session.buffer).setUint32(0, 2, true);
    session.set([1, 1], 32);
    await c.reply(wire.CREATE_CRYPTO_SESSION, session);
    await c.tell(wire.CLOSE_CRYPTO_SESSION, u64s(7));
    assertEquals(c.device.takeCalls(), ["createSession 2", "closeSession 7"]);

    // The virtual machine pauses and resumes: sessions stay.
    c.device.bases.set(0, 77);
    assertEquals((await c.reply(wire.GET_VRING_BASE, u32s(0, 0))).payload, u32s(0, 77));
    await c.must(wire.REM_MEM_REG, concat(u64s(0), region(0, 0x10000, ADDRESS)));
    await c.tell(wire.SET_FEATURES, u64s(BIT_30));
    await c.must(wire.ADD_MEM_REG, concat(u64s(0), region(0, 0x10000, ADDRESS)), [memory]);
    await c.startRing(0, { size: 1024, base: 77, kick, call });
    assertEquals(c.device.takeCalls(), [
      "stopRing 0",
      "setMemory 0",
      "setFeatures 0",
      "setMemory 1",
      "startRing 0 1024 77",
      "setRingCall 0 true",
    ]);
  }));

Deno.test("QEMU before 7.1: no feature bits at all, no protocol features, a whole memory table", () =>
  converse(2, async (c, memory, kick, call) => {
    await c.u64(wire.GET_FEATURES);
    await c.tell(wire.SET_OWNER);
    await c.tell(wire.SET_VRING_CALL, u64s(0), [call]);
    await c.tell(wire.SET_FEATURES, u64s(0));
    await c.tell(wire.SET_MEM_TABLE, memTable(region(0, 0x10000, ADDRESS)), [memory]);
    await c.startRing(0, { size: 1024, base: 0, kick, call });
    assertEquals(c.device.takeCalls(), ["setFeatures 0", "setMemory 1", "startRing 0 1024 0", "setRingCall 0 true"]);
  }));

Deno.test("QEMU's generic device: every queue, ENABLE, configuration, and a queue the guest left alone", () =>
  converse(3, async (c, memory, kick, call) => {
    const features = await c.u64(wire.GET_FEATURES);
    await c.tell(wire.SET_PROTOCOL_FEATURES, u64s(await c.u64(wire.GET_PROTOCOL_FEATURES)));
    await c.u64(wire.GET_QUEUE_NUM);
    await c.u64(wire.GET_MAX_MEM_SLOTS);
    await c.tell(wire.SET_OWNER);
    await c.u64(wire.GET_FEATURES);
    for (let i = 0; i < 3; i++) {
      await c.tell(wire.SET_VRING_CALL, u64s(i), [call]);
      await c.tell(wire.SET_VRING_ERR, u64s(i), [call]);
    }
    const config = await c.reply(wire.GET_CONFIG, concat(u32s(0, 56, 0), new Uint8Array(56)));
    assertEquals(config.payload.length, 12 + 56);

    await c.tell(wire.SET_FEATURES, u64s(features & ~LOG_ALL));
    await c.u64(wire.GET_STATUS);
    await c.tell(wire.SET_STATUS, u64s(8));
    await c.must(wire.SET_MEM_TABLE, memTable(region(0, 0x10000, ADDRESS)), [memory]);
    await c.startRing(0, { size: 256, base: 0, kick, call });
    await c.startRing(2, { size: 256, base: 0, kick, call });
    for (let i = 0; i < 3; i++) await c.must(wire.SET_VRING_ENABLE, u32s(i, 1));
    for (let i = 0; i < 3; i++) await c.tell(wire.SET_VRING_CALL, u64s(i), [call]);
    assertEquals(c.device.takeCalls(), [
      `setFeatures ${features & ~BIT_30 & ~LOG_ALL}`,
      "setMemory 1",
      "startRing 0 256 0",
      "setRingCall 0 true",
      "startRing 2 256 0",
      "setRingCall 2 true",
      "setRingCall 0 true",
      "setRingCall 2 true",
    ]);

    // Stop, and start again where it stopped.
    c.device.bases.set(2, 5);
    for (let i = 0; i < 3; i++) await c.must(wire.SET_VRING_ENABLE, u32s(i, 0));
    for (let i = 0; i < 3; i++) {
      const base = i === 2 ? 5 : 0;
      assertEquals((await c.reply(wire.GET_VRING_BASE, u32s(i, 0))).payload, u32s(i, base));
    }
    assertEquals(c.device.takeCalls(), ["stopRing 0", "stopRing 2"]);
    await c.startRing(2, { size: 256, base: 5, kick, call });
    assertEquals(c.device.takeCalls(), []);
    await c.must(wire.SET_VRING_ENABLE, u32s(2, 1));
    assertEquals(c.device.takeCalls(), ["startRing 2 256 5"]);
  }));

Deno.test("Cloud Hypervisor: owner first, an answer wanted to everything, kick last", () =>
  converse(2, async (c, memory, kick, call) => {
    await c.tell(wire.SET_OWNER);
    const features = await c.u64(wire.GET_FEATURES);
    const offered = await c.u64(wire.GET_PROTOCOL_FEATURES);
    await c.tell(wire.SET_PROTOCOL_FEATURES, u64s(offered & ((1n << 9n) | 1n | (1n << 15n) | (1n << 3n))));
    assertEquals(await c.u64(wire.GET_QUEUE_NUM, NEED_REPLY), 2n);
    const config = await c.reply(wire.GET_CONFIG, concat(u32s(44, 4, 0), new Uint8Array(4)), NEED_REPLY);
    assertEquals(config.payload, concat(u32s(44, 4, 0), c.device.readConfig().subarray(44, 48)));
    await c.must(wire.SET_FEATURES, u64s(features & ~(1n << 34n) & ~LOG_ALL));
    await c.must(wire.SET_MEM_TABLE, memTable(region(0, 0x10000, ADDRESS)), [memory]);
    for (let i = 0; i < 2; i++) await c.must(wire.SET_VRING_NUM, u32s(i, 128));
    for (let i = 0; i < 2; i++) {
      await c.must(wire.SET_VRING_ADDR, vringAddr(i, ADDRESS));
      await c.must(wire.SET_VRING_BASE, u32s(i, 0));
      await c.must(wire.SET_VRING_CALL, u64s(i), [call]);
      await c.must(wire.SET_VRING_KICK, u64s(i), [kick]);
    }
    for (let i = 0; i < 2; i++) await c.must(wire.SET_VRING_ENABLE, u32s(i, 1));
    assertEquals(c.device.takeCalls().slice(1), ["setMemory 1", "startRing 0 128 0", "startRing 1 128 0"]);
    // Memory is added while the rings run.
    await c.must(wire.ADD_MEM_REG, concat(u64s(0), region(0x10000, 0x10000, 2 * ADDRESS)), [memory]);
    for (let i = 0; i < 2; i++) await c.must(wire.SET_VRING_ENABLE, u32s(i, 0));
    for (let i = 0; i < 2; i++) await c.reply(wire.GET_VRING_BASE, u32s(i, 0), NEED_REPLY);
    const restarted = ["drain", "stopRing 0", "stopRing 1", "setMemory 2", "startRing 0 128 0", "startRing 1 128 0"];
    assertEquals(c.device.takeCalls(), [...restarted, "stopRing 0", "stopRing 1"]);
  }));
