/**
 * Where devices are served: paths, inherited descriptors, or sockets that a service manager passes (the protocol of
 * sd_listen_fds). One place, one device.
 *
 * @module
 */
import { UsageError } from "./command_line.ts";
import type { Environment } from "./environment.ts";

/** A socket to listen on, or one that is there already. */
export type Place = { readonly socketPath: string } | { readonly fd: number };

/** What the command line says about places. */
export interface PlaceOptions {
  readonly socketPath: string | undefined;
  readonly fd: number | undefined;
  /** Devices; undefined: one, at the very path. */
  readonly count: number | undefined;
}

/** The first descriptor that a service manager passes. */
const LISTEN_FDS_START = 3;

/** A place's name for people. */
export function placeName(place: Place): string {
  return "fd" in place ? `descriptor ${place.fd}` : place.socketPath;
}

/** How many sockets were passed to this very process, from descriptor 3 on. Throws {@linkcode UsageError}. */
function passedSockets(environment: Environment): number {
  const count = environment("LISTEN_FDS");
  // Variables meant for another process, which started this one without removing them, say nothing.
  if (count === undefined || environment("LISTEN_PID") !== String(Deno.pid)) return 0;
  if (!/^\d{1,4}$/.test(count)) throw new UsageError(`LISTEN_FDS holds a number of descriptors, not "${count}"`);
  return Number(count);
}

function passedPlaces(count: number | undefined, environment: Environment): Place[] {
  const passed = passedSockets(environment);
  if (passed === 0) {
    throw new UsageError(
      "say where to serve: --socket-path=PATH, --fd=NUMBER, or a socket unit that passes LISTEN_FDS",
    );
  }
  if (passed !== (count ?? 1)) {
    throw new UsageError(
      `LISTEN_FDS passes ${passed} socket(s), and --socket-count asks for ${count ?? 1}: give --socket-count=${passed}`,
    );
  }
  return descriptors(LISTEN_FDS_START, passed);
}

function descriptors(first: number, count: number): Place[] {
  return Array.from({ length: count }, (_, i) => ({ fd: first + i }));
}

/**
 * The places that options and environment name: with a count, PATH0, PATH1, …, or that many descriptors in a row.
 * Throws {@linkcode UsageError}.
 */
export function placesOf({ socketPath, fd, count }: PlaceOptions, environment: Environment): readonly Place[] {
  if (socketPath !== undefined && fd !== undefined) {
    throw new UsageError("--socket-path and --fd exclude each other: a device is served in one place");
  }
  if (fd !== undefined) return descriptors(fd, count ?? 1);
  if (socketPath === undefined) return passedPlaces(count, environment);
  if (count === undefined) return [{ socketPath }];
  return Array.from({ length: count }, (_, i) => ({ socketPath: `${socketPath}${i}` }));
}
