/**
 * Sessions on the control queue: created, used, destroyed.
 *
 * @module
 */
import type { CryptoDriver } from "../../../driver/crypto_driver.ts";
import type { SessionParameters } from "../../../driver/sessions.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group, Reference } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectEqual, expectStatus, expectThat, NotApplicable } from "../expect.ts";
import { sessionFor } from "../lengths.ts";
import { allSamples, bytes, cipherSample, hashSample, macSample } from "../samples.ts";
import { ALL_SERVICES, CONTROL_FORMS, needsOf } from "./needs.ts";

function create(v19: number): Reference {
  return { v19, ratified: "Session operation: create session" };
}

function destroy(v19: number): Reference {
  return { v19, ratified: "Session operation: destroy session" };
}

async function expectDestruction(
  driver: CryptoDriver,
  service: SessionParameters["service"],
  id: number | bigint,
  status: number = w.STATUS_OK,
): Promise<void> {
  expectStatus({ status: await driver.destroySession(service, id) }, status, `destroying session ${id}`);
}

async function checkOpcode(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const sample = hashSample();
  // A MAC session's bytes under HASH's opcode: the first two fields are the same, and the session is a hash's.
  context.note("creation: the parameters of a MAC session under the opcode HASH_CREATE_SESSION");
  const { status, sessionId } = await driver.tryCreateSession(macSample().session, { opcode: w.HASH_CREATE_SESSION });
  expectStatus({ status }, w.STATUS_OK, "MAC's parameters as HASH's");
  const asMac = await driver.mac({ sessionId, src: bytes(4), hashResultLen: 32 });
  expectStatus(asMac, w.STATUS_ERR, "the session used as a MAC's");
  expectAnswer(await driver.request({ ...sample.request, sessionId }), sample);
  await expectDestruction(driver, "hash", sessionId);
  context.note("creation: the parameters of an AEAD session under the opcode CIPHER_CREATE_SESSION");
  const aead = { service: "aead", algo: 2, key: bytes(16), tagLen: 16, op: w.OP_ENCRYPT } as const;
  const asCipher = await driver.tryCreateSession(aead, { opcode: w.CIPHER_CREATE_SESSION });
  expectStatus(asCipher, w.STATUS_NOTSUPP, "an AEAD session read as a symmetric one, with op_type 0");
}

/** Maximum number of sessions that are created to fill the table, and the maximum time for it, in milliseconds. */
const SESSIONS_TRIED = 70_000;
const FILL_MS = 10_000;
const SESSIONS_AT_ONCE = 64;

async function checkFullTable(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const { session } = cipherSample();
  const refusal = context.form === "mux" ? w.STATUS_NOSPC : w.STATUS_ERR;
  const ids: number[] = [];
  const start = performance.now();
  for (let refused = false; !refused;) {
    if (ids.length > SESSIONS_TRIED || performance.now() - start > FILL_MS) {
      throw new NotApplicable(`the table was not full after ${ids.length} sessions`);
    }
    context.note(`creation of ${SESSIONS_AT_ONCE} sessions besides ${ids.length} existing ones`);
    const creations = Array.from({ length: SESSIONS_AT_ONCE }, () => driver.tryCreateSession(session));
    for (const { status, sessionId } of await Promise.all(creations)) {
      expectStatus({ status }, [w.STATUS_OK, refusal], `with ${ids.length} sessions`);
      if (status === w.STATUS_OK) ids.push(sessionId);
      else refused = true;
    }
  }
  await expectDestruction(driver, "cipher", ids.shift()!);
  const next = await driver.tryCreateSession(session);
  expectStatus(next, w.STATUS_OK, "after a session was destroyed");
  for (const id of [...ids, next.sessionId]) await expectDestruction(driver, "cipher", id);
}

async function checkUniqueIds(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const { session } = cipherSample();
  const ids = new Set<number>();
  context.note("creation of 200 sessions");
  for (let i = 0; i < 200; i++) ids.add(await driver.createSession(session));
  expectEqual(ids.size, 200, "different ids of 200 sessions");
  context.note("creation of a session with keylen 3");
  const refused = await driver.tryCreateSession(session, { claims: { keylen: 3 } });
  expectStatus(refused, w.STATUS_ERR);
  expectThat(!ids.has(refused.sessionId), `session_id ${refused.sessionId}, which exists`, "no id of a session");
  for (const id of ids) await expectDestruction(driver, "cipher", id);
}

async function checkNoReuse(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const { session } = cipherSample();
  const first = await driver.createSession(session);
  await expectDestruction(driver, "cipher", first);
  context.note(`creation of a session after session ${first} was destroyed`);
  const second = await driver.createSession(session);
  expectThat(second !== first, `session_id ${second} again`, "another id, so that a late request finds no session");
  await expectDestruction(driver, "cipher", second);
}

