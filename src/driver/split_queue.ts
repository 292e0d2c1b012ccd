/**
 * The driver's side of a split virtqueue (Virtio 1.x, Split Virtqueues). Owns ring memory and the state of every
 * chain; never blocks and never looks into buffers. `packed_queue.ts` is its twin.
 *
 * @module
 */
import { signalEventFd } from "../os/event_fd.ts";
import {
  AVAIL_F_NO_INTERRUPT,
  AVAIL_RING_OFFSET,
  availBytes,
  DESC_BYTES,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_WRITE,
  USED_ELEM_BYTES,
  USED_F_NO_NOTIFY,
  USED_RING_OFFSET,
  usedBytes,
} from "../wire/vring.ts";
import { DeviceViolationError, DriverError } from "./errors.ts";
import type { Block, DriverMemory, Segment } from "./guest_memory.ts";
import { type ChainLayout, type DriverQueue, passesEvent, type QueueOptions, Sleeper, totalBytes } from "./queue.ts";

/** A descriptor as it stands in memory. */
export interface RawDescriptor {
  /** Guest address. */
  readonly address: number | bigint;
  /** Bytes. */
  readonly length: number;
  /** DESC_F_*. */
  readonly flags: number;
  /** Index of the next one. */
  readonly next: number;
}

const NONE = -1;

/** Writes a descriptor at `offset`. */
export function putDescriptor(view: DataView, offset: number, descriptor: RawDescriptor): void {
  view.setBigUint64(offset, BigInt(descriptor.address), true);
  view.setUint32(offset + 8, descriptor.length, true);
  view.setUint16(offset + 12, descriptor.flags, true);
  view.setUint16(offset + 14, descriptor.next, true);
}

/** Fills a fresh indirect table with the segments, in order; the first `readableCount` are readable. */
function buildTable(memory: DriverMemory, segments: readonly Segment[], readableCount: number): Block {
  const table = memory.alloc(segments.length * DESC_BYTES);
  const view = new DataView(table.bytes.buffer, table.bytes.byteOffset, table.sizeBytes);
  segments.forEach((segment, i) => {
    const more = i + 1 < segments.length;
    putDescriptor(view, i * DESC_BYTES, {
      address: segment.guestAddress,
      length: segment.sizeBytes,
      flags: (i >= readableCount ? DESC_F_WRITE : 0) | (more ? DESC_F_NEXT : 0),
      next: more ? i + 1 : 0,
    });
  });
  return table;
}

/** The driver's side of a split virtqueue. A chain's handle is its head descriptor. */
export class SplitQueue implements DriverQueue {
  readonly size: number;
  readonly descAddress: number;
  readonly driverAddress: number;
  readonly deviceAddress: number;
  readonly initialBase: number = 0;
  readonly kickFd: number;
  readonly callFd: number;
  /** The descriptor table, for tests that misbehave. */
  readonly descView: DataView;
  /** The available ring. */
  readonly availView: DataView;
  /** The used ring. */
  readonly usedView: DataView;
  kicksSent = 0;
  kicksSuppressed = 0;
  usedLen = 0;
  usedHandle: number = NONE;
  inFlight = 0;

  readonly #memory: DriverMemory;
  readonly #blocks: Block[];
  readonly #indirect: boolean;
  readonly #eventIdx: boolean;
  /** The available ring as 16-bit words: flags, idx, ring, used_event. The used ring likewise. */
  readonly #avail: Uint16Array<ArrayBuffer>;
  readonly #used: Uint16Array<ArrayBuffer>;
  readonly #usedEventAt: number;
  readonly #availEventAt: number;
  /** Free descriptors are linked through this. */
  readonly #nextFree: Int32Array;
  #freeHead = 0;
  #freeCount: number;
  /** By head: token or -1, writable bytes, descriptors in the ring, in flight or not, outliving completion or not. */
  readonly #tokens: Float64Array;
  readonly #writableBytes: Float64Array;
  readonly #chainLength: Int32Array;
  readonly #isInFlight: Uint8Array;
  readonly #isKept: Uint8Array;
  readonly #tables: (Block | undefined)[];
  #availIdx = 0;
  #kickedIdx = 0;
  #usedIdx = 0;
  readonly #sleeper = new Sleeper();

