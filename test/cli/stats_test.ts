import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Snapshot } from "../../src/statistics/snapshot.ts";
import { readExposition, valueOf } from "../statistics/exposition.ts";
import { talk } from "../statistics/talker.ts";
import { use } from "./driving.ts";
import { exists, PROGRAM, run, Running, until, withDirectory } from "./programs.ts";

function bodyOf(answer: string): string {
  return answer.slice(answer.indexOf("\r\n\r\n") + 4);
}

/** The exposition of the statistics socket at `path`. */
async function scrape(path: string): Promise<ReturnType<typeof readExposition>> {
  return readExposition(bodyOf(await talk(path, "GET /metrics HTTP/1.0\r\n\r\n")));
}

const ONE_HASH = { queue: "0", service: "hash", algorithm: "SHA1", status: "ok" };

for (const workers of [0, 2]) {
  Deno.test(`--stats-socket, SIGUSR2 and the command stats, in the sandbox, ${workers} workers`, async () => {
    await withDirectory(async (directory) => {
      // The socket is in a separate directory: the sandbox must permit the removal of both sockets.
      await Deno.mkdir(`${directory}/stats`);
      const [path, stats] = [`${directory}/device.sock`, `${directory}/stats/stats.sock`];
      const args = [`--socket-path=${path}`, `--stats-socket=${stats}`, `--workers=${workers}`, "--queues=2"];
      const device = new Running(PROGRAM, [...args, "--socket-mode=600"]);
      try {
        await device.said("serving");
        assertEquals([path, stats].map((socket) => Deno.lstatSync(socket).mode! & 0o777), [0o600, 0o600]);
        assertEquals(valueOf(await scrape(stats), "vhost_user_crypto_requests_total", ONE_HASH), undefined);
        for (let i = 0; i < 3; i++) await use(path);
        await device.said("the frontend has disconnected");
        await until(() => (device.stderr.match(/disconnected/g) ?? []).length === 3, () => "three disconnections");

        // Longer than a snapshot's lifetime.
        let metrics = await scrape(stats);
        const isWhole = async () => {
          metrics = await scrape(stats);
          return valueOf(metrics, "vhost_user_crypto_requests_total", ONE_HASH) === 3 &&
            valueOf(metrics, "vhost_user_crypto_frontend_connected", {}) === 0;
        };
        for (const deadline = performance.now() + 20_000; !await isWhole() && performance.now() < deadline;) {
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        const value = (name: string, labels = {}) => valueOf(metrics, `vhost_user_crypto_${name}`, labels);
        assertEquals(value("requests_total", ONE_HASH), 3);
        assertEquals([value("frontend_connections_total"), value("frontend_connected")], [3, 0]);
        assertEquals([value("sessions_created_total"), value("sessions_destroyed_total", { cause: "disconnect" })], [
          3,
          3,
        ]);
        assert(readExposition(await talk(stats, "")).size === metrics.size);

        device.kill("SIGUSR2");
        await device.said("rates of the last");
        await until(() => /hash +SHA1 +3 /.test(device.stderr), () => `a page: ${device.stderr}`);
        assertStringIncludes(device.stderr, `${path}: no frontend, 3 so far`);

        const page = await run(PROGRAM, ["stats", `--stats-socket=${stats}`]);
        assertEquals([page.code, page.stderr], [0, ""]);
        assertMatch(page.stdout, /hash +SHA1 +3 /);
        const json = await run(PROGRAM, ["stats", `--stats-socket=${stats}`, "--json"]);
        const snapshot: Snapshot = JSON.parse(json.stdout);
        assertEquals(snapshot.devices[0]!.queues[0]!.requests[0]!.statuses, { ok: 3 });
        assertMatch(snapshot.libraries[0]!, /^OpenSSL 3/);
      } finally {
        device.kill("SIGTERM");
      }
      const { code, stderr } = await device.ended();
      assertEquals(code, 0, stderr);
      assert(!exists(path) && !exists(stats));
    });
  });
}

Deno.test("several devices have one statistics socket with a label for each", async () => {
  await withDirectory(async (directory) => {
    const [path, stats] = [`${directory}/c.sock`, `${directory}/stats.sock`];
    const program = new Running(PROGRAM, [`--socket-path=${path}`, "--socket-count=2", `--stats-socket=${stats}`]);
    try {
      await program.said("serving");
      await use(`${path}1`);
      const metrics = await scrape(stats);
      const requests = (device: string) =>
        valueOf(metrics, "vhost_user_crypto_requests_total", { ...ONE_HASH, device: `${path}${device}` });
      assertEquals([requests("0"), requests("1")], [undefined, 1]);
    } finally {
      program.kill("SIGTERM");
    }
    assertEquals((await program.ended()).code, 0);
    assert(!exists(stats));
  });
});

Deno.test("stats --watch continues until the device has ended", async () => {
  await withDirectory(async (directory) => {
    const [path, stats] = [`${directory}/device.sock`, `${directory}/stats.sock`];
    const device = new Running(PROGRAM, [`--socket-path=${path}`, `--stats-socket=${stats}`]);
    await device.said("serving");
    const watcher = new Running(PROGRAM, ["stats", `--stats-socket=${stats}`, "--watch"]);
    await until(() => (watcher.stdout.match(/rates of the last/g) ?? []).length >= 2, () => "two pages");
    device.kill("SIGTERM");
    assertEquals((await device.ended()).code, 0);
    const { code, stderr, stdout } = await watcher.ended();
    assertEquals(code, 1);
    assertStringIncludes(stderr, `there is no statistics socket at ${stats}`);
    assert(!stdout.includes("\x1b"), "no control sequences without a terminal");
  });
});

Deno.test("a statistics socket that cannot be made: exit code 1, and the device's socket is removed", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    await Deno.writeTextFile(`${directory}/precious`, "precious");
    for (const stats of [`${directory}/precious`, `${directory}/missing/stats.sock`, path]) {
      const { code, stderr } = await run(PROGRAM, [`--socket-path=${path}`, `--stats-socket=${stats}`]);
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, `error: `);
      assertStringIncludes(stderr, stats);
      assert(!exists(path));
    }
    assertEquals(await Deno.readTextFile(`${directory}/precious`), "precious");
  });
});

Deno.test("wrong command lines of stats are refused", async () => {
  for (const args of [[], ["--stats-socket="], ["--stats-socket=x", "--nonsense"], ["--stats-socket=x", "more"]]) {
    const { code, stderr } = await run(PROGRAM, ["stats", ...args]);
    assertEquals(code, 2, stderr);
  }
  const help = await run(PROGRAM, ["stats", "--help"]);
  assertEquals(help.code, 0);
  assertStringIncludes(help.stdout, "--watch");
});
