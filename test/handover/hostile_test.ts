/**
 * Both sides of a handover against a process that does not keep to the protocol: it is refused, the devices are served as
 * before, and no descriptor stays open.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { HandoverChannel, HandoverError } from "../../src/handover/channel.ts";
import { LiveRegion } from "../../src/handover/live_region.ts";
import * as protocol from "../../src/handover/protocol.ts";
import { GivenState } from "../../src/handover/state_memory.ts";
import { TakeOver } from "../../src/handover/new_process.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { createMemfd } from "../../src/os/memory_map.ts";
import { acceptUnix, connectUnix, FdSocket, listenUnix } from "../../src/os/unix_socket.ts";
import { until, withDirectory } from "../cli/programs.ts";
import { countFds } from "../vhost_user/harness.ts";
import { FakeGiver, withGiver } from "./fake_giver.ts";

const MAGIC = 0x4843_5556;
const NO_BYTES = new Uint8Array(0);
const HELLO = protocol.encodeHello({ protocol: protocol.PROTOCOL_VERSION, program: "test" });

function frame(type: number, payload: Uint8Array = NO_BYTES, { magic = MAGIC, length = payload.length } = {}) {
  const bytes = new Uint8Array(16 + payload.length);
  const view = new DataView(bytes.buffer);
  [magic, type, length].forEach((value, i) => view.setUint32(4 * i, value, true));
  bytes.set(payload, 16);
  return bytes;
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

const hello = frame(protocol.HELLO, HELLO);
const request = frame(protocol.REQUEST);
const [descriptors, state, ready, halted, serving] = [
  protocol.DESCRIPTORS,
  protocol.STATE,
  protocol.READY,
  protocol.HALTED,
  protocol.SERVING,
].map((type) => frame(type)) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];

/** What a hostile new process sends before it closes the connection, and with how many descriptors. */
const FROM_TAKER: [title: string, bytes: Uint8Array, fds?: number][] = [
  ...Array.from(hello, (_, end): [string, Uint8Array] => [`HELLO truncated at byte ${end}`, hello.slice(0, end)]),
  ...Array.from(HELLO, (_, end): [string, Uint8Array] => [
    `HELLO with a payload of ${end} bytes`,
    frame(protocol.HELLO, HELLO.slice(0, end)),
  ]),
  ["another magic number", frame(protocol.HELLO, HELLO, { magic: 1 })],
  ["a payload that is too long", frame(protocol.HELLO, NO_BYTES, { length: 65537 })],
  ["a payload of 4 GiB", frame(protocol.HELLO, NO_BYTES, { length: 0xffff_ffff })],
  ["a name longer than the payload", frame(protocol.HELLO, HELLO.with(4, 0xff))],
  [
    "another version, with a forged line of the log",
    frame(protocol.HELLO, protocol.encodeHello({ protocol: 2, program: "\n\x1b[2J" })),
  ],
  [
    "a refusal, with a forged line of the log",
    concat(hello, frame(protocol.REFUSED, new TextEncoder().encode("\nerror: \x07"))),
  ],
  ...Array.from({ length: 12 }, (_, type): [string, Uint8Array] => [`frame ${type} in place of HELLO`, frame(type)])
    .filter((_, type) => type !== protocol.HELLO),
  ["HELLO twice", concat(hello, hello)],
  ["REQUEST twice", concat(hello, request, request)],
  ["SERVING in place of READY", concat(hello, request, serving)],
  ["STATE in place of READY", concat(hello, request, state)],
  ["READY twice", concat(hello, request, ready, ready)],
  ["HELLO with a descriptor", hello, 1],
  ["HELLO with 32 descriptors", hello, 32],
  ["all steps with descriptors", concat(hello, request, ready, serving), 1],
  ["a flood of frames", concat(hello, ...Array(100).fill(request))],
];

