/** Requests that carry keys which have come before have contexts, and are answered as those of sessions are. */
import { assert, assertEquals } from "@std/assert";
import { type DataRequest, encodeData } from "../../src/driver/requests.ts";
import { MultiBufferRunner } from "../../src/engine/multibuffer/runner.ts";
import { createMultiBufferManager } from "../../src/engine/multibuffer/manager.ts";
import type { Prepared } from "../../src/engine/prepared.ts";
import { KIND_CIPHER, KIND_HASH, Parameters } from "../../src/engine/operation.ts";
import { RepeatedKeys } from "../../src/engine/repeated_keys.ts";
import { OwnedMemory } from "../../src/os/owned_memory.ts";
import { mapAnonymous } from "../../src/os/memory_map.ts";
import { sessionRecord } from "../../bench/support/engine_variant.ts";
import { type Workload, WORKLOADS } from "../../bench/support/workloads.ts";
import { Ring } from "./one_ring.ts";

const SIZE_BYTES = 128;
const BATCH = 20;

/** Contexts that only say for which parameters they were made. */
class FakeContexts {
  readonly made: Parameters[] = [];
  readonly released: Prepared[] = [];
  refuses = false;

  prepare(parameters: Parameters): Prepared | null {
    if (this.refuses) return null;
    this.made.push(parameters);
    return { cipher: null, digest: null, aead: null, multiBuffer: null };
  }

  release(prepared: Prepared): void {
    this.released.push(prepared);
  }
}

const keys = mapAnonymous(4096);
const keyBytes = new Uint8Array(keys.buffer);

/** Parameters of a cipher whose key is all `key`. */
function withKey(key: number): Parameters {
  keyBytes.fill(key, 64 * key, 64 * key + 64);
  const address = keys.address + 64 * key;
  const parameters = Object.assign(new Parameters(), { kind: KIND_CIPHER, algo: 3, keyLen: 16, encrypt: true });
  return Object.assign(parameters, { cipherKey: address, authKey: address });
}

/** A request with `parameters` comes; true if there were contexts. */
function come(repeated: RepeatedKeys, parameters: Parameters): boolean {
  const isKnown = repeated.find(parameters) !== null;
  if (!isKnown) repeated.note(parameters);
  return isKnown;
}

Deno.test("a key has contexts once it has come again, and keys that come once have none", () => {
  const contexts = new FakeContexts();
  const repeated = new RepeatedKeys(new OwnedMemory(), contexts);
  repeated.begin();
  for (let key = 1; key < 60; key++) assertEquals(come(repeated, withKey(key)), false);
  assertEquals(contexts.made.length, 0);
  let misses = 0;
  for (let i = 0; i < 100; i++) for (const key of [1, 2]) if (!come(repeated, withKey(key))) misses++;
  assertEquals(contexts.made.length, 2);
  assert(misses < 40, `${misses} of 200`);
  // All that contexts depend on is compared.
  for (const other of [{ encrypt: false }, { algo: 4 }, { kind: KIND_HASH }, { keyLen: 15 }, { hashFirst: true }]) {
    assertEquals(repeated.find(Object.assign(withKey(1), other)), null);
  }
  const changed = withKey(1);
  keyBytes[64 + 15]! ^= 1;
  assertEquals(repeated.find(changed), null);
});

Deno.test("contexts stay as long as batches use them, and the oldest go first", () => {
  const contexts = new FakeContexts();
  const repeated = new RepeatedKeys(new OwnedMemory(), contexts);
  const settle = (key: number) => {
    for (let i = 0; i < 40 && !come(repeated, withKey(key)); i++);
    return repeated.find(withKey(key));
  };
  repeated.begin();
  const first = [1, 2, 3, 4].map(settle);
  assert(first.every((prepared) => prepared !== null));
  assertEquals(settle(5), null);
  for (let batch = 0; batch < 63; batch++) {
    repeated.begin();
    assertEquals(settle(5), null);
    for (const key of [1, 3, 4]) repeated.find(withKey(key));
  }
  repeated.begin();
  assert(settle(5) !== null);
  assertEquals(contexts.released, [first[1]]);
  assertEquals([1, 2, 3, 4].map((key) => repeated.find(withKey(key))), [first[0], null, first[2], first[3]]);
});

Deno.test("a key that an algorithm refuses has no contexts, and clearing wipes all keys", () => {
  const contexts = new FakeContexts();
  const memory = new OwnedMemory();
  const repeated = new RepeatedKeys(memory, contexts);
  contexts.refuses = true;
  repeated.begin();
  for (let i = 0; i < 40; i++) assertEquals(come(repeated, withKey(1)), false);
  contexts.refuses = false;
  for (let i = 0; i < 40; i++) come(repeated, withKey(2));
  const [{ cipherKey }] = contexts.made as [Parameters];
  const kept = new Uint8Array(
    new Deno.UnsafePointerView(Deno.UnsafePointer.create(BigInt(cipherKey))!).getArrayBuffer(16),
  );
  assertEquals(kept, new Uint8Array(16).fill(2));
  repeated.clear();
  assertEquals(kept, new Uint8Array(16));
  assertEquals([contexts.released.length, repeated.find(withKey(2))], [1, null]);
});

/** `workload` with other keys. */
function rekeyed(workload: Workload, seed: number): Workload["session"] {
  const changed = (key: Uint8Array) => key.map((byte, i) => byte ^ (i + seed));
  return Object.fromEntries(
    Object.entries(workload.session).map((
      [name, value],
    ) => [name, value instanceof Uint8Array ? changed(value) : value]),
  ) as unknown as Workload["session"];
}

for (const bursts of ["off", "on", "auto"] as const) {
  Deno.test(`requests that carry their keys are answered as those of sessions are (${bursts})`, () => {
    const { add } = MultiBufferRunner.prototype;
    let added = 0;
    MultiBufferRunner.prototype.add = function (...args): void {
      added++;
      add.apply(this, args);
    };
    try {
      for (const workload of WORKLOADS) {
        const ring = new Ring({ stateless: true, bursts });
        const sessions = Array.from({ length: BATCH }, (_, i) => rekeyed(workload, i % 3 < 2 ? i % 3 : i));
        const asked = sessions.map((session) => {
          const { sessionId: _, ...request } = workload.request(0, SIZE_BYTES) as DataRequest & { sessionId: number };
          const stateless = { ...request, stateless: session } as DataRequest;
          return { request: encodeData(stateless, "stateless"), split: "fields" as const };
        });
        const wanted = sessions.map((session) => {
          const id = ring.table.create(sessionRecord(session));
          const request = encodeData(workload.request(id, SIZE_BYTES), "mux");
          const [answer] = ring.ask([{ request, split: "fields" }]);
          ring.table.destroy(id, 0);
          return answer;
        });
        added = 0;
        for (let batch = 0; batch < 5; batch++) {
          assertEquals(ring.ask(asked), wanted, `${workload.name}, batch ${batch}`);
        }
        const hasJobs = bursts === "on" && createMultiBufferManager() !== null && !workload.name.includes("XTS");
        if (hasJobs) assert(added > BATCH, `${workload.name}: ${added} runs in multi-buffer batches`);
      }
    } finally {
      MultiBufferRunner.prototype.add = add;
    }
  });
}
