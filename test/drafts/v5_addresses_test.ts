/** Guest-physical addresses in requests of draft v5: at the ends of memory, across regions, and outside memory. */
import { assert, assertEquals } from "@std/assert";
import * as w from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "../device/harness.ts";
import { allRequests, DRIVER, Guest, HIGH_END, imageOf, PAIR, PAIR_BORDER, type Request } from "./v5_support.ts";

const OPTIONS = { draft: "v5", asymmetric: "off" } as const;

async function withGuest(workers: number, body: (guest: Guest) => Promise<void>): Promise<void> {
  await withDevice({ ...OPTIONS, workers }, async (device) => await body(new Guest(await device.connect(DRIVER))));
}

/** Addresses that no buffer of `length` bytes may have. */
function badAddresses(length: number, userAddress: number): [what: string, address: bigint][] {
  return [
    ["in a hole", 0x3000_0000n],
    ["the last one there is", 2n ** 64n - 1n],
    ["a range that wraps", 2n ** 64n - BigInt(length) + 1n],
    ["a range that ends where addresses end", 2n ** 64n - BigInt(length)],
    ["above 2^53", 2n ** 53n + BigInt(PAIR)],
    ["with an upper half that would be cut", 2n ** 32n * 3n + BigInt(PAIR)],
    ["8 bytes before a region", BigInt(PAIR - 8)],
    ["one byte over the end of a region", BigInt(HIGH_END - length + 1)],
    ["exactly behind a region", BigInt(HIGH_END)],
    ["the frontend's address", BigInt(userAddress)],
  ];
}

for (const workers of [0, 1]) {
  Deno.test(`v5: each address field outside of guest memory is ERR and changes no byte, ${workers} workers`, async () => {
    await withGuest(workers, async (guest) => {
      const userAddress = guest.driver.memory.regions[3]!.hostAddress + 0x1001;
      let fields = 0;
      for (const request of await allRequests()) {
        const sessionId = await guest.sessionOf(request);
        for (const { name, bytes } of request.buffers) {
          fields++;
          for (const [what, address] of badAddresses(bytes.length, userAddress)) {
            const addresses = guest.usualAddresses(request).set(name, address);
            guest.fill(request, addresses);
            const before = guest.dataMemory();
            const image = imageOf(request, sessionId, addresses);
            const after = await guest.submit(request, image);
            const which = `${request.name}, ${name} ${what}`;
            assertEquals(after.status, w.STATUS_ERR, which);
            assertEquals(after.usedLen, 104, which);
            assertEquals(guest.dataMemory(), before, which);
            const answerAt = request.isControl ? request.statusAt - 8 : request.statusAt;
            after.image.fill(0, answerAt, request.statusAt + 4);
            image.fill(0, answerAt, request.statusAt + 4);
            assertEquals(after.image, image, which);
          }
        }
        assertEquals((await guest.ask(request)).status, w.STATUS_OK, request.name);
      }
      assertEquals(fields, 22 + 5);
    });
  });

  Deno.test(`v5: each address field at the end of memory, and over two regions, ${workers} workers`, async () => {
    await withGuest(workers, async (guest) => {
      for (const request of await allRequests()) {
        const reference = await guest.ask(request);
        assertEquals(reference.status, w.STATUS_OK, request.name);
        for (const { name, bytes: { length } } of request.buffers) {
          for (const address of [HIGH_END - length, PAIR, PAIR_BORDER - 1, PAIR_BORDER - (length >>> 1), PAIR_BORDER]) {
            const moved = await guest.ask(request, guest.usualAddresses(request).set(name, BigInt(address)));
            const which = `${request.name}, ${name} at 0x${address.toString(16)}`;
            assertEquals([moved.status, moved.written], [w.STATUS_OK, reference.written], which);
          }
        }
      }
    });
  });
}

Deno.test("v5: the address of a range of length 0 is ignored", async () => {
  await withGuest(0, async (guest) => {
    for (const request of await allRequests()) {
      if (request.isControl) continue;
      const lengths: Record<string, number[]> = {
        CIPHER: [28, 32],
        CHAIN: [28, 32, 64],
        HASH: [32],
        MAC: [32],
        "AEAD encryption": [28, 32, 36],
      };
      if (lengths[request.name] === undefined) continue;
      const empty: Request = {
        ...request,
        words: { ...request.words, ...Object.fromEntries(lengths[request.name]!.map((offset) => [offset, 0])) },
      };
      const addresses = guest.usualAddresses(request);
      for (const name of ["src", "aad", "dst"]) if (addresses.has(name)) addresses.set(name, 2n ** 64n - 1n);
      assertEquals((await guest.ask(empty, addresses)).status, w.STATUS_OK, request.name);
    }
  });
});

Deno.test("v5: only the written part of a longer destination has to be in guest memory", async () => {
  await withGuest(0, async (guest) => {
    for (const request of await allRequests()) {
      const at = request.name.startsWith("AEAD") ? 36 : 32;
      if (request.isControl || !request.buffers.some(({ name }) => name === "dst")) continue;
      const reference = await guest.ask(request);
      const longer: Request = { ...request, words: { ...request.words, [at]: 0xffff_ffff } };
      const addresses = guest.usualAddresses(request).set("dst", BigInt(HIGH_END - 48));
      const outcome = await guest.ask(longer, addresses);
      assertEquals([outcome.status, outcome.written], [w.STATUS_OK, reference.written], request.name);
      const shorter: Request = { ...request, words: { ...request.words, [at]: 47 } };
      assertEquals((await guest.ask(shorter, addresses)).status, w.STATUS_ERR, request.name);
    }
  });
});

