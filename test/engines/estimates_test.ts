/** What is learnt of two ways of execution: which is faster here, at what cost, and that it is forgotten. */
import { assert, assertEquals } from "@std/assert";
import { WayEstimates } from "../../src/engine/multibuffer/estimates.ts";

/** Serves `batches` batches whose operations take `ns` in either way; returns the mean, and how many were multi-buffer. */
function serve(
  estimates: WayEstimates,
  ns: { readonly sequential: number; readonly multiBuffer: number },
  batches: number,
): { mean: number; multiBuffer: number } {
  const cell = estimates.cellOf(1024, 32, false);
  let sum = 0;
  let multiBuffer = 0;
  for (let i = 0; i < batches; i++) {
    const isMultiBuffer = estimates.choose(cell, false);
    const took = isMultiBuffer ? ns.multiBuffer : ns.sequential;
    if (isMultiBuffer) multiBuffer++;
    sum += took;
    // One batch in fifty is interrupted.
    if (estimates.isMeasured) estimates.record(cell, isMultiBuffer, i % 50 === 49 ? 100 * took : took);
  }
  return { mean: sum / batches, multiBuffer };
}

Deno.test("the faster way is found within some batches, whichever it is", () => {
  for (const ns of [{ sequential: 800, multiBuffer: 400 }, { sequential: 400, multiBuffer: 450 }]) {
    const estimates = new WayEstimates();
    serve(estimates, ns, 20);
    const isMultiBuffer = ns.multiBuffer < ns.sequential;
    assertEquals(estimates.prefers(estimates.cellOf(1024, 32, false), !isMultiBuffer), isMultiBuffer);
  }
});

Deno.test("trials of the slower way cost less than 1 %, however slow it is", () => {
  for (
    const ns of [1.1, 2, 8, 50].flatMap((slower) => [
      { sequential: 500 * slower, multiBuffer: 500 },
      { sequential: 500, multiBuffer: 500 * slower },
    ])
  ) {
    const estimates = new WayEstimates();
    serve(estimates, ns, 200);
    const { mean } = serve(estimates, ns, 100_000);
    assert(mean < 1.01 * 500, `${mean} ns on average with ${JSON.stringify(ns)}`);
  }
});

Deno.test("what was learnt is forgotten when conditions change", () => {
  const estimates = new WayEstimates();
  serve(estimates, { sequential: 800, multiBuffer: 400 }, 1000);
  const { multiBuffer } = serve(estimates, { sequential: 300, multiBuffer: 900 }, 4000);
  assert(multiBuffer < 400, `${multiBuffer} of 4000 batches in the slower way`);
  const again = serve(estimates, { sequential: 800, multiBuffer: 400 }, 4000);
  assert(again.multiBuffer > 3400, `${again.multiBuffer} of 4000 batches in the faster way`);
});

Deno.test("sizes, lanes and bounced data are learnt apart", () => {
  const estimates = new WayEstimates();
  const cells = [
    estimates.cellOf(64, 32, false),
    estimates.cellOf(1024, 32, false),
    estimates.cellOf(64, 4, false),
    estimates.cellOf(64, 32, true),
    estimates.cellOf(2 ** 31 - 1, 128, true),
  ];
  assertEquals(new Set(cells).size, cells.length);
  for (const [i, cell] of cells.entries()) {
    estimates.record(cell, true, i % 2 === 0 ? 100 : 300);
    estimates.record(cell, false, 200);
  }
  for (const [i, cell] of cells.entries()) assertEquals(estimates.prefers(cell, i % 2 !== 0), i % 2 === 0);
});

Deno.test("where operations cannot be executed in multi-buffer batches, they are not", () => {
  const estimates = new WayEstimates();
  const cell = estimates.cellOf(60, 32, false);
  let multiBuffer = 0;
  for (let i = 0; i < 10_000; i++) {
    if (estimates.choose(cell, true)) {
      multiBuffer++;
      if (estimates.isMeasured) estimates.exclude(cell);
    } else if (estimates.isMeasured) {
      estimates.record(cell, false, 300);
    }
  }
  assert(multiBuffer < 20, `${multiBuffer} of 10000 batches were tried`);
});
