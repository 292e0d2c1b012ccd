/**
 * Numbers and layouts of the virtio crypto device, specification v19 (with the additions of the ratified text that
 * deployed guests use). Offsets are in bytes from the start of the structure in their name; all fields are
 * little-endian. Nothing here reads or writes memory.
 *
 * @module
 */

/** Virtio's number for the crypto device. */
export const VIRTIO_ID_CRYPTO = 20;

/** Feature bit numbers (v19, Feature bits). */
export const F_MUX_MODE = 0;
export const F_CIPHER_STATELESS_MODE = 1;
export const F_HASH_STATELESS_MODE = 2;
export const F_MAC_STATELESS_MODE = 3;
export const F_AEAD_STATELESS_MODE = 4;
export const F_AKCIPHER_STATELESS_MODE = 5;

/** Services: bit numbers in `crypto_services`, and the high byte of an opcode. */
export const SERVICE_CIPHER = 0;
export const SERVICE_HASH = 1;
export const SERVICE_MAC = 2;
export const SERVICE_AEAD = 3;
export const SERVICE_AKCIPHER = 4;

/** The low byte of an opcode. */
export const OP_CREATE_SESSION = 0x02;
export const OP_DESTROY_SESSION = 0x03;
export const OP_AKCIPHER_CREATE_SESSION = 0x04;
export const OP_AKCIPHER_DESTROY_SESSION = 0x05;

export const CIPHER_ENCRYPT = 0x0000;
export const CIPHER_DECRYPT = 0x0001;
export const CIPHER_CREATE_SESSION = 0x0002;
export const CIPHER_DESTROY_SESSION = 0x0003;
export const HASH = 0x0100;
export const HASH_CREATE_SESSION = 0x0102;
export const HASH_DESTROY_SESSION = 0x0103;
export const MAC = 0x0200;
export const MAC_CREATE_SESSION = 0x0202;
export const MAC_DESTROY_SESSION = 0x0203;
export const AEAD_ENCRYPT = 0x0300;
export const AEAD_DECRYPT = 0x0301;
export const AEAD_CREATE_SESSION = 0x0302;
export const AEAD_DESTROY_SESSION = 0x0303;
export const AKCIPHER_ENCRYPT = 0x0400;
export const AKCIPHER_DECRYPT = 0x0401;
export const AKCIPHER_SIGN = 0x0402;
export const AKCIPHER_VERIFY = 0x0403;
export const AKCIPHER_CREATE_SESSION = 0x0404;
export const AKCIPHER_DESTROY_SESSION = 0x0405;

/** `enum VIRTIO_CRYPTO_STATUS`; KEY_REJECTED is the ratified text's. */
export const STATUS_OK = 0;
export const STATUS_ERR = 1;
export const STATUS_BADMSG = 2;
export const STATUS_NOTSUPP = 3;
export const STATUS_INVSESS = 4;
export const STATUS_NOSPC = 5;
export const STATUS_KEY_REJECTED = 6;

/** CIPHER algorithm numbers. */
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

/** HASH algorithm numbers. */
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

/** MAC algorithm numbers. */
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

/** AEAD algorithm numbers. */
export const AEAD_GCM = 1;
export const AEAD_CCM = 2;
export const AEAD_CHACHA20_POLY1305 = 3;

/** Directions of a session (`op`). */
export const OP_ENCRYPT = 1;
export const OP_DECRYPT = 2;

/** `op_type` of a symmetric request. */
export const SYM_OP_NONE = 0;
export const SYM_OP_CIPHER = 1;
export const SYM_OP_ALGORITHM_CHAINING = 2;

/** `alg_chain_order`. */
export const CHAIN_HASH_THEN_CIPHER = 1;
export const CHAIN_CIPHER_THEN_HASH = 2;

/** `hash_mode` of a chain. */
export const HASH_MODE_PLAIN = 1;
export const HASH_MODE_AUTH = 2;
export const HASH_MODE_NESTED = 3;

/** `flag` of a data request. Older drafts use 2 for stateless requests; the specification uses 0. */
export const FLAG_STATELESS_MODE_ZERO = 0;
export const FLAG_SESSION_MODE = 1;
export const FLAG_STATELESS_MODE_V15 = 2;

/** `struct virtio_crypto_config` (Device configuration layout). */
export const CONFIG_BYTES = 56;
export const CONFIG_STATUS_OFFSET = 0;
export const CONFIG_MAX_DATAQUEUES_OFFSET = 4;
export const CONFIG_CRYPTO_SERVICES_OFFSET = 8;
export const CONFIG_CIPHER_ALGO_L_OFFSET = 12;
export const CONFIG_CIPHER_ALGO_H_OFFSET = 16;
export const CONFIG_HASH_ALGO_OFFSET = 20;
export const CONFIG_MAC_ALGO_L_OFFSET = 24;
export const CONFIG_MAC_ALGO_H_OFFSET = 28;
export const CONFIG_AEAD_ALGO_OFFSET = 32;
export const CONFIG_MAX_CIPHER_KEY_LEN_OFFSET = 36;
export const CONFIG_MAX_AUTH_KEY_LEN_OFFSET = 40;
export const CONFIG_AKCIPHER_ALGO_OFFSET = 44;
export const CONFIG_MAX_SIZE_OFFSET = 48;
/** The only defined bit of `status`: the device accepts requests. */
export const S_HW_READY = 1;

