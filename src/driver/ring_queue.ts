/**
 * What the driver's sides of split and packed virtqueues share: the memory of a ring, notifications in both
 * directions, and the end. What stands in the memory is for those who extend this.
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

/** A part of a ring: bytes, and what its address is a multiple of. */
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

/** Fills a fresh indirect table with `segments`, in order, each by `put`. */
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

/** What a device has done that says that it wrote `length` bytes to a chain with room for `writableBytes`. */
export function overlong(length: number, writableBytes: number): DeviceViolationError {
  return new DeviceViolationError(
    `the device says that it wrote ${length} bytes to a chain that takes ${writableBytes}`,
  );
}

/** The driver's side of a virtqueue, but for what the ring's format says. */
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

  /** Where indirect tables are made. */
  protected readonly memory: DriverMemory;
  /** The layout of chains for which none is chosen. */
  protected readonly usualLayout: ChainLayout;
  /** Notifications are suppressed by index. */
  protected readonly eventIdx: boolean;
  /** Descriptors, what the driver writes, what the device writes. */
  protected readonly blocks: readonly [Block, Block, Block];
  readonly #sleeper = new Sleeper();
  #isClosed = false;

  /** Makes a ring in `memory`: descriptors, and the parts that the driver and the device write. */
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
  abstract submit(handle: number): boolean;
  abstract discard(handle: number): void;
  abstract kick(): boolean;
  abstract pollOne(): number;
  abstract enableCalls(): boolean;
  abstract disableCalls(): void;

  /** Sends a kick if the device has `wanted` one; returns that. */
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
