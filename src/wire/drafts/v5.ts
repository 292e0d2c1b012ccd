/**
 * Numbers and layouts of the specification's draft v5 (September 2016) where they differ from v19's. A request is one
 * structure of 104 bytes, on the control queue and on the data queues alike: header, parameters, guest-physical addresses
 * of the buffers, and fields that the device writes. Offsets are in bytes from the start of that structure, or of the
 * configuration space; all fields are little-endian.
 *
 * @module
 */

/** `struct virtio_crypto_config`: 48 bytes, without limits. The first eight fields have the offsets of v19. */
export const CONFIG_BYTES_V5 = 48;
export const CONFIG_ASYM_ALGO_OFFSET_V5 = 32;
export const CONFIG_KDF_ALGO_OFFSET_V5 = 36;
export const CONFIG_AEAD_ALGO_OFFSET_V5 = 40;
export const CONFIG_PRIMITIVE_ALGO_OFFSET_V5 = 44;
/** The second bit of `status`; no rule says who sets it. */
export const S_STARTED = 2;

/** `struct virtio_crypto_op_ctrl_req` and `struct virtio_crypto_op_data_req`. */
export const REQUEST_BYTES = 104;
/** `op_type` of a symmetric request, after the union of its two forms. */
export const OP_TYPE_OFFSET = 96;
/** `status` of a request, le32. */
export const STATUS_BYTES = 4;

/** Bytes of a control request up to the end of its service's structure; symmetric ones end with `op_type`. */
export const CTRL_HASH_END = 40;
export const CTRL_MAC_END = 56;
export const CTRL_AEAD_END = 64;
export const CTRL_DESTROY_END = 32;
/** `session_id` le64 and `status` le32 of a request to create a session, and `status` of one to destroy it. */
export const CTRL_INPUT_BYTES = 12;
export const CTRL_HASH_INPUT_OFFSET = 24;
export const CTRL_MAC_INPUT_OFFSET = 40;
export const CTRL_CIPHER_INPUT_OFFSET = 40;
export const CTRL_CHAIN_INPUT_OFFSET = 80;
export const CTRL_AEAD_INPUT_OFFSET = 48;
export const CTRL_DESTROY_STATUS_OFFSET = 24;
/** `session_id` of a request to destroy a session. */
export const CTRL_DESTROY_SESSION_ID_OFFSET = 16;
/** Addresses of keys. */
export const CTRL_MAC_AUTH_KEY_ADDR_OFFSET = 32;
export const CTRL_CIPHER_KEY_ADDR_OFFSET = 32;
export const CTRL_CHAIN_KEY_ADDR_OFFSET = 64;
export const CTRL_CHAIN_AUTH_KEY_ADDR_OFFSET = 72;
export const CTRL_AEAD_KEY_ADDR_OFFSET = 40;
/** `op_type` from the end of the header, as the other fields of a control request's body. */
export const CTRL_OP_TYPE_BODY_OFFSET = 80;

/** Bytes of a data request up to the end of its service's structure. */
export const DATA_HASH_END = 64;
export const DATA_AEAD_END = 88;

/** `struct virtio_crypto_hash_data_req` and `..._mac_data_req`. */
export const HASH_SRC_DATA_ADDR_OFFSET = 24;
export const HASH_SRC_DATA_LEN_OFFSET = 32;
export const HASH_DST_DATA_ADDR_OFFSET = 40;
export const HASH_DIGEST_RESULT_ADDR_OFFSET = 48;
export const HASH_STATUS_OFFSET = 56;

/** `struct virtio_crypto_cipher_data_req`. */
export const CIPHER_IV_LEN_OFFSET = 24;
export const CIPHER_SRC_DATA_LEN_OFFSET = 28;
export const CIPHER_DST_DATA_LEN_OFFSET = 32;
export const CIPHER_IV_ADDR_OFFSET = 40;
export const CIPHER_SRC_DATA_ADDR_OFFSET = 48;
export const CIPHER_DST_DATA_ADDR_OFFSET = 56;
export const CIPHER_DIGEST_RESULT_ADDR_OFFSET = 64;
export const CIPHER_STATUS_OFFSET = 72;

/** `struct virtio_crypto_alg_chain_data_req`, which begins as the cipher's does. */
export const CHAIN_AAD_DATA_ADDR_OFFSET = 56;
export const CHAIN_AAD_LEN_OFFSET = 64;
export const CHAIN_DST_DATA_ADDR_OFFSET = 72;
export const CHAIN_DIGEST_RESULT_ADDR_OFFSET = 80;
export const CHAIN_STATUS_OFFSET = 88;

/** `struct virtio_crypto_aead_data_req`. */
export const AEAD_IV_LEN_OFFSET = 24;
export const AEAD_AAD_LEN_OFFSET = 28;
export const AEAD_SRC_DATA_LEN_OFFSET = 32;
export const AEAD_DST_DATA_LEN_OFFSET = 36;
export const AEAD_IV_ADDR_OFFSET = 40;
export const AEAD_SRC_DATA_ADDR_OFFSET = 48;
export const AEAD_ADD_DATA_ADDR_OFFSET = 56;
export const AEAD_DST_DATA_ADDR_OFFSET = 64;
export const AEAD_DIGEST_RESULT_ADDR_OFFSET = 72;
export const AEAD_STATUS_OFFSET = 80;
