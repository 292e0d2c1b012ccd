import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { cpuUsage } from "node:process";
import { libc } from "../../ffi/libc.ts";
import { check } from "../../src/os/errno.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { ServerError } from "../../src/os/listening_socket.ts";
import { connectUnix, FdSocket, listenUnix, unixSocketPair } from "../../src/os/unix_socket.ts";
import { type ServerOptions, VhostUserServer } from "../../src/vhost_user/server.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import { FakeDevice } from "./fake_device.ts";
import { limitDescriptors } from "../os/descriptor_limit.ts";
import { concat, countFds, encode, receiveReply, type Reply, u32s, u64s } from "./harness.ts";

/** A server with its loop running, in a directory of its own. */
interface Running {
  readonly server: VhostUserServer;
  readonly device: FakeDevice;
  readonly path: string;
  readonly lines: string[];
  readonly finished: () => boolean;
}

/** Runs a server while `body` talks to it; checks that nothing stays open. */
async function withServer(
  body: (running: Running) => unknown,
  options: { once?: boolean; socketAt?: (path: string) => ServerOptions["socket"] } = {},
): Promise<void> {
  const directory = Deno.makeTempDirSync();
  const before = countFds();
  const path = `${directory}/socket`;
  const loop = new EventLoop();
  const device = new FakeDevice();
  const lines: string[] = [];
  let finished = false;
  const server = new VhostUserServer({
    loop,
    device,
    log: (level, message) => lines.push(`${level}: ${message}`),
    socket: options.socketAt?.(path) ?? { path },
    once: options.once ?? false,
    onFinished: () => finished = true,
  });
  const run = loop.run();
  try {
    await body({ server, device, path, lines, finished: () => finished });
  } finally {
    loop.stop();
    await run;
    await server.close();
    loop.close();
  }
  assertEquals(countFds(), before, "descriptors are left open");
  Deno.removeSync(directory, { recursive: true });
}

/** Lets the loop run until `condition` holds. */
async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 2000;
  while (!condition()) {
    assert(performance.now() < end, "it did not happen within 2 s");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Sends a request and waits for its reply. */
async function ask(socket: FdSocket, request: number): Promise<Reply> {
  socket.send(encode(request));
  let reply: Reply | undefined;
  await until(() => (reply = receiveReply(socket)) !== undefined);
  return reply!;
}

/** Waits a little and checks that the device has nothing to say. */
async function assertSilence(socket: FdSocket): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 30));
  assertEquals(receiveReply(socket), undefined);
}

Deno.test("a frontend is served, and another one after it", () =>
  withServer(async ({ path, device, server, lines }) => {
    for (let i = 0; i < 3; i++) {
      const socket = new FdSocket(connectUnix(path));
      assertEquals((await ask(socket, wire.GET_QUEUE_NUM)).payload, u64s(3));
      assertEquals(server.isConnected, true);
      socket.close();
      await until(() => !server.isConnected);
      assertEquals(device.takeCalls(), ["reset disconnect", "setMemory 0"]);
    }
    assertEquals(lines.slice(0, 2), [
      "info: a frontend has connected",
      "info: the frontend has disconnected after 1 messages",
    ]);
  }));

Deno.test("a second frontend waits until the first has disconnected", () =>
  withServer(async ({ path }) => {
    const first = new FdSocket(connectUnix(path));
    await ask(first, wire.GET_QUEUE_NUM);
    const second = new FdSocket(connectUnix(path));
    second.send(encode(wire.GET_QUEUE_NUM));
    await assertSilence(second);
    await ask(first, wire.GET_FEATURES);
    first.close();
    await until(() => receiveReply(second)?.request === wire.GET_QUEUE_NUM);
    second.close();
  }));

