/**
 * Sessions that the control path destroys, and slots that it gives to other sessions, while a data path works with
 * them: every request gets the right result or INVSESS, whatever the moment and whatever the algorithm.
 */
import { assert, assertEquals } from "@std/assert";
import { JobPoolMemory } from "../../src/device/job_memory.ts";
import { JobPool } from "../../src/device/job_pool.ts";
import { type DataRequest, encodeData } from "../../src/driver/requests.ts";
import type { SessionParameters } from "../../src/driver/sessions.ts";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import type { AkcipherKey } from "../../src/engine/asymmetric/akcipher.ts";
import { ipsecMbProblem } from "../../src/engine/ipsec_mb.ts";
import { legacyProblem } from "../../src/engine/openssl.ts";
import type { Parameters } from "../../src/engine/operation.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { PreparedKeys } from "../../src/worker/asymmetric_keys.ts";
import { executor, runAkcipherOn } from "../asymmetric/support.ts";
import { sessionRecord } from "../../bench/support/engine_variant.ts";
import { someBytes, type Workload, WORKLOADS } from "../../bench/support/workloads.ts";
import { type Answer, type Interruption, INTERRUPTIONS, Ring, WatchedTable } from "./one_ring.ts";
import { rsaRecord } from "./rsa_record.ts";

const SIZE_BYTES = 256;

/** A workload for one algorithm whose native context is given its key with each request. */
function rekeyed(name: string, session: SessionParameters, request: object): Workload {
  const common = { service: session.service, op: w.OP_ENCRYPT, ...request };
  return {
    name,
    ivLen: 0,
    resultLen: 0,
    session,
    request: (sessionId, sizeBytes) => ({ ...common, sessionId, src: someBytes(sizeBytes) }) as DataRequest,
  };
}

/** ARC4 is the legacy provider's, which not every host has. */
const hasArc4 = createCatalogue(["openssl"]).ciphers.has(w.CIPHER_ARC4);
if (!hasArc4) console.warn(`SKIPPED: sessions of ARC4: ${legacyProblem()}`);
if (ipsecMbProblem() !== undefined) console.warn(`SKIPPED: multi-buffer execution: ${ipsecMbProblem()}`);

const ALGORITHMS: readonly Workload[] = [
  ...WORKLOADS.filter(({ session }) => session.service !== "akcipher"),
  rekeyed(
    "AES-128-CCM",
    { service: "aead", algo: w.AEAD_CCM, key: someBytes(16, 3), tagLen: 16, op: w.OP_ENCRYPT },
    { iv: someBytes(12), tagLen: 16 },
  ),
  rekeyed("ARC4", { service: "cipher", algo: w.CIPHER_ARC4, key: someBytes(16, 3), op: w.OP_ENCRYPT }, {
    iv: new Uint8Array(0),
  }),
].filter(({ name }) => name !== "ARC4" || hasArc4);

/** `session` with other keys. */
function withOtherKeys(session: SessionParameters): SessionParameters {
  const fields = Object.entries(session).map(([name, value]) =>
    value instanceof Uint8Array ? [name, someBytes(value.length, 99)] : [name, value]
  );
  return Object.fromEntries(fields);
}

/** What may have become of a slot by the time that a data path comes back to it. */
const SUCCESSORS: readonly [name: string, make: (session: SessionParameters) => Parameters | undefined][] = [
  ["nothing", () => undefined],
  ["one with other keys", (session) => sessionRecord(withOtherKeys(session))],
  ["one of another kind", ({ service }) => {
    const other = ALGORITHMS.find(({ session }) => session.service !== service && session.service !== "hash")!;
    return sessionRecord(other.session);
  }],
];

function asking(workload: Workload, id: number) {
  return {
    request: encodeData(workload.request(id, SIZE_BYTES) as DataRequest, "fixed"),
    split: "fields" as const,
  };
}

/** INVSESS with nothing written, where `right` is the right answer. */
function refusal({ written }: Answer): string {
  const untouched = written.split(" ").slice(0, -1).map((field) => "ee".repeat(field.length / 2));
  return [...untouched, `0${w.STATUS_INVSESS}`].join(" ");
}

/** Has session `id` destroyed, once, when a data path comes to `point`, and its slot given to `successor`. */
function destroyAt(table: WatchedTable, point: Interruption, id: number, successor: Parameters | undefined) {
  const interruption = { isReached: false };
  table.interrupt = (at, which) => {
    if (at !== point || which !== id || interruption.isReached) return;
    interruption.isReached = true;
    table.destroy(id, 0);
    if (successor !== undefined) table.create(successor);
  };
  return interruption;
}

