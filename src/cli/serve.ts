/**
 * The function `serve()`, which starts a device, for the program and for embedding. It is independent of the command
 * line, writes nothing to the console, and loads its modules when it is called, so that a missing library throws an
 * error that callers can handle.
 *
 * @module
 */
import type { DataPlaneFactory } from "../device/data_plane.ts";
import type { CryptoDevice, DeviceOptions, EngineModules } from "../device/device.ts";
import { type AsymmetricForm, usualForm } from "../device/negotiated_features.ts";
import type { JobRunnerFactory } from "../device/asymmetric_service.ts";
import type { MultiBufferChoice } from "../engine/multibuffer/policy.ts";
import type { EngineName } from "../engine/libraries.ts";
import type { EventLoop } from "../os/event_loop.ts";
import type { Log } from "../os/log.ts";
import type { DeviceSnapshot } from "../statistics/snapshot.ts";
import type { VhostUserServer } from "../vhost_user/server.ts";
import type { Draft } from "../wire/drafts/draft.ts";
import { LimitedLog } from "./log_limit.ts";

/** Options of {@linkcode serve}. */
export interface ServeOptions {
  /** Path of the unix socket to listen on, which must be free or left behind by a dead process. */
  readonly socketPath?: string;
  /** Descriptor of a connected or listening unix socket to serve instead; the device owns it from then on. */
  readonly fd?: number;
  /** Permissions of the socket at `socketPath`; by the process's umask if not given. */
  readonly socketMode?: number;
  /** Group id of the socket at `socketPath`; assigned by the system if not given. */
  readonly socketGroup?: number;
  /** Number of data queues; 1 if not given. */
  readonly queues?: number;
  /** Maximum number of sessions. */
  readonly maxSessions?: number;
  /**
   * The draft of the specification that the device follows: `v19` (default; used by Linux, QEMU and DPDK), `v15`
   * (January 2017), or `v5` (September 2016).
   */
  readonly draft?: Draft;
  /** Offer VIRTIO_CRYPTO_F_MUX_MODE; true if not given. v19 only. */
  readonly mux?: boolean;
  /** Numbers of the services (0 CIPHER, 1 HASH, 2 MAC, 3 AEAD, 4 AKCIPHER) in stateless mode; all if not given. */
  readonly statelessServices?: readonly number[];
  /**
   * The asymmetric service: `akcipher` (the ratified one; default with v19), `rfc3` (the earlier RFC), or `off`. v15 has
   * `rfc3` or `off` (default), v5 has none; anything else is a TypeError.
   */
  readonly asymmetric?: AsymmetricForm;
  /** Libraries that provide algorithms; all if not given. A missing one is logged; OpenSSL is required. */
  readonly engines?: readonly EngineName[];
  /** OpenSSL's configuration file, in place of the default one. Holds for the process, like the next two. */
  readonly opensslConfig?: string;
  /** A property query for all that OpenSSL fetches, as in `?provider=qat`. */
  readonly opensslProperties?: string;
  /**
   * Serve only what OpenSSL's FIPS provider does, which must be active and pass its self-test; no other library, no
   * engine module, and not the `rfc3` form. False if not given.
   */
  readonly fips?: boolean;
  /**
   * Engine modules, which add or replace algorithms: paths, or URLs with the scheme `file:`, as in
   * `new URL("./my_engine.ts", import.meta.url)`. The default export of each is an {@linkcode EngineModule}.
   */
  readonly engineModules?: readonly (string | URL)[];
  /**
   * Thresholds of multi-buffer execution with libIPSec_MB: `auto` (built-in; default), `off` (sequential execution
   * only), or tables by instruction set, as `vhost-user-crypto calibrate` writes them.
   */
  readonly bursts?: MultiBufferChoice;
  /** Number of workers that serve the data queues; 0, which is this thread's event loop, if not given. */
  readonly workers?: number;
  /** Maximum busy-poll time of a worker, in microseconds; 50 if not given. */
  readonly pollUs?: number;
  /** CPUs to which workers are pinned in turn; none if not given. An unavailable CPU is a RangeError. */
  readonly cpus?: readonly number[];
  /** Serves one frontend only. */
  readonly once?: boolean;
  /**
   * Receives log lines; nothing is logged if not given. As a frontend can cause lines at will, each level is limited to
   * 100 lines at once and 5 per second, and the number of suppressed lines is reported.
   */
  readonly log?: Log;
  /** Cancels the start when it aborts: everything is released, and the reason is thrown. */
  readonly signal?: AbortSignal;
}

/** A running device. */
export interface ServedDevice extends AsyncDisposable {
  /** The version that OpenSSL reports. */
  readonly opensslVersion: string;
  /** Names and versions of the libraries that provide algorithms. */
  readonly libraries: readonly string[];
  /**
   * The device's counters since its start: requests, times, queues, sessions. The snapshot can be converted to JSON and
   * contains no key material. It costs the data path nothing and takes a fraction of a millisecond.
   */
  statistics(): DeviceSnapshot;
  /** Resolves when serving has ended: after {@linkcode close}, or after the only frontend has disconnected. */
  readonly finished: Promise<void>;
  /** Stops the device: the socket is removed at once, and popped requests are completed. */
  close(): Promise<void>;
}

