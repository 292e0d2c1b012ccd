/**
 * Formats a snapshot as a text page, with rates since an earlier one.
 *
 * @module
 */
import type { Distribution, QueueStatistics, RequestCounts } from "../device/statistics.ts";
import type { DeviceSnapshot, Snapshot } from "./snapshot.ts";

/** Rows of text with aligned columns, the first ones left-aligned and the others right-aligned. */
function table(rows: readonly (readonly string[])[], leftColumns: number): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) => column < leftColumns ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))
      .join("  ").trimEnd()
  );
}

function duration(seconds: number): string {
  const s = Math.floor(seconds);
  const parts = [[Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"], [Math.floor(s / 60) % 60, "min"]]
    .filter(([count]) => count !== 0).map(([count, unit]) => `${count} ${unit}`);
  return [...parts, `${s % 60} s`].slice(0, 3).join(" ");
}

/** A number in about four characters. */
function short(value: number): string {
  if (value === 0) return "0";
  const power = value >= 1e9 ? 3 : value >= 1e6 ? 2 : value >= 1e4 ? 1 : 0;
  const scaled = value / 1000 ** power;
  return (scaled >= 100 || Number.isInteger(scaled) ? scaled.toFixed(0) : scaled.toFixed(1)) +
    ["", "k", "M", "G"][power];
}

/** A time in four characters and its unit. */
function time(seconds: number): string {
  if (seconds < 1e-3) return `${short(seconds * 1e6)} us`;
  return seconds < 1 ? `${short(seconds * 1e3)} ms` : `${short(seconds)} s`;
}

function sum(counts: Iterable<number>): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

/** The difference of `now` and `before`. */
function since(now: Distribution, before: Distribution | undefined): Distribution {
  if (before === undefined) return now;
  return { ...now, sum: now.sum - before.sum, counts: now.counts.map((count, i) => count - before.counts[i]!) };
}

/** The bound below which the fraction `share` of the values lies; undefined if there are none. */
function quantile({ counts, bounds }: Distribution, share: number): number | undefined {
  const total = sum(counts);
  if (total === 0) return undefined;
  let seen = 0;
  for (let i = 0; i < bounds.length; i++) {
    seen += counts[i]!;
    if (seen >= share * total) return bounds[i]!;
  }
  return Infinity;
}

function bound(distribution: Distribution, share: number): string {
  const seconds = quantile(distribution, share);
  if (seconds === undefined) return "-";
  return seconds === Infinity ? `> ${time(distribution.bounds.at(-1)!)}` : `< ${time(seconds)}`;
}

function totalOf({ requests, controlRequests }: QueueStatistics): number {
  return sum([...requests, ...controlRequests].map(({ statuses }) => sum(Object.values(statuses))));
}

function ringText({ isStarted, format, size, position, fault }: QueueStatistics["ring"]): string {
  if (size === 0) return "never started";
  const place = format === "packed" ? `0x${position.toString(16)}` : String(position);
  const state = fault !== null ? `broken: ${fault}` : isStarted ? "started" : "stopped";
  return `${format} ${size} at ${place}, ${state}`;
}

function queueRow(queue: QueueStatistics, before: QueueStatistics | undefined, seconds: number): string[] {
  const rate = (now: number, then = 0) => short((now - then) / seconds);
  const batches = since(queue.batches, before?.batches);
  const batchCount = sum(batches.counts);
  const durations = since(queue.seconds, before?.seconds);
  const total = totalOf(queue) - (before === undefined ? 0 : totalOf(before));
  const inBursts = queue.burstRequests - (before?.burstRequests ?? 0);
  return [
    queue.queue,
    ringText(queue.ring),
    short(total / seconds),
    batchCount === 0 ? "-" : short(batches.sum / batchCount),
    bound(durations, 0.5),
    bound(durations, 0.99),
    rate(queue.kicks, before?.kicks),
    rate(queue.calls, before?.calls),
    total === 0 ? "-" : `${Math.round(100 * inBursts / total)} %`,
    String(queue.jobsOpen),
  ];
}

const QUEUE_HEAD: readonly string[] = [
  "queue",
  "ring",
  "req/s",
  "batch",
  "half",
  "99 %",
  "kicks/s",
  "calls/s",
  "bursts",
  "jobs",
];

/** Requests of all queues by service and algorithm. */
function requestsOf(device: DeviceSnapshot | undefined): Map<string, RequestCounts> {
  const all = new Map<string, RequestCounts>();
  for (const { requests } of device?.queues ?? []) {
    for (const one of requests) {
      const key = `${one.service} ${one.algorithm}`;
      const other = all.get(key);
      const statuses: Record<string, number> = { ...one.statuses };
      for (const [name, count] of Object.entries(other?.statuses ?? {})) statuses[name] = (statuses[name] ?? 0) + count;
      all.set(key, {
        ...one,
        statuses,
        sourceBytes: one.sourceBytes + (other?.sourceBytes ?? 0),
        resultBytes: one.resultBytes + (other?.resultBytes ?? 0),
      });
    }
  }
  return all;
}

/** The sum of counts by name. */
function sumByName(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const totals: Record<string, number> = {};
  for (const counts of all) {
    for (const [name, count] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + count;
  }
  return totals;
}

function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).map(([name, count]) => `${name} ${short(count)}`).join(", ");
}

function requestRows(device: DeviceSnapshot, before: DeviceSnapshot | undefined, seconds: number): string[][] {
  const earlier = requestsOf(before);
  return [...requestsOf(device)].map(([key, { service, algorithm, statuses, sourceBytes }]) => {
    const then = earlier.get(key);
    const total = sum(Object.values(statuses));
    const { ok: _, ...failures } = statuses;
    return [
      service,
      algorithm,
      short(total),
      short((total - sum(Object.values(then?.statuses ?? {}))) / seconds),
      `${short((sourceBytes - (then?.sourceBytes ?? 0)) / seconds)}B/s`,
      countsText(failures),
    ];
  });
}

function devicePage(device: DeviceSnapshot, before: DeviceSnapshot | undefined, seconds: number): string[] {
  const { count, max, created, destroyed, destroyedBy, refused } = device.sessions;
  const causes = Object.fromEntries(Object.entries(destroyedBy).filter(([_, count]) => count > 0));
  const isRefused = Object.keys(refused).length > 0;
  const control = device.queues.flatMap(({ controlRequests }) => controlRequests)
    .map(({ operation, service, statuses }) => `${operation} ${service} (${countsText(statuses)})`);
  const requests = requestRows(device, before, seconds);
  const invalidSessions = countsText(sumByName(device.queues.map((queue) => queue.invalidSessions)));
  return [
    "",
    `${device.device}: ${device.isConnected ? "a frontend is connected" : "no frontend"}, ${device.connections} so far`,
    `sessions: ${count} of ${max}; ${created} created, ${destroyed} destroyed` +
    (destroyed > 0 ? ` (${countsText(causes)})` : "") +
    (isRefused ? `; refused: ${countsText(refused)}` : ""),
    ...(invalidSessions === "" ? [] : [`requests with INVSESS: ${invalidSessions}`]),
    ...(control.length === 0 ? [] : [`control requests: ${control.join(", ")}`]),
    "",
    ...table(
      [
        QUEUE_HEAD,
        ...device.queues.map((queue) =>
          queueRow(queue, before?.queues.find((other) => other.queue === queue.queue), seconds)
        ),
      ],
      2,
    ),
    ...(requests.length === 0
      ? ["", "no data requests yet"]
      : ["", ...table([["service", "algorithm", "requests", "req/s", "source", "not ok"], ...requests], 2)]),
  ];
}

/** The page of `snapshot`, with rates since `before`, or since the start if there was none. */
export function statisticsPage(snapshot: Snapshot, before?: Snapshot): string {
  const { version, deno, libraries, startSeconds, nowSeconds, devices } = snapshot;
  const uptime = nowSeconds - startSeconds;
  const span = Math.max(1e-3, before === undefined ? uptime : nowSeconds - before.nowSeconds);
  const lines = [
    `vhost-user-crypto ${version}, up ${duration(uptime)}; rates of the last ${duration(span)}`,
    `Deno ${deno}, ${libraries.join(", ")}`,
    ...devices.flatMap((device) =>
      devicePage(device, before?.devices.find((other) => other.device === device.device), span)
    ),
  ];
  return lines.join("\n") + "\n";
}