for (const [how, bursts] of [["sequential", "auto"], ["multi-buffer", "on"]] as const) {
  const ignore = how === "multi-buffer" && ipsecMbProblem() !== undefined;
  Deno.test(`a session that is destroyed at any moment serves its requests or none (${how})`, { ignore }, () => {
    for (const workload of ALGORITHMS) {
      const right = new Ring({ slots: 1, bursts });
      const answer = right.ask([asking(workload, right.table.create(sessionRecord(workload.session)))])[0]!;
      assert(answer.written.endsWith(` 0${w.STATUS_OK}`), `${workload.name}: ${answer.written}`);
      for (const [successor, make] of SUCCESSORS) {
        for (const isKnown of [false, true]) {
          for (const point of INTERRUPTIONS) {
            const about = `${workload.name}, ${successor}, ${isKnown ? "used before" : "new"}, ${point}`;
            const ring = new Ring({ slots: 1, bursts });
            const id = ring.table.create(sessionRecord(workload.session));
            if (isKnown) assertEquals(ring.ask([asking(workload, id)])[0], answer, about);
            const interruption = destroyAt(ring.table, point, id, make(workload.session));
            const { written } = ring.ask([asking(workload, id)])[0]!;
            assert([answer.written, refusal(answer)].includes(written), `${about}: ${written}`);
            assert(interruption.isReached || isKnown, about);
            const refused = written === refusal(answer) ? 1 : 0;
            if (interruption.isReached) {
              assertEquals(ring.ask([asking(workload, id)])[0]!.written, refusal(answer), about);
              assertEquals(ring.invalidSessions, { destroyed: refused + 1 }, about);
            }
          }
        }
      }
    }
  });

  const slotTest = `a slot that changes hands while a batch is decoded serves each session its own requests (${how})`;
  Deno.test(slotTest, { ignore }, () => {
    for (const workload of ALGORITHMS.filter(({ session }) => session.service !== "hash")) {
      const ring = new Ring({ slots: 1, bursts });
      const firstId = ring.table.create(sessionRecord(workload.session));
      const right = ring.ask([asking(workload, firstId)])[0]!;
      // By now the kind is known as one for multi-buffer batches: jobs are made as soon as a request is decoded.
      assertEquals(ring.ask([asking(workload, firstId)])[0], right);
      let secondId = 0;
      let writeTo: (i: number, offset: number, bytes: Uint8Array) => void;
      // The control path does this in another thread, at any moment; here at the second request.
      let finds = 0;
      ring.table.interrupt = (point, id) => {
        if (point !== "found" || id !== firstId || ++finds !== 2) return;
        ring.table.destroy(firstId, 0);
        secondId = ring.table.create(sessionRecord(withOtherKeys(workload.session)));
        for (const i of [2, 3]) writeTo(i, w.DATA_SESSION_ID_OFFSET, new Uint8Array(Uint32Array.of(secondId).buffer));
      };
      // The second one is laid out differently, so that it is decoded in full.
      const requests = [0, 1, 2, 3].map(() => asking(workload, firstId));
      const answers = ring.ask(
        [requests[0]!, { ...requests[1]!, split: "linux" }, requests[2]!, requests[3]!],
        (write) => void (writeTo = write),
      );
      assert(secondId !== 0);
      ring.table.interrupt = () => {};
      const secondRight = ring.ask([asking(workload, secondId)])[0]!;
      assert(secondRight.written !== right.written);
      assertEquals(answers.slice(2), [secondRight, secondRight], workload.name);
      // Both had found their session.
      assertEquals(answers.slice(0, 2), [right, right], workload.name);
    }
  });
}

/** What takes the slot of an RSA session: nothing, another RSA session, one of another kind. */
const RSA_SUCCESSORS = [undefined, rsaRecord(), sessionRecord(WORKLOADS[0]!.session)];

Deno.test("an asymmetric job whose session is destroyed has its session's key or INVSESS", () => {
  const record = rsaRecord();
  const raised = (key: AkcipherKey) => runAkcipherOn(key, w.AKCIPHER_SIGN, someBytes(128, 5), 128).bytes;
  for (const successor of RSA_SUCCESSORS) {
    for (const point of ["identified", "parameters", "keys"] as const) {
      const table = new WatchedTable(1, true);
      const keys = new PreparedKeys(table, executor);
      const id = table.create(record);
      const interruption = destroyAt(table, point, id, successor);
      const key = keys.find(0, id);
      assert(interruption.isReached);
      if (key !== w.STATUS_INVSESS) {
        const right = new WatchedTable(1, true);
        const rightKey = new PreparedKeys(right, executor).find(0, right.create(record));
        assertEquals(raised(key as AkcipherKey), raised(rightKey as AkcipherKey), point);
      }
      assertEquals(keys.find(0, id), w.STATUS_INVSESS);
    }
  }
});

Deno.test("an asymmetric request whose session is destroyed while it is decoded becomes a job or gets INVSESS", () => {
  const record = rsaRecord();
  const postedFd = createEventFd();
  for (const successor of RSA_SUCCESSORS) {
    for (const point of ["found", "identified", "parameters"] as const) {
      const memory = new JobPoolMemory(postedFd);
      const pool = new JobPool(memory.location);
      const ring = new Ring({ slots: 1, jobs: pool });
      const id = ring.table.create(record);
      const interruption = destroyAt(ring.table, point, id, successor);
      const request = encodeData(
        { service: "akcipher", sessionId: id, opcode: w.AKCIPHER_SIGN, src: someBytes(128), dstDataLen: 128 },
        "fixed",
      );
      const answer = ring.ask([{ request, split: "fields" }])[0];
      assert(interruption.isReached);
      assertEquals(answer === undefined ? pool.openCount : pool.openCount + 1, 1);
      if (answer !== undefined) assert(answer.written.endsWith(` 0${w.STATUS_INVSESS}`), answer.written);
      assertEquals(ring.invalidSessions, answer === undefined ? {} : { destroyed: 1 });
      memory.release();
    }
  }
  closeFd(postedFd);
});
