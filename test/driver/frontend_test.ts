import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeviceViolationError, DisconnectedError, DriverTimeoutError, RefusedError } from "../../src/driver/errors.ts";
import { Frontend } from "../../src/driver/frontend.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { encodeSessionMessage } from "../../src/driver/session_payload.ts";
import { frame, type FrontendOptions } from "../../src/driver/frontend_connection.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { FdSocket, unixSocketPair } from "../../src/os/unix_socket.ts";
import { FakeBackend } from "./fake_backend.ts";

async function withFrontend(
  options: FrontendOptions,
  run: (frontend: Frontend, backend: FakeBackend) => Promise<void>,
): Promise<void> {
  const backend = new FakeBackend();
  const frontend = new Frontend(backend.frontendFd, options);
  try {
    await run(frontend, backend);
  } finally {
    await frontend.close();
    await backend.close();
  }
}

const hex = (bytes: Uint8Array): string => bytes.toHex();
const REPLY_ACK = 1n << 3n;

/** A round trip, after which the backend has read all messages. */
async function sync(frontend: Frontend): Promise<void> {
  await frontend.getFeatures();
}

Deno.test("messages that carry numbers have the specified bytes", () =>
  withFrontend({}, async (frontend, backend) => {
    const fd = createEventFd();
    const region = { guestAddress: 0x1122, sizeBytes: 0x3344, hostAddress: 0x7f00_1234_5678, mmapOffset: 0x5566 };
    const regionHex = "2211000000000000" + "4433000000000000" + "78563412007f0000" + "6655000000000000";
    const cases: [number, () => Promise<unknown>, string, number][] = [
      [2, () => frontend.setFeatures(0x1_4000_0000n), "0000004001000000", 0],
      [3, () => frontend.setOwner(), "", 0],
      [4, () => frontend.resetOwner(), "", 0],
      [8, () => frontend.setVringNum(3, 256), "0300000000010000", 0],
      [
        9,
        () =>
          frontend.setVringAddr(1, {
            descAddress: 0x10,
            driverAddress: 0x20,
            deviceAddress: 0x30,
            flags: 1,
            logAddress: 0x40,
          }),
        "0100000001000000" + "1000000000000000" + "3000000000000000" + "2000000000000000" + "4000000000000000",
        0,
      ],
      [10, () => frontend.setVringBase(0, 0x80008000), "0000000000800080", 0],
      [11, () => frontend.getVringBase(1), "0100000000000000", 0],
      [13, () => frontend.setVringCall(2, fd), "0200000000000000", 1],
      [13, () => frontend.setVringCall(2, -1), "0201000000000000", 0],
      [14, () => frontend.setVringErr(2, fd), "0200000000000000", 1],
      [16, () => frontend.setProtocolFeatures(0x80n), "8000000000000000", 0],
      [18, () => frontend.setVringEnable(2, true), "0200000001000000", 0],
      [18, () => frontend.setVringEnable(2, false), "0200000000000000", 0],
      [21, () => frontend.setBackendReqFd(fd), "", 1],
      [24, () => frontend.getConfig(4, 2), "04000000" + "02000000" + "00000000" + "0000", 0],
      [25, () => frontend.setConfig(4, new Uint8Array([7, 8]), 1), "04000000" + "02000000" + "01000000" + "0708", 0],
      [27, () => frontend.closeCryptoSession(-2), "feffffffffffffff", 0],
      [7, () => frontend.setLogFd(fd), "", 1],
      [
        32,
        () => frontend.setInflightFd({ mmapSize: 4096, mmapOffset: 0, queueCount: 2, queueSize: 8 }, fd),
        "0010000000000000" + "0000000000000000" + "0200080000000000",
        1,
      ],
      [34, () => frontend.resetDevice(), "", 0],
      [38, () => frontend.remMemReg(region), "0000000000000000" + regionHex, 0],
      [39, () => frontend.setStatus(15), "0f00000000000000", 0],
    ];
    for (const [request, send, payload, fdCount] of cases) {
      await send();
      await sync(frontend);
      const heard = backend.heard.findLast((message) => message.request !== 1)!;
      assertEquals([heard.request, hex(heard.payload), heard.fdCount, heard.flags], [request, payload, fdCount, 1]);
    }
    closeFd(fd);
  }));

Deno.test("memory is sent as a table or region by region", () =>
  withFrontend({}, async (frontend, backend) => {
    const memory = new DriverMemory();
    await frontend.setMemTable(memory.regions);
    for (const region of memory.regions) await frontend.addMemReg(region);
    await sync(frontend);
    const [table, ...added] = backend.heard.filter((message) => message.request !== 1);
    assertEquals([table!.request, table!.payload.length, table!.fdCount], [5, 8 + 3 * 32, 3]);
    assertEquals(hex(table!.payload.slice(0, 8)), "0300000000000000");
    const view = new DataView(table!.payload.buffer);
    memory.regions.forEach((region, i) => {
      assertEquals(view.getBigUint64(8 + 32 * i, true), BigInt(region.guestAddress));
      assertEquals(view.getBigUint64(16 + 32 * i, true), BigInt(region.sizeBytes));
      assertEquals(view.getBigUint64(24 + 32 * i, true), BigInt(region.hostAddress));
      assertEquals(view.getBigUint64(32 + 32 * i, true), BigInt(region.mmapOffset));
      assertEquals([added[i]!.request, added[i]!.fdCount], [37, 1]);
      assertEquals(hex(added[i]!.payload.slice(8)), hex(table!.payload.slice(8 + 32 * i, 40 + 32 * i)));
    });
    memory.release();
  }));

