/**
 * The offer of the AKCIPHER service with the providers of this host: the sizes of RSA keys and the curves that they accept.
 * A provider may refuse small keys, for all operations or for signing only, as OpenSSL's FIPS provider does, so keys are
 * tried.
 *
 * @module
 */
import { OwnedMemory } from "../../os/owned_memory.ts";
import { AkcipherKey, AkcipherService, CURVES } from "./akcipher.ts";
import * as numbers from "./akcipher_numbers.ts";
import { AkcipherKeySpec } from "./job.ts";
import { RSA_MODULUS_BITS_MAX, RSA_MODULUS_BITS_MIN } from "./limits.ts";
import { AsymmetricTools } from "./tools.ts";

/** The sizes that are tried; a provider's minimum is one of these. */
const RSA_BITS = [RSA_MODULUS_BITS_MIN, 1024, 2048, 3072, 4096, RSA_MODULUS_BITS_MAX];

/** The keys that an operation accepts. */
export interface AkcipherUse {
  /** Bits of the smallest RSA modulus; undefined if there is no RSA. */
  readonly rsaBitsMin: number | undefined;
  /** Numbers of curves (`CURVE_*`). */
  readonly curves: readonly number[];
}

/** The asymmetric service that is offered. */
export interface AkcipherOffer {
  /** Signatures, which need private keys. */
  readonly signing: AkcipherUse;
  /** Verification, which needs public keys and may accept more of them. */
  readonly verification: AkcipherUse;
  /** `akcipher_algo` of the configuration. */
  readonly mask: number;
}

function derInteger(bytes: readonly number[]): number[] {
  return [2, ...derLength(bytes.length), ...bytes];
}

function derLength(length: number): number[] {
  return length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >>> 8, length & 0xff];
}

function derSequence(content: readonly number[]): number[] {
  return [0x30, ...derLength(content.length), ...content];
}

/** An RSAPrivateKey without primes whose modulus is `bits` long. It is only used to find out which sizes are accepted. */
function rsaKey(bits: number): number[] {
  const zero = derInteger([0]);
  const modulus = derInteger([0, ...new Array(bits / 8).fill(0xff)]);
  const publicExponent = derInteger([1, 0, 1]);
  const privateExponent = derInteger([1, 0, 1]);
  return derSequence([zero, modulus, publicExponent, privateExponent, zero, zero, zero, zero, zero].flat());
}

/** The ECPrivateKey with the number 1, on any curve. */
const EC_KEY = derSequence([...derInteger([1]), 4, 1, 1]);

class Trial {
  readonly #memory = new OwnedMemory();
  readonly #tools = new AsymmetricTools(this.#memory);
  readonly #service = new AkcipherService(this.#tools);
  readonly #key = this.#memory.map(4096);
  readonly #spec = new AkcipherKeySpec();

  /** True if a private key with `der` and these parameters can be used for `opcode`. */
  accepts(opcode: number, der: readonly number[], parameters: { algo: number; para0: number; para1: number }): boolean {
    new Uint8Array(this.#key.buffer).set(der);
    const key = this.#key.address;
    Object.assign(this.#spec, parameters, { keyType: numbers.AKCIPHER_KEY_PRIVATE, key, keyLen: der.length });
    const prepared = this.#service.prepare(this.#spec);
    if (!(prepared instanceof AkcipherKey)) return false;
    const isAccepted = prepared.canRun(opcode);
    prepared.free();
    return isAccepted;
  }

  uses(opcode: number): AkcipherUse {
    const rsa = { algo: numbers.AKCIPHER_RSA, para0: numbers.RSA_PKCS1_PADDING, para1: numbers.RSA_SHA256 };
    const rsaBitsMin = RSA_BITS.find((bits) => this.accepts(opcode, rsaKey(bits), rsa));
    const curves = [...CURVES.keys()].filter((curve) =>
      this.accepts(opcode, EC_KEY, { algo: numbers.AKCIPHER_ECDSA, para0: curve, para1: 0 })
    );
    return { rsaBitsMin, curves };
  }

  close(): void {
    this.#tools.close();
    this.#memory.close();
  }
}

/** Finds out what this host's OpenSSL accepts with its current settings. */
export function akcipherOffer(): AkcipherOffer {
  const trial = new Trial();
  const signing = trial.uses(numbers.AKCIPHER_SIGN);
  const verification = trial.uses(numbers.AKCIPHER_VERIFY);
  trial.close();
  const rsa = verification.rsaBitsMin === undefined ? 0 : 1 << numbers.AKCIPHER_RSA;
  const ecdsa = verification.curves.length === 0 ? 0 : 1 << numbers.AKCIPHER_ECDSA | 1 << numbers.AKCIPHER_ECDSA_UAPI;
  return { signing, verification, mask: rsa | ecdsa };
}
