/**
 * Sessions that a VMM creates by message, in the three layouts of QEMU's versions.
 *
 * @module
 */
import { RefusedError } from "../../../driver/errors.ts";
import type { SessionMessageLayout } from "../../../driver/session_payload.ts";
import type { SessionParameters } from "../../../driver/sessions.ts";
import { sessionIdOf } from "../../../driver/session_payload.ts";
import * as vu from "../../../wire/vhost_user.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectEqual, expectStatus, expectThat, Mismatch } from "../expect.ts";
import { chainSample, cipherSample, type Sample } from "../samples.ts";
import { needsOf } from "./needs.ts";

/** The layouts, by the first QEMU version that has them. */
const LAYOUTS: readonly SessionMessageLayout[] = ["qemu-2.12", "qemu-7.1", "qemu-8.1"];
const REFERENCE = { vhostUser: "Front-end message types, CREATE_CRYPTO_SESSION" };

function idOf(layout: SessionMessageLayout): string {
  return layout.replace(".", "-");
}

/** A driver whose control queue stays in the VMM. */
function connect(context: CheckContext, sessionLayout: SessionMessageLayout) {
  return context.driver({ deviceModel: "cryptodev", sessionLayout });
}

async function askByMessage(context: CheckContext, layout: SessionMessageLayout, sample: Sample): Promise<void> {
  const driver = await connect(context, layout);
  context.note(`CREATE_CRYPTO_SESSION in the layout of ${layout}, ${sample.name}, and a request`);
  const sessionId = await driver.createSession(sample.session);
  const result = await driver.request({ ...sample.request, sessionId });
  expectAnswer(result, sample, `${sample.name}, ${layout}`);
  context.note(`CLOSE_CRYPTO_SESSION of session ${sessionId}`);
  await driver.destroySession(sample.session.service, sessionId);
}

/** Sessions that cannot be created. */
function refusals(): [what: string, session: SessionParameters][] {
  const { session } = cipherSample();
  return [
    ["cipher 63", { ...session, algo: 63 } as SessionParameters],
    ["a key of 15 bytes", { ...session, key: new Uint8Array(15) } as SessionParameters],
  ];
}

function layoutClauses(layout: SessionMessageLayout): Clause[] {
  const needs = { ...needsOf(cipherSample()), protocolFeatures: [vu.PROTOCOL_F_CRYPTO_SESSION] };
  return [
    {
      id: `cipher-${idOf(layout)}`,
      duty: `a CIPHER session in the layout of ${layout} is created, serves requests and is closed`,
      reference: REFERENCE,
      needs,
      run: async (context) => {
        for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) await askByMessage(context, layout, cipherSample(op));
      },
    },
    {
      id: `chain-${idOf(layout)}`,
      duty: `a session of a chain in the layout of ${layout} is created, serves requests and is closed`,
      reference: REFERENCE,
      needs: { ...needs, ...needsOf(chainSample()) },
      run: (context) => askByMessage(context, layout, chainSample()),
    },
    {
      id: `refusal-${idOf(layout)}`,
      duty: `a session that cannot be created gets a negative id, in the layout of ${layout}, and the next one works`,
      reference: REFERENCE,
      needs,
      run: async (context) => {
        const driver = await connect(context, layout);
        for (const [what, session] of refusals()) {
          context.note(`CREATE_CRYPTO_SESSION in the layout of ${layout}: ${what}`);
          const { status, sessionId } = await driver.tryCreateSession(session);
          expectThat(status !== w.STATUS_OK, `session ${sessionId} for ${what}`, "a negative id");
        }
        await askByMessage(context, layout, cipherSample());
      },
    },
  ];
}

async function checkUnknownLength(context: CheckContext): Promise<void> {
  const driver = await connect(context, "qemu-8.1");
  const { frontend } = driver;
  for (const length of [0, 8, 631, 633, 1071, 1073]) {
    context.note(`CREATE_CRYPTO_SESSION of ${length} bytes`);
    const payload = new Uint8Array(length);
    try {
      const reply = await frontend.call(vu.CREATE_CRYPTO_SESSION, "CREATE_CRYPTO_SESSION", payload);
      const isLong = reply.length >= vu.SESSION_BYTES_NEW;
      const id = reply.length < 8 ? -1n : sessionIdOf(isLong ? "qemu-8.1" : "qemu-2.12", reply);
      if (id >= 0n && length !== 0) throw new Mismatch(`session ${id} of a message of ${length} bytes`, "a refusal");
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
    await frontend.getFeatures();
  }
}

const COMMON: readonly Clause[] = [
  {
    id: "closed",
    duty: "a closed session is INVSESS",
    reference: { vhostUser: "Front-end message types, CLOSE_CRYPTO_SESSION" },
    run: async (context) => {
      const driver = await connect(context, "qemu-8.1");
      const sessionId = await driver.createSession(cipherSample().session);
      await driver.destroySession("cipher", sessionId);
      context.note(`a request for session ${sessionId}, which was closed`);
      const result = await driver.request({ ...cipherSample().request, sessionId });
      expectStatus(result, w.STATUS_INVSESS, "a closed session");
    },
  },
  {
    id: "several",
    duty: "each session by message has its own id and key",
    reference: REFERENCE,
    run: async (context) => {
      const driver = await connect(context, "qemu-8.1");
      const sample = cipherSample();
      const ids: number[] = [];
      for (let i = 0; i < 32; i++) ids.push(await driver.createSession(sample.session));
      expectEqual(new Set(ids).size, ids.length, "different ids");
      for (const sessionId of ids) {
        expectAnswer(await driver.request({ ...sample.request, sessionId }), sample, `session ${sessionId}`);
      }
      for (const sessionId of ids) await driver.destroySession("cipher", sessionId);
    },
  },
  {
    id: "close-unknown",
    level: "SHOULD",
    duty: "closing a session that does not exist does not affect others",
    reference: { vhostUser: "Front-end message types, CLOSE_CRYPTO_SESSION" },
    run: async (context) => {
      const driver = await connect(context, "qemu-8.1");
      for (const id of [0n, 12345n, 2n ** 63n, 2n ** 64n - 1n]) {
        context.note(`CLOSE_CRYPTO_SESSION of session ${id}`);
        try {
          await driver.frontend.closeCryptoSession(id);
        } catch (error) {
          if (!(error instanceof RefusedError)) throw error;
        }
      }
      await driver.frontend.getFeatures();
    },
  },
  {
    id: "unknown-length",
    level: "SHOULD",
    duty: "a session message of unknown length creates no session, and the connection continues",
    reference: REFERENCE,
    run: checkUnknownLength,
  },
];

/** Session messages. */
export const MESSAGES: Group = {
  name: "session-messages",
  title: "Sessions by message",
  clauses: [...LAYOUTS.flatMap(layoutClauses), ...COMMON].map((clause) => ({
    ...clause,
    needs: { ...needsOf(cipherSample()), protocolFeatures: [vu.PROTOCOL_F_CRYPTO_SESSION], ...clause.needs },
  })),
};
