/**
 * The protocol of a handover, with a process that ends, is silent or sends something else: at any time exactly one process
 * serves.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { HandoverChannel, HandoverError } from "../../src/handover/channel.ts";
import { LiveRegion } from "../../src/handover/live_region.ts";
import * as protocol from "../../src/handover/protocol.ts";
import type { ProcessState } from "../../src/handover/state.ts";
import { TakeOver } from "../../src/handover/new_process.ts";
import { closeFd, duplicateFd } from "../../src/os/event_fd.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { connectUnix, FdSocket } from "../../src/os/unix_socket.ts";
import { ROOT, Running, until, withDirectory } from "../cli/programs.ts";
import { BASES, COUNTERS, FakeGiver, withGiver } from "./fake_giver.ts";

/** Closes the state's descriptors, which the receiver owns. */
function closeState({ devices: [device], sockets }: ProcessState): void {
  const { fd, rings } = device!.connection!;
  const all = [fd, ...rings.flatMap(({ kickFd, callFd }) => [kickFd, callFd]), ...sockets.map((socket) => socket.fd)];
  for (const one of all) closeFd(one);
}

function untilLogged(log: string[], text: string): Promise<void> {
  return until(() => log.some((line) => line.includes(text)), () => `"${text}" in ${log.join("; ")}`);
}

Deno.test("handover: numbers that were rehearsed are not taken for positions, and those of halted rings arrive", async () => {
  const giver = new FakeGiver();
  const state = await giver.freeze();
  const old = new LiveRegion(state);
  old.rehearse();
  const taken = new LiveRegion(state, duplicateFd(old.fd));
  taken.rehearse();
  assertEquals([taken.read(0), taken.pauseMs], [undefined, undefined]);
  old.beginHalting();
  await giver.halt(old);
  taken.rehearse();
  assertEquals(taken.read(0), { bases: BASES, counters: COUNTERS });
  assert(taken.pauseMs! < 60_000);
  old.release();
  taken.release();
  for (const fd of giver.fds) closeFd(fd);
});

Deno.test("handover: the new process receives state and positions, and the old one ends", () =>
  withGiver(async (path, giver, log) => {
    const takeOver = await TakeOver.begin(path, "test");
    assertEquals(takeOver.paths, giver.paths);
    const state = await takeOver.request();
    assertEquals(state.devices[0]!.connection!.rings.length, 2);
    assertEquals(await takeOver.halted(), [{ bases: BASES, counters: COUNTERS }]);
    await takeOver.served();
    await untilLogged(log, "handed over");
    await takeOver.close();
    closeState(state);
    assertEquals(giver.calls, ["freeze", "halt", "give"]);
  }));

for (const last of ["HELLO", "REQUEST", "READY"] as const) {
  Deno.test(`handover: if the new process ends after ${last}, the old one continues`, () =>
    withGiver(async (path, giver, log) => {
      const takeOver = await TakeOver.begin(path, "test");
      if (last !== "HELLO") closeState(await takeOver.request());
      // The phase stays "halted", as a killed process would leave it.
      if (last === "READY") await refuseAfterReady(giver, takeOver);
      await takeOver.close();
      await untilLogged(log, "not handed over");
      assertEquals(giver.calls.includes("give"), false);
      assertEquals(giver.calls.at(-1), last === "HELLO" ? undefined : "resume");
    }));
}

/** Ends the new process between READY and the moment at which it serves. */
async function refuseAfterReady(giver: FakeGiver, takeOver: TakeOver): Promise<void> {
  giver.halt = async () => {
    giver.calls.push("halt");
    await takeOver.refuse("it was killed");
  };
  await assertRejects(() => takeOver.halted(), HandoverError, "continues");
}

Deno.test("handover: if the new process ends while it serves, before it has reported that, the old one recovers", () =>
  withGiver(async (path, giver, log) => {
    const takeOver = await TakeOver.begin(path, "test");
    closeState(await takeOver.request());
    await takeOver.halted();
    await takeOver.close();
    await untilLogged(log, "not handed over");
    assertEquals(giver.calls, ["freeze", "halt", "recover"]);
  }));

Deno.test("handover: if the new process is silent after the rings are halted, the old one serves them again", () =>
  withGiver(async (path, giver, log) => {
    const loop = new EventLoop();
    const running = loop.run();
    const channel = new HandoverChannel(connectUnix(path), loop, true);
    await channel.send(protocol.HELLO, protocol.encodeHello({ protocol: protocol.PROTOCOL_VERSION, program: "test" }));
    await channel.receive(1000);
    await channel.send(protocol.REQUEST);
    for (let type = 0; type !== protocol.STATE;) {
      const frame = await channel.receive(1000);
      type = frame.type;
      for (const fd of frame.fds) closeFd(fd);
    }
    await channel.send(protocol.READY);
    await untilLogged(log, "has sent nothing for 1000 ms");
    assertEquals(giver.calls, ["freeze", "halt", "resume"]);
    channel.close();
    loop.stop();
    await running;
    loop.close();
  }));

Deno.test("handover: another version of the protocol, garbage and a second process are refused", () =>
  withGiver(async (path, giver, log) => {
    const loop = new EventLoop();
    const running = loop.run();
    const newer = new HandoverChannel(connectUnix(path), loop, true);
    await newer.send(protocol.HELLO, protocol.encodeHello({ protocol: 99, program: "9.9" }));
    assertStringIncludes(new TextDecoder().decode((await newer.receive(1000)).payload), "handover protocol 99");
    newer.close();
    const garbage = new FdSocket(connectUnix(path));
    garbage.send(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
    await untilLogged(log, "does not speak the handover protocol");
    garbage.close();
    const first = await TakeOver.begin(path, "test");
    await assertRejects(() => TakeOver.begin(path, "test"), HandoverError, "another process is taking over");
    await first.close();
    await untilLogged(log, "closed the connection");
    assertEquals(giver.calls, []);
    loop.stop();
    await running;
    loop.close();
  }));

Deno.test("handover: if the old process ends after it has sent its state, the new one serves", async () => {
  for (const isHalted of [false, true]) {
    await withDirectory(async (directory) => {
      const path = `${directory}/handover.sock`;
      const args = ["run", "-A", "--no-check", `${ROOT}test/handover/dying_giver.ts`, path, String(isHalted)];
      const old = new Running(`${ROOT}scripts/deno`, args);
      await until(() => old.stdout.includes("listening"), () => `an old process: ${old.stderr}`);
      const takeOver = await TakeOver.begin(path, "test");
      const state = await takeOver.request();
      const [halted] = await takeOver.halted();
      assertEquals(halted, isHalted ? { bases: BASES, counters: COUNTERS } : undefined);
      await takeOver.served();
      await takeOver.close();
      closeState(state);
      await old.ended();
    });
  }
});
