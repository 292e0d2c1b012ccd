/**
 * Figures of a device whose driver works as a guest's does: it builds each request, reads its result, and spins.
 *
 * @module
 */
import { Load } from "../../src/tools/benchmark/load.ts";
import { bare } from "../support/bare.ts";
import { FAR_EFFORT, someOf } from "../support/brief.ts";
import { SPINNING_DEVICE, withFarSide } from "../support/far_side.ts";
import { GuestMeasurement } from "../support/guest.ts";
import { subjectOf } from "../support/offload.ts";
import { quartiles } from "../support/ratio.ts";
import { AES_128_CBC } from "../support/workloads.ts";
import { type Figure, ratioFigure, sampled, timeFigure } from "./figure.ts";

const BARE_CALLS = 256;

/** Rates as multiples of bare EVP's, and the share of time that the device waits: much of it in lock-step. */
export function guest(): Promise<Figure[]> {
  return withFarSide(SPINNING_DEVICE, { polls: true }, async (driver) => {
    const figures: Figure[] = [];
    for (const sizeBytes of someOf([64, 256, 1024])) {
      for (const depth of [32, 128]) {
        const load = await Load.create(driver, subjectOf(AES_128_CBC), {
          mode: "fixed",
          sizeBytes,
          depth,
          polls: true,
        });
        const measurement = new GuestMeasurement("this device", load, depth);
        const alone = bare(AES_128_CBC, sizeBytes);
        load.run(FAR_EFFORT.warmUpMs);
        alone.measure(BARE_CALLS);
        const bareNs: number[] = [];
        for (let round = 0; round < FAR_EFFORT.rounds; round++) {
          bareNs.push(alone.measure(BARE_CALLS) / BARE_CALLS * 1e6);
          measurement.turn(FAR_EFFORT.turnMs);
        }
        await load.close();
        const ns = measurement.turns.map((turn) => turn.ns);
        const waits = quartiles(measurement.turns.map(({ deviceWaitShare }) => deviceWaitShare));
        const name = `${AES_128_CBC.name}-${sizeBytes}-depth-${depth}`;
        const of = `${AES_128_CBC.name}, ${sizeBytes} B, depth ${depth}, a driver like a guest's`;
        figures.push(
          ratioFigure(`guest-${name}`, `rate / bare EVP's, ${of}`, bareNs, ns),
          timeFigure(`guest-${name}-ns`, `a request, ${of}`, ns),
          sampled(`guest-${name}-device-waits`, `share of time that the device waits, ${of}`, "", waits),
        );
      }
    }
    return figures;
  });
}
