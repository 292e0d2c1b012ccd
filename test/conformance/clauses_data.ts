/**
 * The device's duties in v19 that concern data requests, each with its test. Four services have nearly the same
 * duties, each in its own words.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { CryptoDriver, DataResult } from "../../src/driver/crypto_driver.ts";
import { encodeData } from "../../src/driver/requests.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { concat } from "../bytes.ts";
import type { Clause, Drivers } from "./clauses_control.ts";
import {
  aeadSample,
  ask,
  askStateless,
  assertAnswer,
  assertStatus,
  bytes,
  chainSample,
  type Changes,
  cipherSample,
  edited,
  hashSample,
  hmacSha256,
  macSample,
  type Sample,
} from "./support.ts";

/** What the four services differ in. */
interface ServiceFacts {
  /** Lines: MUX_MODE, otherwise, flag, OK, NOTSUPP, INVSESS, ERR. */
  readonly lines: readonly number[];
  readonly sample: Sample;
  /** An opcode of the service that there is not. */
  readonly noSuchOpcode: number;
  /** Parameters that make a request fail. */
  readonly bad: Changes;
}

/** Sends `sample` in the form of the other negotiation. */
async function inWrongForm(driver: CryptoDriver, sample: Sample, mode: "fixed" | "mux"): Promise<DataResult> {
  return await ask(driver, sample, {}, { mode });
}

function assertDiffers(result: DataResult, { name, dst, result: digest }: Sample): void {
  const right = result.status === w.STATUS_OK && `${result.dst}${result.result}` === `${dst}${digest}`;
  assertEquals(right, false, `${name}: a request of the other form was understood`);
}

/** Duties that every service has. `hasTwoForms`: its parameters are shorter under MUX_MODE. */
function common(facts: ServiceFacts, hasTwoForms: boolean): Clause[] {
  const { lines, sample, noSuchOpcode, bad } = facts;
  const { name } = sample;
  const differs = (result: DataResult) => assertDiffers(result, sample);
  return [
    {
      line: lines[0]!,
      duty: `${name}: under MUX_MODE, requests are parsed as op_data_req_mux`,
      test: async ({ mux }) => {
        assertAnswer(await ask(mux, sample), sample);
        if (hasTwoForms) differs(await inWrongForm(mux, sample, "fixed"));
      },
    },
    {
      line: lines[1]!,
      duty: `${name}: without MUX_MODE, requests are parsed as op_data_req`,
      test: async ({ fixed }) => {
        assertAnswer(await ask(fixed, sample), sample);
        if (hasTwoForms) differs(await inWrongForm(fixed, sample, "mux"));
      },
    },
    {
      line: lines[2]!,
      duty: `${name}: where stateless mode is negotiated, flag tells the mode of each request`,
      test: async ({ stateless }) => {
        assertAnswer(await askStateless(stateless, sample), sample);
        assertAnswer(await ask(stateless, sample, { flag: w.FLAG_SESSION_MODE }), sample);
        // The same bytes, taken for the other mode, are nonsense.
        const asSession = askStateless(stateless, sample, { flag: w.FLAG_SESSION_MODE }, { mode: "stateless" });
        differs(await asSession);
        differs(await ask(stateless, sample, { flag: w.FLAG_STATELESS_MODE_ZERO }));
      },
    },
    {
      line: lines[3]!,
      duty: `${name}: status is OK if the operation succeeded`,
      test: (drivers) => everyWay(drivers, sample, {}, (result) => assertAnswer(result, sample)),
    },
    {
      line: lines[4]!,
      duty: `${name}: status is NOTSUPP for an algorithm or operation that is not supported`,
      test: async (drivers) => {
        const check = (result: DataResult) => assertStatus(result, w.STATUS_NOTSUPP, "an unknown operation");
        await everyWay(drivers, sample, { opcode: noSuchOpcode }, check);
        const unknown = { ...sample.session, algo: 63, cipherAlgo: 63 };
        const result = await askStateless(drivers.stateless, sample, { stateless: unknown });
        assertStatus(result, w.STATUS_NOTSUPP, "an unknown algorithm");
      },
    },
    {
      line: lines[5]!,
      duty: `${name}: status is INVSESS if there is no such session`,
      test: async ({ fixed, mux, stateless }) => {
        for (const driver of [fixed, mux, stateless]) {
          for (const sessionId of [0n, 256n, 2n ** 31n + 5n, 2n ** 63n, 2n ** 64n - 1n]) {
            const changes = { sessionId, flag: w.FLAG_SESSION_MODE };
            assertStatus(await ask(driver, sample, changes), w.STATUS_INVSESS, `session ${sessionId}`);
          }
        }
      },
    },
    {
      line: lines[6]!,
      duty: `${name}: status is ERR for every other failure`,
      test: (drivers) => everyWay(drivers, sample, bad, (result) => assertStatus(result, w.STATUS_ERR, name)),
    },
  ];
}

