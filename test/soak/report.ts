/**
 * The report of a soak: figures with goals, a chart, and a summary.
 *
 * @module
 */
import type { Figure } from "../../bench/figures/figure.ts";
import { drawCharts } from "../../src/tools/chart.ts";
import { checkGoals, type Goal } from "../../bench/goals.ts";
import { quantile } from "../../bench/support/ratio.ts";
import type { Sample, SoakResult } from "./soak.ts";

/** Shares of a run: the warm-up, which is ignored as heaps and caches fill, and the compared parts at start and end. */
const WARM_UP = 0.2;
const QUARTER = 0.25;

/** The first and the last quarter of the samples after the warm-up. */
function ends(samples: readonly Sample[]): readonly [first: readonly Sample[], last: readonly Sample[]] {
  const end = samples.at(-1)?.seconds ?? 0;
  const warm = samples.filter(({ seconds }) => seconds >= WARM_UP * end);
  const count = Math.max(1, Math.floor(QUARTER * warm.length));
  return [warm.slice(0, count), warm.slice(-count)];
}

function medianOf(samples: readonly Sample[], value: (sample: Sample) => number): number {
  return samples.length === 0 ? 0 : quantile(samples.map(value), 0.5);
}

/** Requests per second of the device's CPU time, which does not depend on the load of the machine. */
function efficiency(samples: readonly Sample[]): number {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || last.cpuMs <= first.cpuMs) return 0;
  return 1000 * (last.checked - first.checked) / (last.cpuMs - first.cpuMs);
}

function ratio(before: number, after: number): number {
  return before === 0 ? 0 : after / before;
}

const MIB = 2 ** 20;

/** Minimum duration for a goal on CPU time: the quarters of a shorter run differ by chance. */
const MINUTES_MIN = 2;

/** The figures with goals that a run of this duration can determine. */
export function figuresOf({ options, samples, idleSamples }: SoakResult): Figure[] {
  const [first, last] = ends(samples);
  const rss = ({ rssBytes }: Sample) => rssBytes;
  const fds = idleSamples.map((rest) => rest.fds);
  return [
    {
      id: "soak-rss-growth",
      what: "memory of the device's own after warm-up, last quarter over first",
      value: ratio(medianOf(first, rss), medianOf(last, rss)),
      unit: "",
    },
    // With handovers, samples are of different processes, each with its own CPU time.
    ...(options.minutes < MINUTES_MIN || (options.handoverSeconds ?? 0) > 0 ? [] : [{
      id: "soak-requests-per-cpu-s",
      what: "requests for a second of the device's CPU time after warm-up, last quarter over first",
      value: ratio(efficiency(first), efficiency(last)),
      unit: "",
    }]),
    {
      id: "soak-fds-growth",
      what: "descriptors without a frontend, most over first",
      value: fds.length === 0 ? 0 : Math.max(...fds) - fds[0]!,
      unit: "",
    },
  ];
}

/** Throughput, memory and descriptors over time, as SVG. */
export function chart({ options, samples, idleSamples, tally }: SoakResult): string {
  const x = { title: "minutes" };
  const over = <T extends { readonly seconds: number }>(moments: readonly T[], value: (moment: T) => number) =>
    moments.map((moment): [number, number] => [moment.seconds / 60, value(moment)]);
  const subtitle = `${tally.checked} requests checked; ${options.queues} data queues, --workers=${options.workers}`;
  return drawCharts([
    {
      title: "Requests answered rightly",
      subtitle,
      x,
      y: { title: "requests/s" },
      series: [{ label: "all queues", points: over(samples, ({ requestsPerS }) => requestsPerS) }],
    },
    {
      title: "Memory of the device's own, without the guest's",
      x,
      y: { title: "MiB" },
      series: [
        { label: "under load", points: over(samples, ({ rssBytes }) => rssBytes / MIB) },
        { label: "without a frontend", points: over(idleSamples, ({ rssBytes }) => rssBytes / MIB), isReference: true },
      ],
    },
    {
      title: "Open descriptors",
      x,
      y: { title: "descriptors" },
      series: [
        { label: "under load", points: over(samples, ({ fds }) => fds) },
        { label: "without a frontend", points: over(idleSamples, ({ fds }) => fds), isReference: true },
      ],
    },
  ]);
}

/** The goals of soaks. */
export function soakGoals(): Goal[] {
  const { goals } = JSON.parse(
    Deno.readTextFileSync(new URL("../../bench/goals.json", import.meta.url)),
  ) as { goals: Goal[] };
  return goals.filter(({ group }) => group === "soak");
}

/** A summary as text, and whether the soak passed. */
export function summary(result: SoakResult): { readonly lines: string[]; readonly isWell: boolean } {
  const { options, seconds, tally, frontends, kills, samples, idleSamples, failure } = result;
  const figures = figuresOf(result);
  const [told, untold] = [true, false].map((isTold) =>
    soakGoals().filter(({ id }) => figures.some((figure) => figure.id === id) === isTold)
  );
  const { lines, missed } = checkGoals(told!, figures);
  const mib = (bytes = 0) => `${(bytes / MIB).toFixed(1)} MiB`;
  const median = medianOf(samples, ({ requestsPerS }) => requestsPerS);
  const [first, last] = [idleSamples[0], idleSamples.at(-1)];
  const isWell = failure === undefined && missed === 0 && tally.checked > 0;
  return {
    isWell,
    lines: [
      `${
        (seconds / 60).toFixed(1)
      } minutes, --workers=${options.workers} --queues=${options.queues} --seed=${options.seed}`,
      `${tally.checked} requests checked (${(tally.bytes / MIB).toFixed(0)} MiB, median ${median.toFixed(0)}/s)`,
      `${frontends} frontends, ${kills} of them killed, ${tally.connections} connections, ${tally.sessions} sessions`,
      `${tally.memoryChanges} changes of memory, ${tally.ringStops} rings stopped and started`,
      `at rest: ${mib(first?.rssBytes)} at first, ${mib(last?.rssBytes)} in the end; ` +
      `${first?.fds ?? 0} descriptors at first, ${last?.fds ?? 0} in the end`,
      ...lines,
      ...untold!.map(({ id }) => `${id} is not determined: it takes ${MINUTES_MIN} minutes without handovers`),
      failure === undefined
        ? isWell ? "nothing lost, nothing wrong" : "FAILED: a goal is missed, or nothing was checked"
        : `WRONG: ${failure}`,
    ],
  };
}
