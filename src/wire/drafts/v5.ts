/**
 * Numbers and layouts of the specification's draft v5 where they differ from v19's. Offsets are in bytes from the start
 * of the structure in their name; all fields are little-endian.
 *
 * @module
 */

/** `struct virtio_crypto_config`: 48 bytes, without limits. The first eight fields have the offsets of v19. */
export const CONFIG_BYTES_V5 = 48;
export const CONFIG_ASYM_ALGO_OFFSET_V5 = 32;
export const CONFIG_KDF_ALGO_OFFSET_V5 = 36;
export const CONFIG_AEAD_ALGO_OFFSET_V5 = 40;
export const CONFIG_PRIMITIVE_ALGO_OFFSET_V5 = 44;
