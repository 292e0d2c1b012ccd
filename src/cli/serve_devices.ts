/**
 * Serves the program's devices until it is stopped, or until all devices have ended.
 *
 * @module
 */
import type { Log } from "../os/log.ts";
import { processEnvironment } from "./environment.ts";
import { StatisticsOutput } from "./statistics_output.ts";
import type { Options } from "./options.ts";
import { type Place, placeName } from "./places.ts";
import { serve, type ServedDevice } from "./serve.ts";
import { ServiceManager } from "./service_manager.ts";
import { StandardError } from "./standard_error.ts";
import { StopSignals } from "./stop_signals.ts";

/** A device and its log. */
interface Running {
  readonly device: ServedDevice;
  readonly log: Log;
}

/** `list` rotated so that element `start` is first. */
function rotate<T>(list: readonly T[], start: number): readonly T[] {
  const at = list.length === 0 ? 0 : start % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

/** Parameters of all devices. */
interface Start {
  readonly options: Options;
  readonly standardError: StandardError;
  /** Aborts when the program is stopped. */
  readonly signal: AbortSignal;
  /** Minimum limit of open descriptors. */
  readonly descriptorsNeeded: number;
}

/** Throws if `fd` was not inherited: a socket of the runtime can have the number. */
async function checkPassed(fd: number): Promise<void> {
  const { isCloseOnExec } = await import("../os/unix_socket.ts");
  if (!isCloseOnExec(fd)) return;
  throw new Error(`descriptor ${fd} was not passed to this program: pass a socket as this descriptor, or name another`);
}

async function startDevice(place: Place, index: number, start: Start): Promise<Running> {
  const { options, standardError, signal } = start;
  const { queues, workers, pollUs, maxSessions, mux, statelessServices, engines, bursts, once } = options;
  const { draft, asymmetric } = options;
  const { socketMode, socketGroup, engineModules, openssl: { config, properties, fips } } = options;
  if ("fd" in place) await checkPassed(place.fd);
  const log = standardError.log(placeName(place), options.places.length > 1);
  const device = await serve({
    ...place,
    ...("fd" in place || socketMode === undefined ? {} : { socketMode }),
    ...("fd" in place || socketGroup === undefined ? {} : { socketGroup }),
    ...{ queues, workers, pollUs, maxSessions, mux, statelessServices, draft, asymmetric, once, log, signal },
    ...{ engines, engineModules, bursts, fips },
    ...(config === undefined ? {} : { opensslConfig: config }),
    ...(properties === undefined ? {} : { opensslProperties: properties }),
    // The workers of all devices are pinned to the CPUs in turn.
    cpus: rotate(options.cpus, index * workers),
  });
  return { device, log };
}

/** Awaits `promise`, but throws the reason of `signal` as soon as it aborts. */
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

/** Starts all devices. After a failure it closes those that were started and throws the error. */
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

/** Starts the statistics output of `running` devices; closes them and throws if it cannot start. */
async function startStatisticsOutput(
  running: readonly Running[],
  { options, standardError }: Start,
): Promise<StatisticsOutput> {
  const { statsSocket: path, socketMode: mode, socketGroup: group } = options;
  const devices = running.map(({ device }) => device);
  try {
    const place = path === undefined
      ? undefined
      : { path, ...(mode === undefined ? {} : { mode }), ...(group === undefined ? {} : { group }) };
    return new StatisticsOutput(devices, place, (text) => standardError.print(text));
  } catch (error) {
    await Promise.allSettled(devices.map((device) => device.close()));
    throw error;
  }
}

/** Enters the sandbox, and logs the parts that the kernel does not support. */
async function sandboxProgram({ options, descriptorsNeeded }: Start, log: Log): Promise<void> {
  const { places: [place], statsSocket } = options;
  const { enterSandbox } = await import("../os/sandbox.ts");
  // The sockets of several devices are in the same directory.
  const sockets = [
    ...(place === undefined || "fd" in place ? [] : [place.socketPath]),
    ...(statsSocket ? [statsSocket] : []),
  ];
  const directories = sockets.map((path) => path.replace(/[^/]*$/, "") || ".");
  for (const missing of enterSandbox(directories, descriptorsNeeded)) {
    log("warn", `the sandbox is incomplete: ${missing}`);
  }
}

/** Waits for a device's end; returns true if it was regular, else logs the error and returns false. */
async function untilFinished({ device, log }: Running): Promise<boolean> {
  try {
    await device.finished;
    return true;
  } catch (error) {
    log("error", `this device has ended: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

/** Raises the limit of open descriptors to the number that all devices need; returns the limit. */
async function reserveDescriptors({ places, queues, workers, asymmetric }: Options): Promise<number> {
  const [{ processDescriptors }, { requireDescriptors }] = await Promise.all([
    import("./descriptors.ts"),
    import("../os/resource_limits.ts"),
  ]);
  const count = processDescriptors(places.length, { queues, workers, asymmetric });
  return requireDescriptors(count, ", or serve fewer devices, queues or workers");
}

/** Starts the devices and serves until their end; true if every device ended without an error. */
async function serveToTheEnd(start: Start, manager: ServiceManager): Promise<boolean> {
  const { options, standardError, signal } = start;
  const log = standardError.log();
  const devices = await startDevices(start);
  const statisticsOutput = await startStatisticsOutput(devices, start);
  const stop = () => {
    manager.stopping();
    for (const { device } of devices) void device.close();
  };
  signal.addEventListener("abort", stop);
  const names = options.places.map(placeName).join(", ");
  const served = `serving ${options.queues} data queue(s) with ${devices[0]!.device.opensslVersion} on ${names}`;
  log("info", served);
  if (options.sandbox) await sandboxProgram(start, log);
  if (!signal.aborted) manager.ready(served);
  const endings = await Promise.all(devices.map(untilFinished));
  await statisticsOutput.close();
  log("info", "stopped: nothing is served any more");
  return endings.every((good) => good);
}

/**
 * Serves until SIGTERM or SIGINT, or until all devices have ended; true if every device ended without an error. Errors
 * are logged.
 */
export async function serveDevices(options: Options): Promise<boolean> {
  const { keepHeapSmall } = await import("../os/native_heap.ts");
  keepHeapSmall();
  // This comes first, as the next steps open descriptors.
  const descriptorsNeeded = await reserveDescriptors(options);
  const standardError = new StandardError(options.log);
  const log = standardError.log();
  const stop = new StopSignals(log, (code) => {
    standardError.close();
    Deno.exit(code);
  });
  for (const remark of options.remarks) log("warn", remark);
  const manager = new ServiceManager(processEnvironment, log);
  try {
    return await serveToTheEnd({ options, standardError, signal: stop.signal, descriptorsNeeded }, manager);
  } catch (error) {
    if (error === stop.signal.reason) return true;
    log("error", error instanceof Error ? error.message : String(error));
    return false;
  } finally {
    stop.ended();
    manager.close();
    standardError.close();
  }
}
