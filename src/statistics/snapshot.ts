/**
 * What a program that serves devices says of itself: the snapshot that everything else here is made of, and that
 * travels as JSON.
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
  /** Frontends that have connected so far. */
  readonly connections: number;
}

/** The whole program at one moment. */
export interface Snapshot {
  /** The program's version. */
  readonly version: string;
  /** Deno's. */
  readonly deno: string;
  /** The libraries that algorithms come from, in their own words; OpenSSL first. */
  readonly libraries: readonly string[];
  /** When serving started, in seconds since 1970. */
  readonly startSeconds: number;
  /** When the snapshot was taken, likewise. */
  readonly nowSeconds: number;
  /** What is served. */
  readonly devices: readonly DeviceSnapshot[];
}
