/**
 * DSA in the RFC's dialect. As with ECDSA, the driver cannot supply k.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { DONE, FAILED, UNSUPPORTED } from "../../operation.ts";
import { cString } from "../../openssl.ts";
import { bignumAt, keyBignum, newBignum } from "../bignums.ts";
import { checkedPublicKey } from "../der.ts";
import { generateKeyLike, generateParameters } from "../generation.ts";
import * as parameters from "../key_parameters.ts";
import { DSA_MODULUS_BITS_MAX, DSA_MODULUS_BITS_MIN, DSA_ORDER_BITS } from "../limits.ts";
import { signPair, verifyPair } from "./ec.ts";
import { type Bytes, field, isGood, putBignum, putWord, takeFixed, takeNumber } from "./stream.ts";

const DSA = cString("DSA");

/** 1 < g < p - 1: other generators make signatures that are 0 or tell the key, whatever k is. */
function isGenerator(g: Bytes, p: Bytes): boolean {
  const generator = bignumAt(g.address, g.length);
  const last = bignumAt(p.address, p.length);
  pkeys.BN_sub_word(last, 1n);
  return pkeys.BN_num_bits(generator) > 1 && pkeys.BN_cmp(generator, last) < 0;
}

/** Takes p, q and g into the parameters of a new key; returns them, or null if they are no group of DSA. */
function takeGroup(offset: number): { p: Bytes; q: Bytes; g: Bytes } | null {
  const p = takeNumber(field(offset + format.DSA_GROUP_P_LEN_OFFSET));
  const q = takeNumber(field(offset + format.DSA_GROUP_Q_LEN_OFFSET));
  const g = takeNumber(field(offset + format.DSA_GROUP_G_LEN_OFFSET));
  if (!isGood()) return null;
  parameters.beginParameters();
  const pBits = parameters.addNumber("p", p.address, p.length);
  const pOdd = parameters.lastNumberIsOdd();
  const qBits = parameters.addNumber("q", q.address, q.length);
  const good = pBits >= DSA_MODULUS_BITS_MIN && pBits <= DSA_MODULUS_BITS_MAX && pOdd &&
    DSA_ORDER_BITS.includes(qBits) && parameters.lastNumberIsOdd() && isGenerator(g, p);
  if (!good) return null;
  parameters.addNumber("g", g.address, g.length);
  return { p, q, g };
}

/** Signs (RFC, DSA signature operation). */
export function signDsa(): number {
  if (!takeFixed(format.DSA_SIGN_BYTES)) return FAILED;
  const hashAlgo = field(format.DSA_SIGN_HASH_ALGO_OFFSET);
  const xLen = field(format.DSA_SIGN_X_LEN_OFFSET);
  const messageLen = field(format.DSA_SIGN_MSG_LEN_OFFSET);
  const rLen = field(format.DSA_SIGN_R_LEN_OFFSET);
  const sLen = field(format.DSA_SIGN_S_LEN_OFFSET);
  if (field(format.DSA_SIGN_K_LEN_OFFSET) !== 0) return UNSUPPORTED;
  const group = takeGroup(format.DSA_SIGN_GROUP_OFFSET);
  if (group === null) return FAILED;
  const key = makePrivateKey(group.q, group.g, takeNumber(xLen));
  return key === 0n ? FAILED : signPair(key, rLen, sLen, messageLen, hashAlgo);
}

/** The key with private number x, 0 < x < q, in the group whose parameters have been added. */
function makePrivateKey(q: Bytes, g: Bytes, x: Bytes): bigint {
  if (!isGood()) return 0n;
  const number = bignumAt(x.address, x.length);
  if (pkeys.BN_num_bits(number) === 0 || pkeys.BN_cmp(number, bignumAt(q.address, q.length)) >= 0) return 0n;
  parameters.addBignum("priv", number);
  // OpenSSL wants a public key beside the private one, but never reads it to sign: any element of the group will do.
  parameters.addNumber("pub", g.address, g.length);
  return parameters.makeKey("DSA", parameters.SELECT_KEYPAIR);
}

/** Verifies (RFC, DSA verification operation): OK, or BADMSG for a signature that is none. */
export function verifyDsa(): number {
  if (!takeFixed(format.DSA_VERIFY_BYTES)) return FAILED;
  const hashAlgo = field(format.DSA_VERIFY_HASH_ALGO_OFFSET);
  const yLen = field(format.DSA_VERIFY_Y_LEN_OFFSET);
  const rLen = field(format.DSA_VERIFY_R_LEN_OFFSET);
  const sLen = field(format.DSA_VERIFY_S_LEN_OFFSET);
  const messageLen = field(format.DSA_VERIFY_MSG_LEN_OFFSET);
  if (takeGroup(format.DSA_VERIFY_GROUP_OFFSET) === null) return FAILED;
  const y = takeNumber(yLen);
  if (!isGood()) return FAILED;
  parameters.addNumber("pub", y.address, y.length);
  const key = checkedPublicKey(parameters.makeKey("DSA", parameters.SELECT_PUBLIC_KEY));
  return key === 0n ? FAILED : verifyPair(key, rLen, sLen, messageLen, hashAlgo);
}

/** Bits of q for the moduli that FIPS 186 pairs with one; by bytes of modulus. */
const GENERATED_ORDER_BITS: ReadonlyMap<number, number> = new Map([[128, 160], [256, 256], [384, 256]]);

/** Generates a group and a key in it (RFC, DSA key generation operation). */
export function generateDsa(): number {
  if (!takeFixed(format.DSA_KEYGEN_BYTES)) return FAILED;
  const modulusLen = field(format.DSA_KEYGEN_MODULUS_LEN_OFFSET);
  const orderBits = GENERATED_ORDER_BITS.get(modulusLen);
  if (orderBits === undefined) return UNSUPPORTED;
  parameters.beginParameters();
  parameters.addSmallNumber("pbits", 8 * modulusLen);
  parameters.addSmallNumber("qbits", orderBits);
  const group = generateParameters(DSA);
  if (group === 0n) return FAILED;
  const key = generateKeyLike(group);
  pkeys.EVP_PKEY_free(group);
  if (key === 0n) return FAILED;
  putGenerated(key, modulusLen, orderBits / 8);
  pkeys.EVP_PKEY_free(key);
  return DONE;
}

function putGenerated(key: bigint, modulusLen: number, orderLen: number): void {
  const names = ["p", "q", "g", "priv", "pub"];
  const lengths = [modulusLen, orderLen, modulusLen, orderLen, modulusLen];
  // The group's three lengths, a reserved word, then those of the key.
  for (const word of [modulusLen, orderLen, modulusLen, 0, orderLen, modulusLen]) putWord(word);
  names.forEach((name, i) => putBignum(keyBignum(key, name) || newBignum(), lengths[i]!));
}