async function everyWay(
  { fixed, mux, stateless }: Drivers,
  sample: Sample,
  changes: Changes,
  check: (result: DataResult) => void,
): Promise<void> {
  check(await ask(fixed, sample, changes));
  check(await ask(mux, sample, changes));
  check(await ask(stateless, sample, { flag: w.FLAG_SESSION_MODE, ...changes }));
  check(await askStateless(stateless, sample, changes));
}

const HASH_FACTS: ServiceFacts = {
  lines: [1094, 1095, 1099, 1107, 1108, 1109, 1110],
  sample: hashSample(),
  noSuchOpcode: 0x0101,
  bad: { claims: { srcDataLen: 1000 } },
};

const MAC_FACTS: ServiceFacts = {
  lines: [1197, 1198, 1200, 1208, 1209, 1210, 1211],
  sample: macSample(),
  noSuchOpcode: 0x0207,
  bad: { claims: { hashResultLen: 33 }, resultBytes: 33 },
};

const CIPHER_FACTS: ServiceFacts = {
  lines: [1500, 1501, 1503, 1523, 1524, 1525, 1526],
  sample: cipherSample(),
  noSuchOpcode: 0x0008,
  bad: { claims: { ivLen: 15 } },
};

const AEAD_FACTS: ServiceFacts = {
  lines: [1711, 1712, 1714, 1724, 1725, 1727, 1728],
  sample: aeadSample(),
  noSuchOpcode: 0x0302 + 0x10,
  bad: { claims: { dstDataLen: 20 } },
};

function digestCopied(sample: Sample, line: number): Clause {
  return {
    line,
    duty: `${sample.name}: the result of a successful operation is copied to hash_result, and of a failed one is not`,
    test: async (drivers) => {
      await everyWay(drivers, sample, {}, (result) => assertEquals(result.result, sample.result));
      const failing = { claims: { srcDataLen: 1000 } };
      await everyWay(drivers, sample, failing, ({ result }) => assertEquals(result, new Uint8Array(32).fill(0xee)));
    },
  };
}

/** HASH service operation. */
export const HASH: readonly Clause[] = [
  ...common(HASH_FACTS, true),
  {
    line: 1097,
    duty: "HASH: the opcode decides which structure a request is",
    test: async ({ fixed, stateless }) => {
      assertStatus(await ask(fixed, hashSample(), { opcode: w.MAC }), w.STATUS_ERR, "a MAC with a HASH session");
      assertStatus(await ask(fixed, hashSample(), { opcode: w.CIPHER_ENCRYPT }), w.STATUS_NOTSUPP, "no op_type");
      // HASH's source length is at the offset of MAC's key length: a key of 77 bytes that the request does not have.
      const asMac = await askStateless(stateless, hashSample(), { opcode: w.MAC });
      assertStatus(asMac, w.STATUS_ERR, "a stateless HASH request read as a MAC");
    },
  },
  digestCopied(hashSample(), 1102),
];

/** MAC service operation. */
export const MAC: readonly Clause[] = [...common(MAC_FACTS, true), digestCopied(macSample(), 1203)];