Deno.test("NEED_REPLY is set as needReply says once REPLY_ACK is negotiated", () =>
  withFrontend({}, async (frontend, backend) => {
    await frontend.setOwner();
    await frontend.setProtocolFeatures(REPLY_ACK);
    await frontend.setOwner();
    await frontend.getQueueNum();
    frontend.needReply = "always";
    await frontend.getQueueNum();
    frontend.needReply = "never";
    await frontend.setOwner();
    await sync(frontend);
    assertEquals(backend.heard.map(({ request, flags }) => `${request}:${flags}`), [
      "3:1",
      "16:1",
      "3:9",
      "17:1",
      "17:9",
      "3:1",
      "1:1",
    ]);
  }));

Deno.test("a negative acknowledgement throws an error with its number", () =>
  withFrontend({}, async (frontend, backend) => {
    await frontend.setProtocolFeatures(REPLY_ACK);
    backend.hook = ({ request }) => (request === 8 ? { payload: new Uint8Array([5, 0, 0, 0, 0, 0, 0, 0]) } : undefined);
    const error = await assertRejects(() => frontend.setVringNum(0, 3), RefusedError, "SET_VRING_NUM");
    assertEquals(error.code, 5);
    assertEquals(await frontend.getQueueNum(), 3, "the connection stays usable");
    backend.hook = ({ request }) => (request === 24 ? { payload: new Uint8Array() } : undefined);
    await assertRejects(() => frontend.getConfig(0, 8), RefusedError, "GET_CONFIG");
  }));

Deno.test("replies are checked as QEMU checks them", () =>
  withFrontend({}, async (frontend, backend) => {
    const cases: [ReturnType<FakeBackend["hook"]>, string][] = [
      [{ flags: 0xd }, "flags 0xd"],
      [{ flags: 1 }, "flags 0x1"],
      [{ request: 2 }, "message 2"],
      [{ payload: new Uint8Array(4) }, "4 bytes instead of 8"],
      [{ payload: new Uint8Array(4097) }, "announced 4097 bytes"],
    ];
    for (const [reply, message] of cases) {
      backend.hook = () => reply;
      await assertRejects(() => frontend.getFeatures(), DeviceViolationError, message);
    }
  }));

Deno.test("a missing reply throws an error that names it", () =>
  withFrontend({ timeoutMs: 10 }, async (frontend, backend) => {
    backend.hook = () => "nothing";
    await assertRejects(
      () => frontend.getQueueNum(),
      DriverTimeoutError,
      "the reply to GET_QUEUE_NUM did not come within 10 ms",
    );
  }));

Deno.test("a closed connection throws an error before and after it is noticed", () =>
  withFrontend({}, async (frontend, backend) => {
    backend.hook = () => {
      backend.hangUp();
      return "nothing";
    };
    await assertRejects(() => frontend.getQueueNum(), DisconnectedError, "the reply to GET_QUEUE_NUM was expected");
    assert(frontend.peerClosed);
    await assertRejects(() => frontend.getQueueNum(), DisconnectedError);
  }));

Deno.test("waitForClose distinguishes a close from silence", () =>
  withFrontend({}, async (frontend, backend) => {
    assertEquals(await frontend.waitForClose(5), false);
    setTimeout(() => backend.hangUp(), 5);
    assertEquals(await frontend.waitForClose(2000), true);
  }));

Deno.test("close ends a wait in progress", async () => {
  const backend = new FakeBackend();
  backend.hook = () => "nothing";
  const frontend = new Frontend(backend.frontendFd);
  const asking = assertRejects(() => frontend.getQueueNum(), DisconnectedError);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await frontend.close();
  await asking;
  await backend.close();
});

Deno.test("a request waits for the reply to the previous one", () =>
  withFrontend({}, async (frontend, backend) => {
    backend.hook = () => "nothing";
    const answers = Promise.all([frontend.getQueueNum(), frontend.getMaxMemSlots()]);
    const pause = () => new Promise((resolve) => setTimeout(resolve, 5));
    await pause();
    assertEquals(backend.requests, [17]);
    backend.say(17, new Uint8Array([3, 0, 0, 0, 0, 0, 0, 0]));
    await pause();
    assertEquals(backend.requests, [17, 36]);
    backend.say(36, new Uint8Array([64, 0, 0, 0, 0, 0, 0, 0]));
    assertEquals(await answers, [3, 64]);
  }));

