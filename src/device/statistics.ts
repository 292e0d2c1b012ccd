/**
 * Reading what a device has counted: from numbers in shared memory to a snapshot with names in it, which is plain data
 * that JSON can hold. Nothing of it is secret: there are counts, sizes, times and the names of algorithms.
 *
 * @module
 */
import { AEADS, CIPHERS, HASHES, MACS } from "../engine/algorithms.ts";
import { RING_FAULTS, RING_OK } from "../virtqueue/ring.ts";
import {
  BATCH_DURATIONS,
  BATCH_NS,
  BATCH_SIZE_BUCKETS,
  BATCH_SIZES,
  BURST_REQUESTS,
  CALLS,
  type CounterMemory,
  DURATION_BUCKETS,
  DURATION_UNIT_NS,
  FAULT,
  FIRST_SERIES,
  JOB_DURATIONS,
  JOB_NS,
  KICKS,
  LABELS_NUMBERS,
  PACKED,
  POSITION,
  POSTED_JOBS,
  RING_SIZE,
  SOURCE_BYTES,
  STARTED,
  STATUSES,
  WRITTEN_BYTES,
} from "./counters.ts";
import {
  CHAIN_DIGESTS,
  HASHES_END,
  LABELS_AEAD,
  LABELS_AKCIPHER,
  LABELS_CHAIN,
  LABELS_CIPHER,
  LABELS_COUNT,
  LABELS_CREATE,
  LABELS_DESTROY,
  LABELS_HASH,
  LABELS_MAC,
  LABELS_OTHER_CONTROL,
  LABELS_RFC3,
} from "./metric_labels.ts";
import type { SessionTable } from "./sessions.ts";

/** Names of statuses in snapshots, by number; the last stands for all others. */
const STATUS_NAMES: readonly string[] = [
  "ok",
  "err",
  "badmsg",
  "notsupp",
  "invsess",
  "nospc",
  "key_rejected",
  "other",
];
const SERVICE_NAMES: readonly string[] = ["cipher", "hash", "mac", "aead", "akcipher", "unknown"];
const AKCIPHER_NAMES: readonly string[] = ["", "RSA", "ECDSA", "ECDSA"];
const RFC3_NAMES: readonly string[] = ["", "RSA", "DSA", "DH", "ECDSA", "ECDH"];
const UNKNOWN = "unknown";

/** A distribution. */
export interface Distribution {
  /** How many fell at or below each of {@linkcode bounds}, and above the one before; then how many above the last. */
  readonly counts: readonly number[];
  /** Upper bounds, rising. */
  readonly bounds: readonly number[];
  /** The sum of all values. */
  readonly sum: number;
}

/** Data requests of one service and algorithm. */
export interface RequestCounts {
  /** `cipher`, `hash`, `mac`, `aead`, `chain`, `akcipher` or `unknown`. */
  readonly service: string;
  /** As in `AES-CBC`; chains name both, as in `AES-CBC+HMAC-SHA1`; `unknown` where the request did not get so far. */
  readonly algorithm: string;
  /** How many were answered with each status, by its name in lower case; statuses that never came are missing. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Bytes of source data of those answered with OK. */
  readonly sourceBytes: number;
  /** Bytes of their results. */
  readonly resultBytes: number;
}

/** Control requests of one kind. */
export interface ControlCounts {
  /** `create`, `destroy` or `unknown`. */
  readonly operation: string;
  /** As in {@linkcode RequestCounts}. */
  readonly service: string;
  /** Likewise. */
  readonly statuses: Readonly<Record<string, number>>;
}

/** A ring as it stands. */
export interface RingState {
  /** Whether it is being served. */
  readonly isStarted: boolean;
  /** `split` or `packed`; that of the last ring if it is stopped. */
  readonly format: string;
  /** Entries; 0 if there never was a ring. */
  readonly size: number;
  /** Where it will go on, as GET_VRING_BASE words it. */
  readonly position: number;
  /** Why it stands still, if the guest has broken it. */
  readonly fault: string | null;
}

/** What has happened on a queue since the device was made. */
export interface QueueStatistics {
  /** A data queue's number, or `control`. */
  readonly queue: string;
  /** Its ring. */
  readonly ring: RingState;
  /** Data requests, those still under way not counted. */
  readonly requests: readonly RequestCounts[];
  /** Control requests. */
  readonly controlRequests: readonly ControlCounts[];
  /** Sizes of the batches that requests were taken in. */
  readonly batches: Distribution;
  /** Seconds from a request's being taken to its completion, of one batch in 61; without asymmetric jobs. */
  readonly seconds: Distribution;
  /** Requests executed in bursts; all others were executed one by one, or not at all. */
  readonly burstRequests: number;
  /** Asymmetric jobs under way. */
  readonly jobsOpen: number;
  /** Seconds from an asymmetric request's being taken to its completion, waiting included. */
  readonly jobSeconds: Distribution;
  /** Kicks received. */
  readonly kicks: number;
  /** Notifications sent. */
  readonly calls: number;
}

