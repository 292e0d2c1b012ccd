/**
 * How busy the processors are. Deno knows it too, for a permission that the program is not given.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check } from "./errno.ts";

/** Runnable threads on average over 1, 5 and 15 minutes. Throws {@linkcode SystemError}. */
export function loadAverages(): number[] {
  const averages = new Float64Array(3);
  check(libc.getloadavg(new Uint8Array(averages.buffer), averages.length), "getloadavg");
  return [...averages];
}
