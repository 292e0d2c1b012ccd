/**
 * The common interface of split and packed driver queues, so that the layers above do not depend on the ring format.
 *
 * @module
 */
import { drainEventFd, signalEventFd } from "../os/event_fd.ts";
import type { Segment } from "./guest_memory.ts";
import { Waiter } from "./waiter.ts";

/** The layout of a chain: descriptors in the ring, an indirect table, or a number of the former followed by the latter. */
export type ChainLayout = "direct" | "indirect" | number;

/** Options of a queue. */
export interface QueueOptions {
  /** Entries. */
  readonly size: number;
  /** Chains use indirect tables by default (VIRTIO_F_INDIRECT_DESC). */
  readonly indirect?: boolean;
  /** Notifications are suppressed by index (VIRTIO_F_EVENT_IDX), not by flag. */
  readonly eventIdx?: boolean;
  /** Index of the memory region that holds the rings. */
  readonly region?: number;
  /** Signalled when requests were added; -1: the device polls. */
  readonly kickFd: number;
  /** Readable when requests are completed; -1: the driver polls. */
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
  /** The base of an empty ring, for SET_VRING_BASE. */
  readonly initialBase: number;
  /** Signalled by {@linkcode kick}. */
  readonly kickFd: number;
  /** Signalled by the device. */
  readonly callFd: number;
  /** Number of chains in flight. */
  readonly inFlight: number;
  /** Kicks that were sent, and that the device had asked not to be sent. */
  readonly kicksSent: number;
  /** Kicks that the device had asked not to be sent. */
  readonly kicksSuppressed: number;
  /** Bytes written to the chain that {@linkcode pollOne} returned last. */
  readonly usedLen: number;
  /** Handle of the chain that {@linkcode pollOne} returned last. */
  readonly usedHandle: number;

  /**
   * Lays out a chain and makes it available once; returns its handle, or -1 if there are too few free descriptors.
   * {@linkcode pollOne} returns `token` (≥ 0) when it is completed.
   */
  add(readable: readonly Segment[], writable: readonly Segment[], token: number, layout?: ChainLayout): number;
  /** Lays out a chain that {@linkcode submit} can make available repeatedly. Returns a handle, or -1. */
  prepare(readable: readonly Segment[], writable: readonly Segment[], token: number, layout?: ChainLayout): number;
  /** Makes a prepared chain available, without allocation; false if descriptors lack. It must not be in flight. */
  submit(handle: number): boolean;
  /** As {@linkcode submit}, but the device does not see the chain before {@linkcode publish} is called. */
  stage(handle: number): boolean;
  /** Makes all staged chains available at once. */
  publish(): void;
  /** Writes the descriptors of a prepared chain that is not in flight again, as a driver that builds each request does. */
  rebuild(handle: number): void;
  /** Frees a prepared chain that is not in flight. */
  discard(handle: number): void;
  /** Kicks the device for chains added since the last call, unless it suppresses kicks; true if it was kicked. */
  kick(): boolean;
  /** Token of the next completed chain, or -1. Throws {@linkcode DeviceViolationError} if the used entry is invalid. */
  pollOne(): number;
  /** Requests a signal on `callFd` at the next completion; false if there is a completion to be polled already. */
  enableCalls(): boolean;
  /** Suppresses signals. */
  disableCalls(): void;
  /** Waits for a completion; false if there was none within `timeoutMs`. */
  wait(timeoutMs: number): Promise<boolean>;
  /** Frees the queue. The file descriptors belong to the caller and stay open. */
  close(): Promise<void>;
}

/** True if going from `oldIdx` to `newIdx` passes `event` (v1.x, Used Buffer Notification Suppression). */
export function passesEvent(event: number, newIdx: number, oldIdx: number): boolean {
  return ((newIdx - event - 1) & 0xffff) < ((newIdx - oldIdx) & 0xffff);
}

/** Kicks although the device has suppressed kicks; for tests. */
export function kickAnyway(queue: DriverQueue): void {
  signalEventFd(queue.kickFd);
}

/** Total bytes of `segments`. */
export function totalBytes(segments: readonly Segment[]): number {
  let total = 0;
  for (const segment of segments) total += segment.sizeBytes;
  return total;
}

/** Waits on a queue's call descriptor, or polls if there is none. */
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

  /** Ends a wait in progress. */
  async close(): Promise<void> {
    await this.#waiter?.close();
  }
}
