/**
 * Known answers for every symmetric algorithm as one stream: literals from standards first, then the files of a Debian
 * package if it is installed. The order is always the same.
 *
 * @module
 */

import { engineAnswers } from "../engines/known_answers.ts";
import type { KnownAnswer } from "./answer.ts";
import { PACKAGE_FILES, packageReadings } from "./package_files.ts";
import { publishedAeads } from "./published_aeads.ts";
import { publishedCiphers } from "./published_ciphers.ts";
import { publishedHashes } from "./published_hashes.ts";
import { publishedMacs } from "./published_macs.ts";

export type { KnownAnswer } from "./answer.ts";
export { missingSources } from "./package_files.ts";

/** Selects answers. */
export interface Filter {
  /** Of this service only. */
  service?: number;
  /** Of this algorithm number only. */
  algo?: number;
  /** Maximum number for each algorithm, distributed over directions, refusals, key sizes and sources, in this order. */
  maxPerAlgo?: number;
}

/** The sources of an algorithm's answers. */
interface Source {
  service: number;
  algo: number;
  answers(): Iterable<KnownAnswer>;
}

/** The answers that `filter` lets through, ordered by service and algorithm. */
export function* knownAnswers(filter: Filter = {}): Generator<KnownAnswer> {
  const wanted = sources().filter((source) =>
    (filter.service ?? source.service) === source.service && (filter.algo ?? source.algo) === source.algo
  );
  const byAlgo = Map.groupBy(wanted, (source) => source.service << 16 | source.algo);
  for (const id of [...byAlgo.keys()].sort((a, b) => a - b)) {
    const answers = byAlgo.get(id)!.values().flatMap((source) => source.answers());
    if (filter.maxPerAlgo === undefined) yield* answers;
    else yield* spread([...answers], filter.maxPerAlgo, [directionOf, keySizeOf, documentOf]);
  }
}

/** How many answers of the files are left out, by reason. */
export function leftOut(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const file of PACKAGE_FILES) {
    for (const reading of packageReadings(file)) {
      if (typeof reading === "string") counts.set(reading, (counts.get(reading) ?? 0) + 1);
    }
  }
  return counts;
}

function sources(): Source[] {
  const published = [
    ...publishedCiphers(),
    ...publishedHashes(),
    ...publishedMacs(),
    ...publishedAeads(),
    ...engineAnswers(),
  ];
  return [
    ...published.map((answer) => ({ service: answer.service, algo: answer.algo, answers: () => [answer] })),
    ...PACKAGE_FILES.map((file) => ({
      service: file.service,
      algo: file.algo,
      answers: () => packageReadings(file).flatMap((reading) => typeof reading === "string" ? [] : reading),
    })),
  ];
}

const directionOf = (answer: KnownAnswer) => `${answer.direction} ${answer.fails}`;
const keySizeOf = (answer: KnownAnswer) => `${answer.key.length}`;
const documentOf = (answer: KnownAnswer) => answer.source.slice(0, answer.source.lastIndexOf(" #"));

/** `max` of the answers in their order: equal shares for the groups of the first key, and within these of the next. */
function spread(answers: KnownAnswer[], max: number, keys: ((answer: KnownAnswer) => string)[]): KnownAnswer[] {
  if (answers.length <= max) return answers;
  const [key, ...otherKeys] = keys;
  if (key === undefined) {
    return Array.from({ length: max }, (_, i) => answers[Math.floor((i + 0.5) * answers.length / max)]!);
  }
  const groups = [...Map.groupBy(answers, key).values()];
  const shares = equalShares(groups.map((group) => group.length), max);
  return groups.flatMap((group, i) => spread(group, shares[i]!, otherKeys));
}

/** Distributes `total` evenly over those that are not exhausted. */
function equalShares(sizes: number[], total: number): number[] {
  const shares = sizes.map(() => 0);
  for (let left = total; left > 0;) {
    const before = left;
    for (const [i, size] of sizes.entries()) {
      if (left === 0 || shares[i] === size) continue;
      shares[i]!++;
      left--;
    }
    if (left === before) break;
  }
  return shares;
}
