/**
 * The command line of soaks, see `scripts/soak`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { chart, figuresOf, summary } from "./report.ts";
import { soak } from "./soak.ts";

const USAGE =
  "Usage: soak --minutes=N [--workers=N] [--queues=N] [--seed=S] [--handover-seconds=N] [--svg=FILE] [--json]";
const OPTIONS = ["minutes", "workers", "queues", "seed", "handover-seconds", "svg"] as const;

/** Reports an error in the command line, and exits. */
function usage(what: string): never {
  console.error(`${what}\n${USAGE}`);
  Deno.exit(2);
}

const unknown = Deno.args.find((arg) => arg !== "--json" && !OPTIONS.some((name) => arg.startsWith(`--${name}=`)));
if (unknown !== undefined) usage(`There is no option ${unknown}.`);
const args = parseArgs(Deno.args, { string: [...OPTIONS], boolean: ["json"] });

function number(name: (typeof OPTIONS)[number], usual: number, min: number, max: number): number {
  const text = args[name] as string | undefined;
  const value = text === undefined ? usual : Number(text);
  if (text === "" || !(value >= min && value <= max)) usage(`--${name} must be a number from ${min} to ${max}.`);
  return value;
}

const json = args["json"] === true;
const result = await soak({
  minutes: number("minutes", 1, 0.05, 10_000),
  workers: number("workers", 1, 0, 64),
  queues: number("queues", 2, 1, 64),
  seed: number("seed", crypto.getRandomValues(new Uint32Array(1))[0]!, 0, 2 ** 32 - 1),
  handoverSeconds: number("handover-seconds", 0, 0, 10_000),
  say: json ? () => {} : (line) => console.error(line),
});
const svgPath = args["svg"] as string | undefined;
if (svgPath !== undefined) Deno.writeTextFileSync(svgPath, chart(result));
const { lines, isWell } = summary(result);
if (json) console.log(JSON.stringify({ ...result, figures: figuresOf(result), isWell }));
else console.log(lines.join("\n"));
if (!isWell && json) console.error(lines.at(-1));
Deno.exit(isWell ? 0 : 1);
