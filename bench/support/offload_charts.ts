/**
 * Charts of the cost and the gain of offload for a guest.
 *
 * @module
 */
import { type Axis, type Chart, shortBytes } from "../../src/tools/chart.ts";
import type { Manner, OffloadTable } from "./offload.ts";

/** The axis of sizes. */
export const BYTES: Axis = { title: "bytes of a request", scale: "log2", format: shortBytes };

/** A machine's description without its current load. */
export function where(machine: string): string {
  return machine.replace(/, load .*$/, "");
}

/** CPU time of the guest per request, done by itself or offloaded. */
export function guestChart(tables: readonly OffloadTable[], machine: string): Chart {
  // Offloading costs the same for every algorithm, so the first table is used for all.
  const handedOver = (depth: number): [number, number][] =>
    tables[0]!.rows.map(({ sizeBytes, offloaded }) => [
      sizeBytes,
      offloaded.find((way) => way.manner === "notified" && way.depth === depth)!.guestNs / 1000,
    ]);
  return {
    title: "What a request costs the guest's CPU",
    subtitle: `above a grey line, handing over saves time; guest and device sleep and wake each other; ${
      where(machine)
    }`,
    x: BYTES,
    y: { title: "microseconds", scale: "log10" },
    series: [
      ...tables.map(({ name, rows }) => ({
        label: `${name} done by the guest`,
        points: rows.map(({ sizeBytes, bareNs }) => [sizeBytes, bareNs / 1000] as const),
      })),
      { label: "offloaded one at a time", points: handedOver(1), isReference: true },
      { label: "offloaded 32 at a time", points: handedOver(32), isReference: true },
    ],
  };
}

/** The device's rate as a multiple of one core's. */
export function gainChart(tables: readonly OffloadTable[], machine: string, manner: Manner, depth: number): Chart {
  const sizes = tables.flatMap(({ rows }) => rows.map(({ sizeBytes }) => sizeBytes)).sort((a, b) => a - b);
  return {
    title: "The device's rate as a multiple of one core's",
    subtitle: `${depth} requests in flight, both sides ${
      manner === "polling" ? "poll the rings" : "wait for notifications"
    }; ${where(machine)}`,
    x: BYTES,
    y: { title: "times OpenSSL alone", scale: "log10" },
    series: [
      ...tables.map(({ name, rows }) => ({
        label: name,
        points: rows.map(({ sizeBytes, bareNs, offloaded }) => {
          const way = offloaded.find((one) => one.manner === manner && one.depth === depth)!;
          return [sizeBytes, bareNs / way.ns] as const;
        }),
      })),
      { label: "one core", points: [[sizes[0]!, 1], [sizes.at(-1)!, 1]], isReference: true },
    ],
  };
}
