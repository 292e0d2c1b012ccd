/**
 * A device before it has sockets: libraries are loaded and workers run. Then it serves a socket of its own, or takes over
 * the device of another process.
 *
 * @module
 */
import type { DataPlaneFactory } from "../device/data_plane.ts";
import type { CryptoDevice, DeviceOptions, EngineModules } from "../device/device.ts";
import { usualForm } from "../device/negotiated_features.ts";
import type { JobRunnerFactory } from "../device/asymmetric_service.ts";
import type { HaltedDevice } from "../handover/live_region.ts";
import type { DeviceState } from "../handover/state.ts";
import type { EventLoop } from "../os/event_loop.ts";
import type { Log } from "../os/log.ts";
import type { DeviceSnapshot } from "../statistics/snapshot.ts";
import type { VhostUserServer } from "../vhost_user/server.ts";
import { LimitedLog } from "./log_limit.ts";
import type { DeviceKeeper } from "./device_keeper.ts";
import type { ServedDevice, ServeOptions } from "./serve_options.ts";

async function dataPlane(options: ServeOptions): Promise<DataPlaneFactory | undefined> {
  const { workers = 0, cpus = [] } = options;
  if (workers === 0) return undefined;
  const [{ workerPlane }, { POLL_US_DEFAULT }, { checkPinning }] = await Promise.all([
    import("../worker/worker_plane.ts"),
    import("../device/limits.ts"),
    import("../os/affinity.ts"),
  ]);
  for (const cpu of cpus) {
    try {
      checkPinning(cpu);
    } catch (error) {
      throw new RangeError(
        `workers cannot be pinned to CPU ${cpu} (${
          (error as Error).message
        }): choose CPUs that this host has and that ` +
          "this process may use",
      );
    }
  }
  return workerPlane({ workers, pollUs: options.pollUs ?? POLL_US_DEFAULT, cpus });
}

/** Throws if the limit of open descriptors is too low for workers to start. */
async function reserveDescriptors(options: ServeOptions): Promise<void> {
  const { queues = 1, workers = 0, draft = "v19", asymmetric = usualForm(draft) } = options;
  const [{ deviceDescriptors }, { requireDescriptors }] = await Promise.all([
    import("./descriptors.ts"),
    import("../os/resource_limits.ts"),
  ]);
  requireDescriptors(deviceDescriptors({ queues, workers, asymmetric }), ", or serve fewer queues or workers");
}

/** Loads engine modules in this thread first, so that a faulty one is reported before anything is served. */
async function engineModules({ engineModules: places = [] }: ServeOptions, log: Log): Promise<EngineModules> {
  if (places.length === 0) return { urls: [], rows: [] };
  const { engineModuleUrl, loadEngineModules } = await import("../engine/modules/load.ts");
  const urls = places.map(engineModuleUrl);
  const rows = await loadEngineModules(urls, (message) => log("warn", message));
  for (const { module, ciphers, hashes, macs, aeads } of rows) {
    const names = [...ciphers, ...hashes, ...macs, ...aeads].map(({ name }) => name.replace(` of ${module}`, ""));
    log("info", `engine module ${module} serves ${names.join(", ")}`);
  }
  return { urls, rows };
}

/** Sets OpenSSL up; in FIPS mode logs which provider serves. */
async function setUpOpenssl(options: ServeOptions, log: Log): Promise<void> {
  const { opensslConfig: config, opensslProperties: properties, fips = false, engineModules = [] } = options;
  if (fips && (engineModules.length > 0 || options.asymmetric === "rfc3")) {
    throw new TypeError("FIPS mode serves no engine modules and not the rfc3 form: leave out either these or fips");
  }
  const { applyOpensslSettings, defaultConfigWarning } = await import("../engine/openssl_settings.ts");
  const provider = applyOpensslSettings({ config, properties, fips });
  const warning = defaultConfigWarning({ config, properties, fips });
  if (warning !== undefined) log("warn", warning);
  if (provider !== undefined) {
    log("info", `FIPS mode: only ${provider.name} ${provider.version} is used; it has passed its self-test`);
  }
}

function deviceOptions(
  options: ServeOptions,
  log: Log,
  jobRunner: JobRunnerFactory,
  modules: EngineModules,
): Omit<DeviceOptions, "sessionMemory"> {
  const { queues = 1, maxSessions, mux, statelessServices, engines, bursts, draft = "v19" } = options;
  const { asymmetric = usualForm(draft) } = options;
  return {
    dataQueues: queues,
    draft,
    asymmetric,
    jobRunner,
    modules,
    fips: options.fips ?? false,
    migratesSessions: options.migratesSessions ?? false,
    onFault: (message) => log("warn", message),
    log,
    ...(maxSessions === undefined ? {} : { maxSessions }),
    ...(mux === undefined ? {} : { mux }),
    ...(statelessServices === undefined ? {} : { statelessServices }),
    ...(engines === undefined ? {} : { engines }),
    ...(bursts === undefined ? {} : { bursts }),
  };
}

