/**
 * Keys as libIPSec_MB's jobs take them: schedules, subkeys, and the states of a hash after HMAC's two pads. They are
 * made once for a session, in memory for keys, and wiped with it.
 *
 * Off the data path: keys are made for a session's first request in a thread.
 *
 * @module
 */
import { type Bursts, type MultiBufferKeyMaker, openMultiBufferManager } from "../../../ffi/ipsec_mb_bursts.ts";
import { cleanseBytes, copyBytes } from "../../memory/native.ts";
import { viewOf } from "../../os/memory_map.ts";

/**
 * Room for the largest keys, those of GCM (1008 bytes in version 1.3, 1264 in 2.0), and for all others, which take a
 * piece for cipher and digest each. A multiple of the 64 bytes that GCM's keys are aligned to.
 */
export const KEY_SCHEDULE_BYTES = 1280;

/** An AES schedule is of 15 blocks at most; the one for decryption follows that for encryption. */
export const AES_DEC_KEYS = 256;
/** Where the two subkeys of CMAC and XCBC are. */
export const SUBKEY_1 = 512;
export const SUBKEY_2 = 528;
/** Where the state of a hash after HMAC's outer pad is; that after the inner pad is at the start. */
export const OUTER_STATE = 64;
/** Bytes of a DES schedule, and where the list of a 3DES key's three is. */
const DES_BYTES = 128;
export const DES_LIST = 3 * DES_BYTES;

/** Expands the AES key of `keyLen` bytes at `key` for both directions. */
export function makeAesKeys(to: number, key: number, keyLen: number): void {
  const { aes_keyexp_128_sse, aes_keyexp_192_sse, aes_keyexp_256_sse } = openMultiBufferManager();
  const expand = keyLen === 16 ? aes_keyexp_128_sse : keyLen === 24 ? aes_keyexp_192_sse : aes_keyexp_256_sse;
  expand(BigInt(key), BigInt(to), BigInt(to + AES_DEC_KEYS));
}

/** Expands the key at `key` for GCM. */
export function makeGcmKey(to: number, key: number, keyLen: number, functions: Bursts): void {
  const { gcmKey128, gcmKey192, gcmKey256 } = functions;
  const expand = keyLen === 16 ? gcmKey128 : keyLen === 24 ? gcmKey192 : gcmKey256;
  expand(BigInt(key), BigInt(to));
}

/** Copies the key, which is all that some algorithms want of it. */
export function copyKey(to: number, key: number, keyLen: number): void {
  copyBytes(to, key, keyLen);
}

/** Expands a DES key. */
export function makeDesKey(to: number, key: number): void {
  openMultiBufferManager().des_key_schedule(BigInt(to), BigInt(key));
}

/** Expands the two or three DES keys of 3DES, and lists them. */
export function makeTripleDesKeys(to: number, key: number, keyLen: number): void {
  const list = new BigUint64Array(viewOf(to + DES_LIST, 24));
  for (let i = 0; i < 3; i++) {
    makeDesKey(to + i * DES_BYTES, key + (8 * i) % keyLen);
    list[i] = BigInt(to + i * DES_BYTES);
  }
}

/** Makes the schedule of SNOW 3G. */
export function makeSnow3gKey(to: number, key: number): void {
  openMultiBufferManager().snow3g_init_key_sched_sse(BigInt(key), BigInt(to));
}

/** Expands the key of AES-CMAC and makes its two subkeys. */
export function makeCmacKeys(to: number, key: number, keyLen: number): void {
  makeAesKeys(to, key, keyLen);
  const { aes_cmac_subkey_gen_sse, aes_cmac_256_subkey_gen_sse } = openMultiBufferManager();
  const generate = keyLen === 16 ? aes_cmac_subkey_gen_sse : aes_cmac_256_subkey_gen_sse;
  generate(BigInt(to), BigInt(to + SUBKEY_1), BigInt(to + SUBKEY_2));
}

/** Makes the three keys of AES-XCBC, the first of them expanded. */
export function makeXcbcKeys(to: number, key: number): void {
  openMultiBufferManager().aes_xcbc_expand_key_sse(
    BigInt(key),
    BigInt(to),
    BigInt(to + SUBKEY_1),
    BigInt(to + SUBKEY_2),
  );
}

/** How keys for HMAC are made: from the state of the hash after one block, and the digest of a key that is too long. */
export interface HmacHash {
  /** Bytes of a block. */
  readonly blockBytes: number;
  /** The library's function: the state after one block. */
  readonly oneBlock: (maker: MultiBufferKeyMaker) => MultiBufferKeyMaker["sha1_one_block_sse"];
  /** The digest of a whole message; the library has none for MD5. */
  readonly digest?: (maker: MultiBufferKeyMaker) => MultiBufferKeyMaker["sha1_sse"];
}

const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;
const BLOCK_BYTES_MAX = 128;
/** Where a key block, and the same with a pad, are while keys are made: behind the states. */
const KEY_BLOCK = 512;

/** Makes the states of the hash after the inner and the outer pad (FIPS 198-1, 4); false if the key is too long. */
export function makeHmacKeys(to: number, key: number, keyLen: number, hash: HmacHash): boolean {
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
