/**
 * Guest memory: adjacent and separate regions, offsets in files, changes while rings run.
 *
 * @module
 */
import type { CryptoDriver } from "../../../driver/crypto_driver.ts";
import { DriverMemory, type DriverRegion, type RegionSpec } from "../../../driver/guest_memory.ts";
import * as vu from "../../../wire/vhost_user.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group, Reference } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectEqual, expectStatus } from "../expect.ts";
import { layGoodRequest } from "../raw_ring.ts";
import { cipherSample } from "../samples.ts";
import { needsOf } from "./needs.ts";
import { withOwnRing } from "./own_ring.ts";

const TABLE: Reference = { vhostUser: "Memory region description" };
const NEEDS = needsOf(cipherSample());
const SLOTS = { ...NEEDS, protocolFeatures: [vu.PROTOCOL_F_CONFIGURE_MEM_SLOTS] };
const MIB = 1024 * 1024;

/** The driver's usual memory: regions at 0 and 2 MiB that are adjacent, and one from 5 GiB on that ends at this address. */
const END_OF_MEMORY = 5 * 1024 * MIB + 64 * MIB;

/** Names of the buffers of the usual request, in order. */
const BUFFERS = ["header", "parameters", "IV", "source", "destination"] as const;

async function checkBorder(context: CheckContext): Promise<void> {
  await withOwnRing(context, async (ring, sessionId) => {
    const { memory } = ring.driver;
    for (const [index, name] of BUFFERS.entries()) {
      const laid = layGoodRequest(ring.driver, sessionId);
      const { length, writable = false } = laid.buffers[index]!;
      const content = memory.read(Number(laid.buffers[index]!.address), length);
      for (let before = 0; before <= length; before += 8) {
        const address = 2 * MIB - before;
        context.note(`an AES-CBC request whose ${name} begins ${before} bytes before the border of two regions`);
        memory.write(address, content);
        const outcome = await ring.runChain(laid.buffers.with(index, { address, length, writable }));
        expectEqual(outcome === "broken", false, `${name}, ${before} bytes before the border: ring declared broken`);
        expectStatus(laid, w.STATUS_OK, `${name}, ${before} bytes before the border`);
        if (writable) expectEqual(memory.read(address, length), cipherSample().dst, "destination");
      }
      laid.release();
    }
  });
}

async function checkLastByte(context: CheckContext): Promise<void> {
  await withOwnRing(context, async (ring, sessionId) => {
    const { memory } = ring.driver;
    for (const index of [0, 3, 4]) {
      const laid = layGoodRequest(ring.driver, sessionId);
      const { length, writable = false } = laid.buffers[index]!;
      const address = END_OF_MEMORY - length;
      memory.write(address, memory.read(Number(laid.buffers[index]!.address), length));
      context.note(`an AES-CBC request whose ${BUFFERS[index]} ends with memory's last byte`);
      await ring.runChain(laid.buffers.with(index, { address, length, writable }));
      expectStatus(laid, w.STATUS_OK, `${BUFFERS[index]} at the end of memory`);
      if (writable) expectEqual(memory.read(address, length), cipherSample().dst, "destination");
      laid.release();
    }
  });
}

