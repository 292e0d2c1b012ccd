/**
 * The common base of the driver's split and packed virtqueues: the memory of a ring, notifications in both directions,
 * and closing. Subclasses define the contents of the memory.
 *
 * @module
 */
import { signalEventFd } from "../os/event_fd.ts";
import { DESC_BYTES } from "../wire/vring.ts";
import { DeviceViolationError } from "./errors.ts";
import type { Block, DriverMemory, Segment } from "./guest_memory.ts";
import { type ChainLayout, type DriverQueue, type QueueOptions, Sleeper } from "./queue.ts";

/** No chain, no token. */
export const NONE = -1;

/** A part of a ring: its length and the alignment of its address, in bytes. */
interface Part {
  readonly sizeBytes: number;
  readonly align: number;
}

/** A view of `block` for fields of any size. */
export function viewOf({ bytes, sizeBytes }: Block): DataView<ArrayBuffer> {
  return new DataView(bytes.buffer, bytes.byteOffset, sizeBytes);
}

/** `block` as 16-bit words. */
export function wordsOf({ bytes, sizeBytes }: Block): Uint16Array<ArrayBuffer> {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, sizeBytes / 2);
}

/** Makes an indirect table and writes each of `segments`, in order, with `put`. */
export function buildTable(
  memory: DriverMemory,
  segments: readonly Segment[],
  put: (view: DataView, offset: number, segment: Segment, i: number) => void,
): Block {
  const table = memory.alloc(segments.length * DESC_BYTES);
  const view = viewOf(table);
  segments.forEach((segment, i) => put(view, i * DESC_BYTES, segment, i));
  return table;
}

/** The contents of memory that a driver writes for each request. */
export class Image {
  readonly #target: Uint32Array<ArrayBuffer>;
  readonly #words: Uint32Array<ArrayBuffer>;

  /** The present contents of `block`, whose length is a multiple of 4. */
  constructor({ bytes, sizeBytes }: Block) {
    this.#target = new Uint32Array(bytes.buffer, bytes.byteOffset, sizeBytes / 4);
    this.#words = this.#target.slice();
  }

  /** Writes them again. */
  write(): void {
    const target = this.#target;
    const words = this.#words;
    for (let i = 0; i < words.length; i++) target[i] = words[i]!;
  }
}

/** The error for a used length of `length` bytes on a chain with `writableBytes` writable bytes. */
export function overlong(length: number, writableBytes: number): DeviceViolationError {
  return new DeviceViolationError(
    `the device reports ${length} bytes written to a chain with ${writableBytes} writable bytes`,
  );
}

/** The driver's side of a virtqueue, without what depends on the ring format. */
export abstract class RingQueue implements DriverQueue {
  readonly size: number;
  readonly descAddress: number;
  readonly driverAddress: number;
  readonly deviceAddress: number;
  abstract readonly initialBase: number;
  readonly kickFd: number;
  readonly callFd: number;
  kicksSent = 0;
  kicksSuppressed = 0;
  usedLen = 0;
  usedHandle: number = NONE;
  inFlight = 0;

  /** The memory in which indirect tables are allocated. */
  protected readonly memory: DriverMemory;
  /** The layout of chains whose caller chooses none. */
  protected readonly usualLayout: ChainLayout;
  /** True if notifications are suppressed by index (VIRTIO_F_EVENT_IDX). */
  protected readonly eventIdx: boolean;
  /** The descriptors, the driver's part and the device's part. */
  protected readonly blocks: readonly [Block, Block, Block];
  readonly #sleeper = new Sleeper();
  #isClosed = false;

  /** Allocates a ring in `memory`: descriptors, and the parts that the driver and the device write. */
  constructor(memory: DriverMemory, options: QueueOptions, driverPart: Part, devicePart: Part) {
    const { size, kickFd, callFd, region } = options;
    const alloc = ({ sizeBytes, align }: Part) =>
      memory.alloc(sizeBytes, { ...(region === undefined ? {} : { region }), align });
    this.memory = memory;
    this.blocks = [alloc({ sizeBytes: size * DESC_BYTES, align: 16 }), alloc(driverPart), alloc(devicePart)];
    [this.descAddress, this.driverAddress, this.deviceAddress] = this.blocks.map(({ hostAddress }) => hostAddress) as [
      number,
      number,
      number,
    ];
    this.size = size;
    this.kickFd = kickFd;
    this.callFd = callFd;
    this.usualLayout = options.indirect ? "indirect" : "direct";
    this.eventIdx = options.eventIdx ?? false;
  }

  abstract add(readable: readonly Segment[], writable: readonly Segment[], token: number, layout?: ChainLayout): number;
  abstract prepare(
    readable: readonly Segment[],
    writable: readonly Segment[],
    token: number,
    layout?: ChainLayout,
  ): number;
  abstract stage(handle: number): boolean;
  abstract publish(): void;
  abstract rebuild(handle: number): void;
  abstract discard(handle: number): void;
  abstract kick(): boolean;
  abstract pollOne(): number;
  abstract enableCalls(): boolean;
  abstract disableCalls(): void;

  submit(handle: number): boolean {
    if (!this.stage(handle)) return false;
    this.publish();
    return true;
  }

  /** Sends a kick if `wanted`, else counts it as suppressed; returns `wanted`. */
  protected notify(wanted: boolean): boolean {
    if (wanted) {
      this.kicksSent++;
      if (this.kickFd >= 0) signalEventFd(this.kickFd);
    } else {
      this.kicksSuppressed++;
    }
    return wanted;
  }

  wait(timeoutMs: number): Promise<boolean> {
    return this.#sleeper.wait(this, timeoutMs);
  }

  async close(): Promise<void> {
    await this.#sleeper.close();
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const block of this.blocks) this.memory.free(block);
  }
}
