/**
 * Keys as libIPSec_MB takes them in bursts: AES schedules, and the states of a hash after HMAC's two pads. They are
 * made once for a session, in memory for keys, and wiped with it.
 *
 * @module
 */
import { openBurstManager } from "../../ffi/ipsec_mb_bursts.ts";
import { cleanseBytes, copyBytes } from "../memory/native.ts";
import { mapSecret } from "../os/memory_map.ts";
import * as wire from "../wire/virtio_crypto.ts";

type Native = ReturnType<typeof openBurstManager>;

/** A hash that bursts have HMAC with. */
export interface BurstHash {
  /** The library's number for HMAC with it. */
  readonly number: number;
  /** Bytes of a full digest. */
  readonly digestBytes: number;
  /** Bytes of a block. */
  readonly blockBytes: number;
  /** The library's functions: the state after one block, and the digest of a whole message. */
  readonly oneBlock: (native: Native) => Native["sha1_one_block_sse"];
  readonly digest: (native: Native) => Native["sha1_sse"];
}

/** The hashes, by the number of their HMAC in the specification. */
export const BURST_HASHES: ReadonlyMap<number, BurstHash> = new Map([
  [wire.MAC_HMAC_SHA1, {
    number: 1,
    digestBytes: 20,
    blockBytes: 64,
    oneBlock: (native) => native.sha1_one_block_sse,
    digest: (native) => native.sha1_sse,
  }],
  [wire.MAC_HMAC_SHA_224, {
    number: 2,
    digestBytes: 28,
    blockBytes: 64,
    oneBlock: (native) => native.sha224_one_block_sse,
    digest: (native) => native.sha224_sse,
  }],
  [wire.MAC_HMAC_SHA_256, {
    number: 3,
    digestBytes: 32,
    blockBytes: 64,
    oneBlock: (native) => native.sha256_one_block_sse,
    digest: (native) => native.sha256_sse,
  }],
  [wire.MAC_HMAC_SHA_384, {
    number: 4,
    digestBytes: 48,
    blockBytes: 128,
    oneBlock: (native) => native.sha384_one_block_sse,
    digest: (native) => native.sha384_sse,
  }],
  [wire.MAC_HMAC_SHA_512, {
    number: 5,
    digestBytes: 64,
    blockBytes: 128,
    oneBlock: (native) => native.sha512_one_block_sse,
    digest: (native) => native.sha512_sse,
  }],
]);

/** Where in the keys of a session what is. A schedule is of 15 blocks at most, a state of 64 bytes. */
const DEC_KEYS = 256;
const INNER_STATE = 512;
const OUTER_STATE = 576;
const KEYS_BYTES = 640;
const GROW_BYTES = 100 * KEYS_BYTES;

const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

const free: number[] = [];
let native: Native | undefined;

function library(): Native {
  return native ??= openBurstManager();
}

/** A key block, and the same with a pad. */
const BLOCK_BYTES_MAX = 128;
let scratch: { readonly address: number; readonly bytes: Uint8Array } | undefined;

function takeMemory(): number {
  if (free.length === 0) {
    const { address } = mapSecret(GROW_BYTES);
    for (let offset = GROW_BYTES - KEYS_BYTES; offset >= 0; offset -= KEYS_BYTES) free.push(address + offset);
  }
  return free.pop()!;
}

/** The keys of one session. */
export class BurstKeys {
  readonly #address: number = takeMemory();
  /** AES schedules for both directions. */
  readonly encKeys: number = this.#address;
  readonly decKeys: number = this.#address + DEC_KEYS;
  /** States of the hash after the inner and the outer pad (FIPS 198-1, 4). */
  readonly innerState: number = this.#address + INNER_STATE;
  readonly outerState: number = this.#address + OUTER_STATE;

  /** Expands the AES key of `keyLen` bytes at `key`. */
  setCipherKey(key: number, keyLen: number): void {
    const { aes_keyexp_128_sse, aes_keyexp_192_sse, aes_keyexp_256_sse } = library();
    const expand = keyLen === 16 ? aes_keyexp_128_sse : keyLen === 24 ? aes_keyexp_192_sse : aes_keyexp_256_sse;
    expand(BigInt(key), BigInt(this.encKeys), BigInt(this.decKeys));
  }

  /** Hashes the pads of the HMAC key of `keyLen` bytes at `key`. */
  setAuthKey(hash: BurstHash, key: number, keyLen: number): void {
    const native = library();
    if (scratch === undefined) {
      const { address, buffer } = mapSecret(2 * BLOCK_BYTES_MAX);
      scratch = { address, bytes: new Uint8Array(buffer) };
    }
    const { address, bytes } = scratch;
    const { blockBytes } = hash;
    if (keyLen > blockBytes) hash.digest(native)(BigInt(key), BigInt(keyLen), BigInt(address));
    else if (keyLen > 0) copyBytes(address, key, keyLen);
    for (const [pad, state] of [[INNER_PAD, this.innerState], [OUTER_PAD, this.outerState]] as const) {
      for (let i = 0; i < blockBytes; i++) bytes[BLOCK_BYTES_MAX + i] = bytes[i]! ^ pad;
      hash.oneBlock(native)(BigInt(address + BLOCK_BYTES_MAX), BigInt(state));
    }
    cleanseBytes(address, 2 * BLOCK_BYTES_MAX);
  }

  /** Wipes the keys and gives up their memory. */
  free(): void {
    cleanseBytes(this.#address, KEYS_BYTES);
    free.push(this.#address);
  }
}
