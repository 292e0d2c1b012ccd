import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { closeFd } from "../../src/os/event_fd.ts";
import { ServerError } from "../../src/os/listening_socket.ts";
import { fetchSnapshot, StatisticsError } from "../../src/statistics/client.ts";
import { StatisticsServer } from "../../src/statistics/server.ts";
import type { Snapshot } from "../../src/statistics/snapshot.ts";
import { exists, until, withDirectory } from "../cli/programs.ts";
import { libc } from "../../ffi/libc.ts";
import { readExposition } from "./exposition.ts";
import { deviceOf, snapshotOf } from "./snapshots.ts";
import { connectPatiently, SHUT_WR, talk, Talker } from "./talker.ts";

const SNAPSHOT = snapshotOf([deviceOf("/run/a", 100)]);

/** Runs `body` with a server. */
async function withServer(
  body: (path: string, reads: () => number) => Promise<void>,
  read: () => Snapshot = () => SNAPSHOT,
): Promise<void> {
  await withDirectory(async (directory) => {
    const path = `${directory}/stats.sock`;
    let reads = 0;
    const server = new StatisticsServer({ path }, () => {
      reads++;
      return read();
    });
    try {
      await body(path, () => reads);
    } finally {
      await server.close();
    }
    assert(!exists(path), "the socket is removed");
  });
}

function bodyOf(answer: string): string {
  return answer.slice(answer.indexOf("\r\n\r\n") + 4);
}

