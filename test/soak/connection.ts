/**
 * One connection of a soak: every queue is full of requests whose answers are checked, while sessions are created and
 * destroyed, and memory and rings change. Its properties are random; every answer must be correct.
 *
 * @module
 */
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { CryptoDriver, type DataResult } from "../../src/driver/crypto_driver.ts";
import type { SubmitOptions } from "../../src/driver/submit_options.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { place } from "../../src/driver/layout.ts";
import type { Random } from "../../src/driver/random.ts";
import { type DataRequest, encodeData } from "../../src/driver/requests.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_LOG_ALL, F_PROTOCOL_FEATURES } from "../../src/wire/vhost_user.ts";
import { F_EVENT_IDX, F_INDIRECT_DESC, F_RING_PACKED } from "../../src/wire/vring.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { createMemfd } from "../../src/os/memory_map.ts";
import { CanaryMemory } from "../fuzz/canary_memory.ts";
import { type Ask, makersFor } from "./subjects.ts";
import { type Held, Pool } from "./pool.ts";
import type { Tally } from "./tally.ts";

/** The properties of a connection. */
export interface ConnectionOptions {
  readonly packed: boolean;
  /** Data queues to use. */
  readonly queues: number;
  readonly random: Random;
  /** Its duration. */
  readonly durationMs: number;
  /** Maximum wait for an answer. */
  readonly timeoutMs: number;
}

const MIB = 1 << 20;
const REGIONS = [
  { guestAddress: 0, sizeBytes: 4 * MIB },
  { guestAddress: 4 * MIB, sizeBytes: 4 * MIB },
  { guestAddress: 5 * 1024 * MIB, sizeBytes: 160 * MIB, mmapOffset: 64 * 1024 },
];
/** Memory that is added and removed, in the range of the dirty log: the device refuses memory beyond it. */
const EXTRA = { guestAddress: 6 * 1024 * MIB, sizeBytes: MIB };
/** A log for guest memory up to 8 GiB. */
const LOG_BYTES = 256 * 1024;
/** One request in this many is long, or asymmetric. */
const LONG_EVERY = 32;
const ASYMMETRIC_EVERY = 64;
/** Data that fits any ring in any layout. */
const TINY_BYTES = 40;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function bit(number: number): bigint {
  return 1n << BigInt(number);
}

/** Each kind of negotiation: none of MUX, MUX, and MUX with everything stateless. */
const MODES = [0n, 1n, 0x3fn] as const;

function featuresOf({ packed, random }: ConnectionOptions): bigint {
  const mode = MODES[random(MODES.length)]!;
  let features = FEATURES_USUAL | mode | (packed ? bit(F_RING_PACKED) : 0n);
  if (random(4) === 0) features &= ~bit(F_EVENT_IDX);
  if (random(4) === 0) features &= ~bit(F_INDIRECT_DESC);
  return features;
}

