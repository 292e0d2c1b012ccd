/**
 * Hostile messages: the conversation of a frontend that sets up a device, with messages truncated, too long, with wrong
 * flags, without or with wrong or too many descriptors, in another order, or repeated. A conversation may end in any way;
 * afterwards the device must serve the next frontend.
 *
 * @module
 */
import { frame } from "../../src/driver/frontend_connection.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import type { Random } from "../../src/driver/random.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { createMemfd } from "../../src/os/memory_map.ts";
import { connectUnix, FdSocket, unixSocketPair } from "../../src/os/unix_socket.ts";
import { MESSAGE_RULES } from "../../src/vhost_user/messages.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import { hostileWord, pick, type Round, type Target } from "./target.ts";

const CONVERSATIONS_PER_ROUND = 40;
/** Offsets in units of 16 bytes in the frontend's only region, for rings. */
const REGION_BYTES = 1 << 20;
const INFLIGHT_BYTES = 1 << 17;

interface Step {
  request: number;
  payload: Uint8Array<ArrayBuffer>;
  fds: number[];
}

function u64s(...values: (number | bigint)[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigUint64Array.from(values, (value) => BigInt.asUintN(64, BigInt(value))).buffer);
}

function u32s(...values: number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** Descriptors of every kind that a frontend could send. */
class Descriptors {
  readonly memory = new DriverMemory([{ guestAddress: 0, sizeBytes: REGION_BYTES }]);
  readonly events: readonly number[] = Array.from({ length: 4 }, createEventFd);
  readonly #pair = unixSocketPair();
  readonly inflight = createMemfd("inflight", INFLIGHT_BYTES);
  readonly #empty = createMemfd("empty", 0);

  /** Any descriptor. */
  any(random: Random): number {
    // Standard input may be any kind of file.
    return pick(random, [this.memory.regions[0]!.fd, ...this.events, ...this.#pair, this.#empty, 0]);
  }

  /** One of a kind. */
  of(kind: "memory" | "event" | "inflight" | "empty" | "socket"): number {
    const { memory, events, inflight } = this;
    return {
      memory: memory.regions[0]!.fd,
      event: events[0]!,
      inflight,
      empty: this.#empty,
      socket: this.#pair[0],
    }[kind];
  }

  close(): void {
    this.memory.release();
    for (const fd of [...this.events, ...this.#pair, this.inflight, this.#empty]) closeFd(fd);
  }
}

/** The messages of a correct frontend, with one ring of two. */
function properConversation(descriptors: Descriptors): Step[] {
  const [region] = descriptors.memory.regions;
  const [kick, call, err] = descriptors.events as [number, number, number];
  const base = region!.hostAddress;
  const memory = u64s(1, 0, REGION_BYTES, base, 0);
  const steps: [number, Uint8Array<ArrayBuffer>, number[]][] = [
    [wire.GET_FEATURES, u32s(), []],
    [wire.GET_PROTOCOL_FEATURES, u32s(), []],
    [wire.SET_PROTOCOL_FEATURES, u64s(0x1_b28b), []],
    [wire.GET_QUEUE_NUM, u32s(), []],
    [wire.GET_MAX_MEM_SLOTS, u32s(), []],
    [wire.SET_OWNER, u32s(), []],
    [wire.GET_CONFIG, new Uint8Array([...u32s(0, 56, 0), ...new Uint8Array(56)]), []],
    [wire.SET_LOG_BASE, u64s(INFLIGHT_BYTES, 0), [descriptors.inflight]],
    [wire.SET_FEATURES, u64s(0x1_7400_0000), []],
    [wire.SET_STATUS, u64s(15), []],
    [wire.SET_MEM_TABLE, memory, [region!.fd]],
    [wire.ADD_MEM_REG, u64s(0, 2 * REGION_BYTES, 4096, 2 * base, 0), [region!.fd]],
    [wire.REM_MEM_REG, u64s(0, 2 * REGION_BYTES, 4096, 2 * base, 0), []],
    [wire.GET_INFLIGHT_FD, new Uint8Array([...u64s(0, 0), ...u32s(2 | 64 << 16, 0)]), []],
    [
      wire.SET_INFLIGHT_FD,
      new Uint8Array([...u64s(INFLIGHT_BYTES, 0), ...u32s(2 | 64 << 16, 0)]),
      [descriptors.inflight],
    ],
    [wire.SET_VRING_NUM, u32s(0, 64), []],
    [wire.SET_VRING_BASE, u32s(0, 0), []],
    [wire.SET_VRING_ADDR, new Uint8Array([...u32s(0, 0), ...u64s(base, base + 8192, base + 4096, 0)]), []],
    [wire.SET_VRING_KICK, u64s(0), [kick]],
    [wire.SET_VRING_CALL, u64s(0), [call]],
    [wire.SET_VRING_ERR, u64s(0), [err]],
    [wire.SET_VRING_ENABLE, u32s(0, 1), []],
    [wire.CREATE_CRYPTO_SESSION, new Uint8Array(wire.SESSION_BYTES_OLD), []],
    [wire.CLOSE_CRYPTO_SESSION, u64s(1), []],
    [wire.GET_VRING_BASE, u32s(0, 0), []],
    [wire.RESET_DEVICE, u32s(), []],
  ];
  return steps.map(([request, payload, fds]) => ({ request, payload, fds }));
}

/** Changes one step of a conversation, or the order of all. */
function mutate(steps: Step[], descriptors: Descriptors, random: Random): void {
  const at = random(steps.length);
  const step = steps[at]!;
  const { payload } = step;
  switch (random(9)) {
    case 0:
      step.payload = payload.slice(0, random(payload.length + 1));
      break;
    case 1:
      step.payload = new Uint8Array([...payload, ...new Uint8Array(random(5000))]);
      break;
    case 2:
      step.fds = [];
      break;
    case 3:
      step.fds = Array.from({ length: pick(random, [1, 1, 2, 7, 8, 9, 32]) }, () => descriptors.any(random));
      break;
    case 4:
      step.request = random(3) === 0 ? hostileWord(random) : pick(random, [...MESSAGE_RULES.keys()]);
      break;
    case 5:
      steps.splice(at, 1);
      break;
    case 6:
      steps.splice(random(steps.length), 0, { ...step });
      break;
    case 7:
      steps.splice(at, 0, ...Array.from({ length: random(20) }, () => ({ ...step })));
      break;
    default:
      for (let i = 1 + random(4); i > 0 && payload.length >= 4; i--) {
        const copy = payload.slice();
        const word = 4 * random(Math.floor(copy.length / 4));
        const view = new DataView(copy.buffer);
        view.setUint32(word, hostileWord(random, view.getUint32(word, true)), true);
        step.payload = copy;
      }
  }
}

/** Closes the descriptors of received messages and drops the messages. */
function hearOut(socket: FdSocket): void {
  const answers = new Uint8Array(4096);
  for (let got = socket.receive(answers); got.length > 0; got = socket.receive(answers)) got.fds.forEach(closeFd);
}

/** Sends all `bytes`, and reads the device's replies meanwhile, since it may not read while they are not read. */
async function send(socket: FdSocket, bytes: Uint8Array, fds: readonly number[]): Promise<void> {
  const deadline = performance.now() + 2000;
  for (let rest = bytes; rest.length > 0;) {
    const sent = socket.trySend(rest, rest === bytes ? fds : []);
    rest = rest.subarray(sent);
    if (sent > 0) continue;
    if (performance.now() > deadline) throw new Error("the device does not read what is sent");
    hearOut(socket);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

/** Holds one conversation; returns how many messages it had. */
async function converse(path: string, steps: readonly Step[], random: Random): Promise<number> {
  const socket = new FdSocket(connectUnix(path));
  let sent = 0;
  try {
    for (const { request, payload, fds } of steps) {
      let flags = wire.FLAG_VERSION | (random(4) > 0 ? wire.FLAG_NEED_REPLY : 0);
      if (random(150) === 0) flags = hostileWord(random, flags);
      const bytes = frame(request, payload, flags);
      const wantsOtherSize = random(150) === 0;
      if (wantsOtherSize) new DataView(bytes.buffer).setUint32(8, hostileWord(random, payload.length), true);
      const cut = random(100) === 0 ? 1 + random(bytes.length) : bytes.length;
      await send(socket, bytes.subarray(0, cut), fds);
      sent++;
      if (cut < bytes.length) break;
      if (random(8) === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      hearOut(socket);
    }
    // Half of the frontends read all replies before they close the connection.
    if (random(2) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    hearOut(socket);
  } catch (error) {
    // The device may close the connection if the stream is invalid.
    const code = (error as { code?: string }).code ?? "";
    if (!["EPIPE", "ECONNRESET"].includes(code)) throw error;
  } finally {
    socket.close();
  }
  return sent;
}

/** A stored message: descriptors by kind, and `@N` for the 64-bit address N bytes into the frontend's region. */
export interface StoredStep {
  readonly request: number;
  /** Hexadecimal. */
  readonly payload: string;
  readonly fds?: readonly ("memory" | "event" | "inflight" | "empty" | "socket")[];
  readonly flags?: number;
  /** Number of bytes of the message that are sent, if not all. */
  readonly cut?: number;
}

/** Sends stored messages and reads all replies; true if the device closed the connection first. */
export async function replayConversation(path: string, steps: readonly StoredStep[]): Promise<boolean> {
  const descriptors = new Descriptors();
  const base = descriptors.memory.regions[0]!.hostAddress;
  const socket = new FdSocket(connectUnix(path));
  const answers = new Uint8Array(4096);
  try {
    for (const { request, payload, fds = [], flags = wire.FLAG_VERSION | wire.FLAG_NEED_REPLY, cut } of steps) {
      const address = (_: string, offset: string) => u64s(base + Number(offset)).toHex();
      const bytes = frame(request, Uint8Array.fromHex(payload.replace(/@(\d+)/g, address).replaceAll(" ", "")), flags);
      await send(socket, bytes.subarray(0, cut), fds.map((kind) => descriptors.of(kind)));
    }
    await send(socket, frame(wire.GET_QUEUE_NUM), []);
    for (const end = performance.now() + 500; performance.now() < end;) {
      const got = socket.receive(answers);
      got.fds.forEach(closeFd);
      if (got.length === 0) return true;
      const replies = answers.subarray(0, Math.max(0, got.length));
      // The last reply answers the final request; there is none if a message was truncated.
      if (replies.length >= 20 && replies[replies.length - 20] === wire.GET_QUEUE_NUM) return false;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return false;
  } catch (error) {
    if (["EPIPE", "ECONNRESET"].includes((error as { code?: string }).code ?? "")) return true;
    throw error;
  } finally {
    socket.close();
    descriptors.close();
  }
}

/** Hostile messages. */
export const messages: Target = {
  name: "messages",
  async run({ bed, random }: Round): Promise<number> {
    const descriptors = new Descriptors();
    let cases = 0;
    try {
      for (let i = 0; i < CONVERSATIONS_PER_ROUND; i++) {
        const steps = properConversation(descriptors);
        if (random(6) === 0) steps.sort(() => random(3) - 1);
        for (let changes = random(4); changes > 0; changes--) mutate(steps, descriptors, random);
        cases += await converse(bed.path, steps, random);
      }
    } finally {
      descriptors.close();
    }
    return cases;
  },
};
