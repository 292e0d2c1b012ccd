/**
 * Computes the number of file descriptors that a device needs, so that it is refused at start if the limit is too low.
 *
 * @module
 */
import type { AsymmetricForm } from "../device/negotiated_features.ts";
import { REGIONS_MAX } from "../device/limits.ts";
import { WORKER_FDS } from "../worker/descriptors.ts";

/** Descriptors of a ring: kick, call and error. */
const RING_FDS = 3;
/** Further descriptors of a data queue: the completion signal of asymmetric operations. */
const DATA_QUEUE_FDS = 1;
/** Descriptors of a device: listening socket, connection, epoll set, wake-up, submitted asymmetric operations. */
const DEVICE_FDS = 5;
/**
 * Descriptors of mapped files, which are kept for a process that takes over: memory regions, dirty log and inflight
 * region, and their replacements while both exist.
 */
const MAPPED_FILE_FDS = 2 * (REGIONS_MAX + 2);
/** Descriptors in transit: those of one message before the surplus is closed, and those of a reply. */
const MESSAGE_FDS = 40;
/** Descriptors of the process: the statistics socket with its clients, files, and libraries while they are loaded. */
const PROCESS_FDS = 64;

/** Parameters of the number of descriptors. */
export interface DescriptorUse {
  /** Data queues of a device. */
  readonly queues: number;
  /** Data workers of a device. */
  readonly workers: number;
  readonly asymmetric: AsymmetricForm;
}

/** Maximum number of descriptors of one device. */
export function deviceDescriptors({ queues, workers, asymmetric }: DescriptorUse): number {
  const rings = RING_FDS * (queues + 1) + DATA_QUEUE_FDS * queues;
  const isolates = workers + (asymmetric === "off" ? 0 : 1);
  return DEVICE_FDS + MAPPED_FILE_FDS + MESSAGE_FDS + rings + WORKER_FDS * isolates;
}

/** Maximum number of descriptors of `devices` devices in one process, besides those open before the first starts. */
export function processDescriptors(devices: number, use: DescriptorUse): number {
  return PROCESS_FDS + devices * deviceDescriptors(use);
}
