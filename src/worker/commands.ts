/**
 * What the main isolate and a data isolate say to each other. Commands travel as messages; a shared counter and an
 * event descriptor tell the data isolate, which is usually blocked or spinning, that there are some.
 *
 * @module
 */
import type { RingSetup } from "../device/backend.ts";
import type { CounterMemory } from "../device/counters.ts";
import type { AsymmetricForm } from "../device/negotiated_features.ts";
import type { JobPoolLocation } from "../device/jobs.ts";
import type { SessionTableLocation } from "../device/sessions.ts";
import type { MultiBufferChoice } from "../engine/multibuffer/policy.ts";
import type { EngineName } from "../engine/libraries.ts";
import type { DirtyLogLocation } from "../memory/dirty_log.ts";
import type { MemoryRegion } from "../memory/guest_memory.ts";

/** What a data isolate is started with. */
export interface IsolateSetup {
  /** Its number, for people. */
  readonly number: number;
  /** The queues it serves. */
  readonly queues: readonly number[];
  /** Where the sessions are. */
  readonly sessions: SessionTableLocation;
  /** Where each queue's asymmetric operations go, by the queue's index; empty: there are none. */
  readonly pools: readonly JobPoolLocation[];
  /** What each queue counts, by the queue's index. */
  readonly counters: readonly CounterMemory[];
  /** What opcodes of the asymmetric service mean. */
  readonly asymmetric: AsymmetricForm;
  /** Libraries that algorithms may come from. */
  readonly engines: readonly EngineName[];
  /** Where engine modules are loaded from. */
  readonly moduleUrls: readonly string[];
  /** From how many requests on they are executed in bursts. */
  readonly bursts: MultiBufferChoice;
  /** Signalled after each command. */
  readonly doorbellFd: number;
  /** Signalled when sessions have been destroyed. */
  readonly evictFd: number;
  /** Word 0: commands posted so far. */
  readonly shared: Int32Array<SharedArrayBuffer>;
  /** Microseconds to look at rings before going to sleep, at most. */
  readonly pollUs: number;
  /** Processor to run on, or -1. */
  readonly cpu: number;
}

/** The shared word that counts commands. */
export const SUBMITTED = 0;

/** A command, and its reply's `value` where it has one. */
export type Command =
  | { readonly kind: "memory"; readonly regions: readonly MemoryRegion[]; readonly log: DirtyLogLocation | null }
  | { readonly kind: "start"; readonly ring: RingSetup; readonly acknowledged: bigint }
  | { readonly kind: "stop"; readonly index: number }
  | { readonly kind: "call"; readonly index: number; readonly fd: number }
  | { readonly kind: "err"; readonly index: number; readonly fd: number }
  | { readonly kind: "clear" }
  | { readonly kind: "close" };

/** What a data isolate says. */
export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "unable"; readonly message: string }
  | { readonly kind: "fault"; readonly message: string }
  | { readonly kind: "done"; readonly value: number }
  | { readonly kind: "refused"; readonly message: string };
