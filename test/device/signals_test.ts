/**
 * Signals between the device and its driver: none that the driver waits for is missed, whenever its descriptor comes and
 * whichever process published the answer; and no descriptor of a frontend's keeps the device waiting or busy.
 *
 * @module
 */
import { assertEquals, assertLess } from "@std/assert";
import { FEATURES_USUAL, maskOf, setUpRing } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { Frontend } from "../../src/driver/frontend.ts";
import { place, type Placement } from "../../src/driver/layout.ts";
import { type DriverQueue, kickAnyway } from "../../src/driver/queue.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { closeFd, createEventFd, drainEventFd } from "../../src/os/event_fd.ts";
import { unixSocketPair } from "../../src/os/unix_socket.ts";
import { F_PROTOCOL_FEATURES, PROTOCOL_F_REPLY_ACK } from "../../src/wire/vhost_user.ts";
import { F_EVENT_IDX, F_RING_PACKED } from "../../src/wire/vring.ts";
import { processStat } from "../../bench/support/process_stat.ts";
import { CryptoDriver as Driver } from "../../src/driver/crypto_driver.ts";
import { until, withDeviceProcess } from "../cli/programs.ts";
import { ask, assertAnswer, cipherSample } from "../conformance/support.ts";
import { createBlockingEventFd, createPipe, fillEventFd, fillPipe, fillSocket, write } from "../os/pipes.ts";
import { withDevice } from "./harness.ts";

/** Requests on a driver's first data queue, by hand: what is answered stays unseen until {@linkcode take}. */
class Hand {
  readonly queue: DriverQueue;
  readonly #driver: CryptoDriver;
  readonly #sample = cipherSample();
  readonly #placements: Placement[] = [];
  #sessionId = 0;

  constructor(driver: CryptoDriver) {
    this.#driver = driver;
    this.queue = driver.dataQueues[0]!;
  }

  async createSession(): Promise<void> {
    this.#sessionId = await this.#driver.createSession(this.#sample.session);
  }

