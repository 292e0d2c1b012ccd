/**
 * libIPSec_MB, for many messages at once: its job manager in bursts, and what makes the keys of jobs. A table of
 * prototypes and nothing else.
 *
 * Jobs go through functions of the manager, which the library exports once for each instruction set. Which set the
 * manager has chosen shows in the function pointers it holds; called is the exported function, because calling through
 * a pointer costs a microsecond here.
 *
 * @module
 */
import { type LibrarySpec, openLibrary } from "./library.ts";

const spec: LibrarySpec = {
  name: "libIPSec_MB",
  candidates: ["libIPSec_MB.so.1"],
  debianPackage: "libipsec-mb1",
};

/** An instruction set of the library: how the names of its functions end. */
export interface MultiBufferVariant {
  /** The manager's functions. */
  readonly name: string;
  /** The function that makes a manager for this set or a lesser one: init_mb_mgr_*. */
  readonly init: "sse" | "avx" | "avx2" | "avx512";
  /** Flags of that manager that keep it from choosing a greater set. */
  readonly flags: bigint;
  /** The functions that prepare keys for GCM: their results are another in each set. */
  readonly gcm: string;
}

/** Flags of a manager: without the SHA extensions, without GFNI. */
const SHANI_OFF = 1n;
const GFNI_OFF = 4n;

/** All of version 1.3, the best first. */
export const BURST_VARIANTS: readonly MultiBufferVariant[] = [
  { name: "avx512_t2", init: "avx512", flags: 0n, gcm: "vaes_avx512" },
  { name: "avx512_t1", init: "avx512", flags: GFNI_OFF, gcm: "avx512" },
  { name: "avx2_t2", init: "avx2", flags: 0n, gcm: "avx_gen4" },
  { name: "avx2_t1", init: "avx2", flags: SHANI_OFF, gcm: "avx_gen4" },
  { name: "avx_t2", init: "avx", flags: 0n, gcm: "avx_gen2" },
  { name: "avx_t1", init: "avx", flags: SHANI_OFF, gcm: "avx_gen2" },
  { name: "sse_t3", init: "sse", flags: 0n, gcm: "sse" },
  { name: "sse_t2", init: "sse", flags: GFNI_OFF, gcm: "sse" },
  { name: "sse_t1", init: "sse", flags: SHANI_OFF, gcm: "sse" },
];

// void init_mb_mgr_N(IMB_MGR *state)
const initialise = { parameters: ["u64"], result: "void" } as const;
// void aes_keyexp_N(const void *key, void *enc_exp_keys, void *dec_exp_keys)
const keyExpansion = { parameters: ["u64", "u64", "u64"], result: "void" } as const;
// void shaN_one_block(const void *data, void *digest)
const oneBlock = { parameters: ["u64", "u64"], result: "void" } as const;
// void shaN(const void *data, const uint64_t length, void *digest)
const digest = { parameters: ["u64", "u64", "u64"], result: "void" } as const;

const managerSymbols = {
  // size_t imb_get_mb_mgr_size(void)
  imb_get_mb_mgr_size: { parameters: [], result: "usize" },
  // IMB_MGR *imb_set_pointers_mb_mgr(void *ptr, const uint64_t flags, const unsigned reset_mgr)
  imb_set_pointers_mb_mgr: { parameters: ["u64", "u64", "u32"], result: "u64" },
  // void init_mb_mgr_auto(IMB_MGR *state, IMB_ARCH *arch)
  init_mb_mgr_auto: { parameters: ["u64", "u64"], result: "void" },
  init_mb_mgr_sse: initialise,
  init_mb_mgr_avx: initialise,
  init_mb_mgr_avx2: initialise,
  init_mb_mgr_avx512: initialise,
  // The results are the same in every instruction set, and these run on all processors that the library supports.
  aes_keyexp_128_sse: keyExpansion,
  aes_keyexp_192_sse: keyExpansion,
  aes_keyexp_256_sse: keyExpansion,
  // int des_key_schedule(uint64_t *ks, const void *key)
  des_key_schedule: { parameters: ["u64", "u64"], result: "i32" },
  // void aes_xcbc_expand_key(const void *key, void *k1_exp, void *k2, void *k3)
  aes_xcbc_expand_key_sse: { parameters: ["u64", "u64", "u64", "u64"], result: "void" },
  // void aes_cmac_subkey_gen(const void *key_exp, void *key1, void *key2)
  aes_cmac_subkey_gen_sse: keyExpansion,
  aes_cmac_256_subkey_gen_sse: keyExpansion,
  // int snow3g_init_key_sched(const void *key, snow3g_key_schedule_t *ctx)
  snow3g_init_key_sched_sse: { parameters: ["u64", "u64"], result: "i32" },
  md5_one_block_sse: oneBlock,
  sha1_one_block_sse: oneBlock,
  sha224_one_block_sse: oneBlock,
  sha256_one_block_sse: oneBlock,
  sha384_one_block_sse: oneBlock,
  sha512_one_block_sse: oneBlock,
  sha1_sse: digest,
  sha224_sse: digest,
  sha256_sse: digest,
  sha384_sse: digest,
  sha512_sse: digest,
} as const satisfies Deno.ForeignLibraryInterface;

function burstSymbols({ name, gcm }: MultiBufferVariant) {
  // void aes_gcm_pre_N(const void *key, struct gcm_key_data *key_data)
  const gcmKey = { parameters: ["u64", "u64"], result: "void" } as const;
  return {
    // uint32_t submit_burst(IMB_MGR *state, const uint32_t n_jobs, IMB_JOB **jobs)
    submitBurst: { name: `submit_burst_nocheck_${name}`, parameters: ["u64", "u32", "u64"], result: "u32" },
    // uint32_t flush_burst(IMB_MGR *state, const uint32_t max_jobs, IMB_JOB **jobs)
    flushBurst: { name: `flush_burst_${name}`, parameters: ["u64", "u32", "u64"], result: "u32" },
    gcmKey128: { name: `aes_gcm_pre_128_${gcm}`, ...gcmKey },
    gcmKey192: { name: `aes_gcm_pre_192_${gcm}`, ...gcmKey },
    gcmKey256: { name: `aes_gcm_pre_256_${gcm}`, ...gcmKey },
  } as const satisfies Deno.ForeignLibraryInterface;
}

/** Managers, key schedules and the first blocks of hashes. */
export type MultiBufferKeyMaker = Deno.DynamicLibrary<typeof managerSymbols>["symbols"];
/** A manager's burst functions in one instruction set, which check nothing, and its keys for GCM. */
export type Bursts = Deno.DynamicLibrary<ReturnType<typeof burstSymbols>>["symbols"];

/** Opens what makes managers and keys; throws LibraryMissingError. */
export function openMultiBufferManager(): MultiBufferKeyMaker {
  return openLibrary(spec, managerSymbols).symbols;
}

/** Opens the functions of `variant`, one of BURST_VARIANTS; throws LibraryMissingError. */
export function openMultiBuffers(variant: MultiBufferVariant): Bursts {
  return openLibrary(spec, burstSymbols(variant)).symbols;
}

/** The address of the function that submits bursts in `variant`, to compare with a manager's; throws as the others. */
export function submitBurstAddress({ name }: MultiBufferVariant): bigint {
  const symbol = { name: `submit_burst_nocheck_${name}`, type: "pointer" } as const;
  return Deno.UnsafePointer.value(openLibrary(spec, { address: symbol }).symbols.address);
}
