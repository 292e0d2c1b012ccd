/**
 * A worker that changes words of guest memory without pause, between the values it is given, while the device looks
 * at them: what a guest with a second processor does.
 *
 * @module
 */
import { viewOf } from "../../src/os/memory_map.ts";

/** What to flip, and when to stop. */
export interface FlipOrder {
  /** Address of the word in this process, a multiple of 4. */
  readonly address: number;
  /** The values it takes on, in turn. */
  readonly values: readonly number[];
  /** Element 0: anything but 0 ends it. Element 1: counts rounds. */
  readonly control: Int32Array<SharedArrayBuffer>;
}

addEventListener("message", (event) => {
  const { address, values, control } = (event as MessageEvent<FlipOrder>).data;
  const word = new Uint32Array(viewOf(address, 4));
  while (Atomics.load(control, 0) === 0) {
    for (const value of values) Atomics.store(word, 0, value);
    Atomics.add(control, 1, 1);
  }
  Atomics.store(control, 2, 1);
  Atomics.notify(control, 2);
});
