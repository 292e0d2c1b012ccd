/**
 * The ordering that rings, sessions and job queues rely on, as litmus tests of two threads over mapped memory (an
 * `ArrayBuffer`, not a `SharedArrayBuffer`): what `Atomics` promises must hold there as well.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { mapAnonymous, unmap } from "../../src/os/memory_map.ts";
import { type Litmus, litmusBytes, type LitmusOrder, resultWord } from "./litmus_worker.ts";

const ROUNDS = 2000;

/** Runs `litmus` and returns in how many rounds an access went ahead of one that stands before it. */
async function countReordered(litmus: Litmus): Promise<number> {
  const sizeBytes = litmusBytes(ROUNDS);
  const memory = mapAnonymous(sizeBytes);
  await Promise.all(([0, 1] as const).map((thread) => {
    const worker = new Worker(new URL("./litmus_worker.ts", import.meta.url), { type: "module" });
    const { promise, resolve } = Promise.withResolvers<void>();
    worker.onmessage = () => resolve();
    const order: LitmusOrder = { address: memory.address, sizeBytes, thread, rounds: ROUNDS, litmus };
    worker.postMessage(order);
    return promise.then(() => worker.terminate());
  }));
  const words = new Int32Array(memory.buffer);
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const [first, second] = [words[resultWord(0, round)], words[resultWord(1, round)]];
    if (first === 0 && second === 0) count++;
  }
  unmap(memory);
  return count;
}

Deno.test("ordering: of two sides that store and then load with Atomics, one at least sees the other's store", async () => {
  assertEquals(await countReordered("store, then load"), 0);
  // The same without Atomics shows what the test can find on this machine.
  const control = await countReordered("store, then load, without Atomics");
  if (control === 0) console.log("this machine has shown no reordering: the test above has proven nothing");
});

Deno.test("ordering: what was written before an atomic store is seen after the atomic load that saw it", async () => {
  assertEquals(await countReordered("write, then publish"), 0);
});
