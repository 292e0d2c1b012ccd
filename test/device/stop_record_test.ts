/**
 * Stopping while requests of the inflight region are executed again: what does not fit in the time stays in the region.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { STOP_MS_MAX } from "../../src/device/limits.ts";
import type { SplitQueue } from "../../src/driver/split_queue.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { mapShared, unmap } from "../../src/os/memory_map.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { DESC_BYTES } from "../../src/wire/vring.ts";
import { withDevice } from "./harness.ts";

const SIZE = 256;
const SRC_BYTES = 1_500_000;
const [FIRST_ENTRY, ENTRY_BYTES] = [16, 16];

for (const workers of [0, 1]) {
  Deno.test(`an end during a long recovery takes no longer than its bound and keeps the record, ${workers} workers`, async () => {
    await withDevice({ workers }, async (device) => {
      const driver = await device.connect({ queueSize: SIZE, timeoutMs: 60_000 });
      const queue = driver.dataQueues[0] as SplitQueue;
      const key = new Uint8Array(24).map((_, i) => i);
      const session = { service: "cipher", algo: w.CIPHER_3DES_CBC, op: w.OP_ENCRYPT, key } as const;
      const sessionId = await driver.createSession(session);
      // Answered, its descriptor and its table stay in memory: now every descriptor is this request's.
      const request = { sessionId, op: w.OP_ENCRYPT, iv: new Uint8Array(8), src: new Uint8Array(SRC_BYTES) } as const;
      assertEquals((await driver.cipher(request)).status, w.STATUS_OK);
      await driver.stop();
      const head = queue.usedView.getUint32(4, true);
      const table = new Uint8Array(queue.descView.buffer, queue.descView.byteOffset, SIZE * DESC_BYTES);
      const descriptor = table.slice(head * DESC_BYTES, (head + 1) * DESC_BYTES);
      for (let i = 0; i < SIZE; i++) table.set(descriptor, i * DESC_BYTES);
      // A record that says that all of them are in flight, in an order that the available ring does not have.
      const region = await driver.frontend.getInflightFd(2, SIZE);
      const mapping = mapShared(region.fd, region.mmapSize);
      const record = new DataView(mapping.buffer);
      record.setUint16(8, 1, true);
      record.setUint16(10, SIZE, true);
      record.setUint16(14, queue.usedView.getUint16(2, true), true);
      const marks = () => Array.from({ length: SIZE }, (_, i) => record.getUint8(FIRST_ENTRY + ENTRY_BYTES * i));
      for (let i = 0; i < SIZE; i++) record.setUint8(FIRST_ENTRY + ENTRY_BYTES * i, 1);
      await driver.frontend.setInflightFd(region, region.fd);
      driver.start().catch(() => {});
      while (marks().indexOf(0) < 0) await new Promise((resolve) => setTimeout(resolve, 1));
      await driver.abandon();
      const startMs = performance.now();
      const next = await device.connect();
      assertLess(performance.now() - startMs, STOP_MS_MAX + 3000, "the next frontend waits until it has ended");
      assertEquals(next.openCount, 0);
      assert(
        marks().filter((mark) => mark === 1).length > SIZE / 4,
        `few requests are left in the record: ${device.log}`,
      );
      unmap(mapping);
      closeFd(region.fd);
    });
  });
}
