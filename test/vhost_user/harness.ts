/**
 * The frontend's end of a connection, byte by byte, and a connection behind it that is served step by step.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { createMemfd } from "../../src/os/memory_map.ts";
import { FdSocket, unixSocketPair } from "../../src/os/unix_socket.ts";
import { Connection } from "../../src/vhost_user/connection.ts";
import type { Log } from "../../src/os/log.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import { FakeDevice } from "./fake_device.ts";

/** Name of the memory files made here, as in `/proc/self/maps`. */
export const MEMORY_NAME = "vhost-user-test-memory";
/** Flags of a request that wants an answer. */
export const NEED_REPLY = wire.FLAG_VERSION | wire.FLAG_NEED_REPLY;

/** A message as it came from the backend. */
export interface Reply {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** A payload of 32-bit numbers. */
export function u32s(...values: number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(values).buffer);
}

/** A payload of 64-bit numbers. */
export function u64s(...values: (number | bigint)[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values.map((value) => BigInt(value))).buffer);
}

/** Payloads one behind the other. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The number a payload of eight bytes holds. */
export function asU64(payload: Uint8Array): bigint {
  assertEquals(payload.length, 8);
  return new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true);
}

/** A whole message. */
export function encode(
  request: number,
  payload: Uint8Array = new Uint8Array(0),
  flags = wire.FLAG_VERSION,
): Uint8Array {
  return concat(u32s(request, flags, payload.length), payload);
}

/** A region: guest address, size, user address, mmap offset. */
export function region(guest: number | bigint, size: number | bigint, user: number | bigint, offset = 0): Uint8Array {
  return u64s(guest, size, user, offset);
}

/** SET_MEM_TABLE's payload. */
export function memTable(...regions: Uint8Array[]): Uint8Array {
  return concat(u32s(regions.length, 0), ...regions);
}

/** SET_VRING_ADDR's payload, for a ring at `user`. */
export function vringAddr(index: number, user: number | bigint, flags = 0): Uint8Array {
  const address = BigInt(user);
  return concat(u32s(index, flags), u64s(address, address + 0x2000n, address + 0x1000n, 0));
}

/** Open descriptors of this process. */
export function countFds(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** Mappings of the memory files made here. */
export function countMappings(): number {
  return Deno.readTextFileSync("/proc/self/maps").split("\n").filter((line) => line.includes(MEMORY_NAME)).length;
}

/** Calls `use` with fresh event descriptors and closes them afterwards. */
export async function withEventFds(count: number, use: (fds: number[]) => unknown): Promise<void> {
  const fds = Array.from({ length: count }, () => createEventFd());
  try {
    await use(fds);
  } finally {
    fds.forEach(closeFd);
  }
}

/** Calls `use` with memory files of `sizeBytes` and closes them afterwards. */
export async function withMemory(
  count: number,
  use: (fds: number[]) => unknown,
  sizeBytes = 0x10000,
): Promise<void> {
  const fds = Array.from({ length: count }, () => createMemfd(MEMORY_NAME, sizeBytes));
  try {
    await use(fds);
  } finally {
    fds.forEach(closeFd);
  }
}

/** Reads one reply that is there already; undefined if none is. */
export function receiveReply(socket: FdSocket): Reply | undefined {
  const header = new Uint8Array(wire.HEADER_BYTES);
  const received = socket.receive(header);
  if (received.length <= 0) return undefined;
  assertEquals(received.length, wire.HEADER_BYTES);
  const view = new DataView(header.buffer);
  const payload = new Uint8Array(view.getUint32(8, true));
  if (payload.length > 0) assertEquals(socket.receive(payload).length, payload.length);
  return { request: view.getUint32(0, true), flags: view.getUint32(4, true), payload };
}

/** A frontend's socket, the connection that serves it and the device behind. */
export class Harness {
  readonly device: FakeDevice;
  readonly lines: string[] = [];
  readonly socket: FdSocket;
  readonly connection: Connection;

  constructor(device: FakeDevice = new FakeDevice()) {
    this.device = device;
    const [ours, theirs] = unixSocketPair();
    const log: Log = (level, message) => this.lines.push(`${level}: ${message}`);
    this.socket = new FdSocket(ours);
    this.connection = new Connection(theirs, device, log);
  }

  /** Sends a request, has it served, and returns the reply. The connection must live on. */
  async ask(
    request: number,
    payload?: Uint8Array,
    fds: readonly number[] = [],
    flags = NEED_REPLY,
  ): Promise<Reply | undefined> {
    this.socket.send(encode(request, payload, flags), fds);
    assertEquals(await this.connection.serve(), true);
    const reply = receiveReply(this.socket);
    if (reply !== undefined) {
      assertEquals([reply.request, reply.flags], [request, wire.FLAG_VERSION | wire.FLAG_REPLY]);
      assertEquals(receiveReply(this.socket), undefined, "one message has two replies");
    }
    return reply;
  }

  /** Sends a request whose reply is a number. */
  async askU64(request: number, payload?: Uint8Array): Promise<bigint> {
    return asU64((await this.ask(request, payload))!.payload);
  }

  /** Sends a request that has to be acknowledged with success. */
  async must(request: number, payload?: Uint8Array, fds: readonly number[] = []): Promise<void> {
    const reply = await this.ask(request, payload, fds);
    assertEquals(reply && asU64(reply.payload), 0n, this.lines.at(-1) ?? `request ${request}`);
  }

  /** Sends a request that has to be acknowledged with failure; returns the line in the log. */
  async mustNot(request: number, payload?: Uint8Array, fds: readonly number[] = []): Promise<string> {
    this.lines.length = 0;
    const reply = await this.ask(request, payload, fds);
    assertEquals(reply && asU64(reply.payload), 1n, `request ${request} is granted`);
    assertEquals(this.lines.length, 1, this.lines.join("\n"));
    return this.lines[0]!;
  }

  /** Has REPLY_ACK agreed upon, so that every message can be answered. */
  async negotiate(): Promise<this> {
    const offered = await this.askU64(wire.GET_PROTOCOL_FEATURES);
    await this.must(wire.SET_PROTOCOL_FEATURES, u64s(offered));
    return this;
  }

  /** Shares `fd` as memory: guest addresses from 0 on, user addresses from 0x10000000 on. */
  async shareMemory(fd: number, sizeBytes = 0x10000): Promise<void> {
    await this.must(wire.SET_MEM_TABLE, memTable(region(0, sizeBytes, 0x10000000)), [fd]);
  }

  async close(): Promise<void> {
    await this.connection.close();
    this.socket.close();
  }
}

/** Runs `body` with a fresh harness after REPLY_ACK is agreed upon, and checks that nothing is left open. */
export async function withHarness(body: (harness: Harness) => unknown, device?: FakeDevice): Promise<void> {
  const fds = countFds();
  const mappings = countMappings();
  const harness = await new Harness(device).negotiate();
  try {
    await body(harness);
  } finally {
    await harness.close();
  }
  assertEquals(countFds(), fds, "descriptors are left open");
  assertEquals(countMappings(), mappings, "memory is left mapped");
}
