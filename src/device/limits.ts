/**
 * Every limit of the device in one place, with the reason for its size.
 *
 * @module
 */
export { REGIONS_MAX } from "../memory/guest_memory.ts";
export { BATCH_BYTES_MAX, BATCH_CHAINS_MAX, BATCH_SEGMENTS_MAX } from "../virtqueue/chain.ts";
export { INDIRECT_ENTRIES_MAX } from "../virtqueue/indirect.ts";
export { REQUEST_BYTES_MAX } from "../engine/limits.ts";
export { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX, IV_BYTES_MAX } from "../engine/operation.ts";

/** Data queues. The configuration space could say 65535; QEMU takes 64. */
export const DATA_QUEUES_MAX = 64;
/** Sessions by default. A guest's reset may leave the old ones in use until the frontend disconnects. */
export const SESSIONS_DEFAULT = 4096;
/** Maximum number of sessions that can be configured: 16 bits of an id are the generation of its slot. */
export const SESSIONS_MAX = 65536;
/** Batches in a queue's round, after which other queues are served. */
export const ROUND_BATCHES_MAX = 8;
/** Maximum busy-poll time of a worker by default, in microseconds. */
export const POLL_US_DEFAULT = 50;
/**
 * Asymmetric operations that one queue may have in flight. The queue is throttled while it cannot submit another one.
 */
export const JOBS_PER_QUEUE_MAX = 256;
/**
 * Maximum time, in milliseconds, that the asymmetric operations in flight of one queue may take altogether, estimated
 * from earlier ones; a single operation may take longer. Further requests stay in the ring, also when the queue stops.
 */
export const JOB_BACKLOG_MS_MAX = 200;
/**
 * Maximum time, in milliseconds, that stopping a queue or ending the process waits for asymmetric operations in flight:
 * a VMM stops its guest meanwhile. An operation that takes longer is abandoned.
 */
export const STOP_MS_MAX = 200;
/**
 * Maximum time, in milliseconds, that asymmetric operations before an answered request are given when all queues are
 * halted at once, as for another memory table: their requests cannot return to the ring, and would be answered with ERR.
 */
export const HALT_MS_MAX = 1000;
/** Bytes that an asymmetric operation may read: a DER key of 8 KiB, and a message of 8 KiB. */
export const JOB_INPUT_BYTES_MAX = 16384;
/** Bytes that an asymmetric operation may write: an RSA key with all its components. */
export const JOB_OUTPUT_BYTES_MAX = 16384;
/**
 * Devices of one process. Each device blocks a thread of the runtime's pool, which has 32 threads and needs some for
 * files. Further guests need further processes, which also isolate them from each other.
 */
export const SOCKETS_MAX = 16;
