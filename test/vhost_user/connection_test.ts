import { assertEquals, assertStringIncludes } from "@std/assert";
import { MESSAGE_RULES } from "../../src/vhost_user/messages.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import { FakeDevice } from "./fake_device.ts";
import {
  asU64,
  concat,
  countFds,
  countMappings,
  Harness,
  NEED_REPLY,
  u32s,
  u64s,
  withEventFds,
  withHarness,
  withMemory,
} from "./harness.ts";

const BIT_30 = 1n << 30n;
const LOG_ALL = 1n << 26n;

Deno.test("GET_FEATURES returns the device's bits, protocol features and logging", () =>
  withHarness(async (harness) => {
    assertEquals(await harness.askU64(wire.GET_FEATURES), harness.device.features | BIT_30 | LOG_ALL);
  }));

Deno.test("SET_FEATURES passes the acknowledged bits to the device, without bits 26 and 30", () =>
  withHarness(async (harness) => {
    await harness.must(wire.SET_FEATURES, u64s(BIT_30 | (1n << 32n) | (1n << 28n)));
    await harness.must(wire.SET_FEATURES, u64s(BIT_30 | LOG_ALL));
    assertEquals(harness.device.takeCalls(), [`setFeatures ${(1n << 32n) | (1n << 28n)}`, "setFeatures 0"]);
  }));

Deno.test("SET_FEATURES with a bit that was not offered is refused and changes nothing", () =>
  withHarness(async (harness) => {
    const line = await harness.mustNot(wire.SET_FEATURES, u64s(BIT_30 | (1n << 63n)));
    assertStringIncludes(line, "feature bits 0x8000000000000000 were not offered");
    assertEquals(harness.device.takeCalls(), []);
  }));

Deno.test("features that the device cannot combine are refused with its reason", () =>
  withHarness(async (harness) => {
    harness.device.failures.set("setFeatures", new Error("bit 1 needs bit 0"));
    assertStringIncludes(await harness.mustNot(wire.SET_FEATURES, u64s(1n << 32n)), "bit 1 needs bit 0");
  }));

Deno.test("the offered protocol features are these and no others", () =>
  withHarness(async (harness) => {
    const offered = await harness.askU64(wire.GET_PROTOCOL_FEATURES);
    const bits = Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (offered >> BigInt(bit)) & 1n);
    assertEquals(bits, [0, 1, 3, 7, 9, 12, 13, 15, 16]);
  }));

Deno.test("SHMEM's two bits: protocol features that were not offered, 21 and 22 among them, are refused, the others hold", async () => {
  const harness = new Harness();
  // Bits 21 and 22 have different meanings in different programs: never acknowledged.
  const reply = await harness.ask(wire.SET_PROTOCOL_FEATURES, u64s((1n << 21n) | (1n << 22n) | (1n << 3n)));
  assertEquals(asU64(reply!.payload), 1n);
  assertStringIncludes(harness.lines[0]!, "protocol feature bits 0x600000 were not offered");
  await harness.must(wire.SET_OWNER);
  await harness.close();
});

Deno.test("nothing is acknowledged before REPLY_ACK is negotiated, or without a request for it", async () => {
  const harness = new Harness();
  assertEquals(await harness.ask(wire.SET_OWNER), undefined);
  assertEquals(await harness.ask(wire.SET_VRING_NUM, u32s(9, 9)), undefined);
  assertEquals(await harness.ask(999), undefined);
  await harness.negotiate();
  assertEquals(await harness.ask(wire.SET_OWNER, undefined, [], 1), undefined);
  assertEquals(await harness.ask(wire.SET_VRING_NUM, u32s(9, 9), [], 1), undefined);
  assertEquals(await harness.ask(999, undefined, [], 1), undefined);
  assertEquals(await harness.ask(wire.SET_OWNER, undefined, [], NEED_REPLY) !== undefined, true);
  await harness.close();
});

Deno.test("unknown requests are refused and the connection continues", () =>
  withHarness(async (harness) => {
    for (const request of [0, 19, 28, 41, 44, 99, 0xffffffff]) {
      assertStringIncludes(
        await harness.mustNot(request, u64s(1)),
        `request ${request} is refused: it is unknown`,
      );
    }
    await withEventFds(2, async (fds) => {
      const before = countFds();
      await harness.mustNot(100, u64s(1), fds);
      assertEquals(countFds(), before);
    });
  }));

