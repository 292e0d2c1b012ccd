/**
 * The crypto device: configuration, sessions, control queue, and the data plane that serves its data queues.
 *
 * @module
 */
import type { Catalogue, ModuleRows } from "../engine/catalogue.ts";
import { catalogueOf } from "../engine/fips.ts";
import type { MultiBufferChoice } from "../engine/multibuffer/policy.ts";
import { testMultiBuffer } from "../engine/multibuffer/self_test.ts";
import { type EngineName, ENGINES } from "../engine/libraries.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import type { EventLoop } from "../os/event_loop.ts";
import type { Log, LogLevel } from "../os/log.ts";
import type { Draft } from "../wire/drafts/draft.ts";
import { CONFIG_BYTES_V5 } from "../wire/drafts/v5.ts";
import * as wire from "../wire/virtio_crypto.ts";
import type { DeviceState, NegotiatedState, SessionsState, StatisticsState } from "../handover/state.ts";
import type { BackendDevice, LossCause, RingSetup, SessionMessage } from "./backend.ts";
import { encodeConfig, offeredAsymmetric, servicesOf } from "./config.ts";
import { ControlPath } from "./control_path.ts";
import { checkNegotiated } from "./device_state.ts";
import { createCounterMemory } from "./counters.ts";
import { V5ControlPath } from "./drafts/v5_control_path.ts";
import { lossLine } from "./destruction_causes.ts";
import { InvsessLog } from "./invsess_log.ts";
import { type DataPlane, type DataPlaneFactory, LocalPlane, localPlane } from "./data_plane.ts";
import {
  type AsymmetricForm,
  checkFeatures,
  checkForm,
  hasBit,
  NegotiatedFeatures,
  offeredFeatures,
} from "./negotiated_features.ts";
import type { JobRunner, JobRunnerFactory } from "./asymmetric_service.ts";
import { SESSIONS_DEFAULT } from "./limits.ts";
import { type QueueCommand, QueueGroup } from "./queue_group.ts";
import { QueueServer } from "./queue_server.ts";
import { rehearse } from "./rehearsal.ts";
import { SessionFactory } from "./session_factory.ts";
import type { SessionMemory } from "./session_memory.ts";
import { createFromMessage } from "./session_message.ts";
import { DeviceCounters, type DeviceStatistics } from "./statistics.ts";
import { ORIGIN_CONTROL_QUEUE, SessionTable } from "./sessions.ts";

/** Engine modules of a device. */
export interface EngineModules {
  /** The URLs of the modules. */
  readonly urls: readonly string[];
  /** Their algorithms. */
  readonly rows: readonly ModuleRows[];
}

/** The state of a device without its sockets. */
export type CryptoState = Pick<DeviceState, "negotiated" | "sessions"> & {
  readonly statistics: Omit<StatisticsState, "connectionCount">;
};

const NO_MODULES: EngineModules = { urls: [], rows: [] };

/** The options of a device. */
export interface DeviceOptions {
  /** Data queues, 1 to {@linkcode DATA_QUEUES_MAX}. */
  readonly dataQueues: number;
  /** The draft of the specification to follow; v19 by default. */
  readonly draft?: Draft;
  /** Maximum number of sessions at a time. */
  readonly maxSessions?: number;
  /** Offer VIRTIO_CRYPTO_F_MUX_MODE, and with it the stateless modes. */
  readonly mux?: boolean;
  /** Offer the stateless mode of these services (SERVICE_CIPHER, …). All four by default. */
  readonly statelessServices?: readonly number[];
  /** Libraries that algorithms may come from (default: all). Libraries that are not named are not opened. */
  readonly engines?: readonly EngineName[];
  /** Nothing but OpenSSL's FIPS provider, whatever `engines` and `modules` say; `applyOpensslSettings` has required it. */
  readonly fips?: boolean;
  /** Algorithms from elsewhere, as loaded into this thread, and the URLs that other threads load them from. */
  readonly modules?: EngineModules;
  /** When requests are executed in multi-buffer batches: where it is measured to be faster ("auto") by default. */
  readonly bursts?: MultiBufferChoice;
  /** The form of the asymmetric service to offer; "off" by default, without a `jobRunner` and without OpenSSL. */
  readonly asymmetric?: AsymmetricForm;
  /** Makes the runner of asymmetric operations. */
  readonly jobRunner?: JobRunnerFactory;
  /** Memory of the session table; private to this process if not given. */
  readonly sessionMemory?: SessionMemory;
  /** Offer to transfer sessions, keys included, through the frontend (VHOST_USER_PROTOCOL_F_DEVICE_STATE). */
  readonly migratesSessions?: boolean;
  /** Called with a description when a guest has broken a ring. */
  readonly onFault?: (message: string) => void;
  /** Logs what becomes of sessions; nothing is logged if not given. */
  readonly log?: Log;
}

