/**
 * The table of prototypes of libcrypto's functions for configuration files; `src/engine` reads with them what a file asks
 * for. Objects and addresses are `u64`, with 0n for NULL.
 *
 * @module
 */
import { openLibrary } from "./library.ts";

const symbols = {
  // char *CONF_get1_default_config_file(void)
  CONF_get1_default_config_file: { parameters: [], result: "u64" },
  // const char *X509_get_default_cert_area(void)
  X509_get_default_cert_area: { parameters: [], result: "u64" },
  // CONF *NCONF_new(CONF_METHOD *meth)
  NCONF_new: { parameters: ["u64"], result: "u64" },
  // void NCONF_free(CONF *conf)
  NCONF_free: { parameters: ["u64"], result: "void" },
  // int NCONF_load(CONF *conf, const char *file, long *eline)
  NCONF_load: { parameters: ["u64", "buffer", "u64"], result: "i32" },
  // STACK_OF(CONF_VALUE) *NCONF_get_section(const CONF *conf, const char *section)
  NCONF_get_section: { parameters: ["u64", "buffer"], result: "u64" },
  // int OPENSSL_sk_num(const OPENSSL_STACK *st)
  OPENSSL_sk_num: { parameters: ["u64"], result: "i32" },
  // void *OPENSSL_sk_value(const OPENSSL_STACK *st, int i)
  OPENSSL_sk_value: { parameters: ["u64", "i32"], result: "u64" },
  // void CRYPTO_free(void *ptr, const char *file, int line)
  CRYPTO_free: { parameters: ["u64", "u64", "i32"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** OpenSSL's functions for configuration files. */
export const conf: Deno.DynamicLibrary<typeof symbols>["symbols"] = openLibrary({
  name: "OpenSSL 3's libcrypto",
  candidates: ["libcrypto.so.3"],
  library: "openssl",
  tooOld: ["libcrypto.so.1.1", "libcrypto.so.1.0.0"],
}, symbols).symbols;
