/**
 * Reads a device's counters: from numbers in shared memory to a snapshot with names, which is plain data that JSON can
 * represent. It has no secrets: only counts, sizes, times and the names of algorithms.
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
  CALLS,
  type CounterMemory,
  DESTROYED,
  DURATION_BUCKETS,
  DURATION_UNIT_NS,
  FAULT,
  INVSESS,
  JOB_DURATIONS,
  JOB_NS,
  KICKS,
  LABELS_NUMBERS,
  LABELS_START,
  MULTI_BUFFER_REQUESTS,
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
import { DESTRUCTION_CAUSES, type DestructionCause } from "./destruction_causes.ts";
import { INVSESS_REASONS } from "./invsess_reasons.ts";
import type { StatisticsState } from "../handover/state.ts";
import type { SessionTable } from "./sessions.ts";

/** Names of statuses in snapshots, by number; the last name is for all other statuses. */
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
  /** Number of values in each bucket: at or below each of {@linkcode bounds}, then above the last one. */
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
  /**
   * For example `AES-CBC`, or `AES-CBC+HMAC-SHA1` for chains; `unknown` if the request was refused before it was known.
   */
  readonly algorithm: string;
  /** Number of requests answered with each status, by its name in lower case; statuses with 0 requests are missing. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Bytes of source data of the requests answered with OK. */
  readonly sourceBytes: number;
  /** Bytes of their results. */
  readonly resultBytes: number;
}

/** Control requests of one kind. */
export interface ControlCounts {
  /** `create`, `destroy` or `unknown`. */
  readonly operation: string;
  /** The service, as in {@linkcode RequestCounts}. */
  readonly service: string;
  /** Requests by status, as in {@linkcode RequestCounts}. */
  readonly statuses: Readonly<Record<string, number>>;
}

/** The state of a ring. */
export interface RingState {
  /** Whether it is being served. */
  readonly isStarted: boolean;
  /** `split` or `packed`; the format of the last ring if it is stopped. */
  readonly format: string;
  /** Number of entries; 0 if the ring has never been started. */
  readonly size: number;
  /** The position from which it continues, in the format of GET_VRING_BASE. */
  readonly position: number;
  /** The reason why it is halted, if the guest has broken it. */
  readonly fault: string | null;
}

/** Counters of a queue since the device was made. */
export interface QueueStatistics {
  /** The index of a data queue, or `control`. */
  readonly queue: string;
  /** Its ring. */
  readonly ring: RingState;
  /** Data requests, without those in flight. */
  readonly requests: readonly RequestCounts[];
  /**
   * Data requests answered with INVSESS, by what is known of the session that they name: `invalid` (no session can have
   * the id), `unknown` (none has had it), `destroyed`, `other_service`; reasons with 0 requests are missing.
   */
  readonly invalidSessions: Readonly<Record<string, number>>;
  /** Control requests. */
  readonly controlRequests: readonly ControlCounts[];
  /** Sizes of batches, in requests. */
  readonly batches: Distribution;
  /** Seconds from popping a request to completing it, measured for one batch in 61, without asymmetric jobs. */
  readonly seconds: Distribution;
  /** Requests executed in multi-buffer batches; the others were executed sequentially, or not at all. */
  readonly burstRequests: number;
  /** Asymmetric jobs in flight. */
  readonly jobsOpen: number;
  /** Seconds from popping an asymmetric request to completing it, including waiting. */
  readonly jobSeconds: Distribution;
  /** Kicks received. */
  readonly kicks: number;
  /** Notifications sent. */
  readonly calls: number;
}

/** Counters of sessions. */
export interface SessionStatistics {
  /** Sessions that exist. */
  readonly count: number;
  /** Maximum number of sessions. */
  readonly max: number;
  /** Sessions created so far. */
  readonly created: number;
  /** Sessions destroyed so far. */
  readonly destroyed: number;
  /**
   * The same by cause: `driver`, `message`, `features`, `restart`, `reset`, `load`, `disconnect`. Sessions that another
   * process continues with are not destroyed.
   */
  readonly destroyedBy: Readonly<Record<string, number>>;
  /** Refused sessions, by the status of the answer. */
  readonly refused: Readonly<Record<string, number>>;
}

/** Counters of a device since it was made, over all frontends. */
export interface DeviceStatistics {
  /** The data queues in order, then the control queue. */
  readonly queues: readonly QueueStatistics[];
  /** Sessions of all origins. */
  readonly sessions: SessionStatistics;
}

/** The names of metric labels: service and algorithm. */
type LabelSet = readonly [service: string, algorithm: string];

