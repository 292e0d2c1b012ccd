/**
 * The snapshot of a program's counters, from which page and exposition are made and which is sent as JSON.
 *
 * @module
 */
import type { DeviceStatistics } from "../device/statistics.ts";

/** A device in a snapshot. */
export interface DeviceSnapshot extends DeviceStatistics {
  /** The path of its socket, or `fd N`. */
  readonly device: string;
  /** Whether a frontend is connected. */
  readonly isConnected: boolean;
  /** Number of frontends that have connected so far. */
  readonly connections: number;
}

/** The whole program at one moment. */
export interface Snapshot {
  /** The program's version. */
  readonly version: string;
  /** Deno's version. */
  readonly deno: string;
  /** Names and versions of the libraries that provide algorithms; OpenSSL first. */
  readonly libraries: readonly string[];
  /** Time at which serving started, in seconds since 1970. */
  readonly startSeconds: number;
  /** Time of the snapshot, in seconds since 1970. */
  readonly nowSeconds: number;
  /** The devices of the program. */
  readonly devices: readonly DeviceSnapshot[];
}
