/**
 * The state of each ring: what the frontend has set, in any order, and when the device serves the ring. A ring is served
 * while the frontend has started it (SET_VRING_KICK), its size and addresses are set, its memory is mapped, and it is not
 * disabled. Rings start enabled: QEMU's cryptodev-vhost-user never sends SET_VRING_ENABLE. Owns the rings' descriptors;
 * does not access ring memory.
 *
 * @module
 */
import { type BackendDevice, RingSetupError } from "../device/backend.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { closeFd } from "../os/event_fd.ts";
import { releaseThreads, SignalFd } from "../os/passed_fd.ts";
import { QUEUE_SIZE_MAX } from "../wire/vring.ts";
import type { DriverTracker } from "./driver_tracker.ts";
import type { Log } from "../os/log.ts";
import type { InflightState, RingState } from "../handover/state.ts";
import { InflightRegion, newInflightRegion } from "./inflight_region.ts";
import { NO_FD_REMEDY, RequestError } from "./messages.ts";

/** Interval at which threads that wait at a descriptor are released while a ring is stopped, in milliseconds. */
const RELEASE_INTERVAL_MS = 400;

/**
 * Maximum time, in milliseconds, that running asymmetric operations are waited for when rings are suspended: the guest
 * would rather wait than get an error. It is less than the bound of a stop by SIGTERM, which waits for this.
 */
const SUSPEND_MS_MAX = 4000;

/** The frontend's addresses of a ring. */
export interface RingAddresses {
  /** Descriptor area. */
  readonly desc: number;
  /** Driver area. */
  readonly avail: number;
  /** Device area. */
  readonly used: number;
}

class Ring {
  readonly index: number;
  size = 0;
  base = 0;
  addresses: RingAddresses | undefined;
  /** True between SET_VRING_KICK and GET_VRING_BASE, with or without a descriptor. */
  started = false;
  enabled = true;
  /** True while the device serves it. */
  running = false;
  /** True from {@linkcode Rings.suspend} until {@linkcode Rings.resume}, if the device serves it otherwise. */
  suspended = false;
  /** True if the device has served it with the current inflight region, whose requests are then this process's own. */
  ownsInflightState = false;
  kickFd = -1;
  callFd = -1;
  errFd = -1;

  constructor(index: number) {
    this.index = index;
  }

  closeKick(): void {
    closeFd(this.kickFd);
    this.kickFd = -1;
    this.started = false;
  }

  closeAll(): void {
    this.closeKick();
    closeFd(this.callFd);
    closeFd(this.errFd);
    this.callFd = -1;
    this.errFd = -1;
  }
}

/** The state of a ring that is to be served again. */
interface ResumedRing {
  /** It was served until now. */
  readonly wasRunning: boolean;
  /** Another process has served it since. */
  readonly isRecovered?: boolean;
}

/** All rings of one connection. Methods throw {@linkcode RequestError} for an invalid ring index or value. */
export class Rings {
  readonly #device: BackendDevice;
  readonly #log: Log;
  readonly #driver: DriverTracker;
  readonly #rings: readonly Ring[];
  readonly #keepsRecord: boolean;
  #hasMemory = false;
  #inflight: InflightRegion | undefined;

  /**
   * Rings for the queues of `device`; `driver` is informed of bases. No ring is served before there is guest memory. If
   * `keepsRecord`, there is an inflight region even if the frontend has none.
   */
  constructor(device: BackendDevice, log: Log, driver: DriverTracker, keepsRecord = false) {
    this.#keepsRecord = keepsRecord;
    this.#device = device;
    this.#driver = driver;
    this.#log = log;
    this.#rings = Array.from({ length: device.queueCount }, (_, index) => new Ring(index));
  }

  /** True while any ring is served. */
  get isServing(): boolean {
    return this.#rings.some(({ running }) => running);
  }

