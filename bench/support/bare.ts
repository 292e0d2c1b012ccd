/**
 * OpenSSL alone as a variant of a comparison, the reference of the device.
 *
 * @module
 */
import { bareCalls } from "../../src/tools/benchmark/bare.ts";
import { compare, quantile, timed, type Variant } from "./ratio.ts";
import type { Workload } from "./workloads.ts";

/** The OpenSSL calls of a request of `workload` with `sizeBytes` bytes. */
export function bare(workload: Workload, sizeBytes: number): Variant {
  const calls = bareCalls(workload.session, sizeBytes);
  if (calls === undefined) throw new Error(`there are no bare calls for ${workload.name}`);
  return timed("bare EVP", (count) => calls.run(count));
}

/** Nanoseconds of a request that is executed by bare OpenSSL in this thread, in the least disturbed tenth of some turns. */
export function bareNs(workload: Workload, sizeBytes: number): number {
  const { ns } = compare([bare(workload, sizeBytes)], { rounds: 30, turnMs: 1, warmUpMs: 50 });
  return quantile(ns[0]!, 0.1);
}
