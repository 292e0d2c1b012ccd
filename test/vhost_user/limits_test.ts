/**
 * Limits of the socket: messages, descriptors, configuration, inflight regions and connections, each one below, at and
 * above it.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { closeFd } from "../../src/os/event_fd.ts";
import { createMemfd } from "../../src/os/memory_map.ts";
import { connectUnix, FdSocket } from "../../src/os/unix_socket.ts";
import { CONFIG_BYTES_MAX, FDS_MAX, PAYLOAD_BYTES_MAX } from "../../src/wire/vhost_user.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import { inflightBytes } from "../../src/virtqueue/inflight_state.ts";
import { QUEUE_SIZE_MAX } from "../../src/wire/vring.ts";
import { ask as askDevice, assertAnswer, cipherSample } from "../conformance/support.ts";
import { withDevice } from "../device/harness.ts";
import {
  asU64,
  concat,
  countFds,
  encode,
  Harness,
  memTable,
  receiveReply,
  region,
  u32s,
  u64s,
  withEventFds,
  withHarness,
  withMemory,
} from "./harness.ts";

const AROUND = [-1, 0, 1];
const SIZE = 0x10000;

Deno.test("bytes of a message: 4095 and 4096 behind the header are read, 4097 end the connection", async () => {
  for (const beyond of AROUND) {
    const harness = await new Harness().negotiate();
    harness.socket.send(encode(wire.CREATE_CRYPTO_SESSION, new Uint8Array(PAYLOAD_BYTES_MAX + beyond)));
    assertEquals(await harness.connection.serve(), beyond <= 0);
    assertEquals(receiveReply(harness.socket)?.payload.length, beyond <= 0 ? 0 : undefined);
    if (beyond <= 0) await harness.must(wire.SET_OWNER);
    else assertStringIncludes(harness.lines.at(-1)!, "announces 4097 bytes: at most 4096 are accepted");
    await harness.close();
  }
});

Deno.test("descriptors of a message: 7 and 8 are accepted, 9 are closed and refused", () =>
  withMemory(1, ([memory]) =>
    withHarness(async (harness) => {
      for (const beyond of AROUND) {
        const count = FDS_MAX + beyond;
        // A descriptor of each region is kept.
        const before = countFds() - (harness.device.memory?.regions.length ?? 0);
        const regions = Array.from({ length: count }, (_, i) => region(i * SIZE, SIZE, i * SIZE));
        const fds = new Array(count).fill(memory!);
        if (beyond <= 0) {
          await harness.must(wire.SET_MEM_TABLE, memTable(...regions), fds);
          assertEquals(harness.device.memory?.regions.length, count);
        } else {
          await harness.mustNot(wire.SET_MEM_TABLE, memTable(...regions), fds);
          assertEquals(harness.device.memory?.regions.length, FDS_MAX);
          await harness.mustNot(wire.SET_MEM_TABLE, memTable(...regions.slice(1)), fds);
        }
        assertEquals(countFds(), before + harness.device.memory!.regions.length);
      }
    })));

Deno.test("bytes of configuration: 255 and 256 are returned and compared, 257 are refused, from any offset", () =>
  withHarness(async (harness) => {
    const config = harness.device.readConfig();
    for (const beyond of AROUND) {
      for (const offset of [0, 1, 55, 56, 57, 255, 256, 0x7fff_ffff, 0xffff_ffff]) {
        const size = CONFIG_BYTES_MAX + beyond;
        const request = concat(u32s(offset, size, 0), new Uint8Array(Math.min(size, CONFIG_BYTES_MAX)));
        const reply = await harness.ask(wire.GET_CONFIG, request);
        if (beyond > 0) {
          assertEquals(reply!.payload.length, 0, "an empty reply is the refusal");
          await harness.mustNot(wire.SET_CONFIG, request);
          continue;
        }
        const right = new Uint8Array(size);
        right.set(config.subarray(offset, offset + size));
        assertEquals(reply!.payload, concat(u32s(offset, size, 0), right));
        await harness.must(wire.SET_CONFIG, concat(u32s(offset, size, 0), right));
        right[size - 1]! ^= 1;
        await harness.mustNot(wire.SET_CONFIG, concat(u32s(offset, size, 0), right));
      }
    }
  }));

function inflight(mmapSize: number, mmapOffset: number, queueCount: number, queueSize: number): Uint8Array {
  return concat(u64s(mmapSize, mmapOffset), u32s(queueCount | queueSize << 16, 0));
}

Deno.test("inflight regions: a byte too few, in the message or the file, is refused; as many, and one more, are accepted", () =>
  withHarness(async (harness) => {
    const needed = 3 * inflightBytes(256);
    const file = createMemfd("inflight", needed + 4096 + 1);
    const exact = createMemfd("inflight", needed);
    for (const beyond of AROUND) {
      const ask = beyond < 0 ? "mustNot" : "must";
      await harness[ask](wire.SET_INFLIGHT_FD, inflight(needed + beyond, 0, 3, 256), [file]);
      await harness[ask](wire.SET_INFLIGHT_FD, inflight(needed + beyond, 0, 3, 256), [exact]);
      const cut = createMemfd("inflight", needed + beyond);
      await harness[ask](wire.SET_INFLIGHT_FD, inflight(1 << 20, 0, 3, 256), [cut]);
      closeFd(cut);
    }
    for (const [offset, isGranted] of [[4096, true], [4095, false], [1, false], [8192, false]] as const) {
      await harness[isGranted ? "must" : "mustNot"](wire.SET_INFLIGHT_FD, inflight(needed, offset, 3, 256), [file]);
    }
    [file, exact].forEach(closeFd);
  }));

Deno.test("inflight regions: for 2 and 3 rings of three, not for a fourth; of 32767 and 32768 entries, not of one more", () =>
  withHarness(async (harness) => {
    const granted = async (queueCount: number, queueSize: number): Promise<boolean> => {
      harness.socket.send(encode(wire.GET_INFLIGHT_FD, inflight(0, 0, queueCount, queueSize)));
      await harness.connection.serve();
      const header = new Uint8Array(wire.HEADER_BYTES);
      const { fds } = harness.socket.receive(header);
      const payload = new Uint8Array(new DataView(header.buffer).getUint32(8, true));
      if (payload.length > 0) harness.socket.receive(payload);
      fds.forEach(closeFd);
      assertEquals(fds.length, payload.length > 0 ? 1 : 0);
      if (payload.length > 0) {
        assert(asU64(payload.slice(0, 8)) >= BigInt(queueCount * inflightBytes(queueSize)));
      }
      return payload.length > 0;
    };
    const counts = [];
    for (const beyond of AROUND) counts.push(await granted(3 + beyond, 256));
    assertEquals(counts, [true, true, false]);
    const sizes = [];
    for (const beyond of AROUND) sizes.push(await granted(1, QUEUE_SIZE_MAX + beyond));
    assertEquals(sizes, [true, true, false]);
    assertEquals([await granted(0, 256), await granted(1, 0)], [false, false]);
  }));

Deno.test("connections: one is served; a second and a ninth wait, undisturbed, until it has ended", () =>
  withDevice({}, async (device) => {
    const first = await device.connect();
    const waiting = Array.from({ length: 8 }, () => new FdSocket(connectUnix(device.path)));
    for (const socket of waiting) socket.send(encode(wire.GET_QUEUE_NUM));
    for (let i = 0; i < 3; i++) assertAnswer(await askDevice(first, cipherSample()), cipherSample());
    for (const socket of waiting) assertEquals(receiveReply(socket), undefined);
    await first.close();
    for (const socket of waiting) {
      const deadline = performance.now() + 5000;
      let reply = receiveReply(socket);
      while (reply === undefined && performance.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        reply = receiveReply(socket);
      }
      assertEquals(reply?.payload, u64s(2));
      socket.close();
    }
    const last = await device.connect();
    assertAnswer(await askDevice(last, cipherSample()), cipherSample());
  }));

Deno.test("descriptors of KICK, CALL and ERR: none only with bit 8, one, and never two", () =>
  withEventFds(2, (fds) =>
    withHarness(async (harness) => {
      for (const request of [wire.SET_VRING_KICK, wire.SET_VRING_CALL, wire.SET_VRING_ERR]) {
        await harness.mustNot(request, u64s(0));
        await harness.must(request, u64s(wire.VRING_NOFD));
        await harness.must(request, u64s(0), fds.slice(1));
        await harness.mustNot(request, u64s(0), fds);
      }
    })));
