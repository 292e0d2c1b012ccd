/**
 * Which sequences of messages mean that a driver has restarted, which destroys the previous one's sessions, and which
 * that the same driver continues. The device reports the position of each ring.
 */
import { assertEquals } from "@std/assert";
import * as wire from "../../src/wire/vhost_user.ts";
import { F_RING_PACKED, F_VERSION_1 } from "../../src/wire/vring.ts";
import {
  type Harness,
  memTable,
  region,
  u32s,
  u64s,
  vringAddr,
  withEventFds,
  withHarness,
  withMemory,
} from "./harness.ts";

const ADDRESS = 0x10000000;
const RINGS = [0, 1, 2];
const CONTROL = 2;
const BIT_30 = 1n << 30n;
const FEATURES = BIT_30 | 1n << BigInt(F_VERSION_1);
const INITIAL_PACKED = 0x8000_8000;
const PROBE_READS = 13;

/** A frontend that acts as a VMM: it makes a guest's driver start, stop and continue. */
class Vmm {
  readonly #harness: Harness;
  readonly #kicks: number[];
  initial = 0;
  features = FEATURES;
  /** What GET_VRING_BASE answered last, by ring. */
  readonly bases: number[] = [];

  constructor(harness: Harness, kicks: number[]) {
    this.#harness = harness;
    this.#kicks = kicks;
  }

  async readConfig(times: number): Promise<void> {
    for (let i = 0; i < times; i++) await this.#harness.ask(wire.GET_CONFIG, new Uint8Array(12 + 56).fill(56, 4, 5));
  }

  setFeatures(features = this.features): Promise<void> {
    return this.#harness.must(wire.SET_FEATURES, u64s(features));
  }

  async startRing(index: number, base: number): Promise<void> {
    await this.#harness.must(wire.SET_VRING_NUM, u32s(index, 64));
    await this.#harness.must(wire.SET_VRING_BASE, u32s(index, base));
    await this.#harness.must(wire.SET_VRING_ADDR, vringAddr(index, ADDRESS));
    await this.#harness.must(wire.SET_VRING_KICK, u64s(index), [this.#kicks[index]!]);
    await this.#harness.must(wire.SET_VRING_ENABLE, u32s(index, 1));
  }

  /** Starts all rings, at `bases` or at their initial position. */
  async start(bases: readonly number[] = RINGS.map(() => this.initial)): Promise<void> {
    await this.setFeatures();
    for (const index of RINGS) await this.startRing(index, bases[index]!);
  }

  async disable(): Promise<void> {
    for (const index of RINGS) await this.#harness.must(wire.SET_VRING_ENABLE, u32s(index, 0));
  }