  /** Makes an empty ring in `memory`. */
  constructor(memory: DriverMemory, options: QueueOptions) {
    const { size, kickFd, callFd } = options;
    const region = options.region === undefined ? {} : { region: options.region };
    const desc = memory.alloc(size * DESC_BYTES, { ...region, align: 16 });
    const avail = memory.alloc(availBytes(size), { ...region, align: 2 });
    const used = memory.alloc(usedBytes(size), { ...region, align: 4 });
    this.#memory = memory;
    this.#blocks = [desc, avail, used];
    this.size = size;
    this.kickFd = kickFd;
    this.callFd = callFd;
    this.#indirect = options.indirect ?? false;
    this.#eventIdx = options.eventIdx ?? false;
    this.descAddress = desc.hostAddress;
    this.driverAddress = avail.hostAddress;
    this.deviceAddress = used.hostAddress;
    this.descView = new DataView(desc.bytes.buffer, desc.bytes.byteOffset, desc.sizeBytes);
    this.availView = new DataView(avail.bytes.buffer, avail.bytes.byteOffset, avail.sizeBytes);
    this.usedView = new DataView(used.bytes.buffer, used.bytes.byteOffset, used.sizeBytes);
    this.#avail = new Uint16Array(avail.bytes.buffer, avail.bytes.byteOffset, avail.sizeBytes / 2);
    this.#used = new Uint16Array(used.bytes.buffer, used.bytes.byteOffset, used.sizeBytes / 2);
    this.#usedEventAt = (AVAIL_RING_OFFSET + 2 * size) / 2;
    this.#availEventAt = (USED_RING_OFFSET + USED_ELEM_BYTES * size) / 2;
    this.#nextFree = Int32Array.from({ length: size }, (_, i) => i + 1);
    this.#freeCount = size;
    this.#tokens = new Float64Array(size).fill(NONE);
    this.#writableBytes = new Float64Array(size);
    this.#chainLength = new Int32Array(size);
    this.#isInFlight = new Uint8Array(size);
    this.#isKept = new Uint8Array(size);
    this.#tables = new Array(size).fill(undefined);
  }

  /** Index of the next entry to be made available. */
  get availIdx(): number {
    return this.#availIdx;
  }

  /** Index of the next used entry to be looked at. */
  get usedIdx(): number {
    return this.#usedIdx;
  }