/** What has happened to sessions. */
export interface SessionStatistics {
  /** Those that exist. */
  readonly count: number;
  /** Those that may exist. */
  readonly max: number;
  /** Those that there have been. */
  readonly created: number;
  /** Those that exist no more. */
  readonly destroyed: number;
  /** Those that were not created, by the status of the answer. */
  readonly refused: Readonly<Record<string, number>>;
}

/** What a device has counted since it was made, over all frontends. */
export interface DeviceStatistics {
  /** Data queues in turn, then the control queue. */
  readonly queues: readonly QueueStatistics[];
  /** Sessions, by whatever way they came. */
  readonly sessions: SessionStatistics;
}

/** What a series is called. */
type LabelSet = readonly [service: string, algorithm: string];

function named(
  names: string[],
  first: number,
  rows: readonly { readonly algo: number; readonly name: string }[],
): void {
  for (const { algo, name } of rows) names[first + algo] = name;
}

/** Algorithm names by series; series without one are unknown algorithms. */
function algorithmNames(): string[] {
  const names: string[] = new Array(LABELS_COUNT).fill(UNKNOWN);
  named(names, LABELS_CIPHER, CIPHERS);
  named(names, LABELS_HASH, HASHES);
  named(names, LABELS_MAC, MACS);
  named(names, LABELS_AEAD, AEADS);
  for (const [first, list] of [[LABELS_AKCIPHER, AKCIPHER_NAMES], [LABELS_RFC3, RFC3_NAMES]] as const) {
    for (let algo = 1; algo < list.length; algo++) names[first + algo] = list[algo]!;
  }
  for (const cipher of CIPHERS) {
    const first = LABELS_CHAIN + cipher.algo * CHAIN_DIGESTS;
    for (const { algo, name } of HASHES) names[first + algo] = `${cipher.name}+${name}`;
    for (const { algo, name } of MACS) names[first + HASHES_END + algo] = `${cipher.name}+${name}`;
  }
  return names;
}

function serviceOf(labels: number): string {
  if (labels < LABELS_CIPHER) return UNKNOWN;
  if (labels < LABELS_HASH) return "cipher";
  if (labels < LABELS_MAC) return "hash";
  if (labels < LABELS_AEAD) return "mac";
  if (labels < LABELS_AKCIPHER) return "aead";
  return labels < LABELS_CHAIN ? "akcipher" : "chain";
}

let names: readonly LabelSet[] | undefined;

/** The names of data requests' series, made when they are first needed. */
function seriesNames(): readonly LabelSet[] {
  return names ??= algorithmNames().slice(0, LABELS_CREATE).map((name, i) => [serviceOf(i), name]);
}

function controlName(labels: number): LabelSet {
  if (labels >= LABELS_OTHER_CONTROL) return [SERVICE_NAMES[labels - LABELS_OTHER_CONTROL]!, UNKNOWN];
  return labels >= LABELS_DESTROY
    ? [SERVICE_NAMES[labels - LABELS_DESTROY]!, "destroy"]
    : [SERVICE_NAMES[labels - LABELS_CREATE]!, "create"];
}

/** Counts by status, or undefined if there are none. */
function statusesAt(numbers: CounterMemory, at: number): Record<string, number> | undefined {
  let statuses: Record<string, number> | undefined;
  for (let status = 0; status < STATUSES; status++) {
    const count = numbers[at + status]!;
    if (count > 0) (statuses ??= {})[STATUS_NAMES[status]!] = count;
  }
  return statuses;
}

function readRequests(numbers: CounterMemory): RequestCounts[] {
  // Two numbers that mean the same algorithm, or an asymmetric service in two dialects, are one to people.
  const requests = new Map<string, RequestCounts>();
  for (let labels = 0; labels < LABELS_CREATE; labels++) {
    const at = FIRST_SERIES + LABELS_NUMBERS * labels;
    const statuses = statusesAt(numbers, at);
    if (statuses === undefined) continue;
    const [service, algorithm] = seriesNames()[labels]!;
    const key = `${service} ${algorithm}`;
    const other = requests.get(key);
    requests.set(key, {
      service,
      algorithm,
      statuses: other === undefined ? statuses : addCounts(statuses, other.statuses),
      sourceBytes: numbers[at + SOURCE_BYTES]! + (other?.sourceBytes ?? 0),
      resultBytes: numbers[at + WRITTEN_BYTES]! + (other?.resultBytes ?? 0),
    });
  }
  return [...requests.values()];
}

