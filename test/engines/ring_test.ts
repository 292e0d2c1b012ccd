/**
 * The algorithms that OpenSSL lacks, through the ring: all known answers, chains, invalid lengths, and devices with fewer
 * libraries.
 *
 * @module
 */
import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import { type EngineName, ENGINES } from "../../src/engine/libraries.ts";
import * as v from "../../src/wire/virtio_crypto.ts";
import { withDirectory } from "../cli/programs.ts";
import { serve } from "../../src/cli/serve.ts";
import { withDevice } from "../device/harness.ts";
import { ask, complaint } from "../device/known_answer_runner.ts";
import { concat } from "../bytes.ts";
import { counting } from "../vectors/answer.ts";
import { engineAnswers, setsLeftOut } from "./known_answers.ts";
import { kasumiF8 } from "./models/kasumi.ts";
import { snow3gUia2 } from "./models/snow3g.ts";
import { zucEea3 } from "./models/zuc.ts";

const { ciphers, macs, notes } = createCatalogue(ENGINES);
for (const note of notes) console.warn(`SKIPPED: ${note}`);
const has3gpp = ciphers.has(v.CIPHER_KASUMI_F8);

Deno.test("every known answer of the other libraries, through the ring", async () => {
  const answers = engineAnswers().filter(({ service, algo }) =>
    (service === v.SERVICE_CIPHER ? ciphers : macs).has(algo)
  );
  const layouts = [{ split: "one" }, { split: "random", seed: 11 }, { split: "linux", seed: 12 }] as const;
  let runs = 0;
  const complaints: string[] = [];
  for (const [mode, features] of [["fixed", 0n], ["mux", 1n], ["stateless", 0x1fn]] as const) {
    await withDevice({}, async (device) => {
      const driver = await device.connect({ features: FEATURES_USUAL | features, queueSize: 1024 });
      for (const answer of answers) {
        for (const result of await ask(driver, answer, mode, layouts)) {
          runs++;
          const wrong = complaint(answer, result);
          if (wrong) complaints.push(`${mode}, ${answer.source}: ${wrong}`);
        }
      }
    });
  }
  assertEquals(complaints.slice(0, 10), []);
  if (notes.length === 0) assertGreaterOrEqual(runs, 1800);
  console.log(`${answers.length} answers, ${runs} runs; ${setsLeftOut()}`);
});

/** The status of a request with `length` bytes. */
async function statusOf(
  driver: CryptoDriver,
  { service, algo }: { readonly service: "cipher" | "mac"; readonly algo: number },
  length: number,
  ivLen: number,
) {
  const key = counting(1, 16);
  const src = counting(2, length);
  if (service === "mac") {
    const sessionId = await driver.createSession({ service, algo, authKey: key, hashResultLen: 4 });
    return (await driver.mac({ sessionId, src, hashResultLen: 4 })).status;
  }
  const sessionId = await driver.createSession({ service, algo, key, op: v.OP_ENCRYPT });
  return (await driver.cipher({ sessionId, src, op: v.OP_ENCRYPT, iv: counting(3, ivLen) })).status;
}

const LIMITS: [name: string, service: "cipher" | "mac", algo: number, ivLen: number, min: number, max: number][] = [
  ["KASUMI-F8", "cipher", v.CIPHER_KASUMI_F8, 8, 0, 2500],
  ["SNOW3G-UEA2", "cipher", v.CIPHER_SNOW3G_UEA2, 16, 0, 100000],
  ["ZUC-EEA3", "cipher", v.CIPHER_ZUC_EEA3, 16, 0, 8188],
  ["KASUMI-F9", "mac", v.MAC_KASUMI_F9, 0, 9, 2500],
  ["SNOW3G-UIA2", "mac", v.MAC_SNOW3G_UIA2, 0, 17, 100000],
  ["ZUC-EIA3", "mac", v.MAC_ZUC_EIA3, 0, 17, 16 + 8188],
];

Deno.test({
  name: "exactly the lengths that an algorithm does not allow are refused",
  ignore: !has3gpp,
  fn: () =>
    withDevice({}, async (device) => {
      const driver = await device.connect({});
      for (const [name, service, algo, ivLen, min, max] of LIMITS) {
        const status = (length: number, iv = ivLen) => statusOf(driver, { service, algo }, length, iv);
        assertEquals(await status(min), v.STATUS_OK, `${name}, ${min} bytes`);
        assertEquals(await status(max), v.STATUS_OK, `${name}, ${max} bytes`);
        if (min > 0) assertEquals(await status(min - 1), v.STATUS_ERR, `${name}, ${min - 1} bytes`);
        if (max < 100000) assertEquals(await status(max + 1), v.STATUS_ERR, `${name}, ${max + 1} bytes`);
        if (ivLen > 0) assertEquals(await status(16, ivLen - 1), v.STATUS_ERR, `${name}, IV too short`);
        if (ivLen > 0) assertEquals(await status(16, 24 - ivLen), v.STATUS_ERR, `${name}, another's IV`);
      }
    }),
});

