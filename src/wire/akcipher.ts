/**
 * Numbers and layouts of the ratified AKCIPHER service (Device Operation, AKCIPHER), which deployed guests speak.
 * Offsets are in bytes from the start of the structure in their name; all fields are little-endian.
 *
 * @module
 */

/** Algorithm numbers: bits of `akcipher_algo`. The text says that ECDSA is 2; Linux's and QEMU's headers say 3. */
export const AKCIPHER_RSA = 1;
export const AKCIPHER_ECDSA = 2;
export const AKCIPHER_ECDSA_UAPI = 3;

/** `key_type`. */
export const AKCIPHER_KEY_PUBLIC = 1;
export const AKCIPHER_KEY_PRIVATE = 2;

/** `padding_algo` of an RSA session. */
export const RSA_RAW_PADDING = 0;
export const RSA_PKCS1_PADDING = 1;

/** `hash_algo` of an RSA session: a numbering of its own. */
export const RSA_NO_HASH = 0;
export const RSA_MD2 = 1;
export const RSA_MD3 = 2;
export const RSA_MD4 = 3;
export const RSA_MD5 = 4;
export const RSA_SHA1 = 5;
export const RSA_SHA256 = 6;
export const RSA_SHA384 = 7;
export const RSA_SHA512 = 8;
export const RSA_SHA224 = 9;

/** `curve_id` of an ECDSA session. */
export const CURVE_NIST_P192 = 1;
export const CURVE_NIST_P224 = 2;
export const CURVE_NIST_P256 = 3;
export const CURVE_NIST_P384 = 4;
export const CURVE_NIST_P521 = 5;

/** `struct virtio_crypto_akcipher_session_para`, the body of a create request. */
export const AKCIPHER_SESSION_ALGO_OFFSET = 0;
export const AKCIPHER_SESSION_KEY_TYPE_OFFSET = 4;
export const AKCIPHER_SESSION_KEY_LEN_OFFSET = 8;
/** RSA's `padding_algo`, or ECDSA's `curve_id`. */
export const AKCIPHER_SESSION_PARA0_OFFSET = 12;
/** RSA's `hash_algo`. */
export const AKCIPHER_SESSION_PARA1_OFFSET = 16;
/** Bytes of the body that have a meaning; the rest of the fixed-size body is ignored. */
export const AKCIPHER_SESSION_BYTES = 20;

/** `struct virtio_crypto_akcipher_para`, of a session's request. */
export const AKCIPHER_PARA_SRC_DATA_LEN_OFFSET = 0;
export const AKCIPHER_PARA_DST_DATA_LEN_OFFSET = 4;
export const AKCIPHER_PARA_BYTES = 8;

/** `struct virtio_crypto_akcipher_data_req_stateless`, a request that contains its key. */
export const STATELESS_AKCIPHER_ALGO_OFFSET = 0;
export const STATELESS_AKCIPHER_KEY_TYPE_OFFSET = 4;
export const STATELESS_AKCIPHER_KEY_LEN_OFFSET = 8;
export const STATELESS_AKCIPHER_PARA0_OFFSET = 12;
export const STATELESS_AKCIPHER_PARA1_OFFSET = 16;
export const STATELESS_AKCIPHER_SRC_DATA_LEN_OFFSET = 20;
export const STATELESS_AKCIPHER_DST_DATA_LEN_OFFSET = 24;
export const STATELESS_AKCIPHER_BYTES = 28;
