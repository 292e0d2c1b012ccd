/**
 * Hostile rings: chains that loop or leave the table, invalid indirect tables, indices that jump. The device may answer,
 * signal the error descriptor, or stop serving the ring; after the ring is set up again, it must work.
 *
 * @module
 */
import { kickAnyway } from "../../../driver/queue.ts";
import type { RawDescriptor } from "../../../driver/split_queue.ts";
import { DESC_BYTES, DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, F_INDIRECT_DESC } from "../../../wire/vring.ts";
import type { Clause } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { assertAlive, blockOf, layGoodRequest, type RawRing } from "../raw_ring.ts";
import { cipherSample } from "../samples.ts";
import { needsOf } from "./needs.ts";
import { withOwnRing } from "./own_ring.ts";

const NEXT = DESC_F_NEXT;
const WRITE = DESC_F_WRITE;
const INDIRECT = DESC_F_INDIRECT;

const NEEDS = needsOf(cipherSample());
const REFERENCE = { ratified: "The Virtqueue Descriptor Table" };

/** Maximum wait for an answer to invalid input, which may have none, in milliseconds. */
const SILENCE_MS = 150;

/** Waits for the outcome, sets the ring up again, and throws unless it works then. */
async function expectRecovery(ring: RawRing, sessionId: number): Promise<void> {
  await ring.outcomeWithin(SILENCE_MS);
  ring.queue.inFlight = 0;
  await ring.reset();
  await assertAlive(ring, sessionId);
}

/** A case: its name, and a function that writes it to the ring. */
type Case = readonly [what: string, post: (ring: RawRing) => void];

async function runCases(context: CheckContext, cases: (ring: RawRing) => readonly Case[]): Promise<void> {
  await withOwnRing(context, async (ring, sessionId) => {
    for (const [what, post] of cases(ring)) {
      context.note(what, "then the ring set up again, and a good request");
      post(ring);
      await expectRecovery(ring, sessionId);
    }
  });
}

function loops(ring: RawRing): Case[] {
  const address = blockOf(ring.driver, 64, 0).guestAddress;
  const chain = (what: string, ...descriptors: RawDescriptor[]): Case => [what, () => {
    descriptors.forEach((descriptor, i) => ring.put(i, descriptor));
    ring.post(0);
  }];
  return [
    chain("a descriptor that leads to itself", { address, length: 16, flags: NEXT, next: 0 }),
    chain("the same without bytes", { address, length: 0, flags: NEXT, next: 0 }),
    chain("the same, writable", { address, length: 16, flags: NEXT | WRITE, next: 0 }),
    chain(
      "a loop after a beginning",
      { address, length: 8, flags: NEXT, next: 1 },
      { address, length: 8, flags: NEXT, next: 2 },
      { address, length: 8, flags: NEXT, next: 1 },
    ),
  ];
}

function outOfRange(ring: RawRing): Case[] {
  const address = blockOf(ring.driver, 64, 0).guestAddress;
  return [64, 65, 0x7fff, 0xffff].flatMap((index): Case[] => [
    [`a descriptor that leads to descriptor ${index} of 64`, () => {
      ring.put(0, { address, length: 8, flags: NEXT, next: index });
      ring.post(0);
    }],
    [`head ${index} of 64`, () => ring.post(index)],
  ]);
}

function tables(ring: RawRing): Case[] {
  const address = blockOf(ring.driver, 4096, 0).guestAddress;
  const entry: RawDescriptor = { address, length: 8, flags: 0, next: 0 };
  const table = (what: string, entries: RawDescriptor[], changes: Partial<RawDescriptor> = {}): Case => {
    return [`an indirect table ${what}`, () => {
      ring.putTable(entries, changes);
      ring.post(0);
    }];
  };
  return [
    table("with NEXT", [entry], { flags: INDIRECT | NEXT, next: 1 }),
    table("within a table", [{ ...entry, flags: INDIRECT, length: 16 }]),
    table("of 2^32 - 16 bytes", [entry], { length: 0xffff_fff0 }),
    table("of 65536 entries", [entry], { length: 65536 * DESC_BYTES }),
    table("of no length", [entry], { length: 0 }),
    table("of 17 bytes", [entry], { length: 17 }),
    table("where no memory is", [entry], { address: 5 * 2 ** 20 }),
    table("at the end of the address space", [entry], { address: 2n ** 64n - 16n }),
    table("that loops", [{ ...entry, flags: NEXT, next: 0 }]),
    table("that leads out of itself", [{ ...entry, flags: NEXT, next: 1 }]),
    table("that leads far out of itself", [{ ...entry, flags: NEXT, next: 0xffff }]),
    table("with a writable entry first", [{ ...entry, flags: WRITE | NEXT, next: 1 }, entry]),
  ];
}