Deno.test("a reply that another caller reads first reaches the caller that waits for it", async () => {
  const [near, far] = unixSocketPair();
  const frontend = new Frontend(near, { timeoutMs: 1000 });
  const backend = new FdSocket(far);
  try {
    for (let round = 0; round < 50; round++) {
      const asking = frontend.getFeatures();
      await new Promise((resolve) => setTimeout(resolve, 1));
      backend.send(frame(1, new Uint8Array(8), 5));
      frontend.readAvailable();
      const start = performance.now();
      assertEquals(await asking, 0n);
      assert(performance.now() - start < 500, "the reply was noticed at the end of the wait, not when it arrived");
    }
  } finally {
    await frontend.close();
    backend.close();
  }
});

Deno.test("a GET_VRING_BASE reply for another ring is a violation", () =>
  withFrontend({}, async (frontend, backend) => {
    backend.hook = () => ({ payload: new Uint8Array([1, 0, 0, 0, 7, 0, 0, 0]) });
    assertEquals(await frontend.getVringBase(1), 7);
    await assertRejects(() => frontend.getVringBase(2), DeviceViolationError, "answered for ring 1");
  }));

Deno.test("raw bytes are sent unchanged, also in pieces", () =>
  withFrontend({}, async (frontend, backend) => {
    const message = [17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    for (const byte of message) {
      frontend.sendRaw(new Uint8Array([byte]));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    const reply = await frontend.receiveRaw();
    assertEquals([reply.request, reply.flags, reply.payload.length, reply.payload[0]], [17, 5, 8, 3]);
    assertEquals(backend.requests, [17]);
  }));

const CIPHER = { service: "cipher", algo: 3, key: new Uint8Array(16).fill(0x11), op: 1 } as const;
const CHAIN = {
  service: "chain",
  algChainOrder: 1,
  hashMode: 2,
  cipherAlgo: 3,
  cipherKey: new Uint8Array(32).fill(0x22),
  op: 2,
  hashAlgo: 2,
  hashResultLen: 20,
  authKey: new Uint8Array(40).fill(0x33),
  aadLen: 9,
} as const;

Deno.test("session messages have the specified bytes in the three layouts", () => {
  const numbers = (payload: Uint8Array, ...offsets: number[]) =>
    offsets.map((offset) => new DataView(payload.buffer).getUint32(offset, true));
  const first = encodeSessionMessage("qemu-2.12", CHAIN);
  assertEquals(first.length, 632);
  assertEquals(numbers(first, 0, 4, 8, 12, 16, 20, 24, 28, 32), [0, 0, 2, 3, 32, 2, 20, 40, 9]);
  assertEquals([...first.slice(36, 40)], [2, 2, 2, 1]);
  const second = encodeSessionMessage("qemu-7.1", CHAIN);
  assertEquals(second.length, 632);
  assertEquals(numbers(second, 0, 4, 8, 12, 16, 20, 24, 28), [0, 0, 3, 32, 2, 20, 40, 9]);
  assertEquals([...second.slice(32, 40)], [2, 2, 2, 1, 0, 0, 0, 0]);
  const third = encodeSessionMessage("qemu-8.1", CHAIN);
  assertEquals(third.length, 1072);
  assertEquals(numbers(third, 0, 4, 8, 12, 16, 20, 24, 28), [2, 0, 3, 32, 2, 20, 40, 9]);
  assertEquals([...third.slice(32, 36)], [2, 2, 2, 1]);
  for (const payload of [first, second, third]) {
    assertEquals([...payload.slice(56, 120)], [...CHAIN.cipherKey, ...new Uint8Array(32)]);
    assertEquals([...payload.slice(120, 160)], [...CHAIN.authKey]);
    assertEquals(payload.slice(160).every((byte) => byte === 0), true);
  }
  const cipher = encodeSessionMessage("qemu-8.1", CIPHER);
  assertEquals(numbers(cipher, 0, 8, 12, 16, 20, 24, 28), [2, 3, 16, 0, 0, 0, 0]);
  assertEquals([...cipher.slice(32, 36)], [1, 1, 0, 0]);
  const rsa = encodeSessionMessage("qemu-8.1", {
    service: "akcipher",
    algo: 1,
    keyType: 2,
    key: new Uint8Array(5).fill(7),
    para0: 1,
    para1: 6,
  });
  assertEquals(numbers(rsa, 0, 4, 8, 12, 16, 20, 32, 36), [0x404, 0, 1, 2, 5, 0, 1, 6]);
  assertEquals([...rsa.slice(40, 46)], [7, 7, 7, 7, 7, 0]);
});

Deno.test("sessions are created and destroyed by message", () =>
  withFrontend({}, async (frontend) => {
    assertEquals(await frontend.createCryptoSession("qemu-2.12", CIPHER), 1n);
    assertEquals(await frontend.createCryptoSession("qemu-7.1", CIPHER), 2n);
    assertEquals(await frontend.createCryptoSession("qemu-8.1", CIPHER), 3n);
    await frontend.closeCryptoSession(1n);
  }));
