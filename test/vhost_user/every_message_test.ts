/**
 * Every message in every way in which it can come wrong: cut off at each byte, then paused or abandoned; of every
 * length; with every combination of flags; with no, with other and with too many descriptors; out of order and over
 * and over. Nothing is left to chance here; that is the fuzzer's part. After each of them nothing is kept, and what
 * is good is served as before.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { closeFd } from "../../src/os/event_fd.ts";
import { MESSAGE_RULES, type MessageRule } from "../../src/vhost_user/messages.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import { Companions, GOOD_MESSAGES, type GoodMessage } from "./every_message.ts";
import { countFds, countMappings, encode, Harness, NEED_REPLY, type Reply, u32s, u64s } from "./harness.ts";

/** Runs `body` with what messages bring along, and checks that no descriptor and no mapping is left of it. */
async function withCompanions(body: (companions: Companions) => Promise<void>): Promise<void> {
  const held = [countFds(), countMappings()];
  const companions = new Companions();
  try {
    await body(companions);
  } finally {
    companions.close();
  }
  assertEquals([countFds(), countMappings()], held, "descriptors and mappings");
}

/** The reply that is there, whose descriptors are closed. */
function receive({ socket }: Harness): Reply | undefined {
  const header = new Uint8Array(wire.HEADER_BYTES);
  const { length, fds } = socket.receive(header);
  fds.forEach(closeFd);
  if (length <= 0) return undefined;
  assertEquals(length, wire.HEADER_BYTES);
  const view = new DataView(header.buffer);
  const payload = new Uint8Array(view.getUint32(8, true));
  if (payload.length > 0) assertEquals(socket.receive(payload).length, payload.length);
  return { request: view.getUint32(0, true), flags: view.getUint32(4, true), payload };
}

/** Sends a message and has it served: whether the connection lives on, and its one reply. */
async function ask(harness: Harness, bytes: Uint8Array, fds: readonly number[] = []): Promise<[boolean, Reply?]> {
  harness.socket.send(bytes, fds);
  const lives = await harness.connection.serve();
  const reply = receive(harness);
  if (reply !== undefined) assertEquals(receive(harness), undefined, "one message has two replies");
  return reply === undefined ? [lives] : [lives, reply];
}

/** Fails unless the connection answers a question rightly. */
async function assertAlive(harness: Harness, about: string): Promise<void> {
  const [lives, reply] = await ask(harness, encode(wire.GET_QUEUE_NUM));
  assertEquals([lives, reply?.request, reply?.payload], [true, wire.GET_QUEUE_NUM, u64s(3)], about);
}

/** The payload of a refusal, where an acknowledgement was asked for. */
function refusalOf({ refusal }: MessageRule): Uint8Array {
  if (refusal === "empty") return new Uint8Array(0);
  return u64s(refusal === "ack" ? 1 : refusal);
}

/** The effect of the good `message`: its reply, and the calls of the device. */
async function outcomeOf(companions: Companions, message: GoodMessage): Promise<[Reply | undefined, string[]]> {
  const harness = await companions.harness();
  const bytes = encode(message.request, message.payload, NEED_REPLY);
  const [lives, reply] = await ask(harness, bytes, companions.of(message));
  assert(lives, message.name);
  const calls = harness.device.takeCalls();
  await harness.close();
  return [reply, calls];
}

Deno.test("every request whose form is known has a good message, and is granted or refused as it should be", () =>
  withCompanions(async (companions) => {
    assertEquals(new Set(GOOD_MESSAGES.map(({ request }) => request)), new Set(MESSAGE_RULES.keys()));
    const refused = new Set<string>();
    for (const message of GOOD_MESSAGES) {
      const rule = MESSAGE_RULES.get(message.request)!;
      assert(message.payload.length >= rule.payloadMin && message.payload.length <= rule.payloadMax, message.name);
      const [reply] = await outcomeOf(companions, message);
      if (reply!.payload.toHex() === refusalOf(rule).toHex()) refused.add(message.name);
    }
    const unsupported = ["SET_BACKEND_REQ_FD", "IOTLB_MSG", "SET_DEVICE_STATE_FD"];
    assertEquals(refused, new Set([...unsupported, "CHECK_DEVICE_STATE"]));
  }));

