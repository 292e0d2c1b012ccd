/**
 * A ring that a check controls, in place of data queue 0, for groups that write descriptors themselves.
 *
 * @module
 */
import type { CheckContext } from "../context.ts";
import { RawRing, type RawRingOptions } from "../raw_ring.ts";
import { cipherSample } from "../samples.ts";

/** Runs `body` with a ring and a session of the usual cipher sample. The connection ends with it. */
export async function withOwnRing(
  context: CheckContext,
  body: (ring: RawRing, sessionId: number) => Promise<void>,
  options: RawRingOptions = {},
): Promise<void> {
  const { config, deviceModel } = context.offer;
  const dataQueueCount = Math.min(2, config?.maxDataqueues ?? 1);
  const driver = await context.driver({ dataQueueCount });
  const sessionId = await driver.createSession(cipherSample().session);
  await RawRing.use(driver, (ring) => body(ring, sessionId), { deviceModel, ...options });
  // The driver's own queue has been stopped.
  await context.close();
}
