/**
 * OpenSSL alone as a variant of a comparison: what the device is measured against.
 *
 * @module
 */
import { bareCalls } from "../../src/tools/benchmark/bare.ts";
import { timed, type Variant } from "./ratio.ts";
import type { Workload } from "./workloads.ts";

/** The calls that a request of `workload` with `sizeBytes` bytes comes down to. */
export function bare(workload: Workload, sizeBytes: number): Variant {
  const calls = bareCalls(workload.session, sizeBytes);
  if (calls === undefined) throw new Error(`there are no bare calls for ${workload.name}`);
  return timed("bare EVP", (count) => calls.run(count));
}
