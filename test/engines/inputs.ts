/**
 * The IVs that the standards define from COUNT, BEARER, FRESH and DIRECTION: a guest sends them as the IV or at the start
 * of its message.
 *
 * @module
 */
import { concat } from "../bytes.ts";
import type { CipherSet, MacSet } from "./published_sets.ts";

function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setUint32(4 * i, value);
  return bytes;
}

/** A cipher's IV: COUNT ‖ BEARER DIRECTION 0…0 (TS 35.201, 3), for UEA2 and EEA3 twice (TS 35.215 and 35.221, 3). */
export function ivOf({ count, bearer, direction }: CipherSet, ivLen: 8 | 16): Uint8Array {
  const half = words(count, bearer << 27 | direction << 26);
  return ivLen === 8 ? half : concat(half, half);
}

/**
 * A MAC's IV. UIA2 (TS 35.215, 4): COUNT ‖ FRESH, twice, the second time with DIRECTION folded into the first bit of
 * COUNT and bit 16 of FRESH. EIA3 (TS 35.221, 4): the same with BEARER 0…0 instead of FRESH.
 */
export function macIvOf({ count, fresh, direction }: MacSet): Uint8Array {
  return words(count, fresh, count ^ direction << 31, fresh ^ direction << 15);
}

/** F9's input (TS 35.201, 4): COUNT ‖ FRESH ‖ message ‖ DIRECTION ‖ 1, then zeros up to a whole block. */
export function f9Input({ count, fresh, direction, bits, message }: MacSet): Uint8Array {
  const padded = new Uint8Array(Math.ceil((64 + bits + 2) / 64) * 8);
  padded.set(concat(words(count, fresh), message));
  const put = (at: number, bit: number) => {
    const mask = 0x80 >>> at % 8;
    padded[at >>> 3] = bit ? padded[at >>> 3]! | mask : padded[at >>> 3]! & ~mask;
  };
  put(64 + bits, direction);
  put(64 + bits + 1, 1);
  for (let at = 64 + bits + 2; at < 8 * padded.length; at++) put(at, 0);
  return padded;
}
