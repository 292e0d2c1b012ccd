/**
 * Minimal devices, written from the ring chapters of the specification independently of src/driver: they walk rings
 * entry by entry through DataViews, and a callback computes the result.
 */

/** Returns the bytes at a guest address. */
export type Bytes = (guestAddress: number, sizeBytes: number) => Uint8Array;

/** A descriptor of a chain. */
export interface Part {
  readonly address: number;
  readonly length: number;
  readonly isWritable: boolean;
}

/** Executes a chain; returns the number of bytes written. */
export type Answer = (parts: readonly Part[], head: number) => number;

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

/** The common part of both formats. */
export abstract class NaiveDevice {
  /** The shapes of the chains: a dot per descriptor, the length of an indirect table in brackets. */
  readonly seen: string[] = [];
  /** Number of chains popped. */
  taken = 0;
  protected readonly bytes: Bytes;
  protected readonly answer: Answer;

  constructor(bytes: Bytes, answer: Answer) {
    this.bytes = bytes;
    this.answer = answer;
  }

  /** Pops and completes one chain; false if there is none. */
  abstract step(): boolean;

  /** Completes all available chains; returns their number. */
  run(): number {
    let count = 0;
    while (this.step()) count++;
    return count;
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The device's side of a split ring. */
export class NaiveSplit extends NaiveDevice {
  readonly desc: DataView;
  readonly avail: DataView;
  readonly used: DataView;
  readonly size: number;
  availIdx = 0;

  constructor(
    ring: { desc: Uint8Array; avail: Uint8Array; used: Uint8Array; size: number },
    bytes: Bytes,
    answer: Answer,
  ) {
    super(bytes, answer);
    this.desc = view(ring.desc);
    this.avail = view(ring.avail);
    this.used = view(ring.used);
    this.size = ring.size;
  }

  /** Index at which the driver requests a signal. */
  get usedEvent(): number {
    return this.avail.getUint16(4 + 2 * this.size, true);
  }

  /** Index at which this device requests a kick. */
  set availEvent(index: number) {
    this.used.setUint16(4 + 8 * this.size, index, true);
  }

  #read(table: DataView, index: number): Part & { flags: number; next: number } {
    const at = 16 * index;
    const flags = table.getUint16(at + 12, true);
    return {
      address: Number(table.getBigUint64(at, true)),
      length: table.getUint32(at + 8, true),
      flags,
      isWritable: (flags & WRITE) !== 0,
      next: table.getUint16(at + 14, true),
    };
  }

  override step(): boolean {
    if (this.avail.getUint16(2, true) === this.availIdx) return false;
    const head = this.avail.getUint16(4 + 2 * (this.availIdx % this.size), true);
    this.availIdx = (this.availIdx + 1) & 0xffff;
    this.taken++;
    const parts: Part[] = [];
    let shape = "";
    let table = this.desc;
    for (let descriptor = this.#read(table, head);; descriptor = this.#read(table, descriptor.next)) {
      if ((descriptor.flags & INDIRECT) !== 0) {
        shape += `[${descriptor.length / 16}]`;
        table = view(this.bytes(descriptor.address, descriptor.length));
        descriptor = this.#read(table, 0);
      } else if (table === this.desc) {
        shape += ".";
      }
      parts.push(descriptor);
      if ((descriptor.flags & NEXT) === 0) break;
    }
    this.seen.push(shape);
    const length = this.answer(parts, head);
    this.give(head, length);
    return true;
  }

  /** Writes any entry to the used ring. */
  give(id: number, length: number): void {
    const usedIdx = this.used.getUint16(2, true);
    this.used.setUint32(4 + 8 * (usedIdx % this.size), id, true);
    this.used.setUint32(8 + 8 * (usedIdx % this.size), length, true);
    this.used.setUint16(2, usedIdx + 1, true);
  }
}

/** The device's side of a packed ring. */
export class NaivePacked extends NaiveDevice {
  readonly desc: DataView;
  readonly driverEvent: DataView;
  readonly deviceEvent: DataView;
  readonly size: number;
  availSlot = 0;
  availWrap = true;
  usedSlot = 0;
  usedWrap = true;

  constructor(
    ring: { desc: Uint8Array; driverEvent: Uint8Array; deviceEvent: Uint8Array; size: number },
    bytes: Bytes,
    answer: Answer,
  ) {
    super(bytes, answer);
    this.desc = view(ring.desc);
    this.driverEvent = view(ring.driverEvent);
    this.deviceEvent = view(ring.deviceEvent);
    this.size = ring.size;
  }

  /** Chains popped and not returned: id, slots, bytes written. */
  readonly held: { id: number; slots: number; length: number }[] = [];

  /** Pops one chain and keeps it; false if there is none. */
  take(): boolean {
    const flags = this.desc.getUint16(16 * this.availSlot + 14, true);
    const isAvailable = ((flags >> 7) & 1) === Number(this.availWrap) && ((flags >> 15) & 1) !== Number(this.availWrap);
    if (!isAvailable) return false;
    this.taken++;
    const parts: Part[] = [];
    let slots = 0;
    let id = 0;
    let shape = "";
    for (let more = true; more;) {
      const at = 16 * this.availSlot;
      const address = Number(this.desc.getBigUint64(at, true));
      const length = this.desc.getUint32(at + 8, true);
      const flags = this.desc.getUint16(at + 14, true);
      id = this.desc.getUint16(at + 12, true);
      if ((flags & INDIRECT) !== 0) {
        shape += `[${length / 16}]`;
        const table = view(this.bytes(address, length));
        for (let entry = 0; entry < length; entry += 16) {
          parts.push({
            address: Number(table.getBigUint64(entry, true)),
            length: table.getUint32(entry + 8, true),
            isWritable: (table.getUint16(entry + 14, true) & WRITE) !== 0,
          });
        }
      } else {
        shape += ".";
        parts.push({ address, length, isWritable: (flags & WRITE) !== 0 });
      }
      more = (flags & NEXT) !== 0;
      slots++;
      this.availSlot++;
      if (this.availSlot === this.size) {
        this.availSlot = 0;
        this.availWrap = !this.availWrap;
      }
    }
    this.seen.push(shape);
    this.held.push({ id, slots, length: this.answer(parts, id) });
    return true;
  }

  /** Returns the oldest chain it holds, or the `index`-th. */
  give(index = 0): void {
    const { id, slots, length } = this.held.splice(index, 1)[0]!;
    const at = 16 * this.usedSlot;
    this.desc.setUint16(at + 12, id, true);
    this.desc.setUint32(at + 8, length, true);
    this.desc.setUint16(at + 14, (this.usedWrap ? 0x8080 : 0) | (length > 0 ? WRITE : 0), true);
    this.usedSlot += slots;
    if (this.usedSlot >= this.size) {
      this.usedSlot -= this.size;
      this.usedWrap = !this.usedWrap;
    }
  }

  override step(): boolean {
    if (!this.take()) return false;
    this.give();
    return true;
  }
}

/** Copies readable bytes to writable ones, up to the shorter length. */
export function echo(bytes: Bytes): Answer {
  return (parts) => {
    const input = parts.filter((part) => !part.isWritable).flatMap((part) => [...bytes(part.address, part.length)]);
    let done = 0;
    for (const part of parts) {
      if (!part.isWritable) continue;
      const length = Math.min(part.length, input.length - done);
      bytes(part.address, part.length).set(input.slice(done, done + length));
      done += length;
    }
    return done;
  };
}
