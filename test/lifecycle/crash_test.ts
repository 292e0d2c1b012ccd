/**
 * The device is killed under load and comes back: with an inflight region no request is lost and none is completed
 * twice. VUC_CRASHES (4 if not given) says how often, for each ring format, without and with a worker.
 *
 * @module
 */
import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import { FEATURES_USUAL, setUpRing } from "../../src/driver/bring_up.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { DisconnectedError } from "../../src/driver/errors.ts";
import { Frontend, type InflightRegion } from "../../src/driver/frontend.ts";
import { place, type Placement } from "../../src/driver/layout.ts";
import { PackedQueue } from "../../src/driver/packed_queue.ts";
import type { DriverQueue } from "../../src/driver/queue.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { SplitQueue } from "../../src/driver/split_queue.ts";
import { closeFd, createEventFd, drainEventFd } from "../../src/os/event_fd.ts";
import { F_PROTOCOL_FEATURES, PROTOCOL_F_INFLIGHT_SHMFD, PROTOCOL_F_REPLY_ACK } from "../../src/wire/vhost_user.ts";
import { STATUS_INVSESS, STATUS_OK } from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import { isListening, PROGRAM, Running, until, withDirectory } from "../cli/programs.ts";
import { ask, assertAnswer, bytes, cipherSample, expected } from "../conformance/support.ts";
import { CanaryMemory } from "../fuzz/canary_memory.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { times } from "./load.ts";

const CRASHES = times("VUC_CRASHES", 4);
const SIZE = 64;
const DEPTH = 48;
const SRC_BYTES = 4096;
const SPENT = 0x77;

/** Starts a device at `path` and waits until it listens there. */
async function startDevice(path: string, workers: number): Promise<Running> {
  const device = new Running(PROGRAM, [`--socket-path=${path}`, `--workers=${workers}`, "--log-level=warn"]);
  await until(() => device.hasEnded || isListening(path), () => `a device at ${path}: ${device.stderr}`);
  return device;
}

/** A driver that survives its device: memory, ring and requests stay when the connection goes. */
class Survivor {
  readonly memory = new CanaryMemory();
  readonly queue: DriverQueue;
  completed = 0;
  readonly #packed: boolean;
  readonly #fds = [createEventFd(), createEventFd(), createEventFd()] as const;
  readonly #placements: (Placement | undefined)[] = [];
  /** Requests that were completed: the device must not write to them any more. */
  #spent: Placement[] = [];
  readonly #src = bytes(SRC_BYTES, 9);
  readonly #key = bytes(16, 5);
  readonly #iv = bytes(16, 6);
  readonly #dst: Uint8Array;
  #frontend: Frontend | undefined;
  #region: (InflightRegion & { readonly fd: number }) | undefined;