  /** Asks for a signal at the next answer and submits `count` requests. */
  submit(count = 1): void {
    this.queue.enableCalls();
    for (let i = 0; i < count; i++) {
      const request = encodeData({ ...this.#sample.request, sessionId: this.#sessionId }, "fixed");
      const placement = place(this.#driver.memory, request, {});
      this.queue.add(placement.readable, placement.writable, this.#placements.push(placement) - 1);
    }
    kickAnyway(this.queue);
  }

  /** Waits until all that was submitted is answered, by its status bytes alone. */
  async answered(): Promise<void> {
    const isOpen = (placement: Placement) => placement.read("status")[0] !== 0;
    await until(() => !this.#placements.some(isOpen), () => "answers");
    // The last status byte is written before it is published.
    await until(() => !this.queue.enableCalls(), () => "used entries");
    await this.#driver.frontend.getFeatures();
  }

  /** Takes all answers. */
  take(): void {
    while (this.queue.pollOne() >= 0);
    for (const placement of this.#placements.splice(0)) placement.release();
  }
}

/** Waits for a signal on `fd`. */
function signalled(fd: number, what: string): Promise<void> {
  return until(() => drainEventFd(fd), () => `a signal: ${what}`);
}

/** A device's event descriptors for one test. */
async function withEventFds(count: number, body: (fds: number[]) => Promise<void>): Promise<void> {
  const fds = Array.from({ length: count }, () => createEventFd());
  try {
    await body(fds);
  } finally {
    fds.forEach(closeFd);
  }
}

for (const workers of [0, 1]) {
  for (const packed of [false, true]) {
    for (const eventIdx of [true, false]) {
      const features = (eventIdx ? FEATURES_USUAL : FEATURES_USUAL & ~maskOf(F_EVENT_IDX)) |
        (packed ? maskOf(F_RING_PACKED) : 0n);
      const title = `${packed ? "packed" : "split"} rings, ${workers} workers, ${eventIdx ? "event index" : "flags"}`;

      Deno.test(`answers without a signal are signalled when there is a descriptor (${title})`, () =>
        withDevice({ workers }, (device) =>
          withEventFds(2, async ([a, b]) => {
            const driver = await device.connect({ features });
            const { frontend } = driver;
            const hand = new Hand(driver);
            await frontend.setVringCall(0, a!);
            await frontend.getFeatures();
            assertEquals(drainEventFd(a!), false, "nothing has been answered yet");
            await hand.createSession();
            for (const count of [1, 5]) {
              await frontend.setVringCall(0, -1);
              hand.submit(count);
              await hand.answered();
              await frontend.setVringCall(0, a!);
              await signalled(a!, "the first descriptor");
              await frontend.setVringCall(0, b!);
              await signalled(b!, "another one");
              hand.take();
              hand.queue.disableCalls();
              if (eventIdx) hand.queue.enableCalls();
              await frontend.setVringCall(0, a!);
              await frontend.getFeatures();
              assertEquals(drainEventFd(a!), false, "the driver has seen everything, or wants no signals");
            }
          })));

      Deno.test(`answers without a signal are signalled when the ring starts again (${title})`, () =>
        withDevice({ workers }, (device) =>
          withEventFds(2, async ([a, errFd]) => {
            const driver = await device.connect({ features });
            const { frontend, memory } = driver;
            const hand = new Hand(driver);
            await hand.createSession();
            const missed = async (): Promise<void> => {
              hand.take();
              await frontend.setVringCall(0, -1);
              hand.submit();
              await hand.answered();
            };
            // The order of libvhost-user's frontends, and that of QEMU: the descriptor before the ring.
            await missed();
            const base = await frontend.getVringBase(0);
            await frontend.setVringCall(0, a!);
            assertEquals(drainEventFd(a!), false, "a stopped ring is silent");
            await frontend.setVringBase(0, base);
            await frontend.setVringKick(0, hand.queue.kickFd);
            await signalled(a!, "stopped and started");
            await missed();
            await frontend.setVringEnable(0, false);
            await frontend.setVringCall(0, a!);
            await frontend.setVringEnable(0, true);
            await signalled(a!, "disabled and enabled");
            await missed();
            await frontend.setMemTable([]);
            await frontend.setVringCall(0, a!);
            assertEquals(drainEventFd(a!), false, "a ring without memory is silent");
            await frontend.setMemTable(memory.regions);
            await signalled(a!, "memory gone and back");
            // As after a crash: another connection goes on with what the record and the ring say.
            await missed();
            const region = await frontend.getInflightFd(2, hand.queue.size);
            await frontend.setInflightFd(region, region.fd);
            await frontend.close();
            const next = Frontend.connect(device.path);
            await next.setProtocolFeatures(maskOf(PROTOCOL_F_REPLY_ACK));
            await next.setFeatures(features | maskOf(F_PROTOCOL_FEATURES));
            await next.setMemTable(memory.regions);
            await next.setInflightFd(region, region.fd);
            await next.setVringCall(0, a!);
            const queue = { ...ringOf(hand.queue), callFd: a! };
            await setUpRing(next, {
              index: 0,
              queue: queue as DriverQueue,
              errFd: errFd!,
              base: hand.queue.initialBase,
            }, "generic");
            await signalled(a!, "another connection");
            await next.close();
            closeFd(region.fd);
            hand.take();
          })));
    }
  }

  Deno.test(`a call descriptor that is full and blocks does not keep the device waiting (${workers} workers)`, () =>
    withDevice({ workers }, async (device) => {
      const driver = await device.connect();
      const hand = new Hand(driver);
      await hand.createSession();
      const [pipe, socket] = [createPipe(), unixSocketPair()];
      const counter = createBlockingEventFd();
      fillEventFd(counter);
      fillPipe(pipe[1]);
      fillSocket(socket[0]);
      for (const fd of [counter, pipe[1], socket[0]]) {
        await driver.frontend.setVringCall(0, fd);
        hand.submit();
        await hand.answered();
        hand.take();
      }
      // A reader that closes its end ends nothing but its own hearing.
      closeFd(pipe[0]);
      closeFd(socket[1]);
      for (const fd of [pipe[1], socket[0]]) {
        await driver.frontend.setVringCall(0, fd);
        hand.submit();
        await hand.answered();
        hand.take();
      }
      [counter, pipe[1], socket[0]].forEach(closeFd);
    }));

  Deno.test(`a frontend may wait in reading what it is signalled with, and kick with what it likes (${workers} workers)`, () =>
    withDevice({ workers }, async (device) => {
      const driver = await device.connect();
      const hand = new Hand(driver);
      await hand.createSession();
      const [pipe, socket] = [createPipe(), unixSocketPair()];
      const call = createBlockingEventFd();
      await driver.frontend.setVringCall(0, call);
      for (const [kick, end, bytes] of [[pipe[0], pipe[1], 1], [socket[0], socket[1], 8], [call, call, 8]] as const) {
        await driver.frontend.setVringKick(0, kick);
        for (let i = 0; i < 3; i++) {
          hand.submit();
          write(end, new Uint8Array(bytes).fill(1));
          await hand.answered();
          hand.take();
        }
      }
      [...pipe, ...socket, call].forEach(closeFd);
    }));

  Deno.test(`a kick descriptor at its end is said once, and not watched (${workers} workers)`, () =>
    withDeviceProcess([`--workers=${workers}`], async (path, process) => {
      const driver = await Driver.connect(path);
      try {
        const sample = cipherSample();
        const said = () => process.stderr.match(/will not be kicked any more/g)?.length ?? 0;
        const [pipe, writers, socket] = [createPipe(), createPipe(), unixSocketPair()];
        [pipe[1], writers[0], socket[1]].forEach(closeFd);
        let ends = 0;
        for (const fd of [pipe[0], writers[1], socket[0]]) {
          for (const index of [0, 1]) {
            await driver.frontend.setVringKick(index, fd);
            ends++;
            await until(() => said() === ends, () => `${ends} lines in "${process.stderr}"`);
          }
          const before = processStat(process.pid).cpuMs;
          await new Promise((resolve) => setTimeout(resolve, 1000));
          assertLess(processStat(process.pid).cpuMs - before, 400, "ms of CPU time in 1000 ms");
          assertEquals(said(), ends);
          closeFd(fd);
        }
        await driver.frontend.setVringKick(0, driver.dataQueues[0]!.kickFd);
        await driver.frontend.setVringKick(1, driver.controlQueue!.kickFd);
        assertAnswer(await ask(driver, sample), sample);
      } finally {
        await driver.close();
      }
    }));
}

/** What of a queue describes its ring to a frontend. */
function ringOf({ size, descAddress, driverAddress, deviceAddress, kickFd }: DriverQueue) {
  return { size, descAddress, driverAddress, deviceAddress, kickFd };
}
