/**
 * A worker that rewrites guest memory without pause while the device works on it: what a guest with more processors
 * does. It writes words that are plausible where they stand, so that the device gets far.
 *
 * @module
 */
import { makeRandom } from "../../src/driver/random.ts";
import { viewOf } from "../../src/os/memory_map.ts";

/** What to rewrite. */
export interface RewriteOrder {
  /** Stretches of this process's memory: where, how long, and what may be written there. */
  readonly stretches: readonly { address: number; sizeBytes: number; words: readonly number[] }[];
  readonly seed: number;
  /** Element 0: anything but 0 ends it. Element 1: words written. Element 2: 1 when it has ended. */
  readonly control: Int32Array<SharedArrayBuffer>;
}

addEventListener("message", (event) => {
  const { stretches, seed, control } = (event as MessageEvent<RewriteOrder>).data;
  const random = makeRandom(seed);
  const views = stretches.map(({ address, sizeBytes }) => new Uint32Array(viewOf(address, sizeBytes)));
  while (Atomics.load(control, 0) === 0) {
    for (let i = 0; i < 64; i++) {
      const which = random(views.length);
      const view = views[which]!;
      const { words } = stretches[which]!;
      const at = random(view.length);
      // A word that is put back soon spoils what is under way, and not all that follows.
      const old = Atomics.exchange(view, at, words[random(words.length)]!);
      if (random(4) > 0) Atomics.store(view, at, old);
    }
    Atomics.add(control, 1, 64);
  }
  Atomics.store(control, 2, 1);
  Atomics.notify(control, 2);
});