/** Symmetric algorithms operation. */
export const SYMMETRIC: readonly Clause[] = [
  // Its structure is the same size in both forms.
  ...common(CIPHER_FACTS, false),
  {
    line: 1506,
    duty: "the opcode says whether to encrypt or to decrypt",
    test: async (drivers) => {
      for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) {
        const sample = cipherSample(op);
        await everyWay(drivers, sample, {}, (result) => assertAnswer(result, sample));
        const opcode = op === w.OP_ENCRYPT ? w.CIPHER_DECRYPT : w.CIPHER_ENCRYPT;
        await everyWay(drivers, sample, { opcode }, (result) => assertStatus(result, w.STATUS_ERR));
      }
    },
  },
  {
    line: 1508,
    duty: "of a CIPHER request only the CIPHER fields are parsed: the rest of the union may hold anything",
    test: async ({ fixed, mux }) => {
      const sample = cipherSample();
      for (const [driver, mode] of [[fixed, "fixed"], [mux, "mux"]] as const) {
        const sessionId = await driver.createSession(sample.session);
        const request = edited(encodeData({ ...sample.request, sessionId }, mode), "para", (view) => {
          for (let at = 12; at < w.SYM_PARA_OP_TYPE_OFFSET; at++) view.setUint8(at, 0xff);
          view.setUint32(w.SYM_PARA_OP_TYPE_OFFSET + 4, 0xffff_ffff, true);
        });
        assertAnswer(await driver.submitData(request), sample);
      }
    },
  },
  {
    line: 1510,
    duty: "of a chain with HASH_MODE_AUTH the fields of cipher and MAC are parsed",
    test: (drivers) => everyWay(drivers, chainSample(), {}, (result) => assertAnswer(result, chainSample())),
  },
  {
    line: 1514,
    duty: "the result of the cipher is copied to dst_data, alone and in a chain",
    test: async (drivers) => {
      for (const sample of [cipherSample(), cipherSample(w.OP_DECRYPT), chainSample()]) {
        await everyWay(drivers, sample, {}, (result) => assertEquals(result.dst, sample.dst));
      }
    },
  },
  {
    line: 1516,
    duty: "additional data is parsed only if its length is above 0",
    test: async ({ fixed, mux, stateless }) => {
      const plain = chainSample();
      const aad = bytes(9, 20);
      const key = bytes(40, 6);
      const withAad = { ...plain, result: hmacSha256(key, aad, plain.dst) };
      assertAnswer(await ask(fixed, plain, { aad }), withAad, "without MUX_MODE");
      assertAnswer(await ask(mux, plain, { aad }), withAad, "with MUX_MODE");
      assertAnswer(await askStateless(stateless, plain, { aad }), withAad, "stateless");
      // Bytes behind the source with a length of 0 are no additional data.
      assertAnswer(await ask(mux, plain, { aad, claims: { aadLen: 0 } }), plain, "length 0");
    },
  },
  {
    line: 1518,
    duty: "the result of a chain's hash or MAC is copied to hash_result",
    test: async (drivers) => {
      const plain = chainSample({ hashMode: w.HASH_MODE_PLAIN, hashAlgo: w.HASH_SHA_256, authKey: new Uint8Array() });
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", plain.dst));
      await everyWay(drivers, plain, {}, (result) => assertEquals(result.result, digest));
      await everyWay(drivers, chainSample(), {}, (result) => assertEquals(result.result, chainSample().result));
    },
  },
];

async function testVerification({ fixed, mux, stateless }: Drivers): Promise<void> {
  const sample = aeadSample(w.OP_DECRYPT);
  const { request } = sample;
  if (request.service !== "aead") throw new Error("unreachable");
  for (const at of [0, 49, 50, request.src.length - 1]) {
    const src = request.src.slice();
    src[at]! ^= 0x40;
    const ways = [
      await ask(fixed, sample, { src }),
      await ask(mux, sample, { src }),
      await askStateless(stateless, sample, { src }),
    ];
    for (const result of ways) {
      assertStatus(result, w.STATUS_BADMSG, `byte ${at} changed`);
      assertEquals(result.dst, new Uint8Array(50), "something of the plaintext is left");
    }
  }
  assertStatus(await ask(fixed, sample, { aad: bytes(21, 99) }), w.STATUS_BADMSG, "other additional data");
  assertStatus(await ask(fixed, sample, { iv: bytes(12, 99) }), w.STATUS_BADMSG, "another nonce");
}

/** AEAD service operation. */
export const AEAD: readonly Clause[] = [
  ...common(AEAD_FACTS, true),
  {
    line: 1715,
    duty: "AEAD: the opcode says whether to encrypt or to decrypt",
    test: async (drivers) => {
      for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) {
        const sample = aeadSample(op);
        await everyWay(drivers, sample, {}, (result) => assertAnswer(result, sample));
        const opcode = op === w.OP_ENCRYPT ? w.AEAD_DECRYPT : w.AEAD_ENCRYPT;
        await everyWay(drivers, sample, { opcode }, (result) => assertStatus(result, w.STATUS_ERR));
      }
    },
  },
  {
    line: 1717,
    duty: "AEAD: the result is copied to dst_data",
    test: async (drivers) => {
      for (const sample of [aeadSample(), aeadSample(w.OP_DECRYPT)]) {
        await everyWay(drivers, sample, {}, (result) => assertEquals(result.dst, sample.dst));
      }
    },
  },
  {
    line: 1718,
    duty: "AEAD: the tag directly follows the ciphertext, for any length of dst_data",
    test: async ({ fixed }) => {
      const sample = aeadSample();
      const result = await ask(fixed, sample, { claims: { dstDataLen: 80 } });
      assertStatus(result, w.STATUS_OK);
      assertEquals(result.dst, concat(sample.dst, new Uint8Array(14).fill(0xee)));
    },
  },
  { line: 1721, duty: "AEAD: decryption verifies the tag and says what came of it", test: testVerification },
  {
    line: 1726,
    duty: "AEAD: status is BADMSG if the verification failed, and never otherwise",
    test: async (drivers) => {
      await testVerification(drivers);
      const { fixed } = drivers;
      assertStatus(await ask(fixed, aeadSample(w.OP_DECRYPT)), w.STATUS_OK);
      assertStatus(await ask(fixed, aeadSample(w.OP_DECRYPT), { claims: { srcDataLen: 15 } }), w.STATUS_ERR, "no tag");
    },
  },
];
