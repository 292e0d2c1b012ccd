/**
 * Defects in recovery, in the dirty log, and in the handling of hostile input.
 *
 * @module
 */
import * as vu from "../../../src/wire/vhost_user.ts";
import * as w from "../../../src/wire/virtio_crypto.ts";
import { ignores, u64Reply } from "./message_defects.ts";
import { type Defect, defect, type Hooks } from "./planting.ts";

/** SET_FEATURES has, or lacks, VHOST_F_LOG_ALL, regardless of the frontend. */
function logging(isOn: boolean): Hooks {
  return {
    message(message) {
      if (message.request !== vu.SET_FEATURES) return message;
      const bit = 1n << BigInt(vu.F_LOG_ALL);
      const features = message.view.getBigUint64(0, true);
      message.view.setBigUint64(0, isOn ? features | bit : features & ~bit, true);
      return message;
    },
  };
}

/** Data requests that were answered with ERR have another status, control requests likewise. */
function errIs(status: number, isControl: boolean): Hooks {
  return {
    answer(request) {
      if (request.isControl === isControl && request.status === w.STATUS_ERR) request.status = status;
    },
  };
}

const REGION_BYTES_TOO_FEW = 64n;
const NO_STATUS = 77;

/** Defects that the groups inflight and dirty-log find. */
export const MIGRATION_DEFECTS: readonly Defect[] = [
  defect(
    "the inflight region is too short",
    /^inflight\.region$/,
    u64Reply(vu.GET_INFLIGHT_FD, () => REGION_BYTES_TOO_FEW),
  ),
  {
    name: "the inflight region is ignored",
    found: /^inflight\.(served|resubmitted)$/,
    plant: () => ignores(vu.SET_INFLIGHT_FD),
  },
  {
    name: "with an inflight region, a request that was completed is completed again",
    found: /^inflight\.completed-once$/,
    plant: () => {
      let hasRegion = false;
      return {
        message(message) {
          if (message.request === vu.SET_INFLIGHT_FD) hasRegion = true;
          return message;
        },
        complete(batch) {
          if (hasRegion) { for (let i = 0; i < batch.count; i++) batch.id[i] = 5; }
          return true;
        },
      };
    },
  },
  defect("nothing is logged", /^dirty-log\.logged$/, logging(false)),
  defect("all pages of the source are logged", /^dirty-log\.only-written$/, {
    answer({ memory, readable: { addresses, lengths } }) {
      addresses.forEach((address, i) => memory.logWrite(address, lengths[i]!));
    },
  }),
  defect("logging never ends", /^dirty-log\.ends$/, logging(true)),
  defect("a dirty log ends the connection", /^dirty-log\.short-file$/, {
    message: (message) => message.request === vu.SET_LOG_BASE ? "closed" : message,
  }),
];

/** Defects that the group hostile finds, but for those of {@linkcode LIFECYCLE_DEFECTS}. */
export const HOSTILE_DEFECTS: readonly Defect[] = [
  defect("malformed requests are answered with OK", /^hostile\.[a-z]+-(lengths|short)(\.|$)/, errIs(0, false)),
  defect("malformed requests have a status that there is not", /^hostile\.[a-z]+-noise/, errIs(NO_STATUS, false)),
  defect("malformed sessions are created", /^hostile\.[a-z]+-(short-session|keys)/, errIs(0, true)),
  {
    name: "a ring that is started again is not served",
    found: /^hostile\.ring-/,
    plant: () => {
      let starts = 0;
      return {
        message(message) {
          if (message.request === vu.SET_VRING_KICK && message.payload[0] === 0) starts++;
          return message;
        },
        fetch: () => starts < 2,
      };
    },
  },
];
