/**
 * Guest memory that the device cannot see, like a DIMM added to QEMU without share=on: a request whose response belongs
 * there breaks its ring; one with any other buffer there is answered with ERR. Both are told of, with the address.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FEATURES_USUAL, maskOf } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import type { Segment } from "../../src/driver/guest_memory.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { encodeCreateSession } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import { type TestDevice, withDevice } from "./harness.ts";

const MIB = 2 ** 20;
const REGIONS = [{ guestAddress: 0, sizeBytes: 4 * MIB }, { guestAddress: 16 * MIB, sizeBytes: MIB }];
/** In no region: right behind the first, in the middle, right before the second. */
const HOLES = [4 * MIB, 8 * MIB + 0x123, 16 * MIB - 1];
const KEY = new Uint8Array(16).fill(7);
const SESSION = { service: "cipher", algo: w.CIPHER_AES_CBC, op: w.OP_ENCRYPT, key: KEY } as const;
const DATA = 0;
const CONTROL = 1;
const UNTOUCHED = 0xee;

/** A request's buffers in guest memory, each readable field and each writable one a buffer of its own. */
interface Laid {
  readonly readable: Segment[];
  readonly writable: Segment[];
}

function lay({ memory }: CryptoDriver, { readable, writable }: EncodedRequest): Laid {
  const put = (bytes: Uint8Array) => {
    const { guestAddress, bytes: block } = memory.alloc(bytes.length);
    block.set(bytes);
    return { guestAddress, sizeBytes: bytes.length };
  };
  return {
    readable: readable.map(({ bytes }) => put(bytes)),
    writable: writable.map(({ sizeBytes }) => put(new Uint8Array(sizeBytes).fill(UNTOUCHED))),
  };
}

/** What to ask on a queue, and how its response says ERR. */
interface Queue {
  readonly name: string;
  readonly index: number;
  request(sessionId: number): EncodedRequest;
  /** The status in the last writable buffer. */
  statusOf(response: Uint8Array): number;
}

const QUEUES: readonly Queue[] = [
  {
    name: "data queue 0",
    index: DATA,
    request: (sessionId) =>
      encodeData({ service: "cipher", sessionId, op: w.OP_ENCRYPT, iv: KEY, src: new Uint8Array(64) }, "fixed"),
    statusOf: (response) => response[0]!,
  },
  {
    name: "the control queue",
    index: CONTROL,
    request: () => encodeCreateSession(SESSION, { mux: false }),
    statusOf: (response) => response[w.SESSION_INPUT_STATUS_OFFSET]!,
  },
];

/** The lines of the log about `address`. */
function linesAbout(device: TestDevice, address: number): string[] {
  return device.log.filter((line) => line.includes(`guest address 0x${address.toString(16)}`));
}

