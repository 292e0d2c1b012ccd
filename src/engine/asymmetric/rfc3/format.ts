/**
 * Numbers and layouts of the RFC's asymmetric service (v3, January 2017), as far as it is executed here. Offsets are in
 * bytes from the start of the structure in their name; all fields are little-endian. Request structures follow the
 * 24-byte header; results start with a le32 status. A test compares these numbers with `src/wire`.
 *
 * @module
 */
import { DONE, UNSUPPORTED } from "../../operation.ts";

/** Statuses of a result. */
const STATUS_OK = 0;
const STATUS_ERR = 1;
export const STATUS_BADMSG = 2;
const STATUS_NOTSUPP = 3;

/** The status for an outcome. */
export function statusOf(outcome: number): number {
  switch (outcome) {
    case DONE:
      return STATUS_OK;
    case UNSUPPORTED:
      return STATUS_NOTSUPP;
    default:
      return STATUS_ERR;
  }
}

/** Algorithms: bits of `asym_algo`. */
export const ASYM_RSA = 1;
export const ASYM_DSA = 2;
export const ASYM_DH = 3;
export const ASYM_ECDSA = 4;
export const ASYM_ECDH = 5;

/** RSA paddings: bits of `rsa_padding`. */
export const RSA_NO_PADDING = 0;
export const RSA_PKCS1_PADDING = 1;
export const RSA_PKCS1_OAEP_PADDING = 3;
export const RSA_X931_PADDING = 4;
export const RSA_PKCS1_PSS_PADDING = 5;

/** Opcodes. */
export const ASYM_SIGN = 0x0400;
export const ASYM_VERIFY = 0x0401;
export const ASYM_ENCRYPT = 0x0402;
export const ASYM_DECRYPT = 0x0403;
export const ASYM_KEY_GEN = 0x0404;
export const ASYM_KEY_EXCHG = 0x0405;

/** `keyexchg_op`. */
export const KEY_EXCHANGE_GEN_KEY = 0;
export const KEY_EXCHANGE_COMPUTE_KEY = 1;
export const KEY_EXCHANGE_GEN_DH_PARAM = 2;

/** `field_type`. */
export const EC_FIELD_TYPE_PRIME = 0;
export const EC_FIELD_TYPE_BINARY = 1;

/** `priv_key_rep_type`: modulus and exponent, or primes with their exponents. */
export const RSA_PRIV_KEY_REPTYPE1 = 0;
export const RSA_PRIV_KEY_REPTYPE2 = 1;

/** Bytes at the start of every result: `status`, then `reserved` or `verify_result`. */
export const RESULT_HEADER_BYTES = 8;

/** `struct virtio_crypto_ec_group`: seven lengths in the order xg, yg, n, q, a, b, h. */
export const EC_GROUP_NUMBERS = 7;

/** `struct virtio_crypto_rsa_priv_key`. The union of its two representations is as long as the longer one. */
export const RSA_PRIV_KEY_PRIME_NUMBER_OFFSET = 0;
export const RSA_PRIV_KEY_REP_TYPE_OFFSET = 4;
export const RSA_PRIV_KEY_UNION_OFFSET = 8;
export const RSA_PRIV_KEY_BYTES = 40;
/** Its size where a driver ends the union with the first representation. */
export const RSA_PRIV_KEY_BYTES_REP1 = 16;

/** `struct virtio_crypto_ecdsa_sign_para`. */
export const ECDSA_SIGN_HASH_ALGO_OFFSET = 0;
export const ECDSA_SIGN_FIELD_TYPE_OFFSET = 4;
export const ECDSA_SIGN_EC_OFFSET = 8;
export const ECDSA_SIGN_K_LEN_OFFSET = 40;
export const ECDSA_SIGN_D_LEN_OFFSET = 44;
export const ECDSA_SIGN_MSG_LEN_OFFSET = 48;
export const ECDSA_SIGN_R_LEN_OFFSET = 52;
export const ECDSA_SIGN_S_LEN_OFFSET = 56;
export const ECDSA_SIGN_BYTES = 64;

/** `struct virtio_crypto_dsa_sign_para`. */
export const DSA_SIGN_HASH_ALGO_OFFSET = 0;
export const DSA_SIGN_GROUP_OFFSET = 8;
export const DSA_SIGN_K_LEN_OFFSET = 24;
export const DSA_SIGN_X_LEN_OFFSET = 28;
export const DSA_SIGN_MSG_LEN_OFFSET = 32;
export const DSA_SIGN_R_LEN_OFFSET = 36;
export const DSA_SIGN_S_LEN_OFFSET = 40;
export const DSA_SIGN_BYTES = 48;

/** `struct virtio_crypto_rsa_sign_para`; the lengths follow the key. */
export const RSA_SIGN_HASH_ALGO_OFFSET = 0;
export const RSA_SIGN_PADDING_MODE_OFFSET = 4;
export const RSA_SIGN_PRIV_KEY_OFFSET = 8;
export const RSA_SIGN_BYTES_BEHIND_KEY = 8;

