/**
 * Operations that take their time, while memory moves, rings stop, and the frontend leaves in the middle of them.
 *
 * @module
 */
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { DriverError } from "../../src/driver/errors.ts";
import type { Random } from "../../src/driver/random.ts";
import type { CanaryMemory } from "./canary_memory.ts";

/**
 * Has `driver`, whose memory has canaries, await so many `rounds` of requests as `begin` begins, and abandon one more.
 * Throws if one goes wrong other than by the driver's leaving.
 */
export async function askInUpheaval(
  driver: CryptoDriver,
  rounds: number,
  begin: () => Promise<void>[],
  random: Random,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const batch = Promise.all(begin());
    // Whichever is awaited first, the other's failure is not to go unheard.
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
