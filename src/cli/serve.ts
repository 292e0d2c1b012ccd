/**
 * Serving a device, as the program does it and as others may: one function from options to a running device. Knows no
 * command line, writes nothing to the console, and loads what it needs when it is called, so that a missing library
 * becomes an error that can be told.
 *
 * @module
 */
import type { DataPlaneFactory } from "../device/data_plane.ts";
import type { CryptoDevice, DeviceOptions, EngineModules } from "../device/device.ts";
import type { AsymmetricForm } from "../device/negotiated_features.ts";
import type { JobRunnerFactory } from "../device/asymmetric_service.ts";
import type { MultiBufferChoice } from "../engine/multibuffer/policy.ts";
import type { EngineName } from "../engine/libraries.ts";
import type { EventLoop } from "../os/event_loop.ts";
import type { Log } from "../os/log.ts";
import type { DeviceSnapshot } from "../statistics/snapshot.ts";
import type { VhostUserServer } from "../vhost_user/server.ts";
import { LimitedLog } from "./log_limit.ts";

/** What is served, and where: at a path or on a descriptor. */
export interface ServeOptions {
  /** Where to listen: the path of a unix socket, which must be free or left behind by a dead process. */
  readonly socketPath?: string;
  /** A unix socket to serve instead, connected or listening, which becomes the device's. */
  readonly fd?: number;
  /** Permissions of the socket at `socketPath`; as the process's umask says if not given. */
  readonly socketMode?: number;
  /** Group id of the socket at `socketPath`; as the system says if not given. */
  readonly socketGroup?: number;
  /** Data queues; 1 if not given. */
  readonly queues?: number;
  /** Sessions that may exist at once. */
  readonly maxSessions?: number;
  /** Offer the multiplexing mode; true if not given. */
  readonly mux?: boolean;
  /** Numbers of the services (0 CIPHER, 1 HASH, 2 MAC, 3 AEAD, 4 AKCIPHER) in stateless mode; all if not given. */
  readonly statelessServices?: readonly number[];
  /**
   * Which form of the asymmetric service is offered: `akcipher` (the ratified one, also if not given), `rfc3` (the
   * older RFC), or `off`.
   */
  readonly asymmetric?: AsymmetricForm;
  /** Libraries that algorithms may come from: all if not given. A missing one is told to `log`, OpenSSL apart. */
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
   * Engine modules, which take the place of algorithms here or add to them: paths, or URLs of scheme `file:`, as in
   * `new URL("./my_engine.ts", import.meta.url)`. Each exports an {@linkcode EngineModule} as its default.
   */
  readonly engineModules?: readonly (string | URL)[];
  /**
   * From how many requests on libIPSec_MB works on them side by side: `auto` (as measured on another host, also if not
   * given), `off` (never), or tables by instruction set, as `vhost-user-crypto calibrate` makes them.
   */
  readonly bursts?: MultiBufferChoice;
  /** Worker isolates that serve the data queues; 0, the event loop of this isolate, if not given. */
  readonly workers?: number;
  /** Microseconds that a worker looks at its rings before it sleeps, at most; 50 if not given. */
  readonly pollUs?: number;
  /** Processors to tie workers to, in turn; none if not given. One that cannot be had is a RangeError. */
  readonly cpus?: readonly number[];
  /** Serve one frontend only. */
  readonly once?: boolean;
  /**
   * Hears what happens; nothing is logged if not given. A frontend can cause lines at will: of each level no more than
   * 100 at once and 5 per second come through, and the number of the others is reported.
   */
  readonly log?: Log;
  /** Gives the start up when it aborts: what has been made is undone, and the reason is thrown. */
  readonly signal?: AbortSignal;
}

/** A device that is being served. */
export interface ServedDevice extends AsyncDisposable {
  /** OpenSSL's version, in its own words. */
  readonly opensslVersion: string;
  /** The libraries that algorithms come from, in their own words. */
  readonly libraries: readonly string[];
  /**
   * What the device has counted since it was started: requests, times, queues, sessions. A snapshot that JSON can hold,
   * with nothing of any key in it. Costs the data path nothing; taking it takes a fraction of a millisecond.
   */
  statistics(): DeviceSnapshot;
  /** Resolves when nothing is left to serve: after {@linkcode close}, or after the only frontend has gone. */
  readonly finished: Promise<void>;
  /** Stops: what was taken is completed, the socket is removed. */
  close(): Promise<void>;
}

function whereOf(
  { socketPath, socketMode, socketGroup, fd }: ServeOptions,
): ConstructorParameters<typeof VhostUserServer>[0]["socket"] {
  if ((socketPath === undefined) === (fd === undefined)) {
    throw new TypeError("a device is served in one place: give either socketPath or fd");
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

/** Nothing is started that could not be served to the end: without descriptors the runtime cannot even start a worker. */
async function reserveDescriptors({ queues = 1, workers = 0, asymmetric = "akcipher" }: ServeOptions): Promise<void> {
  const [{ deviceDescriptors }, { requireDescriptors }] = await Promise.all([
    import("./descriptors.ts"),
    import("../os/resource_limits.ts"),
  ]);
  requireDescriptors(deviceDescriptors({ queues, workers, asymmetric }), ", or serve fewer queues or workers");
}

/** Loads engine modules, first of all here: what is wrong with one is to be told before anything is served. */
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
  if (config === undefined && properties === undefined && !fips) return;
  const { applyOpensslSettings } = await import("../engine/openssl_settings.ts");
  const provider = applyOpensslSettings({ config, properties, fips });
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
  const { queues = 1, maxSessions, mux, statelessServices, engines, bursts, asymmetric = "akcipher" } = options;
  return {
    dataQueues: queues,
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

/** What serves: made together, ended together. */
interface Parts {
  readonly loop: EventLoop;
  readonly device: CryptoDevice;
  readonly server: VhostUserServer;
  readonly limitedLog: LimitedLog;
}

/** Serves until the loop is stopped, by whatever, and gives everything up. Throws what a worker or a handler threw. */
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
 * a worker cannot start (which also ends a device that is served already), {@linkcode ServerError} or {@linkcode SystemError} if the socket cannot be had; nothing stays
 * behind then.
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
    // Other isolates have code of their own only because of modules.
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
    if (!isFinished) loop.stop();
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
