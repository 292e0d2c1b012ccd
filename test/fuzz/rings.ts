/**
 * Hostile rings: random descriptors, indices, tables, flags and wrap counters, as a guest can write them. The device may
 * answer or declare the ring broken; it must not hang, and must write only to writable descriptors and the ring.
 *
 * @module
 */
import { setUpRing } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { Block } from "../../src/driver/guest_memory.ts";
import type { DriverQueue } from "../../src/driver/queue.ts";
import type { Random } from "../../src/driver/random.ts";
import { putDescriptor } from "../../src/driver/split_queue.ts";
import { closeFd, createEventFd, signalEventFd } from "../../src/os/event_fd.ts";
import { type Mapping, mapShared, unmap } from "../../src/os/memory_map.ts";
import * as vring from "../../src/wire/vring.ts";
import { cipherSample } from "../conformance/support.ts";
import { encodeData } from "../../src/driver/requests.ts";
import type { CanaryMemory } from "./canary_memory.ts";
import { hostileWord, pick, type Round, type Target } from "./target.ts";

const CASES_PER_ROUND = 400;
const SPLIT_SIZES = [1, 2, 4, 8, 64, 256];
const PACKED_SIZES = [1, 2, 3, 7, 8, 64, 100];
/** Entries of an inflight state. */
const RECORD_ENTRIES = 256;
const ZONE_BYTES = 64 * 1024;
const OUTSIDE = [0n, 4096n, 5n << 20n, 2n ** 32n - 8n, 2n ** 40n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n];

/** A ring that violates the driver's rules: its memory, and zones to which descriptors point. */
class Ground {
  readonly desc: Block;
  readonly avail: Block;
  readonly used: Block;
  /** The device may read it, never write. It contains some valid requests. */
  readonly readZone: Block;
  /** Writable descriptors point here only. */
  readonly writeZone: Block;
  readonly kickFd = createEventFd();
  readonly callFd = createEventFd();
  readonly errFd = createEventFd();
  /** Lengths of the readable fields of the valid request at the zone's start. */
  readonly #fields: number[] = [];

  constructor(driver: CryptoDriver, sessionId: number) {
    const { memory } = driver;
    // Only the last region is large enough for all zones.
    const region = 2;
    this.readZone = memory.alloc(ZONE_BYTES, { region });
    this.desc = memory.alloc(vring.DESC_BYTES * 256, { region, align: 4096 });
    this.avail = memory.alloc(4096, { region, align: 4096 });
    this.used = memory.alloc(8192, { region, align: 4096 });
    this.writeZone = memory.alloc(ZONE_BYTES, { region });
    let at = 0;
    for (const { bytes } of encodeData({ ...cipherSample().request, sessionId }, "fixed").readable) {
      this.readZone.bytes.set(bytes, at);
      this.#fields.push(bytes.length);
      at += bytes.length;
    }
  }

  close(): void {
    for (const fd of [this.kickFd, this.callFd, this.errFd]) closeFd(fd);
  }

