/**
 * Holds a binary that `scripts/compile` has built to what the program from source does: the demo, workers,
 * the worker for jobs, its own driver. Reports how soon it serves, next to the program from source. Run by
 * `scripts/compile --test`.
 *
 * @module
 */
import { checkBinary } from "./check.ts";

const [program] = Deno.args;
if (program === undefined) {
  console.error("test/binary/main.ts: the path of the binary is missing: use scripts/compile --test");
  Deno.exit(2);
}
Deno.exit(await checkBinary(Deno.realPathSync(program)) ? 0 : 1);
