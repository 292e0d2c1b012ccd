/**
 * The driver's side of a split virtqueue (Virtio 1.x, Split Virtqueues). Owns ring memory and the state of every
 * chain; never blocks and never reads buffers. `packed_queue.ts` is its counterpart.
 *
 * @module
 */
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
import { type ChainLayout, passesEvent, type QueueOptions, totalBytes } from "./queue.ts";
import { buildTable, Image, NONE, overlong, RingQueue, viewOf, wordsOf } from "./ring_queue.ts";

/** The fields of a descriptor in memory. */
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

/** Writes a descriptor at `offset`. */
export function putDescriptor(view: DataView, offset: number, descriptor: RawDescriptor): void {
  view.setBigUint64(offset, BigInt(descriptor.address), true);
  view.setUint32(offset + 8, descriptor.length, true);
  view.setUint16(offset + 12, descriptor.flags, true);
  view.setUint16(offset + 14, descriptor.next, true);
}

/** The driver's side of a split virtqueue. A chain's handle is its head descriptor. */
export class SplitQueue extends RingQueue {
  override readonly initialBase: number = 0;
  /** The descriptor table, for tests that misbehave. */
  readonly descView: DataView;
  /** The available ring. */
  readonly availView: DataView;
  /** The used ring. */
  readonly usedView: DataView;

  /** The available ring as 16-bit words: flags, idx, ring, used_event. The used ring likewise. */
  readonly #avail: Uint16Array<ArrayBuffer>;
  readonly #used: Uint16Array<ArrayBuffer>;
  readonly #usedEventAt: number;
  readonly #availEventAt: number;
  /** Free descriptors are linked through this. */
  readonly #nextFree: Int32Array;
  #freeHead = 0;
  #freeCount: number;
  /**
   * By head: token or -1, writable bytes, descriptors in the ring, whether in flight, whether kept after completion.
   */
  readonly #tokens: Float64Array;
  readonly #writableBytes: Float64Array;
  readonly #chainLength: Int32Array;
  readonly #isInFlight: Uint8Array;
  readonly #isKept: Uint8Array;
  readonly #tables: (Block | undefined)[];
  /** The descriptor table as words, and what was written there when chains were laid out. */
  readonly #descWords: Uint32Array<ArrayBuffer>;
  readonly #written: Uint32Array<ArrayBuffer>;
  /** By head, the contents of the chain's table. */
  readonly #images: (Image | undefined)[];
  #availIdx = 0;
  #kickedIdx = 0;
  #usedIdx = 0;

  /** Makes an empty ring in `memory`. */
  constructor(memory: DriverMemory, options: QueueOptions) {
    const { size } = options;
    super(memory, options, { sizeBytes: availBytes(size), align: 2 }, { sizeBytes: usedBytes(size), align: 4 });
    const [desc, avail, used] = this.blocks;
    this.descView = viewOf(desc);
    this.availView = viewOf(avail);
    this.usedView = viewOf(used);
    this.#avail = wordsOf(avail);
    this.#used = wordsOf(used);
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
    const [{ bytes }] = this.blocks;
    this.#descWords = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    this.#written = new Uint32Array(this.#descWords.length);
    this.#images = new Array(size).fill(undefined);
  }

  /** Index of the next entry to be made available. */
  get availIdx(): number {
    return this.#availIdx;
  }

  /** Index of the next used entry to be read. */
  get usedIdx(): number {
    return this.#usedIdx;
  }

