/**
 * The oracle for algorithms that OpenSSL lacks: the models, with the lengths that the algorithms allow.
 *
 * @module
 */
import * as v from "../../src/wire/virtio_crypto.ts";
import { kasumiF8, kasumiF9 } from "./models/kasumi.ts";
import { snow3gUea2, snow3gUia2 } from "./models/snow3g.ts";
import { gmacTwofish } from "./models/twofish.ts";
import { zucEea3, zucEia3 } from "./models/zuc.ts";

/** `src` enciphered, or deciphered, which is the same; nothing if these are not the algorithm's lengths. */
export function engineCipher(
  algo: number,
  key: Uint8Array,
  iv: Uint8Array,
  src: Uint8Array,
): Uint8Array | undefined {
  if (key.length !== 16 || iv.length !== (algo === v.CIPHER_KASUMI_F8 ? 8 : 16)) return undefined;
  switch (algo) {
    case v.CIPHER_KASUMI_F8:
      return kasumiF8(key, iv, src);
    case v.CIPHER_SNOW3G_UEA2:
      return snow3gUea2(key, iv, src);
    case v.CIPHER_ZUC_EEA3:
      return zucEea3(key, iv, src);
    default:
      return undefined;
  }
}

/** The MAC of `src`, or nothing if these are not the algorithm's lengths. F9 has its IV in `src`. */
export function engineMac(algo: number, key: Uint8Array, iv: Uint8Array, src: Uint8Array): Uint8Array | undefined {
  if (algo === v.MAC_GMAC_TWOFISH) {
    return [16, 32].includes(key.length) && iv.length === 12 ? gmacTwofish(key, iv, src) : undefined;
  }
  if (key.length !== 16) return undefined;
  switch (algo) {
    case v.MAC_KASUMI_F9:
      return iv.length === 0 && src.length > 8 ? kasumiF9(key, src) : undefined;
    case v.MAC_SNOW3G_UIA2:
      return iv.length === 16 && src.length > 0 ? snow3gUia2(key, iv, src) : undefined;
    case v.MAC_ZUC_EIA3:
      return iv.length === 16 && src.length > 0 ? zucEia3(key, iv, src) : undefined;
    default:
      return undefined;
  }
}
