/**
 * The table of prototypes of libIPSec_MB for the 3GPP algorithms KASUMI, SNOW 3G and ZUC on one buffer at a time.
 *
 * The library exports one set of functions for each instruction set. The SSE set runs on every CPU that the library
 * supports, and for single buffers none of the others is faster by more than a tenth, except UIA2 on messages of more
 * than 1 KiB. The manager's function pointers are not used, as a call through a pointer costs about 1 µs.
 *
 * @module
 */
import { type LibrarySpec, openCandidate, openLibrary } from "./library.ts";

const spec: LibrarySpec = {
  name: "libIPSec_MB",
  candidates: ["libIPSec_MB.so.2", "libIPSec_MB.so.1"],
  library: "ipsec-mb",
};

/** Numbers that differ between major versions of the library. */
export interface IpsecMbNumbers {
  /** The least IMB_ARCH that has AES-NI. */
  readonly archSse: number;
  /** IMB_FLAG_GFNI_OFF. */
  readonly flagGfniOff: bigint;
}

/** The numbers of version `version`, as imb_get_version() returns it. */
export function ipsecMbNumbers(version: number): IpsecMbNumbers {
  return version < 0x20000 ? { archSse: 2, flagGfniOff: 4n } : { archSse: 1, flagGfniOff: 2n };
}

const versionSymbols = {
  // unsigned imb_get_version(void)
  imb_get_version: { parameters: [], result: "u32" },
  // const char *imb_get_version_str(void)
  imb_get_version_str: { parameters: [], result: "pointer" },
  // IMB_MGR *alloc_mb_mgr(uint64_t flags)
  alloc_mb_mgr: { parameters: ["u64"], result: "pointer" },
  // void init_mb_mgr_auto(IMB_MGR *state, IMB_ARCH *arch)
  init_mb_mgr_auto: { parameters: ["pointer", "buffer"], result: "void" },
  // void free_mb_mgr(IMB_MGR *state)
  free_mb_mgr: { parameters: ["pointer"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

const symbols = {
  // int kasumi_init_f8_key_sched(const void *key, kasumi_key_sched_t *ctx)
  kasumi_init_f8_key_sched_sse: { parameters: ["u64", "u64"], result: "i32" },
  // int kasumi_init_f9_key_sched(const void *key, kasumi_key_sched_t *ctx)
  kasumi_init_f9_key_sched_sse: { parameters: ["u64", "u64"], result: "i32" },
  // void kasumi_f8_1_buffer(const kasumi_key_sched_t *ctx, uint64_t iv, const void *in, void *out, uint32_t bytes)
  kasumi_f8_1_buffer_sse: { parameters: ["u64", "u64", "u64", "u64", "u32"], result: "void" },
  // void kasumi_f9_1_buffer(const kasumi_key_sched_t *ctx, const void *in, uint32_t bytes, void *digest)
  kasumi_f9_1_buffer_sse: { parameters: ["u64", "u64", "u32", "u64"], result: "void" },

  // int snow3g_init_key_sched(const void *key, snow3g_key_schedule_t *ctx)
  snow3g_init_key_sched_sse: { parameters: ["u64", "u64"], result: "i32" },
  // void snow3g_f8_1_buffer(const snow3g_key_schedule_t *ctx, const void *iv, const void *in, void *out,
  //                         uint32_t bytes)
  snow3g_f8_1_buffer_sse: { parameters: ["u64", "u64", "u64", "u64", "u32"], result: "void" },
  // void snow3g_f9_1_buffer(const snow3g_key_schedule_t *ctx, const void *iv, const void *in, uint64_t bits, void *mac)
  snow3g_f9_1_buffer_sse: { parameters: ["u64", "u64", "u64", "u64", "u64"], result: "void" },

  // void zuc_eea3_1_buffer(const void *key, const void *iv, const void *in, void *out, uint32_t bytes)
  zuc_eea3_1_buffer_sse: { parameters: ["u64", "u64", "u64", "u64", "u32"], result: "void" },
  // void zuc_eia3_1_buffer(const void *key, const void *iv, const void *in, uint32_t bits, uint32_t *mac)
  zuc_eia3_1_buffer_sse: { parameters: ["u64", "u64", "u64", "u32", "u64"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions that return the version, which every version of the library has. */
export type IpsecMbVersion = Deno.DynamicLibrary<typeof versionSymbols>["symbols"];
/** The algorithms, under the names that all versions from 1.3 to 2.0 have for them. */
export type IpsecMb = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** The one of the candidates that is there: functions of two versions must never be mixed. */
let found: LibrarySpec | undefined;

/** Opens the version functions of the library; throws LibraryMissingError. */
export function openIpsecMbVersion(): IpsecMbVersion {
  const { library, candidate } = openCandidate(found ?? spec, versionSymbols);
  found = { ...spec, candidates: [candidate] };
  return library.symbols;
}

/** Opens `symbols` of the library that {@linkcode openIpsecMbVersion} has found; throws LibraryMissingError. */
export function openIpsecMbSymbols<Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): Deno.DynamicLibrary<Symbols>["symbols"] {
  if (found === undefined) openIpsecMbVersion();
  return openLibrary(found!, symbols).symbols;
}

/** Opens the algorithms of the library; throws LibraryMissingError, also if it lacks one of them. */
export function openIpsecMb(): IpsecMb {
  return openIpsecMbSymbols(symbols);
}
