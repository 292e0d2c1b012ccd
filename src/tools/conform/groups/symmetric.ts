/**
 * The normative text of symmetric algorithms: ciphers, and chains of a cipher and a hash or MAC.
 *
 * @module
 */
import { encodeData } from "../../../driver/requests.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group, Reference } from "../check.ts";
import { FORMS } from "../forms.ts";
import { expectAnswer, expectEqual } from "../expect.ts";
import { hash } from "../oracle.ts";
import { bytes, chainSample, cipherSample, hmacSha256, type Sample } from "../samples.ts";
import { edited } from "../ask.ts";
import { CONTROL_FORMS, needsOf } from "./needs.ts";
import { commonClauses, opcodeDirects, type ServiceFacts } from "./services.ts";

const CIPHER_FACTS: ServiceFacts = {
  section: "Symmetric algorithms Operation",
  lines: { mux: 1500, fixed: 1501, flag: 1503, ok: 1523, notsupp: 1524, invsess: 1525, err: 1526 },
  sample: cipherSample(),
  // Its structure is the same size in both forms.
  hasTwoForms: false,
  noSuchOpcode: 0x0008,
  bad: { claims: { ivLen: 15 } },
};

function at(v19: number): Reference {
  return { v19, ratified: CIPHER_FACTS.section };
}

function plainChain(): Sample {
  return chainSample({ hashMode: w.HASH_MODE_PLAIN, hashAlgo: w.HASH_SHA_256, authKey: new Uint8Array() });
}

function copiedToDst(sample: Sample, what: string): Clause {
  return {
    id: `dst-${what}`,
    duty: `the result of the cipher is copied to dst_data: ${what}`,
    reference: at(1514),
    needs: needsOf(sample),
    forms: FORMS,
    run: async (context) => expectEqual((await context.ask(sample)).dst, sample.dst, "dst_data"),
  };
}

const AAD = bytes(9, 20);

const CLAUSES: readonly Clause[] = [
  ...opcodeDirects(cipherSample, { encrypt: w.CIPHER_ENCRYPT, decrypt: w.CIPHER_DECRYPT }, at(1506)),
  {
    id: "cipher-fields",
    duty: "only the CIPHER fields of a CIPHER request are parsed: the rest of the union may have any contents",
    reference: at(1508),
    needs: needsOf(cipherSample()),
    forms: CONTROL_FORMS,
    run: async (context) => {
      const sample = cipherSample();
      const driver = await context.driver();
      const sessionId = await driver.createSession(sample.session);
      const mode = context.form === "mux" ? "mux" : "fixed";
      const request = edited(encodeData({ ...sample.request, sessionId }, mode), "para", (view) => {
        for (let offset = 12; offset < w.SYM_PARA_OP_TYPE_OFFSET; offset++) view.setUint8(offset, 0xff);
        view.setUint32(w.SYM_PARA_OP_TYPE_OFFSET + 4, 0xffff_ffff, true);
      });
      context.note("an AES-128-CBC request with 0xff in the unused bytes of its parameters");
      expectAnswer(await driver.submitData(request), sample);
      await driver.destroySession("cipher", sessionId);
    },
  },
  {
    id: "chain-auth",
    duty: "the fields of cipher and MAC of a chain with HASH_MODE_AUTH are parsed",
    reference: at(1510),
    needs: needsOf(chainSample()),
    forms: FORMS,
    run: async (context) => expectAnswer(await context.ask(chainSample()), chainSample()),
  },
  copiedToDst(cipherSample(), "encryption"),
  copiedToDst(cipherSample(w.OP_DECRYPT), "decryption"),
  copiedToDst(chainSample(), "chain"),
  {
    id: "chain-aad",
    duty: "a chain's additional data is digested before the data if its length is above 0",
    reference: at(1516),
    needs: needsOf(chainSample()),
    forms: FORMS,
    run: async (context) => {
      const plain = chainSample();
      const withAad = { ...plain, result: hmacSha256(bytes(40, 6), AAD, plain.dst) };
      expectAnswer(await context.ask(plain, { aad: AAD }), withAad);
    },
  },
  {
    id: "chain-no-aad",
    duty: "a chain's additional data is not parsed if its length is 0",
    reference: at(1516),
    needs: needsOf(chainSample()),
    forms: ["mux"],
    run: async (context) => {
      // With a length of 0, bytes after the source are not additional data.
      expectAnswer(await context.ask(chainSample(), { aad: AAD, claims: { aadLen: 0 } }), chainSample());
    },
  },
  {
    id: "chain-plain-result",
    duty: "the digest of a chain with HASH_MODE_PLAIN is copied to hash_result",
    reference: at(1518),
    needs: needsOf(plainChain()),
    forms: FORMS,
    run: async (context) => {
      const sample = plainChain();
      expectEqual((await context.ask(sample)).result, hash(w.HASH_SHA_256, sample.dst, 32), "hash_result");
    },
  },
  {
    id: "chain-auth-result",
    duty: "the code of a chain with HASH_MODE_AUTH is copied to hash_result",
    reference: at(1518),
    needs: needsOf(chainSample()),
    forms: FORMS,
    run: async (context) => expectEqual((await context.ask(chainSample())).result, chainSample().result, "hash_result"),
  },
];

/** Symmetric algorithms operation. */
export const SYMMETRIC: Group = {
  name: "symmetric",
  title: "Ciphers and chains",
  clauses: [...commonClauses(CIPHER_FACTS), ...CLAUSES],
};
