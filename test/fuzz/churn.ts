/**
 * Long operations during churn: memory moves, rings stop, and the frontend disconnects while they are in flight.
 *
 * @module
 */
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { DriverError } from "../../src/driver/errors.ts";
import type { Random } from "../../src/driver/random.ts";
import type { CanaryMemory } from "./canary_memory.ts";

/**
 * Has `driver`, whose memory has canaries, await `rounds` rounds of the requests that `begin` starts, and abandon one more
 * round. Throws if a request fails for another reason than the driver's disconnect.
 */
export async function askDuringChurn(
  driver: CryptoDriver,
  rounds: number,
  begin: () => Promise<void>[],
  random: Random,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const batch = Promise.all(begin());
    // Handled now, so that a failure is not an unhandled rejection while another promise is awaited.
    batch.catch(() => {});
    if (random(2) === 0) await driver.frontend.setMemTable(driver.memory.regions);
    if (random(2) === 0) {
      await driver.stop();
      await driver.start();
    }
    await batch;
  }
  (driver.memory as CanaryMemory).verifyCanaries();
  const left = Promise.allSettled(begin());
  await driver.abandon();
  for (const outcome of await left) {
    if (outcome.status === "rejected" && !(outcome.reason instanceof DriverError)) throw outcome.reason;
  }
}
