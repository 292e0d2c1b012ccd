/**
 * The table of prototypes of libIPSec_MB for multi-buffer execution: the burst functions of its job manager, and the
 * functions that prepare the keys of jobs.
 *
 * Jobs are submitted by functions of the manager, which the library exports for each instruction set. The manager's
 * function pointers tell which set it has chosen; the exported function is called instead of the pointer, as a call
 * through a pointer costs about 1 µs.
 *
 * @module
 */
import { openIpsecMbSymbols } from "./ipsec_mb.ts";

/** Flags that exclude SHA extensions or GFNI when a manager chooses its instruction set. */
export type MultiBufferFlag = "SHANI_OFF" | "GFNI_OFF";

/** An instruction set of the library, with the suffixes of its function names. */
export interface MultiBufferVariant {
  /** Suffix of the manager's functions. */
  readonly name: string;
  /** Suffix of the function that makes a manager for this set or a lower one: init_mb_mgr_*. */
  readonly init: "sse" | "avx" | "avx2" | "avx512";
  /** The flag of that manager that keeps it from choosing a greater set. */
  readonly flag?: MultiBufferFlag;
}

/** All of versions 1.3 to 2.0, the best first. No version has all of them. */
export const BURST_VARIANTS: readonly MultiBufferVariant[] = [
  { name: "avx512_t2", init: "avx512" },
  { name: "avx512_t1", init: "avx512", flag: "GFNI_OFF" },
  { name: "avx2_t4", init: "avx2" },
  { name: "avx2_t3", init: "avx2" },
  { name: "avx2_t2", init: "avx2" },
  { name: "avx2_t1", init: "avx2", flag: "SHANI_OFF" },
  { name: "avx_t2", init: "avx" },
  { name: "avx_t1", init: "avx", flag: "SHANI_OFF" },
  { name: "sse_t3", init: "sse" },
  { name: "sse_t2", init: "sse", flag: "GFNI_OFF" },
  { name: "sse_t1", init: "sse", flag: "SHANI_OFF" },
];

/** Suffixes of the functions that expand keys for GCM, whose results differ. A manager uses those of one suffix. */
export const GCM_VARIANTS: readonly string[] = [
  "vaes_avx512",
  "avx512",
  "vaes_avx2",
  "avx_gen4",
  "avx_gen2",
  "sse",
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
  init_mb_mgr_avx: { ...initialise, optional: true },
  init_mb_mgr_avx2: initialise,
  init_mb_mgr_avx512: initialise,
  // uint32_t imb_set_session(IMB_MGR *state, IMB_JOB *job): not in 1.3
  imb_set_session: { parameters: ["u64", "u64"], result: "u32", optional: true },
  // The results are the same in every instruction set, and these run on all CPUs that the library supports.
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

function burstSymbols(name: string, gcm: string) {
  // void aes_gcm_pre_N(const void *key, struct gcm_key_data *key_data)
  const gcmKey = { parameters: ["u64", "u64"], result: "void" } as const;
  return {
    // uint32_t get_next_burst(IMB_MGR *state, const uint32_t n_jobs, IMB_JOB **jobs)
    getNextBurst: { name: `get_next_burst_${name}`, parameters: ["u64", "u32", "u64"], result: "u32" },
    // uint32_t submit_burst(IMB_MGR *state, const uint32_t n_jobs, IMB_JOB **jobs)
    submitBurst: { name: `submit_burst_nocheck_${name}`, parameters: ["u64", "u32", "u64"], result: "u32" },
    // uint32_t flush_burst(IMB_MGR *state, const uint32_t max_jobs, IMB_JOB **jobs)
    flushBurst: { name: `flush_burst_${name}`, parameters: ["u64", "u32", "u64"], result: "u32" },
    gcmKey128: { name: `aes_gcm_pre_128_${gcm}`, ...gcmKey },
    gcmKey192: { name: `aes_gcm_pre_192_${gcm}`, ...gcmKey },
    gcmKey256: { name: `aes_gcm_pre_256_${gcm}`, ...gcmKey },
  } as const satisfies Deno.ForeignLibraryInterface;
}

/** Functions for managers, key schedules and the first blocks of hashes. */
export type MultiBufferKeyMaker = Deno.DynamicLibrary<typeof managerSymbols>["symbols"];
/** A manager's burst functions in one instruction set, which check no arguments, and its keys for GCM. */
export type Bursts = Deno.DynamicLibrary<ReturnType<typeof burstSymbols>>["symbols"];

/** What has been opened in this thread. Opening takes a tenth of a millisecond a function, and managers are many. */
let keyMaker: MultiBufferKeyMaker | undefined;
const opened = new Map<string, Bursts>();
let submitBursts: readonly bigint[] | undefined;
let gcmKeys: readonly bigint[] | undefined;

/** The functions for managers and keys, opened at the first call; throws LibraryMissingError. */
export function openMultiBufferManager(): MultiBufferKeyMaker {
  return keyMaker ??= openIpsecMbSymbols(managerSymbols);
}

/**
 * The functions of the instruction set `variant`, with keys of `gcm` of GCM_VARIANTS, opened at the first call for both;
 * throws LibraryMissingError.
 */
export function openMultiBuffers({ name }: MultiBufferVariant, gcm: string): Bursts {
  const both = `${name} ${gcm}`;
  const known = opened.get(both);
  if (known !== undefined) return known;
  const functions = openIpsecMbSymbols(burstSymbols(name, gcm));
  opened.set(both, functions);
  return functions;
}

/** The addresses of the exported functions `names`; 0n where this version of the library has none of that name. */
function addressesOf(names: readonly string[]): bigint[] {
  const symbols = Object.fromEntries(
    names.map((name) => [name, { type: "pointer", optional: true } as const satisfies Deno.ForeignStatic<"pointer">]),
  );
  const found = openIpsecMbSymbols(symbols);
  return names.map((name) => Deno.UnsafePointer.value(found[name] ?? null));
}

/** The addresses of the functions that submit bursts in BURST_VARIANTS, to compare with a manager's; 0n: there is none. */
export function submitBurstAddresses(): readonly bigint[] {
  return submitBursts ??= addressesOf(BURST_VARIANTS.map(({ name }) => `submit_burst_nocheck_${name}`));
}

/** The addresses of the functions that prepare keys for GCM with GCM_VARIANTS, likewise. */
export function gcmKeyAddresses(): readonly bigint[] {
  return gcmKeys ??= addressesOf(GCM_VARIANTS.map((name) => `aes_gcm_pre_128_${name}`));
}
