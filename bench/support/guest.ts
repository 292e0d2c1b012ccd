/**
 * Turns of a load with a driver like a guest's, and their results. Starts no process.
 *
 * @module
 */
import type { Load } from "../../src/tools/benchmark/load.ts";
import { quantile, ratios } from "./ratio.ts";

/** The result of one turn. */
interface Turn {
  readonly ns: number;
  readonly batchShare: number;
  readonly driverWaitShare: number;
  readonly deviceWaitShare: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly kicks: number;
  readonly calls: number;
}

/** A device under one load, measured turn by turn. */
export class GuestMeasurement {
  /** The device's name. */
  readonly name: string;
  /** The load. */
  readonly load: Load;
  /** The results of its turns. */
  readonly turns: Turn[] = [];
  readonly #depth: number;

  /** Measures the device `name` under `load`, of `depth` requests in flight. */
  constructor(name: string, load: Load, depth: number) {
    this.name = name;
    this.load = load;
    this.#depth = depth;
  }

  /** Measures one turn. */
  turn(durationMs: number): void {
    const { load } = this;
    load.clear();
    load.run(durationMs);
    const { answered, elapsedMs, rounds, driverWaitMs, deviceWaitMs, kicks, calls } = load.counts;
    this.turns.push({
      ns: elapsedMs / answered * 1e6,
      batchShare: answered / rounds / this.#depth,
      driverWaitShare: driverWaitMs / elapsedMs,
      deviceWaitShare: deviceWaitMs / elapsedMs,
      p50Us: load.latency.quantile(0.5) / 1000,
      p99Us: load.latency.quantile(0.99) / 1000,
      kicks: kicks / answered,
      calls: calls / answered,
    });
  }
}

/** The result of a device: medians over its least disturbed turns. */
export interface GuestRow extends Turn {
  /** Throughput as a multiple of bare OpenSSL's on one core; undefined if that was not measured. */
  readonly timesBare?: number;
  /** The load. */
  readonly what: string;
  /** The device. */
  readonly device: string;
  /** Time per request, the median over all turns. */
  readonly medianNs: number;
  /** Throughput as a multiple of the first device's: for the least disturbed turns, and the median over all turns. */
  readonly timesFirst: number;
  readonly timesFirstMedian: number;
}

/** Share of the turns that count as the least disturbed. */
const CALM_SHARE = 0.05;

function calmest(turns: readonly Turn[]): Turn[] {
  return turns.toSorted((a, b) => a.ns - b.ns).slice(0, Math.ceil(CALM_SHARE * turns.length));
}

/** The medians of `one`, compared with `first`. */
export function medianRow(what: string, one: GuestMeasurement, first: GuestMeasurement): GuestRow {
  const calm = calmest(one.turns);
  const median = (of: (turn: Turn) => number, turns = calm) => quantile(turns.map(of), 0.5);
  const ns = (turn: Turn) => turn.ns;
  return {
    what,
    device: one.name,
    ns: median(ns),
    medianNs: median(ns, one.turns),
    timesFirst: median(ns, calmest(first.turns)) / median(ns),
    timesFirstMedian: quantile(ratios(first.turns.map(ns), one.turns.map(ns)), 0.5),
    batchShare: median((turn) => turn.batchShare),
    driverWaitShare: median((turn) => turn.driverWaitShare),
    deviceWaitShare: median((turn) => turn.deviceWaitShare),
    p50Us: median((turn) => turn.p50Us),
    p99Us: median((turn) => turn.p99Us),
    kicks: median((turn) => turn.kicks),
    calls: median((turn) => turn.calls),
  };
}

/** `rows` with the multiple of bare OpenSSL's throughput, where a request takes `ns`. */
export function comparedWithBare(rows: readonly GuestRow[], ns: number): GuestRow[] {
  return rows.map((row) => ({ ...row, timesBare: ns / row.ns }));
}

/** A row as a line of text. */
export function guestText(row: GuestRow): string {
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`.padStart(5);
  return [
    row.what.padEnd(36),
    `${row.ns.toFixed(0)} ns (all ${row.medianNs.toFixed(0)})`.padEnd(21),
    `x ${row.timesFirst.toFixed(2)} (all ${row.timesFirstMedian.toFixed(2)})`.padEnd(19),
    ...(row.timesBare === undefined ? [] : [`bare x ${row.timesBare.toFixed(2)}`]),
    `batch ${percent(row.batchShare)} of depth, waiting: driver ${percent(row.driverWaitShare)}`,
    `device ${percent(row.deviceWaitShare)};`,
    `p50 ${row.p50Us.toFixed(1)} p99 ${row.p99Us.toFixed(1)} us;`,
    `kicks ${row.kicks.toFixed(3)} calls ${row.calls.toFixed(3)};`,
    row.device,
  ].join(" ");
}