Deno.test("every message cut off at every byte, and the connection closed: the device only gets the end of the connection", () =>
  withCompanions(async (companions) => {
    let cases = 0;
    const held = [countFds(), countMappings()];
    for (const message of GOOD_MESSAGES) {
      const bytes = encode(message.request, message.payload, NEED_REPLY);
      for (let cut = 1; cut < bytes.length; cut++) {
        const harness = await companions.harness();
        harness.socket.send(bytes.subarray(0, cut), companions.of(message));
        assertEquals(await harness.connection.serve(), true);
        assertEquals([receive(harness), harness.device.takeCalls()], [undefined, []], `${message.name} at ${cut}`);
        harness.socket.close();
        assertEquals(await harness.connection.serve(), false);
        await harness.connection.close();
        const calls = ["drain", "stopRing 0", "reset disconnect", "setMemory 0"];
        assertEquals(harness.device.takeCalls(), calls, `${message.name} at ${cut}`);
        cases++;
      }
      assertEquals([countFds(), countMappings()], held, message.name);
    }
    assert(cases > 1500);
    console.log(`${cases} messages cut off`);
  }));

Deno.test("every message cut at every byte, with a pause: it is handled when the rest has arrived, and not before", () =>
  withCompanions(async (companions) => {
    let cases = 0;
    for (const message of GOOD_MESSAGES) {
      const outcome = await outcomeOf(companions, message);
      const bytes = encode(message.request, message.payload, NEED_REPLY);
      for (let cut = 1; cut < bytes.length; cut++) {
        const harness = await companions.harness();
        const [lives, reply] = await ask(harness, bytes.subarray(0, cut), companions.of(message));
        assertEquals([lives, reply, harness.device.takeCalls()], [true, undefined, []], `${message.name} at ${cut}`);
        const [livesOn, whole] = await ask(harness, bytes.subarray(cut));
        assertEquals([livesOn, whole, harness.device.takeCalls()], [true, ...outcome], `${message.name} at ${cut}`);
        await assertAlive(harness, `${message.name} at ${cut}`);
        await harness.close();
        cases++;
      }
    }
    console.log(`${cases} messages in two pieces`);
  }));

