/**
 * A device that serves nothing and records the calls of its transport.
 *
 * @module
 */
import type { BackendDevice, LossCause, RingSetup, SessionMessage } from "../../src/device/backend.ts";
import type { SessionsState } from "../../src/handover/state.ts";
import type { GuestMemory } from "../../src/memory/guest_memory.ts";

/** A session message with its keys copied, since the originals are wiped. */
export function copySession(session: SessionMessage): SessionMessage {
  const { asymmetric } = session;
  return {
    ...session,
    cipherKey: session.cipherKey.slice(),
    authKey: session.authKey.slice(),
    ...(asymmetric && { asymmetric: { ...asymmetric, key: asymmetric.key.slice() } }),
  };
}

/** Records calls as short lines in `calls`, in order. */
export class FakeDevice implements BackendDevice {
  readonly queueCount: number;
  readonly features = (1n << 28n) | (1n << 29n) | (1n << 32n) | (1n << 34n);
  readonly calls: string[] = [];
  readonly sessions: SessionMessage[] = [];
  readonly setups: RingSetup[] = [];
  memory: GuestMemory | undefined;
  /** Thrown by the method named, once for each time it is called. */
  readonly failures = new Map<string, Error>();
  /** What stopRing says. */
  readonly bases = new Map<number, number>();
  /** What createSession says. */
  nextId = 7;

  constructor(queueCount = 3) {
    this.queueCount = queueCount;
  }

  /** The calls since the last time they were taken. */
  takeCalls(): string[] {
    return this.calls.splice(0);
  }

  #record(method: string, ...values: (number | bigint | boolean | string | null)[]): void {
    this.calls.push([method, ...values].join(" "));
    const failure = this.failures.get(method);
    if (failure !== undefined) throw failure;
  }

  setFeatures(acknowledged: bigint): void {
    this.#record("setFeatures", acknowledged);
  }

  readConfig(): Uint8Array {
    return Uint8Array.from({ length: 56 }, (_, i) => i + 1);
  }

  // deno-lint-ignore require-await
  async setMemory(memory: GuestMemory): Promise<void> {
    this.#record("setMemory", memory.regions.length);
    this.memory = memory;
  }

  // deno-lint-ignore require-await
  async startRing(ring: RingSetup): Promise<void> {
    this.setups.push(ring);
    this.#record("startRing", ring.index, ring.size, ring.base);
    this.bases.set(ring.index, ring.base);
  }

  readonly migratesSessions = false;
  readonly maxSessions = 1;

  exportSessions(): SessionsState {
    return { slots: 1, createdCount: 0, firstGeneration: 0, generations: new Uint32Array(1), sessions: [] };
  }

  // deno-lint-ignore require-await
  async importSessions(): Promise<void> {
    this.#record("importSessions");
  }

  // deno-lint-ignore require-await
  async drain(_keepsRecord: boolean): Promise<void> {
    this.#record("drain");
  }

  // deno-lint-ignore require-await
  async stopRing(index: number): Promise<number> {
    this.#record("stopRing", index);
    return this.bases.get(index) ?? 0;
  }

  // deno-lint-ignore require-await
  async setRingEnabled(index: number, enabled: boolean): Promise<void> {
    this.#record("setRingEnabled", index, enabled);
  }

  // deno-lint-ignore require-await
  async setRingCall(index: number, callFd: number): Promise<void> {
    this.#record("setRingCall", index, callFd >= 0);
  }

  // deno-lint-ignore require-await
  async setRingErr(index: number, errFd: number): Promise<void> {
    this.#record("setRingErr", index, errFd >= 0);
  }

  createSession(session: SessionMessage): number {
    this.sessions.push(copySession(session));
    this.#record("createSession", session.opcode);
    return this.nextId;
  }

  closeSession(id: number): void {
    this.#record("closeSession", id);
  }

  // deno-lint-ignore require-await
  async destroyDriverSessions(cause: LossCause): Promise<void> {
    this.#record("destroyDriverSessions", cause);
  }

  // deno-lint-ignore require-await
  async reset(cause: LossCause | null): Promise<void> {
    this.#record("reset", cause);
  }
}
