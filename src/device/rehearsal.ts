/**
 * A rehearsal: a device that is about to continue for another one answers requests of its own first. Code is compiled and
 * memory is mapped when it is used for the first time, which takes longer than everything else while the guest waits.
 *
 * Off the data path: it is the driver of a ring of its own, before any frontend is served.
 *
 * @module
 */
import { GuestMemory } from "../memory/guest_memory.ts";
import { settled } from "../os/settling.ts";
import * as wire from "../wire/virtio_crypto.ts";
import * as vring from "../wire/vring.ts";
import type { BackendDevice } from "./backend.ts";
import {
  CREATE,
  DESTROY_CREATED,
  entriesOf,
  type Entry,
  KINDS,
  RehearsalStage,
  ringSetup,
  sessionOf,
} from "./rehearsal_stage.ts";

/** After some rounds V8 compiles what is used often; the second part of a rehearsal uses the compiled code. */
const PARTS = 2;
const ROUNDS = 16;
const ROUND_MS_MAX = 500;
/** Maximum times, in milliseconds: with many queues or on a busy host there are fewer rounds. */
const PART_MS_MAX = 1000;
const SETTLE_MS_MAX = 2000;
const BASE_INITIAL_PACKED = 0x8000_8000;
const FEATURES = 1n << BigInt(vring.F_VERSION_1) | 1n << BigInt(vring.F_INDIRECT_DESC);
const PACKED = 1n << BigInt(vring.F_RING_PACKED);
const MUX_MODE = 1n << BigInt(wire.F_MUX_MODE);

/** The environment of requests: device, memory, and the format of the rings. */
interface Place {
  readonly device: BackendDevice;
  readonly stage: RehearsalStage;
  readonly packed: boolean;
}

/** Starts ring `index` with `entries`, waits for their answers and stops it. */
async function play({ device, stage, packed }: Place, index: number, entries: readonly Entry[]): Promise<void> {
  stage.fill(entries, packed);
  await device.startRing(ringSetup(index, packed ? BASE_INITIAL_PACKED : 0));
  const deadlineMs = performance.now() + ROUND_MS_MAX;
  while (!stage.isAnswered(entries, packed) && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await device.stopRing(index);
}

/** Has the control queue create a session and destroy it. */
async function playControl(place: Place): Promise<void> {
  const control = place.device.queueCount - 1;
  await play(place, control, CREATE);
  place.stage.nameCreated();
  await play(place, control, DESTROY_CREATED);
}

/** Creates a session for each kind of request, and writes it; returns the numbers of those that the device serves. */
function createSessions(device: BackendDevice, stage: RehearsalStage): number[] {
  return [...KINDS.keys()].filter((index) => {
    const sessionId = device.createSession(sessionOf(KINDS[index]!));
    if (sessionId >= 0) stage.writeRequest(index, sessionId);
    return sessionId >= 0;
  });
}

/** Has each queue answer `entries` in rings of both formats, for a bounded time. */
async function playPart(device: BackendDevice, stage: RehearsalStage, entries: readonly Entry[]): Promise<void> {
  const deadlineMs = performance.now() + PART_MS_MAX;
  for (let turn = 0; turn < 2 * ROUNDS; turn++) {
    const packed = turn % 2 === 1;
    const place = { device, stage, packed };
    // Each format of the ring with either form of the requests.
    device.setFeatures(FEATURES | (packed ? PACKED : 0n) | (turn % 4 < 2 ? device.features & MUX_MODE : 0n));
    stage.changeIvs();
    await playControl(place);
    for (let index = 0; index < device.queueCount - 1; index++) {
      if (performance.now() > deadlineMs) return;
      if (entries.length > 0) await play(place, index, entries);
    }
  }
}

/**
 * Has each queue of `device`, which has no frontend, answer requests in rings of both formats. Sessions and features are
 * as before; counters are not.
 */
export async function rehearse(device: BackendDevice): Promise<void> {
  const stage = new RehearsalStage();
  try {
    const entries = entriesOf(createSessions(device, stage));
    stage.writeControlRequests();
    await device.setMemory(stage.memory);
    for (let part = 0; part < PARTS; part++) {
      await playPart(device, stage, entries);
      await settled(SETTLE_MS_MAX);
    }
    await device.reset(null);
    await device.setMemory(new GuestMemory([]));
  } finally {
    stage.release();
  }
}
