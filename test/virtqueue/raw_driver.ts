/**
 * Drivers that put into a ring whatever a test asks for, sense or nonsense, and read what the device wrote. One for
 * each ring format, with one interface, so that a rule common to both is tested by one text.
 *
 * @module
 */
import { type Block, DriverMemory, type RegionSpec, type Segment } from "../../src/driver/guest_memory.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { viewOf } from "../../src/os/memory_map.ts";
import { PackedRing } from "../../src/virtqueue/packed.ts";
import type { Ring, RingFeatures, RingLayout } from "../../src/virtqueue/ring.ts";
import { SplitRing } from "../../src/virtqueue/split.ts";
import * as vring from "../../src/wire/vring.ts";

/** A descriptor; NEXT is set where another one follows. */
export interface Desc {
  readonly address: number | bigint;
  readonly length: number;
  readonly flags?: number;
  /** Split rings: where the chain continues, if not at the next descriptor. */
  readonly next?: number;
}

/** What the device gave back. */
export interface Used {
  readonly id: number;
  readonly length: number;
}

/** Which of the used entries the driver wants to hear of: all, none, or the one `n` entries (split) or slots ahead. */
export type Wanted = "all" | "none" | number;

export const WRITE: number = vring.DESC_F_WRITE;
export const INDIRECT: number = vring.DESC_F_INDIRECT;
export const NEXT: number = vring.DESC_F_NEXT;

/** The driver's side of a ring, in the test's hands. */
export interface RawDriver {
  readonly format: "split" | "packed";
  readonly size: number;
  readonly layout: RingLayout;
  readonly memory: DriverMemory;
  /** The device's side. */
  open(features?: Partial<RingFeatures>, base?: number): Ring;
  /** Makes a chain available; returns what its used entry will name. */
  add(chain: readonly Desc[]): number;
  /** The next used entry, or undefined. */
  poll(): Used | undefined;
  /** Asks for notifications; `n` with VIRTIO_F_EVENT_IDX only. */
  want(wanted: Wanted): void;
  /** What the device has asked for. */
  asked(): string;
  /** An indirect table of `entries`. */
  table(entries: readonly Desc[]): Desc;
}

/** The device's view of a driver's memory. */
export function deviceMemory(memory: DriverMemory): GuestMemory {
  return new GuestMemory(
    memory.regions.map(({ guestAddress, sizeBytes, hostAddress }) => ({
      guestAddress,
      sizeBytes,
      hostAddress,
      userAddress: hostAddress,
    })),
  );
}

/** Writes a descriptor; its last two words depend on the ring's format. */
function put(view: DataView, at: number, { address, length }: Desc, [third, fourth]: readonly [number, number]): void {
  view.setBigUint64(at, BigInt(address), true);
  view.setUint32(at + 8, length, true);
  view.setUint16(at + 12, third, true);
  view.setUint16(at + 14, fourth, true);
}

function viewOfBlock({ hostAddress, sizeBytes }: Block): DataView {
  return new DataView(viewOf(hostAddress, sizeBytes));
}

const RINGS = { region: 2, align: 16 };

/** A split ring's driver. */
export class RawSplit implements RawDriver {
  readonly format = "split";
  readonly layout: RingLayout;
  readonly desc: DataView;
  readonly avail: DataView;
  readonly used: DataView;
  availIdx = 0;
  usedIdx = 0;
  #nextDesc = 0;
  readonly #chainLengths = new Map<number, number>();

  constructor(readonly memory: DriverMemory, readonly size: number) {
    const desc = memory.alloc(vring.DESC_BYTES * size, RINGS);
    const avail = memory.alloc(vring.availBytes(size), RINGS);
    const used = memory.alloc(vring.usedBytes(size), RINGS);
    this.desc = viewOfBlock(desc);
    this.avail = viewOfBlock(avail);
    this.used = viewOfBlock(used);
    this.layout = { size, desc: desc.hostAddress, driver: avail.hostAddress, device: used.hostAddress, base: 0 };
  }

