/**
 * A strict reader of Prometheus's text format (version 0.0.4): it refuses what a scraper could misunderstand.
 *
 * @module
 */

/** One line's worth: labels and a value. */
export interface Sample {
  /** The full name, with `_bucket` and the like. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric with all its samples. */
export interface Metric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/;

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  while (text !== "") {
    const [whole, name, value] = LABEL.exec(text) ?? [];
    if (whole === undefined) throw new Error(`no label: ${text}`);
    if (name! in labels) throw new Error(`label ${name} twice`);
    labels[name!] = value!.replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c);
    text = text.slice(whole.length);
  }
  return labels;
}

function readSample(line: string): Sample {
  const [, name, labels, value] = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`).exec(line) ?? [];
  if (name === undefined) throw new Error(`no sample: ${line}`);
  const number = Number(value);
  if (value === "" || !Number.isFinite(number)) throw new Error(`no finite value: ${line}`);
  return { name, labels: readLabels(labels ?? ""), value: number };
}

/** A sample's labels in one text, `le` apart. */
function identity({ labels }: Sample): string {
  const { le: _, ...others } = labels;
  return JSON.stringify(Object.entries(others).sort());
}

function checkHistogram({ name, samples }: Metric): void {
  const series = Map.groupBy(samples, identity);
  for (const [labels, all] of series) {
    const buckets = all.filter((sample) => sample.name === `${name}_bucket`);
    const count = all.find((sample) => sample.name === `${name}_count`)?.value;
    const sum = all.find((sample) => sample.name === `${name}_sum`)?.value;
    if (count === undefined || sum === undefined || all.length !== buckets.length + 2) {
      throw new Error(`${name}${labels} has other samples than a histogram's`);
    }
    let bound = -Infinity;
    let total = 0;
    for (const { labels: { le }, value } of buckets) {
      const next = le === "+Inf" ? Infinity : Number(le);
      if (!(next > bound) || value < total) throw new Error(`${name}${labels} does not rise at ${le}`);
      bound = next;
      total = value;
    }
    if (bound !== Infinity || total !== count) throw new Error(`${name}${labels}: +Inf is not the count`);
  }
}

function check(metric: Metric): void {
  const { name, type, samples } = metric;
  if (!["counter", "gauge", "histogram"].includes(type)) throw new Error(`${name} is a ${type}`);
  if ((type === "counter") !== name.endsWith("_total")) throw new Error(`${name}: _total is for counters, and for all`);
  if (type === "histogram") return checkHistogram(metric);
  const seen = new Set<string>();
  for (const sample of samples) {
    if (sample.name !== name) throw new Error(`${sample.name} stands under ${name}`);
    if (seen.has(identity(sample))) throw new Error(`${name}${identity(sample)} twice`);
    seen.add(identity(sample));
  }
}

/** Reads an exposition; metrics by name. Throws an Error that says what is wrong with it. */
export function readExposition(text: string): Map<string, Metric> {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const metrics = new Map<string, Metric & { samples: Sample[] }>();
  let current: Metric & { samples: Sample[] } | undefined;
  let help: readonly [string, string] | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const [, keyword, name, rest] = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line) ?? [];
    if (keyword === "HELP") {
      help = [name!, rest!];
    } else if (keyword === "TYPE") {
      if (help?.[0] !== name) throw new Error(`${name} has no help`);
      if (metrics.has(name!)) throw new Error(`${name} comes twice`);
      metrics.set(name!, current = { name: name!, type: rest!, help: help![1], samples: [] });
    } else {
      const sample = readSample(line);
      if (current === undefined || !sample.name.startsWith(current.name)) {
        throw new Error(`${line} stands under nothing`);
      }
      current.samples.push(sample);
    }
  }
  for (const metric of metrics.values()) check(metric);
  return metrics;
}

/** The value of the one sample of `metric` that has all of `labels`; undefined if there is none. */
export function valueOf(
  metrics: ReadonlyMap<string, Metric>,
  metric: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const found = (metrics.get(metric)?.samples ?? [])
    .filter((sample) => Object.entries(labels).every(([name, value]) => sample.labels[name] === value));
  if (found.length > 1) throw new Error(`${metric}${JSON.stringify(labels)} is ${found.length} samples`);
  return found[0]?.value;
}
