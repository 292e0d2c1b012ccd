/**
 * The two ring formats with a minimal driver, for `rings_bench.ts`.
 *
 * @module
 */
import { GuestMemory } from "../src/memory/guest_memory.ts";
import { mapAnonymous, viewOf } from "../src/os/memory_map.ts";
import { ChainBatch } from "../src/virtqueue/chain.ts";
import { PackedRing } from "../src/virtqueue/packed.ts";
import type { Ring, RingLayout } from "../src/virtqueue/ring.ts";
import { SplitRing } from "../src/virtqueue/split.ts";
import {
  DESC_BYTES,
  DESC_F_AVAIL,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_USED,
  DESC_F_WRITE,
  RING_EVENT_FLAGS_DISABLE,
} from "../src/wire/vring.ts";

/** Chains of a lap, which is one iteration of a benchmark. */
export const LAP_CHAINS = 256;
/** A power of two that holds a lap; a split ring reuses the same descriptors in each lap. */
const SIZE = 2048;
/** A packed ring uses all its slots in turn, so it has exactly a lap's: both formats then use the same memory. */
const PACKED_SIZE = 1280;
const MEMORY_BYTES = 1 << 20;
/** Offsets in guest memory. */
const DESC = 0;
const DRIVER = 0x1_0000;
const DEVICE = 0x2_0000;
const TABLES = 0x4_0000;
const BUFFERS = 0x8_0000;
/** The descriptors of a session-mode request: header, IV, source, destination, status. */
const LENGTHS: readonly number[] = [72, 16, 256, 256, 1];
const READABLE = 3;

/** A device ring with its driver. */
export interface RingRig {
  /** Lays out the next lap's chains without making them available. */
  prepare(): void;
  /** Makes the chains of the lap available, `depth` at a time, and lets the device pop and complete them. */
  run(depth: number): void;
}

interface Place {
  readonly address: number;
  readonly memory: GuestMemory;
  readonly words: Int32Array;
  readonly layout: RingLayout;
}

function place(base: number): Place {
  const { address } = mapAnonymous(MEMORY_BYTES);
  return {
    address,
    memory: new GuestMemory([{ guestAddress: 0, sizeBytes: MEMORY_BYTES, userAddress: address, hostAddress: address }]),
    words: new Int32Array(viewOf(address, MEMORY_BYTES)),
    layout: { size: SIZE, desc: address + DESC, driver: address + DRIVER, device: address + DEVICE, base },
  };
}

/** A descriptor; `last` is its last word. */
interface Descriptor {
  readonly address: number;
  readonly length: number;
  readonly last: number;
}

function put(words: Int32Array, at: number, { address, length, last }: Descriptor): void {
  const i = at / 4;
  words[i] = address;
  words[i + 1] = 0;
  words[i + 2] = length;
  words[i + 3] = last;
}

/** Pops and completes all available chains; returns their number. */
function drain(ring: Ring, batch: ChainBatch): number {
  let total = 0;
  for (;;) {
    batch.clear();
    const count = ring.fetch(batch);
    if (count === 0) return total;
    for (let i = 0; i < count; i++) batch.usedLen[i] = batch.writableBytes[i]!;
    ring.complete(batch);
    total += count;
  }
}

function check(done: number, wanted: number): void {
  if (done !== wanted) throw new Error(`the device has completed ${done} chains instead of ${wanted}`);
}