/** Describes a connection's properties. */
function describe(driver: CryptoDriver, { packed }: ConnectionOptions): string {
  const mode = driver.hasFeature(w.F_CIPHER_STATELESS_MODE)
    ? "stateless"
    : driver.hasFeature(w.F_MUX_MODE)
    ? "MUX"
    : "";
  const words = [packed ? "packed" : "split", mode || "fixed", `rings of ${driver.dataQueues[0]!.size}`];
  if (driver.controlQueue === undefined) words.push("sessions by message");
  if (!driver.hasFeature(F_EVENT_IDX)) words.push("no event index");
  if (!driver.hasFeature(F_INDIRECT_DESC)) words.push("no tables");
  return words.join(", ");
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

/** Throws unless `result` is the answer to `ask`. */
function check(name: string, ask: Ask, { status, dst, result, usedLen }: DataResult, hasGap: boolean): void {
  if (status !== ask.status) {
    const { length } = ask.request.src;
    throw new Error(`${name} of ${length} bytes: status ${status} instead of ${ask.status}, ${usedLen} bytes used`);
  }
  // The destination after a failure is specified for tags that do not match only.
  if (status !== w.STATUS_OK && status !== w.STATUS_BADMSG) return;
  if (!equal(dst, ask.dst)) throw new Error(`${name}: the destination of ${ask.dst.length} bytes is wrong`);
  if (!equal(result, ask.result)) throw new Error(`${name}: the result of ${ask.result.length} bytes is wrong`);
  const used = ask.dst.length + ask.result.length + 1;
  if (status === w.STATUS_OK && !hasGap && usedLen !== used) {
    throw new Error(`${name}: ${usedLen} bytes used instead of ${used}`);
  }
}

/** A connection under load. */
export class Connection {
  readonly #driver: CryptoDriver;
  readonly #random: Random;
  readonly #options: ConnectionOptions;
  readonly #tally: Tally;
  readonly #pool: Pool;
  readonly #extras = [new DriverMemory([EXTRA]), new DriverMemory([EXTRA])] as const;
  /** Description of its properties. */
  readonly description: string;
  readonly #logFd = createMemfd("dirty-log", LOG_BYTES);
  #isEnding = false;
  #isOver = false;
  #failure: Error | undefined;

  private constructor(driver: CryptoDriver, options: ConnectionOptions, tally: Tally) {
    this.#driver = driver;
    this.#options = options;
    this.#random = options.random;
    this.#tally = tally;
    this.#pool = new Pool(driver, options.random, makersFor(driver.config), tally);
    this.description = describe(driver, options);
  }

  /** Connects and creates sessions. */
  static async open(path: string, options: ConnectionOptions, tally: Tally): Promise<Connection> {
    const { random, queues, timeoutMs } = options;
    // As QEMU's cryptodev device model: sessions are created by message, and no features are acknowledged.
    const byMessage = !options.packed && random(4) === 0;
    const driver = await CryptoDriver.connect(path, {
      ...(byMessage ? { deviceModel: "cryptodev" } : {}),
      memory: new CanaryMemory(REGIONS),
      dataQueueCount: queues,
      features: featuresOf(options),
      queueSize: random(2) === 0 ? 128 : 256,
      memSlots: random(2) === 0,
      polls: random(8) === 0,
      timeoutMs,
    });
    // Some drivers never kick, until their rings are started again.
    for (let queue = 0; queue < queues && random(6) === 0; queue++) await driver.frontend.setVringKick(queue, -1);
    const connection = new Connection(driver, options, tally);
    await connection.#pool.fill();
    tally.connections++;
    return connection;
  }

  /** Its time is over. */
  end(): void {
    this.#isEnding = true;
  }

  /** Sends requests until its time is over, then ends in order or abruptly. Throws the first failure. */
  async run(): Promise<void> {
    const driver = this.#driver;
    const lanes: Promise<void>[] = [this.#churn(), this.#disturb()];
    for (const [queue, { size }] of driver.dataQueues.entries()) {
      for (let lane = 0; lane < size; lane++) lanes.push(this.#ask(queue, lane));
    }
    const end = performance.now() + this.#options.durationMs;
    while (performance.now() < end && !this.#isEnding && this.#failure === undefined) await pause(10);
    const isSudden = this.#random(3) === 0 && this.#failure === undefined;
    if (isSudden) await this.#endSuddenly(lanes);
    else await this.#endInOrder(lanes);
    for (const extra of this.#extras) extra.release();
    closeFd(this.#logFd);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #endInOrder(lanes: readonly Promise<void>[]): Promise<void> {
    this.#isOver = true;
    await Promise.all(lanes);
    try {
      (this.#driver.memory as CanaryMemory).verifyCanaries();
      if (this.#failure === undefined && this.#random(2) === 0) await this.#pool.empty();
      await this.#driver.close();
    } catch (error) {
      this.#failure ??= error as Error;
      await this.#driver.abandon();
    }
  }

  /** Ends like a killed guest, with requests in flight. */
  async #endSuddenly(lanes: readonly Promise<void>[]): Promise<void> {
    const failure = this.#failure;
    const ended = this.#driver.abandon();
    this.#isOver = true;
    await ended;
    await Promise.all(lanes);
    // Requests without an answer are expected here.
    this.#failure = failure;
  }

  #fail(error: unknown): void {
    if (this.#isOver && this.#failure !== undefined) return;
    this.#failure ??= error as Error;
    this.#isOver = true;
  }

  /** Sends requests sequentially. */
  async #ask(queue: number, lane: number): Promise<void> {
    try {
      while (!this.#isOver) {
        const kind = lane % LONG_EVERY === 1 ? "long" : lane % ASYMMETRIC_EVERY === 2 ? "asymmetric" : "short";
        await this.#pool.using(kind, async (held, ask) => {
          const options = this.#layoutFor(ask, queue);
          const result = await this.#driver.request(this.#requestOf(held, ask), options);
          check(held.subject.name, ask, result, options.split === "linux");
          this.#tally.checked++;
          this.#tally.bytes += ask.request.src.length;
        });
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** In stateless mode, half of the requests contain their keys, and half name a session. */
  #requestOf(held: Held, ask: Ask): DataRequest {
    const isStateless = this.#driver.hasFeature(w.F_CIPHER_STATELESS_MODE);
    if (isStateless && this.#random(2) === 0) {
      return { ...ask.request, stateless: held.subject.session } as DataRequest;
    }
    const flag = isStateless ? { flag: w.FLAG_SESSION_MODE } : {};
    return { ...ask.request, sessionId: held.sessionId, ...flag } as DataRequest;
  }

  #layoutFor({ request }: Ask, queue: number): SubmitOptions {
    const random = this.#random;
    const seed = random(2 ** 30);
    const guards = random(4) === 0;
    if (!this.#driver.hasFeature(F_INDIRECT_DESC) || random(3) === 0) {
      return { queue, chain: "direct", split: random(2) === 0 ? "one" : "fields", guards };
    }
    const hasDst = request.service !== "hash" && request.service !== "mac" && request.service !== "akcipher";
    const inPlace = hasDst && random(4) === 0;
    const splits = (["one", "fields", "random"] as ("one" | "fields" | "random" | "linux" | "bytes")[]).concat(
      // The Linux layout repeats data if two fields follow each other, so it is valid for ciphers only.
      request.service === "cipher" && !inPlace ? "linux" : [],
      request.src.length <= TINY_BYTES && !inPlace ? "bytes" : [],
    );
    return { queue, chain: "indirect", split: splits[random(splits.length)]!, seed, inPlace, guards };
  }

  /** Destroys sessions and creates others. */
  async #churn(): Promise<void> {
    try {
      while (!this.#isOver) {
        await pause(this.#random(20));
        if (!this.#isOver) await this.#pool.renew();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Changes memory and rings sequentially, as a VMM's messages do not overtake each other. */
  async #disturb(): Promise<void> {
    try {
      for (let turn = 0; !this.#isOver; turn++) {
        await pause(this.#random(60));
        if (this.#isOver) return;
        const what = this.#random(4);
        if (what === 0) await this.#restart();
        else if (what === 1) await this.#borrowMemory(this.#extras[turn % 2]!);
        else if (what === 2) await this.#remap();
        else await this.#setLogging();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  async #restart(): Promise<void> {
    await this.#driver.stop();
    await pause(this.#random(3));
    // Rings run at the end, too, because requests in flight have to be answered.
    await this.#driver.start();
    this.#tally.ringStops += this.#driver.dataQueues.length + (this.#driver.controlQueue === undefined ? 0 : 1);
  }

  /** Adds a region, sends a request in it, and removes it. The next region has the same address. */
  async #borrowMemory(extra: DriverMemory): Promise<void> {
    const { frontend } = this.#driver;
    const [region] = extra.regions;
    await frontend.addMemReg(region!);
    for (let i = this.#random(8); i >= 0 && !this.#isOver; i--) await this.#askIn(extra);
    if (this.#isOver) return;
    await frontend.remMemReg(region!);
    this.#tally.memoryChanges += 2;
  }

  async #askIn(memory: DriverMemory): Promise<void> {
    await this.#pool.using("short", async (held, ask) => {
      const request = this.#requestOf(held, ask);
      const placement = place(memory, encodeData(request, this.#driver.modeOf(request)));
      const queue = this.#random(this.#driver.dataQueues.length);
      const usedLen = await this.#driver.submitSegments(queue, placement.readable, placement.writable);
      placement.verify();
      const [status] = placement.read("status");
      const result = { status: status!, dst: placement.read("dst"), result: placement.read("result"), usedLen };
      check(`${held.subject.name} in memory that came later`, ask, result, false);
      placement.release();
      this.#tally.checked++;
    });
  }

  /** Starts or stops the dirty log, or replaces it. */
  async #setLogging(): Promise<void> {
    const { frontend, features, controlQueue } = this.#driver;
    if (this.#random(2) === 0) await frontend.setLogBase(LOG_BYTES, 0, this.#logFd);
    const acknowledged = controlQueue === undefined ? 0n : features;
    const logging = this.#random(2) === 0 ? bit(F_LOG_ALL) : 0n;
    await frontend.setFeatures(acknowledged | bit(F_PROTOCOL_FEATURES) | logging);
  }

  /** Has the device map the same memory again: rings and buffers move while it serves them. */
  async #remap(): Promise<void> {
    await this.#driver.frontend.setMemTable(this.#driver.memory.regions);
    this.#tally.memoryChanges++;
  }
}
