/**
 * The configuration space as the driver reads it. Three documents define different layouts, and the device does not say
 * which one it follows: {@linkcode readConfig} detects it.
 *
 * @module
 */
import * as rfc3 from "../wire/asym_rfc3.ts";
import * as v5 from "../wire/drafts/v5.ts";
import * as w from "../wire/virtio_crypto.ts";
import { DriverError, RefusedError } from "./errors.ts";
import type { Frontend } from "./frontend.ts";

/**
 * A layout of the configuration space: `ratified`, 56 bytes (drafts v15 to v19 as well, which have a reserved field
 * where the ratified text has the mask of AKCIPHER); `rfc3`, 64 bytes, with the masks of the asymmetric RFC v3 in front
 * of the key lengths; `v5`, 48 bytes, without AKCIPHER and without limits.
 */
export type ConfigLayout = "ratified" | "rfc3" | "v5";

/** `struct virtio_crypto_config`. Bit n of a mask stands for number n. */
export interface CryptoConfig {
  /** The layout in which it was decoded. */
  readonly layout: ConfigLayout;
  /** S_HW_READY. */
  readonly status: number;
  /** Data queues that the device has. */
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
  /** AKCIPHER algorithms of the ratified text; 0 in the other layouts and in drafts before it. */
  readonly akcipherAlgo: number;
  /** ASYM_* algorithms of the asymmetric RFC v3; 0 in the other layouts. */
  readonly asymAlgo: number;
  /** RSA paddings of the asymmetric RFC v3; 0 in the other layouts. */
  readonly rsaPadding: number;
  /** Longest cipher key, in bytes; undefined in v5, which states no limit. */
  readonly maxCipherKeyLen: number | undefined;
  /** Longest authentication key, in bytes; undefined in v5. */
  readonly maxAuthKeyLen: number | undefined;
  /** Largest content of a request, in bytes; undefined in v5. */
  readonly maxSize: bigint | undefined;
}

/** Bytes of the configuration space in each layout. */
const LAYOUT_BYTES: Readonly<Record<ConfigLayout, number>> = {
  ratified: w.CONFIG_BYTES,
  rfc3: rfc3.CONFIG_BYTES_RFC3,
  v5: v5.CONFIG_BYTES_V5,
};

type Layouted = Pick<
  CryptoConfig,
  "aeadAlgo" | "akcipherAlgo" | "asymAlgo" | "rsaPadding" | "maxCipherKeyLen" | "maxAuthKeyLen" | "maxSize"
>;

const NO_MASKS = { akcipherAlgo: 0, asymAlgo: 0, rsaPadding: 0 };

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The fields from offset 32 on, where the layouts differ. */
function layouted(view: DataView, layout: ConfigLayout): Layouted {
  const u32 = (offset: number) => view.getUint32(offset, true);
  switch (layout) {
    case "v5":
      return {
        ...NO_MASKS,
        aeadAlgo: u32(v5.CONFIG_AEAD_ALGO_OFFSET_V5),
        maxCipherKeyLen: undefined,
        maxAuthKeyLen: undefined,
        maxSize: undefined,
      };
    case "rfc3":
      return {
        ...NO_MASKS,
        aeadAlgo: u32(w.CONFIG_AEAD_ALGO_OFFSET),
        asymAlgo: u32(rfc3.CONFIG_ASYM_ALGO_OFFSET),
        rsaPadding: u32(rfc3.CONFIG_RSA_PADDING_OFFSET),
        maxCipherKeyLen: u32(rfc3.CONFIG_MAX_CIPHER_KEY_LEN_OFFSET_RFC3),
        maxAuthKeyLen: u32(rfc3.CONFIG_MAX_AUTH_KEY_LEN_OFFSET_RFC3),
        maxSize: view.getBigUint64(rfc3.CONFIG_MAX_SIZE_OFFSET_RFC3, true),
      };
    case "ratified":
      return {
        ...NO_MASKS,
        aeadAlgo: u32(w.CONFIG_AEAD_ALGO_OFFSET),
        akcipherAlgo: u32(w.CONFIG_AKCIPHER_ALGO_OFFSET),
        maxCipherKeyLen: u32(w.CONFIG_MAX_CIPHER_KEY_LEN_OFFSET),
        maxAuthKeyLen: u32(w.CONFIG_MAX_AUTH_KEY_LEN_OFFSET),
        maxSize: view.getBigUint64(w.CONFIG_MAX_SIZE_OFFSET, true),
      };
  }
}