Deno.test("handover: a hostile new process is refused, and the old one continues", () =>
  withGiver(async (path, giver, log) => {
    for (const [title, bytes, fdCount = 0] of FROM_TAKER) {
      log.length = 0;
      giver.calls.length = 0;
      const fds = Array.from({ length: fdCount }, createEventFd);
      const socket = new FdSocket(connectUnix(path));
      if (bytes.length > 0) socket.trySend(bytes, fds);
      socket.close();
      fds.forEach(closeFd);
      await until(() => log.some((line) => line.includes("not handed over")), () => `${title}: ${log.join("; ")}`);
      assert(!log.some((line) => /\p{C}/u.test(line)), `${title}: ${JSON.stringify(log)}`);
      assertEquals(giver.calls.includes("give"), false, title);
      if (giver.calls.length > 0) assertMatch(giver.calls.at(-1)!, /resume|recover/, title);
    }
    // A process that keeps to the protocol is served afterwards.
    const takeOver = await TakeOver.begin(path, "test");
    await takeOver.close();
    await until(() => log.at(-1)!.includes("closed the connection"), () => log.join("; "));
  }));

type Send = (bytes: Uint8Array, fds?: readonly number[]) => void;

/** An old process that sends something else at one of its steps. */
interface HostileGiver {
  readonly offer?: Uint8Array;
  /** Sends what follows REQUEST; what it returns is called when the connection is closed. */
  state?(send: Send): Promise<() => void> | void;
  /** Sends what follows READY. */
  halt?(send: Send): void;
}

const OFFER = protocol.encodeOffer(["/run/device.sock"]);
const offer = frame(protocol.OFFER, OFFER);

/** The parts of a state, and a memory file that is not sealed. */
interface StateParts {
  readonly fds: readonly number[];
  readonly stateFd: number;
  readonly liveFd: number;
  readonly memoryFd: number;
}

/** Sends the parts of a state that `choose` chooses. */
function sending(choose: (parts: StateParts) => { fds?: readonly number[]; files?: readonly number[] }) {
  return async (send: Send) => {
    const giver = new FakeGiver();
    const process = await giver.freeze();
    const given = new GivenState(process);
    const live = new LiveRegion(process);
    const memoryFd = createMemfd("test", 8);
    const { fds = given.fds, files = [given.fd, live.fd] } = choose({
      ...{ fds: given.fds, stateFd: given.fd, liveFd: live.fd, memoryFd },
    });
    if (fds.length > 0) send(descriptors, fds);
    send(state, files);
    return () => {
      given.release();
      live.release();
      [...giver.fds, memoryFd].forEach(closeFd);
    };
  };
}

const right = sending(() => ({}));

