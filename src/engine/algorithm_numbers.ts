/**
 * Numbers of algorithms: the names by which operations, engine modules and configuration refer to them. They equal
 * those of the specification, so that the device passes them on unchanged; a test compares them with `src/wire`.
 *
 * @module
 */

/** Ciphers. */
export const CIPHER_ARC4 = 1;
export const CIPHER_AES_ECB = 2;
export const CIPHER_AES_CBC = 3;
export const CIPHER_AES_CTR = 4;
export const CIPHER_DES_ECB = 5;
export const CIPHER_DES_CBC = 6;
export const CIPHER_3DES_ECB = 7;
export const CIPHER_3DES_CBC = 8;
export const CIPHER_3DES_CTR = 9;
export const CIPHER_KASUMI_F8 = 10;
export const CIPHER_SNOW3G_UEA2 = 11;
export const CIPHER_AES_F8 = 12;
export const CIPHER_AES_XTS = 13;
export const CIPHER_ZUC_EEA3 = 14;

/** Hashes. */
export const HASH_MD5 = 1;
export const HASH_SHA1 = 2;
export const HASH_SHA_224 = 3;
export const HASH_SHA_256 = 4;
export const HASH_SHA_384 = 5;
export const HASH_SHA_512 = 6;
export const HASH_SHA3_224 = 7;
export const HASH_SHA3_256 = 8;
export const HASH_SHA3_384 = 9;
export const HASH_SHA3_512 = 10;
export const HASH_SHA3_SHAKE128 = 11;
export const HASH_SHA3_SHAKE256 = 12;

/** MACs. */
export const MAC_HMAC_MD5 = 1;
export const MAC_HMAC_SHA1 = 2;
export const MAC_HMAC_SHA_224 = 3;
export const MAC_HMAC_SHA_256 = 4;
export const MAC_HMAC_SHA_384 = 5;
export const MAC_HMAC_SHA_512 = 6;
export const MAC_CMAC_3DES = 25;
export const MAC_CMAC_AES = 26;
export const MAC_KASUMI_F9 = 27;
export const MAC_SNOW3G_UIA2 = 28;
export const MAC_GMAC_AES = 41;
export const MAC_GMAC_TWOFISH = 42;
export const MAC_CBCMAC_AES = 49;
export const MAC_CBCMAC_KASUMI_F9 = 50;
export const MAC_XCBC_AES = 53;
export const MAC_ZUC_EIA3 = 54;

/** AEADs. */
export const AEAD_GCM = 1;
export const AEAD_CCM = 2;
export const AEAD_CHACHA20_POLY1305 = 3;