  open(features: Partial<RingFeatures> = {}, base = 0): Ring {
    const all = { known: true, packed: false, eventIdx: false, ...features };
    return new SplitRing({ ...this.layout, base }, deviceMemory(this.memory), all);
  }

  add(chain: readonly Desc[]): number {
    const head = this.#nextDesc;
    chain.forEach((desc, i) => {
      const index = (head + i) % this.size;
      const flags = (desc.flags ?? 0) | (i + 1 < chain.length ? NEXT : 0);
      put(this.desc, 16 * index, desc, [flags, desc.next ?? (index + 1) % this.size]);
    });
    this.#nextDesc = (head + chain.length) % this.size;
    this.#chainLengths.set(head, chain.length);
    this.post(head);
    return head;
  }

  /** Makes any number available. */
  post(head: number): void {
    this.avail.setUint16(4 + 2 * (this.availIdx % this.size), head, true);
    this.availIdx = (this.availIdx + 1) & 0xffff;
    this.avail.setUint16(2, this.availIdx, true);
  }

  poll(): Used | undefined {
    if (this.used.getUint16(2, true) === this.usedIdx) return undefined;
    const at = 4 + 8 * (this.usedIdx % this.size);
    this.usedIdx = (this.usedIdx + 1) & 0xffff;
    return { id: this.used.getUint32(at, true), length: this.used.getUint32(at + 4, true) };
  }

  want(wanted: Wanted): void {
    this.avail.setUint16(0, wanted === "none" ? 1 : 0, true);
    if (typeof wanted === "number") this.avail.setUint16(4 + 2 * this.size, (this.usedIdx + wanted) & 0xffff, true);
  }

  asked(): string {
    return `flags ${this.used.getUint16(0, true)}, event ${this.used.getUint16(4 + 8 * this.size, true)}`;
  }

  table(entries: readonly Desc[]): Desc {
    const block = this.memory.alloc(16 * entries.length, { region: 2 });
    const view = viewOfBlock(block);
    entries.forEach((desc, i) => {
      const flags = (desc.flags ?? 0) | (i + 1 < entries.length ? NEXT : 0);
      put(view, 16 * i, desc, [flags, desc.next ?? i + 1]);
    });
    return { address: block.guestAddress, length: block.sizeBytes, flags: INDIRECT };
  }
}

/** A packed ring's driver. */
export class RawPacked implements RawDriver {
  readonly format = "packed";
  readonly layout: RingLayout;
  readonly desc: DataView;
  readonly driverEvent: DataView;
  readonly deviceEvent: DataView;
  availSlot = 0;
  availWrap = 1;
  usedSlot = 0;
  usedWrap = 1;
  #nextId = 0;
  readonly #slots = new Map<number, number>();

  constructor(readonly memory: DriverMemory, readonly size: number) {
    const desc = memory.alloc(vring.DESC_BYTES * size, RINGS);
    const driver = memory.alloc(vring.EVENT_SUPPRESSION_BYTES, RINGS);
    const device = memory.alloc(vring.EVENT_SUPPRESSION_BYTES, RINGS);
    this.desc = viewOfBlock(desc);
    this.driverEvent = viewOfBlock(driver);
    this.deviceEvent = viewOfBlock(device);
    this.layout = {
      size,
      desc: desc.hostAddress,
      driver: driver.hostAddress,
      device: device.hostAddress,
      base: 0x8000_8000,
    };
  }

  open(features: Partial<RingFeatures> = {}, base = 0x8000_8000): Ring {
    const all = { known: true, packed: true, eventIdx: false, ...features };
    return new PackedRing({ ...this.layout, base }, deviceMemory(this.memory), all);
  }