  /** The index at which the device requests a kick (avail_event). */
  get availEvent(): number {
    return Atomics.load(this.#used, this.#availEventAt);
  }

  /** Free descriptors. */
  get freeCount(): number {
    return this.#freeCount;
  }

  override add(
    readable: readonly Segment[],
    writable: readonly Segment[],
    token: number,
    layout?: ChainLayout,
  ): number {
    const handle = this.#layOut(readable, writable, token, layout);
    if (handle !== NONE) this.submit(handle);
    return handle;
  }

  override prepare(
    readable: readonly Segment[],
    writable: readonly Segment[],
    token: number,
    layout?: ChainLayout,
  ): number {
    const handle = this.#layOut(readable, writable, token, layout);
    if (handle !== NONE) this.#isKept[handle] = 1;
    return handle;
  }

  #layOut(readable: readonly Segment[], writable: readonly Segment[], token: number, layout?: ChainLayout): number {
    const segments = [...readable, ...writable];
    const choice = layout ?? this.usualLayout;
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
        segment = this.#tables[head] = this.buildTable(segments.slice(directCount), readable.length - directCount);
        flags = DESC_F_INDIRECT;
      }
      if (i + 1 < needed) flags |= DESC_F_NEXT;
      putDescriptor(this.descView, index * DESC_BYTES, {
        address: segment.guestAddress,
        length: segment.sizeBytes,
        flags,
        next: i + 1 < needed ? following : 0,
      });
      this.#written.set(this.#descWords.subarray(4 * index, 4 * index + 4), 4 * index);
      index = following;
    }
    const table = this.#tables[head];
    this.#images[head] = table === undefined ? undefined : new Image(table);
    this.#freeHead = index;
    this.#freeCount -= needed;
    this.expect(head, token, totalBytes(writable));
    this.#chainLength[head] = needed;
    return head;
  }

  /** An indirect table of `segments`, of which the first `readableCount` are readable. */
  protected buildTable(segments: readonly Segment[], readableCount: number): Block {
    return buildTable(this.memory, segments, (view, offset, { guestAddress, sizeBytes }, i) => {
      const more = i + 1 < segments.length;
      putDescriptor(view, offset, {
        address: guestAddress,
        length: sizeBytes,
        flags: (i >= readableCount ? DESC_F_WRITE : 0) | (more ? DESC_F_NEXT : 0),
        next: more ? i + 1 : 0,
      });
    });
  }

  /** Registers a chain at `head` that the caller has written through the views, for {@linkcode submit}. */
  expect(head: number, token: number, writableBytes: number): void {
    this.#tokens[head] = token;
    this.#writableBytes[head] = writableBytes;
    this.#isKept[head] = 0;
    this.#chainLength[head] = 0;
  }

  override stage(handle: number): boolean {
    if (this.#isInFlight[handle] !== 0) throw new DriverError(`chain ${handle} is in flight already`);
    this.#isInFlight[handle] = 1;
    this.inFlight++;
    this.#stage(handle);
    return true;
  }

  #stage(head: number): void {
    this.#avail[2 + this.#availIdx % this.size] = head;
    this.#availIdx = (this.#availIdx + 1) & 0xffff;
  }

  override publish(): void {
    Atomics.store(this.#avail, 1, this.#availIdx);
  }

  override rebuild(handle: number): void {
    const desc = this.#descWords;
    const words = this.#written;
    let index = handle;
    for (let i = this.#chainLength[handle]!; i > 0; i--) {
      const at = 4 * index;
      desc[at] = words[at]!;
      desc[at + 1] = words[at + 1]!;
      desc[at + 2] = words[at + 2]!;
      desc[at + 3] = words[at + 3]!;
      index = words[at + 3]! >>> 16;
    }
    this.#images[handle]?.write();
  }

  /** Makes any head available without checks: for tests that misbehave. */
  post(head: number): void {
    this.#stage(head);
    this.publish();
  }

  override discard(handle: number): void {
    if (this.#isInFlight[handle] !== 0) throw new DriverError(`chain ${handle} is in flight`);
    this.#free(handle);
  }

  #free(head: number): void {
    const table = this.#tables[head];
    if (table !== undefined) this.memory.free(table);
    this.#tables[head] = undefined;
    this.#tokens[head] = NONE;
    this.#isKept[head] = 0;
    const length = this.#chainLength[head]!;
    if (length === 0) return;
    // The links of the chain are unchanged: only free descriptors are relinked.
    let last = head;
    for (let i = 1; i < length; i++) last = this.#nextFree[last]!;
    this.#nextFree[last] = this.#freeHead;
    this.#freeHead = head;
    this.#freeCount += length;
  }

  override kick(): boolean {
    const oldIdx = this.#kickedIdx;
    this.#kickedIdx = this.#availIdx;
    if (oldIdx === this.#availIdx) return false;
    const wanted = this.eventIdx
      ? passesEvent(Atomics.load(this.#used, this.#availEventAt), this.#availIdx, oldIdx)
      : (Atomics.load(this.#used, 0) & USED_F_NO_NOTIFY) === 0;
    return this.notify(wanted);
  }

  /** True if {@linkcode pollOne} would return a token. */
  get hasUsed(): boolean {
    return Atomics.load(this.#used, 1) !== this.#usedIdx;
  }

  override pollOne(): number {
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
      throw new DeviceViolationError(`the device returned chain ${head}, which is not in flight`);
    }
    if (length > this.#writableBytes[head]!) throw overlong(length, this.#writableBytes[head]!);
    this.#usedIdx = (this.#usedIdx + 1) & 0xffff;
    this.inFlight--;
    this.#isInFlight[head] = 0;
    this.usedLen = length;
    this.usedHandle = head;
    const token = this.#tokens[head]!;
    if (this.#isKept[head] === 0) this.#free(head);
    return token;
  }

  override enableCalls(): boolean {
    // Both are written, as the device may read either (the flag must be 0 under EVENT_IDX anyway).
    if (this.eventIdx) Atomics.store(this.#avail, this.#usedEventAt, this.#usedIdx);
    Atomics.store(this.#avail, 0, 0);
    return !this.hasUsed;
  }

  override disableCalls(): void {
    // used_event has no value for "never": an index half the number space away is as far as possible.
    if (this.eventIdx) Atomics.store(this.#avail, this.#usedEventAt, (this.#usedIdx + 0x8000) & 0xffff);
    else Atomics.store(this.#avail, 0, AVAIL_F_NO_INTERRUPT);
  }
}
