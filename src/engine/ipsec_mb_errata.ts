/**
 * Known errata of libIPSec_MB in the functions that this program calls: which versions have each, and how it is avoided.
 * Code that avoids an erratum calls {@linkcode hasErratum}, so a new version needs rows here only.
 *
 * Off the data path: it is called for a session's first request in a thread.
 *
 * @module
 */

/** A version as `imb_get_version()` returns it. */
function version(major: number, minor: number, patch = 0): number {
  return major << 16 | minor << 8 | patch;
}

/** No release has corrected it. */
const NEVER = Infinity;

/** A defect of the library. */
export interface Erratum {
  /** The first version that has it. */
  readonly since: number;
  /** The first later version that does not have it. */
  readonly fixedIn: number;
  /** Instruction sets that have it, by the beginnings of the manager's names for them; all if not given. */
  readonly variants?: readonly string[];
  /** The effect. */
  readonly fault: string;
  /** The way to avoid it. */
  readonly avoidance: string;
}

/** All errata. Those that no code checks for are avoided in every version. */
const ERRATA = {
  zucSingleBuffer: {
    since: version(0, 0),
    fixedIn: version(2, 0),
    fault: "zuc_eea3_1_buffer_* and zuc_eia3_1_buffer_* leave 0 in the shift register where 2^31 - 1 belongs " +
      "(upstream issue 144): about one wrong key stream in 2^31 words",
    avoidance: "a message that is executed alone is a job of the manager, whose lanes are right; without a manager " +
      "ZUC is not offered",
  },
  zucEia3UnequalLanes: {
    since: version(0, 0),
    fixedIn: version(2, 0),
    variants: ["sse_", "avx_", "avx2_"],
    fault:
      "EIA3 jobs leave their lanes for the single-buffer generator where the shortest message of the lanes ends, " +
      "and for the last two words of a message that ends in the last three bytes of a round",
    avoidance:
      "EIA3 is executed one job at a time, which fills all lanes with one length; a message of such a length " +
      "is digested with zeros behind it, whose two words of key stream are taken out of the tag again",
  },
  desWrongLane: {
    since: version(2, 0),
    fixedIn: NEVER,
    variants: ["avx512_"],
    fault: "jobs of DES-CBC and 3DES-CBC write their results to the destination of the next lane (upstream issue 169)",
    avoidance: "DES-CBC and 3DES-CBC are executed by OpenSSL",
  },
  zucOverRead: {
    since: version(0, 0),
    fixedIn: version(2, 0),
    variants: ["avx_"],
    fault: "EEA3 jobs read past the end of the source",
    avoidance: "messages are copied through a bounce buffer",
  },
  cmacOverRead: {
    since: version(0, 0),
    fixedIn: version(2, 0, 2),
    variants: ["avx512_t2"],
    fault: "AES-CMAC jobs read past the end of a message whose last block is not whole",
    avoidance: "messages are copied through a bounce buffer",
  },
  chacha20OverRead: {
    since: version(0, 0),
    fixedIn: version(2, 0, 2),
    variants: ["sse_"],
    fault: "ChaCha20 jobs read past the end of the source",
    avoidance: "messages are copied through a bounce buffer",
  },
  emptyMessages: {
    since: version(0, 0),
    fixedIn: version(2, 0, 2),
    fault:
      "the functions that check nothing read IV, source or padding of messages without a byte (AES-CBC, AES-CTR, " +
      "DES, HMAC, AES-CMAC, AES-XCBC)",
    avoidance: "a message without a byte is no job",
  },
  snow3gOffset: {
    since: version(0, 0),
    fixedIn: NEVER,
    fault: "SNOW 3G and KASUMI jobs add the cipher's offset in the source to the destination (upstream issue 162)",
    avoidance: "their jobs have offset 0; chains of them are executed in two steps",
  },
  snow3gBits: {
    since: version(0, 0),
    fixedIn: version(1, 5),
    fault: "UEA2 of a message that is not whole bytes reads and writes past its end",
    avoidance: "messages are whole bytes, and the function for bits is not called",
  },
  ctrCarry: {
    since: version(0, 0),
    fixedIn: NEVER,
    fault: "AES-CTR jobs count in the last 32 bits of the counter block only, as IPsec does",
    avoidance: "a message whose counter carries beyond them is executed by OpenSSL",
  },
  gcmKeyAlignment: {
    since: version(0, 0),
    fixedIn: NEVER,
    fault: "the header does not align keys of GCM to the 64 bytes that some instruction sets need",
    avoidance: "keys are at multiples of 64 bytes",
  },
} as const satisfies Readonly<Record<string, Erratum>>;

/** The name of an erratum. */
export type ErratumName = keyof typeof ERRATA;

/**
 * True if version `version` of the library has the erratum `name`, in the instruction set `variant` of a manager where
 * it is not in all.
 */
export function hasErratum(name: ErratumName, version: number, variant = ""): boolean {
  const { since, fixedIn, variants }: Erratum = ERRATA[name];
  if (version < since || version >= fixedIn) return false;
  return variants === undefined || variants.some((start) => variant.startsWith(start));
}