Deno.test("every message of a wrong size or with surplus descriptors is refused as its rule says", () =>
  withEventFds(8, (fds) =>
    withHarness(async (harness) => {
      harness.device.takeCalls();
      for (const [request, { name, payloadMin, payloadMax, fdsMax, refusal }] of MESSAGE_RULES) {
        const cases: [number, number][] = [];
        if (payloadMin > 0) cases.push([payloadMin - 1, 0]);
        if (payloadMax < wire.PAYLOAD_BYTES_MAX) cases.push([payloadMax + 1, 0]);
        if (fdsMax < 8) cases.push([payloadMin, fdsMax + 1]);
        for (const [length, fdCount] of cases) {
          const before = countFds();
          const reply = await harness.ask(request, new Uint8Array(length), fds.slice(0, fdCount));
          const expected = refusal === "empty" ? new Uint8Array(0) : u64s(refusal === "ack" ? 1 : refusal);
          assertEquals(reply?.payload, expected, `${name} of ${length} bytes with ${fdCount} descriptors`);
          assertEquals(countFds(), before, name);
        }
      }
      assertEquals(harness.device.takeCalls(), []);
    })));

Deno.test("SET_LOG_FD is accepted, and its descriptor closed", () =>
  withEventFds(1, (fds) =>
    withHarness(async (harness) => {
      const before = countFds();
      await harness.must(wire.SET_LOG_FD, undefined, fds);
      await harness.mustNot(wire.SET_LOG_FD);
      assertEquals(countFds(), before);
    })));

Deno.test("messages of features that are not offered are refused, their descriptors closed", () =>
  withEventFds(1, (fds) =>
    withHarness(async (harness) => {
      const before = countFds();
      await harness.mustNot(wire.SET_BACKEND_REQ_FD, undefined, fds);
      await harness.mustNot(wire.SET_INFLIGHT_FD, new Uint8Array(24), fds);
      assertEquals((await harness.ask(wire.IOTLB_MSG, new Uint8Array(32)))?.payload, u64s(1));
      assertEquals((await harness.ask(wire.GET_INFLIGHT_FD, new Uint8Array(20)))?.payload.length, 0);
      assertEquals((await harness.ask(wire.SET_DEVICE_STATE_FD, u32s(0, 0), fds))?.payload, u64s(0x101));
      assertEquals((await harness.ask(wire.CHECK_DEVICE_STATE))?.payload, u64s(1));
      assertEquals(countFds(), before);
    })));

Deno.test("CVE-2020-10722: SET_LOG_BASE is refused where size and offset wrap around or leave the file, and keeps no descriptor", () =>
  withMemory(1, ([memory]) =>
    withHarness(async (harness) => {
      const held = [countFds(), countMappings()];
      const edges = [0n, 0x1000n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 0x1000n, 2n ** 64n - 1n];
      for (const size of edges) {
        for (const offset of edges) {
          if (size === 0x1000n && offset < 2n ** 53n) continue;
          await harness.mustNot(wire.SET_LOG_BASE, u64s(size, offset), [memory!]);
        }
      }
      await harness.mustNot(wire.SET_LOG_BASE, u64s(0x1000, 0));
      assertEquals([countFds(), countMappings()], held);
      await harness.must(wire.SET_LOG_BASE, u64s(0x1000, 0), [memory!]);
      assertEquals([countFds(), countMappings()], [held[0]! + 1, held[1]! + 1]);
    })));

Deno.test("requests with a reply of their own get it without REPLY_ACK", async () => {
  const harness = new Harness();
  assertEquals((await harness.ask(wire.IOTLB_MSG, new Uint8Array(32), [], 1))?.payload, u64s(1));
  assertEquals((await harness.ask(wire.GET_QUEUE_NUM, undefined, [], 1))?.payload, u64s(3));
  assertEquals((await harness.ask(wire.GET_VRING_BASE, u32s(77, 0), [], 1))?.payload.length, 0);
  await harness.close();
});

Deno.test("GET_QUEUE_NUM counts the control queue", () =>
  withHarness(async (harness) => {
    assertEquals(await harness.askU64(wire.GET_QUEUE_NUM), 5n);
  }, new FakeDevice(5)));

