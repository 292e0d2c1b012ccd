/**
 * The program at work: serves its devices until it is told to stop, or until there is nothing left to serve.
 *
 * @module
 */
import type { Log } from "../os/log.ts";
import { processEnvironment } from "./environment.ts";
import { Insight } from "./statistics_output.ts";
import type { Options } from "./options.ts";
import { type Place, placeName } from "./places.ts";
import { serve, type ServedDevice } from "./serve.ts";
import { ServiceManager } from "./service_manager.ts";
import { StandardError } from "./standard_error.ts";

/** A device, and the log that names its socket. */
interface Running {
  readonly device: ServedDevice;
  readonly log: Log;
}

/** `list` from element `start` on, and then what is before it. */
function rotate<T>(list: readonly T[], start: number): readonly T[] {
  const at = list.length === 0 ? 0 : start % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

/** What devices are started with. */
interface Start {
  readonly options: Options;
  readonly standardError: StandardError;
  /** Aborts when the program is told to stop. */
  readonly signal: AbortSignal;
  /** Descriptors that may be open, at least. */
  readonly descriptorsNeeded: number;
}

/** The runtime has sockets of its own, and one of them may have the number of a descriptor that was not passed. */
async function checkPassed(fd: number): Promise<void> {
  const { isCloseOnExec } = await import("../os/unix_socket.ts");
  if (!isCloseOnExec(fd)) return;
  throw new Error(`descriptor ${fd} was not passed to this program: pass a socket as this descriptor, or name another`);
}

async function startDevice(place: Place, index: number, start: Start): Promise<Running> {
  const { options, standardError, signal } = start;
  const { queues, workers, pollUs, maxSessions, mux, statelessServices, engines, bursts, asymmetric, once } = options;
  const { socketMode, socketGroup, engineModules, openssl: { config, properties, fips } } = options;
  if ("fd" in place) await checkPassed(place.fd);
  const log = standardError.log(placeName(place), options.places.length > 1);
  const device = await serve({
    ...place,
    ...("fd" in place || socketMode === undefined ? {} : { socketMode }),
    ...("fd" in place || socketGroup === undefined ? {} : { socketGroup }),
    ...{ queues, workers, pollUs, maxSessions, mux, statelessServices, asymmetric, once, log, signal },
    ...{ engines, engineModules, bursts, fips },
    ...(config === undefined ? {} : { opensslConfig: config }),
    ...(properties === undefined ? {} : { opensslProperties: properties }),
    // Workers of all devices take the processors in turn.
    cpus: rotate(options.cpus, index * workers),
  });
  return { device, log };
}

/** What `promise` resolves with, unless `signal` aborts first: then its reason is thrown at once. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    signal.throwIfAborted();
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Starts all devices, or, throwing what the first failure was, none. */
async function startDevices(start: Start): Promise<Running[]> {
  const started: Running[] = [];
  try {
    for (const [index, place] of start.options.places.entries()) {
      started.push(await unlessAborted(startDevice(place, index, start), start.signal));
    }
  } catch (error) {
    await Promise.allSettled(started.map(({ device }) => device.close()));
    throw error;
  }
  return started;
}

/** Begins to tell of `running` devices; if that cannot be, they are ended. */
async function startInsight(running: readonly Running[], { options, standardError }: Start): Promise<Insight> {
  const { statsSocket: path, socketMode: mode, socketGroup: group } = options;
  const devices = running.map(({ device }) => device);
  try {
    const place = path === undefined
      ? undefined
      : { path, ...(mode === undefined ? {} : { mode }), ...(group === undefined ? {} : { group }) };
    return new Insight(devices, place, (text) => standardError.print(text));
  } catch (error) {
    await Promise.allSettled(devices.map((device) => device.close()));
    throw error;
  }
}

/** Gives up what serving does not need; a kernel that lacks the means is told of. */
async function leaveTheWorld({ options, descriptorsNeeded }: Start, log: Log): Promise<void> {
  const { places: [place], statsSocket } = options;
  const { enterSandbox } = await import("../os/sandbox.ts");
  // The sockets of several devices have their directory in common.
  const sockets = [
    ...(place === undefined || "fd" in place ? [] : [place.socketPath]),
    ...(statsSocket ? [statsSocket] : []),
  ];
  const directories = sockets.map((path) => path.replace(/[^/]*$/, "") || ".");
  for (const missing of enterSandbox(directories, descriptorsNeeded)) {
    log("warn", `the sandbox is incomplete: ${missing}`);
  }
}

/** Waits for a device's end, and tells if it was none that was wanted; true if it was. */
async function untilFinished({ device, log }: Running): Promise<boolean> {
  try {
    await device.finished;
    return true;
  } catch (error) {
    log("error", `this device has ended: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

/** Makes sure that all devices can have the descriptors that they need; returns how many may be open then. */
async function reserveDescriptors({ places, queues, workers, asymmetric }: Options): Promise<number> {
  const [{ processDescriptors }, { requireDescriptors }] = await Promise.all([
    import("./descriptors.ts"),
    import("../os/resource_limits.ts"),
  ]);
  const count = processDescriptors(places.length, { queues, workers, asymmetric });
  return requireDescriptors(count, ", or serve fewer devices, queues or workers");
}

/** Starts the devices, serves until their end, and gives everything up; true if every device ended well. */
async function serveToTheEnd(start: Start, manager: ServiceManager): Promise<boolean> {
  const { options, standardError, signal } = start;
  const log = standardError.log();
  const devices = await startDevices(start);
  const insight = await startInsight(devices, start);
  const stop = () => {
    manager.stopping();
    for (const { device } of devices) void device.close();
  };
  signal.addEventListener("abort", stop);
  const names = options.places.map(placeName).join(", ");
  const served = `serving ${options.queues} data queue(s) with ${devices[0]!.device.opensslVersion} on ${names}`;
  log("info", served);
  if (options.sandbox) await leaveTheWorld(start, log);
  if (!signal.aborted) manager.ready(served);
  const endings = await Promise.all(devices.map(untilFinished));
  await insight.close();
  log("info", "stopped: nothing is served any more");
  return endings.every((good) => good);
}

/**
 * Serves until SIGTERM or SIGINT, or until there is nothing left to serve; true if every device ended well. What went
 * wrong is logged.
 */
export async function serveDevices(options: Options): Promise<boolean> {
  const { keepHeapSmall } = await import("../os/native_heap.ts");
  keepHeapSmall();
  // First of all, as what follows opens descriptors.
  const descriptorsNeeded = await reserveDescriptors(options);
  const standardError = new StandardError(options.log);
  const log = standardError.log();
  const stopping = new AbortController();
  // Before any socket is made, so that none is left behind. The listeners stay: an impatient second signal must not cut
  // the orderly end short.
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => {
      if (!stopping.signal.aborted) log("info", `stopping on ${signal}`);
      stopping.abort();
    });
  }
  for (const remark of options.remarks) log("warn", remark);
  const manager = new ServiceManager(processEnvironment, log);
  try {
    return await serveToTheEnd({ options, standardError, signal: stopping.signal, descriptorsNeeded }, manager);
  } catch (error) {
    if (error === stopping.signal.reason) return true;
    log("error", error instanceof Error ? error.message : String(error));
    return false;
  } finally {
    manager.close();
    standardError.close();
  }
}
