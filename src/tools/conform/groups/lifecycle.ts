/**
 * Reset and reconnection: the state that ends with a connection or a reset, and that the device continues to serve.
 *
 * @module
 */
import type { CryptoDriver } from "../../../driver/crypto_driver.ts";
import { featuresOfMode, maskOf, setUpRing } from "../../../driver/bring_up.ts";
import { DisconnectedError, DriverError } from "../../../driver/errors.ts";
import { closeFd, createEventFd } from "../../../os/event_fd.ts";
import * as vu from "../../../wire/vhost_user.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectStatus } from "../expect.ts";
import { cipherSample } from "../samples.ts";
import { needsOf } from "./needs.ts";

const NEEDS = needsOf(cipherSample());
const WHOLE = { ...NEEDS, wholeDevice: true };

/** A request of the usual sample for session `sessionId`. */
function request(driver: CryptoDriver, sessionId: number) {
  return driver.request({ ...cipherSample().request, sessionId });
}

async function expectServed(context: CheckContext, about: string): Promise<void> {
  expectAnswer(await context.ask(cipherSample()), cipherSample(), about);
}

async function checkSessionsEnd(context: CheckContext, end: () => Promise<void>, how: string): Promise<void> {
  const sessionId = await (await context.driver()).createSession(cipherSample().session);
  expectAnswer(await request(await context.driver(), sessionId), cipherSample());
  await end();
  context.note(`a request for session ${sessionId}, which another connection created before ${how}`);
  const driver = await context.driver();
  expectStatus(await request(driver, sessionId), w.STATUS_INVSESS, `after ${how}`);
  await expectServed(context, `after ${how}`);
}

/** Number of connections of the clauses that repeat something. */
const REPETITIONS = 20;

async function checkHalfWay(context: CheckContext): Promise<void> {
  const steps = 6;
  for (let count = 0; count < REPETITIONS; count++) {
    context.note(`connection ${count}: the first ${count % steps} messages of a set-up, and then the end`);
    const frontend = await context.frontend();
    const messages = [
      () => frontend.getFeatures(),
      () => frontend.setOwner(),
      () => frontend.setFeatures(featuresOfMode("session") & context.offer.features),
      () => frontend.setVringNum(0, 64),
      () => frontend.setVringBase(0, 3),
    ];
    for (const message of messages.slice(0, count % steps)) await message();
  }
  await expectServed(context, "afterwards");
}

async function checkLoad(context: CheckContext): Promise<void> {
  for (let round = 0; round < 5; round++) {
    const driver = await context.driver();
    const sessionId = await driver.createSession(cipherSample().session);
    context.note(`connection ${round}: closed with 200 requests in flight`);
    const inFlight = Array.from(
      { length: 200 },
      () =>
        driver.cipher({ ...cipherSample(w.OP_ENCRYPT, 4096).request, sessionId } as never).catch((error) => {
          if (!(error instanceof DriverError)) throw error;
        }),
    );
    await context.abandon();
    await Promise.all(inFlight);
  }
  await expectServed(context, "afterwards");
}

async function checkResetDevice(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const { frontend, dataQueues } = driver;
  const sessionId = await driver.createSession(cipherSample().session);
  expectAnswer(await request(driver, sessionId), cipherSample());
  context.note("RESET_DEVICE on the connection, then features and the rings again");
  const rings = [...dataQueues, ...(driver.controlQueue === undefined ? [] : [driver.controlQueue])];
  const bases = await stopAll(driver, rings.length);
  await frontend.resetDevice();
  await frontend.setFeatures(driver.features | maskOf(vu.F_PROTOCOL_FEATURES));
  const errFds = rings.map(() => createEventFd());
  try {
    for (const [i, queue] of rings.entries()) {
      const index = i < dataQueues.length ? i : controlIndex(driver);
      await setUpRing(frontend, { index, queue, errFd: errFds[i]!, base: bases[i]! }, "generic");
    }
    expectStatus(await request(driver, sessionId), w.STATUS_INVSESS, "the session after RESET_DEVICE");
    expectAnswer(await context.askWith(driver, cipherSample()), cipherSample(), "a new session after RESET_DEVICE");
    await context.close();
  } finally {
    errFds.forEach(closeFd);
  }
}