/** The parts of a device. */
interface Parts {
  readonly loop: EventLoop;
  readonly device: CryptoDevice;
  readonly limitedLog: LimitedLog;
  readonly keeper: DeviceKeeper | undefined;
  /** Names and versions of its libraries. */
  readonly opensslVersion: string;
  readonly libraries: readonly string[];
}

type ServerSocket = ConstructorParameters<typeof VhostUserServer>[0]["socket"];

/** A device without sockets. */
export class PreparedDevice {
  readonly #parts: Parts;
  readonly #options: ServeOptions;
  readonly #Server: typeof VhostUserServer;

  /** Created by {@linkcode prepareDevice}. */
  constructor(parts: Parts, options: ServeOptions, Server: typeof VhostUserServer) {
    this.#parts = parts;
    this.#options = options;
    this.#Server = Server;
  }

  /** Resolves when the workers can serve; rejects if they never can. */
  get ready(): Promise<void> {
    return this.#parts.device.ready;
  }

  /** Waits until the workers can serve, and sends them requests of its own, so that their code is loaded and compiled. */
  async rehearse(): Promise<void> {
    await this.ready;
    await this.#parts.device.rehearse();
  }

  /** Serves `socket`; `name` is the device's name in statistics. After an error everything is released. */
  async serve(name: string, socket: ServerSocket): Promise<HostedDevice> {
    try {
      const hosted = this.#host(name, socket);
      this.#parts.keeper?.start();
      return hosted;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  #host(name: string, socket: ServerSocket): HostedDevice {
    const { once = false } = this.#options;
    const { loop, device, keeper, limitedLog: { log } } = this.#parts;
    const keeping = keeper === undefined ? {} : { keeper };
    const server = new this.#Server({ loop, device, log, socket, once, ...keeping, onFinished: () => loop.stop() });
    return new HostedDevice(name, this.#parts, server);
  }

  /**
   * Restores the device of another process from `state`, and takes ownership of its descriptors. The device serves after
   * {@linkcode HostedDevice.continueFrom}. Throws an Error with the cause and the remedy if it cannot.
   */
  async adopt(name: string, state: DeviceState): Promise<HostedDevice> {
    const { listening, connection } = state;
    if (connection !== null) this.#parts.device.restore(state);
    const hosted = this.#host(name, { listening, connection });
    await hosted.restore(state);
    // A job that waits for its worker to load is answered with ERR if the frontend stops the ring meanwhile.
    await this.#parts.device.jobsReady;
    return hosted;
  }

  /** Releases everything. */
  async close(): Promise<void> {
    const { device, loop, keeper, limitedLog } = this.#parts;
    await device.close();
    keeper?.close();
    loop.close();
    limitedLog.close();
  }
}

/** A device with its sockets. */
export class HostedDevice implements ServedDevice {
  readonly opensslVersion: string;
  readonly libraries: readonly string[];
  readonly finished: Promise<void>;
  readonly #name: string;
  readonly #parts: Parts;
  readonly #server: VhostUserServer;
  #isFinished = false;

  /** Starts to serve; a device of another process is served after {@linkcode continueFrom}. */
  constructor(name: string, parts: Parts, server: VhostUserServer) {
    this.#name = name;
    this.#parts = parts;
    this.#server = server;
    this.opensslVersion = parts.opensslVersion;
    this.libraries = parts.libraries;
    this.finished = this.#run();
    this.finished.then(() => this.#isFinished = true, () => this.#isFinished = true);
  }

  /** Resolves when the workers can serve; rejects if they never can. */
  get ready(): Promise<void> {
    return this.#parts.device.ready;
  }

  /** Serves until the loop is stopped, then releases everything. Throws the error of a worker or handler. */
  async #run(): Promise<void> {
    const { loop, device, keeper, limitedLog } = this.#parts;
    let failure: Error | undefined;
    device.ready.catch((error) => {
      failure = error;
      loop.stop();
    });
    try {
      await loop.run();
      if (failure !== undefined) throw failure;
    } finally {
      keeper?.drop();
      await this.#server.close();
      await device.close();
      keeper?.close();
      loop.close();
      limitedLog.close();
    }
  }

  /** Batches of requests that its queues have served so far. */
  get batchCount(): number {
    return this.#parts.device.batchCount;
  }

  statistics(): DeviceSnapshot {
    return {
      device: this.#name,
      isConnected: this.#server.isConnected,
      connections: this.#server.connectionCount,
      ...this.#parts.device.statistics(),
    };
  }

  close(): Promise<void> {
    if (!this.#isFinished) {
      this.#server.stopListening();
      this.#parts.loop.stop();
    }
    return this.finished;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Runs `task` between two handlers of the device's loop. */
  #inLoop<T>(task: () => Promise<T>): Promise<T> {
    if (this.#isFinished) return Promise.reject(new Error("the device has ended"));
    return new Promise((resolve, reject) => this.#parts.loop.interject(() => task().then(resolve, reject)));
  }

  /** Restores the connection of `state` and takes ownership of its descriptors. Throws an Error with the cause. */
  async restore({ connection, statistics }: DeviceState): Promise<void> {
    this.#server.connectionCount = statistics.connectionCount;
    await this.#inLoop(() => this.#server.restore(connection));
  }

  /**
   * Stops handling messages and control requests until {@linkcode resume}. Returns the state, whose descriptors and keys
   * this object keeps.
   */
  freeze(): Promise<DeviceState> {
    return this.#inLoop(async () => {
      const sockets = await this.#server.freeze();
      const state = this.#parts.device.exportState();
      return { ...state, ...sockets, statistics: this.#statistics(state.statistics) };
    });
  }

  #statistics(numbers: Omit<DeviceState["statistics"], "connectionCount">): DeviceState["statistics"] {
    return { ...numbers, connectionCount: this.#server.connectionCount };
  }

  /** Halts all rings until {@linkcode resume}; returns their positions. */
  halt(): Promise<HaltedDevice> {
    return this.#inLoop(async () => {
      const bases = await this.#server.halt();
      return { bases, counters: this.#parts.device.exportStatistics().queues };
    });
  }

  /** Serves again. If `areRecovered`, another process has served the rings meanwhile, so their positions are unknown. */
  resume(areRecovered = false): Promise<void> {
    return this.#inLoop(() => this.#server.resume(areRecovered));
  }

  /** Serves from the positions in `halted`; undefined: the other process ended before it halted, so they are unknown. */
  continueFrom({ statistics }: DeviceState, halted: HaltedDevice | undefined): Promise<void> {
    return this.#inLoop(async () => {
      if (halted !== undefined) this.#server.moveRings(halted.bases);
      await this.#server.resume(halted === undefined);
      this.#parts.device.addStatistics({ ...statistics, queues: halted?.counters ?? statistics.queues });
    });
  }

