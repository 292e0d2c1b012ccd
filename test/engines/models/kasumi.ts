/**
 * KASUMI with F8 and F9, written from TS 35.201 and TS 35.202, a bit or a half word at a time: what the library is
 * compared with. Slow, not constant-time, for tests only.
 *
 * @module
 */

// deno-fmt-ignore
const S7 = [
  54, 50, 62, 56, 22, 34, 94, 96, 38, 6, 63, 93, 2, 18, 123, 33, 55, 113, 39, 114, 21, 67, 65, 12, 47, 73, 46, 27, 25,
  111, 124, 81, 53, 9, 121, 79, 52, 60, 58, 48, 101, 127, 40, 120, 104, 70, 71, 43, 20, 122, 72, 61, 23, 109, 13, 100,
  77, 1, 16, 7, 82, 10, 105, 98, 117, 116, 76, 11, 89, 106, 0, 125, 118, 99, 86, 69, 30, 57, 126, 87, 112, 51, 17, 5,
  95, 14, 90, 84, 91, 8, 35, 103, 32, 97, 28, 66, 102, 31, 26, 45, 75, 4, 85, 92, 37, 74, 80, 49, 68, 29, 115, 44, 64,
  107, 108, 24, 110, 83, 36, 78, 42, 19, 15, 41, 88, 119, 59, 3,
];

// deno-fmt-ignore
const S9 = [
  167, 239, 161, 379, 391, 334, 9, 338, 38, 226, 48, 358, 452, 385, 90, 397, 183, 253, 147, 331, 415, 340, 51, 362, 306,
  500, 262, 82, 216, 159, 356, 177, 175, 241, 489, 37, 206, 17, 0, 333, 44, 254, 378, 58, 143, 220, 81, 400, 95, 3, 315,
  245, 54, 235, 218, 405, 472, 264, 172, 494, 371, 290, 399, 76, 165, 197, 395, 121, 257, 480, 423, 212, 240, 28, 462,
  176, 406, 507, 288, 223, 501, 407, 249, 265, 89, 186, 221, 428, 164, 74, 440, 196, 458, 421, 350, 163, 232, 158, 134,
  354, 13, 250, 491, 142, 191, 69, 193, 425, 152, 227, 366, 135, 344, 300, 276, 242, 437, 320, 113, 278, 11, 243, 87,
  317, 36, 93, 496, 27, 487, 446, 482, 41, 68, 156, 457, 131, 326, 403, 339, 20, 39, 115, 442, 124, 475, 384, 508, 53,
  112, 170, 479, 151, 126, 169, 73, 268, 279, 321, 168, 364, 363, 292, 46, 499, 393, 327, 324, 24, 456, 267, 157, 460,
  488, 426, 309, 229, 439, 506, 208, 271, 349, 401, 434, 236, 16, 209, 359, 52, 56, 120, 199, 277, 465, 416, 252, 287,
  246, 6, 83, 305, 420, 345, 153, 502, 65, 61, 244, 282, 173, 222, 418, 67, 386, 368, 261, 101, 476, 291, 195, 430, 49,
  79, 166, 330, 280, 383, 373, 128, 382, 408, 155, 495, 367, 388, 274, 107, 459, 417, 62, 454, 132, 225, 203, 316, 234,
  14, 301, 91, 503, 286, 424, 211, 347, 307, 140, 374, 35, 103, 125, 427, 19, 214, 453, 146, 498, 314, 444, 230, 256,
  329, 198, 285, 50, 116, 78, 410, 10, 205, 510, 171, 231, 45, 139, 467, 29, 86, 505, 32, 72, 26, 342, 150, 313, 490,
  431, 238, 411, 325, 149, 473, 40, 119, 174, 355, 185, 233, 389, 71, 448, 273, 372, 55, 110, 178, 322, 12, 469, 392,
  369, 190, 1, 109, 375, 137, 181, 88, 75, 308, 260, 484, 98, 272, 370, 275, 412, 111, 336, 318, 4, 504, 492, 259, 304,
  77, 337, 435, 21, 357, 303, 332, 483, 18, 47, 85, 25, 497, 474, 289, 100, 269, 296, 478, 270, 106, 31, 104, 433, 84,
  414, 486, 394, 96, 99, 154, 511, 148, 413, 361, 409, 255, 162, 215, 302, 201, 266, 351, 343, 144, 441, 365, 108, 298,
  251, 34, 182, 509, 138, 210, 335, 133, 311, 352, 328, 141, 396, 346, 123, 319, 450, 281, 429, 228, 443, 481, 92, 404,
  485, 422, 248, 297, 23, 213, 130, 466, 22, 217, 283, 70, 294, 360, 419, 127, 312, 377, 7, 468, 194, 2, 117, 295, 463,
  258, 224, 447, 247, 187, 80, 398, 284, 353, 105, 390, 299, 471, 470, 184, 57, 200, 348, 63, 204, 188, 33, 451, 97, 30,
  310, 219, 94, 160, 129, 493, 64, 179, 263, 102, 189, 207, 114, 402, 438, 477, 387, 122, 192, 42, 381, 5, 145, 118,
  180, 449, 293, 323, 136, 380, 43, 66, 60, 455, 341, 445, 202, 432, 8, 237, 15, 376, 436, 464, 59, 461,
];