Deno.test("GET_MAX_MEM_SLOTS is always the same", () =>
  withHarness(async (harness) => {
    assertEquals(await harness.askU64(wire.GET_MAX_MEM_SLOTS), 64n);
    await harness.must(wire.RESET_DEVICE);
    assertEquals(await harness.askU64(wire.GET_MAX_MEM_SLOTS), 64n);
  }));

Deno.test("SET_OWNER twice and RESET_OWNER are accepted", () =>
  withHarness(async (harness) => {
    for (const request of [wire.SET_OWNER, wire.SET_OWNER, wire.RESET_OWNER]) await harness.must(request);
    assertEquals(harness.device.takeCalls(), []);
  }));

Deno.test("GET_CONFIG returns any range, with zeros behind the end", () =>
  withHarness(async (harness) => {
    const config = harness.device.readConfig();
    const read = async (offset: number, size: number, sent = size): Promise<Uint8Array> =>
      (await harness.ask(wire.GET_CONFIG, concat(u32s(offset, size, 0), new Uint8Array(sent))))!.payload;
    assertEquals(await read(0, 56), concat(u32s(0, 56, 0), config));
    assertEquals(await read(44, 4), concat(u32s(44, 4, 0), config.subarray(44, 48)));
    assertEquals(await read(0, 56, 0), concat(u32s(0, 56, 0), config));
    assertEquals(await read(0, 64), concat(u32s(0, 64, 0), config, new Uint8Array(8)));
    assertEquals(await read(0, 256), concat(u32s(0, 256, 0), config, new Uint8Array(200)));
    assertEquals(await read(0xfffffff0, 16), concat(u32s(0xfffffff0, 16, 0), new Uint8Array(16)));
    assertEquals((await read(0, 257, 256)).length, 0);
    assertEquals((await read(0, 0xffffffff, 0)).length, 0);
  }));

Deno.test("SET_CONFIG may write the present values and nothing else", () =>
  withHarness(async (harness) => {
    const config = harness.device.readConfig();
    await harness.must(wire.SET_CONFIG, concat(u32s(0, 56, 1), config));
    await harness.must(wire.SET_CONFIG, concat(u32s(4, 4, 0), config.subarray(4, 8)));
    const line = await harness.mustNot(wire.SET_CONFIG, concat(u32s(0, 4, 0), u32s(0)));
    assertStringIncludes(line, "SET_CONFIG is refused: the configuration of a crypto device is read-only");
    await harness.mustNot(wire.SET_CONFIG, concat(u32s(0, 8, 0), u32s(0)));
    await harness.mustNot(wire.SET_CONFIG, u32s(0, 300, 0));
  }));

Deno.test("the status is stored, without FEATURES_OK while the features are refused", () =>
  withHarness(async (harness) => {
    assertEquals(await harness.askU64(wire.GET_STATUS), 0n);
    await harness.must(wire.SET_STATUS, u64s(0xb));
    assertEquals(await harness.askU64(wire.GET_STATUS), 0xbn);
    await harness.mustNot(wire.SET_FEATURES, u64s(1n << 50n));
    await harness.must(wire.SET_STATUS, u64s(0xb));
    assertEquals(await harness.askU64(wire.GET_STATUS), 0x3n);
    await harness.must(wire.SET_FEATURES, u64s(BIT_30 | LOG_ALL));
    await harness.must(wire.SET_STATUS, u64s(0xb));
    assertEquals(await harness.askU64(wire.GET_STATUS), 0xbn);
    await harness.mustNot(wire.SET_STATUS, u64s(256));
    await harness.must(wire.RESET_DEVICE);
    assertEquals(await harness.askU64(wire.GET_STATUS), 0n);
    assertEquals(harness.device.takeCalls(), ["setFeatures 0", "reset reset"]);
  }));

Deno.test("the end of the connection resets the device and unmaps its memory", async () => {
  const harness = new Harness();
  harness.socket.close();
  assertEquals(await harness.connection.serve(), false);
  await harness.connection.close();
  assertEquals(harness.device.takeCalls(), ["reset disconnect", "setMemory 0"]);
});

Deno.test("a frontend that disconnects without reading its reply ends the connection without an error", async () => {
  const before = countFds();
  const harness = new Harness();
  harness.socket.send(u32s(wire.GET_FEATURES, 1, 0));
  harness.socket.close();
  assertEquals(await harness.connection.serve(), false);
  assertStringIncludes(harness.lines[0]!, "EPIPE");
  await harness.connection.close();
  assertEquals(countFds(), before);
});
