/**
 * Diffie-Hellman in the RFC's dialect: parameters, keys, shared secrets.
 *
 * The RFC puts generated parameters where a device cannot write; here they follow the status, if the driver left room.
 * A prime of 1536 bits and more is one of the published groups (RFC 3526, RFC 7919), which many have looked at:
 * searching for a safe prime of that size takes minutes.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { DONE, FAILED, UNSUPPORTED } from "../../operation.ts";
import { cString } from "../../openssl.ts";
import { bignumAt, keyBignum } from "../bignums.ts";
import { checkedPublicKey } from "../der.ts";
import { generateKeyLike, generateParameters } from "../generation.ts";
import { putSharedSecret } from "../key_operations.ts";
import * as parameters from "../key_parameters.ts";
import { DH_GENERATED_BITS_MAX, DH_MODULUS_BITS_MAX, DH_MODULUS_BITS_MIN } from "../limits.ts";
import { type Bytes, field, isGood, outputRoom, putBignum, putWord, takeFixed, takeNumber } from "./stream.ts";

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

/** Key exchange: one of three operations. */
export function exchangeDh(): number {
  if (!takeFixed(format.DH_BYTES)) return FAILED;
  const operation = field(format.DH_KEYEXCHG_OP_OFFSET);
  if (operation === format.KEY_EXCHANGE_GEN_DH_PARAM) return generateDhParameters(field(format.DH_MODULES_LEN_OFFSET));
  const pLen = field(format.DH_P_LEN_OFFSET);
  const gLen = field(format.DH_G_LEN_OFFSET);
  if (operation !== format.KEY_EXCHANGE_GEN_KEY && operation !== format.KEY_EXCHANGE_COMPUTE_KEY) return UNSUPPORTED;
  const p = takeNumber(pLen);
  const g = takeNumber(gLen);
  if (!isGood()) return FAILED;
  return operation === format.KEY_EXCHANGE_GEN_KEY ? generateDhKey(p, g) : computeDh(p, g);
}

/** Begins a key's parameters with a group of usable size; bytes of its modulus, or 0. */
function addGroup(p: Bytes, g: Bytes): number {
  parameters.beginParameters();
  const bits = parameters.addNumber("p", p.address, p.length);
  if (bits < DH_MODULUS_BITS_MIN || bits > DH_MODULUS_BITS_MAX || !parameters.lastNumberIsOdd()) return 0;
  const generatorBits = parameters.addNumber("g", g.address, g.length);
  return generatorBits > 1 && generatorBits <= bits ? (bits + 7) >>> 3 : 0;
}

function generateDhParameters(modulusLen: number): number {
  const bits = 8 * modulusLen;
  const published = PUBLISHED_GROUPS.get(bits);
  if (published === undefined && (bits < DH_MODULUS_BITS_MIN || bits > DH_GENERATED_BITS_MAX)) return UNSUPPORTED;
  // Two lengths, p, and a generator that fits a byte.
  if (outputRoom() < 8 + modulusLen + 1) return UNSUPPORTED;
  parameters.beginParameters();
  let group: bigint;
  if (published !== undefined) {
    parameters.addText("group", published);
    group = parameters.makeKey("DH", parameters.SELECT_PARAMETERS);
  } else {
    parameters.addText("type", "generator");
    parameters.addSmallNumber("pbits", bits);
    parameters.addSmallNumber("safeprime-generator", GENERATOR);
    group = generateParameters(DH);
  }
  if (group === 0n) return FAILED;
  putWord(modulusLen);
  putWord(1);
  putBignum(keyBignum(group, "p"), modulusLen);
  putBignum(keyBignum(group, "g"), 1);
  pkeys.EVP_PKEY_free(group);
  return DONE;
}

function generateDhKey(p: Bytes, g: Bytes): number {
  const modulusLen = addGroup(p, g);
  if (modulusLen === 0) return giveUp();
  const template = parameters.makeKey("DH", parameters.SELECT_PARAMETERS);
  if (template === 0n) return FAILED;
  const key = generateKeyLike(template);
  pkeys.EVP_PKEY_free(template);
  if (key === 0n) return FAILED;
  putWord(modulusLen);
  putWord(modulusLen);
  putBignum(keyBignum(key, "priv"), modulusLen);
  putBignum(keyBignum(key, "pub"), modulusLen);
  pkeys.EVP_PKEY_free(key);
  return DONE;
}

function giveUp(): number {
  parameters.wipeParameters();
  return FAILED;
}

function computeDh(p: Bytes, g: Bytes): number {
  if (!takeFixed(format.DH_COMPUTE_BYTES)) return FAILED;
  const xLen = field(format.DH_COMPUTE_X_LEN_OFFSET);
  const yLen = field(format.DH_COMPUTE_Y_LEN_OFFSET);
  const secretLen = field(format.DH_COMPUTE_SHARED_SECRET_LEN_OFFSET);
  const x = takeNumber(xLen);
  const y = takeNumber(yLen);
  if (!isGood()) return FAILED;
  const key = makePrivateKey(p, g, x);
  const peer = key === 0n ? 0n : makePeer(p, g, y);
  const shared = putSharedSecret(key, peer, secretLen);
  pkeys.EVP_PKEY_free(key);
  pkeys.EVP_PKEY_free(peer);
  return shared ? DONE : FAILED;
}

/** The key with private number x, 0 < x < p; 0n if x is none, or the group is not usable. */
function makePrivateKey(p: Bytes, g: Bytes, x: Bytes): bigint {
  const number = bignumAt(x.address, x.length);
  const inRange = pkeys.BN_num_bits(number) > 0 && pkeys.BN_cmp(number, bignumAt(p.address, p.length)) < 0;
  if (!inRange || addGroup(p, g) === 0) {
    parameters.wipeParameters();
    return 0n;
  }
  parameters.addBignum("priv", number);
  return parameters.makeKey("DH", parameters.SELECT_KEYPAIR);
}

function makePeer(p: Bytes, g: Bytes, y: Bytes): bigint {
  addGroup(p, g);
  parameters.addNumber("pub", y.address, y.length);
  return checkedPublicKey(parameters.makeKey("DH", parameters.SELECT_PUBLIC_KEY));
}