  /** What the device asked for last: the index at which it wants a kick. */
  get availEvent(): number {
    return Atomics.load(this.#used, this.#availEventAt);
  }

  /** Free descriptors. */
  get freeCount(): number {
    return this.#freeCount;
  }

  add(readable: readonly Segment[], writable: readonly Segment[], token: number, layout?: ChainLayout): number {
    const handle = this.#layOut(readable, writable, token, layout);
    if (handle !== NONE) this.submit(handle);
    return handle;
  }

  prepare(readable: readonly Segment[], writable: readonly Segment[], token: number, layout?: ChainLayout): number {
    const handle = this.#layOut(readable, writable, token, layout);
    if (handle !== NONE) this.#isKept[handle] = 1;
    return handle;
  }

  #layOut(readable: readonly Segment[], writable: readonly Segment[], token: number, layout?: ChainLayout): number {
    const segments = [...readable, ...writable];
    const choice = layout ?? (this.#indirect ? "indirect" : "direct");
    const directCount = choice === "direct" ? segments.length : choice === "indirect" ? 0 : choice;
    const hasTable = directCount < segments.length;
    const needed = directCount + (hasTable ? 1 : 0);
    if (needed === 0) throw new DriverError("a chain without descriptors cannot be made available");
    if (needed > this.size) throw new DriverError(`a chain of ${needed} descriptors is longer than the queue`);
    if (needed > this.#freeCount) return NONE;
    const head = this.#freeHead;
    let index = head;
    for (let i = 0; i < needed; i++) {
      const following = this.#nextFree[index]!;
      const isTable = i === directCount;
      let segment = segments[i]!;
      let flags = i >= readable.length ? DESC_F_WRITE : 0;
      if (isTable) {
        segment = this.#tables[head] = buildTable(
          this.#memory,
          segments.slice(directCount),
          Math.max(0, readable.length - directCount),
        );
        flags = DESC_F_INDIRECT;
      }
      if (i + 1 < needed) flags |= DESC_F_NEXT;
      putDescriptor(this.descView, index * DESC_BYTES, {
        address: segment.guestAddress,
        length: segment.sizeBytes,
        flags,
        next: i + 1 < needed ? following : 0,
      });
      index = following;
    }
    this.#freeHead = index;
    this.#freeCount -= needed;
    this.expect(head, token, totalBytes(writable));
    this.#chainLength[head] = needed;
    return head;
  }

  /** Declares that `head` is a chain of the caller's making, written through the views, for {@linkcode submit}. */
  expect(head: number, token: number, writableBytes: number): void {
    this.#tokens[head] = token;
    this.#writableBytes[head] = writableBytes;
    this.#isKept[head] = 0;
    this.#chainLength[head] = 0;
  }

  submit(handle: number): boolean {
    if (this.#isInFlight[handle] !== 0) throw new DriverError(`chain ${handle} is in flight already`);
    this.#isInFlight[handle] = 1;
    this.inFlight++;
    this.post(handle);
    return true;
  }

  /** Makes any number available, without a thought: for tests that misbehave. */
  post(head: number): void {
    this.#avail[2 + this.#availIdx % this.size] = head;
    this.#availIdx = (this.#availIdx + 1) & 0xffff;
    Atomics.store(this.#avail, 1, this.#availIdx);
  }

  discard(handle: number): void {
    if (this.#isInFlight[handle] !== 0) throw new DriverError(`chain ${handle} is in flight`);
    const table = this.#tables[handle];
    if (table !== undefined) this.#memory.free(table);
    this.#tables[handle] = undefined;
    this.#tokens[handle] = NONE;
    this.#isKept[handle] = 0;
    const length = this.#chainLength[handle]!;
    if (length === 0) return;
    // The links still are what they were: only free descriptors are relinked.
    let last = handle;
    for (let i = 1; i < length; i++) last = this.#nextFree[last]!;
    this.#nextFree[last] = this.#freeHead;
    this.#freeHead = handle;
    this.#freeCount += length;
  }

  kick(): boolean {
    const oldIdx = this.#kickedIdx;
    this.#kickedIdx = this.#availIdx;
    if (oldIdx === this.#availIdx) return false;
    const wanted = this.#eventIdx
      ? passesEvent(Atomics.load(this.#used, this.#availEventAt), this.#availIdx, oldIdx)
      : (Atomics.load(this.#used, 0) & USED_F_NO_NOTIFY) === 0;
    if (!wanted) {
      this.kicksSuppressed++;
      return false;
    }
    this.kicksSent++;
    if (this.kickFd >= 0) signalEventFd(this.kickFd);
    return true;
  }

  /** True if there is a used entry to be polled. */
  get hasUsed(): boolean {
    return Atomics.load(this.#used, 1) !== this.#usedIdx;
  }

  pollOne(): number {
    const usedIdx = Atomics.load(this.#used, 1);
    if (usedIdx === this.#usedIdx) return NONE;
    if (((usedIdx - this.#usedIdx) & 0xffff) > this.inFlight) {
      throw new DeviceViolationError(
        `the device's used index went from ${this.#usedIdx} to ${usedIdx} with ${this.inFlight} chains in flight`,
      );
    }
    const offset = USED_RING_OFFSET + USED_ELEM_BYTES * (this.#usedIdx % this.size);
    const head = this.usedView.getUint32(offset, true);
    const length = this.usedView.getUint32(offset + 4, true);
    if (head >= this.size || this.#isInFlight[head] !== 1) {
      throw new DeviceViolationError(`the device gave back chain ${head}, which it did not have`);
    }
    if (length > this.#writableBytes[head]!) {
      throw new DeviceViolationError(
        `the device says that it wrote ${length} bytes to a chain that takes ${this.#writableBytes[head]}`,
      );
    }
    this.#usedIdx = (this.#usedIdx + 1) & 0xffff;
    this.inFlight--;
    this.#isInFlight[head] = 0;
    this.usedLen = length;
    this.usedHandle = head;
    const token = this.#tokens[head]!;
    if (this.#isKept[head] === 0) this.discard(head);
    return token;
  }

  enableCalls(): boolean {
    // Both, as the device may not know which of the two counts (the flag must be 0 under EVENT_IDX anyway).
    if (this.#eventIdx) Atomics.store(this.#avail, this.#usedEventAt, this.#usedIdx);
    Atomics.store(this.#avail, 0, 0);
    return !this.hasUsed;
  }

  disableCalls(): void {
    // By index there is no "never": half the number space away comes close.
    if (this.#eventIdx) Atomics.store(this.#avail, this.#usedEventAt, (this.#usedIdx + 0x8000) & 0xffff);
    else Atomics.store(this.#avail, 0, AVAIL_F_NO_INTERRUPT);
  }

  wait(timeoutMs: number): Promise<boolean> {
    return this.#sleeper.wait(this, timeoutMs);
  }

  async close(): Promise<void> {
    await this.#sleeper.close();
    for (const block of this.#blocks.splice(0)) this.#memory.free(block);
  }
}
