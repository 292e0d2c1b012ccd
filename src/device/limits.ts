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
/** Sessions, unless the user asks for more or fewer. A guest's reset may leak the old ones until it disconnects. */
export const SESSIONS_DEFAULT = 4096;
/** The most sessions a user can ask for: ids keep 16 bits to tell a slot's tenants apart. */
export const SESSIONS_MAX = 65536;
/** Batches that one queue gets before others have their turn. */
export const TURN_BATCHES_MAX = 8;
/** Microseconds that a worker isolate looks at its rings before it sleeps, at most, unless the user says otherwise. */
export const POLL_US_DEFAULT = 50;
/** Asymmetric operations that one queue may have in flight. The queue is idle while it cannot begin another one. */
export const JOBS_PER_QUEUE_MAX = 256;
/**
 * Milliseconds that the asymmetric operations of one queue may take altogether, as estimated from earlier ones, unless
 * there is only one. The others stay in the ring, where a stopped queue leaves them.
 */
export const JOB_BACKLOG_MS_MAX = 200;
/**
 * Milliseconds that stopping a queue, and ending the process, waits for asymmetric operations in flight: a VMM stops its
 * guest meanwhile. An operation that takes longer is abandoned.
 */
export const STOP_MS_MAX = 200;
/** Bytes that an asymmetric operation may read: a key as DER of 8 KiB, and a message of as many. */
export const JOB_INPUT_BYTES_MAX = 16384;
/** Bytes that it may write: an RSA key with all its parts. */
export const JOB_OUTPUT_BYTES_MAX = 16384;
/**
 * Devices of one process. Each sleeps on a thread of the runtime's pool, which has 32 and needs some for files; and
 * whoever wants more guests apart is better off with more processes.
 */
export const SOCKETS_MAX = 16;
