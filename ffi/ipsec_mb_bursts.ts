/**
 * libIPSec_MB, for many messages at once: AES-CBC and HMAC in bursts. A table of prototypes and nothing else.
 *
 * A burst goes through one of the manager's functions, which the library exports once for each instruction set. Which
 * set the manager has chosen shows in the function pointers it holds; called is the exported function, because calling
 * through a pointer costs a microsecond here.
 *
 * @module
 */
import { type LibrarySpec, openLibrary } from "./library.ts";

const spec: LibrarySpec = {
  name: "libIPSec_MB",
  candidates: ["libIPSec_MB.so.1"],
  debianPackage: "libipsec-mb1",
};

/**
 * The instruction sets that bursts are used with, as the functions' names end. Version 1.3 exports eight more, for
 * processors without AVX-512 or vector AES; whether and from when on they are faster has not been measured.
 */
export const BURST_VARIANTS: readonly string[] = ["avx512_t2"];

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
  // The results are the same in every instruction set, and these run on all processors that the library supports.
  aes_keyexp_128_sse: keyExpansion,
  aes_keyexp_192_sse: keyExpansion,
  aes_keyexp_256_sse: keyExpansion,
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

function burstSymbols(variant: string) {
  return {
    // uint32_t submit_cipher_burst(IMB_MGR *, IMB_JOB *jobs, const uint32_t n_jobs, const IMB_CIPHER_MODE cipher,
    //                              const IMB_CIPHER_DIRECTION dir, const IMB_KEY_SIZE_BYTES key_size)
    submitCipherBurst: {
      name: `submit_cipher_burst_nocheck_${variant}`,
      parameters: ["u64", "u64", "u32", "u32", "u32", "u32"],
      result: "u32",
    },
    // uint32_t submit_hash_burst(IMB_MGR *, IMB_JOB *jobs, const uint32_t n_jobs, const IMB_HASH_ALG hash)
    submitHashBurst: {
      name: `submit_hash_burst_nocheck_${variant}`,
      parameters: ["u64", "u64", "u32", "u32"],
      result: "u32",
    },
  } as const satisfies Deno.ForeignLibraryInterface;
}

/** Managers, key schedules and the first blocks of hashes. */
export type BurstManager = Deno.DynamicLibrary<typeof managerSymbols>["symbols"];
/** A manager's burst functions, in one instruction set. They check nothing, and return when all jobs are done. */
export type Bursts = Deno.DynamicLibrary<ReturnType<typeof burstSymbols>>["symbols"];

/** Opens what makes managers and keys; throws LibraryMissingError. */
export function openBurstManager(): BurstManager {
  return openLibrary(spec, managerSymbols).symbols;
}

/** Opens the burst functions of `variant`, one of BURST_VARIANTS; throws LibraryMissingError. */
export function openBursts(variant: string): Bursts {
  return openLibrary(spec, burstSymbols(variant)).symbols;
}

/** The address of the function for cipher bursts of `variant`, to compare with a manager's; throws as the others. */
export function cipherBurstAddress(variant: string): bigint {
  const name = `submit_cipher_burst_nocheck_${variant}`;
  const { symbols } = openLibrary(spec, { address: { name, type: "pointer" } } as const);
  return Deno.UnsafePointer.value(symbols.address);
}
