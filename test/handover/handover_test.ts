/**
 * Devices that are handed over while a guest uses them. `scripts/handovers` repeats that any number of times.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { makeRandom } from "../../src/driver/random.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { exists, PROGRAM, ROOT, Running, until, withDirectory } from "../cli/programs.ts";
import {
  aeadSample,
  assertAnswer,
  assertStatus,
  chainSample,
  cipherSample,
  FEATURES,
  macSample,
} from "../conformance/support.ts";
import { found } from "../lifecycle/memory_search.ts";
import { Connection } from "../soak/connection.ts";
import { emptyTally } from "../soak/tally.ts";
import { measure } from "./measure.ts";
import { Succession } from "./succession.ts";

/** Maximum pause of a ring: an idle machine is far below, a busy one may be near it. */
const PAUSE_MS_MAX = 2000;

for (const [packed, workers, kill] of [[false, 0, "none"], [true, 2, "none"]] as const) {
  const format = packed ? "packed" : "split";
  Deno.test(`handovers under full load: no request is lost, repeated or answered wrongly (${format}, ${workers} workers)`, async () => {
    const queues = Math.max(1, workers);
    const options = { count: 2, workers, packed, queues, depth: 32, kill, seed: 1 };
    const { handovers, pausesMs, sessions, memoryChanges } = await measure(options);
    assertEquals(handovers, 2);
    assert(pausesMs.at(-1)! < PAUSE_MS_MAX, `a ring was silent for ${pausesMs.at(-1)} ms`);
    assertGreater(sessions, 0);
    assertGreater(memoryChanges, 0);
  });
}

Deno.test("a handover whose new process is killed at a random point: the old one serves the guest", async () => {
  const { continuedByOld, handovers } = await measure({
    ...{ count: 2, workers: 0, packed: false, queues: 1, depth: 32, kill: "new", seed: Date.now() },
  });
  assert(continuedByOld + handovers <= 2);
});

Deno.test("a handover whose old process is killed after it has sent its state: the new one serves the guest", async () => {
  const { continuedByNew } = await measure({
    ...{ count: 1, workers: 1, packed: true, queues: 1, depth: 32, kill: "old", seed: Date.now() },
  });
  assertEquals(continuedByNew, 1);
});

Deno.test("a handover during requests of every service, mode and layout, and changes of memory, rings and dirty logs", () =>
  Succession.with({ args: ["--queues=2", "--workers=1"] }, async (succession) => {
    const tally = emptyTally();
    const durationMs = 60_000;
    const options = { packed: true, queues: 2, random: makeRandom(Date.now()), durationMs, timeoutMs: 30_000 };
    const connection = await Connection.open(succession.path, options, tally);
    let failure: Error | undefined;
    const running = connection.run().catch((error) => failure = error);
    await succession.next();
    const goal = tally.checked + 1000;
    await until(() => tally.checked > goal || failure !== undefined, () => `${tally.checked} answers`);
    connection.end();
    await running;
    if (failure !== undefined) throw failure;
  }));

Deno.test("sessions, counters and sockets are handed over, and the last process removes the sockets", () =>
  withDirectory(async (directory) => {
    const args = [`--handover-socket=${directory}/h`, `--stats-socket=${directory}/s`, "--queues=2"];
    const old = new Running(PROGRAM, [`--socket-path=${directory}/d`, "--socket-count=2", ...args]);
    await old.said("serving");
    const driver = await CryptoDriver.connect(`${directory}/d1`, { dataQueueCount: 2, features: FEATURES.mux });
    const samples = [cipherSample(), macSample(), aeadSample(), chainSample()];
    const ids: number[] = [];
    for (const { session } of samples) ids.push(await driver.createSession(session));
    const destroyed = await driver.createSession(samples[0]!.session);
    await driver.destroySession("cipher", destroyed);
    const inodes = ["d0", "d1", "h", "s"].map((name) => Deno.lstatSync(`${directory}/${name}`).ino);
    const successor = new Running(PROGRAM, [`--take-over=${directory}/h`, ...args]);
    const { code, stderr } = await old.ended();
    assertEquals(code, 0, stderr);
    // The sessions continue in the other process.
    assert(!stderr.includes("destroyed"), stderr);
    assertEquals(["d0", "d1", "h", "s"].map((name) => Deno.lstatSync(`${directory}/${name}`).ino), inodes);
    for (const [i, sample] of samples.entries()) {
      assertAnswer(await driver.request({ ...sample.request, sessionId: ids[i]! } as never), sample);
    }
    // An unused id stays unknown, and a new session gets another one.
    assert(!ids.includes(await driver.createSession(samples[0]!.session)));
    await driver.destroySession("cipher", ids[0]!);
    // The new process knows which sessions this slot has had: this one, the new one, and none before or after them.
    const slots = 2 ** 12;
    for (const id of [destroyed, destroyed - slots, destroyed + 2 * slots]) {
      assertStatus(await driver.request({ ...samples[0]!.request, sessionId: id } as never), w.STATUS_INVSESS);
    }
    const stats = await new Deno.Command(PROGRAM, { args: ["stats", `--stats-socket=${directory}/s`, "--json"] })
      .output();
    const { devices } = JSON.parse(new TextDecoder().decode(stats.stdout));
    assertEquals(devices[1].sessions, { ...devices[1].sessions, count: 4, created: 6, destroyed: 2 });
    assertEquals(devices[1].sessions.destroyedBy.driver, 2);
    assertEquals(devices[1].queues[0].invalidSessions, { unknown: 2, destroyed: 1 });
    assertEquals(devices[1].connections, 1);
    await driver.close();
    // The other device had no frontend: it gets one now.
    await (await CryptoDriver.connect(`${directory}/d0`)).close();
    successor.kill("SIGTERM");
    assertEquals((await successor.ended()).code, 0);
    assertEquals([...Deno.readDirSync(directory)], []);
  }));

