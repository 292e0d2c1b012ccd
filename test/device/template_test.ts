/**
 * A request that matches the template of an earlier one is not decoded again. Batches of requests that differ in a
 * word of their header, in their buffer layout, in their session or in nothing have to be answered as each of them is
 * alone.
 */
import { assert, assertEquals } from "@std/assert";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import type { Split } from "../../src/driver/layout.ts";
import { type AeadRequest, type DataRequest, encodeData, type RequestMode } from "../../src/driver/requests.ts";
import type { MultiBufferChoice } from "../../src/engine/multibuffer/policy.ts";
import { DATA_HEADER_BYTES, OP_DECRYPT } from "../../src/wire/virtio_crypto.ts";
import { type Random, randomFrom } from "../engines/multibuffer_support.ts";
import { sessionRecord } from "../../bench/support/engine_variant.ts";
import { type Workload, WORKLOADS } from "../../bench/support/workloads.ts";
import { TemplateMatcher } from "../../src/device/template_matcher.ts";
import { Ring } from "./one_ring.ts";

const BATCH = 24;
const BATCHES = 60;
const HEADER_WORDS = 18;
const SIZE_BYTES = 256;

/** A copy of `request` with another word in its header or parameters. */
function changed(request: EncodedRequest, random: Random): EncodedRequest {
  let word = random(0, HEADER_WORDS - 1);
  const value = [0, 1, 16, 2 ** 32 - 1, random(0, 300)][random(0, 4)]!;
  const readable = request.readable.map(({ name, bytes }) => {
    const words = bytes.length >>> 2;
    if (name !== "header" && name !== "para") return { name, bytes };
    const copy = bytes.slice();
    if (word >= 0 && word < words) new DataView(copy.buffer).setUint32(4 * word, value, true);
    word -= words;
    return { name, bytes: copy };
  });
  return { ...request, readable };
}

/** `request`, and others of its session with as many buffers. */
function variants(request: DataRequest): DataRequest[] {
  const aad = request.src.slice(0, 20);
  if (request.service === "aead") return [request, { ...request, aad }, { ...request, tagLen: 12 }];
  if (request.service !== "chain") return [request];
  const longer = { ...request, claims: { dstDataLen: SIZE_BYTES + 32 }, dstBytes: SIZE_BYTES + 32 };
  const part = { cipherStartSrcOffset: 16, lenToCipher: 64, hashStartSrcOffset: 8, lenToHash: 100 };
  return [request, { ...request, ...part }, { ...request, aad }, { ...request, hashResultLen: 12 }, longer];
}

/** Sealed data to be opened, of which one is genuine. */
function opening(ring: Ring, mode: RequestMode): EncodedRequest[] {
  const { session, request } = WORKLOADS.find(({ name }) => name === "AES-128-GCM")!;
  const seal = request(ring.table.create(sessionRecord(session)), SIZE_BYTES) as AeadRequest;
  const sealed = ring.ask([{ request: encodeData(seal, mode), split: "fields" }])[0]!.written.split(" ")[0]!;
  const src = Uint8Array.fromHex(sealed);
  const sessionId = ring.table.create(Object.assign(sessionRecord(session), { encrypt: false }));
  const open: AeadRequest = { ...seal, op: OP_DECRYPT, sessionId, src };
  return [open, { ...open, src: src.map((byte, i) => i === 0 ? byte ^ 1 : byte) }].map((each) =>
    encodeData(each, mode)
  );
}

/** `request` with the border between its last two readable buffers elsewhere. */
function recut(request: EncodedRequest): EncodedRequest {
  const [before, last] = request.readable.slice(-2);
  const bytes = new Uint8Array([...before!.bytes, ...last!.bytes]);
  const border = before!.bytes.length + 16;
  const again = [{ ...before!, bytes: bytes.slice(0, border) }, { ...last!, bytes: bytes.slice(border) }];
  return { ...request, readable: [...request.readable.slice(0, -2), ...again] };
}

/** `request` with its first writable buffer among the readable ones. */
function turned(request: EncodedRequest): EncodedRequest {
  const [first, ...others] = request.writable;
  return {
    readable: [...request.readable, { name: "turned", bytes: new Uint8Array(first!.sizeBytes) }],
    writable: others,
  };
}

