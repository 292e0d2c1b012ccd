/**
 * Derives the keys that libIPSec_MB's jobs refer to: key schedules, subkeys, and the hash states after HMAC's two pads.
 * They are derived once for a session, into memory for keys, and wiped when the session ends.
 *
 * Off the data path: keys are derived for a session's first request in a thread.
 *
 * @module
 */
import { type Bursts, type MultiBufferKeyMaker, openMultiBufferManager } from "../../../ffi/ipsec_mb_bursts.ts";
import { cleanseBytes, copyBytes } from "../../memory/native.ts";
import { viewOf } from "../../os/memory_map.ts";

/**
 * Size of a key buffer: fits the largest keys, those of GCM (1008 bytes in version 1.3, 1264 in 2.0). A chain has one
 * buffer for its cipher and one for its digest. A multiple of 64 bytes, the alignment of GCM's keys.
 */
export const KEY_SCHEDULE_BYTES = 1280;

/**
 * Offset of the AES schedule for decryption in a key buffer; the one for encryption is at its start and has at most 15
 * blocks.
 */
export const AES_DEC_KEYS = 256;
/** Offsets of the two subkeys of CMAC and XCBC. */
export const SUBKEY_1 = 512;
export const SUBKEY_2 = 528;
/** Offset of the hash state after HMAC's outer pad; the state after the inner pad is at the start. */
export const OUTER_STATE = 64;
/** Size of a DES schedule, and offset of the list of pointers to the three schedules of 3DES. */
const DES_BYTES = 128;
export const DES_LIST = 3 * DES_BYTES;

/** The location of a session's key, and of the keys for jobs that are derived from it. */
export interface KeySource {
  /** Address of KEY_SCHEDULE_BYTES for the derived keys. */
  readonly to: number;
  /** Address of the session's key. */
  readonly key: number;
  /** Length of the session's key in bytes. */
  readonly keyLen: number;
}

/** Expands the AES key for both directions. */
export function expandAesKey({ to, key, keyLen }: KeySource): void {
  const { aes_keyexp_128_sse, aes_keyexp_192_sse, aes_keyexp_256_sse } = openMultiBufferManager();
  const expand = keyLen === 16 ? aes_keyexp_128_sse : keyLen === 24 ? aes_keyexp_192_sse : aes_keyexp_256_sse;
  expand(BigInt(key), BigInt(to), BigInt(to + AES_DEC_KEYS));
}

/** Expands the key of AES-GCM. */
export function expandGcmKey({ to, key, keyLen }: KeySource, functions: Bursts): void {
  const { gcmKey128, gcmKey192, gcmKey256 } = functions;
  const expand = keyLen === 16 ? gcmKey128 : keyLen === 24 ? gcmKey192 : gcmKey256;
  expand(BigInt(key), BigInt(to));
}

/** Copies the key: some algorithms' jobs expand it themselves. */
export function copyKey({ to, key, keyLen }: KeySource): void {
  copyBytes(to, key, keyLen);
}

/** Expands a DES key. */
export function expandDesKey({ to, key }: Omit<KeySource, "keyLen">): void {
  openMultiBufferManager().des_key_schedule(BigInt(to), BigInt(key));
}

/** Expands the two or three DES keys of 3DES, and writes the list of their schedules. */
export function expandTripleDesKeys({ to, key, keyLen }: KeySource): void {
  const list = new BigUint64Array(viewOf(to + DES_LIST, 24));
  for (let i = 0; i < 3; i++) {
    expandDesKey({ to: to + i * DES_BYTES, key: key + (8 * i) % keyLen });
    list[i] = BigInt(to + i * DES_BYTES);
  }
}

/** Expands the key of SNOW 3G. */
export function expandSnow3gKey({ to, key }: KeySource): void {
  openMultiBufferManager().snow3g_init_key_sched_sse(BigInt(key), BigInt(to));
}

/** Expands the key of AES-CMAC and derives its two subkeys. */
export function deriveCmacKeys(source: KeySource): void {
  const { to, keyLen } = source;
  expandAesKey(source);
  const { aes_cmac_subkey_gen_sse, aes_cmac_256_subkey_gen_sse } = openMultiBufferManager();
  const generate = keyLen === 16 ? aes_cmac_subkey_gen_sse : aes_cmac_256_subkey_gen_sse;
  generate(BigInt(to), BigInt(to + SUBKEY_1), BigInt(to + SUBKEY_2));
}

/** Derives the three keys of AES-XCBC and expands the first. */
export function deriveXcbcKeys({ to, key }: KeySource): void {
  openMultiBufferManager().aes_xcbc_expand_key_sse(
    BigInt(key),
    BigInt(to),
    BigInt(to + SUBKEY_1),
    BigInt(to + SUBKEY_2),
  );
}

/** The functions of a hash from which HMAC's keys are derived. */
export interface HmacHash {
  /** Block size in bytes. */
  readonly blockBytes: number;
  /** The library's function for the state after one block. */
  readonly oneBlock: (maker: MultiBufferKeyMaker) => MultiBufferKeyMaker["sha1_one_block_sse"];
  /** The library's function for the digest of a message, for keys longer than a block; it has none for MD5. */
  readonly digest?: (maker: MultiBufferKeyMaker) => MultiBufferKeyMaker["sha1_sse"];
}

const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;
const BLOCK_BYTES_MAX = 128;
/** Offset of scratch memory for a key block and the padded key block, after the states. */
const KEY_BLOCK = 512;

/**
 * Derives the states of `hash` after the inner and the outer pad (FIPS 198-1, 4). Returns false if the key is longer
 * than a block and the library cannot hash it.
 */
export function deriveHmacStates({ to, key, keyLen }: KeySource, hash: HmacHash): boolean {
  const { blockBytes } = hash;
  if (keyLen > blockBytes && hash.digest === undefined) return false;
  const maker = openMultiBufferManager();
  const address = to + KEY_BLOCK;
  const bytes = new Uint8Array(viewOf(address, 2 * BLOCK_BYTES_MAX));
  bytes.fill(0);
  if (keyLen > blockBytes) hash.digest!(maker)(BigInt(key), BigInt(keyLen), BigInt(address));
  else if (keyLen > 0) copyBytes(address, key, keyLen);
  for (const [pad, state] of [[INNER_PAD, to], [OUTER_PAD, to + OUTER_STATE]] as const) {
    for (let i = 0; i < blockBytes; i++) bytes[BLOCK_BYTES_MAX + i] = bytes[i]! ^ pad;
    hash.oneBlock(maker)(BigInt(address + BLOCK_BYTES_MAX), BigInt(state));
  }
  cleanseBytes(address, 2 * BLOCK_BYTES_MAX);
  return true;
}
