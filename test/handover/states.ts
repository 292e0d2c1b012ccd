/**
 * Random states of devices, generated from a seed.
 *
 * @module
 */
import type { Random } from "../../src/driver/random.ts";
import type { ConnectionState, DeviceState, ProcessState, RingState, SessionState } from "../../src/handover/state.ts";

/** Random bytes. */
export function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256));
}

function chance(random: Random): boolean {
  return random(2) === 1;
}

/** Distinct numbers in place of descriptors. */
class Descriptors {
  #next = 100;

  constructor(readonly random: Random) {}

  /** A descriptor that exists. */
  take(): number {
    return this.#next++;
  }

  /** A descriptor, or -1. */
  maybe(): number {
    return chance(this.random) ? this.take() : -1;
  }
}

function session(random: Random, slot: number): SessionState {
  return {
    id: (1 + random(1000)) * 4096 + slot,
    origin: random(2),
    kind: random(6),
    algo: random(20),
    hashAlgo: random(20),
    encrypt: chance(random),
    authenticated: chance(random),
    hashFirst: chance(random),
    hashResultLen: random(65),
    tagLen: random(17),
    aadLen: random(2 ** 32),
    keyType: random(3),
    para0: random(2 ** 32),
    para1: random(2 ** 32),
    cipherKey: randomBytes(random, random(80)),
    authKey: randomBytes(random, random(80)),
  };
}

function ring(random: Random, fds: Descriptors): RingState {
  const address = () => random(2 ** 30) * 2 ** 20;
  return {
    size: 2 ** random(16),
    base: random(2 ** 32),
    addresses: chance(random) ? { desc: address(), avail: address(), used: address() } : null,
    started: chance(random),
    enabled: chance(random),
    running: chance(random),
    ownsInflightState: chance(random),
    kickFd: fds.maybe(),
    callFd: fds.maybe(),
    errFd: fds.maybe(),
  };
}

function connection(random: Random, fds: Descriptors, queueCount: number): ConnectionState {
  const size = () => random(2 ** 30) * 4096;
  return {
    fd: fds.take(),
    messageCount: random(1000),
    protocolFeatures: BigInt(random(2 ** 32)) << 16n,
    status: random(256),
    featuresRefused: chance(random),
    incoming: {
      bytes: randomBytes(random, random(40)),
      fds: Array.from({ length: random(4) }, () => fds.take()),
      lostFds: (["none", "too many", "not handed over"] as const)[random(3)]!,
    },
    outgoing: { bytes: randomBytes(random, random(30)), fd: fds.maybe() },
    memory: {
      regions: Array.from({ length: random(5) }, () => ({
        guestAddress: size(),
        sizeBytes: size(),
        userAddress: size(),
        mmapOffset: size(),
        fd: fds.take(),
      })),
      log: chance(random) ? { sizeBytes: size(), offset: size(), fd: fds.take() } : null,
      logsWrites: chance(random),
      isLogCurrent: chance(random),
    },
    inflight: chance(random)
      ? { queueCount, queueSize: random(2 ** 16), sizeBytes: size(), offset: size(), fd: fds.take() }
      : null,
    driver: {
      acknowledged: chance(random) ? BigInt(random(2 ** 32)) << 20n : null,
      hadDriver: chance(random),
      configReads: random(100),
      passesConfigReads: chance(random),
      dataRingRestarted: chance(random),
    },
    rings: Array.from({ length: queueCount }, () => ring(random, fds)),
  };
}

/** The state of a process with one to three devices. */
export function randomState(random: Random): ProcessState {
  const fds = new Descriptors(random);
  const devices = Array.from({ length: 1 + random(3) }, (): DeviceState => {
    const queueCount = 2 + random(3);
    const slots = 1 + random(20);
    return {
      negotiated: {
        queueCount,
        acknowledged: BigInt(random(2 ** 32)) << 32n | 5n,
        draft: (["v19", "v15", "v5"] as const)[random(3)]!,
        asymmetric: (["akcipher", "rfc3", "off"] as const)[random(3)]!,
        config: randomBytes(random, 56),
      },
      sessions: {
        slots,
        createdCount: random(2 ** 32) * 4,
        firstGeneration: random(2 ** 32),
        generations: Uint32Array.from({ length: slots }, () => random(2 ** 32)),
        sessions: Array.from({ length: random(slots) }, (_, slot) => session(random, slot)),
      },
      listening: chance(random) ? { path: "/run/device.sock", fd: fds.take() } : null,
      connection: random(4) === 0 ? null : connection(random, fds, queueCount),
      statistics: {
        connectionCount: random(1000),
        refused: chance(random) ? { err: random(10), nospc: 1 } : {},
        queues: Array.from({ length: queueCount }, () => Float64Array.from({ length: 8 }, () => random(2 ** 32) / 3)),
      },
    };
  });
  return { devices, sockets: Array.from({ length: random(3) }, (_, i) => ({ path: `/run/${i}`, fd: fds.take() })) };
}
