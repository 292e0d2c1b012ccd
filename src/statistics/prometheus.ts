/**
 * Formats a snapshot in Prometheus's text format, version 0.0.4.
 *
 * @module
 */
import type { Distribution, QueueStatistics } from "../device/statistics.ts";
import type { DeviceSnapshot, Snapshot } from "./snapshot.ts";

/** The content type of the format. */
export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const PREFIX = "vhost_user_crypto_";

type Labels = Readonly<Record<string, string>>;

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** Labels without their braces. */
function labelText(labels: Labels): string {
  return Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`).join(",");
}

/** The lines of the exposition; all samples of a metric must be consecutive. */
class Exposition {
  readonly #lines: string[] = [];

  /** Begins a metric. */
  metric(name: string, type: "counter" | "gauge" | "histogram", help: string): void {
    this.#lines.push(`# HELP ${PREFIX}${name} ${help}`, `# TYPE ${PREFIX}${name} ${type}`);
  }

  sample(name: string, labels: Labels, value: number): void {
    const text = labelText(labels);
    this.#lines.push(text === "" ? `${PREFIX}${name} ${value}` : `${PREFIX}${name}{${text}} ${value}`);
  }

  /** A histogram is written only if it has values, as most queues of a device are idle and it has many buckets. */
  histogram(name: string, labels: Labels, { bounds, counts, sum }: Distribution): void {
    if (counts.every((count) => count === 0)) return;
    const bucket = `${PREFIX}${name}_bucket{${labelText(labels)},le="`;
    let total = 0;
    counts.forEach((count, i) => {
      total += count;
      this.#lines.push(`${bucket}${i < bounds.length ? bounds[i] : "+Inf"}"} ${total}`);
    });
    this.sample(`${name}_sum`, labels, sum);
    this.sample(`${name}_count`, labels, total);
  }

  get text(): string {
    return this.#lines.join("\n") + "\n";
  }
}

interface Source {
  readonly labels: Labels;
  readonly device: DeviceSnapshot;
}

interface QueueSource {
  readonly labels: Labels;
  readonly queue: QueueStatistics;
}

function addProgram(out: Exposition, { version, deno, libraries, startSeconds }: Snapshot): void {
  out.metric("build_info", "gauge", "Always 1; versions of the program, of Deno and of OpenSSL are in the labels.");
  out.sample("build_info", { version, deno, openssl: libraries[0] ?? "" }, 1);
  out.metric("start_time_seconds", "gauge", "When serving started, in seconds since 1970.");
  out.sample("start_time_seconds", {}, startSeconds);
}

function addDevices(out: Exposition, sources: readonly Source[]): void {
  out.metric("frontend_connected", "gauge", "Whether a frontend (VMM) is connected.");
  for (const { labels, device } of sources) out.sample("frontend_connected", labels, device.isConnected ? 1 : 0);
  out.metric("frontend_connections_total", "counter", "Frontends that have connected.");
  for (const { labels, device } of sources) out.sample("frontend_connections_total", labels, device.connections);
  out.metric("sessions", "gauge", "Number of sessions.");
  for (const { labels, device } of sources) out.sample("sessions", labels, device.sessions.count);
  out.metric("sessions_max", "gauge", "Maximum number of sessions.");
  for (const { labels, device } of sources) out.sample("sessions_max", labels, device.sessions.max);
  out.metric("sessions_created_total", "counter", "Sessions created.");
  for (const { labels, device } of sources) out.sample("sessions_created_total", labels, device.sessions.created);
  out.metric("sessions_destroyed_total", "counter", "Sessions destroyed, by cause.");
  for (const { labels, device } of sources) {
    for (const [cause, count] of Object.entries(device.sessions.destroyedBy)) {
      out.sample("sessions_destroyed_total", { ...labels, cause }, count);
    }
  }
  out.metric("sessions_refused_total", "counter", "Sessions refused, by status.");
  for (const { labels, device } of sources) {
    for (const [status, count] of Object.entries(device.sessions.refused)) {
      out.sample("sessions_refused_total", { ...labels, status }, count);
    }
  }
}