Deno.test({
  name: "a chain of KASUMI-F8 and UIA2, whose IV leads the additional data",
  ignore: !has3gpp,
  fn: () =>
    withDevice({}, async (device) => {
      const driver = await device.connect({});
      const [cipherKey, authKey, src] = [counting(1, 16), counting(50, 16), counting(9, 123)];
      const [iv, macIv, header] = [counting(4, 8), counting(7, 16), counting(99, 5)];
      const sessionId = await driver.createSession({
        service: "chain",
        algChainOrder: v.CHAIN_CIPHER_THEN_HASH,
        hashMode: v.HASH_MODE_AUTH,
        cipherAlgo: v.CIPHER_KASUMI_F8,
        cipherKey,
        op: v.OP_ENCRYPT,
        hashAlgo: v.MAC_SNOW3G_UIA2,
        hashResultLen: 4,
        authKey,
      });
      const ciphertext = kasumiF8(cipherKey, iv, src);
      const tag = snow3gUia2(authKey, macIv, concat(header, ciphertext));
      for (const split of ["one", "fields", "bytes"] as const) {
        const request = { sessionId, op: v.OP_ENCRYPT, iv, src, aad: concat(macIv, header), hashResultLen: 4 };
        const answer = await driver.chain(request, { split });
        assertEquals([answer.status, answer.dst, answer.result], [v.STATUS_OK, ciphertext, tag], split);
      }
    }),
});

const SETS: [engines: readonly EngineName[], has3gpp: boolean, hasTwofish: boolean, hasAes: boolean][] = [
  [ENGINES, true, true, true],
  [["openssl"], false, false, true],
  [["openssl", "ipsec-mb"], true, false, true],
  [["gcrypt"], false, true, false],
];

for (const [engines, with3gpp, withTwofish, withAes] of SETS) {
  Deno.test({
    name: `a device with ${engines.join(", ")} offers their algorithms and no others`,
    ignore: notes.length > 0,
    fn: () =>
      withDevice({ engines }, async (device) => {
        const driver = await device.connect({});
        const { cipherAlgo, macAlgo, cryptoServices } = driver.config!;
        const bit = (mask: bigint, number: number) => (mask >> BigInt(number) & 1n) === 1n;
        for (const algo of [v.CIPHER_KASUMI_F8, v.CIPHER_SNOW3G_UEA2, v.CIPHER_ZUC_EEA3]) {
          assertEquals(bit(cipherAlgo, algo), with3gpp);
        }
        for (const algo of [v.MAC_KASUMI_F9, v.MAC_SNOW3G_UIA2, v.MAC_ZUC_EIA3]) {
          assertEquals(bit(macAlgo, algo), with3gpp);
        }
        assertEquals(bit(macAlgo, v.MAC_GMAC_TWOFISH), withTwofish);
        assertEquals(bit(cipherAlgo, v.CIPHER_AES_CBC), withAes);
        assert(!bit(macAlgo, v.MAC_CBCMAC_KASUMI_F9));
        assertEquals((cryptoServices & 1) !== 0, with3gpp || withAes);
        const key = counting(1, 16);
        const zuc = { service: "cipher", algo: v.CIPHER_ZUC_EEA3, key, op: v.OP_ENCRYPT } as const;
        const { status } = await driver.tryCreateSession(zuc);
        assertEquals(status, with3gpp ? v.STATUS_OK : v.STATUS_NOTSUPP);
        const unknown = { service: "mac", algo: v.MAC_CBCMAC_KASUMI_F9, authKey: key, hashResultLen: 4 } as const;
        assertEquals((await driver.tryCreateSession(unknown)).status, v.STATUS_NOTSUPP);
      }),
  });
}

Deno.test({
  name: "GMAC-Twofish takes keys of 16 and 32 bytes",
  ignore: !macs.has(v.MAC_GMAC_TWOFISH),
  fn: () =>
    withDevice({}, async (device) => {
      const driver = await device.connect({});
      for (const [length, expected] of [[16, v.STATUS_OK], [24, v.STATUS_ERR], [32, v.STATUS_OK]] as const) {
        const authKey = counting(1, length);
        const session = { service: "mac", algo: v.MAC_GMAC_TWOFISH, authKey, hashResultLen: 16 } as const;
        assertEquals((await driver.tryCreateSession(session)).status, expected, `${length} bytes`);
      }
    }),
});

Deno.test({
  name: "workers use the chosen libraries and no others",
  ignore: !has3gpp,
  fn: () =>
    withDirectory(async (directory) => {
      const [key, iv, src] = [counting(1, 16), counting(2, 16), counting(3, 100)];
      const stateless = { service: "cipher", algo: v.CIPHER_ZUC_EEA3, key, op: v.OP_ENCRYPT } as const;
      for (const engines of [["openssl", "ipsec-mb"], ["openssl"]] as const) {
        const socketPath = `${directory}/${engines.length}.sock`;
        await using _device = await serve({ socketPath, workers: 1, engines });
        await using driver = await CryptoDriver.connect(socketPath, { features: FEATURES_USUAL | 0x1fn });
        const { status, dst } = await driver.cipher({ stateless, op: v.OP_ENCRYPT, iv, src }, { mode: "stateless" });
        if (engines.length === 1) assertEquals(status, v.STATUS_NOTSUPP);
        else assertEquals([status, dst], [v.STATUS_OK, zucEea3(key, iv, src)]);
      }
    }),
});
