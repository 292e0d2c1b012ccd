/**
 * Serves the program's devices until it is stopped, or until all devices have ended.
 *
 * @module
 */
import type { Log } from "../os/log.ts";
import { processEnvironment } from "./environment.ts";
import { type Running, serveOptions, socketPath, type Start, unlessAborted } from "./device_start.ts";
import type { Options } from "./options.ts";
import { OwnSockets } from "./program_sockets.ts";
import { keptDescriptors, type ServedSocket, socketName } from "./served_sockets.ts";
import { prepareDevice } from "./prepared_device.ts";
import { ServiceManager } from "./service_manager.ts";
import { StandardError } from "./standard_error.ts";
import { StopSignals } from "./stop_signals.ts";
import { TakenDevices } from "./taken_devices.ts";

/** Throws if `fd` was not inherited: a socket of the runtime can have the number. */
async function checkPassed(fd: number): Promise<void> {
  const { isCloseOnExec } = await import("../os/unix_socket.ts");
  if (!isCloseOnExec(fd)) return;
  throw new Error(`descriptor ${fd} was not passed to this program: pass a socket as this descriptor, or name another`);
}

async function startDevice(served: ServedSocket, index: number, start: Start): Promise<Running> {
  const { options, standardError, kept } = start;
  if ("fd" in served) await checkPassed(served.fd);
  const name = socketName(served);
  const log = standardError.log(name, options.sockets.length > 1);
  const prepared = await prepareDevice(serveOptions(index, log, start), kept?.keeper(index));
  const socket = "fd" in served ? served : socketPath(served.socketPath, options);
  const device = await kept?.continue(index, prepared, { name, socket }) ?? await prepared.serve(name, socket);
  return { device, log, path: "fd" in served ? "" : served.socketPath };
}

/** The devices that the service manager keeps; if that is not requested, it drops what it has kept. */
async function keptDevices({ keepsState }: Options, manager: ServiceManager, log: Log) {
  const descriptors = keptDescriptors(processEnvironment);
  if (!keepsState && descriptors.size === 0) return undefined;
  const { KeptDevices } = await import("./kept_devices.ts");
  const kept = new KeptDevices(manager, descriptors, log);
  if (keepsState && manager.isPresent) return kept;
  if (keepsState) log("warn", "no state is kept: --keep-state=systemd needs a unit with Type=notify (NOTIFY_SOCKET)");
  kept.drop();
  kept.close();
  return undefined;
}

/** Starts all devices. After a failure it closes those that were started and throws the error. */
async function startDevices(start: Start): Promise<Running[]> {
  const started: Running[] = [];
  try {
    for (const [index, served] of start.options.sockets.entries()) {
      started.push(await unlessAborted(startDevice(served, index, start), start.signal));
    }
  } catch (error) {
    await Promise.allSettled(started.map(({ device }) => device.close()));
    throw error;
  }
  return started;
}

