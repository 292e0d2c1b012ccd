/**
 * Diffie-Hellman of the asymmetric RFC: parameters, keys, shared secrets.
 *
 * The RFC has generated parameters where a device cannot write; here they follow the status, if the buffer has space for
 * them. Groups with primes of 1536 or more bits are published ones (RFC 3526, RFC 7919), because generating a safe prime
 * of that size takes minutes.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { DONE, FAILED, UNSUPPORTED } from "../../operation.ts";
import { cString } from "../../openssl.ts";
import { checkedPublicKey } from "../der.ts";
import { SELECT_KEYPAIR, SELECT_PARAMETERS, SELECT_PUBLIC_KEY } from "../key_parameters.ts";
import { DH_GENERATED_BITS_MAX, DH_MODULUS_BITS_MAX, DH_MODULUS_BITS_MIN } from "../limits.ts";
import type { Bytes } from "../key_operations.ts";
import type { Rfc3Tools } from "./tools.ts";

const DH = cString("DH");
const GENERATOR = 2;

/** Published groups by bits of modulus; the generator of each is 2. */
const PUBLISHED_GROUPS: ReadonlyMap<number, string> = new Map([
  [1536, "modp_1536"],
  [2048, "ffdhe2048"],
  [3072, "ffdhe3072"],
  [4096, "ffdhe4096"],
  [6144, "ffdhe6144"],
  [8192, "ffdhe8192"],
]);

/** Diffie-Hellman key exchange. */
export class DiffieHellman {
  readonly #tools: Rfc3Tools;

  /** Works with `tools`. */
  constructor(tools: Rfc3Tools) {
    this.#tools = tools;
  }

  /** Key exchange: one of three operations. */
  exchange(): number {
    const { stream } = this.#tools;
    if (!stream.readFixed(format.DH_BYTES)) return FAILED;
    const operation = stream.field(format.DH_KEYEXCHG_OP_OFFSET);
    if (operation === format.KEY_EXCHANGE_GEN_DH_PARAM) {
      return this.#generateDhParameters(stream.field(format.DH_MODULES_LEN_OFFSET));
    }
    const pLen = stream.field(format.DH_P_LEN_OFFSET);
    const gLen = stream.field(format.DH_G_LEN_OFFSET);
    if (operation !== format.KEY_EXCHANGE_GEN_KEY && operation !== format.KEY_EXCHANGE_COMPUTE_KEY) return UNSUPPORTED;
    const p = stream.readNumber(pLen);
    const g = stream.readNumber(gLen);
    if (!stream.isGood()) return FAILED;
    return operation === format.KEY_EXCHANGE_GEN_KEY ? this.#generateDhKey(p, g) : this.#computeDh(p, g);
  }

  /** Starts a key's parameters with a group of valid size; returns the bytes of its modulus, or 0. */
  #addGroup(p: Bytes, g: Bytes): number {
    const { parameters } = this.#tools;
    parameters.begin();
    const bits = parameters.addNumber("p", p.address, p.length);
    if (bits < DH_MODULUS_BITS_MIN || bits > DH_MODULUS_BITS_MAX || !parameters.lastNumberIsOdd()) return 0;
    const generatorBits = parameters.addNumber("g", g.address, g.length);
    return generatorBits > 1 && generatorBits <= bits ? (bits + 7) >>> 3 : 0;
  }

  #generateDhParameters(modulusLen: number): number {
    const { bignums, generation, parameters, stream } = this.#tools;
    const bits = 8 * modulusLen;
    const published = PUBLISHED_GROUPS.get(bits);
    if (published === undefined && (bits < DH_MODULUS_BITS_MIN || bits > DH_GENERATED_BITS_MAX)) return UNSUPPORTED;
    // Two lengths, p, and a generator that fits a byte.
    if (stream.outputSpace() < 8 + modulusLen + 1) return UNSUPPORTED;
    parameters.begin();
    let group: bigint;
    if (published !== undefined) {
      parameters.addText("group", published);
      group = parameters.makeKey("DH", SELECT_PARAMETERS);
    } else {
      parameters.addText("type", "generator");
      parameters.addSmallNumber("pbits", bits);
      parameters.addSmallNumber("safeprime-generator", GENERATOR);
      group = generation.parametersOf(DH);
    }
    if (group === 0n) return FAILED;
    stream.writeWord(modulusLen);
    stream.writeWord(1);
    stream.writeBignum(bignums.ofKey(group, "p"), modulusLen);
    stream.writeBignum(bignums.ofKey(group, "g"), 1);
    pkeys.EVP_PKEY_free(group);
    return DONE;
  }

  #generateDhKey(p: Bytes, g: Bytes): number {
    const { bignums, generation, parameters, stream } = this.#tools;
    const modulusLen = this.#addGroup(p, g);
    if (modulusLen === 0) return this.#giveUp();
    const template = parameters.makeKey("DH", SELECT_PARAMETERS);
    if (template === 0n) return FAILED;
    const key = generation.keyLike(template);
    pkeys.EVP_PKEY_free(template);
    if (key === 0n) return FAILED;
    stream.writeWord(modulusLen);
    stream.writeWord(modulusLen);
    stream.writeBignum(bignums.ofKey(key, "priv"), modulusLen);
    stream.writeBignum(bignums.ofKey(key, "pub"), modulusLen);
    pkeys.EVP_PKEY_free(key);
    return DONE;
  }

  #giveUp(): number {
    const { parameters } = this.#tools;
    parameters.wipe();
    return FAILED;
  }

  #computeDh(p: Bytes, g: Bytes): number {
    const { pairs, stream } = this.#tools;
    if (!stream.readFixed(format.DH_COMPUTE_BYTES)) return FAILED;
    const xLen = stream.field(format.DH_COMPUTE_X_LEN_OFFSET);
    const yLen = stream.field(format.DH_COMPUTE_Y_LEN_OFFSET);
    const secretLen = stream.field(format.DH_COMPUTE_SHARED_SECRET_LEN_OFFSET);
    const x = stream.readNumber(xLen);
    const y = stream.readNumber(yLen);
    if (!stream.isGood()) return FAILED;
    const key = this.#makePrivateKey(p, g, x);
    const peer = key === 0n ? 0n : this.#makePeer(p, g, y);
    const shared = pairs.putSharedSecret(key, peer, secretLen);
    pkeys.EVP_PKEY_free(key);
    pkeys.EVP_PKEY_free(peer);
    return shared ? DONE : FAILED;
  }

  /** The key with private number x, 0 < x < p; 0n if x or the group is not valid. */
  #makePrivateKey(p: Bytes, g: Bytes, x: Bytes): bigint {
    const { bignums, parameters } = this.#tools;
    const number = bignums.at(x.address, x.length);
    const inRange = pkeys.BN_num_bits(number) > 0 && pkeys.BN_cmp(number, bignums.at(p.address, p.length)) < 0;
    if (!inRange || this.#addGroup(p, g) === 0) {
      parameters.wipe();
      return 0n;
    }
    parameters.addBignum("priv", number);
    return parameters.makeKey("DH", SELECT_KEYPAIR);
  }

  #makePeer(p: Bytes, g: Bytes, y: Bytes): bigint {
    const { parameters } = this.#tools;
    this.#addGroup(p, g);
    parameters.addNumber("pub", y.address, y.length);
    return checkedPublicKey(parameters.makeKey("DH", SELECT_PUBLIC_KEY));
  }
}
