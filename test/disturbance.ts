/**
 * Another thread that changes memory while something is tested: how it is started, waited for and ended.
 *
 * @module
 */

/** What a disturbing thread and its test share. */
export interface Disturbance {
  /** Element 0: anything but 0 ends it. Element 1: counts what it has done. Element 2: 1 when it has ended. */
  readonly control: Int32Array<SharedArrayBuffer>;
}

/** Runs `body` while the worker at `url` executes `order`; returns how much it has done. */
export async function whileDisturbed<Order extends Disturbance>(
  url: URL,
  order: Omit<Order, "control">,
  body: () => Promise<void>,
): Promise<number> {
  const control = new Int32Array(new SharedArrayBuffer(12));
  const worker = new Worker(url, { type: "module" });
  worker.postMessage({ ...order, control });
  try {
    while (Atomics.load(control, 1) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await body();
  } finally {
    Atomics.store(control, 0, 1);
    await Atomics.waitAsync(control, 2, 0).value;
    worker.terminate();
  }
  return Atomics.load(control, 1);
}

/** In the worker: calls `step`, which returns how much it has done, until told to end. */
export function disturb({ control }: Disturbance, step: () => number): void {
  while (Atomics.load(control, 0) === 0) Atomics.add(control, 1, step());
  Atomics.store(control, 2, 1);
  Atomics.notify(control, 2);
}
