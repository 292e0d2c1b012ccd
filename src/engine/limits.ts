/**
 * Limits of symmetric operations.
 *
 * @module
 */

/** Bytes of all variable parts of a request together, both read and written: `max_size` of the configuration space. */
export const REQUEST_BYTES_MAX = 4 << 20;
