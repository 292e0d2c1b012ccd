/**
 * An engine module with toy algorithms in JavaScript: XOR with the key, and sums. It is not cryptography. The toys have
 * the numbers of real algorithms, so that a test recognizes which implementation was used.
 *
 * @module
 */
import type {
  EngineBuffer,
  EngineModule,
  EngineOutcome,
  EngineRequest,
  EngineTransform,
} from "../../../src/engine/modules/description.ts";

/** Length of the toy digest and of the toy tag, in bytes. */
export const SUM_BYTES = 4;

/** A transform that stores its key, and wipes it when it is freed. */
abstract class Keyed implements EngineTransform {
  protected readonly key: Uint8Array = new Uint8Array(512);
  protected keyLen = 0;

  setKey({ bytes, length }: EngineBuffer): boolean {
    for (let i = 0; i < length; i++) this.key[i] = bytes[i]!;
    this.keyLen = length;
    return true;
  }

  abstract run(request: EngineRequest): EngineOutcome;

  free(): void {
    this.key.fill(0);
  }
}

/** XOR with key and IV, repeated. */
class Xor extends Keyed {
  override run({ source, destination, iv }: EngineRequest): EngineOutcome {
    for (let i = 0; i < source.length; i++) {
      const shifted = iv.length === 0 ? 0 : iv.bytes[i % iv.length]!;
      destination.bytes[i] = source.bytes[i]! ^ this.key[i % this.keyLen]! ^ shifted;
    }
    return "done";
  }
}

/** The sum of the bytes of the key and of `buffers`, each weighted by its position. */
function sum(key: Uint8Array, keyLen: number, first: EngineBuffer, second: EngineBuffer): number {
  let total = 1;
  for (let i = 0; i < keyLen; i++) total = (Math.imul(total, 31) + key[i]!) >>> 0;
  for (let i = 0; i < first.length; i++) total = (Math.imul(total, 31) + first.bytes[i]!) >>> 0;
  for (let i = 0; i < second.length; i++) total = (Math.imul(total, 31) + second.bytes[i]!) >>> 0;
  return total;
}

function put(bytes: Uint8Array, value: number): void {
  for (let i = 0; i < SUM_BYTES; i++) bytes[i] = value >>> 8 * i;
}

/** The sum as a hash or MAC of any length, repeated. */
class Sum extends Keyed {
  override run({ source, destination, aad }: EngineRequest): EngineOutcome {
    const total = sum(this.key, this.keyLen, source, aad);
    for (let i = 0; i < destination.length; i++) destination.bytes[i] = total >>> 8 * (i % SUM_BYTES);
    return "done";
  }
}

/** XOR, and the sum of additional data and plaintext as the tag. */
class XorAndSum extends Keyed {
  readonly #encrypt: boolean;
  readonly #expected = new Uint8Array(SUM_BYTES);

  constructor(encrypt: boolean) {
    super();
    this.#encrypt = encrypt;
  }

  override run({ source, destination, aad, tag }: EngineRequest): EngineOutcome {
    const { length } = source;
    if (this.#encrypt) put(tag.bytes, sum(this.key, this.keyLen, aad, source));
    for (let i = 0; i < length; i++) destination.bytes[i] = source.bytes[i]! ^ this.key[i % this.keyLen]!;
    if (this.#encrypt) return "done";
    put(this.#expected, sum(this.key, this.keyLen, aad, destination));
    for (let i = 0; i < tag.length; i++) if (this.#expected[i] !== tag.bytes[i]) return "tag-mismatch";
    return "done";
  }
}

const module: EngineModule = {
  name: "toy",
  ciphers: [
    // CIPHER_ARC4: a stream of any length; CIPHER_AES_CBC: blocks, an IV, and a built-in multi-buffer implementation.
    { algo: 1, keyLens: [5, 16], ivLen: 0, create: () => new Xor() },
    { algo: 3, keyLens: [16], ivLen: 16, blockBytes: 16, create: () => new Xor() },
  ],
  // HASH_MD5 and, for any number of bytes, HASH_SHA3_SHAKE128.
  hashes: [
    { algo: 1, digestBytes: SUM_BYTES, create: () => new Sum() },
    { algo: 11, digestBytes: 0, create: () => new Sum() },
  ],
  // MAC_CBCMAC_KASUMI_F9, which no library serves.
  macs: [{ algo: 50, keyLens: [0, 100, 512], digestBytes: SUM_BYTES, create: () => new Sum() }],
  // AEAD_CHACHA20_POLY1305.
  aeads: [{
    algo: 3,
    keyLens: [32],
    ivLens: [12],
    tagLens: [SUM_BYTES],
    create: (_keyLen, encrypt) => new XorAndSum(encrypt),
  }],
};
export default module;
