/**
 * The drafts of the specification that a device can follow. They share the device id, opcodes, algorithm numbers and
 * statuses, and a request does not say which draft it follows, so that a device follows exactly one.
 *
 * @module
 */

/**
 * A draft: `v19`, of August 2017, with the ratified additions that Linux, QEMU and DPDK use; `v15`, of January 2017,
 * whose feature bits allow sessions; `v5`, of September 2016, whose requests carry guest-physical addresses.
 */
export type Draft = "v19" | "v15" | "v5";

/** All drafts, the latest first. */
export const DRAFTS: readonly Draft[] = ["v19", "v15", "v5"];
