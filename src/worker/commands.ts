/**
 * The protocol between the main thread and a data worker. Commands are sent as messages; a shared counter and an event
 * descriptor notify the data worker of them, which is usually blocked or polling.
 *
 * @module
 */
import type { DataQueueSetup } from "../device/data_queue_group.ts";

/** The parameters of a data worker. */
export interface WorkerSetup extends DataQueueSetup {
  /** Its number, for messages. */
  readonly number: number;
  /** The URLs of engine modules. */
  readonly moduleUrls: readonly string[];
  /** Signalled after each command. */
  readonly doorbellFd: number;
  /** Signalled when sessions have been destroyed. */
  readonly evictFd: number;
  /** Word 0: commands enqueued so far. */
  readonly shared: Int32Array<SharedArrayBuffer>;
  /** Maximum busy-poll time, in microseconds. */
  readonly pollUs: number;
  /** The CPU to run on, or -1. */
  readonly cpu: number;
}

/** The shared word that counts commands. */
export const SUBMITTED = 0;

/** Replies of a data worker. */
export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "unable"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "fault"; readonly message: string }
  | { readonly kind: "done"; readonly value: number }
  | { readonly kind: "refused"; readonly message: string };
