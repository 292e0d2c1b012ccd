/**
 * Devices of one process that come and go leave nothing behind: neither memory nor descriptors.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { AKCIPHER_ANSWERS } from "../../src/tools/known_akcipher_answers.ts";
import { CHAIN_ANSWER, KNOWN_ANSWERS } from "../../src/tools/known_answers.ts";
import { checkAnswer } from "../../src/tools/checks.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { times } from "../lifecycle/load.ts";
import { type TestDeviceOptions, withDevice } from "./harness.ts";

/**
 * Bytes of mappings that core dumps leave out, as all memory for keys and data is. Other memory grows and shrinks as V8
 * and Deno's workers reserve it.
 */
function secretBytes(): number {
  let bytes = 0;
  for (const mapping of Deno.readTextFileSync("/proc/self/smaps").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const flags = /^VmFlags: (.*)$/m.exec(mapping)?.[1]?.split(" ") ?? [];
    if (flags.includes("wr") && flags.includes("dd")) bytes += 1024 * Number(/^Size:\s+(\d+)/m.exec(mapping)![1]);
  }
  return bytes;
}

/** The lowest number of open descriptors within a second: Deno closes those of a worker's thread after the worker. */
async function descriptors(): Promise<number> {
  let lowest = Infinity;
  for (let i = 0; i < 20; i++) {
    lowest = Math.min(lowest, [...Deno.readDirSync("/proc/self/fd")].length);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return lowest;
}

/** One algorithm for each kind of memory that an engine keeps, and a job of the asymmetric worker. */
const ANSWERS = [
  ...KNOWN_ANSWERS.filter(({ service, algo }) =>
    service === "cipher" && [w.CIPHER_AES_CBC, w.CIPHER_3DES_CTR, w.CIPHER_ZUC_EEA3].includes(algo) ||
    service === "mac" && [w.MAC_HMAC_SHA1, w.MAC_GMAC_TWOFISH, w.MAC_ZUC_EIA3].includes(algo) ||
    service === "aead" && algo === w.AEAD_GCM
  ),
  CHAIN_ANSWER,
  AKCIPHER_ANSWERS[0]!,
];

/** Opens `count` devices, has each answer requests, and closes it before the next one. */
async function openAndClose(count: number, options: TestDeviceOptions): Promise<void> {
  for (let i = 0; i < count; i++) {
    await withDevice(options, async (device) => {
      const driver = await device.connect({});
      for (const answer of ANSWERS) {
        const wrong = await checkAnswer(driver, answer, "fixed", { quick: true });
        // Libraries may be missing on this host.
        if (wrong?.includes("NOTSUPP")) continue;
        assertEquals([answer.source, wrong], [answer.source, undefined]);
      }
      assert(secretBytes() > 0, "an open device has memory for secrets");
    });
  }
}

for (const [workers, count] of [[0, times("VUC_DEVICES", 20)], [1, 6]] as const) {
  Deno.test(`${count} devices in one process, ${workers} workers each, leave no secret memory and no descriptors`, async () => {
    // Deno keeps what the first devices have it allocate.
    await openAndClose(5, { workers });
    const before = { bytes: secretBytes(), descriptors: await descriptors() };
    await openAndClose(count, { workers });
    assertEquals(secretBytes(), before.bytes);
    // Deno's own vary, by less than one for each device.
    assertLess(await descriptors() - before.descriptors, count);
  });
}
