/**
 * Guests that boot one after the other behind one frontend's connection: the sessions of each go when the next begins,
 * and stay when it only pauses.
 */
import { assertEquals } from "@std/assert";
import { bringUp, type Device, FEATURES_USUAL, maskOf, setUpRing, tearDownRing } from "../../src/driver/bring_up.ts";
import { Frontend } from "../../src/driver/frontend.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { Pipeline } from "../../src/driver/pipeline.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { encodeCreateSession } from "../../src/driver/sessions.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import { type TestDevice, withDevice } from "./harness.ts";

const KEY = new Uint8Array(16).fill(7);
const SESSIONS = 8;
const TABLE_SLOTS = 20;

/** A guest with a crypto driver, behind a connection that outlives it. */
class Guest {
  readonly #frontend: Frontend;
  readonly #device: Device;
  readonly #pipeline: Pipeline;
  readonly #bases = new Map<number, number>();

  private constructor(frontend: Frontend, memory: DriverMemory, device: Device) {
    this.#frontend = frontend;
    this.#device = device;
    this.#pipeline = new Pipeline(memory, frontend);
    for (const [index, ring] of device.rings) this.#pipeline.addQueue(index, ring);
  }

  static async boot(frontend: Frontend, memory: DriverMemory, features: bigint): Promise<Guest> {
    return new Guest(frontend, memory, await bringUp(frontend, memory, { features }));
  }

  /** Status and id of a new session. */
  async createSession(): Promise<{ status: number; id: number }> {
    const session = { service: "cipher", algo: w.CIPHER_AES_CBC, op: w.OP_ENCRYPT, key: KEY } as const;
    const request = encodeCreateSession(session, { mux: false });
    const { fields } = await this.#pipeline.submit(this.#device.controlIndex, request);
    const input = new DataView(fields["input"]!.buffer);
    return { status: input.getUint32(8, true), id: Number(input.getBigInt64(0, true)) };
  }

  /** The status of a request in session `id`. */
  async use(id: number): Promise<number> {
    const request = encodeData(
      { service: "cipher", sessionId: id, op: w.OP_ENCRYPT, iv: KEY, src: new Uint8Array(64) },
      "fixed",
    );
    return (await this.#pipeline.submit(0, request)).fields["status"]![0]!;
  }

  /** Stops all rings, as QEMU does at a reset of the guest and when its user stops the guest. */
  async stop(): Promise<void> {
    for (const index of this.#device.rings.keys()) {
      this.#bases.set(index, await tearDownRing(this.#frontend, index, "generic"));
    }
  }

  /** Goes on where {@linkcode stop} left off. */
  async continue(): Promise<void> {
    for (const [index, { queue, errFd }] of this.#device.rings) {
      await setUpRing(this.#frontend, { index, queue, errFd, base: this.#bases.get(index)! }, "generic");
    }
  }

  /** Is no more; its rings are stopped. */
  async end(): Promise<void> {
    await this.#pipeline.close();
    for (const { queue, errFd } of this.#device.rings.values()) {
      await queue.close();
      [queue.kickFd, queue.callFd, errFd].forEach(closeFd);
    }
  }
}

async function bootRepeatedly(device: TestDevice, features: bigint): Promise<void> {
  const frontend = Frontend.connect(device.path, { timeoutMs: 60_000 });
  const memory = new DriverMemory();
  const earlier: number[] = [];
  try {
    for (let boot = 0; boot < 5; boot++) {
      const guest = await Guest.boot(frontend, memory, features);
      for (const id of earlier) assertEquals(await guest.use(id), w.STATUS_INVSESS, `boot ${boot}`);
      const ids: number[] = [];
      for (let i = 0; i < SESSIONS; i++) {
        const { status, id } = await guest.createSession();
        assertEquals(status, w.STATUS_OK, `boot ${boot}, session ${i}`);
        ids.push(id);
      }
      for (const id of ids) assertEquals(await guest.use(id), w.STATUS_OK);
      await guest.stop();
      await guest.continue();
      for (const id of ids) assertEquals(await guest.use(id), w.STATUS_OK, `boot ${boot}, continued`);
      earlier.push(...ids);
      await guest.stop();
      await guest.end();
    }
  } finally {
    await frontend.close();
    memory.release();
  }
}

for (const workers of [0, 1]) {
  for (const [format, features] of [["split", 0n], ["packed", maskOf(F_RING_PACKED)]] as const) {
    Deno.test(`sessions end with the guest that created them, ${format} rings, ${workers} workers`, () =>
      withDevice({ workers, maxSessions: TABLE_SLOTS }, (device) => bootRepeatedly(device, FEATURES_USUAL | features)));
  }

  Deno.test(`sessions that came by message stay until they are closed, ${workers} workers`, () =>
    withDevice({ workers, maxSessions: TABLE_SLOTS }, async (device) => {
      const driver = await device.connect({ deviceModel: "cryptodev" });
      const sessionId = await driver.createSession({
        service: "cipher",
        algo: w.CIPHER_AES_CBC,
        op: w.OP_ENCRYPT,
        key: KEY,
      });
      const use = () => driver.cipher({ sessionId, op: w.OP_ENCRYPT, iv: KEY, src: new Uint8Array(64) });
      assertEquals((await use()).status, w.STATUS_OK);
      // What a restarted driver of a whole device causes, in a connection that has no such driver.
      const control = (await driver.frontend.getQueueNum()) - 1;
      for (const base of [5, 0]) await driver.frontend.setVringBase(control, base);
      assertEquals((await use()).status, w.STATUS_OK);
      assertEquals(await driver.destroySession("cipher", sessionId), w.STATUS_OK);
      assertEquals((await use()).status, w.STATUS_INVSESS);
    }));
}
