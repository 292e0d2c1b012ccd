/**
 * Rewriting: another thread changes headers, lengths, descriptors and ring indices of requests while the device executes
 * them. The device may give any answer or declare the ring broken; it must write only to memory that a writable
 * descriptor has named, and must work after the ring is set up again.
 *
 * @module
 */
import { setUpRing } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { Block } from "../../src/driver/guest_memory.ts";
import type { DriverQueue } from "../../src/driver/queue.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { putDescriptor } from "../../src/driver/split_queue.ts";
import { closeFd, createEventFd, signalEventFd } from "../../src/os/event_fd.ts";
import * as vring from "../../src/wire/vring.ts";
import { whileDisturbed } from "../disturbance.ts";
import { allSamples, type Sample } from "../conformance/support.ts";
import type { CanaryMemory } from "./canary_memory.ts";
import type { RewriteOrder } from "./rewriter.ts";
import { EDGES, type Round, type Target } from "./target.ts";

const ROUNDS = 60;
const SIZE = 64;
const SLOT_BYTES = 1024;

/** A ring of chains of two descriptors each: a readable slot and a writable one. */
class Stage {
  readonly desc: Block;
  readonly avail: Block;
  readonly used: Block;
  readonly readable: Block;
  readonly writable: Block;

  constructor({ memory }: CryptoDriver) {
    const region = 2;
    this.readable = memory.alloc(SIZE * SLOT_BYTES, { region });
    this.desc = memory.alloc(vring.DESC_BYTES * SIZE, { region, align: 4096 });
    this.avail = memory.alloc(4096, { region, align: 4096 });
    this.used = memory.alloc(4096, { region, align: 4096 });
    this.writable = memory.alloc(SIZE * SLOT_BYTES, { region });
  }

  /** Writes requests for `subjects` to the slots, and makes chains for all of them available. */
  lay(subjects: readonly { sample: Sample; sessionId: number }[], packed: boolean): void {
    const desc = new DataView(this.desc.bytes.buffer, this.desc.bytes.byteOffset, this.desc.sizeBytes);
    const avail = new DataView(this.avail.bytes.buffer, this.avail.bytes.byteOffset, this.avail.sizeBytes);
    this.used.bytes.fill(0);
    this.avail.bytes.fill(0);
    for (let i = 0; i < SIZE; i += 2) {
      const { sample, sessionId } = subjects[i / 2 % subjects.length]!;
      const { readable, writable } = encodeData({ ...sample.request, sessionId }, "fixed");
      let length = 0;
      for (const { bytes } of readable) {
        this.readable.bytes.set(bytes, i * SLOT_BYTES + length);
        length += bytes.length;
      }
      const room = writable.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      const place = (at: number, block: Block, bytes: number, flags: number) => {
        const address = block.guestAddress + i * SLOT_BYTES;
        const next = at + 1;
        // Packed: id and flags are in the other order; all are available in the first round.
        const tail = packed ? { flags: i, next: flags | vring.DESC_F_AVAIL } : { flags, next };
        putDescriptor(desc, at * vring.DESC_BYTES, { address, length: bytes, ...tail });
      };
      place(i, this.readable, length, vring.DESC_F_NEXT);
      place(i + 1, this.writable, room, vring.DESC_F_WRITE);
      if (!packed) avail.setUint16(4 + i, i, true);
    }
    if (!packed) avail.setUint16(2, SIZE / 2, true);
  }

  /** The words that another thread may write. Addresses and WRITE flags stay, as they define the writable memory. */
  stretches(packed: boolean): RewriteOrder["stretches"] {
    const order: { address: number; sizeBytes: number; words: readonly number[] }[] = [
      { address: this.readable.hostAddress, sizeBytes: SIZE * SLOT_BYTES / 4, words: EDGES },
      { address: this.readable.hostAddress, sizeBytes: 256, words: EDGES },
    ];
    for (let i = 0; i < SIZE; i++) {
      const at = this.desc.hostAddress + i * vring.DESC_BYTES;
      const isWritable = i % 2 === 1;
      order.push({ address: at + 8, sizeBytes: 4, words: [0, 1, 16, 72, 500, 0xffff_ffff] });
      if (!isWritable) {
        order.push({ address: at, sizeBytes: 4, words: [0, this.readable.guestAddress >>> 0, 0xffff_fff0] });
      }
      const kept = isWritable ? vring.DESC_F_WRITE : 0;
      const owner = packed ? [vring.DESC_F_AVAIL, vring.DESC_F_USED] : [0];
      const flags = owner.flatMap((o) => [0, vring.DESC_F_NEXT, vring.DESC_F_INDIRECT].map((f) => f | o | kept));
      // A writable descriptor stays writable unless it is a table, whose flags have no meaning for writing.
      const words = flags.map((f) => packed ? f << 16 | i : i << 16 | f).map((word) => word >>> 0);
      order.push({ address: at + 12, sizeBytes: 4, words });
    }
    if (!packed) {
      order.push({ address: this.avail.hostAddress, sizeBytes: 4, words: [32 << 16, 64 << 16, 96 << 16, 0xffff_0000] });
      order.push({ address: this.avail.hostAddress + 4, sizeBytes: 2 * SIZE, words: [0, 0x0002_0001, 0x003f_003e] });
    }
    return order;
  }
}

function rewriteWhile(order: Omit<RewriteOrder, "control">, body: () => Promise<void>): Promise<number> {
  return whileDisturbed<RewriteOrder>(new URL("./rewriter.ts", import.meta.url), order, body);
}

/** Rewriting. */
export const rewriting: Target = {
  name: "rewriting",
  async run({ bed, packed, random }: Round): Promise<number> {
    const driver = await bed.connect(packed, 0n);
    const fds = [createEventFd(), createEventFd(), createEventFd()] as const;
    const [kickFd, callFd, errFd] = fds;
    try {
      const subjects: { sample: Sample; sessionId: number }[] = [];
      for (const sample of allSamples()) {
        subjects.push({ sample, sessionId: await driver.createSession(sample.session) });
      }
      const stage = new Stage(driver);
      const ring = {
        size: SIZE,
        kickFd,
        callFd,
        descAddress: stage.desc.hostAddress,
        driverAddress: stage.avail.hostAddress,
        deviceAddress: stage.used.hostAddress,
      } as DriverQueue;
      await driver.frontend.getVringBase(0);
      stage.lay(subjects, packed);
      await rewriteWhile({ stretches: stage.stretches(packed), seed: random(1 << 30) }, async () => {
        for (let i = 0; i < ROUNDS; i++) {
          stage.lay(subjects, packed);
          await setUpRing(driver.frontend, { index: 0, queue: ring, errFd, base: packed ? 0x8000_8000 : 0 }, "generic");
          signalEventFd(kickFd);
          if (random(4) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          await driver.frontend.getVringBase(0);
        }
      });
      (driver.memory as CanaryMemory).verifyCanaries();
    } finally {
      await driver.abandon();
      fds.forEach(closeFd);
    }
    return ROUNDS * SIZE / 2;
  },
};
