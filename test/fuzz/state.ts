/**
 * Hostile states of another process: random valid ones with changed words, bits and lengths, or truncated. Each must be
 * refused with a StateError, or used; a device that continues with it must work.
 *
 * @module
 */
import { CryptoDevice } from "../../src/device/device.ts";
import { StateMismatchError } from "../../src/device/device_state.ts";
import type { Random } from "../../src/driver/random.ts";
import type { ProcessState } from "../../src/handover/state.ts";
import { StateError } from "../../src/handover/state_bytes.ts";
import { decodeProcessState, encodeProcessState, processStateBytes } from "../../src/handover/state_format.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { randomState } from "../handover/states.ts";
import { hostileWord, type Round, type Target } from "./target.ts";

const STATES_PER_ROUND = 64;
const SLOTS = 32;

/** `bytes` with up to three changes; sometimes truncated, with a matching header. */
function mutated(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice(0, random(4) === 0 ? random(bytes.length + 1) : bytes.length);
  const view = new DataView(copy.buffer);
  if (copy.length >= 16) view.setUint32(12, copy.length, true);
  for (let i = random(4); i > 0 && copy.length >= 4; i--) {
    const at = random(copy.length - 3);
    if (random(2) === 0) copy[at]! ^= 1 << random(8);
    else view.setUint32(at, hostileWord(random, view.getUint32(at, true)), true);
  }
  return copy;
}

function decoded(bytes: Uint8Array, fds: readonly number[]): ProcessState | undefined {
  try {
    return decodeProcessState(bytes, fds);
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    return undefined;
  }
}

/** Has `device`, which has no sessions, continue with the sessions and counters of `state`. */
async function restore(device: CryptoDevice, { devices }: ProcessState): Promise<void> {
  const { negotiated } = device.exportState();
  for (const state of devices) {
    try {
      device.restore({ ...state, negotiated });
    } catch (error) {
      if (!(error instanceof StateMismatchError)) throw error;
    }
    device.addStatistics(state.statistics);
    device.statistics();
    await device.reset(null);
    if (device.exportState().sessions.sessions.length > 0) throw new Error("sessions are left after a reset");
  }
}

/** The target. */
export const state: Target = {
  name: "state",
  async run({ random }: Round): Promise<number> {
    const loop = new EventLoop();
    const device = new CryptoDevice({ dataQueues: 1, maxSessions: SLOTS }, loop);
    try {
      for (let i = 0; i < STATES_PER_ROUND; i++) {
        const valid = randomState(random);
        const bytes = new Uint8Array(processStateBytes(valid));
        const fds = encodeProcessState(valid, bytes);
        const read = decoded(mutated(bytes, random), fds);
        if (read !== undefined) await restore(device, read);
      }
    } finally {
      await device.close();
      loop.close();
    }
    return STATES_PER_ROUND;
  },
};