/** Adds counts by name. */
function addCounts(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const sum: Record<string, number> = { ...a };
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}

function readControl(numbers: CounterMemory): ControlCounts[] {
  const requests: ControlCounts[] = [];
  for (let labels = LABELS_CREATE; labels < LABELS_COUNT; labels++) {
    const statuses = statusesAt(numbers, FIRST_SERIES + LABELS_NUMBERS * labels);
    if (statuses === undefined) continue;
    const [service, operation] = controlName(labels);
    requests.push({ operation, service, statuses });
  }
  return requests;
}

const BATCH_BOUNDS: readonly number[] = Array.from({ length: BATCH_SIZE_BUCKETS }, (_, i) => 2 ** i);
const SECOND_BOUNDS: readonly number[] = Array.from(
  { length: DURATION_BUCKETS - 1 },
  (_, i) => DURATION_UNIT_NS * 2 ** i / 1e9,
);

function durations(numbers: CounterMemory, first: number, sumNs: number): Distribution {
  return {
    bounds: SECOND_BOUNDS,
    counts: Array.from(numbers.subarray(first, first + DURATION_BUCKETS)),
    sum: numbers[sumNs]! / 1e9,
  };
}

function sum(counts: Iterable<number>): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

function readQueue(queue: string, numbers: CounterMemory): QueueStatistics {
  const requests = readRequests(numbers);
  const controlRequests = readControl(numbers);
  const fault = numbers[FAULT]!;
  const jobSeconds = durations(numbers, JOB_DURATIONS, JOB_NS);
  const taken = sum([...requests, ...controlRequests].map(({ statuses }) => sum(Object.values(statuses))));
  const jobsOpen = Math.max(0, numbers[POSTED_JOBS]! - sum(jobSeconds.counts));
  return {
    queue,
    ring: {
      isStarted: numbers[STARTED] === 1,
      format: numbers[PACKED] === 1 ? "packed" : "split",
      size: numbers[RING_SIZE]!,
      position: numbers[POSITION]!,
      fault: fault === RING_OK ? null : RING_FAULTS[fault]!,
    },
    requests,
    controlRequests,
    batches: {
      bounds: BATCH_BOUNDS,
      counts: [...numbers.subarray(BATCH_SIZES, BATCH_SIZES + BATCH_SIZE_BUCKETS), 0],
      sum: taken + jobsOpen,
    },
    seconds: durations(numbers, BATCH_DURATIONS, BATCH_NS),
    burstRequests: numbers[BURST_REQUESTS]!,
    jobsOpen,
    jobSeconds,
    kicks: numbers[KICKS]!,
    calls: numbers[CALLS]!,
  };
}

/** The counters of a device, as the isolate that made it reads them. */
export class DeviceCounters {
  /** What each data queue counts. */
  readonly data: readonly CounterMemory[];
  /** What the control queue counts. */
  readonly control: CounterMemory;
  readonly #sessions: SessionTable;
  readonly #refused: Record<string, number> = {};

  /** Reads what queues count in `data` and `control`, and looks at `sessions`. */
  constructor(data: readonly CounterMemory[], control: CounterMemory, sessions: SessionTable) {
    this.data = data;
    this.control = control;
    this.#sessions = sessions;
  }

  /** A session that was asked for by a message, not on the control queue, has not been created. */
  refused(status: number): void {
    const name = STATUS_NAMES[status] ?? STATUS_NAMES.at(-1)!;
    this.#refused[name] = (this.#refused[name] ?? 0) + 1;
  }

  /** A snapshot. */
  read(): DeviceStatistics {
    const control = readQueue("control", this.control);
    const queues = [...this.data.map((numbers, i) => readQueue(String(i), numbers)), control];
    const { count, slots, createdCount } = this.#sessions;
    let refused: Record<string, number> = this.#refused;
    for (const { operation, statuses } of control.controlRequests) {
      const { ok: _, ...others } = statuses;
      if (operation === "create") refused = addCounts(refused, others);
    }
    return {
      queues,
      sessions: { count, max: slots, created: createdCount, destroyed: createdCount - count, refused },
    };
  }
}
