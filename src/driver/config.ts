/**
 * The configuration space as the driver reads it (v19, Device configuration layout).
 *
 * @module
 */
import * as w from "../wire/virtio_crypto.ts";
import { DriverError } from "./errors.ts";

/** `struct virtio_crypto_config`. Bit n of a mask stands for number n. */
export interface CryptoConfig {
  /** S_HW_READY. */
  readonly status: number;
  /** Data queues that there are. */
  readonly maxDataqueues: number;
  /** Services: bit n for SERVICE_n. */
  readonly cryptoServices: number;
  /** CIPHER algorithms. */
  readonly cipherAlgo: bigint;
  /** HASH algorithms. */
  readonly hashAlgo: number;
  /** MAC algorithms. */
  readonly macAlgo: bigint;
  /** AEAD algorithms. */
  readonly aeadAlgo: number;
  /** Bytes of the longest cipher key. */
  readonly maxCipherKeyLen: number;
  /** Bytes of the longest authentication key. */
  readonly maxAuthKeyLen: number;
  /** AKCIPHER algorithms (ratified text; reserved in v19). */
  readonly akcipherAlgo: number;
  /** Largest content of a request, in bytes. */
  readonly maxSize: bigint;
}

/** Reads the configuration space's bytes. Throws {@linkcode DriverError} if there are too few. */
export function parseConfig(bytes: Uint8Array): CryptoConfig {
  if (bytes.length < w.CONFIG_BYTES) {
    throw new DriverError(`the configuration space has ${w.CONFIG_BYTES} bytes, not ${bytes.length}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const u32 = (offset: number) => view.getUint32(offset, true);
  const mask = (low: number, high: number) => BigInt(u32(low)) | BigInt(u32(high)) << 32n;
  return {
    status: u32(w.CONFIG_STATUS_OFFSET),
    maxDataqueues: u32(w.CONFIG_MAX_DATAQUEUES_OFFSET),
    cryptoServices: u32(w.CONFIG_CRYPTO_SERVICES_OFFSET),
    cipherAlgo: mask(w.CONFIG_CIPHER_ALGO_L_OFFSET, w.CONFIG_CIPHER_ALGO_H_OFFSET),
    hashAlgo: u32(w.CONFIG_HASH_ALGO_OFFSET),
    macAlgo: mask(w.CONFIG_MAC_ALGO_L_OFFSET, w.CONFIG_MAC_ALGO_H_OFFSET),
    aeadAlgo: u32(w.CONFIG_AEAD_ALGO_OFFSET),
    maxCipherKeyLen: u32(w.CONFIG_MAX_CIPHER_KEY_LEN_OFFSET),
    maxAuthKeyLen: u32(w.CONFIG_MAX_AUTH_KEY_LEN_OFFSET),
    akcipherAlgo: u32(w.CONFIG_AKCIPHER_ALGO_OFFSET),
    maxSize: view.getBigUint64(w.CONFIG_MAX_SIZE_OFFSET, true),
  };
}

/** True if bit `number` of `mask` is set. */
export function offers(mask: number | bigint, number: number): boolean {
  return (BigInt(mask) >> BigInt(number) & 1n) === 1n;
}
