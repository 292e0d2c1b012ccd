/**
 * Plants a defect in the device of this thread: hooks at its public methods see every message, request, answer and ring,
 * and can change them. The device's code is unchanged; without a planted defect the hooks have no effect.
 *
 * @module
 */
import { ControlPath } from "../../../src/device/control_path.ts";
import { DataPath } from "../../../src/device/data_path.ts";
import { NegotiatedFeatures } from "../../../src/device/negotiated_features.ts";
import { SessionTable } from "../../../src/device/sessions.ts";
import type { BatchProcessor } from "../../../src/device/queue_server.ts";
import type { GuestMemory } from "../../../src/memory/guest_memory.ts";
import { viewOf } from "../../../src/os/memory_map.ts";
import { type Message, MessageReader, ReplyWriter } from "../../../src/vhost_user/framing.ts";
import { CHAIN_INVALID, ChainBatch } from "../../../src/virtqueue/chain.ts";
import type { DescriptorTable } from "../../../src/virtqueue/descriptor_table.ts";
import { PackedRing } from "../../../src/virtqueue/packed.ts";
import type { Ring } from "../../../src/virtqueue/ring.ts";
import { SplitRing } from "../../../src/virtqueue/split.ts";

/** The bytes of segment `i`, in guest memory; none if it is not in guest memory. */
function bytesOf({ segments }: ChainBatch, i: number): Uint8Array {
  if (segments.isUnmapped(i)) return new Uint8Array();
  return new Uint8Array(viewOf(segments.addressOf(i), segments.length[i]!));
}

/** The segments `first` to `end` as one sequence of bytes. */
class Scattered {
  /** Lengths of the segments, in bytes. */
  readonly lengths: readonly number[];
  /** Their addresses in this process. */
  readonly addresses: readonly number[];
  readonly #parts: readonly Uint8Array[];
  /** Bytes that were changed, in order: the part, the offset in it, and the value before. */
  readonly #changes: [Uint8Array, number, number][] = [];

  constructor(batch: ChainBatch, first: number, end: number) {
    this.#parts = Array.from({ length: end - first }, (_, i) => bytesOf(batch, first + i));
    this.lengths = this.#parts.map(({ length }) => length);
    this.addresses = this.#parts.map((_, i) => batch.segments.addressOf(first + i));
  }

  /** Number of bytes. */
  get length(): number {
    return this.lengths.reduce((sum, length) => sum + length, 0);
  }

