import { assertEquals } from "@std/assert";
import { makeRandom } from "../../src/driver/random.ts";
import { eventPassed, slotPassed } from "../../src/virtqueue/notify.ts";

Deno.test("eventPassed is true exactly for the indices that were passed, wherever they wrap", () => {
  const random = makeRandom(11);
  for (let round = 0; round < 4000; round++) {
    const oldIdx = round % 2 === 0 ? random(65536) : (65536 - random(20)) & 0xffff;
    const count = random(20);
    const passed = new Set(Array.from({ length: count }, (_, i) => (oldIdx + i) & 0xffff));
    for (let ahead = -3; ahead < count + 3; ahead++) {
      const event = (oldIdx + ahead) & 0xffff;
      const newIdx = (oldIdx + count) & 0xffff;
      assertEquals(eventPassed(event, newIdx, oldIdx), passed.has(event), `${event} in [${oldIdx}, ${newIdx})`);
    }
  }
});

Deno.test("eventPassed with all 65536 events finds as many as were passed", () => {
  for (const count of [0, 1, 2, 255, 32767, 32768]) {
    let found = 0;
    for (let event = 0; event < 65536; event++) if (eventPassed(event, (65000 + count) & 0xffff, 65000)) found++;
    assertEquals(found, count);
  }
});

Deno.test("slotPassed agrees with walking the ring, for every event, position and step of small rings", () => {
  for (const size of [1, 2, 3, 5, 8]) {
    const positions = Array.from({ length: 2 * size }, (_, i) => (i % size) | (i < size ? 0x8000 : 0));
    positions.forEach((position, at) => {
      for (let slots = 0; slots <= size; slots++) {
        const passed = new Set(
          Array.from({ length: slots }, (_, i) => positions[(at - 1 - i + 4 * size) % (2 * size)]!),
        );
        for (const event of positions) {
          assertEquals(
            slotPassed(event, position, slots, size),
            passed.has(event),
            `event ${event}, ${slots} slots before ${position} of ${size}`,
          );
        }
      }
    });
  }
});

Deno.test("slotPassed supports the largest ring, and slots outside a ring are never passed twice", () => {
  const size = 32768;
  assertEquals(slotPassed(0x8000, 0x0000, size, size), true);
  assertEquals(slotPassed(0x0000, 0x0000, size, size), false);
  assertEquals(slotPassed(0xffff, 0x0000, 1, size), true);
  assertEquals(slotPassed(0xfffe, 0x0000, 1, size), false);
  for (let event = 8; event < 0x8000; event++) assertEquals(slotPassed(event | 0x8000, 0x8005, 5, 8), false);
});
