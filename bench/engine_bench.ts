/** R1: bare EVP through FFI, the engine, and the path from ring to ring in this thread; 64 requests per round. */
import { bare } from "./support/bare.ts";
import { ITERATIONS, someOf } from "./support/brief.ts";
import { engineVariant } from "./support/engine_variant.ts";
import { RingRig } from "./support/ring_rig.ts";
import { WORKLOADS } from "./support/workloads.ts";

const TURN = 64;

for (const workload of WORKLOADS) {
  for (const sizeBytes of someOf([16, 64, 256, 1024, 4096, 16384, 65536])) {
    const makers = {
      "bare EVP": () => bare(workload, sizeBytes),
      engine: () => engineVariant(workload, sizeBytes),
      "ring to ring": () => new RingRig({ workload, sizeBytes, depth: TURN }),
    };
    for (const [name, make] of Object.entries(makers)) {
      let variant: ReturnType<typeof make> | undefined;
      Deno.bench(`${workload.name}, ${sizeBytes} B: ${name}`, {
        group: `${workload.name}, ${sizeBytes} B: ${TURN} requests`,
        baseline: name === "bare EVP",
        ...ITERATIONS,
      }, () => {
        variant ??= make();
        variant.measure(TURN);
      });
    }
  }
}