/** Enters the sandbox, in which sockets at `paths` can be removed, and logs the parts that the kernel does not support. */
async function sandboxProgram(paths: readonly string[], descriptorsNeeded: number, log: Log): Promise<void> {
  const { enterSandbox } = await import("../os/sandbox.ts");
  const directories = new Set(paths.filter((path) => path !== "").map((path) => path.replace(/[^/]*$/, "") || "."));
  for (const missing of enterSandbox([...directories], descriptorsNeeded)) {
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

/** Raises the limit of open descriptors to the number that `devices` devices need; returns the limit. */
async function reserveDescriptors(devices: number, { queues, workers, asymmetric }: Options): Promise<number> {
  const [{ processDescriptors }, { requireDescriptors }] = await Promise.all([
    import("./descriptors.ts"),
    import("../os/resource_limits.ts"),
  ]);
  const count = processDescriptors(devices, { queues, workers, asymmetric });
  return requireDescriptors(count, ", or serve fewer devices, queues or workers");
}

/** Creates the program's own sockets. After a failure it closes the devices and throws the error. */
async function startSockets(devices: readonly Running[], start: Start, taken: TakenDevices | undefined) {
  try {
    return new OwnSockets(devices, start, taken?.sockets ?? []);
  } catch (error) {
    if (taken === undefined) await Promise.allSettled(devices.map(({ device }) => device.close()));
    throw error;
  }
}

/** Serves the devices of the options, or those in `taken`; true if every device ended without an error. */
async function serveToTheEnd(start: Start, manager: ServiceManager, taken?: TakenDevices): Promise<boolean> {
  const { options, standardError, signal } = start;
  const log = standardError.log();
  const devices = await taken?.adopt(options.takeOver!) ?? await startDevices(start);
  start.kept?.close();
  const sockets = await startSockets(devices, start, taken);
  const stop = () => {
    manager.stopping();
    for (const { device } of devices) void device.close();
  };
  signal.addEventListener("abort", stop);
  const names = devices.map(({ path }, i) => path || socketName(options.sockets[i] ?? { fd: i })).join(", ");
  const served = `serving ${options.queues} data queue(s) with ${devices[0]!.device.opensslVersion} on ${names}`;
  log("info", served);
  if (options.sandbox) {
    const inherited = taken?.sockets.map(({ path }) => path) ?? [];
    const own = [options.statsSocket, options.handoverSocket].filter((path) => path !== undefined);
    const paths = [...devices.map(({ path }) => path), ...own, ...inherited];
    // The other process may have more devices than the options of this one mention.
    const times = Math.ceil(devices.length / Math.max(1, options.sockets.length));
    await sandboxProgram(paths, times * start.descriptorsNeeded, log);
  }
  if (taken !== undefined) {
    signal.throwIfAborted();
    await taken.continue(options, async () => {
      manager.succeeding();
      manager.ready(served);
      await manager.sent();
    });
  }
  sockets.start();
  if (taken === undefined && !signal.aborted) manager.ready(served);
  const { IdleMemory } = await import("./idle_memory.ts");
  const memory = new IdleMemory(() => devices.reduce((sum, { device }) => sum + device.batchCount, 0));
  // A device whose workers do not start reports that itself.
  const begin = () => taken === undefined ? memory.start() : memory.startInUse();
  Promise.all(devices.map(({ device }) => device.ready)).then(begin, () => {});
  const endings = await Promise.all(devices.map(untilFinished));
  memory.stop();
  await sockets.close();
  // Messages that are not sent would leave state with the service manager that no process continues from.
  await start.kept?.sent();
  log(
    "info",
    sockets.isGiven ? "handed over: this process serves nothing any more" : "stopped: nothing is served any more",
  );
  return endings.every((good) => good);
}

/**
 * Serves until SIGTERM or SIGINT, until another process has taken over, or until all devices have ended; true if every
 * device ended without an error. Errors are logged.
 */
export async function serveDevices(options: Options): Promise<boolean> {
  const { keepHeapSmall } = await import("../os/native_heap.ts");
  keepHeapSmall();
  const standardError = new StandardError(options.log);
  const log = standardError.log();
  const stop = new StopSignals(log, (code) => {
    standardError.close();
    Deno.exit(code);
  });
  for (const remark of options.remarks) log("warn", remark);
  const manager = new ServiceManager(processEnvironment, log);
  let taken: TakenDevices | undefined;
  try {
    // First, because the next steps open descriptors.
    const descriptorsNeeded = await reserveDescriptors(Math.max(1, options.sockets.length), options);
    const kept = await keptDevices(options, manager, log);
    const start = { options, standardError, signal: stop.signal, descriptorsNeeded, kept };
    if (options.takeOver !== undefined) taken = new TakenDevices(start);
    return await serveToTheEnd(start, manager, taken);
  } catch (error) {
    await taken?.giveUp(error, log);
    if (error === stop.signal.reason) return true;
    log("error", error instanceof Error ? error.message : String(error));
    return false;
  } finally {
    stop.ended();
    manager.close();
    standardError.close();
  }
}
