/**
 * The normative text of the AEAD service.
 *
 * @module
 */
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group, Reference } from "../check.ts";
import { FORMS } from "../forms.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectEqual, expectStatus, expectThat } from "../expect.ts";
import { concat } from "../oracle.ts";
import { aeadSample, bytes } from "../samples.ts";
import { needsOf } from "./needs.ts";
import { commonClauses, opcodeDirects, type ServiceFacts } from "./services.ts";

const AEAD_FACTS: ServiceFacts = {
  section: "AEAD Service Operation",
  lines: { mux: 1711, fixed: 1712, flag: 1714, ok: 1724, notsupp: 1725, invsess: 1727, err: 1728 },
  sample: aeadSample(),
  hasTwoForms: true,
  noSuchOpcode: 0x0302 + 0x10,
  bad: { claims: { dstDataLen: 20 } },
};

function at(v19: number): Reference {
  return { v19, ratified: AEAD_FACTS.section };
}

const NEEDS = needsOf(aeadSample());

function sealed(): Uint8Array<ArrayBuffer> {
  return aeadSample().dst;
}

async function checkVerification(context: CheckContext): Promise<void> {
  const sample = aeadSample(w.OP_DECRYPT);
  for (const at of [0, 49, 50, sealed().length - 1]) {
    const src = sealed();
    src[at]! ^= 0x40;
    const result = await context.ask(sample, { src });
    expectStatus(result, w.STATUS_BADMSG, `byte ${at} of ciphertext and tag changed`);
  }
  expectStatus(await context.ask(sample, { aad: bytes(21, 99) }), w.STATUS_BADMSG, "other additional data");
  expectStatus(await context.ask(sample, { iv: bytes(12, 99) }), w.STATUS_BADMSG, "another nonce");
}

const CLAUSES: readonly Clause[] = [
  ...opcodeDirects(aeadSample, { encrypt: w.AEAD_ENCRYPT, decrypt: w.AEAD_DECRYPT }, at(1715)),
  {
    id: "dst",
    duty: "the result is copied to dst_data",
    reference: at(1717),
    needs: NEEDS,
    forms: FORMS,
    run: async (context) => {
      for (const sample of [aeadSample(), aeadSample(w.OP_DECRYPT)]) {
        expectEqual((await context.ask(sample)).dst, sample.dst, "dst_data");
      }
    },
  },
  {
    id: "tag-position",
    duty: "the tag directly follows the ciphertext, for any length of dst_data",
    reference: at(1718),
    needs: NEEDS,
    forms: FORMS,
    run: async (context) => {
      const sample = aeadSample();
      const result = await context.ask(sample, { claims: { dstDataLen: 80 } });
      expectStatus(result, w.STATUS_OK);
      expectEqual(result.dst, concat(sample.dst, new Uint8Array(14).fill(0xee)), "dst_data of 80 bytes");
    },
  },
  {
    id: "verification",
    duty: "decryption verifies the tag: status is BADMSG if it does not match",
    reference: at(1721),
    needs: NEEDS,
    forms: FORMS,
    run: checkVerification,
  },
  {
    id: "no-plaintext",
    level: "SHOULD",
    duty: "after a wrong tag dst_data contains no plaintext",
    reference: { v19: 569, document: "SP 800-38D, 7.2" },
    needs: NEEDS,
    forms: FORMS,
    run: async (context) => {
      const src = sealed();
      src[src.length - 1]! ^= 1;
      const { dst } = await context.ask(aeadSample(w.OP_DECRYPT), { src });
      const plain = aeadSample(w.OP_DECRYPT).dst;
      const left = dst.filter((byte, i) => byte === plain[i]).length;
      // A few of the 50 bytes may be equal by chance.
      expectThat(left < 10, `${left} of 50 bytes of dst_data are the plaintext's`, "hardly any");
    },
  },
  {
    id: "badmsg-only",
    duty: "status is BADMSG only if the verification failed",
    reference: at(1726),
    needs: NEEDS,
    forms: FORMS,
    run: async (context) => {
      expectAnswer(await context.ask(aeadSample(w.OP_DECRYPT)), aeadSample(w.OP_DECRYPT));
      const short = await context.ask(aeadSample(w.OP_DECRYPT), { claims: { srcDataLen: 15 } });
      expectStatus(short, w.STATUS_ERR, "a source shorter than a tag");
    },
  },
];

/** AEAD service operation. */
export const AEAD: Group = {
  name: "aead",
  title: "AEAD service",
  clauses: [...commonClauses(AEAD_FACTS), ...CLAUSES],
};