  /** Ids count upwards and have nothing to do with slots; where they mean nothing, they are not to be used. */
  add(chain: readonly Desc[]): number {
    const id = this.#nextId++ & 0xffff;
    const writes: (() => void)[] = [];
    chain.forEach((desc, i) => {
      const more = i + 1 < chain.length;
      const owner = this.availWrap === 1 ? vring.DESC_F_AVAIL : vring.DESC_F_USED;
      const flags = (desc.flags ?? 0) | (more ? NEXT : 0) | owner;
      const at = 16 * this.availSlot;
      writes.push(() => put(this.desc, at, desc, [more ? id ^ 0xffff : id, flags]));
      if (++this.availSlot === this.size) {
        this.availSlot = 0;
        this.availWrap ^= 1;
      }
    });
    for (const write of writes.reverse()) write();
    this.#slots.set(id, chain.length);
    return id;
  }

  poll(): Used | undefined {
    const at = 16 * this.usedSlot;
    const flags = this.desc.getUint16(at + 14, true);
    const isUsed = (flags & vring.DESC_F_USED) !== 0 ? 1 : 0;
    const isAvail = (flags & vring.DESC_F_AVAIL) !== 0 ? 1 : 0;
    if (isUsed !== isAvail || isUsed !== this.usedWrap) return undefined;
    const id = this.desc.getUint16(at + 12, true);
    const length = this.desc.getUint32(at + 8, true);
    // WRITE means "something was written"; besides it only the owner flags are set.
    if ((flags & ~(vring.DESC_F_USED | vring.DESC_F_AVAIL)) !== (length > 0 ? WRITE : 0)) {
      throw new Error(`a used descriptor of ${length} bytes has flags 0x${flags.toString(16)}`);
    }
    this.usedSlot += this.#slots.get(id) ?? 0;
    if (this.usedSlot >= this.size) {
      this.usedSlot -= this.size;
      this.usedWrap ^= 1;
    }
    return { id, length };
  }

  want(wanted: Wanted): void {
    const flags = wanted === "all" ? 0 : wanted === "none" ? 1 : 2;
    if (typeof wanted === "number") {
      const ahead = this.usedSlot + wanted;
      const wrap = ahead >= this.size ? this.usedWrap ^ 1 : this.usedWrap;
      this.driverEvent.setUint16(0, ahead % this.size | wrap << 15, true);
    }
    this.driverEvent.setUint16(2, flags, true);
  }

  asked(): string {
    const event = this.deviceEvent.getUint16(0, true);
    return `flags ${this.deviceEvent.getUint16(2, true)}, slot ${event & 0x7fff}, wrap ${event >>> 15}`;
  }

  table(entries: readonly Desc[]): Desc {
    const block = this.memory.alloc(16 * entries.length, { region: 2 });
    const view = viewOfBlock(block);
    // Ids and flags other than WRITE mean nothing in a table, so they hold what would do harm.
    entries.forEach((desc, i) => put(view, 16 * i, desc, [i ^ 0xabcd, (desc.flags ?? 0) & WRITE | NEXT | INDIRECT]));
    return { address: block.guestAddress, length: block.sizeBytes, flags: INDIRECT };
  }
}

/** Runs `body` with fresh guest memory. */
export function withMemory(body: (memory: DriverMemory) => void, regions?: readonly RegionSpec[]): void {
  const memory = new DriverMemory(regions);
  try {
    body(memory);
  } finally {
    memory.release();
  }
}

/** Registers one test for each format. */
export function onBoth(name: string, size: number, body: (driver: RawDriver) => void): void {
  Deno.test(`split: ${name}`, () => withMemory((memory) => body(new RawSplit(memory, size))));
  Deno.test(`packed: ${name}`, () => withMemory((memory) => body(new RawPacked(memory, size))));
}

/** A descriptor of `segment`. */
export function descOf({ guestAddress, sizeBytes }: Segment, flags = 0): Desc {
  return { address: guestAddress, length: sizeBytes, flags };
}