Deno.test("v5: a destination that equals or overlaps the source gives the same result", async () => {
  await withGuest(0, async (guest) => {
    for (const request of await allRequests()) {
      if (request.isControl || !request.buffers.some(({ name }) => name === "dst")) continue;
      const reference = await guest.ask(request);
      for (const distance of [0, 1, 8, 16, 47, -1, -16]) {
        const addresses = guest.usualAddresses(request);
        addresses.set("dst", addresses.get("src")! + BigInt(distance));
        guest.fill(request, addresses);
        const source = request.buffers.find(({ name }) => name === "src")!;
        guest.driver.memory.write(Number(addresses.get("src")), source.bytes);
        const image = imageOf(request, await guest.sessionOf(request), addresses);
        const { status } = await guest.submit(request, image);
        const which = `${request.name}, ${distance}`;
        assertEquals([status, guest.written(request, addresses)], [w.STATUS_OK, reference.written], which);
      }
    }
  });
});

Deno.test("v5: lengths above the limit are ERR before any address is checked", async () => {
  await withGuest(0, async (guest) => {
    for (const request of await allRequests()) {
      const at: Record<string, number[]> = {
        "CIPHER create": [20],
        "CHAIN create": [28, 48],
        "MAC create": [24],
        "AEAD create": [20],
        CIPHER: [24, 28],
        CHAIN: [24, 28, 64],
        HASH: [32],
        MAC: [32],
        "AEAD encryption": [24, 28, 32],
        "AEAD decryption": [24, 28, 32],
      };
      for (const offset of at[request.name]!) {
        for (const length of [4 << 20, 0x8000_0000, 0xffff_ffff]) {
          const isDst = !request.isControl && (offset === 28 || offset === 32);
          const dst = isDst && request.words[32] !== undefined ? { [offset + 4]: 0xffff_ffff } : {};
          const longer: Request = { ...request, words: { ...request.words, [offset]: length, ...dst } };
          const { status } = await guest.ask(longer);
          assertEquals(status, w.STATUS_ERR, `${request.name}, ${length} at ${offset}`);
        }
      }
    }
  });
});

Deno.test("v5: keys are copied when a session is created", async () => {
  await withGuest(1, async (guest) => {
    const [create, , , , cipher] = await allRequests();
    const reference = await guest.ask(cipher!);
    const created = await guest.ask(create!);
    assertEquals(created.status, w.STATUS_OK);
    const sessionId = Number(new DataView(created.image.buffer).getBigUint64(40, true));
    guest.driver.memory.write(Number(guest.usualAddresses(create!).get("key")), new Uint8Array(16).fill(0x5a));
    const addresses = guest.usualAddresses(cipher!);
    guest.fill(cipher!, addresses);
    assertEquals((await guest.submit(cipher!, imageOf(cipher!, sessionId, addresses))).status, w.STATUS_OK);
    assertEquals(guest.written(cipher!, addresses), reference.written);
  });
});

for (const workers of [0, 1]) {
  Deno.test(`v5: addresses in a removed region are ERR, and valid again once it is added, ${workers} workers`, async () => {
    await withGuest(workers, async (guest) => {
      const [create, , , , cipher, , hash] = await allRequests();
      const { driver } = guest;
      for (const request of [create!, cipher!, hash!]) assertEquals((await guest.ask(request)).status, w.STATUS_OK);
      const high = driver.memory.regions[3]!;
      await driver.frontend.remMemReg(high);
      for (const request of [create!, cipher!, hash!]) {
        assertEquals((await guest.ask(request)).status, w.STATUS_ERR, request.name);
      }
      const near = new Map(cipher!.buffers.map(({ name }, i) => [name, BigInt(PAIR + 0x101 * (i + 1))]));
      assertEquals((await guest.ask(cipher!, near)).status, w.STATUS_OK);
      await driver.frontend.addMemReg(high);
      for (const request of [create!, cipher!, hash!]) assertEquals((await guest.ask(request)).status, w.STATUS_OK);
    });
  });
}

Deno.test("v5: the AEAD tag follows the text if there is no address for it", async () => {
  await withGuest(0, async (guest) => {
    const requests = await allRequests();
    const encryption = requests.find(({ name }) => name === "AEAD encryption")!;
    const decryption = requests.find(({ name }) => name === "AEAD decryption")!;
    const reference = await guest.ask(encryption);
    const text = reference.written.replace(" ", "");
    const addresses = guest.usualAddresses(encryption).set("digest", 0n);
    const joint: Request = { ...encryption, words: { ...encryption.words, 36: 64 } };
    assertEquals((await guest.ask(joint, addresses)).status, w.STATUS_OK);
    const dst = Number(addresses.get("dst"));
    assertEquals(guest.driver.memory.read(dst, 64).toHex(), text);
    assertEquals((await guest.ask(encryption, addresses)).status, w.STATUS_ERR, "no room for the tag");
    const opened: Request = {
      ...decryption,
      words: { ...decryption.words, 32: 64 },
      buffers: decryption.buffers.map((buffer) =>
        buffer.name === "src" ? { ...buffer, bytes: Uint8Array.fromHex(text) } : buffer
      ),
    };
    const reverse = guest.usualAddresses(opened).set("digest", 0n);
    const outcome = await guest.ask(opened, reverse);
    assertEquals([outcome.status, outcome.written], [w.STATUS_OK, (await guest.ask(decryption)).written]);
    const short: Request = { ...opened, words: { ...opened.words, 32: 15 } };
    assertEquals((await guest.ask(short, reverse)).status, w.STATUS_ERR);
    assert(text.length === 128);
  });
});
