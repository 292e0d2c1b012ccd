/**
 * An engine module of toys, in JavaScript: XOR with the key, and sums. None of it is cryptography. The numbers that the
 * toys stand under are those of real algorithms, so that a test sees at once who has answered.
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

/** Bytes of the toy digest, and of the toy tag. */
export const SUM_BYTES = 4;

/** The key, kept and wiped. */
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

/** XOR with key and IV, over and over. */
class Xor extends Keyed {
  override run({ source, destination, iv }: EngineRequest): EngineOutcome {
    for (let i = 0; i < source.length; i++) {
      const shifted = iv.length === 0 ? 0 : iv.bytes[i % iv.length]!;
      destination.bytes[i] = source.bytes[i]! ^ this.key[i % this.keyLen]! ^ shifted;
    }
    return "done";
  }
}

/** The sum of the key's bytes and those of `buffers`, each weighed by its place. */
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

/** A sum as a hash or MAC: any number of bytes, the sum over and over. */
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
    // CIPHER_ARC4: a stream of any length; CIPHER_AES_CBC: blocks, an IV, and a rival in bursts.
    { algo: 1, keyLens: [5, 16], ivLen: 0, create: () => new Xor() },
    { algo: 3, keyLens: [16], ivLen: 16, blockBytes: 16, create: () => new Xor() },
  ],
  // HASH_MD5 and, for any number of bytes, HASH_SHA3_SHAKE128.
  hashes: [
    { algo: 1, digestBytes: SUM_BYTES, create: () => new Sum() },
    { algo: 11, digestBytes: 0, create: () => new Sum() },
  ],
  // MAC_CBCMAC_KASUMI_F9, which nothing serves otherwise.
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