function whereOf(
  { socketPath, socketMode, socketGroup, fd }: ServeOptions,
): ConstructorParameters<typeof VhostUserServer>[0]["socket"] {
  if ((socketPath === undefined) === (fd === undefined)) {
    throw new TypeError("a device has one socket: give either socketPath or fd");
  }
  if (socketPath === undefined) return { fd: fd! };
  return {
    path: socketPath,
    ...(socketMode === undefined ? {} : { mode: socketMode }),
    ...(socketGroup === undefined ? {} : { group: socketGroup }),
  };
}

async function dataPlane(options: ServeOptions): Promise<DataPlaneFactory | undefined> {
  const { workers = 0, cpus = [] } = options;
  if (workers === 0) return undefined;
  const [{ workerPlane }, { POLL_US_DEFAULT }, { checkPinning }] = await Promise.all([
    import("../worker/plane.ts"),
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

/** Throws if the limit of open descriptors is too low, as without descriptors not even a worker could start. */
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
): DeviceOptions {
  const { queues = 1, maxSessions, mux, statelessServices, engines, bursts, draft = "v19" } = options;
  const { asymmetric = usualForm(draft) } = options;
  return {
    dataQueues: queues,
    draft,
    asymmetric,
    jobRunner,
    modules,
    fips: options.fips ?? false,
    onFault: (message) => log("warn", message),
    ...(maxSessions === undefined ? {} : { maxSessions }),
    ...(mux === undefined ? {} : { mux }),
    ...(statelessServices === undefined ? {} : { statelessServices }),
    ...(engines === undefined ? {} : { engines }),
    ...(bursts === undefined ? {} : { bursts }),
  };
}

/** The parts of a running device, which are made and closed together. */
interface Parts {
  readonly loop: EventLoop;
  readonly device: CryptoDevice;
  readonly server: VhostUserServer;
  readonly limitedLog: LimitedLog;
}

/** Serves until the loop is stopped, and releases everything. Throws what a worker or a handler threw. */
async function run({ loop, device, server, limitedLog }: Parts): Promise<void> {
  let failure: Error | undefined;
  device.ready.catch((error) => {
    failure = error;
    loop.stop();
  });
  try {
    await loop.run();
    if (failure !== undefined) throw failure;
  } finally {
    await server.close();
    await device.close();
    loop.close();
    limitedLog.close();
  }
}

/**
 * Starts a device. Throws {@linkcode LibraryMissingError} without OpenSSL, {@linkcode OpensslSettingsError} if it cannot be set up as
 * chosen, {@linkcode EngineModuleError} if an engine
 * module cannot be used, {@linkcode DescriptorLimitError} if too few descriptors may be open, {@linkcode WorkerError} if
 * a worker cannot start (which also ends a running device), and {@linkcode ServerError} or {@linkcode SystemError} if the
 * socket cannot be made. After an error everything is released.
 */
export async function serve(options: ServeOptions): Promise<ServedDevice> {
  const socket = whereOf(options);
  const [{ EventLoop }, { CryptoDevice }, { VhostUserServer }, { opensslVersion }, { libraryVersions }, jobs] =
    await Promise.all([
      import("../os/event_loop.ts"),
      import("../device/device.ts"),
      import("../vhost_user/server.ts"),
      import("../engine/openssl.ts"),
      import("../engine/versions.ts"),
      import("../worker/asymmetric_worker.ts"),
    ]);
  const limitedLog = new LimitedLog(options.log ?? (() => {}));
  const { log } = limitedLog;
  await setUpOpenssl(options, log);
  const modules = await engineModules(options, log);
  const plane = await dataPlane(options);
  await reserveDescriptors(options);
  const loop = new EventLoop();
  const device = new CryptoDevice(deviceOptions(options, log, jobs.workerJobRunner, modules), loop, plane);
  for (const note of device.notes) log("info", note);
  let server: VhostUserServer;
  try {
    // Workers need the paths only of engine modules, as all other code is the same.
    if (modules.urls.length > 0) await device.ready;
    options.signal?.throwIfAborted();
    const { once = false } = options;
    server = new VhostUserServer({ loop, device, log, socket, once, onFinished: () => loop.stop() });
  } catch (error) {
    await device.close();
    loop.close();
    limitedLog.close();
    throw error;
  }
  const finished = run({ loop, device, server, limitedLog });
  let isFinished = false;
  finished.then(() => isFinished = true, () => isFinished = true);
  const close = () => {
    if (!isFinished) {
      server.stopListening();
      loop.stop();
    }
    return finished;
  };
  const statistics = (): DeviceSnapshot => ({
    device: options.socketPath ?? `descriptor ${options.fd}`,
    isConnected: server.isConnected,
    connections: server.connectionCount,
    ...device.statistics(),
  });
  return {
    opensslVersion: opensslVersion(),
    libraries: libraryVersions(device.engines),
    statistics,
    finished,
    close,
    [Symbol.asyncDispose]: close,
  };
}