function compareBatches(mode: RequestMode, bursts: MultiBufferChoice): { matching: number } {
  const seed = 7;
  const random = randomFrom(seed);
  const ring = new Ring({ mux: mode === "mux", bursts });
  const requests = WORKLOADS.filter(({ session }) => session.service !== "akcipher").flatMap((workload: Workload) => {
    const id = ring.table.create(sessionRecord(workload.session));
    return variants(workload.request(id, SIZE_BYTES) as DataRequest).map((request) => encodeData(request, mode));
  });
  requests.push(...opening(ring, mode));
  let matching = 0;
  const { match } = TemplateMatcher.prototype;
  const counted: typeof match = function (this: TemplateMatcher, i) {
    const kept = match.call(this, i);
    if (kept !== null) matching++;
    return kept;
  };
  for (let batch = 0; batch < BATCHES; batch++) {
    let last = { request: requests[random(0, requests.length - 1)]!, split: "fields" as Split };
    const asked = Array.from({ length: BATCH }, () => {
      const what = random(0, 9);
      if (what < 3) return last;
      if (what < 7) last = { ...last, request: requests[random(0, requests.length - 1)]! };
      else if (what === 7) last = { ...last, split: (["one", "fields", "random", "linux"] as const)[random(0, 3)]! };
      else return { ...last, request: [changed, changed, recut, turned][random(0, 3)]!(last.request, random) };
      return last;
    });
    try {
      TemplateMatcher.prototype.match = counted;
      const together = ring.ask(asked);
      TemplateMatcher.prototype.match = () => null;
      for (const [i, each] of asked.entries()) {
        assertEquals(together[i], ring.ask([each])[0], `seed ${seed}, batch ${batch}, request ${i}`);
      }
    } finally {
      TemplateMatcher.prototype.match = match;
    }
  }
  return { matching };
}

for (const mode of ["fixed", "mux"] as const) {
  for (const [where, bursts] of [["in the way that is learnt", "auto"], ["in bursts", "on"]] as const) {
    Deno.test(`requests that match earlier ones are answered as alone (${mode}, ${where})`, () => {
      const { matching } = compareBatches(mode, bursts);
      assert(matching > BATCHES, `${matching} requests matched`);
    });
  }
}

Deno.test("bytes after the first buffer are not part of the request, even if they match", () => {
  const ring = new Ring();
  const workload = WORKLOADS.find(({ name }) => name === "AES-128-CBC")!;
  const id = ring.table.create(sessionRecord(workload.session));
  /** A request for `sizeBytes` of 64 bytes, its parameters apart; behind its header stands `decoy`. */
  const chainOf = (sizeBytes: number, decoy?: Uint8Array) => {
    const { readable } = encodeData(workload.request(id, sizeBytes) as DataRequest, "fixed");
    const whole = new Uint8Array(readable.slice(0, -2).flatMap(({ bytes }) => [...bytes]));
    const para = whole.slice(DATA_HEADER_BYTES);
    const { guestAddress } = ring.put(new Uint8Array([...whole.slice(0, DATA_HEADER_BYTES), ...decoy ?? para]));
    const header = { guestAddress, sizeBytes: DATA_HEADER_BYTES };
    const [iv, src, dst] = [16, 64, 65].map((length) => ring.put(new Uint8Array(length)));
    return { para, chain: { readable: [header, ring.put(para), iv!, src!], writable: [dst!] } };
  };
  const whole = chainOf(64);
  const part = chainOf(32, whole.para);
  assertEquals(ring.askRaw([whole.chain, part.chain]), [65, 32]);
});

Deno.test("requests of some sessions in turn match, and none does once its session is destroyed", () => {
  const ring = new Ring({ bursts: "on" });
  const workload = WORKLOADS.find(({ name }) => name === "AES-128-CBC")!;
  const ids = Array.from({ length: 4 }, () => ring.table.create(sessionRecord(workload.session)));
  const asked = ids.map((id) => ({
    request: encodeData(workload.request(id, SIZE_BYTES) as DataRequest, "fixed"),
    split: "fields" as const,
  }));
  const { match } = TemplateMatcher.prototype;
  const matched: boolean[] = [];
  try {
    TemplateMatcher.prototype.match = function (this: TemplateMatcher, i) {
      const kept = match.call(this, i);
      matched.push(kept !== null);
      return kept;
    };
    const first = ring.ask([...asked, ...asked]);
    assertEquals(matched, [false, false, false, false, true, true, true, true]);
    assertEquals(first.slice(4), first.slice(0, 4));
    ring.table.destroy(ids[1]!, 0);
    const again = ring.ask(asked);
    assertEquals(again.map((answer, i) => answer.written === first[i]!.written), [true, false, true, true]);
  } finally {
    TemplateMatcher.prototype.match = match;
  }
});
