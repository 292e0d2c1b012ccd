import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { generateKeyPairSync, sign } from "node:crypto";
import { bareCalls } from "../../../src/tools/benchmark/bare.ts";
import { type BenchmarkOptions, memoryBytes, type Row } from "../../../src/tools/benchmark/benchmark.ts";
import { Histogram } from "../../../src/tools/benchmark/histogram.ts";
import { expectedOf } from "../../../src/tools/benchmark/reference.ts";
import { benchmarkSvg, rowText } from "../../../src/tools/benchmark/report.ts";
import { ecdsaSubject, rsaSubject, symmetricSubject } from "../../../src/tools/benchmark/subjects.ts";
import { exerciseOf } from "../../../src/tools/checks.ts";
import { CHAIN_ANSWER, KNOWN_ANSWERS } from "../../../src/tools/known_answers.ts";
import type { DataRequest } from "../../../src/driver/requests.ts";
import { oracle } from "../../vectors/oracle.ts";

Deno.test("quantiles of a histogram differ from the exact ones by less than a thirtieth", () => {
  const histogram = new Histogram();
  const values = Array.from({ length: 5000 }, (_, i) => Math.round(3 * 1.004 ** i)).filter((ns) => ns < 4e9);
  for (const value of values) histogram.record(value);
  assertEquals(histogram.total, values.length);
  for (const share of [0.001, 0.25, 0.5, 0.9, 0.99, 0.999]) {
    const exact = values[Math.ceil(share * values.length) - 1]!;
    const off = Math.abs(histogram.quantile(share) - exact) / exact;
    assert(off < 1 / 30, `${share}: ${histogram.quantile(share)} instead of ${exact}`);
  }
  histogram.record(1e12);
  histogram.record(-1);
  assert(histogram.quantile(1) > 4e9);
  assertEquals(histogram.quantile(0), 0);
  histogram.clear();
  assertEquals([histogram.total, histogram.quantile(0.5)], [0, 0]);
});

Deno.test("the computed references equal the published answers", () => {
  const computed: string[] = [];
  for (const answer of KNOWN_ANSWERS) {
    const { session, request } = exerciseOf(answer);
    // The IV, for which the MAC service has no field, precedes the source.
    const src = answer.service === "mac" ? Uint8Array.of(...answer.iv, ...answer.src) : answer.src;
    const expected = expectedOf(session, { ...request(0, 0), src } as DataRequest);
    if (expected === undefined) continue;
    const bytes = expected.dst.length > 0 ? expected.dst : expected.result;
    assertEquals(bytes.toHex(), answer.dst.toHex(), answer.source);
    computed.push(`${answer.service} ${answer.algo}`);
  }
  for (
    const wanted of ["cipher 2", "cipher 3", "cipher 4", "cipher 8", "hash 4", "mac 2", "mac 4", "aead 1", "aead 3"]
  ) {
    assert(computed.includes(wanted), `${wanted} is not computed`);
  }
});

Deno.test("a chain's result is the ciphertext and its digest", () => {
  const subject = symmetricSubject(CHAIN_ANSWER);
  const { session } = subject;
  assert(session.service === "chain");
  const request = subject.request(64, 3);
  assert(request.service === "chain");
  const none = new Uint8Array();
  const dst = oracle(0, session.cipherAlgo, 1, session.cipherKey, request.iv!, none, request.src, 64)!;
  const result = oracle(2, session.hashAlgo, 0, session.authKey!, none, none, dst, request.hashResultLen!)!;
  assertEquals(subject.judge(request, dst, result), true);
  result[0]! ^= 1;
  assertEquals(subject.judge(request, dst, result), false);
});

Deno.test("requests of different seeds differ, and so do their results", () => {
  const subject = symmetricSubject(KNOWN_ANSWERS.find(({ service, algo }) => service === "cipher" && algo === 3)!);
  const [one, other] = [subject.request(256, 1), subject.request(256, 2)];
  assertNotEquals(one.src.toHex(), other.src.toHex());
  assertEquals(subject.request(256, 1).src, one.src);
  const { dst } = expectedOf(subject.session, one)!;
  assertEquals(subject.judge(one, dst, new Uint8Array()), true);
  assertEquals(subject.judge(other, dst, new Uint8Array()), false);
});

Deno.test("signatures are verified, whatever follows them in their buffer", () => {
  for (const subject of [rsaSubject(), ecdsaSubject()]) {
    const request = subject.request(32, 5);
    assert(request.service === "akcipher" && subject.session.service === "akcipher");
    const isRsa = subject.session.algo === 1;
    assertEquals(subject.judge(request, new Uint8Array(request.dstDataLen!), new Uint8Array()), false);
    const other = isRsa
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const foreign = sign("sha256", new Uint8Array(32), other.privateKey);
    assertEquals(subject.judge(request, foreign, new Uint8Array()), false);
  }
});

Deno.test("bare calls take longer for larger requests, and do not exist for composed algorithms", () => {
  const subject = symmetricSubject(KNOWN_ANSWERS.find(({ service, algo }) => service === "cipher" && algo === 3)!);
  const timeMs = (sizeBytes: number) => {
    const calls = bareCalls(subject.session, sizeBytes)!;
    calls.run(200);
    const times = Array.from({ length: 9 }, () => {
      const start = performance.now();
      calls.run(200);
      return performance.now() - start;
    });
    calls.close();
    return Math.min(...times);
  };
  assert(timeMs(65536) > 10 * timeMs(64));
  const kasumi = symmetricSubject(KNOWN_ANSWERS.find(({ service, algo }) => service === "cipher" && algo === 10)!);
  assertEquals(bareCalls(kasumi.session, 64), undefined);
});

const OPTIONS: BenchmarkOptions = {
  sizes: [64, 4096],
  depths: [1, 32],
  queues: 1,
  seconds: 1,
  mode: "fixed",
  packed: false,
  polls: false,
};

Deno.test("the computed memory grows with the number of requests in flight", () => {
  assert(memoryBytes({ ...OPTIONS, depths: [64] }) > memoryBytes(OPTIONS));
  assert(memoryBytes({ ...OPTIONS, sizes: [65536], depths: [64], queues: 4 }) > 4 * 64 * 2 * 65536);
});

Deno.test("rows that were not measured have the reason and are not in charts", () => {
  const row: Row = {
    algorithm: "AES-CBC",
    sizeBytes: 64,
    depth: 1,
    outcome: "wrong",
    detail: "1 of 2 results were wrong",
  };
  assertEquals(rowText(row).replace(/ +/g, " "), "AES-CBC 64 1 WRONG: 1 of 2 results were wrong");
  assertEquals(benchmarkSvg(OPTIONS, "a machine", [row]).includes("AES-CBC"), false);
});
