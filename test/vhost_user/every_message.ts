/**
 * One good message for each request whose form is known, supported or not, and a harness in a state in which the
 * supported ones are granted.
 *
 * @module
 */
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { createMemfd } from "../../src/os/memory_map.ts";
import { inflightBytes } from "../../src/virtqueue/inflight_state.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import { concat, Harness, MEMORY_NAME, memTable, region, u32s, u64s, vringAddr } from "./harness.ts";

const SIZE = 0x10000;
const ADDRESS = 0x10000000;
const INFLIGHT_BYTES = 3 * inflightBytes(256);

/** What a good message brings besides its payload. */
type Companion = "nothing" | "memory" | "event" | "inflight";

/** A good message. */
export interface GoodMessage {
  readonly request: number;
  readonly name: string;
  readonly payload: Uint8Array;
  readonly companion: Companion;
}

const single = concat(u64s(0), region(SIZE, SIZE, ADDRESS + SIZE));
const removed = concat(u64s(0), region(0, SIZE, ADDRESS));
const inflight = concat(u64s(INFLIGHT_BYTES, 0), u32s(3 | 256 << 16, 0));
const config = concat(u32s(0, 56, 0), Uint8Array.from({ length: 56 }, (_, i) => i + 1));

function session(bytes: number): Uint8Array {
  const payload = new Uint8Array(bytes);
  // A cipher's session in the second layout, or the third: AES-CBC, 16 bytes of key, op_type 1, direction 1.
  payload.set(u32s(3, 16), 8);
  payload.set([1, 1], 32);
  if (bytes === wire.SESSION_BYTES_NEW) payload.set(u32s(2, 0), 0);
  return payload;
}

function good(
  name: Exclude<keyof typeof wire, `${string}_BYTES` | `${string}_OFFSET`>,
  payload: Uint8Array = new Uint8Array(0),
  companion: Companion = "nothing",
): GoodMessage {
  return { request: wire[name] as number, name, payload, companion };
}

/** All of them, in an order in which a frontend could say them. */
export const GOOD_MESSAGES: readonly GoodMessage[] = [
  good("GET_FEATURES"),
  good("GET_PROTOCOL_FEATURES"),
  good("SET_PROTOCOL_FEATURES", u64s(0x1_b289)),
  good("GET_QUEUE_NUM"),
  good("GET_MAX_MEM_SLOTS"),
  good("SET_OWNER"),
  good("RESET_OWNER"),
  good("SET_BACKEND_REQ_FD", u64s(0), "event"),
  good("GET_CONFIG", config),
  good("SET_CONFIG", config),
  good("SET_FEATURES", u64s(0x1_7000_0000)),
  good("SET_STATUS", u64s(15)),
  good("GET_STATUS"),
  good("SET_MEM_TABLE", memTable(region(0, SIZE, ADDRESS)), "memory"),
  good("ADD_MEM_REG", single, "memory"),
  good("SET_LOG_BASE", u64s(0x1000, 0), "memory"),
  good("SET_LOG_FD", u64s(0), "event"),
  good("IOTLB_MSG", new Uint8Array(32)),
  good("GET_INFLIGHT_FD", inflight),
  good("SET_INFLIGHT_FD", inflight, "inflight"),
  good("SET_VRING_NUM", u32s(0, 64)),
  good("SET_VRING_BASE", u32s(0, 7)),
  good("SET_VRING_ADDR", vringAddr(0, ADDRESS + 0x100)),
  good("SET_VRING_KICK", u64s(0), "event"),
  good("SET_VRING_CALL", u64s(0), "event"),
  good("SET_VRING_ERR", u64s(0), "event"),
  good("SET_VRING_ENABLE", u32s(0, 1)),
  good("CREATE_CRYPTO_SESSION", session(wire.SESSION_BYTES_OLD)),
  good("CREATE_CRYPTO_SESSION", session(wire.SESSION_BYTES_NEW)),
  good("CLOSE_CRYPTO_SESSION", u64s(7)),
  good("GET_VRING_BASE", u32s(0, 0)),
  good("SET_DEVICE_STATE_FD", u32s(0, 0), "event"),
  good("CHECK_DEVICE_STATE"),
  good("REM_MEM_REG", removed),
  good("RESET_DEVICE"),
];

/** What messages bring along; the owner closes it. */
export class Companions {
  readonly #memory = createMemfd(MEMORY_NAME, 2 * SIZE);
  readonly #inflight = createMemfd("inflight", INFLIGHT_BYTES);
  readonly #events: readonly number[] = Array.from({ length: 40 }, createEventFd);

  /** The descriptors that a good message brings. */
  of(message: GoodMessage): number[] {
    if (message.companion === "nothing") return [];
    if (message.companion === "event") return [this.#events[0]!];
    return [message.companion === "memory" ? this.#memory : this.#inflight];
  }

  /** As many descriptors as wanted: of events, after the one that a good message brings. */
  many(message: GoodMessage, count: number): number[] {
    return [...this.of(message), ...this.#events].slice(0, count);
  }

  /** A harness that has agreed on REPLY_ACK, has memory, and serves ring 0 of three. */
  async harness(): Promise<Harness> {
    const harness = await new Harness().negotiate();
    await harness.shareMemory(this.#memory);
    await harness.must(wire.SET_VRING_NUM, u32s(0, 256));
    await harness.must(wire.SET_VRING_ADDR, vringAddr(0, ADDRESS));
    await harness.must(wire.SET_VRING_KICK, u64s(0), [this.#events[1]!]);
    harness.device.takeCalls();
    return harness;
  }

  close(): void {
    for (const fd of [this.#memory, this.#inflight, ...this.#events]) closeFd(fd);
  }
}
