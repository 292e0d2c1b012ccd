/**
 * Suggestions for words that people mistype.
 *
 * @module
 */

/** The number of single characters to insert, remove, replace or exchange with the next to turn `from` into `to`. */
function editDistance(from: string, to: string): number {
  let before: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const isEqual = from[i - 1] === to[j - 1];
      let distance = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (isEqual ? 0 : 1));
      const isExchange = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (isExchange) distance = Math.min(distance, before[j - 2]! + 1);
      row.push(distance);
    }
    before = last;
    last = row;
  }
  return last[to.length]!;
}

/** The word of `words` that is nearest to `mistyped`; undefined if none is near. */
export function suggest(mistyped: string, words: readonly string[]): string | undefined {
  const text = mistyped.toLowerCase().replaceAll("_", "-");
  if (text.length < 2) return undefined;
  const begun = words.filter((word) => word.startsWith(text));
  if (begun.length > 0) return begun[0];
  const distanceMax = Math.max(1, Math.floor(text.length / 3));
  let best: string | undefined;
  let bestDistance = distanceMax + 1;
  for (const word of words) {
    const distance = editDistance(text, word);
    if (distance < bestDistance) [best, bestDistance] = [word, distance];
  }
  return best;
}
