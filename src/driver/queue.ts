/**
 * What split and packed driver queues have in common: one interface, so that whoever makes requests need not know the
 * ring format.
 *
 * @module
 */
import { drainEventFd, signalEventFd } from "../os/event_fd.ts";
import type { Segment } from "./guest_memory.ts";
import { Waiter } from "./waiter.ts";

/** How a chain is laid out: descriptors in the ring, a table, or a number of the former followed by the latter. */
export type ChainLayout = "direct" | "indirect" | number;

/** How a queue is made. */
export interface QueueOptions {
  /** Entries. */
  readonly size: number;
  /** Lays chains out in tables unless told otherwise (VIRTIO_F_INDIRECT_DESC). */
  readonly indirect?: boolean;
  /** Notifications are suppressed by index (VIRTIO_F_EVENT_IDX), not by flag. */
  readonly eventIdx?: boolean;
  /** Index of the memory region that holds the rings. */
  readonly region?: number;
  /** Signalled when requests were added; -1: the device polls. */
  readonly kickFd: number;
  /** Readable when requests are done; -1: this side polls. */
  readonly callFd: number;
}

/** The driver's side of a virtqueue. */
export interface DriverQueue {
  /** Entries. */
  readonly size: number;
  /** User address of the descriptor table (split) or descriptor ring (packed). */
  readonly descAddress: number;
  /** User address of the available ring (split) or driver event suppression (packed). */
  readonly driverAddress: number;
  /** User address of the used ring (split) or device event suppression (packed). */
  readonly deviceAddress: number;
  /** What SET_VRING_BASE says of a fresh ring. */
  readonly initialBase: number;
  /** Signalled by {@linkcode kick}. */
  readonly kickFd: number;
  /** Signalled by the device. */
  readonly callFd: number;
  /** Chains that the device has and has not given back. */
  readonly inFlight: number;
  /** Kicks that were sent, and that the device had asked not to be sent. */
  readonly kicksSent: number;
  /** Kicks that the device had asked not to be sent. */
  readonly kicksSuppressed: number;
  /** Of the chain that {@linkcode pollOne} returned last: the bytes written, and its handle. */
  readonly usedLen: number;
  /** Its handle. */
  readonly usedHandle: number;

  /**
   * Lays out a chain and makes it available once; returns its handle, or -1 if there is no room.
   * `token` (≥ 0) comes back from {@linkcode pollOne}.
   */
  add(readable: readonly Segment[], writable: readonly Segment[], token: number, layout?: ChainLayout): number;
  /** Lays out a chain that stays: {@linkcode submit} makes it available, again and again. Returns a handle, or -1. */
  prepare(readable: readonly Segment[], writable: readonly Segment[], token: number, layout?: ChainLayout): number;
  /** Makes a prepared chain available, without allocation; false if there is no room. It must not be in flight. */
  submit(handle: number): boolean;
  /** Forgets a prepared chain that is not in flight. */
  discard(handle: number): void;
  /** Wakes the device for what was added since the last call, unless it said that it need not be; true if woken. */
  kick(): boolean;
  /** Token of the next completed chain, or -1. Throws {@linkcode DeviceViolationError} if the device broke a rule. */
  pollOne(): number;
  /** Asks for a signal on `callFd` at the next completion; false if there is one already to be polled. */
  enableCalls(): boolean;
  /** Asks for no signals. */
  disableCalls(): void;
  /** Sleeps until something can be polled; false if nothing came within `timeoutMs`. */
  wait(timeoutMs: number): Promise<boolean>;
  /** Gives up everything but the descriptors, which are the owner's. */
  close(): Promise<void>;
}

/** True if going from `oldIdx` to `newIdx` passes `event` (v1.x, Used Buffer Notification Suppression). */
export function passesEvent(event: number, newIdx: number, oldIdx: number): boolean {
  return ((newIdx - event - 1) & 0xffff) < ((newIdx - oldIdx) & 0xffff);
}

/** Kicks even though nobody asked for it; for tests. */
export function kickAnyway(queue: DriverQueue): void {
  signalEventFd(queue.kickFd);
}

/** Bytes in all `segments` together. */
export function totalBytes(segments: readonly Segment[]): number {
  let total = 0;
  for (const segment of segments) total += segment.sizeBytes;
  return total;
}

/** Sleeping on a queue's call descriptor, or polling where there is none. */
export class Sleeper {
  #waiter: Waiter | undefined;

  /** As {@linkcode DriverQueue.wait}. */
  async wait(queue: DriverQueue, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (queue.enableCalls()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      if (queue.callFd < 0) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        continue;
      }
      if (this.#waiter === undefined) {
        this.#waiter = new Waiter();
        this.#waiter.watch(queue.callFd, 0);
      }
      await this.#waiter.wait(leftMs);
      drainEventFd(queue.callFd);
    }
    return true;
  }

  /** Ends a wait under way. */
  async close(): Promise<void> {
    await this.#waiter?.close();
  }
}