  /** Writes a valid request to the start of the read zone; the rest changes from case to case. */
  fillReadZone(random: Random): void {
    const { bytes } = this.readZone;
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + 4096, 256);
    for (let i = 0; i < words.length; i++) words[i] = hostileWord(random);
  }

  /** A descriptor's address, length and direction; writable ones never point where only reading is allowed. */
  buffer(random: Random): { address: bigint; length: number; writable: boolean } {
    const writable = random(2) === 0;
    if (random(10) === 0) return { address: pick(random, OUTSIDE), length: hostileWord(random), writable };
    const zone = writable ? this.writeZone : this.readZone;
    const start = !writable && random(2) === 0 ? 0 : random(ZONE_BYTES - 4096);
    const length = random(6) === 0 && !writable
      ? hostileWord(random)
      : pick(random, [0, 1, 16, 48, 72, 96, 117, ...this.#fields, random(4096)]);
    return { address: BigInt(zone.guestAddress + start), length, writable };
  }
}

/** How descriptors are written: split, packed in a table, or packed in the ring with a wrap counter. */
type Format = "split" | "table" | 0 | 1;

/**
 * Wrong lengths of indirect tables. None is merely too long for its block: the bytes after the block, taken for
 * descriptors, might make other memory writable.
 */
const TABLE_LENGTHS = [0, 1, 8, 15, 17, 16 * 65536, 0xffff_fff0, 0xffff_ffff];

/** The memory that random descriptors refer to, and the source of random numbers. */
interface Terrain {
  readonly ground: Ground;
  /** Indirect tables. */
  readonly tables: Block;
  readonly random: Random;
}

/** Writes `count` random descriptors to `view`. */
function scatter(view: DataView, count: number, { ground, tables, random }: Terrain, format: Format): void {
  for (let i = 0; i < count; i++) {
    const { address, length, writable } = ground.buffer(random);
    let flags = (writable ? vring.DESC_F_WRITE : 0) | (random(3) > 0 ? vring.DESC_F_NEXT : 0);
    let target = address;
    let bytes = length;
    if (random(8) === 0) {
      flags = (flags & (random(4) === 0 ? vring.DESC_F_NEXT : 0)) | vring.DESC_F_INDIRECT;
      target = BigInt(tables.guestAddress + 16 * random(64));
      bytes = random(4) === 0 ? pick(random, TABLE_LENGTHS) : 16 * random(64);
    }
    // Reserved bits are random; WRITE must not appear by chance for memory that may only be read.
    if (random(12) === 0) flags |= random(0x10000) & ~vring.DESC_F_WRITE & ~0x8084;
    let next = random(10) === 0 ? random(0x10000) : random(count);
    if (random(3) > 0) next = i + 1;
    if (format === "split") {
      putDescriptor(view, i * 16, { address: target, length: bytes, flags, next });
      continue;
    }
    if (format !== "table") {
      const owner = format === 1 ? vring.DESC_F_AVAIL : vring.DESC_F_USED;
      flags |= random(8) > 0 ? owner : random(2) << 7 | random(2) << 15;
    }
    // Packed: the id is at the offset of a split descriptor's flags, and the flags follow it.
    putDescriptor(view, i * 16, { address: target, length: bytes, flags: next & 0xffff, next: flags & 0xffff });
  }
}

/** The start of a packed ring: a slot and the wrap counter there. */
interface Position {
  readonly slot: number;
  readonly wrap: 0 | 1;
}

/** The base for a start, in the format of SET_VRING_BASE: no request is in flight. */
function baseOf({ slot, wrap }: Position): number {
  return (slot | wrap << 15 | slot << 16 | wrap << 31) >>> 0;
}

function anyPosition(size: number, random: Random): Position {
  return { slot: random(size), wrap: random(2) as 0 | 1 };
}

/** The descriptor and avail areas of a ring, and indirect tables with descriptors in the format of `packed`. */
function areasOf(terrain: Terrain, packed: boolean): { desc: DataView; avail: DataView } {
  const { ground, tables } = terrain;
  const viewOf = ({ bytes, sizeBytes }: Block) => new DataView(bytes.buffer, bytes.byteOffset, sizeBytes);
  scatter(viewOf(tables), 128, terrain, packed ? "table" : "split");
  return { desc: viewOf(ground.desc), avail: viewOf(ground.avail) };
}

/**
 * Fills a packed ring in which the device begins at `start`. If it `mayMeetItself`, chains wrap and continue in used
 * descriptors.
 */
function writePackedRing(terrain: Terrain, size: number, { slot, wrap }: Position, mayMeetItself: boolean): void {
  const { random } = terrain;
  const { desc, avail } = areasOf(terrain, true);
  scatter(desc, size, terrain, wrap);
  // A chain that wraps would reach the device's used descriptors, whose flags may mark read-only memory as writable.
  const flagsAt = 16 * ((slot + size - 1) % size) + 14;
  if (!mayMeetItself) desc.setUint16(flagsAt, desc.getUint16(flagsAt, true) & ~vring.DESC_F_NEXT, true);
  avail.setUint32(0, hostileWord(random), true);
}

/** Fills a split ring; returns the base to start from. */
function writeSplitRing(terrain: Terrain, size: number): number {
  const { random } = terrain;
  const { desc, avail } = areasOf(terrain, false);
  scatter(desc, size, terrain, "split");
  const base = random(4) === 0 ? 0xffff - random(4) : random(0x10000);
  const submitted = random(12) === 0 ? hostileWord(random) : random(size + 1);
  avail.setUint16(0, random(4), true);
  avail.setUint16(2, base + submitted, true);
  for (let i = 0; i <= size; i++) {
    avail.setUint16(4 + 2 * i, random(12) === 0 ? random(0x10000) : random(size), true);
  }
  return base;
}

/** Checks that the device has not written to the parts of a split ring that belong to the driver. */
function snapshotOf(ground: Ground, packed: boolean): Uint8Array[] {
  return [ground.readZone.bytes.slice(), ...(packed ? [] : [ground.desc.bytes.slice(), ground.avail.bytes.slice()])];
}

function assertUntouched(before: Uint8Array[], ground: Ground, packed: boolean): void {
  const after = snapshotOf(ground, packed);
  const names = ["what it may only read", "the descriptor table", "the available ring"];
  before.forEach((bytes, i) => {
    const at = bytes.findIndex((byte, j) => byte !== after[i]![j]);
    if (at >= 0) throw new Error(`the device wrote to ${names[i]}, at byte ${at}`);
  });
}

/** An inflight region with random records, in half of the rounds. */
class Records {
  readonly #view: DataView;
  readonly #mapping: Mapping;

  constructor(fd: number, sizeBytes: number) {
    this.#mapping = mapShared(fd, sizeBytes);
    this.#view = new DataView(this.#mapping.buffer);
  }

  /** Writes a version and a number of entries, mostly valid ones; returns true if they are. */
  #begin(size: number, random: Random): boolean {
    const version = random(4) === 0 ? hostileWord(random) & 0xffff : 1;
    const entries = random(8) === 0 ? random(0x10000) : size;
    this.#view.setUint16(8, version, true);
    this.#view.setUint16(10, entries, true);
    return version === 1 && entries === size;
  }

  /** Writes records that a crash or a hostile frontend may leave. */
  spoilSplit(size: number, random: Random): void {
    this.#begin(size, random);
    for (let i = 2; i < 6; i++) this.#view.setUint16(4 + 4 * i, random(size + 2), true);
    for (let n = random(40); n > 0; n--) this.#view.setUint8(16 + random(16 * size), random(3));
  }

  /**
   * The same for a packed ring with the base `told`, without descriptors, which could make any memory writable. Returns
   * the start of the device, from the record if that is valid; null if a completion was in flight, after which only the
   * ring's descriptors determine it.
   */
  spoilPacked(size: number, told: Position, random: Random): Position | null {
    const view = this.#view;
    const isGood = this.#begin(size, random);
    for (let i = 0; i < RECORD_ENTRIES; i++) view.setUint8(32 + 32 * i, 0);
    const recorded = random(2) === 0 ? told : anyPosition(size, random);
    for (const at of [16, 18]) view.setUint16(at, recorded.slot, true);
    for (const at of [20, 21]) view.setUint8(at, recorded.wrap);
    if (!isGood) return told;
    if (random(4) > 0) return recorded;
    view.setUint16(pick(random, [16, 18]), random(size + 2), true);
    view.setUint8(pick(random, [20, 21]), random(3));
    return null;
  }

  close(): void {
    unmap(this.#mapping);
  }
}

async function recordsOf(driver: CryptoDriver, random: Random): Promise<Records | undefined> {
  if (random(2) === 0) return undefined;
  const region = await driver.frontend.getInflightFd(3, RECORD_ENTRIES);
  await driver.frontend.setInflightFd(region, region.fd);
  const records = new Records(region.fd, region.mmapSize);
  closeFd(region.fd);
  return records;
}

/** Hostile rings. */
export const rings: Target = {
  name: "rings",
  async run({ bed, packed, random }: Round): Promise<number> {
    const driver = await bed.connect(packed, 0n);
    const { frontend } = driver;
    try {
      const sessionId = await driver.createSession(cipherSample().session);
      const tables = driver.memory.alloc(4096, { region: 2 });
      const ground = new Ground(driver, sessionId);
      await frontend.getVringBase(0);
      const records = await recordsOf(driver, random);
      for (let i = 0; i < CASES_PER_ROUND; i++) {
        const size = pick(random, packed ? PACKED_SIZES : SPLIT_SIZES);
        ground.fillReadZone(random);
        let base: number;
        let mayMeetItself = false;
        if (packed) {
          const told = anyPosition(size, random);
          const start = records === undefined ? told : records.spoilPacked(size, told, random);
          mayMeetItself = start === null || random(8) === 0;
          writePackedRing({ ground, tables, random }, size, start ?? told, mayMeetItself);
          base = baseOf(told);
        } else {
          base = writeSplitRing({ ground, tables, random }, size);
          records?.spoilSplit(size, random);
        }
        const before = snapshotOf(ground, packed);
        const ring = {
          size,
          kickFd: ground.kickFd,
          callFd: ground.callFd,
          descAddress: ground.desc.hostAddress,
          driverAddress: ground.avail.hostAddress,
          deviceAddress: ground.used.hostAddress,
        };
        await setUpRing(frontend, { index: 0, queue: ring as DriverQueue, errFd: ground.errFd, base }, "generic");
        signalEventFd(ground.kickFd);
        if (random(8) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        await frontend.getVringBase(0);
        if (!mayMeetItself) assertUntouched(before, ground, packed);
      }
      (driver.memory as CanaryMemory).verifyCanaries();
      ground.close();
      records?.close();
    } finally {
      await driver.abandon();
    }
    return CASES_PER_ROUND;
  },
};
