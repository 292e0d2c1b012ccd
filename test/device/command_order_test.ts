/**
 * Commands to data queues on the event loop: each is executed after the one before, whatever becomes of that.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { LocalPlane } from "../../src/device/data_plane.ts";
import type { QueueCommand, QueueGroup } from "../../src/device/queue_group.ts";
import { EventLoop } from "../../src/os/event_loop.ts";

Deno.test("commands to a local plane are executed in their order, also after one that fails", async () => {
  const steps: string[] = [];
  const group = {
    unkicked: new Set<number>(),
    async execute({ kind }: QueueCommand): Promise<number> {
      steps.push(`${kind} begins`);
      await new Promise((resolve) => setTimeout(resolve, 1));
      steps.push(`${kind} ends`);
      if (kind === "drain") throw new Error("not drained");
      return 7;
    },
  };
  const loop = new EventLoop();
  const plane = new LocalPlane(loop, () => group as unknown as QueueGroup);
  const drained = plane.execute({ kind: "drain", keepsRecord: false });
  const stopped = plane.execute({ kind: "stop", index: 0 });
  await assertRejects(() => drained, Error, "not drained");
  assertEquals(await stopped, 7);
  assertEquals(steps, ["drain begins", "drain ends", "stop begins", "stop ends"]);
  loop.close();
});
