/*
 * A provider for a test: AES that keeps its IV elsewhere than OpenSSL's own does, in the ways that OpenSSL permits. The
 * encryption is that of the default provider. What is asked for the IV's address (OSSL_CIPHER_PARAM_UPDATED_IV) is
 *   AES-128-CBC  not answered: OpenSSL gives out memory of its own, which this provider does not read;
 *   AES-192-CBC  refused: OpenSSL gives out no address;
 *   AES-256-CBC  answered with a copy, which is not read again;
 *   AES-192-CTR  answered with a copy that is read once, in the first request after an initialisation;
 *   AES-128-CTR  answered with the place that the IV is read from.
 */
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

enum way { IGNORES, REFUSES, GIVES_COPY, READS_ONCE, READS_ALWAYS };

struct context {
    EVP_CIPHER_CTX *inner;
    EVP_CIPHER *cipher;
    enum way way;
    size_t key_bytes;
    unsigned char iv[16]; /* what is given out */
    unsigned char set[16]; /* what the inner context was given, or has moved on to */
    int requests;
};

static void *new_context(const char *name, enum way way, size_t key_bytes)
{
    struct context *c = calloc(1, sizeof(*c));
    c->cipher = EVP_CIPHER_fetch(NULL, name, "provider=default");
    c->inner = EVP_CIPHER_CTX_new();
    c->way = way;
    c->key_bytes = key_bytes;
    return c;
}

static void free_context(void *context)
{
    struct context *c = context;
    EVP_CIPHER_CTX_free(c->inner);
    EVP_CIPHER_free(c->cipher);
    free(c);
}

static int init(struct context *c, const unsigned char *key, const unsigned char *iv, int encrypt)
{
    if (!EVP_CipherInit_ex(c->inner, key ? c->cipher : NULL, NULL, key, iv, encrypt)) return 0;
    EVP_CIPHER_CTX_set_padding(c->inner, 0);
    if (iv != NULL) {
        memcpy(c->iv, iv, 16);
        memcpy(c->set, iv, 16);
        c->requests = 0;
    }
    return 1;
}

static int encrypt_init(void *c, const unsigned char *key, size_t key_len, const unsigned char *iv, size_t iv_len,
                        const OSSL_PARAM params[])
{
    return init(c, key, iv, 1);
}

static int decrypt_init(void *c, const unsigned char *key, size_t key_len, const unsigned char *iv, size_t iv_len,
                        const OSSL_PARAM params[])
{
    return init(c, key, iv, 0);
}

static int update(void *context, unsigned char *out, size_t *out_len, size_t out_size, const unsigned char *in,
                  size_t in_len)
{
    struct context *c = context;
    int reads = c->way == READS_ALWAYS || (c->way == READS_ONCE && c->requests == 0);
    int n = 0;
    if (reads && memcmp(c->iv, c->set, 16) != 0 && !EVP_CipherInit_ex(c->inner, NULL, NULL, NULL, c->iv, -1)) return 0;
    if (!EVP_CipherUpdate(c->inner, out, &n, in, (int)in_len)) return 0;
    EVP_CIPHER_CTX_get_updated_iv(c->inner, c->set, 16);
    memcpy(c->iv, c->set, 16);
    c->requests++;
    *out_len = (size_t)n;
    return 1;
}

static int final(void *context, unsigned char *out, size_t *out_len, size_t out_size)
{
    *out_len = 0;
    return 1;
}

static int get_context_params(void *context, OSSL_PARAM params[])
{
    struct context *c = context;
    OSSL_PARAM *p;
    if ((p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_KEYLEN)) != NULL) OSSL_PARAM_set_size_t(p, c->key_bytes);
    if ((p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_IVLEN)) != NULL) OSSL_PARAM_set_size_t(p, 16);
    if ((p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_UPDATED_IV)) == NULL) return 1;
    if (c->way == IGNORES) return 1;
    if (c->way == REFUSES) return 0;
    return OSSL_PARAM_set_octet_ptr(p, c->iv, 16);
}

static int set_context_params(void *context, const OSSL_PARAM params[])
{
    return 1;
}

static int get_params(OSSL_PARAM params[], size_t key_bytes, size_t block_bytes, unsigned int mode)
{
    OSSL_PARAM *p;
    if ((p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_KEYLEN)) != NULL) OSSL_PARAM_set_size_t(p, key_bytes);
    if ((p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_IVLEN)) != NULL) OSSL_PARAM_set_size_t(p, 16);
    if ((p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_BLOCK_SIZE)) != NULL) OSSL_PARAM_set_size_t(p, block_bytes);
    if ((p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_MODE)) != NULL) OSSL_PARAM_set_uint(p, mode);
    return 1;
}

#define CIPHER(id, name, way, key_bytes, block_bytes, mode)                                       \
    static void *new_##id(void *provider) { return new_context(name, way, key_bytes); }           \
    static int params_##id(OSSL_PARAM p[]) { return get_params(p, key_bytes, block_bytes, mode); } \
    static const OSSL_DISPATCH functions_##id[] = {                                               \
        { OSSL_FUNC_CIPHER_NEWCTX, (void (*)(void))new_##id },                                    \
        { OSSL_FUNC_CIPHER_FREECTX, (void (*)(void))free_context },                               \
        { OSSL_FUNC_CIPHER_ENCRYPT_INIT, (void (*)(void))encrypt_init },                          \
        { OSSL_FUNC_CIPHER_DECRYPT_INIT, (void (*)(void))decrypt_init },                          \
        { OSSL_FUNC_CIPHER_UPDATE, (void (*)(void))update },                                      \
        { OSSL_FUNC_CIPHER_FINAL, (void (*)(void))final },                                        \
        { OSSL_FUNC_CIPHER_GET_PARAMS, (void (*)(void))params_##id },                             \
        { OSSL_FUNC_CIPHER_GET_CTX_PARAMS, (void (*)(void))get_context_params },                  \
        { OSSL_FUNC_CIPHER_SET_CTX_PARAMS, (void (*)(void))set_context_params },                  \
        { 0, NULL }                                                                               \
    };

CIPHER(cbc128, "AES-128-CBC", IGNORES, 16, 16, EVP_CIPH_CBC_MODE)
CIPHER(cbc192, "AES-192-CBC", REFUSES, 24, 16, EVP_CIPH_CBC_MODE)
CIPHER(cbc256, "AES-256-CBC", GIVES_COPY, 32, 16, EVP_CIPH_CBC_MODE)
CIPHER(ctr192, "AES-192-CTR", READS_ONCE, 24, 1, EVP_CIPH_CTR_MODE)
CIPHER(ctr128, "AES-128-CTR", READS_ALWAYS, 16, 1, EVP_CIPH_CTR_MODE)

static const OSSL_ALGORITHM ciphers[] = {
    { "AES-128-CBC", "provider=elsewhere", functions_cbc128, "" },
    { "AES-192-CBC", "provider=elsewhere", functions_cbc192, "" },
    { "AES-256-CBC", "provider=elsewhere", functions_cbc256, "" },
    { "AES-192-CTR", "provider=elsewhere", functions_ctr192, "" },
    { "AES-128-CTR", "provider=elsewhere", functions_ctr128, "" },
    { NULL, NULL, NULL, NULL }
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
    *no_cache = 0;
    return operation == OSSL_OP_CIPHER ? ciphers : NULL;
}

static const OSSL_DISPATCH provider_functions[] = {
    { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query },
    { 0, NULL }
};

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                       void **provider)
{
    *out = provider_functions;
    *provider = (void *)handle;
    return 1;
}
