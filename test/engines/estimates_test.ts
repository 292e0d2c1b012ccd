/** Estimates of the two ways of execution: which is faster, the cost of learning, and changes of conditions. */
import { assert, assertEquals } from "@std/assert";
import { randomFrom } from "./multibuffer_support.ts";
import { KindEstimates, WayEstimates } from "../../src/engine/multibuffer/estimates.ts";

const COUNT = 32;

/** Nanoseconds of an operation in either way. */
interface Costs {
  readonly sequential: number;
  readonly multiBuffer: number;
}

/** Serves `batches` batches whose operations cost `ns`; returns the mean, and how many were multi-buffer. */
function serve(
  estimates: WayEstimates,
  ns: Costs,
  batches: number,
  count = COUNT,
): { mean: number; multiBuffer: number } {
  const random = randomFrom(1);
  let sum = 0;
  let multiBuffer = 0;
  for (let i = 0; i < batches; i++) {
    const isMultiBuffer = estimates.choose(count);
    const took = isMultiBuffer ? ns.multiBuffer : ns.sequential;
    if (isMultiBuffer) multiBuffer++;
    sum += took;
    // One batch in fifty is interrupted.
    const isInterrupted = random(1, 50) === 1;
    if (estimates.isMeasured) estimates.record(count, isMultiBuffer, count * (isInterrupted ? 100 * took : took));
  }
  return { mean: sum / batches, multiBuffer };
}

/** Costs of ways of which one, as often the one as the other, is slower by so many times. */
const COSTS: readonly Costs[] = [1.1, 2, 8, 50].flatMap((slower) => [
  { sequential: 500 * slower, multiBuffer: 500 },
  { sequential: 500, multiBuffer: 500 * slower },
]);

Deno.test("either way is found within some batches if it is faster", () => {
  for (const ns of COSTS) {
    const estimates = new WayEstimates();
    serve(estimates, ns, 20);
    const { multiBuffer } = serve(estimates, ns, 1000);
    const wanted = ns.multiBuffer < ns.sequential ? 1000 : 0;
    assert(Math.abs(multiBuffer - wanted) < 250, `${multiBuffer} of 1000 batches with ${JSON.stringify(ns)}`);
  }
});

Deno.test("trials of the slower way cost ten milliseconds at first and then less than 1 %, however slow it is", () => {
  for (const ns of COSTS) {
    const estimates = new WayEstimates();
    const early = serve(estimates, ns, 10_000);
    const excessNs = (early.mean - 500) * 10_000 * COUNT;
    const onceNs = COUNT * Math.max(ns.sequential, ns.multiBuffer);
    assert(excessNs < 1.1e7 + 2 * onceNs, `${excessNs} ns more at first with ${JSON.stringify(ns)}`);
    const { mean } = serve(estimates, ns, 100_000);
    assert(mean < 1.01 * 500, `${mean} ns on average with ${JSON.stringify(ns)}`);
  }
});

Deno.test("most batches are not measured, and the fewer the shorter they are", () => {
  for (const [count, interval] of [[1, 256], [2, 128], [4, 64], [COUNT, 64]] as const) {
    const estimates = new WayEstimates();
    serve(estimates, { sequential: 500, multiBuffer: 500 }, 5_000_000 / count, count);
    let measured = 0;
    for (let i = 0; i < 25 * 256; i++) {
      const isMultiBuffer = estimates.choose(count);
      if (!estimates.isMeasured) continue;
      measured++;
      estimates.record(count, isMultiBuffer, 500 * count);
    }
    assertEquals(measured, 25 * 256 / interval, `batches of ${count} requests`);
  }
});

Deno.test("estimates follow a change of conditions", () => {
  const estimates = new WayEstimates();
  serve(estimates, { sequential: 800, multiBuffer: 400 }, 1000);
  const { multiBuffer } = serve(estimates, { sequential: 300, multiBuffer: 900 }, 4000);
  assert(multiBuffer < 1000, `${multiBuffer} of 4000 batches in the slower way`);
  const again = serve(estimates, { sequential: 800, multiBuffer: 400 }, 4000);
  assert(again.multiBuffer > 3000, `${again.multiBuffer} of 4000 batches in the faster way`);
});

