/**
 * Keys in a device's memory, all of which is searched for them: they are there while sessions have them, and nowhere
 * once those are destroyed or their frontend has gone, whichever way they came.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { CryptoDriver, type CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import type { SessionParameters } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { withDeviceProcess } from "../cli/programs.ts";
import { found } from "./memory_search.ts";
import {
  aeadSample,
  assertStatus,
  chainSample,
  cipherSample,
  FEATURES,
  macSample,
  type Sample,
} from "../conformance/support.ts";

const SETTLE_MS = 20_000;
/** Fails unless none of `keys` is found any more. Who holds contexts lets go of them when it looks next. */
async function assertGone(pid: number, keys: readonly Uint8Array[], about: string): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  let left = found(pid, keys);
  while (left.length > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    left = found(pid, keys);
  }
  assertEquals(left, [], `${about}: keys are still there`);
}

/** A sample with keys that occur nowhere else. */
function withFreshKeys(sample: Sample): { session: SessionParameters; request: Sample["request"]; keys: Uint8Array[] } {
  const keys: Uint8Array[] = [];
  const fields = Object.entries(sample.session).map(([name, value]) => {
    if (!(value instanceof Uint8Array)) return [name, value];
    keys.push(crypto.getRandomValues(new Uint8Array(value.length)));
    return [name, keys.at(-1)!];
  });
  return { session: Object.fromEntries(fields), request: sample.request, keys };
}

const WAYS: [way: string, options: CryptoDriverOptions, samples: Sample[]][] = [
  ["by the control queue", { features: FEATURES.mux }, [cipherSample(), macSample(), aeadSample(), chainSample()]],
  ["by message", { deviceModel: "cryptodev" }, [cipherSample(), chainSample()]],
];

for (const workers of [0, 1]) {
  Deno.test(`keys of destroyed sessions and of disconnected frontends are nowhere in memory (${workers} workers)`, () =>
    withDeviceProcess([`--workers=${workers}`, "--sandbox=off"], async (path, { pid }) => {
      for (const [way, options, samples] of WAYS) {
        const driver = await CryptoDriver.connect(path, { timeoutMs: 60_000, ...options });
        const fresh = samples.map(withFreshKeys);
        const keys = fresh.flatMap((one) => one.keys);
        const ids: number[] = [];
        for (const { session, request } of fresh) {
          ids.push(await driver.createSession(session));
          assertStatus(await driver.request({ ...request, sessionId: ids.at(-1)! }), w.STATUS_OK, way);
        }
        assertEquals(found(pid, keys).length, keys.length, `${way}: the search does not find what is there`);
        for (const [i, { session }] of fresh.entries()) await driver.destroySession(session.service, ids[i]!);
        await assertGone(pid, keys, `sessions ${way}, destroyed`);
        const others = samples.map(withFreshKeys);
        for (const { session } of others) await driver.createSession(session);
        await driver.close();
        await assertGone(pid, others.flatMap((one) => one.keys), `sessions ${way}, their frontend gone`);
      }
      const driver = await CryptoDriver.connect(path, { timeoutMs: 60_000, features: FEATURES.stateless });
      const own = WAYS[0]![2].map(withFreshKeys);
      for (const { session, request } of own) {
        assertStatus(await driver.request({ ...request, stateless: session } as never), w.STATUS_OK, "stateless");
      }
      await driver.close();
      await assertGone(pid, own.flatMap((one) => one.keys), "stateless requests, their frontend gone");
    }));
}
