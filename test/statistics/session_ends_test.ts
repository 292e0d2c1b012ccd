/**
 * Why sessions are gone: each way in which a session is destroyed is counted under its cause, and logged with the number
 * of sessions if the driver did not ask for it.
 */
import { assertEquals } from "@std/assert";
import { serve } from "../../src/cli/serve.ts";
import type { ServedDevice } from "../../src/cli/serve_options.ts";
import type { DestructionCause } from "../../src/device/destruction_causes.ts";
import { CryptoDriver, type CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import type { Log } from "../../src/os/log.ts";
import { unixSocketPair } from "../../src/os/unix_socket.ts";
import * as vu from "../../src/wire/vhost_user.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_EVENT_IDX, F_VERSION_1 } from "../../src/wire/vring.ts";
import { until, withDirectory } from "../cli/programs.ts";
import { cipherSample } from "../conformance/support.ts";

const PROTOCOL_FEATURES = 1n << BigInt(vu.F_PROTOCOL_FEATURES);

interface Served {
  readonly device: ServedDevice;
  readonly driver: CryptoDriver;
  /** The log, a line a string. */
  readonly lines: readonly string[];
  /** The counts that are not 0. */
  destroyedBy(): Partial<Record<DestructionCause, number>>;
}

/** Runs `body` with a device, and a driver that has created two sessions. */
async function withSessions(
  options: CryptoDriverOptions,
  body: (served: Served, ids: readonly number[]) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    const lines: string[] = [];
    const log: Log = (level, message) => lines.push(`${level}: ${message}`);
    await using device = await serve({ socketPath, migratesSessions: true, log });
    const driver = await CryptoDriver.connect(socketPath, options);
    try {
      const destroyedBy = () =>
        Object.fromEntries(
          Object.entries(device.statistics().sessions.destroyedBy).filter(([_, count]) => count > 0),
        );
      const { session } = cipherSample();
      const ids = [await driver.createSession(session), await driver.createSession(session)];
      await body({ device, driver, lines, destroyedBy }, ids);
    } finally {
      await driver.close();
    }
  });
}

/** The log lines about destroyed sessions. */
function losses(lines: readonly string[]): string[] {
  return lines.filter((line) => line.includes("destroyed"));
}

async function restart({ frontend }: CryptoDriver): Promise<void> {
  const control = await frontend.getQueueNum() - 1;
  for (const base of [5, 0]) await frontend.setVringBase(control, base);
}

/** Has the device load its own sessions. */
async function load(driver: CryptoDriver): Promise<void> {
  await driver.stop();
  const [reading, writing] = unixSocketPair();
  await driver.frontend.setDeviceStateFd("save", writing);
  assertEquals(await driver.frontend.checkDeviceState(), 0n);
  closeFd(writing);
  await driver.frontend.setDeviceStateFd("load", reading);
  assertEquals(await driver.frontend.checkDeviceState(), 0n);
  closeFd(reading);
}

const LOSSES: readonly [DestructionCause, string, (driver: CryptoDriver) => Promise<void>][] = [
  [
    "features",
    "the driver has acknowledged other features (SET_FEATURES), as one does that has restarted",
    async ({ frontend }) => {
      await frontend.setFeatures(PROTOCOL_FEATURES | 1n << BigInt(F_VERSION_1) | 1n << BigInt(F_EVENT_IDX));
    },
  ],
  ["restart", "the driver has restarted (SET_VRING_BASE of the control ring)", restart],
  ["reset", "the frontend has reset the device (RESET_DEVICE)", ({ frontend }) => frontend.resetDevice()],
  ["load", "the frontend loads the sessions of another device (SET_DEVICE_STATE_FD)", load],
  ["disconnect", "the frontend's connection has ended", (driver) => driver.close()],
];

for (const [cause, explanation, lose] of LOSSES) {
  Deno.test(`sessions destroyed without the driver's request are counted and logged: ${cause}`, () =>
    withSessions({}, async ({ driver, lines, destroyedBy }) => {
      await lose(driver);
      await until(() => losses(lines).length > 0, () => lines.join("\n"));
      assertEquals(losses(lines), [`info: 2 sessions are destroyed: ${explanation}`]);
      assertEquals(destroyedBy(), { [cause]: 2 });
    }));
}

Deno.test("sessions that the driver destroys are counted, and not logged", async () => {
  for (const [deviceModel, cause] of [["generic", "driver"], ["cryptodev", "message"]] as const) {
    await withSessions({ deviceModel }, async ({ driver, lines, destroyedBy }, ids) => {
      for (const id of ids) assertEquals(await driver.destroySession("cipher", id), w.STATUS_OK);
      await until(() => destroyedBy()[cause] === 2, () => JSON.stringify(destroyedBy()));
      assertEquals([destroyedBy(), losses(lines)], [{ [cause]: 2 }, []]);
      await driver.close();
      await until(() => lines.some((line) => line.includes("disconnected")), () => lines.join("\n"));
      const explanation = "the frontend's connection has ended";
      assertEquals(losses(lines), [`debug: 0 sessions are destroyed: ${explanation}`]);
    });
  }
});

Deno.test("session messages stay when the driver of the control queue restarts: nothing is counted", () =>
  withSessions({ deviceModel: "cryptodev" }, async ({ driver, lines, destroyedBy }) => {
    await restart(driver);
    assertEquals(losses(lines), [
      "debug: 0 sessions are destroyed: the driver has restarted (SET_VRING_BASE of the control ring)",
    ]);
    assertEquals(destroyedBy(), {});
  }));
