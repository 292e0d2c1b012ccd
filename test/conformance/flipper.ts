/**
 * A worker that changes words of guest memory without pause, between the values it is given, while the device looks
 * at them: what a guest with a second CPU does.
 *
 * @module
 */
import { viewOf } from "../../src/os/memory_map.ts";
import { disturb, type Disturbance } from "../disturbance.ts";

/** What to flip, and when to stop. */
export interface FlipOrder extends Disturbance {
  /** Address of the word in this process, a multiple of 4. */
  readonly address: number;
  /** The values it takes on, in turn. */
  readonly values: readonly number[];
}

addEventListener("message", (event) => {
  const order = (event as MessageEvent<FlipOrder>).data;
  const word = new Uint32Array(viewOf(order.address, 4));
  disturb(order, () => {
    for (const value of order.values) Atomics.store(word, 0, value);
    return 1;
  });
});