function controlIndex({ config }: CryptoDriver): number {
  return config?.maxDataqueues ?? 1;
}

/** Stops the data queue and the control queue; returns their bases. */
async function stopAll(driver: CryptoDriver, count: number): Promise<number[]> {
  const bases: number[] = [];
  for (let i = 0; i < count; i++) {
    bases.push(await driver.frontend.getVringBase(i + 1 < count ? i : controlIndex(driver)));
  }
  return bases;
}

const CLAUSES: readonly Clause[] = [
  {
    id: "reconnect",
    duty: `the device serves the next frontend after one has disconnected, ${REPETITIONS} times`,
    reference: { vhostUser: "Communication" },
    needs: NEEDS,
    run: async (context) => {
      for (let i = 0; i < REPETITIONS; i++) {
        await expectServed(context, `connection ${i}`);
        await (i % 2 === 0 ? context.close() : context.abandon());
      }
    },
  },
  {
    id: "sessions-end",
    duty: "sessions end with the connection on which they were created",
    level: "SHOULD",
    reference: { ratified: "Device Reset" },
    needs: WHOLE,
    run: (context) => checkSessionsEnd(context, () => context.close(), "the connection was closed"),
  },
  {
    id: "sessions-end-abandoned",
    duty: "sessions end with a connection that is closed with running rings",
    level: "SHOULD",
    reference: { ratified: "Device Reset" },
    needs: WHOLE,
    run: (context) => checkSessionsEnd(context, () => context.abandon(), "the connection was abandoned"),
  },
  {
    id: "reset-device",
    duty: "RESET_DEVICE ends sessions and stops rings, which can be started again on the same connection",
    reference: { vhostUser: "Front-end message types, RESET_DEVICE", ratified: "Device Reset" },
    needs: { ...WHOLE, protocolFeatures: [vu.PROTOCOL_F_RESET_DEVICE] },
    run: checkResetDevice,
  },
  {
    id: "pause",
    duty: "sessions survive a pause in which all rings are stopped and started again",
    reference: { vhostUser: "Starting and stopping rings" },
    needs: NEEDS,
    run: async (context) => {
      const driver = await context.driver();
      const sessionId = await driver.createSession(cipherSample().session);
      await driver.stop();
      await driver.start();
      expectAnswer(await request(driver, sessionId), cipherSample(), "after a pause");
      await driver.destroySession("cipher", sessionId);
    },
  },
  {
    id: "half-way",
    duty: "the device serves the next frontend after one has disconnected during its set-up",
    reference: { vhostUser: "Communication" },
    needs: NEEDS,
    run: checkHalfWay,
  },
  {
    id: "leave-under-load",
    duty: "the device serves the next frontend after one has disconnected with requests in flight",
    reference: { vhostUser: "Communication" },
    needs: NEEDS,
    run: checkLoad,
  },
  {
    id: "cut-message",
    duty: "the device serves the next frontend after one has disconnected within a message",
    reference: { vhostUser: "Communication" },
    needs: NEEDS,
    run: async (context) => {
      for (const length of [1, 5, 11, 12, 15]) {
        const frontend = await context.frontend();
        const message = new Uint8Array(20);
        new DataView(message.buffer).setUint32(0, vu.SET_FEATURES, true);
        message[4] = vu.FLAG_VERSION;
        message[8] = 8;
        try {
          frontend.sendRaw(message.subarray(0, length));
        } catch (error) {
          if (!(error instanceof DisconnectedError)) throw error;
        }
        await context.close();
      }
      await expectServed(context, "afterwards");
    },
  },
];

/** Reset and reconnection. */
export const LIFECYCLE: Group = { name: "lifecycle", title: "Reset and reconnection", clauses: CLAUSES };