/** The device. Its control path runs in the thread that makes it; its data path runs where the data plane does. */
export class CryptoDevice implements BackendDevice {
  readonly queueCount: number;
  readonly features: bigint;
  readonly configBytesMax: number;
  readonly migratesSessions: boolean;
  /** What is not on offer for want of a library, or not used for its wrong answers, in sentences for people. */
  readonly notes: readonly string[];
  readonly #catalogue: Catalogue;
  readonly #config: Uint8Array;
  /** What the frontend is told: another process may have told it something else. */
  #shownConfig: Uint8Array;
  readonly #sessions: SessionTable;
  readonly #controlPlane: DataPlane;
  readonly #dataPlane: DataPlane;
  readonly #factory: SessionFactory;
  readonly #draft: Draft;
  readonly #asymmetric: AsymmetricForm;
  readonly #jobs: JobRunner | undefined;
  readonly #counters: DeviceCounters;
  readonly #log: Log;
  readonly #invsessLog: InvsessLog;
  #isRehearsing = false;
  #acknowledged = 0n;

  /**
   * Makes a device whose control queue is served on `loop`, as are its data queues unless `createDataPlane` is given.
   */
  constructor(options: DeviceOptions, loop: EventLoop, createDataPlane: DataPlaneFactory = localPlane) {
    const { dataQueues, maxSessions = SESSIONS_DEFAULT, mux = true, engines = ENGINES, bursts = "auto" } = options;
    const { modules = NO_MODULES, fips = false, draft = "v19" } = options;
    this.#catalogue = catalogueOf({ engines, fips }, modules.rows);
    const selfTest = testMultiBuffer(this.#catalogue, bursts);
    this.notes = [...this.#catalogue.notes, ...selfTest.notes];
    // The asymmetric service is served by OpenSSL alone.
    const canAsymmetric = options.jobRunner !== undefined && this.#catalogue.engines.has("openssl");
    const offered = offeredAsymmetric(canAsymmetric ? options.asymmetric ?? "off" : "off");
    const asymmetric = offered.form;
    checkForm(draft, asymmetric);
    const stateless = (options.statelessServices ?? [0, 1, 2, 3, 4]).filter((service) =>
      service !== wire.SERVICE_AKCIPHER || asymmetric === "akcipher"
    );
    const onFault = options.onFault ?? (() => {});
    this.#log = options.log ?? (() => {});
    this.queueCount = dataQueues + 1;
    this.#draft = draft;
    this.features = offeredFeatures(draft, mux, stateless);
    this.#asymmetric = asymmetric;
    // v5's driver knows one length; the configuration spaces of later drafts may be read as longer ones.
    this.configBytesMax = draft === "v5" ? CONFIG_BYTES_V5 : Infinity;
    this.#config = encodeConfig(draft, this.#catalogue, dataQueues, offered);
    this.#shownConfig = this.#config;
    this.#sessions = new SessionTable(maxSessions, asymmetric === "akcipher", options.sessionMemory);
    this.migratesSessions = options.migratesSessions ?? false;
    const sessions = this.#sessions.location;
    this.#jobs = asymmetric === "off" ? undefined : options.jobRunner!(dataQueues, sessions);
    const pools = this.#jobs?.pools ?? [];
    const counters = Array.from({ length: dataQueues }, createCounterMemory);
    const controlCounters = createCounterMemory();
    this.#counters = new DeviceCounters(counters, controlCounters, this.#sessions);
    this.#invsessLog = new InvsessLog(counters, (level, message) => this.#say(level, message));
    this.#dataPlane = createDataPlane({
      ...{ dataQueues, sessions, engines, fips, pools, counters, draft, asymmetric, onFault, loop },
      bursts: selfTest.policy,
      ...{ modules: modules.rows, moduleUrls: modules.urls },
    });
    const negotiated = new NegotiatedFeatures(servicesOf(this.#catalogue), asymmetric, draft);
    const onAsymmetric = asymmetric === "akcipher" ? () => this.#jobs?.start() : null;
    this.#factory = new SessionFactory(this.#sessions, this.#catalogue, onAsymmetric);
    const onDestroyed = () => this.#evict();
    const controlPath = draft === "v5"
      ? new V5ControlPath(this.#sessions, this.#factory, this.#catalogue, onDestroyed)
      : new ControlPath(this.#sessions, this.#factory, negotiated, onDestroyed);
    const controlQueue = new QueueServer("the control queue", controlPath, {
      onFault,
      jobs: null,
      counters: controlCounters,
    });
    // The control queue's thread keeps no keys.
    const memory = { evict() {}, clear() {}, close: () => this.#factory.close() };
    this.#controlPlane = new LocalPlane(
      loop,
      (watch) => new QueueGroup(new Map([[dataQueues, controlQueue]]), negotiated, memory, watch),
    );
  }

  /** Resolves when the data queues can be served; rejects if they never can. */
  get ready(): Promise<void> {
    return this.#dataPlane.ready;
  }

  /** Resolves when the worker for asymmetric requests executes them, or immediately if it has not been started. */
  get jobsReady(): Promise<void> {
    return this.#jobs?.ready ?? Promise.resolve();
  }

  /** The libraries in use. */
  get engines(): ReadonlySet<EngineName> {
    return this.#catalogue.engines;
  }

  setFeatures(acknowledged: bigint): void {
    checkFeatures(acknowledged, this.features, this.#draft);
    this.#acknowledged = acknowledged;
    // Requests that carry their keys may come at any time from now on; other requests come after a session is created.
    if (this.#asymmetric === "rfc3" || hasBit(acknowledged, wire.F_AKCIPHER_STATELESS_MODE)) this.#jobs?.start();
  }

  readConfig(): Uint8Array {
    return this.#shownConfig.slice();
  }

  /** What another process needs to continue for this device, as it is now. Keys are views of the session table. */
  exportState(): CryptoState {
    return {
      negotiated: this.exportNegotiated(),
      sessions: this.exportSessions(),
      statistics: this.exportStatistics(),
    };
  }

  /** The counters, as another process adds them to its own. */
  exportStatistics(): CryptoState["statistics"] {
    return this.#counters.exportState();
  }

  /** What was negotiated with the frontend and the driver. */
  exportNegotiated(): NegotiatedState {
    return {
      queueCount: this.queueCount,
      acknowledged: this.#acknowledged,
      draft: this.#draft,
      asymmetric: this.#asymmetric,
      config: this.readConfig(),
    };
  }

  exportSessions(): SessionsState {
    return this.#sessions.exportState();
  }

  get maxSessions(): number {
    return this.#sessions.slots;
  }

  async importSessions(sessions: SessionsState): Promise<void> {
    await this.#destroySessions("load");
    try {
      this.#factory.restore(sessions);
    } catch (error) {
      await this.#destroySessions(null);
      throw error;
    }
  }

  /** Throws {@linkcode StateMismatchError} if a frontend to which this was told cannot be served. */
  checkNegotiated(state: NegotiatedState): void {
    const { queueCount, features } = this;
    const [draft, asymmetric, configBytes] = [this.#draft, this.#asymmetric, this.#config.length];
    checkNegotiated(state, { queueCount, features, draft, asymmetric, configBytes });
  }

  /**
   * Continues for a device of another process, whose frontend is connected, before any ring is started. The frontend
   * still sees the configuration space that it was told. Throws {@linkcode StateMismatchError}.
   */
  restore({ negotiated, sessions }: CryptoState): void {
    this.checkNegotiated(negotiated);
    this.setFeatures(negotiated.acknowledged);
    this.#shownConfig = negotiated.config;
    this.#factory.restore(sessions);
  }

  /** Answers requests of its own, before there is a frontend, so that the first requests of one are answered sooner. */
  async rehearse(): Promise<void> {
    this.#isRehearsing = true;
    await rehearse(this).finally(() => this.#isRehearsing = false);
    this.#counters.clear();
    this.#invsessLog.skip();
  }

  /** Adds the counters of a device of another process to this one's. */
  addStatistics(state: CryptoState["statistics"]): void {
    this.#counters.add(state);
    this.#invsessLog.skip();
  }

  async setMemory({ regions, log }: GuestMemory): Promise<void> {
    await this.#executeAll({ kind: "memory", regions, log: log?.location ?? null });
  }

  async startRing(ring: RingSetup): Promise<void> {
    await this.#planeOf(ring.index).execute({ kind: "start", ring, acknowledged: this.#acknowledged });
    this.#invsessLog.start();
  }

  async drain(keepsRecord: boolean, graceMs?: number): Promise<void> {
    await this.#executeAll({ kind: "drain", keepsRecord, ...(graceMs === undefined ? {} : { graceMs }) });
  }

  async stopRing(index: number): Promise<number> {
    return await this.#planeOf(index).execute({ kind: "stop", index });
  }

  async setRingCall(index: number, fd: number): Promise<void> {
    await this.#planeOf(index).execute({ kind: "call", index, fd });
  }

  async setRingErr(index: number, fd: number): Promise<void> {
    await this.#planeOf(index).execute({ kind: "err", index, fd });
  }

  /** The plane that serves queue `index`. */
  #planeOf(index: number): DataPlane {
    if (index < 0 || index >= this.queueCount) {
      throw new RangeError(`there is no queue ${index}: this device has ${this.queueCount}`);
    }
    return index === this.queueCount - 1 ? this.#controlPlane : this.#dataPlane;
  }

  async #executeAll(command: QueueCommand): Promise<void> {
    await Promise.all([this.#controlPlane.execute(command), this.#dataPlane.execute(command)]);
  }

  /** Sessions have been destroyed: their native contexts are evicted wherever they are. */
  #evict(): void {
    this.#dataPlane.evict();
    this.#jobs?.evict();
  }

  /** Batches of requests that its queues have served so far. */
  get batchCount(): number {
    return this.#counters.batchCount;
  }

  /** A snapshot of the device's counters. */
  statistics(): DeviceStatistics {
    return this.#counters.read();
  }

  createSession(session: SessionMessage): number {
    const id = createFromMessage(this.#factory, session);
    if (id < 0) this.#counters.refused(-id);
    return id;
  }

  closeSession(id: number): void {
    if (!this.#sessions.destroy(id % 2 ** 32, Math.floor(id / 2 ** 32))) return;
    this.#counters.destroyed("message", 1);
    this.#evict();
  }

  async destroyDriverSessions(cause: LossCause): Promise<void> {
    await this.#destroySessions(cause, ORIGIN_CONTROL_QUEUE);
  }

  /** Destroys all sessions, or only those from `origin`. Null: they are lost to no driver. */
  async #destroySessions(cause: LossCause | null, origin?: number): Promise<void> {
    const before = this.#sessions.count;
    this.#sessions.clear(origin);
    if (cause !== null) this.#lost(cause, before - this.#sessions.count);
    this.#jobs?.evict();
    await this.#executeAll({ kind: "clear" });
  }

  #lost(cause: LossCause, count: number): void {
    this.#counters.destroyed(cause, count);
    this.#say(count > 0 ? "info" : "debug", lossLine(cause, count));
  }

  /** Logs, except for what the device does by itself. */
  #say(level: LogLevel, message: string): void {
    if (!this.#isRehearsing) this.#log(level, message);
  }

  async reset(cause: LossCause | null): Promise<void> {
    this.#acknowledged = 0n;
    this.#shownConfig = this.#config;
    this.#invsessLog.stop();
    await this.#destroySessions(cause);
  }

  /** Releases all resources. All rings are stopped and the loop no longer runs. */
  async close(): Promise<void> {
    await this.reset(null);
    await Promise.all([this.#controlPlane.close(), this.#dataPlane.close()]);
    if (this.#jobs === undefined) this.#sessions.close();
    else await this.#jobs.close(() => this.#sessions.close());
  }
}