function named(
  names: string[],
  first: number,
  rows: readonly { readonly algo: number; readonly name: string }[],
): void {
  for (const { algo, name } of rows) names[first + algo] = name;
}

/** Algorithm names by labels; labels without a name are unknown algorithms. */
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

/** The names of data requests' labels, created on first use. */
function labelSets(): readonly LabelSet[] {
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
  // Two numbers of the same algorithm, or of one asymmetric algorithm in both forms, share a name.
  const requests = new Map<string, RequestCounts>();
  for (let labels = 0; labels < LABELS_CREATE; labels++) {
    const at = LABELS_START + LABELS_NUMBERS * labels;
    const statuses = statusesAt(numbers, at);
    if (statuses === undefined) continue;
    const [service, algorithm] = labelSets()[labels]!;
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
    const statuses = statusesAt(numbers, LABELS_START + LABELS_NUMBERS * labels);
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
    invalidSessions: Object.fromEntries(
      INVSESS_REASONS.map((name, i) => [name, numbers[INVSESS + i]!] as const).filter(([_, count]) => count > 0),
    ),
    controlRequests,
    batches: {
      bounds: BATCH_BOUNDS,
      counts: [...numbers.subarray(BATCH_SIZES, BATCH_SIZES + BATCH_SIZE_BUCKETS), 0],
      sum: taken + jobsOpen,
    },
    seconds: durations(numbers, BATCH_DURATIONS, BATCH_NS),
    burstRequests: numbers[MULTI_BUFFER_REQUESTS]!,
    jobsOpen,
    jobSeconds,
    kicks: numbers[KICKS]!,
    calls: numbers[CALLS]!,
  };
}

/** Adds the totals of `more` to `numbers`, unless they have other labels; the state of the ring is this process's own. */
function addCounters(numbers: CounterMemory, more: Float64Array | undefined): void {
  if (more?.length !== numbers.length) return;
  for (let i = KICKS; i < numbers.length; i++) if (more[i]! >= 0 && more[i]! < Infinity) numbers[i]! += more[i]!;
}

/** The counters of a device, for the thread that made it. */
export class DeviceCounters {
  /** The counters of each data queue. */
  readonly data: readonly CounterMemory[];
  /** The counters of the control queue. */
  readonly control: CounterMemory;
  readonly #sessions: SessionTable;
  readonly #refused: Record<string, number> = {};

  /** Reads the counters of queues in `data` and `control`, and those of `sessions`. */
  constructor(data: readonly CounterMemory[], control: CounterMemory, sessions: SessionTable) {
    this.data = data;
    this.control = control;
    this.#sessions = sessions;
  }

  /** Counts a session message that was refused. */
  refused(status: number): void {
    const name = STATUS_NAMES[status] ?? STATUS_NAMES.at(-1)!;
    this.#refused[name] = (this.#refused[name] ?? 0) + 1;
  }

  /** Counts `count` sessions that were destroyed without a request of the control queue. */
  destroyed(cause: DestructionCause, count: number): void {
    this.control[DESTROYED + DESTRUCTION_CAUSES.indexOf(cause)]! += count;
  }

  /** Sets everything to 0. No ring is served. */
  clear(): void {
    for (const numbers of [...this.data, this.control]) numbers.fill(0);
    this.#sessions.createdCount = 0;
  }

  /** The numbers of all queues, the control queue's last, and of refused session messages. */
  exportState(): Omit<StatisticsState, "connectionCount"> {
    return { refused: { ...this.#refused }, queues: [...this.data, this.control] };
  }

  /** Adds the numbers of another process, as far as they are of the same kind. */
  add({ refused, queues }: Omit<StatisticsState, "connectionCount">): void {
    for (const name of STATUS_NAMES) {
      const count = refused[name];
      if (count !== undefined) this.#refused[name] = (this.#refused[name] ?? 0) + count;
    }
    [...this.data, this.control].forEach((numbers, i) => addCounters(numbers, queues[i]));
  }

  /** Batches of all queues. */
  get batchCount(): number {
    let count = 0;
    for (const numbers of [...this.data, this.control]) {
      for (let i = 0; i < BATCH_SIZE_BUCKETS; i++) count += numbers[BATCH_SIZES + i]!;
    }
    return count;
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
    const destroyedBy = Object.fromEntries(DESTRUCTION_CAUSES.map((cause, i) => [cause, this.control[DESTROYED + i]!]));
    const destroyed = sum(Object.values(destroyedBy));
    return { queues, sessions: { count, max: slots, created: createdCount, destroyed, destroyedBy, refused } };
  }
}