/** `struct virtio_crypto_ctrl_header` (Control Virtqueue). */
export const CTRL_HEADER_BYTES = 16;
export const CTRL_OPCODE_OFFSET = 0;
export const CTRL_ALGO_OFFSET = 4;
export const CTRL_FLAG_OFFSET = 8;
export const CTRL_QUEUE_ID_OFFSET = 12;

/** The body of every control request is padded to this size unless MUX_MODE is negotiated. */
export const CTRL_BODY_BYTES_FIXED = 56;
/** Body sizes under MUX_MODE. */
export const CTRL_HASH_BYTES = 8;
export const CTRL_MAC_BYTES = 16;
export const CTRL_SYM_BYTES = 56;
export const CTRL_AEAD_BYTES = 24;
export const CTRL_DESTROY_BYTES = 8;

/** `struct virtio_crypto_session_input`: session_id le64, status le32, padding. */
export const SESSION_INPUT_BYTES = 16;
export const SESSION_INPUT_STATUS_OFFSET = 8;

/** `struct virtio_crypto_hash_session_para` and `..._mac_session_para`. */
export const HASH_SESSION_ALGO_OFFSET = 0;
export const HASH_SESSION_RESULT_LEN_OFFSET = 4;
export const MAC_SESSION_AUTH_KEY_LEN_OFFSET = 8;

/** `struct virtio_crypto_cipher_session_para`. */
export const CIPHER_SESSION_ALGO_OFFSET = 0;
export const CIPHER_SESSION_KEYLEN_OFFSET = 4;
export const CIPHER_SESSION_OP_OFFSET = 8;

/** `struct virtio_crypto_alg_chain_session_para`. */
export const CHAIN_SESSION_ORDER_OFFSET = 0;
export const CHAIN_SESSION_HASH_MODE_OFFSET = 4;
export const CHAIN_SESSION_CIPHER_OFFSET = 8;
export const CHAIN_SESSION_HASH_OFFSET = 24;
export const CHAIN_SESSION_AAD_LEN_OFFSET = 40;
/** `op_type` of `struct virtio_crypto_sym_create_session_req`, after the union. */
export const SYM_SESSION_OP_TYPE_OFFSET = 48;

/** `struct virtio_crypto_aead_session_para`. */
export const AEAD_SESSION_ALGO_OFFSET = 0;
export const AEAD_SESSION_KEY_LEN_OFFSET = 4;
export const AEAD_SESSION_TAG_LEN_OFFSET = 8;
export const AEAD_SESSION_AAD_LEN_OFFSET = 12;
export const AEAD_SESSION_OP_OFFSET = 16;

/** `struct virtio_crypto_op_header` (Data Virtqueue). */
export const DATA_HEADER_BYTES = 24;
export const DATA_OPCODE_OFFSET = 0;
export const DATA_ALGO_OFFSET = 4;
export const DATA_SESSION_ID_OFFSET = 8;
export const DATA_FLAG_OFFSET = 16;

/** The parameters of every data request are padded to this size unless MUX_MODE is negotiated. */
export const DATA_PARA_BYTES_FIXED = 48;
/** Parameter sizes of session requests under MUX_MODE. */
export const DATA_HASH_BYTES = 8;
export const DATA_SYM_BYTES = 48;
export const DATA_AEAD_BYTES = 24;
/** Parameter sizes of stateless requests. The ratified text dropped the symmetric one's `queue_id`. */
export const STATELESS_HASH_BYTES = 16;
export const STATELESS_MAC_BYTES = 16;
export const STATELESS_SYM_BYTES = 80;
export const STATELESS_SYM_BYTES_RATIFIED = 76;
export const STATELESS_AEAD_BYTES = 32;
/** The longest header and parameters together. */
export const DATA_FIXED_BYTES_MAX = DATA_HEADER_BYTES + STATELESS_SYM_BYTES;

/** `struct virtio_crypto_hash_para`, and `..._mac_para`, which is the same. */
export const HASH_PARA_SRC_DATA_LEN_OFFSET = 0;
export const HASH_PARA_HASH_RESULT_LEN_OFFSET = 4;

/** `struct virtio_crypto_cipher_para`. */
export const CIPHER_PARA_IV_LEN_OFFSET = 0;
export const CIPHER_PARA_SRC_DATA_LEN_OFFSET = 4;
export const CIPHER_PARA_DST_DATA_LEN_OFFSET = 8;