const CONSTANTS = [0x0123, 0x4567, 0x89ab, 0xcdef, 0xfedc, 0xba98, 0x7654, 0x3210];

const rotate16 = (word: number, bits: number) => (word << bits | word >>> (16 - bits)) & 0xffff;

/** FI (TS 35.202): sixteen bits as nine and seven, twice through both S-boxes. */
function fi(input: number, key: number): number {
  let left = input >>> 7;
  let right = input & 0x7f;
  left = S9[left]! ^ right;
  right = S7[right]! ^ (left & 0x7f);
  right ^= key >>> 9;
  left ^= key & 0x1ff;
  left = S9[left]! ^ right;
  right = S7[right]! ^ (left & 0x7f);
  return right << 9 | left;
}

/** A block as two words of 32 bits. */
export type Block = [number, number];

/** The block cipher with a key in it. */
export class Kasumi {
  readonly #words: number[];
  readonly #modified: number[];

  /** With a key of 16 bytes. */
  constructor(key: Uint8Array) {
    this.#words = Array.from({ length: 8 }, (_, i) => key[2 * i]! << 8 | key[2 * i + 1]!);
    this.#modified = this.#words.map((word, i) => word ^ CONSTANTS[i]!);
  }

  /** FL (TS 35.202) of round `i`, counted from 0. */
  #fl(input: number, i: number): number {
    const kl1 = rotate16(this.#words[i]!, 1);
    const kl2 = this.#modified[(i + 2) % 8]!;
    let left = input >>> 16;
    let right = input & 0xffff;
    right ^= rotate16(left & kl1, 1);
    left ^= rotate16(right | kl2, 1);
    return (left << 16 | right) >>> 0;
  }

  /** FO (TS 35.202) of round `i`. */
  #fo(input: number, i: number): number {
    const ko = [[1, 5], [5, 8], [6, 13]].map(([ahead, bits]) => rotate16(this.#words[(i + ahead!) % 8]!, bits!));
    const ki = [4, 3, 7].map((ahead) => this.#modified[(i + ahead) % 8]!);
    let left = input >>> 16;
    let right = input & 0xffff;
    for (let j = 0; j < 3; j++) [left, right] = [right, fi(left ^ ko[j]!, ki[j]!) ^ right];
    return (left << 16 | right) >>> 0;
  }

  /** The round function of round `i`. */
  #mix(left: number, i: number): number {
    return i % 2 === 0 ? this.#fo(this.#fl(left, i), i) : this.#fl(this.#fo(left, i), i);
  }

  /** Enciphers a block. */
  encrypt([left, right]: Block): Block {
    for (let i = 0; i < 8; i++) [left, right] = [(right ^ this.#mix(left, i)) >>> 0, left];
    return [left, right];
  }

  /** Deciphers a block, which no mode does: tests find the IV of a state with it. */
  decrypt([left, right]: Block): Block {
    for (let i = 7; i >= 0; i--) [left, right] = [right, (left ^ this.#mix(right, i)) >>> 0];
    return [left, right];
  }
}

function blockAt(bytes: Uint8Array, offset: number): Block {
  const word = (at: number) => [0, 1, 2, 3].reduce((sum, i) => (sum << 8 | (bytes[at + i] ?? 0)) >>> 0, 0);
  return [word(offset), word(offset + 4)];
}

const bytesOf = (words: number[]) =>
  words.flatMap((word) => [word >>> 24, word >>> 16 & 255, word >>> 8 & 255, word & 255]);
const modify = (key: Uint8Array, constant: number) => key.map((byte) => byte ^ constant);

/** F8 (TS 35.201, 3): `data` combined with the key stream of `iv`, which is COUNT ‖ BEARER DIRECTION 0…0. */
export function kasumiF8(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  const start = new Kasumi(modify(key, 0x55)).encrypt(blockAt(iv, 0));
  const cipher = new Kasumi(key);
  const result = new Uint8Array(data);
  let stream: Block = [0, 0];
  for (let i = 0; i < data.length; i++) {
    if (i % 8 === 0) stream = cipher.encrypt([start[0] ^ stream[0], (start[1] ^ i / 8 ^ stream[1]) >>> 0]);
    result[i]! ^= bytesOf(stream)[i % 8]!;
  }
  return result;
}

/** F9 (TS 35.201, 4) of `padded`: COUNT ‖ FRESH ‖ message ‖ DIRECTION ‖ 1, filled with zeros to whole blocks here. */
export function kasumiF9(key: Uint8Array, padded: Uint8Array): Uint8Array {
  const cipher = new Kasumi(key);
  let a: Block = [0, 0];
  let b: Block = [0, 0];
  for (let i = 0; i < padded.length; i += 8) {
    const block = blockAt(padded, i);
    a = cipher.encrypt([a[0] ^ block[0], a[1] ^ block[1]]);
    b = [b[0] ^ a[0], b[1] ^ a[1]];
  }
  return Uint8Array.from(bytesOf([new Kasumi(modify(key, 0xaa)).encrypt(b)[0]]));
}
