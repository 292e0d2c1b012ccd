/**
 * The table of prototypes of libgcrypt, for its MACs. Pointers and handles are `u64`.
 *
 * @module
 */
import { openLibrary } from "./library.ts";

const symbols = {
  // const char *gcry_check_version(const char *required)
  gcry_check_version: { parameters: ["u64"], result: "u64" },
  // gcry_error_t gcry_control(enum gcry_ctl_cmds command, ...); it is always called with one int here
  gcry_control: { parameters: ["i32", "i32"], result: "u32" },

  // gcry_error_t gcry_mac_open(gcry_mac_hd_t *handle, int algo, unsigned flags, gcry_ctx_t ctx)
  gcry_mac_open: { parameters: ["buffer", "i32", "u32", "u64"], result: "u32" },
  // void gcry_mac_close(gcry_mac_hd_t h)
  gcry_mac_close: { parameters: ["u64"], result: "void" },
  // gcry_error_t gcry_mac_setkey(gcry_mac_hd_t h, const void *key, size_t keylen)
  gcry_mac_setkey: { parameters: ["u64", "u64", "usize"], result: "u32" },
  // gcry_error_t gcry_mac_setiv(gcry_mac_hd_t h, const void *iv, size_t ivlen)
  gcry_mac_setiv: { parameters: ["u64", "u64", "usize"], result: "u32" },
  // gcry_error_t gcry_mac_write(gcry_mac_hd_t h, const void *buffer, size_t length)
  gcry_mac_write: { parameters: ["u64", "u64", "usize"], result: "u32" },
  // gcry_error_t gcry_mac_read(gcry_mac_hd_t h, void *buffer, size_t *buflen)
  gcry_mac_read: { parameters: ["u64", "u64", "u64"], result: "u32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The library's functions. */
export type Gcrypt = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** Opens the library; throws LibraryMissingError. */
export function openGcrypt(): Gcrypt {
  return openLibrary({
    name: "libgcrypt",
    candidates: ["libgcrypt.so.20"],
    library: "gcrypt",
  }, symbols).symbols;
}
