/**
 * Rings whose driver never kicks: SET_VRING_KICK without a descriptor.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { assertAnswer, cipherSample } from "../conformance/support.ts";
import { withDevice } from "./harness.ts";

/** More than a turn of the event loop serves. */
const REQUESTS = 1500;

for (const workers of [0, 1]) {
  Deno.test(`more requests than a round serves, without a kick (${workers} workers)`, () =>
    withDevice({ workers }, async (device) => {
      const driver = await device.connect({ queueSize: 2048 });
      const sample = cipherSample();
      const sessionId = await driver.createSession(sample.session);
      await driver.frontend.setVringKick(0, -1);
      // All are in the ring before the device has a chance to look.
      const request = { ...sample.request, sessionId };
      const results = await Promise.all(Array.from({ length: REQUESTS }, () => driver.request(request)));
      assertEquals(results.length, REQUESTS);
      for (const result of results) assertAnswer(result, sample);
    }));
}
