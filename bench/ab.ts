/**
 * Compares the figures of two commits that `scripts/ab-bench` has measured, and prints a table of ratios.
 *
 * @module
 */
import { digits, type Figure } from "./figures/figure.ts";
import { quartiles, ratios, verdictOf } from "./support/ratio.ts";

/** One figure of both sides over all rounds. */
export interface Pair {
  /** The figure's id. */
  readonly id: string;
  /** Values of commit A, by round. */
  readonly a: readonly number[];
  /** Values of commit B, by round. */
  readonly b: readonly number[];
}

/** Minimum number of rounds for a verdict. */
const ROUNDS_MIN = 5;

/**
 * Pairs the values of both sides by round, calm values if there are any. Figures that one side lacks are omitted.
 */
export function pairsOf(a: readonly (readonly Figure[])[], b: readonly (readonly Figure[])[]): Pair[] {
  const values = (rounds: readonly (readonly Figure[])[], id: string) =>
    rounds.flatMap((figures) => figures.filter((figure) => figure.id === id).map(({ value, calm = value }) => calm));
  return a[0]!.map(({ id }) => ({ id, a: values(a, id), b: values(b, id) }))
    .filter((pair) => pair.a.length === a.length && pair.b.length === a.length);
}

/** One line of the table. Ratios with a zero are not comparable. */
export function lineOf({ id, a, b }: Pair): string {
  const comparable = ratios(b, a).filter((ratio) => Number.isFinite(ratio) && ratio > 0);
  const medians = `${digits(quartiles(a).median)} → ${digits(quartiles(b).median)}`;
  if (comparable.length < a.length) return `${id.padEnd(36)} ${medians.padEnd(20)} not comparable`;
  const of = quartiles(comparable);
  const range = `× ${of.median.toFixed(3)} (${of.p25.toFixed(3)} … ${of.p75.toFixed(3)})`;
  return `${id.padEnd(36)} ${medians.padEnd(20)} ${range.padEnd(26)} ${
    a.length < ROUNDS_MIN ? `too few rounds: a verdict needs ${ROUNDS_MIN}` : verdictOf(of)
  }`;
}

function read(directory: string, side: string, rounds: number): Figure[][] {
  return Array.from({ length: rounds }, (_, i) => {
    const text = Deno.readTextFileSync(`${directory}/${side}.${i + 1}.json`);
    return (JSON.parse(text) as { figures: Figure[] }).figures;
  });
}

if (import.meta.main) {
  const [directory, rounds] = [Deno.args[0]!, Number(Deno.args[1])];
  console.log(`${"figure".padEnd(36)} ${"A → B".padEnd(20)} ${"B / A (quartiles)".padEnd(26)} verdict on B`);
  for (const pair of pairsOf(read(directory, "a", rounds), read(directory, "b", rounds))) console.log(lineOf(pair));
}
