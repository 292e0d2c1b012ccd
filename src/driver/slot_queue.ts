/**
 * A split virtqueue as some drivers use it, and as DPDK's vhost_crypto needs it: each chain is one indirect descriptor,
 * and its head is the slot of the available ring in which it becomes available. That device takes a head for a slot when
 * it writes a used entry, so other heads come back as wrong ids.
 *
 * @module
 */
import { DESC_BYTES, DESC_F_INDIRECT } from "../wire/vring.ts";
import { DriverError } from "./errors.ts";
import type { Block, DriverMemory, Segment } from "./guest_memory.ts";
import { type QueueOptions, totalBytes } from "./queue.ts";
import { Image, NONE } from "./ring_queue.ts";
import { SplitQueue } from "./split_queue.ts";

/** A chain that was laid out, wherever it becomes available. */
interface SlotChain {
  readonly token: number;
  readonly table: Block;
  readonly image: Image;
  readonly writableBytes: number;
  /** Kept after completion, for further submissions. */
  readonly isKept: boolean;
  isInFlight: boolean;
}

/** The driver's side of a split virtqueue whose heads equal slots. A chain's handle is independent of its head. */
export class SlotQueue extends SplitQueue {
  readonly #chains: (SlotChain | undefined)[] = [];
  readonly #freeHandles: number[] = [];
  /** By slot, the handle of the chain in flight there, or -1. */
  readonly #handles: Int32Array;

  /** Makes an empty ring in `memory`. */
  constructor(memory: DriverMemory, options: QueueOptions) {
    super(memory, options);
    this.#handles = new Int32Array(options.size).fill(NONE);
  }

  override add(readable: readonly Segment[], writable: readonly Segment[], token: number): number {
    if (this.#isNextSlotBusy) return NONE;
    const handle = this.#layOut(readable, writable, token, false);
    this.submit(handle);
    return handle;
  }

  override prepare(readable: readonly Segment[], writable: readonly Segment[], token: number): number {
    return this.#layOut(readable, writable, token, true);
  }

  get #nextSlot(): number {
    return this.availIdx % this.size;
  }

  get #isNextSlotBusy(): boolean {
    return this.#handles[this.#nextSlot] !== NONE;
  }

  #layOut(readable: readonly Segment[], writable: readonly Segment[], token: number, isKept: boolean): number {
    const table = this.buildTable([...readable, ...writable], readable.length);
    const handle = this.#freeHandles.pop() ?? this.#chains.length;
    this.#chains[handle] = {
      token,
      table,
      image: new Image(table),
      writableBytes: totalBytes(writable),
      isKept,
      isInFlight: false,
    };
    return handle;
  }

  /** As that of every queue; false also if the chain whose slot comes next is still in flight. */
  override stage(handle: number): boolean {
    const chain = this.#chains[handle]!;
    if (chain.isInFlight) throw new DriverError(`chain ${handle} is in flight already`);
    if (this.#isNextSlotBusy) return false;
    const slot = this.#nextSlot;
    this.#writeHead(slot * DESC_BYTES, chain.table);
    chain.isInFlight = true;
    this.#handles[slot] = handle;
    this.expect(slot, handle, chain.writableBytes);
    return super.stage(slot);
  }

  /** The descriptor in words, as writing a bigint for each request would cost more than all the rest. */
  #writeHead(offset: number, { guestAddress, sizeBytes }: Block): void {
    const { descView } = this;
    descView.setUint32(offset, guestAddress, true);
    descView.setUint32(offset + 4, guestAddress / 2 ** 32, true);
    descView.setUint32(offset + 8, sizeBytes, true);
    descView.setUint32(offset + 12, DESC_F_INDIRECT, true);
  }

  override rebuild(handle: number): void {
    this.#chains[handle]!.image.write();
  }

  override discard(handle: number): void {
    const chain = this.#chains[handle]!;
    if (chain.isInFlight) throw new DriverError(`chain ${handle} is in flight`);
    this.memory.free(chain.table);
    this.#chains[handle] = undefined;
    this.#freeHandles.push(handle);
  }

  override pollOne(): number {
    const handle = super.pollOne();
    if (handle === NONE) return NONE;
    this.#handles[this.usedHandle] = NONE;
    this.usedHandle = handle;
    const chain = this.#chains[handle]!;
    chain.isInFlight = false;
    if (!chain.isKept) this.discard(handle);
    return chain.token;
  }
}