const FROM_GIVER: [title: string, giver: HostileGiver][] = [
  ...Array.from(
    offer,
    (_, end): [string, HostileGiver] => [`OFFER truncated at byte ${end}`, { offer: offer.slice(0, end) }],
  ),
  ...Array.from(OFFER, (_, end): [string, HostileGiver] => [
    `OFFER with a payload of ${end} bytes`,
    { offer: frame(protocol.OFFER, OFFER.slice(0, end)) },
  ]),
  ["an offer with a byte too many", { offer: frame(protocol.OFFER, concat(OFFER, Uint8Array.of(0))) }],
  ["an offer of 17 devices", { offer: frame(protocol.OFFER, protocol.encodeOffer(Array(17).fill("/d"))) }],
  ["an offer of no device", { offer: frame(protocol.OFFER, protocol.encodeOffer([])) }],
  ["a path that is too long", { offer: frame(protocol.OFFER, protocol.encodeOffer(["x".repeat(5000)])) }],
  ["a path that forges a line of the log", {
    offer: frame(protocol.OFFER, protocol.encodeOffer(["/d\nerror: \x1b[2J"])),
  }],
  ["STATE in place of OFFER", { offer: state }],
  ["a refusal in place of OFFER", { offer: frame(protocol.REFUSED, Uint8Array.of(10, 255, 7)) }],
  ["no state", { state: () => {} }],
  ["STATE without descriptors", { state: (send) => send(state) }],
  ["HALTED in place of STATE", { state: (send) => send(halted) }],
  ["DESCRIPTORS without any", { state: (send) => Array(50).fill(descriptors).forEach((bytes) => send(bytes)) }],
  ["one memory file", { state: sending(({ stateFd }) => ({ files: [stateFd] })) }],
  ["three memory files", {
    state: sending(({ stateFd, liveFd, memoryFd }) => ({ files: [stateFd, liveFd, memoryFd] })),
  }],
  ["no descriptors", { state: sending(() => ({ fds: [] })) }],
  ["a missing descriptor", { state: sending(({ fds }) => ({ fds: fds.slice(1) })) }],
  ["a surplus descriptor", { state: sending(({ fds, memoryFd }) => ({ fds: [...fds, memoryFd] })) }],
  ["the memory files exchanged", { state: sending(({ stateFd, liveFd }) => ({ files: [liveFd, stateFd] })) }],
  ["an event descriptor as state", { state: sending(({ fds, liveFd }) => ({ files: [fds[0]!, liveFd] })) }],
  ["an event descriptor as live region", { state: sending(({ fds, stateFd }) => ({ files: [stateFd, fds[0]!] })) }],
  ["a short file as state", { state: sending(({ liveFd, memoryFd }) => ({ files: [memoryFd, liveFd] })) }],
  ["a short file as live region", { state: sending(({ stateFd, memoryFd }) => ({ files: [stateFd, memoryFd] })) }],
  ["HALTED before the rings are halted", { state: right, halt: (send) => send(halted) }],
  ["STATE in place of HALTED", { state: right, halt: (send) => send(state) }],
  ["HALTED with a descriptor", { state: right, halt: (send) => send(halted, [0]) }],
];

/** Takes over from `giver`, as far as it lets; the descriptors of a state are closed. */
async function take(path: string): Promise<void> {
  const takeOver = await TakeOver.begin(path, "test");
  try {
    const { devices: [device] } = await takeOver.request();
    const { fd, rings } = device!.connection!;
    for (const one of [fd, ...rings.flatMap(({ kickFd, callFd }) => [kickFd, callFd])]) closeFd(one);
    await takeOver.halted();
  } finally {
    await takeOver.close();
  }
}

/** Accepts one connection on `listenFd` and does what `giver` says; closes the connection. */
async function give(listenFd: number, giver: HostileGiver): Promise<void> {
  const loop = new EventLoop();
  const running = loop.run();
  const { promise, resolve } = Promise.withResolvers<number>();
  loop.watch(listenFd, () => {
    loop.unwatch(listenFd);
    resolve(acceptUnix(listenFd));
  });
  const fd = await promise;
  const channel = new HandoverChannel(fd, loop, false);
  const socket = new FdSocket(fd);
  const send: Send = (bytes, fds = []) => void socket.trySend(bytes, fds);
  let release: (() => void) | void = undefined;
  try {
    await channel.receive(5000);
    send(giver.offer ?? offer);
    if (giver.offer === undefined) {
      await channel.receive(5000);
      release = await giver.state!(send);
      // READY, or the end of the connection.
      if (release !== undefined) await channel.receive(5000);
      giver.halt?.(send);
    }
  } catch (error) {
    // The new process has ended before.
    if (!(error instanceof HandoverError)) throw error;
  } finally {
    channel.close();
    loop.stop();
    await running;
    loop.close();
    release?.();
  }
}

Deno.test("handover: a hostile old process is refused, and leaves nothing open", () =>
  withDirectory(async (directory) => {
    const before = countFds();
    const path = `${directory}/handover.sock`;
    const listenFd = listenUnix(path);
    for (const [title, giver] of FROM_GIVER) {
      const given = give(listenFd, giver);
      const error = await assertRejects(() => take(path), Error, undefined, title);
      assertMatch(error.name, /^(HandoverError|PeerGoneError|StateError|SystemError)$/, `${title}: ${error.stack}`);
      assertEquals(/\p{C}/u.test(error.message), false, `${title}: ${error.message}`);
      await given;
      assertEquals(countFds(), before + 1, title);
    }
    closeFd(listenFd);
  }));
