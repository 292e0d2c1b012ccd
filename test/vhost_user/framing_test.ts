import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { FdSocket, unixSocketPair } from "../../src/os/unix_socket.ts";
import { encodeReply, Message, MessageReader, ProtocolError, ReplyWriter } from "../../src/vhost_user/framing.ts";
import { RequestError } from "../../src/vhost_user/messages.ts";
import { SessionTransfer } from "../../src/vhost_user/session_transfer.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import { concat, countFds, encode, Harness, receiveReply, u32s, u64s, withEventFds, withHarness } from "./harness.ts";
import { limitDescriptors } from "../os/descriptor_limit.ts";

Deno.test("libvhost-user, partial reads: a message cut at any byte is handled when the rest has come", async () => {
  await withEventFds(1, ([fd]) =>
    withHarness(async ({ socket, connection, device }) => {
      const bytes = encode(wire.SET_VRING_CALL, u64s(1), 0x9);
      for (let cut = 1; cut < bytes.length; cut++) {
        socket.send(bytes.subarray(0, cut), [fd!]);
        assertEquals(await connection.serve(), true);
        assertEquals(receiveReply(socket), undefined);
        socket.send(bytes.subarray(cut));
        assertEquals(await connection.serve(), true);
        assertEquals(receiveReply(socket)?.payload, u64s(0), `cut at ${cut}`);
      }
      assertEquals(device.takeCalls(), []);
    }));
});

Deno.test("a message that arrives byte by byte is handled", async () => {
  await withHarness(async ({ socket, connection, device }) => {
    for (const byte of encode(wire.SET_FEATURES, u64s(1n << 32n), 0x9)) {
      socket.send(Uint8Array.of(byte));
      assertEquals(await connection.serve(), true);
    }
    assertEquals(receiveReply(socket)?.payload, u64s(0));
    assertEquals(device.takeCalls(), [`setFeatures ${1n << 32n}`]);
  });
});

Deno.test("messages that arrive together are handled sequentially", async () => {
  await withHarness(async ({ socket, connection }) => {
    const one = encode(wire.GET_QUEUE_NUM);
    socket.send(concat(one, encode(wire.SET_OWNER), one));
    for (let i = 0; i < 3; i++) await connection.serve();
    assertEquals(receiveReply(socket)?.payload, u64s(3));
    assertEquals(receiveReply(socket)?.payload, u64s(3));
    assertEquals(receiveReply(socket), undefined);
  });
});

Deno.test("descriptors belong to the message with whose first byte they arrive", () =>
  withEventFds(1, ([fd]) => {
    const [a, b] = unixSocketPair();
    const socket = new FdSocket(a);
    const reader = new MessageReader(new FdSocket(b));
    // Both are in the socket before the first is read.
    socket.send(encode(wire.GET_FEATURES));
    socket.send(encode(wire.SET_VRING_KICK, u64s(0)), [fd!]);
    const fdCounts = [reader.read(), reader.read()].map((message) => {
      assert(message instanceof Message);
      const count = message.fds.length;
      message.discard();
      return count;
    });
    assertEquals(fdCounts, [0, 1]);
    reader.close();
    socket.close();
    new FdSocket(b).close();
  }));

Deno.test("libvhost-user, sizes: an invalid header ends the connection", async () => {
  const cases: [Uint8Array, string][] = [
    [u32s(wire.GET_FEATURES, 1, 0xffffffff), "announces 4294967295 bytes"],
    [u32s(wire.GET_FEATURES, 1, wire.PAYLOAD_BYTES_MAX + 1), "at most 4096 are accepted"],
    [u32s(wire.GET_FEATURES, 2, 0), "protocol version 2, not 1"],
    [u32s(wire.GET_FEATURES, 0, 0), "protocol version 0, not 1"],
    [u32s(wire.GET_FEATURES, 5, 0), "marked as a reply"],
  ];
  for (const [bytes, expected] of cases) {
    const harness = new Harness();
    harness.socket.send(bytes);
    assertEquals(await harness.connection.serve(), false);
    assertStringIncludes(harness.lines[0] ?? "", expected);
    await harness.close();
  }
});

Deno.test("the longest payload is read whole", async () => {
  await withHarness(async (harness) => {
    const line = await harness.mustNot(99, new Uint8Array(wire.PAYLOAD_BYTES_MAX));
    assertStringIncludes(line, "request 99 is refused");
  });
});

Deno.test("libvhost-user, descriptors: more than 8 are closed and the message is refused", async () => {
  for (const count of [9, 32]) {
    await withEventFds(count, (fds) =>
      withHarness(async (harness) => {
        const before = countFds();
        const line = await harness.mustNot(wire.SET_MEM_TABLE, u32s(0, 0), fds);
        assertStringIncludes(line, "the message has more than 8 descriptors");
        assertEquals(countFds(), before);
        await harness.must(wire.SET_OWNER);
      }));
  }
});

