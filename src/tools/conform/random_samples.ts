/**
 * Random requests of the algorithms that `node:crypto` has, with their answers.
 *
 * @module
 */
import type { Random } from "../../driver/random.ts";
import * as w from "../../wire/virtio_crypto.ts";
import * as oracle from "./oracle.ts";
import { bytes, type Sample } from "./samples.ts";

/** An algorithm of `node:crypto`. */
export interface Subject {
  readonly service: "cipher" | "hash" | "mac" | "aead";
  readonly algo: number;
}

/** All algorithms of `node:crypto`. */
export const SUBJECTS: readonly Subject[] = [
  ...[...oracle.NODE_CIPHERS.keys()].map((algo) => ({ service: "cipher" as const, algo })),
  ...[...oracle.NODE_HASHES.keys()].map((algo) => ({ service: "hash" as const, algo })),
  ...[...oracle.NODE_MACS.keys()].map((algo) => ({ service: "mac" as const, algo })),
  ...[...oracle.NODE_AEADS.keys()].map((algo) => ({ service: "aead" as const, algo })),
];

const NONE = new Uint8Array();

/** A random length: mostly short, sometimes long. */
function randomLength(random: Random): number {
  return random([4, 40, 130, 600, 5000][random(5)]!);
}

function draw(random: Random, length: number): Uint8Array<ArrayBuffer> {
  return bytes(length, random(2 ** 31));
}

function cipherOf(algo: number, random: Random): Sample {
  const { keyLens, ivLen, unit } = oracle.NODE_CIPHERS.get(algo)!;
  const op = random(2) === 0 ? w.OP_ENCRYPT : w.OP_DECRYPT;
  const key = draw(random, keyLens[random(keyLens.length)]!);
  const iv = draw(random, ivLen);
  const src = draw(random, Math.ceil(randomLength(random) / unit) * unit);
  return {
    name: "CIPHER",
    session: { service: "cipher", algo, key, op },
    request: { service: "cipher", op, iv, src },
    dst: oracle.cipher(algo, op, { key, iv, src }),
    result: NONE,
  };
}

function hashOf(algo: number, random: Random): Sample {
  const [, digestLen] = oracle.NODE_HASHES.get(algo)!;
  const src = draw(random, randomLength(random));
  return {
    name: "HASH",
    session: { service: "hash", algo, hashResultLen: digestLen },
    request: { service: "hash", src, hashResultLen: digestLen },
    dst: NONE,
    result: oracle.hash(algo, src, digestLen),
  };
}

function macOf(algo: number, random: Random): Sample {
  const [, macLen] = oracle.NODE_MACS.get(algo)!;
  const authKey = draw(random, 1 + random(200));
  const src = draw(random, randomLength(random));
  return {
    name: "MAC",
    session: { service: "mac", algo, hashResultLen: macLen, authKey },
    request: { service: "mac", src, hashResultLen: macLen },
    dst: NONE,
    result: oracle.hmac(algo, authKey, src),
  };
}

function aeadOf(algo: number, random: Random): Sample {
  const { keyLens, ivLen } = oracle.NODE_AEADS.get(algo)!;
  const key = draw(random, keyLens[random(keyLens.length)]!);
  const [iv, aad] = [draw(random, ivLen), draw(random, randomLength(random))];
  const plain = draw(random, randomLength(random));
  const sealed = oracle.seal(algo, { key, iv, aad, src: plain });
  const encrypts = random(2) === 0;
  const op = encrypts ? w.OP_ENCRYPT : w.OP_DECRYPT;
  return {
    name: "AEAD",
    session: { service: "aead", algo, key, tagLen: 16, op },
    request: { service: "aead", op, iv, aad, src: encrypts ? plain : sealed, tagLen: 16 },
    dst: encrypts ? sealed : plain,
    result: NONE,
  };
}

/** A random request of `subject`. */
export function randomSample({ service, algo }: Subject, random: Random): Sample {
  return { cipher: cipherOf, hash: hashOf, mac: macOf, aead: aeadOf }[service](algo, random);
}