const REFUSALS: [title: string, args: string[], reason: string][] = [
  ["fewer queues", ["--queues=1"], "--queues=2"],
  ["a feature that was negotiated is missing", ["--queues=2", "--mux=off"], "feature bits"],
  ["another form of the asymmetric service", ["--queues=2", "--asymmetric=off"], "--asymmetric=akcipher"],
  ["ids of sessions have other slots", ["--queues=2", "--max-sessions=16"], "--max-sessions=4096"],
  ["another socket", ["--queues=2", "--socket-path=/nowhere/device.sock"], "--socket-path"],
];

Deno.test("a process whose options contradict what was negotiated is refused, and the old one continues", () =>
  Succession.with({ args: ["--queues=2"] }, async (succession) => {
    const driver = await CryptoDriver.connect(succession.path, { dataQueueCount: 2, features: FEATURES.mux });
    const sample = cipherSample();
    const sessionId = await driver.createSession(sample.session);
    for (const [title, args, reason] of REFUSALS) {
      const { code, stderr } = await succession.begin(args).ended();
      assertEquals(code, 1, `${title}: ${stderr}`);
      assertStringIncludes(stderr, reason, title);
      await until(() => succession.device.stderr.includes(reason), () => succession.device.stderr);
      assertAnswer(await driver.request({ ...sample.request, sessionId }, { queue: 1 }), sample);
      await driver.destroySession("cipher", await driver.createSession(sample.session));
    }
    await driver.close();
  }));

Deno.test("keys are not in the memory of the old process after a handover, nor in its log", () =>
  withDirectory(async (directory) => {
    const args = ["--sandbox=off", "--workers=1", `--handover-socket=${directory}/h`];
    const script = ["run", "-A", "--no-check", `${ROOT}test/handover/lingering_device.ts`];
    const old = new Running(`${ROOT}scripts/deno`, [...script, `--socket-path=${directory}/d`, ...args]);
    await old.said("serving");
    const driver = await CryptoDriver.connect(`${directory}/d`, { features: FEATURES.mux });
    const key = crypto.getRandomValues(new Uint8Array(32));
    const session = { service: "cipher", algo: w.CIPHER_AES_CBC, key, op: w.OP_ENCRYPT } as const;
    const sessionId = await driver.createSession(session);
    const request = { service: "cipher", op: w.OP_ENCRYPT, sessionId, iv: new Uint8Array(16), src: new Uint8Array(64) };
    assertStatus(await driver.request(request as never), w.STATUS_OK, "before");
    assertEquals(found(old.pid, [key]), [0], "the search does not find what is there");
    const successor = new Running(PROGRAM, [`--take-over=${directory}/h`, ...args]);
    await until(() => old.stdout.includes("ended with 0"), () => `the old process: ${old.stderr} ${successor.stderr}`);
    assertEquals(found(old.pid, [key]), []);
    assertEquals(`${old.stderr}${successor.stderr}`.includes(key.toHex()), false);
    assertStatus(await driver.request(request as never), w.STATUS_OK, "after");
    old.kill("SIGKILL");
    await old.ended();
    assertEquals(found(successor.pid, [key]), [0]);
    await driver.close();
    successor.kill("SIGTERM");
    await successor.ended();
    assert(!exists(`${directory}/d`));
  }));
