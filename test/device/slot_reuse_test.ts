/**
 * Sessions destroyed and slots reused while a worker has their requests in flight: the race itself, with two threads.
 * `session_races_test.ts` tests each of its moments separately.
 */
import { assert, assertEquals } from "@std/assert";
import type { DataRequest } from "../../src/driver/requests.ts";
import type { SessionParameters } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { withDeviceProcess } from "../cli/programs.ts";

const ROUNDS = 30;
const REQUESTS = 60;
const KEY = Uint8Array.from({ length: 16 }, (_, i) => i + 1);

interface Case {
  readonly session: SessionParameters;
  request(sessionId: number): DataRequest;
}

const src = new Uint8Array(2048).fill(7);
const CASES: readonly [name: string, one: Case][] = [
  ["AES-CBC", {
    session: { service: "cipher", algo: w.CIPHER_AES_CBC, op: w.OP_ENCRYPT, key: KEY },
    request: (sessionId) => ({ service: "cipher", sessionId, op: w.OP_ENCRYPT, iv: KEY, src }),
  }],
  ["AES-CCM", {
    session: { service: "aead", algo: w.AEAD_CCM, op: w.OP_ENCRYPT, key: KEY, tagLen: 16 },
    request: (sessionId) => ({ service: "aead", sessionId, op: w.OP_ENCRYPT, iv: KEY.slice(0, 12), tagLen: 16, src }),
  }],
  ["HMAC-SHA-256", {
    session: { service: "mac", algo: w.MAC_HMAC_SHA_256, hashResultLen: 32, authKey: KEY },
    request: (sessionId) => ({ service: "mac", sessionId, hashResultLen: 32, src }),
  }],
];

/** The same session with a key of zeros, which wiping would leave. */
function zeroed(session: SessionParameters): SessionParameters {
  const fields = Object.entries(session).map(([name, value]) =>
    value instanceof Uint8Array ? [name, new Uint8Array(value.length)] : [name, value]
  );
  return Object.fromEntries(fields);
}

/** All that a request wrote, as a string to compare. */
function written(result: object): string {
  const fields = Object.entries(result).filter(([, value]) => value instanceof Uint8Array);
  return fields.map(([name, value]) => `${name} ${(value as Uint8Array).toHex()}`).join();
}

for (const maxSessions of [1, 2]) {
  for (const [name, { session, request }] of CASES) {
    Deno.test(`requests in flight of a destroyed session get its result or INVSESS (${name}, ${maxSessions} slots)`, () =>
      withDeviceProcess(["--workers=1", `--max-sessions=${maxSessions}`], async (path) => {
        const driver = await CryptoDriver.connect(path, { queueSize: 1024, timeoutMs: 60_000 });
        const right = new Map<SessionParameters, string>();
        for (const each of [session, zeroed(session)]) {
          const id = await driver.createSession(each);
          right.set(each, written(await driver.request(request(id))));
          assertEquals(await driver.destroySession(each.service, id), w.STATUS_OK);
        }
        const sessions = [...right.keys()];
        let id = await driver.createSession(sessions[0]!);
        for (let round = 0; round < ROUNDS; round++) {
          const current = sessions[round % 2]!;
          const inFlight = Array.from({ length: REQUESTS }, () => driver.request(request(id)));
          const destroyed = driver.destroySession(current.service, id);
          const created = driver.createSession(sessions[(round + 1) % 2]!);
          inFlight.push(...Array.from({ length: REQUESTS / 2 }, () => driver.request(request(id))));
          assertEquals(await destroyed, w.STATUS_OK);
          id = await created;
          for (const result of await Promise.all(inFlight)) {
            if (result.status === w.STATUS_INVSESS) continue;
            assertEquals(result.status, w.STATUS_OK, `round ${round}`);
            assert(written(result) === right.get(current), `round ${round}: the result of another key`);
          }
        }
        await driver.close();
      }));
  }
}
