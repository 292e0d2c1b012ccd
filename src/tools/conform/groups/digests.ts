/**
 * The normative texts of the HASH and the MAC service.
 *
 * @module
 */
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group } from "../check.ts";
import { expectStatus } from "../expect.ts";
import { hashSample, macSample } from "../samples.ts";
import { needsOf } from "./needs.ts";
import { commonClauses, digestCopied, type ServiceFacts } from "./services.ts";

const HASH_FACTS: ServiceFacts = {
  section: "HASH Service Operation",
  lines: { mux: 1094, fixed: 1095, flag: 1099, ok: 1107, notsupp: 1108, invsess: 1109, err: 1110 },
  sample: hashSample(),
  hasTwoForms: true,
  noSuchOpcode: 0x0101,
  bad: { claims: { srcDataLen: 1000 } },
};

const MAC_FACTS: ServiceFacts = {
  section: "MAC Service Operation",
  lines: { mux: 1197, fixed: 1198, flag: 1200, ok: 1208, notsupp: 1209, invsess: 1210, err: 1211 },
  sample: macSample(),
  hasTwoForms: true,
  noSuchOpcode: 0x0207,
  bad: { claims: { hashResultLen: 33 }, resultBytes: 33 },
};

const HASH_OPCODE: readonly Clause[] = [
  {
    id: "opcode",
    duty: "the opcode selects the structure of a request",
    reference: { v19: 1097, ratified: HASH_FACTS.section },
    needs: needsOf(hashSample(), macSample()),
    run: async (context) => {
      const asMac = await context.ask(hashSample(), { opcode: w.MAC });
      expectStatus(asMac, w.STATUS_ERR, "a MAC with a HASH session");
      const asCipher = await context.ask(hashSample(), { opcode: w.CIPHER_ENCRYPT });
      expectStatus(asCipher, w.STATUS_NOTSUPP, "a HASH request read as a symmetric one, with op_type 0");
    },
  },
  {
    id: "opcode-stateless",
    duty: "the opcode selects the structure of a stateless request",
    reference: { v19: 1097, ratified: HASH_FACTS.section },
    needs: needsOf(hashSample(), macSample()),
    forms: ["stateless"],
    run: async (context) => {
      // HASH's source length is at the offset of MAC's key length: a key of 77 bytes that the request does not have.
      const asMac = await context.ask(hashSample(), { opcode: w.MAC });
      expectStatus(asMac, w.STATUS_ERR, "a stateless HASH request read as a MAC");
    },
  },
];

/** HASH service operation. */
export const HASH: Group = {
  name: "hash",
  title: "HASH service",
  clauses: [
    ...commonClauses(HASH_FACTS),
    ...HASH_OPCODE,
    digestCopied(hashSample(), { v19: 1102, ratified: HASH_FACTS.section }),
  ],
};

/** MAC service operation. */
export const MAC: Group = {
  name: "mac",
  title: "MAC service",
  clauses: [...commonClauses(MAC_FACTS), digestCopied(macSample(), { v19: 1203, ratified: MAC_FACTS.section })],
};
