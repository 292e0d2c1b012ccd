/** Split and packed rings: popping and completing the 256 chains of a round of the ring, by layout and depth. */
import { ITERATIONS } from "./support/brief.ts";
import { LAP_CHAINS, packedRig, splitRig } from "./rings_rig.ts";

for (const indirect of [false, true]) {
  const rigs = { split: splitRig(indirect), packed: packedRig(indirect) };
  for (const depth of [1, 16, 256]) {
    const layout = indirect ? "indirect" : "direct";
    for (const [format, rig] of Object.entries(rigs)) {
      Deno.bench(`${format}, ${layout}, depth ${depth}: ${LAP_CHAINS} chains`, {
        group: `${layout}, depth ${depth}`,
        baseline: format === "split",
        ...ITERATIONS,
      }, (b) => {
        rig.prepare();
        b.start();
        rig.run(depth);
        b.end();
      });
    }
  }
}