/** `struct virtio_crypto_ecdsa_verify_para`. */
export const ECDSA_VERIFY_HASH_ALGO_OFFSET = 0;
export const ECDSA_VERIFY_FIELD_TYPE_OFFSET = 4;
export const ECDSA_VERIFY_EC_OFFSET = 8;
export const ECDSA_VERIFY_X_LEN_OFFSET = 40;
export const ECDSA_VERIFY_Y_LEN_OFFSET = 44;
export const ECDSA_VERIFY_R_LEN_OFFSET = 48;
export const ECDSA_VERIFY_S_LEN_OFFSET = 52;
export const ECDSA_VERIFY_MSG_LEN_OFFSET = 56;
export const ECDSA_VERIFY_BYTES = 64;

/** `struct virtio_crypto_dsa_verify_para`. */
export const DSA_VERIFY_HASH_ALGO_OFFSET = 0;
export const DSA_VERIFY_GROUP_OFFSET = 8;
export const DSA_VERIFY_Y_LEN_OFFSET = 24;
export const DSA_VERIFY_R_LEN_OFFSET = 28;
export const DSA_VERIFY_S_LEN_OFFSET = 32;
export const DSA_VERIFY_MSG_LEN_OFFSET = 36;
export const DSA_VERIFY_BYTES = 40;

/** `struct virtio_crypto_dsa_group`. */
export const DSA_GROUP_P_LEN_OFFSET = 0;
export const DSA_GROUP_Q_LEN_OFFSET = 4;
export const DSA_GROUP_G_LEN_OFFSET = 8;

/** `struct virtio_crypto_rsa_verify_para`. */
export const RSA_VERIFY_HASH_ALGO_OFFSET = 0;
export const RSA_VERIFY_PADDING_MODE_OFFSET = 4;
export const RSA_VERIFY_N_LEN_OFFSET = 8;
export const RSA_VERIFY_E_LEN_OFFSET = 12;
export const RSA_VERIFY_MSG_LEN_OFFSET = 16;
export const RSA_VERIFY_BYTES = 24;

/** `struct virtio_crypto_rsa_enc_para`. */
export const RSA_ENC_PADDING_MODE_OFFSET = 0;
export const RSA_ENC_N_LEN_OFFSET = 4;
export const RSA_ENC_E_LEN_OFFSET = 8;
export const RSA_ENC_MSG_LEN_OFFSET = 12;
export const RSA_ENC_BYTES = 16;

/** `struct virtio_crypto_rsa_dec_para`; the length follows the key. */
export const RSA_DEC_PADDING_MODE_OFFSET = 0;
export const RSA_DEC_PRIV_KEY_OFFSET = 4;
export const RSA_DEC_BYTES_BEHIND_KEY = 4;

/** `struct virtio_crypto_rsa_keygen_para`. */
export const RSA_KEYGEN_MODULUS_LEN_OFFSET = 0;
export const RSA_KEYGEN_PRIME_NUMBER_OFFSET = 4;
export const RSA_KEYGEN_REP_TYPE_OFFSET = 8;
export const RSA_KEYGEN_E_LEN_OFFSET = 12;
export const RSA_KEYGEN_BYTES = 16;

/** `struct virtio_crypto_dsa_keygen_para`. */
export const DSA_KEYGEN_MODULUS_LEN_OFFSET = 0;
export const DSA_KEYGEN_BYTES = 8;

/** `struct virtio_crypto_ec_keygen_para`. */
export const EC_KEYGEN_FIELD_TYPE_OFFSET = 0;
export const EC_KEYGEN_EC_OFFSET = 8;
export const EC_KEYGEN_D_LEN_OFFSET = 40;
export const EC_KEYGEN_X_LEN_OFFSET = 44;
export const EC_KEYGEN_Y_LEN_OFFSET = 48;
export const EC_KEYGEN_BYTES = 52;

/** `struct virtio_crypto_dh_keyexchg_para`. */
export const DH_KEYEXCHG_OP_OFFSET = 0;
export const DH_MODULES_LEN_OFFSET = 8;
export const DH_P_LEN_OFFSET = 16;
export const DH_G_LEN_OFFSET = 20;
export const DH_BYTES = 24;

/** `struct virtio_crypto_dh_keyexchg_compute_key_output`, behind p and g. */
export const DH_COMPUTE_X_LEN_OFFSET = 0;
export const DH_COMPUTE_Y_LEN_OFFSET = 4;
export const DH_COMPUTE_SHARED_SECRET_LEN_OFFSET = 8;
export const DH_COMPUTE_BYTES = 16;

/** `struct virtio_crypto_ecdh_keyexchg_keygen_para`. */
export const ECDH_KEYGEN_OP_OFFSET = 0;
export const ECDH_KEYGEN_PARA_OFFSET = 8;
export const ECDH_KEYGEN_BYTES = 60;

/** `struct virtio_crypto_ecdh_keyexchg_compute_key_para`. Its own lengths count, not those in the embedded part. */
export const ECDH_COMPUTE_D_LEN_OFFSET = 8;
export const ECDH_COMPUTE_X_LEN_OFFSET = 12;
export const ECDH_COMPUTE_Y_LEN_OFFSET = 16;
export const ECDH_COMPUTE_SHARED_SECRET_LEN_OFFSET = 20;
export const ECDH_COMPUTE_PARA_OFFSET = 24;
export const ECDH_COMPUTE_BYTES = 76;

/** The longest fixed part of a request. */
export const FIXED_BYTES_MAX: number = ECDH_COMPUTE_BYTES;
