/**
 * Limits of symmetric operations.
 *
 * @module
 */

/** Maximum bytes of a request's variable parts, read and written: `max_size` of the configuration space. */
export const REQUEST_BYTES_MAX = 4 << 20;
