import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { statisticsPage } from "../../src/statistics/page.ts";
import { prometheusText } from "../../src/statistics/prometheus.ts";
import { readExposition, valueOf } from "./exposition.ts";
import { deviceOf, snapshotOf } from "./snapshots.ts";

Deno.test("the exposition has the snapshot's values", () => {
  const metrics = readExposition(prometheusText(snapshotOf([deviceOf("/run/a", 100)])));
  const value = (name: string, labels: Record<string, string> = {}) =>
    valueOf(metrics, `vhost_user_crypto_${name}`, labels);
  const destroyed = (cause: string) => value("sessions_destroyed_total", { cause });
  assertEquals(value("build_info", { version: "1.2.3", deno: "2", openssl: "OpenSSL 3" }), 1);
  assertEquals(value("start_time_seconds"), 1000);
  assertEquals(value("frontend_connected"), 1);
  assertEquals([value("sessions"), value("sessions_created_total"), destroyed("restart")], [2, 3, 1]);
  assertEquals(destroyed("driver"), 0);
  assertEquals(value("sessions_refused_total", { status: "nospc" }), 1);
  const cbc = { queue: "0", service: "cipher", algorithm: "AES-CBC" };
  assertEquals(value("requests_total", { ...cbc, status: "ok" }), 100);
  assertEquals(value("requests_total", { ...cbc, status: "err" }), 1);
  assertEquals(value("invalid_session_requests_total", { queue: "0", reason: "destroyed" }), 1);
  assertEquals(value("source_bytes_total", cbc), 100_000);
  assertEquals(value("control_requests_total", { operation: "create", service: "cipher", status: "nospc" }), 1);
  assertEquals(value("queue_started", { queue: "control" }), 1);
  const seconds = metrics.get("vhost_user_crypto_request_duration_seconds")!.samples
    .filter(({ labels }) => labels["queue"] === "0").map(({ labels, value }) => [labels["le"], value]);
  assertEquals(seconds, [["0.001", 100], ["0.002", 101], ["+Inf", 101], [undefined, 0.05], [undefined, 101]]);
  for (const { samples } of metrics.values()) for (const { labels } of samples) assert(!("device" in labels));
});

Deno.test("with several devices every sample of a device has its label, for any path", () => {
  const odd = '/run/"quoted"\\\n';
  const metrics = readExposition(prometheusText(snapshotOf([deviceOf(odd, 1), deviceOf("/run/b", 2)])));
  const requests = metrics.get("vhost_user_crypto_requests_total")!.samples
    .filter(({ labels }) => labels["status"] === "ok").map(({ labels, value }) => [labels["device"], value]);
  assertEquals(requests, [[odd, 1], ["/run/b", 2]]);
});

Deno.test("the parser of expositions refuses invalid ones", () => {
  const good = "# HELP a_total x\n# TYPE a_total counter\na_total 1\n";
  readExposition(good);
  const bad = {
    "no end": good.trimEnd(),
    "no type": "# HELP a_total x\na_total 1\n",
    "twice": `${good}a_total 2\n`,
    "a counter's name": good.replaceAll("a_total", "a"),
    "no value": good.replace(" 1", " NaN"),
    "labels": good.replace("_total 1", '_total{a="1",a="2"} 1'),
    "a metric apart": `${good}# HELP b x\n# TYPE b gauge\nb 1\na_total 3\n`,
    "no histogram": '# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
  };
  for (const [what, text] of Object.entries(bad)) assertThrows(() => readExposition(text), Error, "", what);
});

Deno.test("the page has rates since the start, then since the last page", () => {
  const first = snapshotOf([deviceOf("/run/a", 5000)]);
  const page = statisticsPage(first);
  assertStringIncludes(page, "vhost-user-crypto 1.2.3, up 16 min 40 s; rates of the last 16 min 40 s");
  assertStringIncludes(page, "/run/a: a frontend is connected, 2 so far");
  assertStringIncludes(page, "sessions: 2 of 64; 3 created, 1 destroyed (restart 1); refused: nospc 1");
  assertStringIncludes(page, "requests with INVSESS: destroyed 1\n");
  assertStringIncludes(page, "create cipher (ok 3, nospc 1)");
  const row = (text: string, start: string) => text.split("\n").find((line) => line.startsWith(start))!.split(/ {2,}/);
  assertEquals(row(page, "0 ").slice(1, 7), ["split 256 at 5000, started", "5.0", "1", "< 1 ms", "< 1 ms", "5"]);
  assertEquals(row(page, "cipher"), ["cipher", "AES-CBC", "5001", "5.0", "5000B/s", "err 1"]);

  const later = statisticsPage(snapshotOf([deviceOf("/run/a", 25_000)], 2002), first);
  assertStringIncludes(later, "rates of the last 2 s");
  assertEquals(row(later, "0 ")[2], "10k");
  assertEquals(row(later, "cipher"), ["cipher", "AES-CBC", "25.0k", "10k", "10MB/s", "err 1"]);
});

Deno.test("the page of an idle device, and of two devices", () => {
  const page = statisticsPage(snapshotOf([deviceOf("/run/a", 0), deviceOf("/run/b", 1)], 1000));
  assertStringIncludes(page, "/run/a:");
  assertStringIncludes(page, "/run/b:");
  assertStringIncludes(page, "no data requests yet");
  assert(!/NaN|undefined|Infinity/.test(page), page);
});
