/**
 * The libraries compared with the models: random lengths, keys and data, contiguous and in pieces, in place and apart, up
 * to the end of a page.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { CipherRow, DigestRow } from "../../src/engine/algorithms.ts";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import { ENGINES } from "../../src/engine/libraries.ts";
import { viewOf } from "../../src/os/memory_map.ts";
import { makeRandom } from "../../src/driver/random.ts";
import * as v from "../../src/wire/virtio_crypto.ts";
import { Arena } from "./arena.ts";
import { engineCipher, engineMac } from "./oracle.ts";
import { engineMemory } from "./memory.ts";

const RUNS = 600;
const { ciphers, macs, notes } = createCatalogue(ENGINES);
for (const note of notes) console.warn(`SKIPPED: ${note}`);

const arena = new Arena(1 << 18);
const below = makeRandom(20);
const randomBytes = (length: number) => Uint8Array.from({ length }, () => below(256));

/** Mostly short, sometimes up to `max`. */
const randomLength = (max: number) => 1 + below(below(10) < 9 ? Math.min(300, max) : max);

/** `length` cut into pieces, often one. */
function cut(length: number): number[] {
  const pieces: number[] = [];
  for (let rest = length; rest > 0;) {
    const piece = Math.min(rest, below(10) < 3 ? rest : 1 + below(40));
    pieces.push(piece);
    rest -= piece;
  }
  return pieces;
}

/** Lays `data` out in pieces of `lengths`; returns their places. */
function layOut(data: Uint8Array, lengths: number[]): number[] {
  const places = arena.places(lengths, () => below(5));
  arena.write(data, places, lengths);
  return places;
}

function put(data: Uint8Array): number {
  const [at] = layOut(data, [data.length]);
  return arena.addressOf(at!);
}

const CIPHERS: [name: string, algo: number, ivLen: number, max: number][] = [
  ["KASUMI-F8", v.CIPHER_KASUMI_F8, 8, 2500],
  ["SNOW3G-UEA2", v.CIPHER_SNOW3G_UEA2, 16, 10000],
  ["ZUC-EEA3", v.CIPHER_ZUC_EEA3, 16, 8188],
];

const MACS: [name: string, algo: number, ivLen: number, max: number][] = [
  ["KASUMI-F9", v.MAC_KASUMI_F9, 0, 2500],
  ["SNOW3G-UIA2", v.MAC_SNOW3G_UIA2, 16, 10000],
  ["ZUC-EIA3", v.MAC_ZUC_EIA3, 16, 8188],
  ["GMAC-Twofish", v.MAC_GMAC_TWOFISH, 12, 3000],
];

function checkCipherOnce(row: CipherRow, ivLen: number, length: number): void {
  arena.clear();
  const { operation } = arena;
  const [key, iv, data] = [randomBytes(16), randomBytes(ivLen), randomBytes(length)];
  const transform = row.create(engineMemory, 16, below(2) === 0);
  assert(transform.setKey(put(key)));
  const ivPieces = cut(ivLen);
  arena.cover(operation.ivSpan, layOut(iv, ivPieces), ivPieces);
  operation.template.ivLen = ivLen;
  const srcPieces = cut(length);
  const src = layOut(data, srcPieces);
  const apart = below(10) < 6;
  const dstPieces = apart ? cut(length) : srcPieces;
  // In place, or so that the one overwrites the other unless it is taken away first.
  const shift = below(2) * below(20);
  const dst = apart ? layOut(randomBytes(length), dstPieces) : src.map((at) => at + shift);
  arena.cover(operation.src, src, srcPieces);
  arena.cover(operation.dst, dst, dstPieces);
  assert(transform.run(operation, operation.src, operation.dst));
  const expected = engineCipher(row.algo, key, iv, data)!;
  assertEquals(arena.read(dst, dstPieces).toHex(), expected.toHex(), `${length} bytes`);
  if (apart) assertEquals(arena.read(src, srcPieces), data, "the source has changed");
  transform.free();
}

for (const [name, algo, ivLen, max] of CIPHERS) {
  const row = ciphers.get(algo);
  Deno.test({
    name: `${name} agrees with the model, contiguous and in pieces`,
    ignore: row === undefined,
    fn() {
      for (let i = 0; i < RUNS; i++) checkCipherOnce(row!, ivLen, randomLength(max));
      checkCipherOnce(row!, ivLen, max);
    },
  });
  Deno.test({
    name: `${name} reads and writes nothing after its data`,
    ignore: row === undefined,
    fn() {
      const transform = row!.create(engineMemory, 16, true);
      const { operation } = arena;
      for (let length = 1; length <= 300; length++) {
        arena.clear();
        assert(transform.setKey(arena.addressOf(arena.last(16))));
        const at = arena.last(length);
        const before = arena.bytes[at - 1];
        arena.cover(operation.ivSpan, arena.places([ivLen], () => 0), [ivLen]);
        operation.template.ivLen = ivLen;
        arena.cover(operation.src, [at], [length]);
        assert(transform.run(operation, operation.src, operation.src));
        assertEquals(arena.bytes[at - 1], before);
      }
      transform.free();
    },
  });
}

function checkMacOnce(row: DigestRow, ivLen: number, length: number): void {
  arena.clear();
  const { operation } = arena;
  const keyLens = [...row.keyLens!];
  const [key, iv, data] = [randomBytes(keyLens[below(keyLens.length)]!), randomBytes(ivLen), randomBytes(length)];
  const transform = row.create(engineMemory, key.length);
  assert(transform.setKey(put(key), key.length));
  const all = Uint8Array.from([...iv, ...data]);
  const headLength = below(2) === 0 ? 0 : below(all.length);
  const headPieces = cut(headLength);
  const bodyPieces = cut(all.length - headLength);
  arena.cover(operation.aad, layOut(all.subarray(0, headLength), headPieces), headPieces);
  arena.cover(operation.src, layOut(all.subarray(headLength), bodyPieces), bodyPieces);
  const address = transform.run(operation.segments, operation.aad, operation.src, row.digestBytes);
  assert(address !== 0);
  const expected = engineMac(row.algo, key, iv, data)!;
  assertEquals(new Uint8Array(viewOf(address, row.digestBytes)).toHex(), expected.toHex(), `${length} bytes`);
  transform.free();
}

for (const [name, algo, ivLen, max] of MACS) {
  const row = macs.get(algo);
  const min = algo === v.MAC_KASUMI_F9 ? 9 : 1;
  Deno.test({
    name: `${name} agrees with the model, contiguous and in pieces`,
    ignore: row === undefined,
    fn() {
      for (let i = 0; i < RUNS; i++) checkMacOnce(row!, ivLen, Math.max(min, randomLength(max)));
      checkMacOnce(row!, ivLen, max);
    },
  });
  Deno.test({
    name: `${name} reads nothing after its data`,
    ignore: row === undefined,
    fn() {
      const transform = row!.create(engineMemory, 16);
      const { operation } = arena;
      for (let length = ivLen + min; length <= 300; length++) {
        arena.clear();
        assert(transform.setKey(arena.addressOf(arena.last(16)), 16));
        operation.aad.clear();
        arena.cover(operation.src, [arena.last(length)], [length]);
        assert(transform.run(operation.segments, operation.aad, operation.src, row!.digestBytes) !== 0);
      }
      transform.free();
    },
  });
}
