/**
 * One device takes over from another in the same process, by the calls that a giver and a taker make. `handover_test.ts`
 * does the same with programs, whose line coverage is not recorded.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { CryptoDevice } from "../../src/device/device.ts";
import { FileMemory } from "../../src/device/session_memory.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { DeviceState } from "../../src/handover/state.ts";
import { decodeProcessState, encodeProcessState, processStateBytes } from "../../src/handover/state_format.ts";
import { closeFd, duplicateFd } from "../../src/os/event_fd.ts";
import { createMemfd } from "../../src/os/memory_map.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { type ServerOptions, VhostUserServer } from "../../src/vhost_user/server.ts";
import { workerPlane } from "../../src/worker/worker_plane.ts";
import { ask, assertAnswer, cipherSample } from "../conformance/support.ts";
import { withDirectory } from "../cli/programs.ts";

const LOG_BYTES = 1 << 20;

/** With it, a device has its own inflight region if the frontend has none. */
const KEEPER = { begin() {}, changed() {} };

/** A device with its server and its loop. */
class Host {
  readonly #loop = new EventLoop();
  readonly device: CryptoDevice;
  #server: VhostUserServer | undefined;
  readonly #running: Promise<void>;

  constructor(workers: number) {
    const plane = workers === 0 ? undefined : workerPlane({ workers, pollUs: 50, cpus: [] });
    this.device = new CryptoDevice({ dataQueues: 1, sessionMemory: new FileMemory() }, this.#loop, plane);
    this.#running = this.#loop.run();
  }

  serve(socket: ServerOptions["socket"]): void {
    this.#server = new VhostUserServer({
      loop: this.#loop,
      device: this.device,
      log: () => {},
      socket,
      keeper: KEEPER,
    });
  }

  /** Continues with the state of another device, whose rings are halted afterwards. */
  async continueWith(state: DeviceState): Promise<void> {
    await this.inLoop(() => this.device.rehearse());
    this.device.restore(state);
    this.serve(state);
    await this.inLoop(() => this.server.restore(state.connection));
  }

  get server(): VhostUserServer {
    return this.#server!;
  }

  /** Runs `task` between two handlers of the loop, as the server requires. */
  inLoop<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => this.#loop.defer(() => task().then(resolve, reject)));
  }

  /** The state as another process receives it: serialised, with duplicated descriptors. */
  async frozen(): Promise<DeviceState> {
    const sockets = await this.inLoop(() => this.server.freeze());
    const exported = this.device.exportState();
    const state = { ...exported, ...sockets, statistics: { ...exported.statistics, connectionCount: 1 } };
    const whole = { devices: [state], sockets: [] };
    const bytes = new Uint8Array(processStateBytes(whole));
    const fds = encodeProcessState(whole, bytes);
    return decodeProcessState(bytes, fds.map(duplicateFd)).devices[0]!;
  }

  async close(): Promise<void> {
    this.#loop.stop();
    await this.#running;
    await this.server.close();
    await this.device.close();
    this.#loop.close();
  }
}

/** Has the device record requests in flight, and the pages that it writes. */
async function setRegions(driver: CryptoDriver): Promise<void> {
  await driver.stop();
  const region = await driver.frontend.getInflightFd(2, 256);
  await driver.frontend.setInflightFd(region, region.fd);
  closeFd(region.fd);
  await driver.start();
  const log = createMemfd("log", LOG_BYTES);
  await driver.frontend.setLogBase(LOG_BYTES, 0, log);
  closeFd(log);
}

for (const packed of [false, true]) {
  for (const [workers, withRegion] of [[0, false], [0, true], [1, true]] as const) {
    const title = `${packed ? "packed" : "split"} rings, ${workers} workers${
      withRegion ? ", inflight region, dirty log" : ""
    }`;

    Deno.test(`a device that was frozen and halted serves again, and another one continues for it (${title})`, () =>
      withDirectory(async (directory) => {
        const path = `${directory}/device.sock`;
        const first = new Host(workers);
        first.serve({ path });
        const driver = await CryptoDriver.connect(path, { packed });
        if (withRegion) await setRegions(driver);
        assertAnswer(await ask(driver, cipherSample()), cipherSample());
        // The other one has refused.
        await first.frozen();
        await first.inLoop(() => first.server.halt());
        await first.inLoop(() => first.server.resume());
        assertAnswer(await ask(driver, cipherSample()), cipherSample());
        // The other one has served, and has ended without recording the positions of the rings.
        await first.frozen();
        await first.inLoop(() => first.server.halt());
        await first.inLoop(() => first.server.resume(true));
        assertAnswer(await ask(driver, cipherSample()), cipherSample());

        const state = await first.frozen();
        const second = new Host(workers);
        await second.continueWith(state);
        const bases = await first.inLoop(() => first.server.halt());
        first.server.leave();
        await second.inLoop(() => {
          second.server.moveRings(bases);
          return second.server.resume();
        });
        await first.close();
        assertAnswer(await ask(driver, cipherSample()), cipherSample());
        assertEquals(second.server.isConnected, true);
        await driver.close();
        await second.close();
      }));
  }
}