Deno.test("every message of every length: lengths that its rule does not allow are refused, and one byte above the maximum ends the connection", () =>
  withCompanions(async (companions) => {
    const lengths = [
      ...Array.from({ length: 320 }, (_, i) => i),
      ...[631, 632, 633, 1071, 1072, 1073, 2048, 4095, 4096],
    ];
    for (const [request, rule] of MESSAGE_RULES) {
      const harness = await companions.harness();
      for (const length of lengths) {
        // Without REPLY_ACK there would be no answers.
        const isAgreement = request === wire.SET_PROTOCOL_FEATURES && length === 8;
        const payload = isAgreement ? u64s(0x1_b289) : new Uint8Array(length);
        const [lives, reply] = await ask(harness, encode(request, payload, NEED_REPLY));
        assertEquals([lives, reply?.request], [true, request], `${rule.name} of ${length} bytes`);
        if (length >= rule.payloadMin && length <= rule.payloadMax) continue;
        assertEquals(reply?.payload, refusalOf(rule), `${rule.name} of ${length} bytes`);
      }
      await assertAlive(harness, rule.name);
      for (const length of [4097, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
        const other = await companions.harness();
        other.socket.send(u32s(request, NEED_REPLY, length));
        assertEquals(await other.connection.serve(), false, `${rule.name} of ${length} bytes`);
        await other.close();
      }
      await harness.close();
    }
  }));

Deno.test("every message with every combination of flags: of a version that is not 1, or marked as a reply, it ends the connection", () =>
  withCompanions(async (companions) => {
    for (const message of GOOD_MESSAGES) {
      const { refusal } = MESSAGE_RULES.get(message.request)!;
      const outcome = await outcomeOf(companions, message);
      for (const flags of [...Array.from({ length: 16 }, (_, i) => i), 0x10, 0x8000_0000, 0xffff_fff1, 0xffff_fff9]) {
        const about = `${message.name} with flags 0x${flags.toString(16)}`;
        const harness = await companions.harness();
        const [lives, reply] = await ask(
          harness,
          encode(message.request, message.payload, flags),
          companions.of(message),
        );
        const isValid = (flags & wire.FLAG_VERSION_MASK) === wire.FLAG_VERSION && (flags & wire.FLAG_REPLY) === 0;
        assertEquals(lives, isValid, about);
        const isAnswered = isValid && (refusal !== "ack" || (flags & wire.FLAG_NEED_REPLY) !== 0);
        const calls = isValid ? outcome[1] : [];
        assertEquals([reply, harness.device.takeCalls()], [isAnswered ? outcome[0] : undefined, calls], about);
        if (isValid) await assertAlive(harness, about);
        await harness.close();
      }
    }
  }));

Deno.test("every message with no, with one, and with up to 32 descriptors: unexpected ones are closed", () =>
  withCompanions(async (companions) => {
    for (const message of GOOD_MESSAGES) {
      const { fdsMax } = MESSAGE_RULES.get(message.request)!;
      const rightful = companions.of(message).length;
      for (const count of [0, 1, 2, 3, 7, 8, 9, 10, 32]) {
        const about = `${message.name} with ${count} descriptors`;
        const harness = await companions.harness();
        const before = countFds();
        const bytes = encode(message.request, message.payload, NEED_REPLY);
        const [lives, reply] = await ask(harness, bytes, companions.many(message, count));
        assertEquals([lives, reply?.request], [true, message.request], about);
        const rule = MESSAGE_RULES.get(message.request)!;
        if (count > fdsMax || (rightful > 0 && count !== rightful)) {
          assertEquals(reply?.payload, refusalOf(rule), about);
          assertEquals([harness.device.takeCalls(), countFds()], [[], before], about);
        }
        assert(countFds() <= before + 1, about);
        await assertAlive(harness, about);
        await harness.close();
      }
    }
  }));

/** Says `messages` one after the other on a fresh connection: each is answered, and nothing is left afterwards. */
async function converse(companions: Companions, messages: readonly GoodMessage[], about: string): Promise<void> {
  const harness = await new Harness().negotiate();
  for (const message of messages) {
    // What a frontend agrees to last holds; REPLY_ACK is always among it here.
    const bytes = encode(message.request, message.payload, NEED_REPLY);
    const [lives, reply] = await ask(harness, bytes, companions.of(message));
    assertEquals([lives, reply?.request], [true, message.request], `${about}: ${message.name}`);
  }
  await assertAlive(harness, about);
  const running = new Set<string>();
  await harness.close();
  for (const call of harness.device.takeCalls()) {
    const [method, ring] = call.split(" ") as [string, string];
    if (method === "startRing") assert(!running.has(ring), `${about}: ring ${ring} is started twice`);
    if (method === "startRing") running.add(ring);
    if (method === "stopRing") assert(running.delete(ring), `${about}: ring ${ring} is stopped twice`);
  }
  assertEquals([running.size, harness.device.memory?.regions.length ?? 0], [0, 0], about);
}

Deno.test("every two messages after each other, in either order", () =>
  withCompanions(async (companions) => {
    for (const first of GOOD_MESSAGES) {
      for (const second of GOOD_MESSAGES) {
        await converse(companions, [first, second], `${first.name}, ${second.name}`);
      }
      assertEquals(countMappings(), 0, first.name);
    }
  }));

Deno.test("every message first, last, left out, and twenty times over, in an otherwise good conversation; and backwards", () =>
  withCompanions(async (companions) => {
    for (const [i, message] of GOOD_MESSAGES.entries()) {
      const others = GOOD_MESSAGES.toSpliced(i, 1);
      await converse(companions, [message, ...others], `${message.name} first`);
      await converse(companions, [...others, message], `${message.name} last`);
      await converse(companions, others, `without ${message.name}`);
      const often = GOOD_MESSAGES.toSpliced(i, 1, ...new Array<GoodMessage>(20).fill(message));
      await converse(companions, often, `${message.name} 20 times`);
      const turned = [...GOOD_MESSAGES.slice(i), ...GOOD_MESSAGES.slice(0, i)];
      await converse(companions, turned, `from ${message.name} on`);
      await converse(companions, turned.toReversed(), `from ${message.name} backwards`);
      assertEquals(countMappings(), 0, message.name);
    }
  }));
