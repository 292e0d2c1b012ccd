/**
 * How many requests a second go through a queue: a fixed number of them stays under way, and nothing but the ring is
 * touched in between. What it measures is device and driver together, on whatever processors they share.
 *
 * @module
 */
import { STATUS_OK } from "../wire/virtio_crypto.ts";
import type { Exercise } from "./checks.ts";
import type { CryptoDriver } from "./crypto_driver.ts";
import { DriverError, DriverTimeoutError } from "./errors.ts";
import { place, type Placement } from "./layout.ts";
import { nameOf, STATUS_NAMES } from "./names.ts";
import type { DriverQueue } from "./queue.ts";
import { encodeData, type RequestMode } from "./requests.ts";

/** What a run looks like. */
export interface RateOptions {
  /** Requests under way at a time. */
  readonly depth: number;
  /** Bytes of source data in each. */
  readonly sizeBytes: number;
  /** How long to go on. */
  readonly durationMs: number;
}

/** A queue that completes nothing for so long has stopped. */
const STALL_MS = 5000;
/** Polls between two looks at the clock. */
const POLLS_PER_LOOK = 64;

/** Keeps all `handles` under way for `durationMs`, then waits for the last of them; returns completions a second. */
function run(queue: DriverQueue, handles: readonly number[], durationMs: number): number {
  const start = performance.now();
  let now = start;
  let lastDone = start;
  let done = 0;
  for (const handle of handles) queue.submit(handle);
  queue.kick();
  for (let polls = 1; queue.inFlight > 0; polls++) {
    let count = 0;
    for (let token = queue.pollOne(); token >= 0; token = queue.pollOne()) {
      count++;
      if (now - start < durationMs) queue.submit(handles[token]!);
    }
    if (count > 0) queue.kick();
    done += count;
    if (count === 0 && polls % POLLS_PER_LOOK !== 0) continue;
    now = performance.now();
    if (count > 0) lastDone = now;
    else if (now - lastDone > STALL_MS) throw new DriverTimeoutError(`nothing was completed for ${STALL_MS} ms`);
  }
  return done / (lastDone - start) * 1000;
}

/** Measures requests of `exercise` in form `mode` on `driver`'s first data queue, which must be idle. */
export async function measureRate(
  driver: CryptoDriver,
  exercise: Exercise,
  mode: RequestMode,
  { depth, sizeBytes, durationMs }: RateOptions,
): Promise<number> {
  const queue = driver.dataQueues[0]!;
  const sessionId = await driver.createSession(exercise.session);
  const encoded = encodeData(exercise.request(sessionId, sizeBytes), mode);
  const placements: Placement[] = [];
  const handles: number[] = [];
  for (let i = 0; i < depth; i++) {
    const placement = place(driver.memory, encoded, { guards: false });
    placements.push(placement);
    handles.push(queue.prepare(placement.readable, placement.writable, i));
  }
  if (handles.some((handle) => handle < 0)) throw new DriverError(`a queue of ${queue.size} has no room for ${depth}`);
  queue.disableCalls();
  const rate = run(queue, handles, durationMs);
  for (const placement of placements) {
    const status = placement.read("status")[0]!;
    if (status !== STATUS_OK) throw new DriverError(`a request of the run got status ${nameOf(STATUS_NAMES, status)}`);
    placement.release();
  }
  for (const handle of handles) queue.discard(handle);
  await driver.destroySession(exercise.session.service, sessionId);
  return rate;
}