/** `struct virtio_crypto_alg_chain_data_para`. */
export const CHAIN_PARA_IV_LEN_OFFSET = 0;
export const CHAIN_PARA_SRC_DATA_LEN_OFFSET = 4;
export const CHAIN_PARA_DST_DATA_LEN_OFFSET = 8;
export const CHAIN_PARA_CIPHER_START_OFFSET = 12;
export const CHAIN_PARA_LEN_TO_CIPHER_OFFSET = 16;
export const CHAIN_PARA_HASH_START_OFFSET = 20;
export const CHAIN_PARA_LEN_TO_HASH_OFFSET = 24;
export const CHAIN_PARA_AAD_LEN_OFFSET = 28;
export const CHAIN_PARA_HASH_RESULT_LEN_OFFSET = 32;
/** `op_type` of `struct virtio_crypto_sym_data_req`, after the union. */
export const SYM_PARA_OP_TYPE_OFFSET = 40;

/** `struct virtio_crypto_aead_para`. */
export const AEAD_PARA_IV_LEN_OFFSET = 0;
export const AEAD_PARA_AAD_LEN_OFFSET = 4;
export const AEAD_PARA_SRC_DATA_LEN_OFFSET = 8;
export const AEAD_PARA_DST_DATA_LEN_OFFSET = 12;
export const AEAD_PARA_TAG_LEN_OFFSET = 16;

/** `struct virtio_crypto_hash_para_stateless`. */
export const STATELESS_HASH_ALGO_OFFSET = 0;
export const STATELESS_HASH_SRC_DATA_LEN_OFFSET = 4;
export const STATELESS_HASH_RESULT_LEN_OFFSET = 8;

/** `struct virtio_crypto_mac_para_stateless`. */
export const STATELESS_MAC_ALGO_OFFSET = 0;
export const STATELESS_MAC_AUTH_KEY_LEN_OFFSET = 4;
export const STATELESS_MAC_SRC_DATA_LEN_OFFSET = 8;
export const STATELESS_MAC_RESULT_LEN_OFFSET = 12;

/** `struct virtio_crypto_cipher_para_stateless`. */
export const STATELESS_CIPHER_ALGO_OFFSET = 0;
export const STATELESS_CIPHER_KEYLEN_OFFSET = 4;
export const STATELESS_CIPHER_OP_OFFSET = 8;
export const STATELESS_CIPHER_IV_LEN_OFFSET = 12;
export const STATELESS_CIPHER_SRC_DATA_LEN_OFFSET = 16;
export const STATELESS_CIPHER_DST_DATA_LEN_OFFSET = 20;

/** `struct virtio_crypto_alg_chain_data_para_stateless`, which contains `aad_len` twice. */
export const STATELESS_CHAIN_ORDER_OFFSET = 0;
export const STATELESS_CHAIN_AAD_LEN_FIRST_OFFSET = 4;
export const STATELESS_CHAIN_CIPHER_ALGO_OFFSET = 8;
export const STATELESS_CHAIN_CIPHER_KEYLEN_OFFSET = 12;
export const STATELESS_CHAIN_CIPHER_OP_OFFSET = 16;
export const STATELESS_CHAIN_HASH_ALGO_OFFSET = 20;
export const STATELESS_CHAIN_AUTH_KEY_LEN_OFFSET = 24;
export const STATELESS_CHAIN_HASH_MODE_OFFSET = 28;
export const STATELESS_CHAIN_IV_LEN_OFFSET = 32;
export const STATELESS_CHAIN_SRC_DATA_LEN_OFFSET = 36;
export const STATELESS_CHAIN_DST_DATA_LEN_OFFSET = 40;
export const STATELESS_CHAIN_CIPHER_START_OFFSET = 44;
export const STATELESS_CHAIN_LEN_TO_CIPHER_OFFSET = 48;
export const STATELESS_CHAIN_HASH_START_OFFSET = 52;
export const STATELESS_CHAIN_LEN_TO_HASH_OFFSET = 56;
export const STATELESS_CHAIN_AAD_LEN_OFFSET = 60;
export const STATELESS_CHAIN_HASH_RESULT_LEN_OFFSET = 64;
/** `op_type` of `struct virtio_crypto_sym_data_req_stateless`, after the union. */
export const STATELESS_SYM_OP_TYPE_OFFSET = 72;

/** `struct virtio_crypto_aead_para_stateless`. */
export const STATELESS_AEAD_ALGO_OFFSET = 0;
export const STATELESS_AEAD_KEY_LEN_OFFSET = 4;
export const STATELESS_AEAD_OP_OFFSET = 8;
export const STATELESS_AEAD_IV_LEN_OFFSET = 12;
export const STATELESS_AEAD_TAG_LEN_OFFSET = 16;
export const STATELESS_AEAD_AAD_LEN_OFFSET = 20;
export const STATELESS_AEAD_SRC_DATA_LEN_OFFSET = 24;
export const STATELESS_AEAD_DST_DATA_LEN_OFFSET = 28;

/** The service an opcode belongs to. */
export function serviceOf(opcode: number): number {
  return opcode >>> 8;
}

/** The numbers of the bits that are set in a 64-bit mask, given as two 32-bit halves, in ascending order. */
export function bitsOf(low: number, high = 0): number[] {
  const bits: number[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (((bit < 32 ? low >>> bit : high >>> (bit - 32)) & 1) !== 0) bits.push(bit);
  }
  return bits;
}