/** Addresses where the driver has no memory. */
const NOWHERE: readonly bigint[] = [5n * 2n ** 20n, 2n ** 40n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

async function checkNowhere(context: CheckContext): Promise<void> {
  await withOwnRing(context, async (ring, sessionId) => {
    for (const address of [...NOWHERE, BigInt(END_OF_MEMORY - 8)]) {
      for (const index of [3, 4]) {
        const laid = layGoodRequest(ring.driver, sessionId);
        context.note(`an AES-CBC request whose ${BUFFERS[index]} is at 0x${address.toString(16)}, where no memory is`);
        const outcome = await ring.runChain(laid.buffers.with(index, { ...laid.buffers[index]!, address }));
        laid.assertRefused(outcome, `${BUFFERS[index]} at 0x${address.toString(16)}`);
        laid.release();
      }
    }
    const laid = layGoodRequest(ring.driver, sessionId);
    context.note("a good request afterwards");
    laid.assertAnswered(await ring.runChain(laid.buffers));
    laid.release();
  });
}

async function expectServed(context: CheckContext, driver: CryptoDriver, about: string): Promise<void> {
  expectAnswer(await context.askWith(driver, cipherSample(), {}, { split: "random" }), cipherSample(), about);
}

async function checkTableAgain(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  for (let round = 0; round < 5; round++) {
    await expectServed(context, driver, `before table ${round}`);
    context.note("SET_MEM_TABLE with the same regions while the rings run");
    await driver.frontend.setMemTable(driver.memory.regions);
  }
  await expectServed(context, driver, "after the last table");
}

/** Eight regions of a driver, with offsets in their files. */
const EIGHT: readonly RegionSpec[] = Array.from({ length: 8 }, (_, i) => ({
  guestAddress: i * 16 * MIB,
  sizeBytes: 2 * MIB,
  mmapOffset: 4096 * i,
}));

async function withRegion(spec: RegionSpec, body: (region: DriverRegion) => Promise<void>): Promise<void> {
  const memory = new DriverMemory([spec]);
  try {
    await body(memory.regions[0]!);
  } finally {
    memory.release();
  }
}

async function checkAddRemove(context: CheckContext): Promise<void> {
  const driver = await context.driver({ memSlots: true });
  await expectServed(context, driver, "with regions that were added singly");
  await withRegion({ guestAddress: 8 * 1024 * MIB, sizeBytes: 2 * MIB, mmapOffset: 4096 }, async (region) => {
    for (let round = 0; round < 3; round++) {
      context.note("ADD_MEM_REG of 2 MiB at 8 GiB while the rings run");
      await driver.frontend.addMemReg(region);
      await expectServed(context, driver, "after a region was added");
      context.note("REM_MEM_REG of that region while the rings run");
      await driver.frontend.remMemReg(region);
      await expectServed(context, driver, "after it was removed");
    }
  });
}

/** A request with its source in a region that is added, and the same after the region was removed. */
async function checkRemoved(context: CheckContext): Promise<void> {
  const guestAddress = 8 * 1024 * MIB;
  await withOwnRing(context, (ring, sessionId) =>
    withRegion({ guestAddress, sizeBytes: 2 * MIB }, async (region) => {
      const { frontend, memory } = ring.driver;
      const laid = layGoodRequest(ring.driver, sessionId);
      const source = laid.buffers[3]!;
      region.bytes.set(memory.read(Number(source.address), source.length), 4096);
      const elsewhere = laid.buffers.with(3, { address: guestAddress + 4096, length: source.length });
      context.note("ADD_MEM_REG, and a request whose source is in the region");
      await frontend.addMemReg(region);
      laid.assertAnswered(await ring.runChain(elsewhere));
      laid.release();
      context.note("REM_MEM_REG, and the same request");
      await frontend.remMemReg(region);
      const again = layGoodRequest(ring.driver, sessionId);
      const gone = again.buffers.with(3, { address: guestAddress + 4096, length: source.length });
      again.assertRefused(await ring.runChain(gone), "a source in a region that was removed");
      again.release();
    }));
}

const CLAUSES: readonly Clause[] = [
  {
    id: "straddling",
    duty: "a descriptor may cross the border of two regions that are adjacent in the guest",
    reference: TABLE,
    needs: NEEDS,
    run: async (context) => {
      const options = { split: "straddle" } as const;
      expectAnswer(await context.ask(cipherSample(), {}, options), cipherSample(), "all readable bytes at the border");
    },
  },
  {
    id: "border",
    duty: "any buffer of a request may cross the border of two adjacent regions, at any byte",
    reference: TABLE,
    needs: NEEDS,
    run: checkBorder,
  },
  {
    id: "last-byte",
    duty: "a buffer may end with the last byte of a region",
    reference: TABLE,
    needs: NEEDS,
    run: checkLastByte,
  },
  {
    id: "nowhere",
    level: "SHOULD",
    duty: "a source or destination outside guest memory is ERR, nothing is written, and the ring continues",
    reference: { vhostUser: "Memory region description", v19: 1526 },
    needs: NEEDS,
    run: checkNowhere,
  },
  {
    id: "eight-regions",
    duty: "a table of eight regions with offsets in their files is served",
    reference: { vhostUser: "Multiple memory regions description" },
    needs: NEEDS,
    run: async (context) => {
      const driver = await context.driver({ regions: EIGHT });
      for (let i = 0; i < 10; i++) await expectServed(context, driver, `request ${i}`);
    },
  },
  {
    id: "one-region",
    duty: "a single region at guest address 0 is served",
    reference: TABLE,
    needs: NEEDS,
    run: async (context) => {
      const driver = await context.driver({ regions: [{ guestAddress: 0, sizeBytes: 8 * MIB }] });
      await expectServed(context, driver, "one region");
    },
  },
  {
    id: "table-again",
    duty: "rings continue when the memory table is sent again",
    reference: { vhostUser: "Front-end message types, SET_MEM_TABLE" },
    needs: NEEDS,
    run: checkTableAgain,
  },
  {
    id: "add-remove",
    duty: "regions are added and removed while rings run",
    reference: { vhostUser: "Front-end message types, ADD_MEM_REG" },
    needs: SLOTS,
    run: checkAddRemove,
  },
  {
    id: "added-and-removed",
    duty: "a buffer in an added region can be used; after the region was removed it is ERR",
    reference: { vhostUser: "Front-end message types, REM_MEM_REG" },
    needs: SLOTS,
    run: checkRemoved,
  },
];

/** Memory tables. */
export const MEMORY: Group = { name: "memory", title: "Guest memory", clauses: CLAUSES };
