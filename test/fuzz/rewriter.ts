/**
 * A worker that rewrites guest memory continuously while the device executes requests, as a guest with several CPUs can.
 * It writes plausible words, so that the device does not stop at the first check.
 *
 * @module
 */
import { makeRandom } from "../../src/driver/random.ts";
import { viewOf } from "../../src/os/memory_map.ts";
import { disturb, type Disturbance } from "../disturbance.ts";

/** The memory to rewrite. */
export interface RewriteOrder extends Disturbance {
  /** Ranges of this process's memory, with the words that may be written there. */
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
      // The word is restored soon, so that it corrupts the requests in flight only.
      const old = Atomics.exchange(view, at, words[random(words.length)]!);
      if (random(4) > 0) Atomics.store(view, at, old);
    }
    return 64;
  });
});
