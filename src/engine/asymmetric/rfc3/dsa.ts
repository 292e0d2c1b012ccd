/**
 * DSA of the asymmetric RFC. As with ECDSA, the driver cannot supply k.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { DONE, FAILED, UNSUPPORTED } from "../../operation.ts";
import { cString } from "../../openssl.ts";
import { checkedPublicKey } from "../der.ts";
import { SELECT_KEYPAIR, SELECT_PUBLIC_KEY } from "../key_parameters.ts";
import { DSA_MODULUS_BITS_MAX, DSA_MODULUS_BITS_MIN, DSA_ORDER_BITS } from "../limits.ts";
import type { Bytes } from "../key_operations.ts";
import type { Rfc3Tools } from "./tools.ts";

const DSA = cString("DSA");

/** Bits of q, by bytes of modulus, for the pairs of FIPS 186. */
const GENERATED_ORDER_BITS: ReadonlyMap<number, number> = new Map([[128, 160], [256, 256], [384, 256]]);

/** DSA: sign, verify, generate. */
export class Dsa {
  readonly #tools: Rfc3Tools;

  /** Works with `tools`. */
  constructor(tools: Rfc3Tools) {
    this.#tools = tools;
  }

  /** 1 < g < p - 1: with other generators, signatures are 0 or reveal the key. */
  #isGenerator(g: Bytes, p: Bytes): boolean {
    const { bignums } = this.#tools;
    const generator = bignums.at(g.address, g.length);
    const last = bignums.at(p.address, p.length);
    pkeys.BN_sub_word(last, 1n);
    return pkeys.BN_num_bits(generator) > 1 && pkeys.BN_cmp(generator, last) < 0;
  }

  /** Adds p, q and g to the parameters of a new key; returns them, or null if they are not a group of DSA. */
  #readGroup(offset: number): { p: Bytes; q: Bytes; g: Bytes } | null {
    const { parameters, stream } = this.#tools;
    const p = stream.readNumber(stream.field(offset + format.DSA_GROUP_P_LEN_OFFSET));
    const q = stream.readNumber(stream.field(offset + format.DSA_GROUP_Q_LEN_OFFSET));
    const g = stream.readNumber(stream.field(offset + format.DSA_GROUP_G_LEN_OFFSET));
    if (!stream.isGood()) return null;
    parameters.begin();
    const pBits = parameters.addNumber("p", p.address, p.length);
    const pOdd = parameters.lastNumberIsOdd();
    const qBits = parameters.addNumber("q", q.address, q.length);
    const good = pBits >= DSA_MODULUS_BITS_MIN && pBits <= DSA_MODULUS_BITS_MAX && pOdd &&
      DSA_ORDER_BITS.includes(qBits) && parameters.lastNumberIsOdd() && this.#isGenerator(g, p);
    if (!good) return null;
    parameters.addNumber("g", g.address, g.length);
    return { p, q, g };
  }

  /** Signs (RFC, DSA signature operation). */
  sign(): number {
    const { pairs, stream } = this.#tools;
    if (!stream.readFixed(format.DSA_SIGN_BYTES)) return FAILED;
    const hashAlgo = stream.field(format.DSA_SIGN_HASH_ALGO_OFFSET);
    const xLen = stream.field(format.DSA_SIGN_X_LEN_OFFSET);
    const messageLen = stream.field(format.DSA_SIGN_MSG_LEN_OFFSET);
    const rLen = stream.field(format.DSA_SIGN_R_LEN_OFFSET);
    const sLen = stream.field(format.DSA_SIGN_S_LEN_OFFSET);
    if (stream.field(format.DSA_SIGN_K_LEN_OFFSET) !== 0) return UNSUPPORTED;
    const group = this.#readGroup(format.DSA_SIGN_GROUP_OFFSET);
    if (group === null) return FAILED;
    const key = this.#makePrivateKey(group.q, group.g, stream.readNumber(xLen));
    return key === 0n ? FAILED : pairs.sign(key, { rLen, sLen, messageLen, hashAlgo });
  }

  /** The key with private number x, 0 < x < q, in the group whose parameters have been added. */
  #makePrivateKey(q: Bytes, g: Bytes, x: Bytes): bigint {
    const { bignums, parameters, stream } = this.#tools;
    if (!stream.isGood()) return 0n;
    const number = bignums.at(x.address, x.length);
    if (pkeys.BN_num_bits(number) === 0 || pkeys.BN_cmp(number, bignums.at(q.address, q.length)) >= 0) return 0n;
    parameters.addBignum("priv", number);
    // OpenSSL requires a public key as well, but does not use it to sign: any element of the group will do.
    parameters.addNumber("pub", g.address, g.length);
    return parameters.makeKey("DSA", SELECT_KEYPAIR);
  }

  /** Verifies (RFC, DSA verification operation): OK, or BADMSG if the signature does not match. */
  verify(): number {
    const { pairs, parameters, stream } = this.#tools;
    if (!stream.readFixed(format.DSA_VERIFY_BYTES)) return FAILED;
    const hashAlgo = stream.field(format.DSA_VERIFY_HASH_ALGO_OFFSET);
    const yLen = stream.field(format.DSA_VERIFY_Y_LEN_OFFSET);
    const rLen = stream.field(format.DSA_VERIFY_R_LEN_OFFSET);
    const sLen = stream.field(format.DSA_VERIFY_S_LEN_OFFSET);
    const messageLen = stream.field(format.DSA_VERIFY_MSG_LEN_OFFSET);
    if (this.#readGroup(format.DSA_VERIFY_GROUP_OFFSET) === null) return FAILED;
    const y = stream.readNumber(yLen);
    if (!stream.isGood()) return FAILED;
    parameters.addNumber("pub", y.address, y.length);
    const key = checkedPublicKey(parameters.makeKey("DSA", SELECT_PUBLIC_KEY));
    return key === 0n ? FAILED : pairs.verify(key, { rLen, sLen, messageLen, hashAlgo });
  }

  /** Generates a group and a key in it (RFC, DSA key generation operation). */
  generate(): number {
    const { generation, parameters, stream } = this.#tools;
    if (!stream.readFixed(format.DSA_KEYGEN_BYTES)) return FAILED;
    const modulusLen = stream.field(format.DSA_KEYGEN_MODULUS_LEN_OFFSET);
    const orderBits = GENERATED_ORDER_BITS.get(modulusLen);
    if (orderBits === undefined) return UNSUPPORTED;
    parameters.begin();
    parameters.addSmallNumber("pbits", 8 * modulusLen);
    parameters.addSmallNumber("qbits", orderBits);
    const group = generation.parametersOf(DSA);
    if (group === 0n) return FAILED;
    const key = generation.keyLike(group);
    pkeys.EVP_PKEY_free(group);
    if (key === 0n) return FAILED;
    this.#putGenerated(key, modulusLen, orderBits / 8);
    pkeys.EVP_PKEY_free(key);
    return DONE;
  }

  #putGenerated(key: bigint, modulusLen: number, orderLen: number): void {
    const { bignums, stream } = this.#tools;
    const names = ["p", "q", "g", "priv", "pub"];
    const lengths = [modulusLen, orderLen, modulusLen, orderLen, modulusLen];
    // The group's three lengths, a reserved word, then those of the key.
    for (const word of [modulusLen, orderLen, modulusLen, 0, orderLen, modulusLen]) stream.writeWord(word);
    names.forEach((name, i) => stream.writeBignum(bignums.ofKey(key, name) || bignums.create(), lengths[i]!));
  }
}
