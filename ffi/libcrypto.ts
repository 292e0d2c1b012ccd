/**
 * The table of prototypes of OpenSSL 3's libcrypto; `src/engine` implements algorithms with them.
 *
 * Every pointer of C is a `u64` here, contexts included: a call with only `u64` arguments uses V8's fast path without
 * allocation, while a single `pointer` argument makes V8 box all the others.
 *
 * @module
 */
import { openLibrary } from "./library.ts";

const symbols = {
  // unsigned long OpenSSL_version_num(void)
  OpenSSL_version_num: { parameters: [], result: "u64" },
  // int OPENSSL_init_crypto(uint64_t opts, const OPENSSL_INIT_SETTINGS *settings)
  OPENSSL_init_crypto: { parameters: ["u64", "u64"], result: "i32" },
  // const char *OpenSSL_version(int type)
  OpenSSL_version: { parameters: ["i32"], result: "pointer" },
  // OSSL_PROVIDER *OSSL_PROVIDER_load(OSSL_LIB_CTX *libctx, const char *name)
  OSSL_PROVIDER_load: { parameters: ["u64", "buffer"], result: "u64" },
  // int OSSL_PROVIDER_available(OSSL_LIB_CTX *libctx, const char *name)
  OSSL_PROVIDER_available: { parameters: ["u64", "buffer"], result: "i32" },
  // int OSSL_PROVIDER_self_test(const OSSL_PROVIDER *prov)
  OSSL_PROVIDER_self_test: { parameters: ["u64"], result: "i32" },
  // int OSSL_PROVIDER_get_params(const OSSL_PROVIDER *prov, OSSL_PARAM params[])
  OSSL_PROVIDER_get_params: { parameters: ["u64", "u64"], result: "i32" },
  // int OSSL_LIB_CTX_load_config(OSSL_LIB_CTX *ctx, const char *config_file)
  OSSL_LIB_CTX_load_config: { parameters: ["u64", "buffer"], result: "i32" },
  // int EVP_set_default_properties(OSSL_LIB_CTX *libctx, const char *propq)
  EVP_set_default_properties: { parameters: ["u64", "buffer"], result: "i32" },
  // int RAND_status(void)
  RAND_status: { parameters: [], result: "i32" },
  // unsigned long ERR_get_error(void)
  ERR_get_error: { parameters: [], result: "u64" },
  // void ERR_error_string_n(unsigned long e, char *buf, size_t len)
  ERR_error_string_n: { parameters: ["u64", "buffer", "usize"], result: "void" },
  // void ERR_clear_error(void)
  ERR_clear_error: { parameters: [], result: "void" },
  // void OPENSSL_cleanse(void *ptr, size_t len)
  OPENSSL_cleanse: { parameters: ["u64", "usize"], result: "void" },
  // int CRYPTO_memcmp(const void *a, const void *b, size_t len)
  CRYPTO_memcmp: { parameters: ["u64", "u64", "usize"], result: "i32" },

  // EVP_CIPHER *EVP_CIPHER_fetch(OSSL_LIB_CTX *ctx, const char *algorithm, const char *properties)
  EVP_CIPHER_fetch: { parameters: ["u64", "buffer", "u64"], result: "u64" },
  // EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void)
  EVP_CIPHER_CTX_new: { parameters: [], result: "u64" },
  // void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx)
  EVP_CIPHER_CTX_free: { parameters: ["u64"], result: "void" },
  // int EVP_CipherInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *type, ENGINE *impl, const unsigned char *key,
  //                       const unsigned char *iv, int enc)
  EVP_CipherInit_ex: { parameters: ["u64", "u64", "u64", "u64", "u64", "i32"], result: "i32" },
  // int EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl, const unsigned char *in, int inl)
  EVP_CipherUpdate: { parameters: ["u64", "u64", "u64", "u64", "i32"], result: "i32" },
  // int EVP_CipherFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *outm, int *outl)
  EVP_CipherFinal_ex: { parameters: ["u64", "u64", "u64"], result: "i32" },
  // int EVP_CIPHER_CTX_set_padding(EVP_CIPHER_CTX *ctx, int padding)
  EVP_CIPHER_CTX_set_padding: { parameters: ["u64", "i32"], result: "i32" },
  // int EVP_CIPHER_CTX_set_key_length(EVP_CIPHER_CTX *ctx, int keylen)
  EVP_CIPHER_CTX_set_key_length: { parameters: ["u64", "i32"], result: "i32" },
  // int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr)
  EVP_CIPHER_CTX_ctrl: { parameters: ["u64", "i32", "i32", "u64"], result: "i32" },
  // unsigned char *EVP_CIPHER_CTX_iv_noconst(EVP_CIPHER_CTX *ctx)
  EVP_CIPHER_CTX_iv_noconst: { parameters: ["u64"], result: "u64" },

  // EVP_MD *EVP_MD_fetch(OSSL_LIB_CTX *ctx, const char *algorithm, const char *properties)
  EVP_MD_fetch: { parameters: ["u64", "buffer", "u64"], result: "u64" },
  // EVP_MD_CTX *EVP_MD_CTX_new(void)
  EVP_MD_CTX_new: { parameters: [], result: "u64" },
  // void EVP_MD_CTX_free(EVP_MD_CTX *ctx)
  EVP_MD_CTX_free: { parameters: ["u64"], result: "void" },
  // int EVP_DigestInit_ex2(EVP_MD_CTX *ctx, const EVP_MD *type, const OSSL_PARAM params[])
  EVP_DigestInit_ex2: { parameters: ["u64", "u64", "u64"], result: "i32" },
  // int EVP_DigestUpdate(EVP_MD_CTX *ctx, const void *d, size_t cnt)
  EVP_DigestUpdate: { parameters: ["u64", "u64", "usize"], result: "i32" },
  // int EVP_DigestFinal_ex(EVP_MD_CTX *ctx, unsigned char *md, unsigned int *s)
  EVP_DigestFinal_ex: { parameters: ["u64", "u64", "u64"], result: "i32" },
  // int EVP_DigestFinalXOF(EVP_MD_CTX *ctx, unsigned char *md, size_t len)
  EVP_DigestFinalXOF: { parameters: ["u64", "u64", "usize"], result: "i32" },

  // EVP_MAC *EVP_MAC_fetch(OSSL_LIB_CTX *libctx, const char *algorithm, const char *properties)
  EVP_MAC_fetch: { parameters: ["u64", "buffer", "u64"], result: "u64" },
  // EVP_MAC_CTX *EVP_MAC_CTX_new(EVP_MAC *mac)
  EVP_MAC_CTX_new: { parameters: ["u64"], result: "u64" },
  // void EVP_MAC_CTX_free(EVP_MAC_CTX *ctx)
  EVP_MAC_CTX_free: { parameters: ["u64"], result: "void" },
  // int EVP_MAC_init(EVP_MAC_CTX *ctx, const unsigned char *key, size_t keylen, const OSSL_PARAM params[])
  EVP_MAC_init: { parameters: ["u64", "u64", "usize", "u64"], result: "i32" },
  // int EVP_MAC_update(EVP_MAC_CTX *ctx, const unsigned char *data, size_t datalen)
  EVP_MAC_update: { parameters: ["u64", "u64", "usize"], result: "i32" },
  // int EVP_MAC_final(EVP_MAC_CTX *ctx, unsigned char *out, size_t *outl, size_t outsize)
  EVP_MAC_final: { parameters: ["u64", "u64", "u64", "usize"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** OpenSSL's functions. */
export const libcrypto: Deno.DynamicLibrary<typeof symbols>["symbols"] = openLibrary({
  name: "OpenSSL 3's libcrypto",
  candidates: ["libcrypto.so.3"],
  library: "openssl",
  tooOld: ["libcrypto.so.1.1", "libcrypto.so.1.0.0"],
}, symbols).symbols;
