/**
 * The duties that the normative texts of HASH, MAC, symmetric algorithms and AEAD share, each in its own words: the form of
 * a request, its flag, its opcode and its status.
 *
 * @module
 */
import type { RequestMode } from "../../../driver/requests.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Reference } from "../check.ts";
import { FORMS } from "../forms.ts";
import { expectAnswer, expectEqual, expectOtherAnswer, expectStatus } from "../expect.ts";
import type { Sample } from "../samples.ts";
import type { Changes } from "../ask.ts";
import { needsOf, SESSION_FORMS } from "./needs.ts";

/** The differences between the services. */
export interface ServiceFacts {
  /** The section's title. */
  readonly section: string;
  /** Lines of v19. */
  readonly lines: {
    readonly mux: number;
    readonly fixed: number;
    readonly flag: number;
    readonly ok: number;
    readonly notsupp: number;
    readonly invsess: number;
    readonly err: number;
  };
  readonly sample: Sample;
  /** Its parameters are shorter under MUX_MODE. */
  readonly hasTwoForms: boolean;
  /** An undefined opcode of the service. */
  readonly noSuchOpcode: number;
  /** Parameters that make a request fail. */
  readonly bad: Changes;
}

/** A clause: requests are parsed in the negotiated form `form`, not in the other one. */
function parsedAs(facts: ServiceFacts, form: "fixed" | "mux", reference: Reference): Clause {
  const { sample, hasTwoForms } = facts;
  const other: RequestMode = form === "mux" ? "fixed" : "mux";
  const name = form === "mux" ? "op_data_req_mux" : "op_data_req";
  return {
    id: form === "mux" ? "parsed-with-mux" : "parsed-without-mux",
    duty: `${form === "mux" ? "under" : "without"} MUX_MODE, requests are parsed as ${name}`,
    reference,
    needs: needsOf(sample),
    forms: [form],
    run: async (context) => {
      expectAnswer(await context.ask(sample), sample);
      if (!hasTwoForms) return;
      const result = await context.ask(sample, {}, { mode: other });
      expectOtherAnswer(result, sample, "the request had the other form");
    },
  };
}

function flagTells({ sample }: ServiceFacts, reference: Reference): Clause {
  return {
    id: "flag",
    duty: "if the stateless mode is negotiated, flag selects the mode of each request",
    reference,
    needs: needsOf(sample),
    forms: ["flagged", "stateless"],
    run: async (context) => {
      expectAnswer(await context.ask(sample), sample);
      // The same bytes are invalid in the other mode.
      const isSession = context.form === "flagged";
      const flag = isSession ? w.FLAG_STATELESS_MODE_ZERO : w.FLAG_SESSION_MODE;
      const mode: RequestMode = isSession ? "mux" : "stateless";
      const result = await context.ask(sample, { flag }, { mode });
      expectOtherAnswer(result, sample, "flag told the other mode");
    },
  };
}

/** The clauses of every service. */
export function commonClauses(facts: ServiceFacts): Clause[] {
  const { section, lines, sample, noSuchOpcode, bad } = facts;
  const at = (v19: number): Reference => ({ v19, ratified: section });
  const needs = needsOf(sample);
  return [
    parsedAs(facts, "mux", at(lines.mux)),
    parsedAs(facts, "fixed", at(lines.fixed)),
    flagTells(facts, at(lines.flag)),
    {
      id: "ok",
      duty: "status is OK if the operation succeeded",
      reference: at(lines.ok),
      needs,
      forms: FORMS,
      run: async (context) => expectAnswer(await context.ask(sample), sample),
    },
    {
      id: "notsupp-operation",
      duty: "status is NOTSUPP for an operation that is not supported",
      reference: at(lines.notsupp),
      needs,
      forms: FORMS,
      run: async (context) =>
        expectStatus(
          await context.ask(sample, { opcode: noSuchOpcode }),
          w.STATUS_NOTSUPP,
          `opcode 0x${noSuchOpcode.toString(16)}`,
        ),
    },
    {
      id: "notsupp-algorithm",
      duty: "status is NOTSUPP for an algorithm that is not supported",
      reference: at(lines.notsupp),
      needs,
      forms: ["stateless"],
      run: async (context) => {
        const stateless = { ...sample.session, algo: 63, cipherAlgo: 63 };
        expectStatus(await context.ask(sample, { stateless }), w.STATUS_NOTSUPP, "algorithm 63");
      },
    },
    {
      id: "invsess",
      duty: "status is INVSESS if the session does not exist",
      reference: at(lines.invsess),
      needs,
      forms: SESSION_FORMS,
      run: async (context) => {
        for (const sessionId of [0n, 256n, 2n ** 31n + 5n, 2n ** 63n, 2n ** 64n - 1n]) {
          expectStatus(await context.ask(sample, { sessionId }), w.STATUS_INVSESS, `session ${sessionId}`);
        }
      },
    },
    {
      id: "err",
      duty: "status is ERR for every other failure",
      reference: at(lines.err),
      needs,
      forms: FORMS,
      run: async (context) => expectStatus(await context.ask(sample, bad), w.STATUS_ERR, JSON.stringify(bad)),
    },
  ];
}

/** A clause: the digest is written to hash_result, and only if the operation succeeded. */
export function digestCopied(sample: Sample, reference: Reference): Clause {
  return {
    id: "result",
    duty: "the result of a successful operation is copied to hash_result, that of a failed one is not",
    reference,
    needs: needsOf(sample),
    forms: FORMS,
    run: async (context) => {
      expectEqual((await context.ask(sample)).result, sample.result, "hash_result");
      const failed = await context.ask(sample, { claims: { srcDataLen: 1000 } });
      const untouched = new Uint8Array(sample.result.length).fill(0xee);
      expectEqual(failed.result, untouched, "hash_result of a request with src_data_len 1000 that has fewer bytes");
    },
  };
}

/** Clauses: the opcode selects encryption or decryption. `make` returns a sample of either direction. */
export function opcodeDirects(
  make: (op: number) => Sample,
  opcodes: { readonly encrypt: number; readonly decrypt: number },
  reference: Reference,
): Clause[] {
  return [
    {
      id: "direction",
      duty: "the opcode selects encryption or decryption",
      reference,
      needs: needsOf(make(w.OP_ENCRYPT)),
      forms: FORMS,
      run: async (context) => {
        for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) expectAnswer(await context.ask(make(op)), make(op));
      },
    },
    {
      id: "wrong-direction",
      level: "SHOULD",
      duty: "an opcode that contradicts the direction of the session or the parameters is ERR",
      reference,
      needs: needsOf(make(w.OP_ENCRYPT)),
      forms: FORMS,
      run: async (context) => {
        for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) {
          const opcode = op === w.OP_ENCRYPT ? opcodes.decrypt : opcodes.encrypt;
          const result = await context.ask(make(op), { opcode });
          expectStatus(result, w.STATUS_ERR, `op ${op} with opcode 0x${opcode.toString(16)}`);
        }
      },
    },
  ];
}