  /** Stops all rings, as QEMU does for a reset and for a stop alike. */
  async stop(): Promise<void> {
    await this.disable();
    for (const index of RINGS) {
      const reply = (await this.#harness.ask(wire.GET_VRING_BASE, u32s(index, 0)))!;
      this.bases[index] = new DataView(reply.payload.buffer).getUint32(4, true);
    }
  }

  /** The rings have come to `positions`. */
  advance(...positions: number[]): void {
    positions.forEach((position, index) => this.#harness.device.bases.set(index, position));
  }

  must(request: number, payload?: Uint8Array, fds: number[] = []): Promise<void> {
    return this.#harness.must(request, payload, fds);
  }

  /** Whether sessions have been destroyed since the last call. */
  hasBegunAnew(): boolean {
    return this.#harness.device.takeCalls().some((call) => call.startsWith("destroyDriverSessions "));
  }
}

interface Conversation {
  readonly name: string;
  readonly beginsAnew: boolean;
  /** Reads of the configuration when the driver was probed first; QEMU's generic device passes on all of them. */
  readonly reads?: number;
  readonly packed?: boolean;
  lead(vmm: Vmm, memoryFd: number): Promise<void>;
}

const CONVERSATIONS: Conversation[] = [
  {
    name: "reset, reboot, kexec, driver removed and loaded, application in the guest killed, through QEMU",
    beginsAnew: true,
    async lead(vmm) {
      await vmm.stop();
      await vmm.readConfig(PROBE_READS);
      await vmm.start();
    },
  },
  {
    name: "the same through a frontend that keeps a copy of the configuration",
    beginsAnew: true,
    reads: 1,
    async lead(vmm) {
      await vmm.stop();
      await vmm.start();
    },
  },
  {
    name: "the same without GET_VRING_BASE",
    beginsAnew: true,
    reads: 1,
    async lead(vmm) {
      await vmm.disable();
      await vmm.must(wire.RESET_OWNER);
      await vmm.start();
    },
  },
  {
    name: "status 0, then a start from the initial position",
    beginsAnew: true,
    reads: 1,
    async lead(vmm) {
      await vmm.must(wire.SET_STATUS, u64s(0));
      await vmm.start();
    },
  },
  {
    name: "other features than before",
    beginsAnew: true,
    async lead(vmm) {
      await vmm.stop();
      await vmm.setFeatures(FEATURES | 1n << 29n);
    },
  },
  {
    name: "a control ring that has wrapped to its initial position, the configuration read",
    beginsAnew: true,
    async lead(vmm) {
      vmm.advance(0, 0, 0);
      await vmm.stop();
      await vmm.readConfig(PROBE_READS);
      await vmm.start();
    },
  },
  {
    name: "a control ring that has wrapped to its initial position, a data ring that restarts",
    beginsAnew: true,
    reads: 1,
    async lead(vmm) {
      vmm.advance(300, 0, 0);
      await vmm.stop();
      await vmm.start();
    },
  },
  {
    name: "a packed ring",
    beginsAnew: true,
    packed: true,
    reads: 1,
    async lead(vmm) {
      await vmm.stop();
      await vmm.start();
    },
  },
  {
    name: "the control ring alone, started while it was served",
    beginsAnew: true,
    reads: 1,
    lead: (vmm) => vmm.must(wire.SET_VRING_BASE, u32s(CONTROL, 0)),
  },
  {
    name: "stop and cont",
    beginsAnew: false,
    async lead(vmm) {
      await vmm.stop();
      await vmm.start(vmm.bases);
    },
  },
  {
    name: "stop and cont with status 0 in between",
    beginsAnew: false,
    async lead(vmm) {
      await vmm.stop();
      await vmm.must(wire.SET_STATUS, u64s(0));
      await vmm.start(vmm.bases);
    },
  },
  {
    name: "stop and cont while an operator reads the configuration",
    beginsAnew: false,
    async lead(vmm) {
      await vmm.stop();
      await vmm.readConfig(1);
      await vmm.start(vmm.bases);
    },
  },
  {
    name: "stop and cont of packed rings, of which one has wrapped to its initial position",
    beginsAnew: false,
    packed: true,
    reads: 1,
    async lead(vmm) {
      vmm.advance(0x8005_8005, 0x0007_0007, INITIAL_PACKED);
      await vmm.stop();
      await vmm.start(vmm.bases);
    },
  },
  {
    name: "stop and cont of a packed ring in its second lap",
    beginsAnew: false,
    packed: true,
    async lead(vmm) {
      vmm.advance(0, 0, 0);
      await vmm.stop();
      await vmm.start(vmm.bases);
    },
  },
  {
    name: "suspension, from which the driver resumes without a look at the configuration",
    beginsAnew: false,
    async lead(vmm) {
      await vmm.stop();
      await vmm.start();
    },
  },
  {
    name: "rings disabled and enabled",
    beginsAnew: false,
    async lead(vmm) {
      await vmm.disable();
      for (const index of RINGS) await vmm.must(wire.SET_VRING_ENABLE, u32s(index, 1));
    },
  },
  {
    name: "rings stopped and kicked again",
    beginsAnew: false,
    async lead(vmm) {
      await vmm.stop();
      await vmm.must(wire.SET_VRING_NUM, u32s(CONTROL, 64));
      await vmm.must(wire.SET_VRING_ENABLE, u32s(CONTROL, 1));
    },
  },
  {
    name: "another memory table, the log switched on, the same features again",
    beginsAnew: false,
    async lead(vmm, memoryFd) {
      await vmm.must(wire.SET_MEM_TABLE, memTable(region(0, 0x10000, ADDRESS)), [memoryFd]);
      await vmm.setFeatures(FEATURES | 1n << 26n);
      await vmm.setFeatures();
    },
  },
  {
    name: "one data queue set up again",
    beginsAnew: false,
    async lead(vmm) {
      await vmm.must(wire.SET_VRING_ENABLE, u32s(0, 0));
      await vmm.startRing(0, 0);
    },
  },
  {
    name: "a control ring moved by the frontend",
    beginsAnew: false,
    reads: 1,
    async lead(vmm) {
      await vmm.stop();
      await vmm.start([0, 0, 3]);
    },
  },
];

for (const { name, beginsAnew, reads = PROBE_READS, packed = false, lead } of CONVERSATIONS) {
  Deno.test(`${beginsAnew ? "another driver" : "the same driver"}: ${name}`, () =>
    withEventFds(RINGS.length, (kicks) =>
      withMemory(1, ([memoryFd]) =>
        withHarness(async (harness) => {
          await harness.shareMemory(memoryFd!);
          const vmm = new Vmm(harness, kicks);
          if (packed) {
            vmm.features |= 1n << BigInt(F_RING_PACKED);
            vmm.initial = INITIAL_PACKED;
          }
          await vmm.readConfig(reads);
          await vmm.start();
          vmm.hasBegunAnew();
          vmm.advance(...(packed ? [0x8005_8005, 0x8000_8000, 0x8006_8006] : [5, 0, 6]));
          await lead(vmm, memoryFd!);
          assertEquals(vmm.hasBegunAnew(), beginsAnew);
        }))));
}