/** Serves one batch in a way that the estimates choose, and measures it if they want that. */
function serveOne(estimates: WayEstimates, ns: Costs, count: number): boolean {
  const isMultiBuffer = estimates.choose(count);
  const took = isMultiBuffer ? ns.multiBuffer : ns.sequential;
  if (estimates.isMeasured) estimates.record(count, isMultiBuffer, count * took);
  return isMultiBuffer;
}

Deno.test("a first measurement that was interrupted for milliseconds does not hide the faster way", () => {
  for (const ns of COSTS) {
    for (const interrupted of [0, 1, 2]) {
      const estimates = new WayEstimates();
      for (let i = 0; i < 3; i++) {
        const isMultiBuffer = estimates.choose(COUNT);
        const took = COUNT * (isMultiBuffer ? ns.multiBuffer : ns.sequential);
        estimates.record(COUNT, isMultiBuffer, i === interrupted ? took + 20e6 : took);
      }
      serve(estimates, ns, 100);
      const { multiBuffer } = serve(estimates, ns, 1000);
      const wanted = ns.multiBuffer < ns.sequential ? 1000 : 0;
      assert(Math.abs(multiBuffer - wanted) < 250, `${multiBuffer} of 1000 batches, measurement ${interrupted}`);
    }
  }
});

Deno.test("a batch length that is rare follows a change of conditions while trials of another one spend their share", () => {
  const estimates = new WayEstimates();
  let multiBuffer = 0;
  for (let round = 0; round < 600; round++) {
    const hasChanged = round >= 300;
    for (let i = 0; i < 200; i++) serveOne(estimates, { sequential: 800, multiBuffer: 400 }, 16);
    for (let i = 0; i < 10; i++) {
      const ns = hasChanged ? { sequential: 800, multiBuffer: 400 } : { sequential: 400, multiBuffer: 4000 };
      const isMultiBuffer = serveOne(estimates, ns, COUNT);
      if (round >= 550 && isMultiBuffer) multiBuffer++;
    }
  }
  assert(multiBuffer > 400, `${multiBuffer} of 500 batches in the faster way`);
});

Deno.test("sizes, batch lengths and bounced data are learnt apart", () => {
  const kind = new KindEstimates();
  const cells = [
    { estimates: kind.of(64, false), count: 32 },
    { estimates: kind.of(1024, false), count: 32 },
    { estimates: kind.of(64, false), count: 4 },
    { estimates: kind.of(64, true), count: 32 },
    { estimates: kind.of(2 ** 31 - 1, true), count: 128 },
  ];
  const costs = (i: number) => ({ sequential: 200, multiBuffer: i % 2 === 0 ? 100 : 300 });
  for (const [i, { estimates, count }] of cells.entries()) serve(estimates, costs(i), 1000, count);
  for (const [i, { estimates, count }] of cells.entries()) {
    const { multiBuffer } = serve(estimates, costs(i), 100, count);
    assertEquals(multiBuffer > 50, i % 2 === 0, `case ${i}`);
  }
  assert(kind.of(64, false) === kind.of(127, false));
});

Deno.test("a batch length that is new begins in the way that is preferred for the nearest one", () => {
  for (const ns of COSTS) {
    const estimates = new WayEstimates();
    serve(estimates, ns, 10_000, 32);
    const isMultiBuffer = ns.multiBuffer < ns.sequential;
    assertEquals(estimates.choose(16), isMultiBuffer);
    estimates.record(16, isMultiBuffer, 16 * 500);
    const { multiBuffer } = serve(estimates, ns, 40, 16);
    assert(isMultiBuffer ? multiBuffer >= 34 : multiBuffer <= 6, `${multiBuffer} of 40`);
  }
});
