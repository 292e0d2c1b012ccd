/**
 * What the tests of the asymmetric engine share: native places for inputs and outputs, and jobs run on byte arrays.
 *
 * @module
 */
import type { AkcipherKey } from "../../src/engine/asymmetric/akcipher.ts";
import { AkcipherKeySpec, type AsymmetricJob } from "../../src/engine/asymmetric/job.ts";
import { statusOf } from "../../src/device/outcomes.ts";
import { JobExecutor } from "../../src/engine/asymmetric/job_executor.ts";
import { mapSecret } from "../../src/os/memory_map.ts";

const PLACE_BYTES = 1 << 20;
const inputs = mapSecret(PLACE_BYTES);
const outputs = mapSecret(PLACE_BYTES);
const inputBytes = new Uint8Array(inputs.buffer);
const outputBytes = new Uint8Array(outputs.buffer);

/** A job's status, and what it wrote. */
export interface Outcome {
  readonly status: number;
  readonly bytes: Uint8Array;
}

/** Puts the byte arrays one after the other at the place of inputs; its address. */
export function place(...parts: Uint8Array[]): number {
  let used = 0;
  for (const part of parts) {
    inputBytes.set(part, used);
    used += part.length;
  }
  return inputs.address;
}

/** Numbers of an AKCIPHER key. */
export interface KeyNumbers {
  readonly algo: number;
  readonly keyType: number;
  readonly para0: number;
  readonly para1?: number;
}

/** A specification of a key whose DER stands at the place of inputs. */
export function specOf(numbers: KeyNumbers, der: Uint8Array): AkcipherKeySpec {
  const spec = new AkcipherKeySpec();
  Object.assign(spec, numbers);
  spec.key = place(der);
  spec.keyLen = der.length;
  return spec;
}

/** Runs all jobs of these tests. */
export const executor: JobExecutor = new JobExecutor();

/** The prepared key, or the status of the refusal. */
export function prepare(numbers: KeyNumbers, der: Uint8Array): AkcipherKey | number {
  const key = executor.akcipher.prepare(specOf(numbers, der));
  return typeof key === "number" ? statusOf(key) : key;
}

const GUARD = 0xa5;
const akcipherJob = executor.job;

function execute(capacity: number, job: AsymmetricJob = akcipherJob): Outcome {
  outputBytes.fill(GUARD, 0, capacity + 64);
  job.output = outputs.address;
  job.outputCapacity = capacity;
  executor.run(job);
  const limit = job.written > capacity ? -1 : capacity;
  for (let i = Math.max(limit, 0); i < capacity + 64; i++) {
    if (outputBytes[i] !== GUARD) throw new Error(`the job wrote at ${i}, behind its capacity of ${capacity}`);
  }
  return { status: statusOf(job.outcome), bytes: outputBytes.slice(0, job.written) };
}

/** Runs `job` on a request. */
export function runRequest(job: AsymmetricJob, request: Uint8Array, capacity: number): Outcome {
  job.input = place(request);
  job.inputLen = request.length;
  return execute(capacity, job);
}

/** Runs an AKCIPHER operation on `input`; for VERIFY that is the signature, and `digest` goes behind it. */
export function runAkcipherOn(
  key: AkcipherKey,
  opcode: number,
  input: Uint8Array,
  capacityOrDigest: number | Uint8Array,
): Outcome {
  const digest = typeof capacityOrDigest === "number" ? new Uint8Array() : capacityOrDigest;
  akcipherJob.form = 0;
  akcipherJob.opcode = opcode;
  akcipherJob.key = key;
  akcipherJob.input = place(input, digest);
  akcipherJob.inputLen = input.length;
  akcipherJob.digestLen = digest.length;
  return execute(typeof capacityOrDigest === "number" ? capacityOrDigest : 0);
}

/** Runs an AKCIPHER operation that brings its key. */
export function runStateless(
  { der, ...numbers }: KeyNumbers & { readonly der: Uint8Array },
  opcode: number,
  input: Uint8Array,
  capacity: number,
): Outcome {
  const address = place(der, input);
  akcipherJob.form = 0;
  akcipherJob.opcode = opcode;
  akcipherJob.key = null;
  Object.assign(akcipherJob.ownKey, numbers);
  akcipherJob.ownKey.key = address;
  akcipherJob.ownKey.keyLen = der.length;
  akcipherJob.input = address + der.length;
  akcipherJob.inputLen = input.length;
  akcipherJob.digestLen = 0;
  return execute(capacity);
}

/** KiB of this process's memory outside JavaScript's own heap, which grows and shrinks as it likes. */
export function nativeKib(): number {
  const { rss, heapTotal } = Deno.memoryUsage();
  return Math.round((rss - heapTotal) / 1024);
}