Deno.test("descriptors that this process cannot open are reported, and the connection continues", async () => {
  await withEventFds(3, (fds) =>
    withHarness(async (harness) => {
      const before = countFds();
      for (
        const [request, payload, count] of [
          [wire.SET_MEM_TABLE, u32s(0, 0), 3],
          [wire.SET_VRING_KICK, u64s(0), 1],
          [wire.SET_VRING_CALL, u64s(0), 1],
          [wire.ADD_MEM_REG, u64s(0, 0, 0x1000, 0, 0), 1],
          [wire.SET_INFLIGHT_FD, u64s(0, 0, 0), 1],
        ] as const
      ) {
        const restore = limitDescriptors(count - 1);
        try {
          const line = await harness.mustNot(request, payload, fds.slice(0, count));
          assertStringIncludes(line, "the kernel did not hand over the message's descriptors: this process may");
        } finally {
          restore();
        }
        assertEquals(countFds(), before);
        await harness.must(wire.SET_OWNER);
      }
      const restore = limitDescriptors(0);
      await harness.ask(wire.GET_INFLIGHT_FD, u64s(0, 0, 0x0100_0001));
      restore();
      assertStringIncludes(harness.lines.at(-1)!, "EMFILE (this process may open no more files: raise LimitNOFILE=");
      await harness.must(wire.SET_VRING_CALL, u64s(0), [fds[0]!]);
    }));
});

Deno.test("more than 8 descriptors spread over one message are closed", async () => {
  await withEventFds(3, (fds) =>
    withHarness(async ({ socket, connection }) => {
      const before = countFds();
      for (const byte of encode(wire.SET_MEM_TABLE, u32s(0, 0), 0x9)) {
        socket.send(Uint8Array.of(byte), fds);
        await connection.serve();
        assert(countFds() <= before + 8);
      }
      assertEquals(receiveReply(socket)?.payload, u64s(1));
      assertEquals(countFds(), before);
    }));
});

Deno.test("the end of the stream within a message closes its descriptors", async () => {
  await withEventFds(2, async (fds) => {
    const before = countFds();
    const harness = new Harness();
    harness.socket.send(encode(wire.SET_VRING_KICK, u64s(0)).subarray(0, 15), fds);
    assertEquals(await harness.connection.serve(), true);
    harness.socket.close();
    assertEquals(await harness.connection.serve(), false);
    await harness.connection.close();
    assertEquals(countFds(), before);
  });
});

Deno.test("a discarded message leaves no bytes and no descriptors", async () => {
  await withEventFds(1, ([fd]) => {
    const [a, b] = unixSocketPair();
    const [sender, receiver] = [new FdSocket(a), new FdSocket(b)];
    const reader = new MessageReader(receiver);
    sender.send(encode(wire.CREATE_CRYPTO_SESSION, new Uint8Array(100).fill(0x4b)), [fd!]);
    const before = countFds();
    const message = reader.read();
    assert(message instanceof Message);
    assertEquals([message.payload[99], countFds()], [0x4b, before + 1]);
    message.discard();
    assertEquals(message.payload, new Uint8Array(100));
    assertEquals(countFds(), before);
    sender.close();
    receiver.close();
  });
});

Deno.test("a reply is sent in parts if the socket is full, with its descriptor once", () => {
  const [a, b] = unixSocketPair();
  const [sender, receiver] = [new FdSocket(a), new FdSocket(b)];
  const writer = new ReplyWriter(sender);
  while (sender.trySend(new Uint8Array(4096)) > 0);
  const before = countFds();
  writer.send(encodeReply(wire.GET_INFLIGHT_FD, u64s(7)), createEventFd());
  writer.flush();
  assertEquals([writer.hasUnsent, countFds()], [true, before + 1]);
  const bytes = new Uint8Array(4096);
  let last: { tail: Uint8Array; fds: number } = { tail: bytes, fds: 0 };
  for (let idle = 0; idle < 2;) {
    const { length, fds } = receiver.receive(bytes);
    fds.forEach(closeFd);
    idle = length > 0 ? 0 : idle + 1;
    if (length > 0) last = { tail: bytes.slice(Math.max(0, length - 20), length), fds: last.fds + fds.length };
    writer.flush();
  }
  assertEquals(last, { tail: encodeReply(wire.GET_INFLIGHT_FD, u64s(7)), fds: 1 });
  assertEquals([writer.hasUnsent, countFds()], [false, before]);
  writer.close();
  [sender, receiver].forEach((end) => end.close());
});

Deno.test("an unsent reply leaves no descriptor open", () => {
  const [a, b] = unixSocketPair();
  const [sender, receiver] = [new FdSocket(a), new FdSocket(b)];
  const writer = new ReplyWriter(sender);
  while (sender.trySend(new Uint8Array(4096)) > 0);
  const before = countFds();
  writer.send(encodeReply(wire.GET_INFLIGHT_FD, u64s(7)), createEventFd());
  writer.close();
  assertEquals([writer.hasUnsent, countFds()], [false, before]);
  [sender, receiver].forEach((end) => end.close());
});

Deno.test("a reply has exactly the flags version 1 and reply", () => {
  assertEquals(
    encodeReply(wire.GET_FEATURES, u64s(0x1122)),
    concat(Uint8Array.of(1, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0), u64s(0x1122)),
  );
});

Deno.test("a message in part of another process is refused if it cannot be one", () => {
  const [ours, theirs] = unixSocketPair();
  const reader = new MessageReader(new FdSocket(ours));
  const restored = (bytes: Uint8Array) => reader.restore({ bytes, fds: [], lostFds: "none" });
  const message = encode(wire.SET_FEATURES, u64s(1n));
  restored(message.subarray(0, 3));
  restored(message.subarray(0, message.length - 1));
  assertThrows(() => restored(new Uint8Array(1 << 20)), ProtocolError, "cannot have 1048576 bytes");
  assertThrows(() => restored(concat(message, u64s(0n))), ProtocolError, "longer than its header says");
  for (const fd of [ours, theirs]) closeFd(fd);
});

Deno.test("CHECK_DEVICE_STATE without a transfer is an error", () =>
  withHarness(({ device }) =>
    assertRejects(() => new SessionTransfer(device).check(), RequestError, "no device state has been transferred")
  ));
