/**
 * The ARC4 key stream, for tests only: Deno's `node:crypto` has no ARC4, and published answers have windows of a key
 * stream whose beginning the tests need as well.
 *
 * @module
 */

/** The first `length` bytes of the keystream of `key`. */
export function arc4Keystream(key: Uint8Array, length: number): Uint8Array {
  const state = Uint8Array.from({ length: 256 }, (_, i) => i);
  const swap = (i: number, j: number) => [state[i], state[j]] = [state[j]!, state[i]!];

  for (let i = 0, j = 0; i < 256; i++) {
    j = (j + state[i]! + key[i % key.length]!) & 255;
    swap(i, j);
  }

  const keystream = new Uint8Array(length);
  for (let at = 0, i = 0, j = 0; at < length; at++) {
    i = (i + 1) & 255;
    j = (j + state[i]!) & 255;
    swap(i, j);
    keystream[at] = state[(state[i]! + state[j]!) & 255]!;
  }
  return keystream;
}
