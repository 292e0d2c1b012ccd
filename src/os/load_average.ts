/**
 * The system's load averages. Deno offers them only with a permission that the program does not have.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check } from "./errno.ts";

/** The average number of runnable threads over 1, 5 and 15 minutes. Throws {@linkcode SystemError}. */
export function loadAverages(): number[] {
  const averages = new Float64Array(3);
  check(libc.getloadavg(new Uint8Array(averages.buffer), averages.length), "getloadavg");
  return [...averages];
}