  constructor(packed: boolean) {
    this.#packed = packed;
    const options = { size: SIZE, indirect: true, eventIdx: true, kickFd: this.#fds[0], callFd: this.#fds[1] };
    this.queue = packed ? new PackedQueue(this.memory, options) : new SplitQueue(this.memory, options);
    const parts = { key: this.#key, iv: this.#iv, src: this.#src };
    this.#dst = expected(w.SERVICE_CIPHER, w.CIPHER_AES_CTR, w.OP_ENCRYPT, { ...parts, resultLen: SRC_BYTES });
  }

  /** Sets the device up as a VMM does after a reconnection: it does not know the ring's position. */
  async connect(path: string): Promise<void> {
    const frontend = this.#frontend = Frontend.connect(path);
    const packedBit = this.#packed ? 1n << BigInt(F_RING_PACKED) : 0n;
    await frontend.setProtocolFeatures(1n << BigInt(PROTOCOL_F_REPLY_ACK) | 1n << BigInt(PROTOCOL_F_INFLIGHT_SHMFD));
    await frontend.setFeatures(FEATURES_USUAL | 0x1fn | packedBit | 1n << BigInt(F_PROTOCOL_FEATURES));
    await frontend.setMemTable(this.memory.regions);
    this.#region ??= await frontend.getInflightFd(2, SIZE);
    await frontend.setInflightFd(this.#region, this.#region.fd);
    await setUpRing(
      frontend,
      { index: 0, queue: this.queue, errFd: this.#fds[2], base: this.queue.initialBase },
      "generic",
    );
  }

  async disconnect(): Promise<void> {
    await this.#frontend?.close();
  }

  /** Fills the ring and wakes the device. */
  fill(): void {
    while (this.queue.inFlight < DEPTH && this.#submit());
    this.queue.kick();
  }

  /** Keeps the ring full until `isOver` says so, or, without it, empties the ring. */
  async pump(isOver?: () => boolean): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (isOver === undefined ? this.queue.inFlight > 0 : !isOver()) {
      if (performance.now() > deadline) throw new Error(`${this.queue.inFlight} requests are lost`);
      if (isOver !== undefined) this.fill();
      let token = this.queue.pollOne();
      for (; token >= 0; token = this.queue.pollOne()) this.#complete(token);
      this.queue.enableCalls();
      await new Promise((resolve) => setTimeout(resolve, 0));
      drainEventFd(this.#fds[1]);
    }
  }

  #submit(): boolean {
    const session = { service: "cipher", algo: w.CIPHER_AES_CTR, key: this.#key, op: w.OP_ENCRYPT } as const;
    const cipher = { service: "cipher", op: w.OP_ENCRYPT, iv: this.#iv, src: this.#src, stateless: session } as const;
    const placement = place(this.memory, encodeData(cipher, "stateless"), { split: "fields" });
    let token = this.#placements.indexOf(undefined);
    if (token < 0) token = this.#placements.length;
    // Half of the chains lie in the ring, half in tables.
    const layout = token % 2 === 0 ? "indirect" : "direct";
    const isAdded = this.queue.add(placement.readable, placement.writable, token, layout) >= 0;
    if (isAdded) this.#placements[token] = placement;
    else placement.release();
    return isAdded;
  }

  #complete(token: number): void {
    const placement = this.#placements[token]!;
    this.#placements[token] = undefined;
    assertEquals(placement.read("status")[0], STATUS_OK);
    assertEquals(placement.read("dst"), this.#dst);
    placement.verify();
    for (const { guestAddress, sizeBytes } of placement.writable) {
      this.memory.write(guestAddress, new Uint8Array(sizeBytes).fill(SPENT));
    }
    this.#spent.push(placement);
    this.completed++;
  }

  /** Fails if the device wrote to a request after it had given it back. */
  assertLeftAlone(): void {
    for (const placement of this.#spent) {
      for (const { guestAddress, sizeBytes } of placement.writable) {
        assertEquals(this.memory.read(guestAddress, sizeBytes), new Uint8Array(sizeBytes).fill(SPENT));
      }
      placement.release();
    }
    this.#spent = [];
    this.memory.verifyCanaries();
  }

  async close(): Promise<void> {
    await this.disconnect();
    await this.queue.close();
    this.#fds.forEach(closeFd);
    closeFd(this.#region?.fd ?? -1);
    this.memory.release();
  }
}

for (const workers of [0, 1]) {
  for (const packed of [false, true]) {
    const title = `${packed ? "packed" : "split"} rings, ${workers} workers`;

    Deno.test(`the device is killed under load: no request is lost, none is completed twice (${title})`, () =>
      withDirectory(async (directory) => {
        const path = `${directory}/device.sock`;
        const survivor = new Survivor(packed);
        let device = await startDevice(path, workers);
        let pending = 0;
        try {
          for (let crash = 0; crash < CRASHES; crash++) {
            await survivor.connect(path);
            const end = performance.now() + 20 + 40 * Math.random();
            await survivor.pump(() => performance.now() > end);
            survivor.fill();
            // Anywhere between its waking up and its last answer.
            const moment = performance.now() + Math.random();
            while (performance.now() < moment);
            device.kill("SIGKILL");
            await device.ended();
            pending += survivor.queue.inFlight;
            await survivor.disconnect();
            device = await startDevice(path, workers);
            survivor.assertLeftAlone();
          }
          await survivor.connect(path);
          await survivor.pump();
          survivor.assertLeftAlone();
          assertEquals(device.stderr, "");
          assertGreater(survivor.completed, CRASHES);
          assertGreater(pending, 0);
        } finally {
          await survivor.close();
          device.kill("SIGKILL");
          await device.ended();
        }
      }));
  }
}

Deno.test("without an inflight region a restarted device serves new requests, and old sessions are INVSESS", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    const sample = cipherSample();
    let device = await startDevice(path, 1);
    const before = await CryptoDriver.connect(path);
    const sessionId = await before.createSession(sample.session);
    const asking = assertRejects(async () => {
      while (true) await before.request({ ...sample.request, sessionId });
    }, DisconnectedError);
    device.kill("SIGKILL");
    await device.ended();
    await asking;
    await before.abandon();
    device = await startDevice(path, 1);
    const after = await CryptoDriver.connect(path);
    assertEquals((await after.request({ ...sample.request, sessionId })).status, STATUS_INVSESS);
    assertAnswer(await ask(after, sample), sample);
    await after.close();
    device.kill("SIGTERM");
    assertEquals((await device.ended()).code, 0);
  }));
