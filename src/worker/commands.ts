/**
 * What the main isolate and a data worker say to each other. Commands travel as messages; a shared counter and an
 * event descriptor tell the data worker, which is usually blocked or spinning, that there are some.
 *
 * @module
 */
import type { DataQueueSetup } from "../device/data_queue_group.ts";

/** What a data worker is started with. */
export interface WorkerSetup extends DataQueueSetup {
  /** Its number, for people. */
  readonly number: number;
  /** Where engine modules are loaded from. */
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

/** What a data worker says. */
export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "unable"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "fault"; readonly message: string }
  | { readonly kind: "done"; readonly value: number }
  | { readonly kind: "refused"; readonly message: string };