Deno.test("a frontend that breaks the protocol is disconnected, the next one is served", () =>
  withServer(async ({ path, lines }) => {
    const bad = new FdSocket(connectUnix(path));
    bad.send(new Uint8Array(12).fill(0xff));
    await until(() => bad.receive(new Uint8Array(1)).length === 0);
    bad.close();
    assertStringIncludes(
      lines.join("\n"),
      "error: the connection is closed: request 4294967295 is of protocol version 3",
    );
    const good = new FdSocket(connectUnix(path));
    await ask(good, wire.GET_QUEUE_NUM);
    good.close();
  }));

Deno.test("a frontend that reads no replies does not delay other devices, and gets all replies when it reads", () =>
  withServer(({ path }) =>
    withServer(async ({ path: otherPath, lines }) => {
      const socket = new FdSocket(connectUnix(path));
      const other = new FdSocket(connectUnix(otherPath));
      const question = encode(wire.GET_CONFIG, concat(u32s(0, 256, 0), new Uint8Array(256)));
      // Its own side may be cut anywhere: messages go out as far as there is room.
      let asked = 0;
      let rest = question;
      for (let idle = 0; idle < 20;) {
        const sent = socket.trySend(rest);
        rest = rest.subarray(sent);
        if (rest.length === 0) [asked, rest] = [asked + 1, question];
        idle = sent > 0 ? 0 : idle + 1;
        if (sent === 0) assertEquals((await ask(other, wire.GET_QUEUE_NUM)).payload, u64s(3));
      }
      assert(asked > 100, `${asked} messages fill the socket`);
      let answered = 0;
      while (answered < asked) {
        const reply = receiveReply(socket);
        if (reply === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
        else answered += Number(reply.payload.length === question.length - wire.HEADER_BYTES);
      }
      assertEquals(lines, ["info: a frontend has connected"]);
      [socket, other].forEach((end) => end.close());
    })
  ));

Deno.test("a frontend may disconnect while a reply is unsent, and the next one is served", () =>
  withServer(async ({ path, server }) => {
    const socket = new FdSocket(connectUnix(path));
    const question = encode(
      wire.GET_INFLIGHT_FD,
      concat(u64s(0, 0), new Uint8Array(Uint16Array.of(1, 64, 0, 0).buffer)),
    );
    for (let idle = 0; idle < 20;) {
      idle = socket.trySend(question) > 0 ? 0 : idle + 1;
      if (idle > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    socket.close();
    await until(() => !server.isConnected);
    const next = new FdSocket(connectUnix(path));
    assertEquals((await ask(next, wire.GET_QUEUE_NUM)).payload, u64s(3));
    next.close();
  }));

Deno.test("a handler that waits keeps the next message waiting", () =>
  withServer(async ({ path, device }) => {
    let release = (): void => {};
    device.setMemory = () => new Promise((resolve) => release = resolve);
    const socket = new FdSocket(connectUnix(path));
    socket.send(encode(wire.SET_MEM_TABLE, u64s(0)));
    socket.send(encode(wire.GET_QUEUE_NUM));
    await assertSilence(socket);
    device.setMemory = () => Promise.resolve();
    release();
    await until(() => receiveReply(socket)?.request === wire.GET_QUEUE_NUM);
    socket.close();
  }));

Deno.test("with once the server has finished after a frontend that sent a message", () =>
  withServer(async ({ path, server, finished }) => {
    const probe = connectUnix(path);
    await until(() => server.isConnected);
    closeFd(probe);
    await until(() => !server.isConnected);
    assertEquals(finished(), false);
    const socket = new FdSocket(connectUnix(path));
    await ask(socket, wire.GET_QUEUE_NUM);
    socket.close();
    await until(finished);
  }, { once: true }));

Deno.test("a socket of a dead process is replaced, one of a running process is not", async () => {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/socket`;
  const loop = new EventLoop();
  const options: ServerOptions = { loop, device: new FakeDevice(), log: () => {}, socket: { path } };
  const before = countFds();
  closeFd(listenUnix(path));
  assertEquals(Deno.lstatSync(path).isSocket, true);
  const server = new VhostUserServer(options);
  assertThrows(() => new VhostUserServer(options), ServerError, `${path} is already in use by a running process`);
  assertEquals(Deno.lstatSync(path).isSocket, true);
  await server.close();
  assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
  await server.close();
  assertEquals(countFds(), before);
  loop.close();
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("a listener whose queue is full counts as running and is not waited for", () => {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/socket`;
  const loop = new EventLoop();
  const fds = [listenUnix(path, 0), connectUnix(path)];
  assertThrows(
    () => new VhostUserServer({ loop, device: new FakeDevice(), log: () => {}, socket: { path } }),
    ServerError,
    "already in use",
  );
  fds.forEach(closeFd);
  loop.close();
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("a file that is not a socket is not removed", () => {
  const directory = Deno.makeTempDirSync();
  const loop = new EventLoop();
  const serve = (path: string): VhostUserServer =>
    new VhostUserServer({ loop, device: new FakeDevice(), log: () => {}, socket: { path } });
  const file = `${directory}/file`;
  Deno.writeTextFileSync(file, "precious");
  assertThrows(() => serve(file), ServerError, `${file} exists and is not a socket`);
  assertThrows(() => serve(directory), ServerError, "is not a socket");
  Deno.symlinkSync(file, `${directory}/link`);
  assertThrows(() => serve(`${directory}/link`), ServerError, "is not a socket");
  assertEquals(Deno.readTextFileSync(file), "precious");
  assertThrows(() => serve(`${directory}/missing/socket`), ServerError, "its directory must exist and be writable");
  assertThrows(() => serve(`${directory}/${"x".repeat(120)}`), RangeError, "choose a shorter path");
  loop.close();
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("the server removes its own socket and not its successor's", async () => {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/socket`;
  const loop = new EventLoop();
  const options: ServerOptions = { loop, device: new FakeDevice(), log: () => {}, socket: { path } };
  const first = new VhostUserServer(options);
  Deno.removeSync(path);
  const second = new VhostUserServer(options);
  await first.close();
  assertEquals(Deno.lstatSync(path).isSocket, true);
  await second.close();
  loop.close();
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("without a free descriptor a frontend waits, the loop does not spin, and it is logged once", () =>
  withServer(async ({ path, server, lines }) => {
    const restore = limitDescriptors(1);
    const fd = connectUnix(path);
    try {
      await until(() => lines.length > 0);
      const { user, system } = cpuUsage();
      await new Promise((resolve) => setTimeout(resolve, 600));
      const used = cpuUsage({ user, system });
      assert(used.user + used.system < 300_000, `${used.user + used.system} us of CPU time in 600 ms`);
      assertEquals(server.isConnected, false);
      assertEquals(lines.length, 1);
      assertStringIncludes(lines[0]!, "warn: a frontend has to wait: accept4 failed: EMFILE");
    } finally {
      restore();
    }
    await until(() => server.isConnected);
    closeFd(fd);
    await until(() => !server.isConnected);
  }));

Deno.test("a server that waits for a descriptor can be closed", () =>
  withServer(async ({ path, lines }) => {
    const restore = limitDescriptors(1);
    const fd = connectUnix(path);
    await until(() => lines.length > 0);
    closeFd(fd);
    restore();
  }));

Deno.test("the socket gets the requested mode", () =>
  withServer(({ path }) => {
    assertEquals(Deno.lstatSync(path).mode! & 0o777, 0o600);
  }, { socketAt: (path) => ({ path, mode: 0o600 }) }));

Deno.test("a connected descriptor is served, and then the server has finished", async () => {
  let ours = -1;
  let theirs = -1;
  const socketAt = (): ServerOptions["socket"] => {
    [ours, theirs] = unixSocketPair();
    return { fd: theirs };
  };
  await withServer(async ({ finished }) => {
    const socket = new FdSocket(ours);
    await ask(socket, wire.GET_QUEUE_NUM);
    assertEquals(finished(), false);
    socket.close();
    await until(finished);
  }, { socketAt });
});

Deno.test("a listening descriptor serves several frontends, and its path is not removed", () =>
  withServer(async ({ path, server, finished }) => {
    for (let i = 0; i < 2; i++) {
      const socket = new FdSocket(connectUnix(path));
      await ask(socket, wire.GET_QUEUE_NUM);
      socket.close();
      await until(() => !server.isConnected);
    }
    assertEquals(finished(), false);
    await server.close();
    assertEquals(Deno.lstatSync(path).isSocket, true);
  }, { socketAt: (path) => ({ fd: listenUnix(path) }) }));

Deno.test("a descriptor that is no socket is refused", () => {
  const loop = new EventLoop();
  assertThrows(
    () => new VhostUserServer({ loop, device: new FakeDevice(), log: () => {}, socket: { fd: 9999 } }),
    ServerError,
    "descriptor 9999 is not a socket",
  );
  loop.close();
});

const AF_INET = 2;
const [AF_UNIX, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] = [1, 1, 2, 5];

function newSocket(domain: number, type: number): number {
  return check(libc.socket(domain, type, 0), "socket");
}

function newPair(type: number): number[] {
  const pair = new Int32Array(2);
  check(libc.socketpair(AF_UNIX, type, 0, pair), "socketpair");
  return [...pair];
}

function listening(domain: number, type: number): number {
  const fd = newSocket(domain, type);
  // The family alone: the kernel chooses a name, or a port.
  const address = new Uint8Array(domain === AF_INET ? 16 : 2);
  new DataView(address.buffer).setUint16(0, domain, true);
  check(libc.bind(fd, address, address.length), "bind");
  check(libc.listen(fd, 1), "listen");
  return fd;
}

const UNSERVABLE: readonly [what: string, make: () => number[], words: string][] = [
  ["a pair of datagram sockets", () => newPair(SOCK_DGRAM), "not a unix stream socket"],
  ["a pair of seqpacket sockets", () => newPair(SOCK_SEQPACKET), "not a unix stream socket"],
  ["a datagram socket", () => [newSocket(AF_UNIX, SOCK_DGRAM)], "not a unix stream socket"],
  ["a seqpacket socket that listens", () => [listening(AF_UNIX, SOCK_SEQPACKET)], "not a unix stream socket"],
  ["a TCP socket", () => [newSocket(AF_INET, SOCK_STREAM)], "not a unix stream socket"],
  ["a TCP socket that listens", () => [listening(AF_INET, SOCK_STREAM)], "not a unix stream socket"],
  ["a UDP socket", () => [newSocket(AF_INET, SOCK_DGRAM)], "not a unix stream socket"],
  [
    "a unix stream socket of no use",
    () => [newSocket(AF_UNIX, SOCK_STREAM)],
    "a unix stream socket that neither is connected nor listens",
  ],
  ["an event descriptor", () => [createEventFd()], "not a socket"],
];

for (const [what, make, words] of UNSERVABLE) {
  Deno.test(`a descriptor is refused that is ${what}`, () => {
    const loop = new EventLoop();
    const fds = make();
    const [fd] = fds;
    assertThrows(
      () => new VhostUserServer({ loop, device: new FakeDevice(), log: () => {}, socket: { fd: fd! } }),
      ServerError,
      `descriptor ${fd} is ${words}`,
    );
    fds.forEach(closeFd);
    loop.close();
  });
}

Deno.test("a connected descriptor whose other side has closed is served to its end", () => {
  let theirs = -1;
  const socketAt = (): ServerOptions["socket"] => {
    const [ours, other] = unixSocketPair();
    closeFd(ours);
    theirs = other;
    return { fd: theirs };
  };
  return withServer(({ finished }) => until(finished), { socketAt });
});