const CREATION: readonly Clause[] = [
  {
    id: "opcode",
    duty: "the opcode selects the structure of a control request",
    reference: create(889),
    needs: needsOf(macSample(), hashSample()),
    run: checkOpcode,
  },
  {
    id: "create-ok",
    duty: "status of a creation is OK if the session was created, and the session serves requests",
    reference: create(894),
    needs: ALL_SERVICES,
    forms: CONTROL_FORMS,
    run: async (context) => {
      for (const sample of allSamples()) expectAnswer(await context.ask(sample), sample);
    },
  },
  {
    id: "create-notsupp",
    duty: "status of a creation is NOTSUPP for an algorithm or operation that is not supported",
    reference: create(895),
    forms: CONTROL_FORMS,
    run: async (context) => {
      const driver = await context.driver();
      for (const service of [0, 1, 2, 3]) {
        context.note(`creation of a session of service ${service}, algorithm 63`);
        const result = await driver.tryCreateSession(sessionFor(service, 63));
        expectStatus(result, w.STATUS_NOTSUPP, `service ${service}, algorithm 63`);
      }
      const { session } = cipherSample();
      context.note("creation of a CIPHER session with op_type 0, and one with opcode 0x0007");
      expectStatus(await driver.tryCreateSession(session, { claims: { opType: 0 } }), w.STATUS_NOTSUPP, "op_type 0");
      expectStatus(await driver.tryCreateSession(session, { opcode: 0x0007 }), w.STATUS_NOTSUPP, "opcode 0x0007");
    },
  },
  {
    id: "create-nospc",
    duty:
      "status of a creation is NOSPC under MUX_MODE, else ERR, when no id is free; a destroyed session frees its own",
    reference: create(896),
    needs: needsOf(cipherSample()),
    forms: CONTROL_FORMS,
    run: checkFullTable,
  },
  {
    id: "create-err",
    duty: "status of a creation is ERR for every other failure",
    reference: create(898),
    needs: needsOf(cipherSample(), hashSample()),
    forms: CONTROL_FORMS,
    run: async (context) => {
      const driver = await context.driver();
      const { session } = cipherSample();
      for (const claims of [{ keylen: 15 }, { keylen: 24 }, { op: 3 }]) {
        context.note(`creation of an AES-128-CBC session with ${JSON.stringify(claims)}`);
        expectStatus(await driver.tryCreateSession(session, { claims }), w.STATUS_ERR, JSON.stringify(claims));
      }
      context.note("creation of a SHA-256 session with hash_result_len 33");
      const digest = await driver.tryCreateSession(hashSample().session, { claims: { hashResultLen: 33 } });
      expectStatus(digest, w.STATUS_ERR, "hash_result_len 33");
    },
  },
  {
    id: "unique-ids",
    duty: "session_id is unique, and set only if status is OK",
    reference: create(900),
    needs: needsOf(cipherSample()),
    forms: CONTROL_FORMS,
    run: checkUniqueIds,
  },
  {
    id: "no-reuse",
    level: "SHOULD",
    duty: "the id of a session that was just destroyed is not used again at once",
    reference: create(900),
    needs: needsOf(cipherSample()),
    run: checkNoReuse,
  },
];

const DESTRUCTION: readonly Clause[] = [
  {
    id: "destroy-ok",
    duty: "status of a destruction is OK if the session was destroyed; its requests are INVSESS afterwards",
    reference: destroy(919),
    needs: ALL_SERVICES,
    forms: CONTROL_FORMS,
    run: async (context) => {
      const driver = await context.driver();
      for (const sample of allSamples()) {
        const { service } = sample.session;
        const sessionId = await driver.createSession(sample.session);
        await expectDestruction(driver, service, sessionId);
        context.note(`a ${sample.name} request of session ${sessionId}, which was destroyed`);
        expectStatus(await driver.request({ ...sample.request, sessionId }), w.STATUS_INVSESS, sample.name);
      }
    },
  },
  {
    id: "destroy-err",
    duty: "status of a destruction is ERR if the session does not exist or was destroyed",
    reference: destroy(920),
    needs: needsOf(cipherSample()),
    forms: CONTROL_FORMS,
    run: async (context) => {
      const driver = await context.driver();
      const sessionId = await driver.createSession(cipherSample().session);
      for (const unknown of [0, sessionId + 1, 2 ** 32 + sessionId, 2n ** 63n, 2n ** 64n - 1n]) {
        context.note(`destruction of session ${unknown}; only ${sessionId} exists`);
        await expectDestruction(driver, "cipher", unknown, w.STATUS_ERR);
      }
      await expectDestruction(driver, "cipher", sessionId);
      await expectDestruction(driver, "cipher", sessionId, w.STATUS_ERR);
    },
  },
];

/** Control virtqueue: sessions. */
export const SESSIONS: Group = {
  name: "sessions",
  title: "Sessions on the control queue",
  clauses: [...CREATION, ...DESTRUCTION].map((clause) => ({
    ...clause,
    needs: { ...clause.needs, wholeDevice: true },
  })),
};
