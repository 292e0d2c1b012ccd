/**
 * The table of prototypes of the public-key functions of OpenSSL's libcrypto; `src/engine/asymmetric` implements
 * operations with them. Objects and addresses are `u64`, with 0n for NULL.
 *
 * @module
 */
import { openLibrary } from "./library.ts";

const symbols = {
  // EVP_PKEY_CTX *EVP_PKEY_CTX_new_from_name(OSSL_LIB_CTX *libctx, const char *name, const char *propquery)
  EVP_PKEY_CTX_new_from_name: { parameters: ["u64", "buffer", "u64"], result: "u64" },
  // EVP_PKEY_CTX *EVP_PKEY_CTX_new_from_pkey(OSSL_LIB_CTX *libctx, EVP_PKEY *pkey, const char *propquery)
  EVP_PKEY_CTX_new_from_pkey: { parameters: ["u64", "u64", "u64"], result: "u64" },
  // void EVP_PKEY_CTX_free(EVP_PKEY_CTX *ctx)
  EVP_PKEY_CTX_free: { parameters: ["u64"], result: "void" },
  // EVP_PKEY *EVP_PKEY_new(void)
  EVP_PKEY_new: { parameters: [], result: "u64" },
  // void EVP_PKEY_free(EVP_PKEY *pkey)
  EVP_PKEY_free: { parameters: ["u64"], result: "void" },
  // int EVP_PKEY_get_size(const EVP_PKEY *pkey)
  EVP_PKEY_get_size: { parameters: ["u64"], result: "i32" },
  // int EVP_PKEY_get_bn_param(const EVP_PKEY *pkey, const char *key_name, BIGNUM **bn)
  EVP_PKEY_get_bn_param: { parameters: ["u64", "buffer", "u64"], result: "i32" },
  // int EVP_PKEY_fromdata_init(EVP_PKEY_CTX *ctx)
  EVP_PKEY_fromdata_init: { parameters: ["u64"], result: "i32" },
  // int EVP_PKEY_fromdata(EVP_PKEY_CTX *ctx, EVP_PKEY **ppkey, int selection, OSSL_PARAM params[])
  EVP_PKEY_fromdata: { parameters: ["u64", "u64", "i32", "u64"], result: "i32" },
  // int EVP_PKEY_CTX_set_params(EVP_PKEY_CTX *ctx, const OSSL_PARAM *params)
  EVP_PKEY_CTX_set_params: { parameters: ["u64", "u64"], result: "i32" },
  // int EVP_PKEY_public_check_quick(EVP_PKEY_CTX *ctx)
  EVP_PKEY_public_check_quick: { parameters: ["u64"], result: "i32" },

  // int EVP_PKEY_sign_init(EVP_PKEY_CTX *ctx)
  EVP_PKEY_sign_init: { parameters: ["u64"], result: "i32" },
  // int EVP_PKEY_sign(EVP_PKEY_CTX *ctx, unsigned char *sig, size_t *siglen, const unsigned char *tbs, size_t tbslen)
  EVP_PKEY_sign: { parameters: ["u64", "u64", "u64", "u64", "usize"], result: "i32" },
  // int EVP_PKEY_verify_init(EVP_PKEY_CTX *ctx)
  EVP_PKEY_verify_init: { parameters: ["u64"], result: "i32" },
  // int EVP_PKEY_verify(EVP_PKEY_CTX *ctx, const unsigned char *sig, size_t siglen, const unsigned char *tbs,
  //                     size_t tbslen)
  EVP_PKEY_verify: { parameters: ["u64", "u64", "usize", "u64", "usize"], result: "i32" },
  // int EVP_PKEY_encrypt_init(EVP_PKEY_CTX *ctx)
  EVP_PKEY_encrypt_init: { parameters: ["u64"], result: "i32" },
  // int EVP_PKEY_encrypt(EVP_PKEY_CTX *ctx, unsigned char *out, size_t *outlen, const unsigned char *in, size_t inlen)
  EVP_PKEY_encrypt: { parameters: ["u64", "u64", "u64", "u64", "usize"], result: "i32" },
  // int EVP_PKEY_decrypt_init(EVP_PKEY_CTX *ctx)
  EVP_PKEY_decrypt_init: { parameters: ["u64"], result: "i32" },
  // int EVP_PKEY_decrypt(EVP_PKEY_CTX *ctx, unsigned char *out, size_t *outlen, const unsigned char *in, size_t inlen)
  EVP_PKEY_decrypt: { parameters: ["u64", "u64", "u64", "u64", "usize"], result: "i32" },
  // int EVP_PKEY_derive_init(EVP_PKEY_CTX *ctx)
  EVP_PKEY_derive_init: { parameters: ["u64"], result: "i32" },
  // int EVP_PKEY_derive_set_peer(EVP_PKEY_CTX *ctx, EVP_PKEY *peer)
  EVP_PKEY_derive_set_peer: { parameters: ["u64", "u64"], result: "i32" },
  // int EVP_PKEY_derive(EVP_PKEY_CTX *ctx, unsigned char *key, size_t *keylen)
  EVP_PKEY_derive: { parameters: ["u64", "u64", "u64"], result: "i32" },
  // int EVP_PKEY_paramgen_init(EVP_PKEY_CTX *ctx)
  EVP_PKEY_paramgen_init: { parameters: ["u64"], result: "i32" },
  // int EVP_PKEY_keygen_init(EVP_PKEY_CTX *ctx)
  EVP_PKEY_keygen_init: { parameters: ["u64"], result: "i32" },
  // int EVP_PKEY_generate(EVP_PKEY_CTX *ctx, EVP_PKEY **ppkey)
  EVP_PKEY_generate: { parameters: ["u64", "u64"], result: "i32" },
  // void EVP_PKEY_CTX_set_cb(EVP_PKEY_CTX *ctx, EVP_PKEY_gen_cb *cb)
  EVP_PKEY_CTX_set_cb: { parameters: ["u64", "function"], result: "void" },

  // int EVP_PKEY_CTX_set_signature_md(EVP_PKEY_CTX *ctx, const EVP_MD *md)
  EVP_PKEY_CTX_set_signature_md: { parameters: ["u64", "u64"], result: "i32" },
  // int EVP_PKEY_CTX_set_rsa_padding(EVP_PKEY_CTX *ctx, int pad_mode)
  EVP_PKEY_CTX_set_rsa_padding: { parameters: ["u64", "i32"], result: "i32" },
  // int EVP_PKEY_CTX_set_rsa_pss_saltlen(EVP_PKEY_CTX *ctx, int saltlen)
  EVP_PKEY_CTX_set_rsa_pss_saltlen: { parameters: ["u64", "i32"], result: "i32" },

  // int EVP_Digest(const void *data, size_t count, unsigned char *md, unsigned int *size, const EVP_MD *type,
  //                ENGINE *impl)
  EVP_Digest: { parameters: ["u64", "usize", "u64", "u64", "u64", "u64"], result: "i32" },

  // BIGNUM *BN_new(void)
  BN_new: { parameters: [], result: "u64" },
  // BIGNUM *BN_bin2bn(const unsigned char *s, int len, BIGNUM *ret)
  BN_bin2bn: { parameters: ["u64", "i32", "u64"], result: "u64" },
  // int BN_bn2binpad(const BIGNUM *a, unsigned char *to, int tolen)
  BN_bn2binpad: { parameters: ["u64", "u64", "i32"], result: "i32" },
  // int BN_bn2lebinpad(const BIGNUM *a, unsigned char *to, int tolen)
  BN_bn2lebinpad: { parameters: ["u64", "u64", "i32"], result: "i32" },
  // void BN_clear_free(BIGNUM *a)
  BN_clear_free: { parameters: ["u64"], result: "void" },
  // void BN_set_flags(BIGNUM *b, int n)
  BN_set_flags: { parameters: ["u64", "i32"], result: "void" },
  // int BN_num_bits(const BIGNUM *a)
  BN_num_bits: { parameters: ["u64"], result: "i32" },
  // int BN_set_word(BIGNUM *a, BN_ULONG w)
  BN_set_word: { parameters: ["u64", "u64"], result: "i32" },
  // int BN_sub_word(BIGNUM *a, BN_ULONG w)
  BN_sub_word: { parameters: ["u64", "u64"], result: "i32" },
  // int BN_is_one(const BIGNUM *a)
  BN_is_one: { parameters: ["u64"], result: "i32" },
  // int BN_is_odd(const BIGNUM *a)
  BN_is_odd: { parameters: ["u64"], result: "i32" },
  // int BN_cmp(const BIGNUM *a, const BIGNUM *b)
  BN_cmp: { parameters: ["u64", "u64"], result: "i32" },
  // int BN_mul(BIGNUM *r, const BIGNUM *a, const BIGNUM *b, BN_CTX *ctx)
  BN_mul: { parameters: ["u64", "u64", "u64", "u64"], result: "i32" },
  // int BN_sub(BIGNUM *r, const BIGNUM *a, const BIGNUM *b)
  BN_sub: { parameters: ["u64", "u64", "u64"], result: "i32" },
  // int BN_mod_mul(BIGNUM *r, const BIGNUM *a, const BIGNUM *b, const BIGNUM *m, BN_CTX *ctx)
  BN_mod_mul: { parameters: ["u64", "u64", "u64", "u64", "u64"], result: "i32" },
  // int BN_priv_rand_range(BIGNUM *rnd, const BIGNUM *range)
  BN_priv_rand_range: { parameters: ["u64", "u64"], result: "i32" },
  // int BN_mod_exp_mont_consttime(BIGNUM *rr, const BIGNUM *a, const BIGNUM *p, const BIGNUM *m, BN_CTX *ctx,
  //                               BN_MONT_CTX *in_mont)
  BN_mod_exp_mont_consttime: {
    parameters: ["u64", "u64", "u64", "u64", "u64", "u64"],
    result: "i32",
  },
  // BIGNUM *BN_mod_inverse(BIGNUM *ret, const BIGNUM *a, const BIGNUM *n, BN_CTX *ctx)
  BN_mod_inverse: { parameters: ["u64", "u64", "u64", "u64"], result: "u64" },
  // int BN_check_prime(const BIGNUM *p, BN_CTX *ctx, BN_GENCB *cb)
  BN_check_prime: { parameters: ["u64", "u64", "u64"], result: "i32" },
  // BN_CTX *BN_CTX_secure_new(void)
  BN_CTX_secure_new: { parameters: [], result: "u64" },
  // void BN_CTX_free(BN_CTX *c)
  BN_CTX_free: { parameters: ["u64"], result: "void" },

  // EC_GROUP *EC_GROUP_new_from_params(const OSSL_PARAM params[], OSSL_LIB_CTX *libctx, const char *propq)
  EC_GROUP_new_from_params: { parameters: ["u64", "u64", "u64"], result: "u64" },
  // void EC_GROUP_free(EC_GROUP *group)
  EC_GROUP_free: { parameters: ["u64"], result: "void" },
  // int EC_GROUP_get_curve_name(const EC_GROUP *group)
  EC_GROUP_get_curve_name: { parameters: ["u64"], result: "i32" },
  // int EC_GROUP_check(const EC_GROUP *group, BN_CTX *ctx)
  EC_GROUP_check: { parameters: ["u64", "u64"], result: "i32" },
  // EC_KEY *EC_KEY_new_by_curve_name(int nid)
  EC_KEY_new_by_curve_name: { parameters: ["i32"], result: "u64" },
  // void EC_KEY_free(EC_KEY *key)
  EC_KEY_free: { parameters: ["u64"], result: "void" },
  // int EC_KEY_check_key(const EC_KEY *key)
  EC_KEY_check_key: { parameters: ["u64"], result: "i32" },
  // const EC_GROUP *EC_KEY_get0_group(const EC_KEY *key)
  EC_KEY_get0_group: { parameters: ["u64"], result: "u64" },
  // EC_KEY *d2i_ECPrivateKey(EC_KEY **key, const unsigned char **in, long len)
  d2i_ECPrivateKey: { parameters: ["u64", "u64", "i64"], result: "u64" },
  // int EVP_PKEY_set1_EC_KEY(EVP_PKEY *pkey, EC_KEY *key)
  EVP_PKEY_set1_EC_KEY: { parameters: ["u64", "u64"], result: "i32" },
  // int OBJ_sn2nid(const char *s)
  OBJ_sn2nid: { parameters: ["buffer"], result: "i32" },
  // const char *OBJ_nid2sn(int n)
  OBJ_nid2sn: { parameters: ["i32"], result: "u64" },

  // ECDSA_SIG *d2i_ECDSA_SIG(ECDSA_SIG **psig, const unsigned char **ppin, long len)
  d2i_ECDSA_SIG: { parameters: ["u64", "u64", "i64"], result: "u64" },
  // int i2d_ECDSA_SIG(const ECDSA_SIG *sig, unsigned char **ppout)
  i2d_ECDSA_SIG: { parameters: ["u64", "u64"], result: "i32" },
  // ECDSA_SIG *ECDSA_SIG_new(void)
  ECDSA_SIG_new: { parameters: [], result: "u64" },
  // void ECDSA_SIG_free(ECDSA_SIG *sig)
  ECDSA_SIG_free: { parameters: ["u64"], result: "void" },
  // const BIGNUM *ECDSA_SIG_get0_r(const ECDSA_SIG *sig)
  ECDSA_SIG_get0_r: { parameters: ["u64"], result: "u64" },
  // const BIGNUM *ECDSA_SIG_get0_s(const ECDSA_SIG *sig)
  ECDSA_SIG_get0_s: { parameters: ["u64"], result: "u64" },
  // int ECDSA_SIG_set0(ECDSA_SIG *sig, BIGNUM *r, BIGNUM *s)
  ECDSA_SIG_set0: { parameters: ["u64", "u64", "u64"], result: "i32" },

  // STACK_OF(ASN1_TYPE) *d2i_ASN1_SEQUENCE_ANY(STACK_OF(ASN1_TYPE) **a, const unsigned char **in, long len)
  d2i_ASN1_SEQUENCE_ANY: { parameters: ["u64", "u64", "i64"], result: "u64" },
  // int OPENSSL_sk_num(const OPENSSL_STACK *)
  OPENSSL_sk_num: { parameters: ["u64"], result: "i32" },
  // void *OPENSSL_sk_value(const OPENSSL_STACK *, int)
  OPENSSL_sk_value: { parameters: ["u64", "i32"], result: "u64" },
  // void OPENSSL_sk_free(OPENSSL_STACK *)
  OPENSSL_sk_free: { parameters: ["u64"], result: "void" },
  // int ASN1_TYPE_get(const ASN1_TYPE *a)
  ASN1_TYPE_get: { parameters: ["u64"], result: "i32" },
  // int i2d_ASN1_TYPE(const ASN1_TYPE *a, unsigned char **pp); a pp of 0 returns the length
  i2d_ASN1_TYPE: { parameters: ["u64", "u64"], result: "i32" },
  // void ASN1_TYPE_free(ASN1_TYPE *a)
  ASN1_TYPE_free: { parameters: ["u64"], result: "void" },
  // int ASN1_STRING_type(const ASN1_STRING *x)
  ASN1_STRING_type: { parameters: ["u64"], result: "i32" },
  // int ASN1_STRING_length(const ASN1_STRING *x)
  ASN1_STRING_length: { parameters: ["u64"], result: "i32" },
  // const unsigned char *ASN1_STRING_get0_data(const ASN1_STRING *x)
  ASN1_STRING_get0_data: { parameters: ["u64"], result: "u64" },
} as const satisfies Deno.ForeignLibraryInterface;

/** OpenSSL's public-key functions. */
export const pkeys: Deno.DynamicLibrary<typeof symbols>["symbols"] = openLibrary({
  name: "OpenSSL 3's libcrypto",
  candidates: ["libcrypto.so.3"],
  library: "openssl",
  tooOld: ["libcrypto.so.1.1", "libcrypto.so.1.0.0"],
}, symbols).symbols;