/** Decodes the configuration space in `layout`. Throws {@linkcode DriverError} if there are too few bytes. */
export function parseConfig(bytes: Uint8Array, layout: ConfigLayout = "ratified"): CryptoConfig {
  if (bytes.length < LAYOUT_BYTES[layout]) {
    throw new DriverError(
      `a configuration space of layout ${layout} has ${
        LAYOUT_BYTES[layout]
      } bytes, but the device returned ${bytes.length}`,
    );
  }
  const view = viewOf(bytes);
  const u32 = (offset: number) => view.getUint32(offset, true);
  const mask = (low: number, high: number) => BigInt(u32(low)) | BigInt(u32(high)) << 32n;
  return {
    layout,
    status: u32(w.CONFIG_STATUS_OFFSET),
    maxDataqueues: u32(w.CONFIG_MAX_DATAQUEUES_OFFSET),
    cryptoServices: u32(w.CONFIG_CRYPTO_SERVICES_OFFSET),
    cipherAlgo: mask(w.CONFIG_CIPHER_ALGO_L_OFFSET, w.CONFIG_CIPHER_ALGO_H_OFFSET),
    hashAlgo: u32(w.CONFIG_HASH_ALGO_OFFSET),
    macAlgo: mask(w.CONFIG_MAC_ALGO_L_OFFSET, w.CONFIG_MAC_ALGO_H_OFFSET),
    ...layouted(view, layout),
  };
}

/**
 * True if the 56 `bytes` are v5's layout followed by zeros: the AEAD service's mask is at v5's offset, and the offsets
 * of the ratified mask and limits hold zeros.
 */
function isV5(bytes: Uint8Array): boolean {
  const view = viewOf(bytes);
  const u32 = (offset: number) => view.getUint32(offset, true);
  return offers(u32(w.CONFIG_CRYPTO_SERVICES_OFFSET), w.SERVICE_AEAD) && u32(w.CONFIG_AEAD_ALGO_OFFSET) === 0 &&
    u32(v5.CONFIG_KDF_ALGO_OFFSET_V5) === 0 && u32(v5.CONFIG_AEAD_ALGO_OFFSET_V5) !== 0 &&
    u32(v5.CONFIG_PRIMITIVE_ALGO_OFFSET_V5) === 0 && view.getBigUint64(w.CONFIG_MAX_SIZE_OFFSET, true) === 0n;
}

/** True if the first 56 bytes could be the RFC's: its two masks and its reserved word have valid values. */
function couldBeRfc3(bytes: Uint8Array): boolean {
  const view = viewOf(bytes);
  const u32 = (offset: number) => view.getUint32(offset, true);
  const asymAlgo = u32(rfc3.CONFIG_ASYM_ALGO_OFFSET);
  const rsaPadding = u32(rfc3.CONFIG_RSA_PADDING_OFFSET);
  const fits = asymAlgo < 2 << rfc3.ASYM_ECDH && asymAlgo % 2 === 0 && rsaPadding < 2 << rfc3.RSA_PKCS1_PSS_PADDING;
  const isEmpty = view.getBigUint64(rfc3.CONFIG_ASYM_ALGO_OFFSET, true) === 0n &&
    view.getBigUint64(rfc3.CONFIG_MAX_CIPHER_KEY_LEN_OFFSET_RFC3, true) === 0n;
  return fits && !isEmpty && u32(rfc3.CONFIG_MAX_AUTH_KEY_LEN_OFFSET_RFC3 + 4) === 0;
}

/** The first `sizeBytes` bytes of the configuration space; undefined if the device refuses so many. */
async function tryGetConfig(frontend: Frontend, sizeBytes: number): Promise<Uint8Array | undefined> {
  try {
    return await frontend.getConfig(0, sizeBytes);
  } catch (error) {
    if (error instanceof RefusedError) return undefined;
    throw error;
  }
}

/**
 * Reads and decodes the configuration space. Without `layout`, 56 bytes are requested, as every frontend does; a device
 * that refuses them has v5's layout. Only if the bytes could be the RFC's, 64 are requested: a device with a shorter
 * space refuses them or fills them up with zeros, while the RFC's has max_size at the end, which is never 0.
 */
export async function readConfig(frontend: Frontend, layout?: ConfigLayout): Promise<CryptoConfig> {
  if (layout !== undefined) return parseConfig(await frontend.getConfig(0, LAYOUT_BYTES[layout]), layout);
  const bytes = await tryGetConfig(frontend, LAYOUT_BYTES.ratified);
  if (bytes === undefined) return parseConfig(await frontend.getConfig(0, LAYOUT_BYTES.v5), "v5");
  if (isV5(bytes)) return parseConfig(bytes, "v5");
  const longer = couldBeRfc3(bytes) ? await tryGetConfig(frontend, LAYOUT_BYTES.rfc3) : undefined;
  if (longer === undefined) return parseConfig(bytes);
  const rfc = parseConfig(longer, "rfc3");
  return rfc.maxSize === 0n ? parseConfig(bytes) : rfc;
}

/** True if bit `number` of `mask` is set. */
export function offers(mask: number | bigint, number: number): boolean {
  return (BigInt(mask) >> BigInt(number) & 1n) === 1n;
}