function addRequests(out: Exposition, data: readonly QueueSource[], control: readonly QueueSource[]): void {
  out.metric("requests_total", "counter", "Data requests completed.");
  for (const { labels, queue } of data) {
    for (const { service, algorithm, statuses } of queue.requests) {
      for (const [status, count] of Object.entries(statuses)) {
        out.sample("requests_total", { ...labels, service, algorithm, status }, count);
      }
    }
  }
  out.metric("invalid_session_requests_total", "counter", "Data requests completed with status INVSESS, by reason.");
  for (const { labels, queue } of data) {
    for (const [reason, count] of Object.entries(queue.invalidSessions)) {
      out.sample("invalid_session_requests_total", { ...labels, reason }, count);
    }
  }
  out.metric("source_bytes_total", "counter", "Source bytes of data requests completed with status OK.");
  for (const { labels, queue } of data) {
    for (const { service, algorithm, sourceBytes } of queue.requests) {
      out.sample("source_bytes_total", { ...labels, service, algorithm }, sourceBytes);
    }
  }
  out.metric("result_bytes_total", "counter", "Result bytes of data requests completed with status OK.");
  for (const { labels, queue } of data) {
    for (const { service, algorithm, resultBytes } of queue.requests) {
      out.sample("result_bytes_total", { ...labels, service, algorithm }, resultBytes);
    }
  }
  out.metric("control_requests_total", "counter", "Requests of the control queue completed.");
  for (const { labels, queue } of control) {
    const { queue: _, ...others } = labels;
    for (const { operation, service, statuses } of queue.controlRequests) {
      for (const [status, count] of Object.entries(statuses)) {
        out.sample("control_requests_total", { ...others, operation, service, status }, count);
      }
    }
  }
}

function addExecution(out: Exposition, data: readonly QueueSource[]): void {
  out.metric("burst_requests_total", "counter", "Data requests executed in multi-buffer batches.");
  for (const { labels, queue } of data) out.sample("burst_requests_total", labels, queue.burstRequests);
  out.metric(
    "request_duration_seconds",
    "histogram",
    "Time from popping a request to completing it, of one batch in 61, without asymmetric jobs.",
  );
  for (const { labels, queue } of data) out.histogram("request_duration_seconds", labels, queue.seconds);
  out.metric("asymmetric_jobs", "gauge", "Asymmetric requests in flight.");
  for (const { labels, queue } of data) out.sample("asymmetric_jobs", labels, queue.jobsOpen);
  out.metric(
    "asymmetric_job_duration_seconds",
    "histogram",
    "Time from popping an asymmetric request to completing it.",
  );
  for (const { labels, queue } of data) out.histogram("asymmetric_job_duration_seconds", labels, queue.jobSeconds);
}

function addRings(out: Exposition, queues: readonly QueueSource[]): void {
  out.metric("batch_requests", "histogram", "Requests per batch popped from the ring.");
  for (const { labels, queue } of queues) out.histogram("batch_requests", labels, queue.batches);
  out.metric("kicks_total", "counter", "Kicks received from the driver.");
  for (const { labels, queue } of queues) out.sample("kicks_total", labels, queue.kicks);
  out.metric("calls_total", "counter", "Notifications sent to the driver.");
  for (const { labels, queue } of queues) out.sample("calls_total", labels, queue.calls);
  out.metric("queue_started", "gauge", "Whether the queue is served; the label has the ring's format.");
  for (const { labels, queue: { ring } } of queues) {
    out.sample("queue_started", { ...labels, format: ring.format }, ring.isStarted ? 1 : 0);
  }
  out.metric("queue_broken", "gauge", "Whether the guest has broken the ring, which is then halted.");
  for (const { labels, queue: { ring } } of queues) out.sample("queue_broken", labels, ring.fault === null ? 0 : 1);
  out.metric("queue_size", "gauge", "Entries of the ring.");
  for (const { labels, queue: { ring } } of queues) out.sample("queue_size", labels, ring.size);
  out.metric("queue_position", "gauge", "Position of the ring, as returned by GET_VRING_BASE.");
  for (const { labels, queue: { ring } } of queues) out.sample("queue_position", labels, ring.position);
}

/** The exposition of `snapshot`. Samples have a label `device` if there are several. */
export function prometheusText(snapshot: Snapshot): string {
  const out = new Exposition();
  const single = snapshot.devices.length === 1;
  const sources = snapshot.devices.map((device): Source => ({
    device,
    labels: single ? {} : { device: device.device },
  }));
  const queues = sources.flatMap(({ device, labels }) =>
    device.queues.map((queue): QueueSource => ({ queue, labels: { ...labels, queue: queue.queue } }))
  );
  const data = queues.filter(({ queue }) => queue.queue !== "control");
  const control = queues.filter(({ queue }) => queue.queue === "control");
  addProgram(out, snapshot);
  addDevices(out, sources);
  addRequests(out, data, control);
  addExecution(out, data);
  addRings(out, queues);
  return out.text;
}
