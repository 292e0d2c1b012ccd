/**
 * Figures of a device in another process with a polling driver: throughput compared with bare EVP.
 *
 * @module
 */
import { bare } from "../support/bare.ts";
import { FAR_EFFORT, someOf } from "../support/brief.ts";
import {
  bits,
  DIRECT,
  PACKED,
  PATIENT_DEVICE,
  SPINNING_DEVICE,
  spinningLoad,
  withFarSide,
} from "../support/far_side.ts";
import { MIXED_SIZES, mixedLoad } from "../support/mixed_load.ts";
import { compare, quartiles } from "../support/ratio.ts";
import { AES_128_CBC, type Workload } from "../support/workloads.ts";
import { F_CIPHER_STATELESS_MODE, F_MUX_MODE } from "../../src/wire/virtio_crypto.ts";
import { type Figure, ratioFigure, sampled, timeFigure } from "./figure.ts";

/** R3: the rates of `workload`, as shares of bare EVP's. */
export function endToEnd(workload: Workload): Promise<Figure[]> {
  const isMain = workload === AES_128_CBC;
  const sizes = isMain ? [16, 64, 256, 1024, 4096, 16384, 65536] : someOf([64, 256, 1024, 4096, 16384]);
  return withFarSide(SPINNING_DEVICE, {}, async (driver) => {
    const figures: Figure[] = [];
    for (const sizeBytes of sizes) {
      const load = await spinningLoad(driver, workload, [sizeBytes]);
      const { ns } = compare([bare(workload, sizeBytes), load.variant], FAR_EFFORT);
      await load.end();
      const name = `${workload.name}-${sizeBytes}`;
      const of = `${workload.name}, ${sizeBytes} B`;
      figures.push(
        ratioFigure(`end-to-end-${name}`, `rate / bare EVP's, ${of}`, ns[0]!, ns[1]!),
        timeFigure(`end-to-end-${name}-ns`, `a request, ${of}`, ns[1]!),
        timeFigure(`bare-${name}-ns`, `bare EVP, ${of}`, ns[0]!),
      );
    }
    return figures;
  });
}

/** Packed rings against split ones, end to end. */
export async function packed(): Promise<Figure[]> {
  const sizeBytes = 64;
  // The device that is not measured must be idle, as the two share a CPU.
  const ns = await withFarSide(PATIENT_DEVICE, {}, (split) => {
    return withFarSide(PATIENT_DEVICE, { features: PACKED }, async (packedDriver) => {
      const one = await spinningLoad(split, AES_128_CBC, [sizeBytes]);
      const other = await spinningLoad(packedDriver, AES_128_CBC, [sizeBytes]);
      const { ns } = compare([one.variant, other.variant], FAR_EFFORT);
      await one.end();
      await other.end();
      return ns;
    });
  });
  const what = `throughput, packed / split, ${sizeBytes} B`;
  return [ratioFigure("packed-vs-split-end-to-end", what, ns[0]!, ns[1]!)];
}

/** R6: sizes of network packets over a growing number of sessions, as shares of bare EVP's rate with one key. */
export function mixed(): Promise<Figure[]> {
  return withFarSide(SPINNING_DEVICE, {}, async (driver) => {
    const figures: Figure[] = [];
    const bares = MIXED_SIZES.map((sizeBytes) => bare(AES_128_CBC, sizeBytes));
    // A third of the requests of each size.
    const all = { name: "bare EVP", measure: (count: number) => bares.reduce((ms, b) => ms + b.measure(count / 3), 0) };
    for (const sessions of someOf([1, 64, 4095])) {
      const load = await mixedLoad(driver, sessions);
      const { ns } = compare([all, load.variant], FAR_EFFORT);
      await load.end();
      const what = `rate / bare EVP's, 64/576/1408 B, ${sessions} sessions`;
      figures.push(ratioFigure(`mixed-${sessions}`, what, ns[0]!, ns[1]!));
    }
    return figures;
  });
}

/** R7, second half: stateless requests with a fresh key each. */
export function stateless(): Promise<Figure[]> {
  const features = DIRECT | bits(F_MUX_MODE, F_CIPHER_STATELESS_MODE);
  return withFarSide(SPINNING_DEVICE, { features }, async (driver) => {
    const load = await spinningLoad(driver, AES_128_CBC, [64], { mode: "stateless", freshKeys: true });
    const { ns } = compare([load.variant], FAR_EFFORT);
    await load.end();
    return [sampled("stateless-per-s", "requests per second, a fresh key each, 64 B", "/s", quartiles(rates(ns[0]!)))];
  });
}

/** Units of work per second. */
export function rates(ns: readonly number[]): number[] {
  return ns.map((value) => 1e9 / value);
}