function indices(): Case[] {
  return [65, 128, 0x7fff, 0x8000, 0xffff].map((jump) => [
    `an available index that jumps by ${jump} in a ring of 64`,
    (ring) => {
      const { queue } = ring;
      queue.availView.setUint16(2, (queue.availIdx + jump) & 0xffff, true);
      kickAnyway(queue);
    },
  ]);
}

async function checkAddresses(context: CheckContext): Promise<void> {
  await withOwnRing(context, async (ring, sessionId) => {
    for (const address of [5n * 2n ** 20n, 2n ** 40n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      for (const index of [0, 1, 2, 3, 4, 5]) {
        const laid = layGoodRequest(ring.driver, sessionId);
        const buffer = laid.buffers[index];
        if (buffer === undefined) continue;
        context.note(`a request whose buffer ${index} is at 0x${address.toString(16)}, where no memory is`);
        ring.putChain(0, laid.buffers.with(index, { ...buffer, address }));
        ring.post(0);
        await expectRecovery(ring, sessionId);
        laid.verify();
        laid.release();
      }
    }
  });
}

async function checkOrder(context: CheckContext): Promise<void> {
  await withOwnRing(context, async (ring, sessionId) => {
    for (const isMixed of [false, true]) {
      const laid = layGoodRequest(ring.driver, sessionId);
      const { writable, readable, buffers } = laid;
      context.note("a request with a readable buffer behind a writable one");
      ring.putChain(0, isMixed ? [...buffers, readable[0]!] : [...writable, ...readable]);
      ring.post(0);
      await expectRecovery(ring, sessionId);
      laid.release();
    }
  });
}

/** Rounds of random descriptors. */
const RANDOM_ROUNDS = 60;

async function checkRandom(context: CheckContext): Promise<void> {
  await withOwnRing(context, async (ring, sessionId) => {
    const { random } = context;
    const block = blockOf(ring.driver, 4096, 0);
    const addresses = [block.guestAddress, 2 * 2 ** 20 - 8, 4 * 2 ** 20 - 8, 5 * 2 ** 20, 2n ** 64n - 1n, 2n ** 53n];
    for (let round = 0; round < RANDOM_ROUNDS; round++) {
      for (let i = 0; i < ring.size; i++) {
        ring.put(i, {
          address: random(3) === 0 ? addresses[random(addresses.length)]! : block.guestAddress + random(2048),
          length: random(8) === 0 ? 0xffff_ffff : random(100),
          flags: random(12) === 0 ? random(0x10000) : [0, NEXT, NEXT, NEXT | WRITE, WRITE, INDIRECT][random(6)]!,
          next: random(12) === 0 ? random(0x10000) : random(ring.size),
        });
      }
      context.note(`round ${round} of random descriptors`);
      ring.post(random(ring.size));
      await expectRecovery(ring, sessionId);
    }
  });
}

async function checkKicks(context: CheckContext): Promise<void> {
  await withOwnRing(context, async (ring, sessionId) => {
    context.note("10 000 kicks without a request");
    for (let i = 0; i < 10_000; i++) kickAnyway(ring.queue);
    await assertAlive(ring, sessionId);
  });
}

/** Hostile rings. */
export const HOSTILE_RINGS: readonly Clause[] = [
  {
    id: "ring-loops",
    duty: "chains that loop do not hang the device: the ring works when it is set up again",
    reference: REFERENCE,
    needs: NEEDS,
    run: (context) => runCases(context, loops),
  },
  {
    id: "ring-range",
    duty: "heads and links out of range cause no damage: the ring works when it is set up again",
    reference: REFERENCE,
    needs: NEEDS,
    run: (context) => runCases(context, outOfRange),
  },
  {
    id: "ring-tables",
    duty: "invalid indirect tables cause no damage: the ring works when it is set up again",
    reference: { ratified: "Indirect Descriptors" },
    needs: { ...NEEDS, features: [F_INDIRECT_DESC] },
    run: (context) => runCases(context, tables),
  },
  {
    id: "ring-index",
    duty: "an available index that jumps causes no damage: the ring works when it is set up again",
    reference: { ratified: "The Virtqueue Available Ring" },
    needs: NEEDS,
    run: (context) => runCases(context, indices),
  },
  {
    id: "ring-addresses",
    duty: "buffers outside guest memory cause no damage, and only the request's buffers are written",
    reference: REFERENCE,
    needs: NEEDS,
    run: checkAddresses,
  },
  {
    id: "ring-order",
    duty: "readable buffers after writable ones cause no damage",
    reference: { ratified: "Message Framing" },
    needs: NEEDS,
    run: checkOrder,
  },
  {
    id: "ring-random",
    duty: "random descriptors cause no damage: the ring works when it is set up again",
    reference: REFERENCE,
    needs: NEEDS,
    run: checkRandom,
  },
  {
    id: "ring-kicks",
    duty: "kicks without requests have no effect",
    reference: { ratified: "Available Buffer Notifications" },
    needs: NEEDS,
    run: checkKicks,
  },
];