  /** Starts to keep the state for a later process. */
  keep(): Promise<void> {
    return this.#inLoop(() => {
      this.#server.keep();
      this.#parts.keeper?.start();
      return Promise.resolve();
    });
  }

  /** Drops the kept state. Resolves when the service manager has been notified, or after a bounded time. */
  async forget(): Promise<void> {
    this.#parts.keeper?.drop();
    await this.#parts.keeper?.sent();
  }

  /** Ends without changing sockets and rings, because another process serves them. */
  leave(): Promise<void> {
    this.#server.leave();
    return this.close();
  }
}

/** Creates a device without sockets, whose state `keeper` keeps. Throws the same errors as {@linkcode serve}. */
export async function prepareDevice(options: ServeOptions, keeper?: DeviceKeeper): Promise<PreparedDevice> {
  const [{ EventLoop }, { CryptoDevice }, { VhostUserServer }, { opensslVersion }, { libraryVersions }, jobs] =
    await Promise.all([
      import("../os/event_loop.ts"),
      import("../device/device.ts"),
      import("../vhost_user/server.ts"),
      import("../engine/openssl.ts"),
      import("../engine/library_versions.ts"),
      import("../worker/asymmetric_worker.ts"),
    ]);
  const limitedLog = new LimitedLog(options.log ?? (() => {}));
  const { log } = limitedLog;
  await setUpOpenssl(options, log);
  const modules = await engineModules(options, log);
  const plane = await dataPlane(options);
  await reserveDescriptors(options);
  const loop = new EventLoop();
  const common = deviceOptions(options, log, jobs.workerJobRunner, modules);
  const memory = keeper === undefined ? {} : { sessionMemory: keeper.memory };
  const device = new CryptoDevice({ ...common, ...memory }, loop, plane);
  keeper?.use(device);
  for (const note of device.notes) log("info", note);
  const versions = { opensslVersion: opensslVersion(), libraries: libraryVersions(device.engines) };
  const prepared = new PreparedDevice({ loop, device, keeper, limitedLog, ...versions }, options, VhostUserServer);
  try {
    // Workers need the paths only of engine modules, as all other code is the same.
    if (modules.urls.length > 0) await device.ready;
    options.signal?.throwIfAborted();
  } catch (error) {
    await prepared.close();
    throw error;
  }
  return prepared;
}
