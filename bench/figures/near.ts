/**
 * Figures of one thread: the engine and the path from ring to ring, compared with bare EVP.
 *
 * @module
 */
import { ENGINES } from "../../src/engine/libraries.ts";
import { bare } from "../support/bare.ts";
import { EFFORT, someOf } from "../support/brief.ts";
import { engineVariant } from "../support/engine_variant.ts";
import { compare } from "../support/ratio.ts";
import { type RigOptions, RingRig } from "../support/ring_rig.ts";
import { AES_128_CBC, type Workload, WORKLOADS } from "../support/workloads.ts";
import { type Figure, overheadFigure, ratioFigure, timeFigure } from "./figure.ts";

/** R1: the rate of the engine with `workload`, as a share of bare EVP's. */
export function engine(workload: Workload): Figure[] {
  return someOf([16, 64, 256, 1024, 4096, 16384]).map((sizeBytes) => {
    const { ns } = compare([bare(workload, sizeBytes), engineVariant(workload, sizeBytes)], EFFORT);
    const id = `engine-${workload.name}-${sizeBytes}`;
    return ratioFigure(id, `bare EVP / engine, ${workload.name}, ${sizeBytes} B`, ns[0]!, ns[1]!);
  });
}

/** The cost of a request from ring to ring beyond bare EVP, in one format and layout. */
export function ring({ packed, indirect }: Required<Pick<RigOptions, "packed" | "indirect">>): Figure[] {
  const sizeBytes = 64;
  const { ns } = compare([bare(AES_128_CBC, sizeBytes), new RingRig({ sizeBytes, packed, indirect })], EFFORT);
  const name = `${packed ? "packed" : "split"}-${indirect ? "indirect" : "direct"}`;
  const what = `beyond bare EVP, ring to ring, depth 64, ${sizeBytes} B, ${name}`;
  return [
    overheadFigure(`overhead-${name}`, what, ns[0]!, ns[1]!),
    timeFigure(`ring-${name}-ns`, `a request ring to ring, depth 64, ${sizeBytes} B, ${name}`, ns[1]!),
  ];
}

/** Workloads with multi-buffer execution. */
const BURST_WORKLOADS = WORKLOADS.filter(({ name }) => !name.includes("XTS"));

/** Ring to ring at `depth` with libIPSec_MB, as a share of bare EVP and of the same without it. */
export function bursts(depth: number): Figure[] {
  return BURST_WORKLOADS.flatMap((workload) =>
    someOf([64, 256, 1024, 4096, 16384]).flatMap((sizeBytes) => {
      const without = new RingRig({ sizeBytes, depth, workload });
      const withBursts = new RingRig({ sizeBytes, depth, workload, engines: ENGINES });
      const { ns } = compare([bare(workload, sizeBytes), without, withBursts], EFFORT);
      const id = `bursts-${depth}-${workload.name}-${sizeBytes}`;
      const what = `ring to ring, multi-buffer, depth  ${depth}, ${workload.name}, ${sizeBytes} B`;
      return [
        timeFigure(id, what, ns[2]!),
        ratioFigure(`${id}-of-bare`, `bare EVP / ${what}`, ns[0]!, ns[2]!),
        ratioFigure(`${id}-of-single`, `sequential / ${what}`, ns[1]!, ns[2]!),
      ];
    })
  );
}
