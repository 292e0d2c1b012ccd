/**
 * An old process without devices.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { type Giver, HandoverServer } from "../../src/handover/old_process.ts";
import type { LiveRegion } from "../../src/handover/live_region.ts";
import type { ProcessState } from "../../src/handover/state.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { withDirectory } from "../cli/programs.ts";
import { countFds } from "../vhost_user/harness.ts";

/** The positions at which its rings are halted. */
export const BASES = [7, 0x8000_8000];
/** Its counters when it is halted. */
export const COUNTERS = [Float64Array.of(1, 2, 3)];

/** A state with a connection, whose descriptors are event descriptors. */
function stateWith(fds: number[]): ProcessState {
  const take = () => {
    const fd = createEventFd();
    fds.push(fd);
    return fd;
  };
  const ring = () => ({
    ...{ size: 4, base: 0, addresses: null, started: true, enabled: true, running: true, ownsInflightState: false },
    ...{ kickFd: take(), callFd: take(), errFd: -1 },
  });
  return {
    devices: [{
      negotiated: {
        ...{ queueCount: 2, acknowledged: 0n, draft: "v19", asymmetric: "off", config: new Uint8Array(56) },
      },
      sessions: { slots: 1, createdCount: 0, firstGeneration: 0, generations: new Uint32Array(1), sessions: [] },
      listening: null,
      connection: {
        ...{ fd: take(), messageCount: 1, protocolFeatures: 0n, status: 0, featuresRefused: false },
        incoming: { bytes: new Uint8Array(0), fds: [], lostFds: "none" },
        outgoing: { bytes: new Uint8Array(0), fd: -1 },
        memory: { regions: [], log: null, logsWrites: false, isLogCurrent: false },
        inflight: null,
        driver: {
          ...{
            acknowledged: null,
            hadDriver: false,
            configReads: 0,
            passesConfigReads: false,
            dataRingRestarted: false,
          },
        },
        rings: [ring(), ring()],
      },
      statistics: { connectionCount: 1, refused: {}, queues: COUNTERS.map((numbers) => numbers.slice().fill(0)) },
    }],
    sockets: [],
  };
}

/** An old process that records the calls to its devices. */
export class FakeGiver implements Giver {
  readonly paths = ["/run/device.sock"];
  readonly calls: string[] = [];
  readonly fds: number[] = [];

  freeze(): Promise<ProcessState> {
    this.calls.push("freeze");
    return Promise.resolve(stateWith(this.fds));
  }

  halt(live: LiveRegion): Promise<void> {
    this.calls.push("halt");
    live.write(0, { bases: BASES, counters: COUNTERS });
    return Promise.resolve();
  }

  resume(areRecovered: boolean): Promise<void> {
    this.calls.push(areRecovered ? "recover" : "resume");
    return Promise.resolve();
  }

  give(): Promise<void> {
    this.calls.push("give");
    return Promise.resolve();
  }
}

/**
 * Runs `body` with the handover socket of an old process, which has `mode` or that of the process's umask. No descriptor
 * stays open.
 */
export async function withGiver(
  body: (path: string, giver: FakeGiver, log: string[]) => Promise<void>,
  mode?: number,
): Promise<void> {
  await withDirectory(async (directory) => {
    const before = countFds();
    const giver = new FakeGiver();
    const log: string[] = [];
    const path = `${directory}/handover.sock`;
    const place = mode === undefined ? { path } : { path, mode };
    const server = new HandoverServer(place, giver, (_level, line) => log.push(line));
    server.start();
    try {
      await body(path, giver, log);
    } finally {
      await server.close();
      giver.fds.forEach(closeFd);
    }
    assertEquals(countFds(), before);
  });
}
