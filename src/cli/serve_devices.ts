/**
 * The program at work: serves its devices until it is told to stop, or until there is nothing left to serve.
 *
 * @module
 */
import type { Log } from "../os/log.ts";
import { processEnvironment } from "./environment.ts";
import { Insight } from "./statistics_output.ts";
import { createLog } from "./log.ts";
import type { Options } from "./options.ts";
import { type Place, placeName } from "./places.ts";
import { serve, type ServedDevice } from "./serve.ts";
import { ServiceManager } from "./service_manager.ts";

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

async function startDevice(place: Place, index: number, options: Options): Promise<Running> {
  const { queues, workers, pollUs, maxSessions, mux, statelessServices, engines, bursts, asymmetric, once } = options;
  const { socketMode, socketGroup, engineModules } = options;
  const log = createLog(options.log, placeName(place), options.places.length > 1);
  const device = await serve({
    ...place,
    ...("fd" in place || socketMode === undefined ? {} : { socketMode }),
    ...("fd" in place || socketGroup === undefined ? {} : { socketGroup }),
    ...{ queues, workers, pollUs, maxSessions, mux, statelessServices, asymmetric, once, log },
    ...{ engines, engineModules, bursts },
    // Workers of all devices take the processors in turn.
    cpus: rotate(options.cpus, index * workers),
  });
  return { device, log };
}

/** Starts all devices, or, throwing what the first failure was, none. */
async function startDevices(options: Options): Promise<Running[]> {
  const started: Running[] = [];
  try {
    for (const [index, place] of options.places.entries()) started.push(await startDevice(place, index, options));
  } catch (error) {
    await Promise.allSettled(started.map(({ device }) => device.close()));
    throw error;
  }
  return started;
}

/** Begins to tell of `running` devices; if that cannot be, they are ended. */
async function startInsight(running: readonly Running[], options: Options): Promise<Insight> {
  const { statsSocket: path, socketMode: mode, socketGroup: group } = options;
  const devices = running.map(({ device }) => device);
  try {
    const place = path === undefined
      ? undefined
      : { path, ...(mode === undefined ? {} : { mode }), ...(group === undefined ? {} : { group }) };
    return new Insight(devices, place);
  } catch (error) {
    await Promise.allSettled(devices.map((device) => device.close()));
    throw error;
  }
}

/** Gives up what serving does not need; a kernel that lacks the means is told of. */
async function leaveTheWorld({ places: [place], statsSocket }: Options, log: Log): Promise<void> {
  const { enterSandbox } = await import("../os/sandbox.ts");
  // The sockets of several devices have their directory in common.
  const sockets = [
    ...(place === undefined || "fd" in place ? [] : [place.socketPath]),
    ...(statsSocket ? [statsSocket] : []),
  ];
  const directories = sockets.map((path) => path.replace(/[^/]*$/, "") || ".");
  for (const missing of enterSandbox(directories)) log("warn", `the sandbox is incomplete: ${missing}`);
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

/** Serves until SIGTERM or SIGINT, or until there is nothing left to serve; true if every device ended well. */
export async function serveDevices(options: Options): Promise<boolean> {
  const log = createLog(options.log);
  const { keepHeapSmall } = await import("../os/native_heap.ts");
  keepHeapSmall();
  const manager = new ServiceManager(processEnvironment, log);
  const devices = await startDevices(options);
  const insight = await startInsight(devices, options);
  const stop = () => {
    manager.stopping();
    for (const { device } of devices) void device.close();
  };
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  const names = options.places.map(placeName).join(", ");
  const served = `serving ${options.queues} data queue(s) with ${devices[0]!.device.opensslVersion} on ${names}`;
  log("info", served);
  if (options.sandbox) await leaveTheWorld(options, log);
  manager.ready(served);
  // The listeners stay: an impatient second signal must not cut the orderly end short.
  const endings = await Promise.all(devices.map(untilFinished));
  manager.close();
  await insight.close();
  return endings.every((good) => good);
}
