/**
 * How many file descriptors a device needs, so that one that cannot have them is refused before it serves.
 *
 * @module
 */
import type { AsymmetricForm } from "../device/negotiated_features.ts";
import { WORKER_FDS } from "../worker/descriptors.ts";

/** Of a ring: kick, call and error descriptors. */
const RING_FDS = 3;
/** Of a data queue, besides: the signal that asymmetric operations are done. */
const DATA_QUEUE_FDS = 1;
/** Of a device: listening socket, connection, epoll set, wake-up, submitted asymmetric operations. */
const DEVICE_FDS = 5;
/** In transit: what one message may carry before the surplus is closed, and what a reply carries. */
const MESSAGE_FDS = 40;
/** Of the process: the statistics socket with its clients, files and libraries while they are loaded. */
const PROCESS_FDS = 64;

/** What decides on the number of descriptors. */
export interface DescriptorUse {
  /** Data queues of a device. */
  readonly queues: number;
  /** Data workers of a device. */
  readonly workers: number;
  readonly asymmetric: AsymmetricForm;
}

/** Descriptors of one device, at most. */
export function deviceDescriptors({ queues, workers, asymmetric }: DescriptorUse): number {
  const rings = RING_FDS * (queues + 1) + DATA_QUEUE_FDS * queues;
  const isolates = workers + (asymmetric === "off" ? 0 : 1);
  return DEVICE_FDS + MESSAGE_FDS + rings + WORKER_FDS * isolates;
}

/** Descriptors of `devices` devices in one process, at most, on top of those that are open before the first starts. */
export function processDescriptors(devices: number, use: DescriptorUse): number {
  return PROCESS_FDS + devices * deviceDescriptors(use);
}
