/**
 * Names of the numbers on the wire: services, algorithms, feature bits and statuses. A number without a name is printed
 * as a number.
 *
 * @module
 */

/** Services by number. */
export const SERVICE_NAMES: readonly string[] = ["CIPHER", "HASH", "MAC", "AEAD", "AKCIPHER"];

/** Services by number in the asymmetric RFC v3. */
export const SERVICE_NAMES_RFC3: readonly string[] = ["CIPHER", "HASH", "MAC", "AEAD", "ASYM"];

/** CIPHER algorithms by number. */
export const CIPHER_NAMES: readonly string[] =
  ("- ARC4 AES-ECB AES-CBC AES-CTR DES-ECB DES-CBC 3DES-ECB 3DES-CBC 3DES-CTR KASUMI-F8 SNOW3G-UEA2 AES-F8 AES-XTS " +
    "ZUC-EEA3").split(" ");

/** HASH algorithms by number. */
export const HASH_NAMES: readonly string[] =
  ("- MD5 SHA1 SHA-224 SHA-256 SHA-384 SHA-512 SHA3-224 SHA3-256 SHA3-384 SHA3-512 SHAKE128 SHAKE256").split(" ");

/** MAC algorithms by number; the numbers have gaps. */
export const MAC_NAMES: Readonly<Record<number, string>> = {
  1: "HMAC-MD5",
  2: "HMAC-SHA1",
  3: "HMAC-SHA-224",
  4: "HMAC-SHA-256",
  5: "HMAC-SHA-384",
  6: "HMAC-SHA-512",
  25: "CMAC-3DES",
  26: "CMAC-AES",
  27: "KASUMI-F9",
  28: "SNOW3G-UIA2",
  41: "GMAC-AES",
  42: "GMAC-Twofish",
  49: "CBCMAC-AES",
  50: "CBCMAC-KASUMI-F9",
  53: "XCBC-AES",
  54: "ZUC-EIA3",
};

/** AEAD algorithms by number. */
export const AEAD_NAMES: readonly string[] = ["-", "AES-GCM", "AES-CCM", "ChaCha20-Poly1305"];

/** AKCIPHER algorithms by number, as deployed drivers and devices number them. */
export const AKCIPHER_NAMES: readonly string[] = ["-", "RSA", "ECDSA", "ECDSA (number 3)"];

/** Algorithms of the asymmetric RFC v3 by number. */
export const ASYM_NAMES: readonly string[] = ["-", "RSA", "DSA", "DH", "ECDSA", "ECDH"];

/** RSA paddings of the asymmetric RFC v3 by number. */
export const RSA_PADDING_NAMES: readonly string[] = ["none", "PKCS1", "SSLV23", "OAEP", "X931", "PSS"];

/** `enum VIRTIO_CRYPTO_STATUS` by number. */
export const STATUS_NAMES: readonly string[] = ["OK", "ERR", "BADMSG", "NOTSUPP", "INVSESS", "NOSPC", "KEY_REJECTED"];

/** Virtio feature bits by number. */
export const FEATURE_NAMES: Readonly<Record<number, string>> = {
  0: "CRYPTO_MUX_MODE",
  1: "CRYPTO_CIPHER_STATELESS_MODE",
  2: "CRYPTO_HASH_STATELESS_MODE",
  3: "CRYPTO_MAC_STATELESS_MODE",
  4: "CRYPTO_AEAD_STATELESS_MODE",
  5: "CRYPTO_AKCIPHER_STATELESS_MODE",
  24: "NOTIFY_ON_EMPTY",
  26: "VHOST_LOG_ALL",
  28: "INDIRECT_DESC",
  29: "EVENT_IDX",
  30: "VHOST_USER_PROTOCOL_FEATURES",
  32: "VERSION_1",
  33: "ACCESS_PLATFORM",
  34: "RING_PACKED",
  35: "IN_ORDER",
  36: "ORDER_PLATFORM",
  38: "NOTIFICATION_DATA",
  40: "RING_RESET",
};

/** VHOST_USER_PROTOCOL_F_* by number. */
export const PROTOCOL_FEATURE_NAMES: readonly string[] =
  ("MQ LOG_SHMFD RARP REPLY_ACK MTU BACKEND_REQ CROSS_ENDIAN CRYPTO_SESSION PAGEFAULT CONFIG BACKEND_SEND_FD " +
    "HOST_NOTIFIER INFLIGHT_SHMFD RESET_DEVICE INBAND_NOTIFICATIONS CONFIGURE_MEM_SLOTS STATUS XEN_MMAP " +
    "SHARED_OBJECT DEVICE_STATE").split(" ");

/** Numbers of the bits set in `mask`. */
export function bitNumbers(mask: number | bigint): number[] {
  const bits: number[] = [];
  for (let rest = BigInt(mask), bit = 0; rest !== 0n; rest >>= 1n, bit++) {
    if ((rest & 1n) === 1n) bits.push(bit);
  }
  return bits;
}

/** The name of `number` in `names`, or the number itself. */
export function nameOf(names: Readonly<Record<number, string>>, number: number): string {
  return names[number] ?? String(number);
}

/** The names of the bits set in `mask`. */
export function namesOf(names: Readonly<Record<number, string>>, mask: number | bigint): string[] {
  return bitNumbers(mask).map((bit) => nameOf(names, bit));
}

/** The algorithm names of each service that has sessions of its own. */
export const ALGORITHM_NAMES: Readonly<
  Record<"cipher" | "hash" | "mac" | "aead", Readonly<Record<number, string>>>
> = { cipher: CIPHER_NAMES, hash: HASH_NAMES, mac: MAC_NAMES, aead: AEAD_NAMES };
