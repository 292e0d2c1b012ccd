/**
 * Steps that starting devices shares with taking over devices from another process: options, paths, aborting.
 *
 * @module
 */
import type { SocketPath } from "../os/listening_socket.ts";
import type { Log } from "../os/log.ts";
import type { KeptDevices } from "./kept_devices.ts";
import type { Options } from "./options.ts";
import type { HostedDevice } from "./prepared_device.ts";
import type { ServeOptions } from "./serve_options.ts";
import type { StandardError } from "./standard_error.ts";

/** A device and its log. */
export interface Running {
  readonly device: HostedDevice;
  readonly log: Log;
  /** The path of its socket; empty for one that was passed as a descriptor. */
  readonly path: string;
}

/** `list` rotated so that element `start` is first. */
function rotate<T>(list: readonly T[], start: number): readonly T[] {
  const at = list.length === 0 ? 0 : start % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

/** Parameters of all devices. */
export interface Start {
  readonly options: Options;
  readonly standardError: StandardError;
  /** Aborts when the program is stopped. */
  readonly signal: AbortSignal;
  /** Minimum limit of open descriptors. */
  readonly descriptorsNeeded: number;
  /** The devices whose state a service manager keeps; undefined: none. */
  readonly kept: KeptDevices | undefined;
}

/** The options of device `index`, except its socket. */
export function serveOptions(index: number, log: Log, { options, signal }: Start): ServeOptions {
  const { queues, workers, pollUs, maxSessions, mux, statelessServices, engines, bursts, once } = options;
  const { draft, asymmetric } = options;
  const { engineModules, migratesSessions, openssl: { config, properties, fips } } = options;
  return {
    ...{ queues, workers, pollUs, maxSessions, mux, statelessServices, draft, asymmetric, once, log, signal },
    ...{ engines, engineModules, bursts, fips, migratesSessions },
    ...(config === undefined ? {} : { opensslConfig: config }),
    ...(properties === undefined ? {} : { opensslProperties: properties }),
    // The workers of all devices are pinned to the CPUs in turn.
    cpus: rotate(options.cpus, index * workers),
  };
}

/** `path` with the permissions of the program's sockets. */
export function socketPath(path: string, { socketMode: mode, socketGroup: group }: Options): SocketPath {
  return { path, ...(mode === undefined ? {} : { mode }), ...(group === undefined ? {} : { group }) };
}

/** Awaits `promise`, but throws the reason of `signal` as soon as it aborts. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
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
