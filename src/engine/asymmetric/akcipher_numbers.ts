/**
 * Numbers of the AKCIPHER service in the descriptions of keys and jobs. They equal those of the specification, so that the
 * device passes them on unchanged; a test compares them with `src/wire`.
 *
 * @module
 */

/** Operations. */
export const AKCIPHER_ENCRYPT = 0x0400;
export const AKCIPHER_DECRYPT = 0x0401;
export const AKCIPHER_SIGN = 0x0402;
export const AKCIPHER_VERIFY = 0x0403;

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
