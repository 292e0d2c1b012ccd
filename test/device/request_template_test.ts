/** Templates are filled in turn, and runs are what neighbours with the same one make. */
import { assert, assertEquals } from "@std/assert";
import { RequestRuns, RequestTemplate, TemplatePool } from "../../src/device/request_template.ts";
import { threadMemory } from "../../src/os/owned_memory.ts";

Deno.test("the templates of as many requests as a batch has stay as they are, and the one before them", () => {
  const pool = new TemplatePool(128, threadMemory);
  for (const requests of [1, 128, 1, 2, 1, 128, 5, 128, 128, 1]) {
    const before = pool.next();
    pool.begin(requests);
    const filled = Array.from({ length: requests }, () => pool.next());
    assertEquals(new Set([before, ...filled]).size, requests + 1, `${requests} requests`);
  }
});

Deno.test("the fewer requests there are at once, the fewer templates take turns", () => {
  const pool = new TemplatePool(128, threadMemory);
  for (const requests of [1, 4]) {
    pool.begin(requests);
    assertEquals(new Set(Array.from({ length: 1000 }, () => pool.next())).size, requests + 1);
  }
});

Deno.test("keys that a request brings are wiped once it is answered, and those of others are not", () => {
  const pool = new TemplatePool(2, threadMemory);
  pool.begin(2);
  const [first, second] = [pool.next(), pool.next()];
  const bytesAt = (address: number) =>
    new Uint8Array(new Deno.UnsafePointerView(Deno.UnsafePointer.create(BigInt(address))!).getArrayBuffer(512 + 64));
  const keys = [first, second].map((request) => {
    const { cipherKey, authKey } = request.useOwnParameters();
    assertEquals(authKey, cipherKey + 64);
    return bytesAt(cipherKey).fill(0x5a);
  });
  first.wipeOwnKeys();
  assert(keys[0]!.every((byte) => byte === 0));
  assert(keys[1]!.every((byte) => byte === 0x5a));
  // A request of a session has no keys in it, and costs no wiping.
  keys[0]!.fill(0x5a);
  first.clear();
  first.wipeOwnKeys();
  assert(keys[0]!.every((byte) => byte === 0x5a));
});

Deno.test("runs: neighbours with the same template, from the first request to the last", () => {
  const [a, b] = [new RequestTemplate(0), new RequestTemplate(0)];
  const runs = new RequestRuns(128);
  for (const _ of [0, 1]) {
    runs.clear();
    [a, a, b, a, a, a].forEach((template, i) => runs.add(i, template));
    const found = Array.from({ length: runs.count }, (_, r) => [runs.template(r), runs.start(r), runs.end(r)]);
    assertEquals(found, [[a, 0, 2], [b, 2, 3], [a, 3, 6]]);
  }
  runs.clear();
  for (let i = 0; i < 128; i++) runs.add(i, i % 2 === 0 ? a : b);
  assertEquals([runs.count, runs.start(127), runs.end(127)], [128, 127, 128]);
});

Deno.test("a template that is exchanged for the last one is filled after all others in use", () => {
  const pool = new TemplatePool(8, threadMemory, 2);
  assertEquals(pool.kept.length, 2);
  for (const requests of [1, 8]) {
    pool.begin(requests);
    const kept = pool.kept[0]!;
    const last = pool.next();
    pool.replaceLast(kept);
    const following = Array.from({ length: requests + 1 }, () => pool.next());
    assertEquals([following.indexOf(kept), following.indexOf(last)], [requests, -1]);
    pool.replaceLast(last);
  }
});
