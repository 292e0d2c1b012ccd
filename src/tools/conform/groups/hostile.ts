/**
 * Hostile messages, which no frontend sends. The device may refuse them or close the connection; the next connection must
 * work.
 *
 * @module
 */
import { DisconnectedError, DriverError } from "../../../driver/errors.ts";
import { frame } from "../../../driver/frontend_connection.ts";
import { DriverMemory } from "../../../driver/guest_memory.ts";
import { closeFd, createEventFd } from "../../../os/event_fd.ts";
import * as vu from "../../../wire/vhost_user.ts";
import type { Clause, Group, Reference } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer } from "../expect.ts";
import type { RecordingFrontend } from "../messages.ts";
import { bytes, cipherSample } from "../samples.ts";
import { HOSTILE_REQUESTS } from "./hostile_requests.ts";
import { HOSTILE_RINGS } from "./hostile_rings.ts";
import { needsOf } from "./needs.ts";

const NEEDS = needsOf(cipherSample());
const HEADER: Reference = { vhostUser: "Header" };
const MESSAGES_MAX = 45;

/** Runs `send` on a new connection; the device may close it meanwhile. */
async function attempt(context: CheckContext, send: (frontend: RecordingFrontend) => Promise<void>): Promise<void> {
  const frontend = await context.frontend();
  try {
    await send(frontend);
  } catch (error) {
    if (!(error instanceof DriverError)) throw error;
  }
  await context.close();
}

async function expectServed(context: CheckContext): Promise<void> {
  expectAnswer(await context.ask(cipherSample()), cipherSample(), "a driver afterwards");
}

/** Sends `frames`, then GET_FEATURES, to which a device that keeps the connection replies. */
async function sendAll(frontend: RecordingFrontend, frames: readonly Uint8Array[]): Promise<void> {
  for (const each of frames) frontend.sendRaw(each);
  frontend.sendRaw(frame(vu.GET_FEATURES));
  frontend.timeoutMs = Math.min(frontend.timeoutMs, 200);
  try {
    for (;;) {
      const { request } = await frontend.receiveRaw("the reply to GET_FEATURES");
      if (request === vu.GET_FEATURES) return;
    }
  } catch (error) {
    if (!(error instanceof DisconnectedError)) throw error;
  }
}

async function checkSizes(context: CheckContext): Promise<void> {
  for (let request = 0; request < MESSAGES_MAX; request++) {
    await attempt(
      context,
      (frontend) =>
        sendAll(frontend, [0, 1, 7, 9, 39, 41, 300].map((length) => frame(request, bytes(length, request + length)))),
    );
  }
  await expectServed(context);
}