/** The line about `address`, which a worker's message brings. */
async function lineAbout(device: TestDevice, address: number): Promise<string> {
  for (;;) {
    const [line, more] = linesAbout(device, address);
    assertEquals(more, undefined);
    if (line !== undefined) return line;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function assertRefused(device: TestDevice, driver: CryptoDriver, queue: Queue, sessionId: number) {
  const { memory } = driver;
  for (const address of HOLES) {
    const { length } = lay(driver, queue.request(sessionId)).readable;
    for (let i = 0; i < length; i++) {
      const { readable, writable } = lay(driver, queue.request(sessionId));
      const moved = readable.with(i, { ...readable[i]!, guestAddress: address });
      await driver.submitSegments(queue.index, moved, writable);
      const response = writable.at(-1)!;
      const about = `${queue.name}: readable buffer ${i} at 0x${address.toString(16)}`;
      const status = queue.statusOf(memory.read(response.guestAddress, response.sizeBytes));
      assertEquals(status, w.STATUS_ERR, about);
    }
  }
  const line = await lineAbout(device, HOLES[0]!);
  assert(line.startsWith(queue.name) && line.includes("share=on"), line);
  // The others come within the minute.
  assertEquals(HOLES.map((address) => linesAbout(device, address).length), [1, 0, 0]);
}

async function assertDestinationRefused(driver: CryptoDriver, sessionId: number): Promise<void> {
  for (const address of HOLES) {
    const { readable, writable: [dst, status] } = lay(driver, QUEUES[DATA]!.request(sessionId));
    await driver.submitSegments(DATA, readable, [{ ...dst!, guestAddress: address }, status!]);
    assertEquals(driver.memory.read(status!.guestAddress, 1), Uint8Array.of(w.STATUS_ERR));
  }
  // Destination and status in one buffer, which begins in the hole and ends where there is memory.
  const { readable } = lay(driver, QUEUES[DATA]!.request(sessionId));
  const [, second] = REGIONS;
  driver.memory.write(second!.guestAddress, new Uint8Array(8).fill(UNTOUCHED));
  await driver.submitSegments(DATA, readable, [{ guestAddress: second!.guestAddress - 60, sizeBytes: 65 }]);
  assertEquals([...driver.memory.read(second!.guestAddress, 5)], [0xee, 0xee, 0xee, 0xee, w.STATUS_ERR]);
}

async function assertBroken(
  { device, driver, sessionId }: { device: TestDevice; driver: CryptoDriver; sessionId: number },
  queue: Queue,
  hole: number,
) {
  const good = lay(driver, queue.request(sessionId));
  const bad = lay(driver, queue.request(sessionId));
  const response = bad.writable.at(-1)!;
  const moved = bad.writable.with(-1, { ...response, guestAddress: hole });
  const before = driver.submitSegments(queue.index, good.readable, good.writable);
  const broken = assertRejects(() => driver.submitSegments(queue.index, bad.readable, moved));
  await before;
  await broken;
  const last = good.writable.at(-1)!;
  assertEquals(queue.statusOf(driver.memory.read(last.guestAddress, last.sizeBytes)), w.STATUS_OK);
  const line = await lineAbout(device, hole);
  assert(line.startsWith(`${queue.name} is broken`) && line.includes("share=on"), line);
}

for (const workers of [0, 1]) {
  for (const [format, packed] of [["split", 0n], ["packed", maskOf(F_RING_PACKED)]] as const) {
    const withDriver = (body: (device: TestDevice, driver: CryptoDriver, sessionId: number) => Promise<void>) =>
      withDevice({ workers }, async (device) => {
        const options = { features: FEATURES_USUAL | packed, regions: REGIONS, ringRegion: 0, timeoutMs: 60_000 };
        const driver = await device.connect(options);
        await body(device, driver, await driver.createSession(SESSION));
      });
    const where = `${format} ring, ${workers} workers`;
    for (const queue of QUEUES) {
      Deno.test(`a readable buffer in memory that is not shared: ERR and one warning (${queue.name}, ${where})`, () =>
        withDriver((device, driver, sessionId) => assertRefused(device, driver, queue, sessionId)));

      Deno.test(`a response in memory that is not shared breaks the ring (${queue.name}, ${where})`, async () => {
        for (const hole of HOLES) {
          await withDriver((device, driver, sessionId) => assertBroken({ device, driver, sessionId }, queue, hole));
        }
      });
    }

    Deno.test(`a destination in memory that is not shared: ERR (${where})`, () =>
      withDriver((_device, driver, sessionId) => assertDestinationRefused(driver, sessionId)));
  }
}

Deno.test("the asymmetric RFC's status, in front of the result, says ERR too, or the ring breaks", () =>
  withDevice({ asymmetric: "rfc3" }, async (device) => {
    const driver = await device.connect({ regions: REGIONS, ringRegion: 0, timeoutMs: 60_000 });
    const [hole] = HOLES;
    const block = driver.memory.alloc(128);
    block.bytes.fill(0);
    new DataView(block.bytes.buffer, block.bytes.byteOffset).setUint32(0, w.SERVICE_AKCIPHER << 8, true);
    const readable = [
      { guestAddress: block.guestAddress, sizeBytes: w.DATA_HEADER_BYTES },
      { guestAddress: hole!, sizeBytes: 16 },
    ];
    // Cut, so that the status is in two buffers.
    const at = block.guestAddress + 64;
    const writable = [{ guestAddress: at, sizeBytes: 1 }, { guestAddress: at + 1, sizeBytes: 63 }];
    await driver.submitSegments(DATA, readable, writable);
    assertEquals([...block.bytes.subarray(64, 68)], [w.STATUS_ERR, 0, 0, 0]);
    assertEquals(block.bytes[127], w.STATUS_ERR);
    await assertRejects(() =>
      driver.submitSegments(DATA, readable.slice(0, 1), [{ guestAddress: hole!, sizeBytes: 4 }, ...writable])
    );
  }));