Deno.test("GET returns an exposition with its length, for HTTP/1.0, HTTP/1.1 and bare line feeds", async () => {
  await withServer(async (path) => {
    for (
      const request of [
        "GET /metrics HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
        "GET /metrics?x=1 HTTP/1.1\nHost: x\n\n",
      ]
    ) {
      const answer = await talk(path, request);
      assertStringIncludes(answer, "HTTP/1.0 200 OK\r\n");
      assertStringIncludes(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
      assertStringIncludes(answer, `Content-Length: ${bodyOf(answer).length}\r\n`);
      assert(readExposition(bodyOf(answer)).size > 15);
    }
    const head = await talk(path, "HEAD /metrics HTTP/1.0\r\n\r\n");
    assertStringIncludes(head, "HTTP/1.0 200 OK\r\n");
    assertEquals(bodyOf(head), "");
  });
});

Deno.test("GET /json returns the snapshot, and the client reads it", async () => {
  await withServer(async (path) => {
    const answer = await talk(path, "GET /json HTTP/1.0\r\n\r\n");
    assertStringIncludes(answer, "Content-Type: application/json\r\n");
    assertEquals(JSON.parse(bodyOf(answer)), SNAPSHOT);
    assertEquals(await fetchSnapshot(path), SNAPSHOT);
  });
});

Deno.test("requests in pieces, ended by a half-closed connection, and invalid requests are answered", async () => {
  await withServer(async (path) => {
    const slow = await Talker.connect(path);
    for (const piece of ["GE", "T /metr", "ics HTTP/1.0\r", "\n", "\r\n"]) {
      slow.say(piece);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assertStringIncludes(await slow.all(), "HTTP/1.0 200 OK");
    for (
      const [request, status] of [
        ["GET /metrics HTTP/1.0\r\n", "200 OK"],
        ["GET /keys HTTP/1.0\r\n\r\n", "404 Not Found"],
        ["GET /../../etc/passwd HTTP/1.0\r\n\r\n", "404 Not Found"],
        ["POST /metrics HTTP/1.0\r\n\r\n", "405 Method Not Allowed"],
        ["\x16\x03\x01\0\xff\n\n", "400 Bad Request"],
        ["GET /metrics\r\n\r\n", "400 Bad Request"],
      ] as const
    ) {
      assertStringIncludes(await talk(path, request), `HTTP/1.0 ${status}\r\n`, request);
    }
  });
});

Deno.test("a client that sends nothing gets the bare exposition, at once if it half-closes", async () => {
  await withServer(async (path) => {
    assert(readExposition(await talk(path, "")).size > 15);
    const silent = await Talker.connect(path);
    assert(readExposition(await silent.all()).size > 15);
  });
});

Deno.test("a huge request is refused without using memory", async () => {
  await withServer(async (path) => {
    const talker = await Talker.connect(path);
    talker.say("GET /" + "x".repeat(100_000));
    assertStringIncludes(await talker.all(), "431 Request Header Fields Too Large");
  });
});

/** Number of devices in the snapshot of `path`, read without blocking the server in this thread. */
async function deviceCount(path: string): Promise<number> {
  return JSON.parse(bodyOf(await talk(path, "GET /json HTTP/1.0\r\n\r\n"))).devices.length;
}

Deno.test("many idle clients do not keep others from being served, and are closed after their time", async () => {
  // More bytes than a socket's buffers hold, so that a reader can be slow.
  const many = Array.from({ length: 60 }, (_, i) => deviceOf(`/run/${i}`, i + 1));
  await withServer(async (path) => {
    let holding: Talker[] = [];
    const dropClosed = () => {
      holding = holding.filter((talker) => {
        if (!talker.isClosed()) return true;
        talker.close();
        return false;
      });
    };
    for (let i = 0; i < 1000; i++) {
      holding.push(await Talker.connect(path));
      if (i % 3 === 1) holding.at(-1)!.say("GET /metrics HT");
      if (i % 3 === 2) holding.at(-1)!.say("GET /metrics HTTP/1.0\r\n\r\n");
      if (i % 20 === 0) dropClosed();
      if (i % 100 === 99) assertEquals(await deviceCount(path), 60);
    }
    await until(() => {
      dropClosed();
      return holding.length === 0;
    }, () => `the end of ${holding.length} clients`);
    assertEquals(await deviceCount(path), 60);
  }, () => snapshotOf(many));
});

Deno.test("the oldest idle clients are closed for new ones", async () => {
  await withServer(async (path) => {
    const holding: Talker[] = [];
    for (let i = 0; i < 20; i++) {
      holding.push(await Talker.connect(path));
      holding.at(-1)!.say("GET /");
    }
    await until(() => holding.slice(0, 12).every((talker) => talker.isClosed()), () => "the end of the oldest");
    assertEquals(holding.slice(12).filter((talker) => talker.isClosed()), []);
    for (const talker of holding) talker.close();
  });
});

Deno.test("a slow reader gets the whole exposition", async () => {
  const many = Array.from({ length: 200 }, (_, i) => deviceOf(`/run/${i}`, i + 1));
  await withServer(async (path, reads) => {
    const talker = await Talker.connect(path);
    talker.say("GET /metrics HTTP/1.0\r\n\r\n");
    // The answer is longer than what the socket holds, so the server has to wait for the reader from here on.
    await until(() => reads() > 0, () => "an answer");
    const answer = await talker.all();
    assert(answer.length > 400_000, `${answer.length}`);
    assertStringIncludes(answer, `Content-Length: ${bodyOf(answer).length}\r\n`);
    readExposition(bodyOf(answer));
  }, () => snapshotOf(many));
});

Deno.test("at most ten snapshots per second are taken for any number of clients", async () => {
  await withServer(async (path, reads) => {
    const start = performance.now();
    for (let i = 0; i < 50; i++) await talk(path, "GET / HTTP/1.0\r\n\r\n");
    assert(reads() <= 1 + (performance.now() - start) / 100, `${reads()}`);
  });
});

Deno.test("the server continues after clients that disconnect at any moment", async () => {
  await withServer(async (path) => {
    for (let i = 0; i < 200; i++) {
      const fd = await connectPatiently(path);
      if (i % 2 === 0) {
        const talker = new Talker(fd);
        talker.say("GET / HTTP/1.0\r\n\r\n");
        if (i % 4 === 0) libc.shutdown(fd, SHUT_WR);
      }
      if (i % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      closeFd(fd);
    }
    assertEquals(await deviceCount(path), 1);
  });
});

Deno.test("the path has its permissions, is refused if in use, and is replaced if left behind", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/stats.sock`;
    const server = new StatisticsServer({ path, mode: 0o600, group: Deno.gid()! }, () => SNAPSHOT);
    assertEquals(Deno.lstatSync(path).mode! & 0o777, 0o600);
    assertThrows(() => new StatisticsServer({ path }, () => SNAPSHOT), ServerError, "is already in use");
    await server.close();
    assert(!exists(path));
    await assertRejects(() => fetchSnapshot(path), StatisticsError, "there is no statistics socket");
    const other = new StatisticsServer({ path }, () => SNAPSHOT);
    Deno.renameSync(path, `${path}.moved`);
    Deno.writeTextFileSync(path, "another file");
    await other.close();
    assert(exists(path), "a file of another process is kept");
  });
});