/** A split ring and its driver. */
export function splitRig(indirect: boolean): RingRig {
  const { address, memory, words, layout } = place(0);
  const avail = new Uint16Array(viewOf(address + DRIVER, 4 + 2 * SIZE + 2));
  avail[0] = 1; // No notifications.
  const batch = new ChainBatch();
  const count = LENGTHS.length;
  const step = indirect ? 1 : count;
  for (let c = 0; c < LAP_CHAINS; c++) {
    const table = indirect ? TABLES + c * 128 : DESC;
    const first = indirect ? 0 : c * count;
    LENGTHS.forEach((length, i) => {
      const flags = (i >= READABLE ? DESC_F_WRITE : 0) | (i + 1 < count ? DESC_F_NEXT : 0);
      const next = i + 1 < count ? first + i + 1 : 0;
      put(words, table + (first + i) * DESC_BYTES, {
        address: BUFFERS + c * 1024 + i * 256,
        length,
        last: flags | next << 16,
      });
    });
    if (indirect) {
      put(words, DESC + c * DESC_BYTES, { address: table, length: count * DESC_BYTES, last: DESC_F_INDIRECT });
    }
  }
  for (let i = 0; i < SIZE; i++) avail[2 + i] = (i % LAP_CHAINS) * step;
  const ring = new SplitRing(layout, memory, { known: true, packed: false, eventIdx: false });
  let availIdx = 0;
  return {
    prepare: () => {},
    run(depth) {
      for (let done = 0; done < LAP_CHAINS; done += depth) {
        availIdx = (availIdx + depth) & 0xffff;
        Atomics.store(avail, 1, availIdx);
        check(drain(ring, batch), depth);
      }
    },
  };
}

/** A packed ring and its driver. */
export function packedRig(indirect: boolean): RingRig {
  const { address, memory, words, layout } = place(0x8000_8000);
  new Uint16Array(viewOf(address + DRIVER, 4))[1] = RING_EVENT_FLAGS_DISABLE;
  const batch = new ChainBatch();
  const count = LENGTHS.length;
  const heads = new Int32Array(LAP_CHAINS);
  const headWords = new Int32Array(LAP_CHAINS);
  if (indirect) {
    for (let c = 0; c < LAP_CHAINS; c++) {
      LENGTHS.forEach((length, i) => {
        const flags = i >= READABLE ? DESC_F_WRITE : 0;
        put(words, TABLES + c * 128 + i * DESC_BYTES, {
          address: BUFFERS + c * 1024 + i * 256,
          length,
          last: flags << 16,
        });
      });
    }
  }
  const ring = new PackedRing({ ...layout, size: PACKED_SIZE }, memory, { known: true, packed: true, eventIdx: false });
  let slot = 0;
  let owner = DESC_F_AVAIL;
  /** Adds a descriptor, without AVAIL and USED; it is the head of chain `headOf`, -1: of none. */
  const add = ({ address, length, last }: Descriptor, headOf: number) => {
    const word = owner << 16 | last;
    const at = DESC + slot * DESC_BYTES;
    if (headOf >= 0) {
      heads[headOf] = at / 4 + 3;
      headWords[headOf] = word;
      words[at / 4] = address;
      words[at / 4 + 1] = 0;
      words[at / 4 + 2] = length;
    } else {
      put(words, at, { address, length, last: word });
    }
    if (++slot === PACKED_SIZE) {
      slot = 0;
      owner ^= DESC_F_AVAIL | DESC_F_USED;
    }
  };
  return {
    prepare() {
      for (let c = 0; c < LAP_CHAINS; c++) {
        if (indirect) {
          const last = DESC_F_INDIRECT << 16 | c;
          add({ address: TABLES + c * 128, length: count * DESC_BYTES, last }, c);
          continue;
        }
        for (let i = 0; i < count; i++) {
          const flags = (i >= READABLE ? DESC_F_WRITE : 0) | (i + 1 < count ? DESC_F_NEXT : 0);
          const last = flags << 16 | c;
          add({ address: BUFFERS + c * 1024 + i * 256, length: LENGTHS[i]!, last }, i === 0 ? c : -1);
        }
      }
    },
    run(depth) {
      for (let done = 0; done < LAP_CHAINS; done += depth) {
        // From the last to the first, so that a device on another CPU would see all chains or none.
        for (let c = done + depth - 1; c > done; c--) words[heads[c]!] = headWords[c]!;
        Atomics.store(words, heads[done]!, headWords[done]!);
        check(drain(ring, batch), depth);
      }
    },
  };
}
