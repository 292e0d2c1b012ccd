/**
 * Coming and going: of frontends, memory, rings and sessions, under load, as often as VUC_CYCLES (1000 if not given)
 * says. Nothing is lost, nothing is answered twice, and nothing is kept.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { maskOf } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { F_PROTOCOL_FEATURES } from "../../src/wire/vhost_user.ts";
import { STATUS_INVSESS } from "../../src/wire/virtio_crypto.ts";
import { ROOT, Running, until } from "../cli/programs.ts";
import { ask, assertAnswer, cipherSample } from "../conformance/support.ts";
import { Bed } from "../fuzz/bed.ts";
import type { CanaryMemory } from "../fuzz/canary_memory.ts";
import { Load, times } from "./load.ts";

const CYCLES = times("VUC_CYCLES", 1000);

/** Runs `body` with a device that was measured after its first connections, and measures it again in the end. */
async function withBed(workers: number, body: (bed: Bed) => Promise<void>): Promise<void> {
  const bed = await Bed.start({ workers });
  try {
    for (const packed of [false, true]) await bed.assertCorrect(packed);
    await bed.assertNothingKept();
    await body(bed);
    await bed.assertCorrect(false);
    await bed.assertNothingKept();
  } catch (error) {
    await bed.kill();
    throw new Error(`${(error as Error).message}\n${bed.said.slice(-2000)}`, { cause: error });
  }
  await bed.close();
}

/** A driver under load, on split or packed rings, that is ended in order. */
async function underLoad(
  bed: Bed,
  packed: boolean,
  body: (driver: CryptoDriver, load: Load) => Promise<void>,
): Promise<void> {
  const driver = await bed.connect(packed, 0n);
  const load = await Load.start(driver);
  try {
    await body(driver, load);
    await load.stop();
    (driver.memory as CanaryMemory).verifyCanaries();
    await driver.close();
  } finally {
    await driver.abandon();
    await load.abandon();
  }
}

for (const workers of [0, 1]) {
  const title = (what: string): string => `${what} (${workers} workers)`;

  Deno.test(
    title(`${CYCLES / 2} frontends come, are served and go, in order or not`),
    () =>
      withBed(workers, async (bed) => {
        for (let i = 0; i < CYCLES / 2; i++) {
          const driver = await bed.connect(i % 2 === 1, 0n, { dataQueueCount: 1 + i % 2 });
          assertAnswer(await ask(driver, cipherSample()), cipherSample());
          if (i % 3 === 0) await driver.abandon();
          else await driver.close();
          if (i % 100 === 99) await bed.assertNothingKept();
        }
      }),
  );

  for (const packed of [false, true]) {
    const rings = packed ? "packed" : "split";

    Deno.test(
      title(`memory is added, removed and replaced under load, ${rings} rings`),
      () =>
        withBed(workers, (bed) =>
          underLoad(bed, packed, async (driver, load) => {
            const extra = new DriverMemory([{ guestAddress: 2 ** 40, sizeBytes: 1 << 20 }]);
            const [region] = extra.regions;
            for (let i = 0; i < CYCLES / 10; i++) {
              await driver.frontend.addMemReg(region!);
              if (i % 4 === 0) await load.more(1);
              await driver.frontend.remMemReg(region!);
              // The same memory, mapped again: rings and buffers move in the device while it serves them.
              await driver.frontend.setMemTable(driver.memory.regions);
              if (i % 4 === 0) await load.more(1);
            }
            await load.more(100);
            extra.release();
          })),
    );

    Deno.test(
      title(`rings stop and start with requests pending, ${rings} rings`),
      () =>
        withBed(workers, (bed) =>
          underLoad(bed, packed, async (driver, load) => {
            for (let i = 0; i < CYCLES / 20; i++) {
              await driver.stop();
              if (i % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
              await driver.start();
              await load.more(i % 5);
            }
            await load.more(100);
          })),
    );
  }

  Deno.test(
    title("a reset destroys all sessions, and the device serves as before"),
    () =>
      withBed(workers, async (bed) => {
        const driver = await bed.connect(false, 0n);
        for (let i = 0; i < CYCLES / 50; i++) {
          const sample = cipherSample();
          const sessionId = await driver.createSession(sample.session);
          await driver.stop();
          await driver.frontend.resetDevice();
          await driver.frontend.setFeatures(driver.features | maskOf(F_PROTOCOL_FEATURES));
          await driver.start();
          assertEquals((await driver.request({ ...sample.request, sessionId })).status, STATUS_INVSESS);
          assertAnswer(await ask(driver, sample), sample);
        }
        await driver.close();
      }),
  );

  Deno.test(title("frontends are killed under load"), () =>
    withBed(workers, async (bed) => {
      for (let i = 0; i < 3 + CYCLES / 1000; i++) {
        const script = `${ROOT}test/cli/restless_driver.ts`;
        const driver = new Running(`${ROOT}scripts/deno`, ["run", "-A", "--no-check", script, bed.path]);
        await until(() => driver.stdout.includes("busy") || driver.hasEnded, () => `a busy driver: ${driver.stderr}`);
        assert(!driver.hasEnded, driver.stderr);
        driver.kill("SIGKILL");
        await driver.ended();
        await bed.assertCorrect(false);
        await bed.assertNothingKept();
      }
      assertGreater(bed.rssBytesMax, 0);
    }));
}