  /** A copy of all bytes. */
  copy(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** The byte at `offset`; 0 behind the end. */
  get(offset: number): number {
    for (const part of this.#parts) {
      if (offset < part.length) return part[offset]!;
      offset -= part.length;
    }
    return 0;
  }

  /** Writes the byte at `offset`, unless that is behind the end. */
  set(offset: number, value: number): void {
    for (const part of this.#parts) {
      if (offset < part.length) {
        this.#changes.push([part, offset, part[offset]!]);
        part[offset] = value;
        return;
      }
      offset -= part.length;
    }
  }

  /** The le32 at `offset`. */
  word(offset: number): number {
    return [0, 1, 2, 3].reduce((sum, i) => sum + this.get(offset + i) * 2 ** (8 * i), 0);
  }

  /** Writes the le32 at `offset`. */
  setWord(offset: number, value: number): void {
    for (let i = 0; i < 4; i++) this.set(offset + i, Math.floor(value / 2 ** (8 * i)) & 0xff);
  }

  /** Undoes all changes. */
  restore(): void {
    for (const [part, offset, value] of this.#changes.toReversed()) part[offset] = value;
  }
}

/** A request before the device executes it. Changes are undone before the driver reads its memory again. */
export class SeenRequest {
  /** It is on the control queue. */
  readonly isControl: boolean;
  /** The device-readable bytes. */
  readonly readable: Scattered;
  /** The device-writable bytes. */
  readonly writable: Scattered;
  /** VIRTIO_CRYPTO_F_MUX_MODE is negotiated. */
  readonly isMux: boolean;
  /** The opcode that the driver sent. */
  readonly opcode: number;
  readonly #batch: ChainBatch;
  readonly #index: number;

  constructor(batch: ChainBatch, index: number, isControl: boolean) {
    this.#batch = batch;
    this.#index = index;
    this.isControl = isControl;
    this.readable = new Scattered(batch, batch.first[index]!, batch.firstWritable[index]!);
    this.writable = new Scattered(batch, batch.firstWritable[index]!, batch.end[index]!);
    this.isMux = negotiated?.mux ?? false;
    this.opcode = this.readable.word(0);
  }

  /** Source and destination are in the same place. */
  get isInPlace(): boolean {
    return this.writable.addresses.some((address) => this.readable.addresses.includes(address));
  }

  /** The status of the answer: the last byte of a data request; the field of a `session_input`, or of a destruction. */
  get status(): number {
    return this.writable.get(this.#statusAt);
  }

  set status(value: number) {
    this.writable.set(this.#statusAt, value);
  }

  get #statusAt(): number {
    if (!this.isControl) return this.writable.length - 1;
    return (this.opcode & 1) === 0 && this.writable.length >= 16 ? 8 : 0;
  }

  /** The guest memory of the ring. */
  get memory(): GuestMemory {
    return this.#batch.memory;
  }

  /** The used length of the answer. */
  get usedLen(): number {
    return this.#batch.usedLen[this.#index]!;
  }

  set usedLen(value: number) {
    this.#batch.usedLen[this.#index] = value;
  }
}

/** The hooks of a defect. */
export interface Hooks {
  /** Called before a request is executed. */
  request?(request: SeenRequest): void;
  /** Called before its answer is published. */
  answer?(request: SeenRequest): void;
  /**
   * Called with each message of the `connection`th connection since the defect was planted, from 0; returns what the
   * device sees.
   */
  message?(message: Message, connection: number): Message | "closed";
  /** Called with each reply, header included; returns what the frontend sees. */
  reply?(request: number, reply: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
  /** Called after features were acknowledged. */
  negotiated?(features: NegotiatedFeatures): void;
  /** Called before used entries are published; returns false to publish none. */
  complete?(batch: ChainBatch, ring: Ring): boolean;
  /** Called before chains are fetched; returns false to fetch none. */
  fetch?(ring: Ring): boolean;
  /** Called before sessions are destroyed because a connection or a reset ends them; returns false to keep them. */
  clearSessions?(): boolean;
  /** Called with each chain, by its table and head; returns false to halt the ring. */
  chain?(table: DescriptorTable, head: number): boolean;
  /** Returns whether the driver is notified, instead of `wanted`. */
  notify?(wanted: boolean, ring: Ring): boolean;
  /** Returns the base at which a ring is stopped, instead of `base`. */
  base?(base: number): number;
}

/** A defect and the checks that find it. */
export interface Defect {
  /** The defect, as a statement about the device. */
  readonly name: string;
  /** Matches the ids of the checks that have to find it. */
  readonly found: RegExp;
  /** Creates the hooks, once for each check. */
  readonly plant: () => Hooks;
}

/** A defect without state. */
export function defect(name: string, found: RegExp, hooks: Hooks): Defect {
  return { name, found, plant: () => hooks };
}

let planted: Hooks = {};
/** The connections since the defect was planted: the first one reads the device's offer. */
let connections: MessageReader[] = [];
/** All connections ever. */
const seen = new WeakSet<MessageReader>();
let negotiated: NegotiatedFeatures | undefined;

/** The hooks of the planted defect. They do not apply to the connection that reads the device's offer. */
function hooks(): Hooks {
  return connections.length > 1 ? planted : {};
}

function hookProcess(processor: { prototype: BatchProcessor }, isControl: boolean): void {
  const { process } = processor.prototype;
  processor.prototype.process = function (this: BatchProcessor, jobs, counters) {
    if (hooks().request === undefined && hooks().answer === undefined) return process.call(this, jobs, counters);
    const { batch } = this;
    const requests = Array.from({ length: batch.count }, (_, i) => new SeenRequest(batch, i, isControl));
    for (const request of requests) hooks().request?.(request);
    const handled = process.call(this, jobs, counters);
    for (const { readable } of requests) readable.restore();
    // Requests that have become jobs have left the batch, and the others have moved.
    if (batch.count === requests.length) { for (const request of requests) hooks().answer?.(request); }
    return handled;
  };
}

function hookRing(format: { prototype: Ring }): void {
  const { fetch, complete, base } = format.prototype;
  format.prototype.fetch = function (this: Ring, batch) {
    return hooks().fetch?.(this) === false ? 0 : fetch.call(this, batch);
  };
  format.prototype.complete = function (this: Ring, batch) {
    if (hooks().complete?.(batch, this) === false) return false;
    const wanted = complete.call(this, batch);
    return hooks().notify?.(wanted, this) ?? wanted;
  };
  format.prototype.base = function (this: Ring) {
    const position = base.call(this);
    return hooks().base?.(position) ?? position;
  };
}

function hookSessions(): void {
  const { clear } = SessionTable.prototype;
  SessionTable.prototype.clear = function (origin) {
    if (hooks().clearSessions?.() !== false) clear.call(this, origin);
  };
}

function hookChains(): void {
  const { addSplitChain, addPackedChain } = ChainBatch.prototype;
  ChainBatch.prototype.addSplitChain = function (table, head) {
    return hooks().chain?.(table, head) === false ? CHAIN_INVALID : addSplitChain.call(this, table, head);
  };
  ChainBatch.prototype.addPackedChain = function (table, head, word, slotsMax) {
    return hooks().chain?.(table, head) === false
      ? CHAIN_INVALID
      : addPackedChain.call(this, table, head, word, slotsMax);
  };
}

function hookMessages(): void {
  const { read } = MessageReader.prototype;
  MessageReader.prototype.read = function () {
    if (!seen.has(this)) connections.push(this);
    seen.add(this);
    const message = read.call(this);
    return typeof message === "string" ? message : hooks().message?.(message, connections.indexOf(this) - 1) ?? message;
  };
  const { send } = ReplyWriter.prototype;
  ReplyWriter.prototype.send = function (reply, fd) {
    const request = new DataView(reply.buffer).getUint32(0, true);
    send.call(this, hooks().reply?.(request, reply) ?? reply, fd);
  };
}

hookProcess(DataPath, false);
hookProcess(ControlPath, true);
hookRing(SplitRing);
hookRing(PackedRing);
hookSessions();
hookChains();
hookMessages();
const { set } = NegotiatedFeatures.prototype;
NegotiatedFeatures.prototype.set = function (acknowledged) {
  set.call(this, acknowledged);
  // The type has more properties than are used.
  negotiated = this;
  hooks().negotiated?.(this);
};

/** Runs `body` while the device has the defect `hooks`. */
export async function withDefect<T>(defect: Hooks, body: () => Promise<T>): Promise<T> {
  planted = defect;
  connections = [];
  try {
    return await body();
  } finally {
    planted = {};
  }
}