async function checkAnnounced(context: CheckContext): Promise<void> {
  for (const size of [4097, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    await attempt(context, async (frontend) => {
      const message = frame(vu.SET_MEM_TABLE, new Uint8Array(8));
      new DataView(message.buffer).setUint32(8, size, true);
      await sendAll(frontend, [message]);
    });
  }
  await expectServed(context);
}

async function checkFlags(context: CheckContext): Promise<void> {
  for (const flags of [0, 2, 3, 0xffff_ffff, vu.FLAG_VERSION | vu.FLAG_REPLY]) {
    await attempt(context, (frontend) => sendAll(frontend, [frame(vu.SET_OWNER, new Uint8Array(), flags)]));
  }
  await expectServed(context);
}

async function checkNoise(context: CheckContext): Promise<void> {
  for (let i = 0; i < 40; i++) {
    await attempt(context, (frontend) =>
      sendAll(
        frontend,
        Array.from({ length: 5 }, () =>
          frame(context.random(MESSAGES_MAX), bytes(context.random(80), context.random(2 ** 31)))),
      ));
  }
  await expectServed(context);
}

async function checkMemTables(context: CheckContext): Promise<void> {
  const memory = new DriverMemory([{ guestAddress: 0, sizeBytes: 1 << 20 }]);
  const [region] = memory.regions;
  const fd = createEventFd();
  try {
    const good = { ...region!, guestAddress: 0, mmapOffset: 0 };
    const wrong = [
      { what: "no bytes", table: [{ ...good, sizeBytes: 0 }] },
      { what: "more bytes than its file", table: [{ ...good, sizeBytes: 1 << 30 }] },
      { what: "an address that wraps", table: [{ ...good, guestAddress: 2 ** 53 - 4096 }] },
      { what: "an offset behind its file", table: [{ ...good, mmapOffset: 1 << 30 }] },
      { what: "two regions at one address", table: [good, good] },
    ];
    for (const { what, table } of wrong) {
      context.note(`SET_MEM_TABLE with a region of ${what}`);
      await attempt(context, async (frontend) => {
        await frontend.setMemTableWith(table, table.map(() => region!.fd));
        await sendAll(frontend, []);
      });
    }
    for (const fds of [[], [fd], [region!.fd, region!.fd]]) {
      context.note(`SET_MEM_TABLE of one region with ${fds.length} descriptors`);
      await attempt(context, async (frontend) => {
        await frontend.setMemTableWith([good], fds);
        await sendAll(frontend, []);
      });
    }
  } finally {
    closeFd(fd);
    memory.release();
  }
  await expectServed(context);
}

async function checkVrings(context: CheckContext): Promise<void> {
  const memory = new DriverMemory([{ guestAddress: 0, sizeBytes: 1 << 20 }]);
  const base = memory.regions[0]!.hostAddress;
  const kickFd = createEventFd();
  const inside = { descAddress: base, driverAddress: base + 65_536, deviceAddress: base + 131_072 };
  const rings = [
    { what: "outside memory", size: 64, ring: { ...inside, descAddress: base - 4096 } },
    { what: "that reaches out of memory", size: 64, ring: { ...inside, deviceAddress: base + (1 << 20) - 8 } },
    { what: "at odd addresses", size: 64, ring: { ...inside, descAddress: base + 1, driverAddress: base + 3 } },
    { what: "of no entries", size: 0, ring: inside },
    { what: "of 63 entries", size: 63, ring: inside },
    { what: "of 65535 entries", size: 65_535, ring: inside },
    { what: "of 2^31 entries", size: 2 ** 31, ring: inside },
  ];
  try {
    for (const { what, size, ring } of rings) {
      context.note(`a ring ${what}, kicked`);
      await attempt(context, async (frontend) => {
        await frontend.setMemTable(memory.regions);
        await frontend.setVringNum(0, size);
        await frontend.setVringBase(0, 0);
        await frontend.setVringAddr(0, ring);
        await frontend.setVringKick(0, kickFd);
        await frontend.setVringEnable(0, true);
        await sendAll(frontend, []);
      });
    }
  } finally {
    closeFd(kickFd);
    memory.release();
  }
  await expectServed(context);
}

function clause(id: string, what: string, run: Clause["run"], reference = HEADER): Clause {
  return { id, duty: `the device serves the next connection after ${what}`, reference, needs: NEEDS, run };
}

/** Hostile input. */
export const HOSTILE: Group = {
  name: "hostile",
  title: "Hostile input",
  isHostile: true,
  clauses: [
    clause("message-sizes", "messages of every number with payloads of wrong lengths", checkSizes),
    clause("message-announced", "messages that announce payloads of up to 4 GiB", checkAnnounced),
    clause("message-flags", "messages with wrong versions and flags", checkFlags),
    clause("message-noise", "random messages", checkNoise),
    clause("message-memory", "memory tables that cannot be mapped", checkMemTables, {
      vhostUser: "Memory region description",
    }),
    clause("message-rings", "rings that lie outside memory or have impossible sizes", checkVrings, {
      vhostUser: "Ring states",
    }),
    ...HOSTILE_REQUESTS,
    ...HOSTILE_RINGS,
  ],
};