  #ring(index: number): Ring {
    const ring = this.#rings[index];
    if (ring === undefined) {
      throw new RequestError(`there is no ring ${index}: this device has ${this.#rings.length}`);
    }
    return ring;
  }

  /** Throws unless there is a ring `index`; called before a descriptor is passed on. */
  checkIndex(index: number): void {
    this.#ring(index);
  }

  /** SET_VRING_NUM. The device checks at start whether the ring's format allows the size. */
  async setSize(index: number, size: number): Promise<void> {
    const ring = this.#ring(index);
    if (size === 0 || size > QUEUE_SIZE_MAX) {
      throw new RequestError(`ring ${index} cannot have ${size} entries: 1 to ${QUEUE_SIZE_MAX} are possible`);
    }
    if (size === ring.size) return;
    await this.#change(ring, () => {
      this.#forget(ring);
      ring.size = size;
    });
  }

  /** SET_VRING_BASE. */
  async setBase(index: number, base: number): Promise<void> {
    const ring = this.#ring(index);
    await this.#change(ring, async () => {
      this.#forget(ring);
      if (this.#driver.setBase(index, ring.base, base)) await this.#device.destroyDriverSessions("restart");
      ring.base = base;
    });
  }

  /** SET_VRING_ADDR. The frontend repeats the addresses when only the flags change. */
  async setAddresses(index: number, addresses: RingAddresses): Promise<void> {
    const ring = this.#ring(index);
    const old = ring.addresses;
    const same = old?.desc === addresses.desc && old.avail === addresses.avail && old.used === addresses.used;
    if (same) return;
    await this.#change(ring, () => {
      this.#forget(ring);
      ring.addresses = addresses;
    });
  }

  /** SET_VRING_KICK: starts the ring, which owns `fd` from now on; -1: the ring is polled. */
  async setKick(index: number, fd: number): Promise<void> {
    const ring = this.#ring(index);
    await this.#change(ring, () => {
      ring.closeKick();
      ring.kickFd = fd;
      ring.started = true;
    });
  }

  /** SET_VRING_CALL, at any time: the ring owns `fd` from now on; -1: it is never signalled. */
  async setCall(index: number, fd: number): Promise<void> {
    const ring = this.#ring(index);
    const old = ring.callFd;
    ring.callFd = fd;
    if (ring.running) await this.#device.setRingCall(index, fd);
    closeFd(old);
  }

  /** SET_VRING_ERR: the same for the descriptor that reports a broken ring. */
  async setErr(index: number, fd: number): Promise<void> {
    const ring = this.#ring(index);
    const old = ring.errFd;
    ring.errFd = fd;
    if (ring.running) await this.#device.setRingErr(index, fd);
    closeFd(old);
  }

  /** SET_VRING_ENABLE. Requests in a disabled ring stay available; all are served when it is enabled again. */
  async setEnabled(index: number, enabled: boolean): Promise<void> {
    const ring = this.#ring(index);
    if (enabled !== ring.enabled) await this.#change(ring, () => ring.enabled = enabled);
  }

  /** The effect of SET_FEATURES without VHOST_USER_F_PROTOCOL_FEATURES. */
  async enableAll(): Promise<void> {
    for (const ring of this.#rings) await this.setEnabled(ring.index, true);
  }

  /** GET_VRING_BASE: stops the ring, which keeps its size and addresses; returns the base to continue at. */
  async stop(index: number): Promise<number> {
    const ring = this.#ring(index);
    await this.#pause(ring);
    ring.closeKick();
    this.#forget(ring);
    return ring.base;
  }

  /**
   * Clears the inflight state of a ring that was served here: no request is in flight, and the frontend gets the position
   * or sets another one.
   */
  #forget(ring: Ring): void {
    if (ring.ownsInflightState) this.#inflight?.clear(ring.index);
    ring.ownsInflightState = false;
  }

  /** SET_INFLIGHT_FD: rings record requests in flight in `region`, which this object owns from now on. */
  async setInflight(region: InflightRegion): Promise<void> {
    const running = this.#rings.filter((ring) => ring.running);
    await this.#pauseAll();
    this.#inflight?.release();
    this.#inflight = region;
    for (const ring of this.#rings) ring.ownsInflightState = false;
    for (const ring of running) await this.#resume(ring);
  }

  /** Stops serving every ring, as for a device that is being reset. */
  async stopAll(): Promise<void> {
    await this.#drain();
    for (const ring of this.#rings) await this.stop(ring.index);
  }

  /** RESET_DEVICE: resets rings to their initial state, but keeps call and err descriptors, which are not sent again. */
  async reset(): Promise<void> {
    await this.stopAll();
    for (const ring of this.#rings) {
      ring.size = 0;
      ring.base = 0;
      ring.addresses = undefined;
      ring.enabled = true;
    }
  }

  /**
   * Makes the device use another memory table. No ring is served during the change; afterwards each ring that is started
   * and enabled and whose memory is mapped continues where it was, with its pending requests, even if it was not served
   * before because of its memory or a fault.
   */
  async setMemory(memory: GuestMemory): Promise<void> {
    const running = this.#rings.filter((ring) => ring.running);
    try {
      await this.#pauseAll();
      await this.#device.setMemory(memory);
      this.#hasMemory = memory.regions.length > 0;
    } finally {
      for (const ring of this.#rings) await this.#resumeIfMapped(ring, { wasRunning: running.includes(ring) });
    }
  }

  /** Starts `ring` if its memory is mapped; otherwise logs a warning if it was running until now. */
  async #resumeIfMapped(ring: Ring, { wasRunning, isRecovered = false }: ResumedRing): Promise<void> {
    try {
      await this.#resume(ring, isRecovered);
    } catch (error) {
      const reason = (error as Error).message;
      this.#log(wasRunning ? "warn" : "debug", `ring ${ring.index} is stopped until its memory is mapped: ${reason}`);
    }
  }

  /**
   * Stops serving all rings, or only the one with number `only`, until {@linkcode resume}. Frontend and driver notice
   * nothing; no message is handled meanwhile.
   */
  async suspend(only?: number): Promise<void> {
    const rings = this.#rings.filter(({ index, running }) => running && (only === undefined || index === only));
    for (const ring of rings) ring.suspended = true;
    if (only === undefined) await this.#pauseAll(SUSPEND_MS_MAX);
    else for (const ring of rings) await this.#pause(ring);
  }

  /**
   * Serves the suspended rings again. If `areRecovered`, another process has served them since, and ended without
   * saying where.
   */
  async resume(areRecovered = false): Promise<void> {
    const suspended = this.#rings.filter((ring) => ring.suspended);
    for (const ring of suspended) ring.suspended = false;
    // All at once: different workers serve them.
    await Promise.all(
      suspended.map((ring) => this.#resumeIfMapped(ring, { wasRunning: true, isRecovered: areRecovered })),
    );
  }

  /** The position of each ring. */
  get bases(): number[] {
    return this.#rings.map(({ base }) => base);
  }

  /** Sets the position of suspended ring `index`, as another process has said. */
  moveTo(index: number, base: number): void {
    this.#ring(index).base = base;
  }

  /** The rings as another process needs them. */
  exportState(): RingState[] {
    return this.#rings.map((ring) => {
      const { size, base, started, enabled, running, suspended, ownsInflightState, kickFd, callFd, errFd } = ring;
      const addresses = ring.addresses ?? null;
      return {
        ...{ size, base, addresses, started, enabled, running: running || suspended, ownsInflightState },
        ...{ kickFd, callFd, errFd },
      };
    });
  }

  /** The inflight region as another process needs it. */
  exportInflight(): InflightState | null {
    return this.#inflight === undefined ? null : { ...this.#inflight.range, fd: this.#inflight.fd };
  }

  /**
   * Continues with `states`, one for each ring, and `inflight`, whose descriptors it owns. The rings that were served are
   * suspended. Throws {@linkcode RequestError}.
   */
  restore(states: readonly RingState[], inflight: InflightState | null): void {
    if (states.length !== this.#rings.length) {
      throw new RequestError(`there are ${states.length} rings, and this device has ${this.#rings.length}`);
    }
    for (const [index, state] of states.entries()) {
      const ring = this.#rings[index]!;
      if (state.size > QUEUE_SIZE_MAX) throw new RequestError(`ring ${index} cannot have ${state.size} entries`);
      const { size, base, started, enabled, ownsInflightState, kickFd, callFd, errFd } = state;
      Object.assign(ring, { size, base, started, enabled, ownsInflightState, kickFd, callFd, errFd });
      ring.addresses = state.addresses ?? undefined;
      ring.suspended = state.running;
    }
    if (inflight === null) return;
    this.#inflight = new InflightRegion(inflight, inflight.fd, this.#rings.length);
    closeFd(inflight.fd);
  }

  /** The end of the connection: stops the rings and closes their descriptors, even if stopping fails. */
  async close(): Promise<void> {
    try {
      await this.#drain(true);
    } catch (error) {
      this.#log("error", `the rings were not drained: ${(error as Error).message}`);
    }
    for (const ring of this.#rings) {
      try {
        await this.#pause(ring);
      } catch (error) {
        this.#log("error", `ring ${ring.index} did not stop: ${(error as Error).message}`);
      }
      ring.closeAll();
    }
    this.#inflight?.release();
    this.#inflight = undefined;
  }

  /** Applies a change to a ring's set-up. A ring that is served is stopped for it and started again afterwards. */
  async #change(ring: Ring, apply: () => unknown): Promise<void> {
    try {
      await this.#pause(ring);
    } finally {
      await apply();
    }
    try {
      await this.#resume(ring);
    } catch (error) {
      if (error instanceof RingSetupError) new SignalFd(ring.errFd, true).signal();
      throw error;
    }
  }

  /** Called before all rings are stopped, so that stopping all takes no longer than stopping one. */
  async #drain(keepsRecord = false, graceMs?: number): Promise<void> {
    if (this.isServing) await this.#released(this.#device.drain(keepsRecord, graceMs));
  }

  /** Waits for `work`; threads that wait at descriptors which the frontend has made blocking are released meanwhile. */
  async #released<T>(work: Promise<T>): Promise<T> {
    const timer = setInterval(() => {
      for (const { kickFd, callFd, errFd } of this.#rings) releaseThreads(kickFd, [callFd, errFd]);
    }, RELEASE_INTERVAL_MS);
    try {
      return await work;
    } finally {
      clearInterval(timer);
    }
  }

  async #pause(ring: Ring): Promise<void> {
    if (!ring.running) return;
    ring.running = false;
    ring.base = await this.#released(this.#device.stopRing(ring.index));
  }

  /** Stops serving every ring. Throws the first error after all have stopped. */
  async #pauseAll(graceMs?: number): Promise<void> {
    // The device executes commands in their order: with one message for all, a worker is waited for once.
    const steps = [this.#drain(false, graceMs), ...this.#rings.map((ring) => this.#pause(ring))];
    for (const outcome of await Promise.allSettled(steps)) if (outcome.status === "rejected") throw outcome.reason;
  }

  #inflightOf(index: number, size: number): { inflightAddress?: number } {
    if (this.#inflight === undefined) return {};
    const address = this.#inflight.addressOf(index, size);
    if (address === 0) {
      this.#log("warn", `the inflight region is too small for ring ${index}: a crash loses its requests in flight`);
    }
    return { inflightAddress: address };
  }

  async #resume(ring: Ring, isRecovered = false): Promise<void> {
    const { index, size, base, addresses, kickFd, callFd, errFd } = ring;
    if (ring.running || ring.suspended || !ring.started || !ring.enabled || size === 0 || addresses === undefined) {
      return;
    }
    if (!this.#hasMemory) {
      this.#log("warn", `ring ${index} waits for guest memory: the frontend has shared none, ${NO_FD_REMEDY}`);
      return;
    }
    if (this.#keepsRecord) this.#inflight ??= newInflightRegion(this.#rings.length);
    await this.#device.startRing({
      index,
      size,
      descAddress: addresses.desc,
      driverAddress: addresses.avail,
      deviceAddress: addresses.used,
      base,
      kickFd,
      callFd,
      errFd,
      ...this.#inflightOf(index, size),
      ...(isRecovered ? { isRecovered } : {}),
    });
    ring.running = true;
    ring.ownsInflightState = this.#inflight !== undefined;
    this.#log("debug", `ring ${index} is served: ${size} entries, base ${base}`);
  }
}
