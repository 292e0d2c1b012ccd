/**
 * A worker that changes words of guest memory continuously between given values while the device reads them, as a guest
 * with a second CPU can.
 *
 * @module
 */
import { viewOf } from "../../src/os/memory_map.ts";
import { disturb, type Disturbance } from "../disturbance.ts";

/** The word to change, and the signal to stop. */
export interface FlipOrder extends Disturbance {
  /** Address of the word in this process, a multiple of 4. */
  readonly address: number;
  /** Its values, in turn. */
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
