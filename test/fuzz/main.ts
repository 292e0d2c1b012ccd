/**
 * The fuzzer's command line: rounds of every target in turn, split and packed, without and with a worker, until the time
 * is over. Prints the seed first: the same seed gives the same rounds. A round that fails is written to `corpus/`;
 * `--replay` repeats a stored input.
 *
 * @module
 */
import { PATIENT_MS } from "./bed.ts";
import { FOLDER, TARGETS } from "./corpus.ts";
import { fuzz, replayAll } from "./fuzzer.ts";

function option(name: string, fallback: string): string {
  const prefix = `--${name}=`;
  return Deno.args.find((arg) => arg.startsWith(prefix))?.slice(prefix.length) ?? fallback;
}

const known = ["seconds", "seed", "target", "workers", "replay"];
const unknown = Deno.args.find((arg) => !known.some((name) => arg.startsWith(`--${name}=`)));
if (unknown !== undefined) {
  console.error(
    `Usage: fuzz [--seconds=N] [--seed=S] [--workers=0|1] [--target=${TARGETS.map((t) => t.name).join("|")}] ` +
      "or fuzz --replay=FILE [--workers=0|1]",
  );
  Deno.exit(2);
}
const workers = option("workers", "");
const target = option("target", "");
const isolates = workers === "" ? [0, 1] : [Number(workers)];
const device = { timeoutMs: PATIENT_MS };
const file = option("replay", "");
if (file !== "") {
  await replayAll([[file, JSON.parse(await Deno.readTextFile(file))]], { workers: isolates, device });
  console.log("replayed, no failure");
  Deno.exit(0);
}
const totals = await fuzz({
  seconds: Number(option("seconds", "60")),
  seed: Number(option("seed", String(crypto.getRandomValues(new Uint32Array(1))[0]))),
  workers: isolates,
  device,
  keepIn: FOLDER,
  targets: TARGETS.filter(({ name }) => target === "" || name === target),
  say: (line) => console.log(line),
});
console.log(`${totals.cases} cases in ${totals.rounds} rounds, no failure`);
