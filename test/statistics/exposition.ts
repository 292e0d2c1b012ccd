/**
 * A strict parser of Prometheus's text format (version 0.0.4), which refuses everything that a scraper could misread.
 *
 * @module
 */

/** A sample: labels and a value. */
export interface Sample {
  /** The full name, with `_bucket` and other suffixes. */
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
    if (whole === undefined) throw new Error(`not a label: ${text}`);
    if (name! in labels) throw new Error(`label ${name} twice`);
    labels[name!] = value!.replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c);
    text = text.slice(whole.length);
  }
  return labels;
}

function readSample(line: string): Sample {
  const [, name, labels, value] = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`).exec(line) ?? [];
  if (name === undefined) throw new Error(`not a sample: ${line}`);
  const number = Number(value);
  if (value === "" || !Number.isFinite(number)) throw new Error(`not a finite value: ${line}`);
  return { name, labels: readLabels(labels ?? ""), value: number };
}

/** A sample's labels as text, without `le`. */
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
      throw new Error(`${name}${labels} has samples that are not a histogram's`);
    }
    let bound = -Infinity;
    let total = 0;
    for (const { labels: { le }, value } of buckets) {
      const next = le === "+Inf" ? Infinity : Number(le);
      if (!(next > bound) || value < total) throw new Error(`${name}${labels} does not increase at ${le}`);
      bound = next;
      total = value;
    }
    if (bound !== Infinity || total !== count) throw new Error(`${name}${labels}: +Inf is not the count`);
  }
}

function check(metric: Metric): void {
  const { name, type, samples } = metric;
  if (!["counter", "gauge", "histogram"].includes(type)) throw new Error(`${name} is a ${type}`);
  if ((type === "counter") !== name.endsWith("_total")) throw new Error(`${name}: exactly counters end in _total`);
  if (type === "histogram") return checkHistogram(metric);
  const seen = new Set<string>();
  for (const sample of samples) {
    if (sample.name !== name) throw new Error(`${sample.name} is among the samples of ${name}`);
    if (seen.has(identity(sample))) throw new Error(`${name}${identity(sample)} twice`);
    seen.add(identity(sample));
  }
}

/** Parses an exposition; returns metrics by name. Throws an Error that names the violation. */
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
        throw new Error(`${line} belongs to no metric`);
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
  if (found.length > 1) throw new Error(`${metric}${JSON.stringify(labels)} has ${found.length} samples`);
  return found[0]?.value;
}
