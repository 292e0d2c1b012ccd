/**
 * The sockets of devices: paths, inherited descriptors, or sockets passed by a service manager (the protocol of
 * sd_listen_fds). Each has a device of its own.
 *
 * @module
 */
import { KEPT_PREFIX } from "../handover/kept_state.ts";
import { UsageError } from "./command_line.ts";
import type { Environment } from "./environment.ts";

/** The path of a socket to create, or the descriptor of an existing one. */
export type ServedSocket = { readonly socketPath: string } | { readonly fd: number };

/** Options about sockets. */
export interface ServedSocketOptions {
  readonly socketPath: string | undefined;
  readonly fd: number | undefined;
  /** Number of devices; undefined for one device on the path itself. */
  readonly count: number | undefined;
}

/** The first descriptor that a service manager passes. */
const LISTEN_FDS_START = 3;

/** The name of a socket in logs. */
export function socketName(served: ServedSocket): string {
  return "fd" in served ? `descriptor ${served.fd}` : served.socketPath;
}

/** Descriptors passed to this process, by number. Throws {@linkcode UsageError}. */
function passedNames(environment: Environment): Map<number, string> {
  const count = environment("LISTEN_FDS");
  // Variables for another process, which started this one without removing them, are ignored.
  if (count === undefined || environment("LISTEN_PID") !== String(Deno.pid)) return new Map();
  if (!/^\d{1,4}$/.test(count)) throw new UsageError(`LISTEN_FDS holds a number of descriptors, not "${count}"`);
  const names = environment("LISTEN_FDNAMES")?.split(":") ?? [];
  return new Map(Array.from({ length: Number(count) }, (_, i) => [LISTEN_FDS_START + i, names[i] ?? ""]));
}

/** The descriptors that the service manager has kept for this process, by name. */
export function keptDescriptors(environment: Environment): Map<string, number> {
  const passed = [...passedNames(environment)];
  return new Map(passed.filter(([, name]) => name.startsWith(KEPT_PREFIX)).map(([fd, name]) => [name, fd]));
}

function passedSockets(count: number | undefined, environment: Environment): ServedSocket[] {
  const names = [...passedNames(environment)];
  const sockets = names.filter(([, name]) => !name.startsWith(KEPT_PREFIX)).map(([fd]) => ({ fd }));
  const passed = sockets.length;
  if (passed === 0) {
    throw new UsageError(
      "no socket given: use --socket-path=PATH, --fd=NUMBER, or a socket unit that passes LISTEN_FDS",
    );
  }
  if (passed !== (count ?? 1)) {
    throw new UsageError(
      `LISTEN_FDS passes ${passed} socket(s), and --socket-count asks for ${count ?? 1}: give --socket-count=${passed}`,
    );
  }
  return sockets;
}

function descriptors(first: number, count: number): ServedSocket[] {
  return Array.from({ length: count }, (_, i) => ({ fd: first + i }));
}

/**
 * The sockets that options and environment select: with a count, PATH0, PATH1, …, or consecutive descriptors. Throws
 * {@linkcode UsageError}.
 */
export function servedSocketsOf(
  { socketPath, fd, count }: ServedSocketOptions,
  environment: Environment,
): readonly ServedSocket[] {
  if (socketPath !== undefined && fd !== undefined) {
    throw new UsageError("--socket-path and --fd exclude each other: a device has one socket");
  }
  if (fd !== undefined) return descriptors(fd, count ?? 1);
  if (socketPath === undefined) return passedSockets(count, environment);
  if (count === undefined) return [{ socketPath }];
  return Array.from({ length: count }, (_, i) => ({ socketPath: `${socketPath}${i}` }));
}
