/**
 * Sessions and negotiated values of another process are untrusted, like a frontend's: a device continues with them or
 * refuses with a reason.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { CryptoDevice } from "../../src/device/device.ts";
import { StateMismatchError } from "../../src/device/device_state.ts";
import { makeRandom } from "../../src/driver/random.ts";
import type { DeviceState, SessionState } from "../../src/handover/state.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { CIPHER_AES_CBC } from "../../src/wire/virtio_crypto.ts";
import { randomBytes, randomState } from "./states.ts";

const KIND_CIPHER = 1;
const SLOTS = 16;

/** A session that every device serves. */
function session(id: number, changes: Partial<SessionState> = {}): SessionState {
  return {
    ...{ id, origin: 0, kind: KIND_CIPHER, algo: CIPHER_AES_CBC, hashAlgo: 0, encrypt: true, authenticated: false },
    ...{ hashFirst: false, hashResultLen: 0, tagLen: 0, aadLen: 0, keyType: 0, para0: 0, para1: 0 },
    ...{ cipherKey: randomBytes(makeRandom(id), 16), authKey: new Uint8Array(0) },
    ...changes,
  };
}

/** Runs `body` with a device that can continue for another one, whose state is given. */
async function withDevice(body: (device: CryptoDevice, state: DeviceState) => unknown): Promise<void> {
  const loop = new EventLoop();
  const device = new CryptoDevice({ dataQueues: 1, maxSessions: SLOTS }, loop);
  const state: DeviceState = { ...device.exportState(), listening: null, connection: null, ...noStatistics };
  try {
    await body(device, state);
  } finally {
    await device.close();
    loop.close();
  }
}

const noStatistics = { statistics: { connectionCount: 0, refused: {}, queues: [] } };

function withSessions(state: DeviceState, ...sessions: SessionState[]): DeviceState {
  return { ...state, sessions: { ...state.sessions, sessions } };
}

Deno.test("a device continues with sessions under their ids, and gives new ones other ids", () =>
  withDevice((device, state) => {
    const given = [session(16 * 5 + 3), session(16 * 9 + 4)];
    const generations = new Uint32Array(SLOTS).fill(7);
    generations[3] = 6;
    device.restore(withSessions({ ...state, sessions: { ...state.sessions, generations } }, ...given));
    const kept = device.exportState().sessions;
    assertEquals(kept.sessions.map(({ id, cipherKey }) => [id, cipherKey]), given.map((s) => [s.id, s.cipherKey]));
    assertEquals(kept.generations, generations);
    device.closeSession(16 * 5 + 3);
    assertEquals(device.exportState().sessions.sessions.map(({ id }) => id), [16 * 9 + 4]);
  }));

const IMPOSSIBLE: [title: string, sessions: SessionState[]][] = [
  ["an algorithm that is not served", [session(17, { algo: 63 })]],
  ["a key of another length", [session(17, { cipherKey: new Uint8Array(17) })]],
  ["a key that no slot can hold", [session(17, { cipherKey: new Uint8Array(5000) })]],
  ["an authentication key that no slot can hold", [session(17, { kind: 2, authKey: new Uint8Array(5000) })]],
  ["an unknown kind", [session(17, { kind: 7 })]],
  ["no kind", [session(17, { kind: 0 })]],
  ["an unknown origin", [session(17, { origin: 2 })]],
  ["no id", [session(0)]],
  ["an id beyond 2^31", [session(2 ** 31 + 1)]],
  ["two sessions in a slot", [session(16 + 1), session(32 + 1)]],
];

for (const [title, sessions] of IMPOSSIBLE) {
  Deno.test(`a device does not continue with ${title}`, () =>
    withDevice((device, state) => {
      assertThrows(() => device.restore(withSessions(state, ...sessions)), StateMismatchError);
    }));
}

Deno.test("a device does not continue with negotiated values that it does not offer", () =>
  withDevice((device, state) => {
    const { negotiated } = state;
    const others: Partial<DeviceState["negotiated"]>[] = [
      { queueCount: 3 },
      { queueCount: 1 },
      { acknowledged: 1n << 63n },
      { draft: "v15" },
      { asymmetric: "akcipher" },
      { config: new Uint8Array(57) },
    ];
    for (const other of others) {
      assertThrows(() => device.restore({ ...state, negotiated: { ...negotiated, ...other } }), StateMismatchError);
    }
  }));

Deno.test("random states are refused or used, and cause no failure", () =>
  withDevice(async (device, { negotiated }) => {
    for (let seed = 1; seed <= 200; seed++) {
      const [state] = randomState(makeRandom(seed)).devices;
      try {
        device.restore({ ...state!, negotiated });
      } catch (error) {
        if (!(error instanceof StateMismatchError)) throw error;
      }
      device.addStatistics(state!.statistics);
      await device.reset("reset");
    }
  }));
