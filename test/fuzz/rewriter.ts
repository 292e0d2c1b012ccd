/**
 * A worker that rewrites guest memory without pause while the device works on it: what a guest with several CPUs
 * does. It writes words that are plausible at their places, so that the device gets far.
 *
 * @module
 */
import { makeRandom } from "../../src/driver/random.ts";
import { viewOf } from "../../src/os/memory_map.ts";
import { disturb, type Disturbance } from "../disturbance.ts";

/** What to rewrite. */
export interface RewriteOrder extends Disturbance {
  /** Stretches of this process's memory: where, how long, and what may be written there. */
  readonly stretches: readonly { address: number; sizeBytes: number; words: readonly number[] }[];
  readonly seed: number;
}

addEventListener("message", (event) => {
  const order = (event as MessageEvent<RewriteOrder>).data;
  const { stretches, seed } = order;
  const random = makeRandom(seed);
  const views = stretches.map(({ address, sizeBytes }) => new Uint32Array(viewOf(address, sizeBytes)));
  disturb(order, () => {
    for (let i = 0; i < 64; i++) {
      const which = random(views.length);
      const view = views[which]!;
      const { words } = stretches[which]!;
      const at = random(view.length);
      // A word that is soon restored corrupts the requests in flight, and not all later ones.
      const old = Atomics.exchange(view, at, words[random(words.length)]!);
      if (random(4) > 0) Atomics.store(view, at, old);
    }
    return 64;
  });
});
