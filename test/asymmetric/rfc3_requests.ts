/**
 * Requests of the asymmetric RFC, written field by field, and their results taken apart: the driver's side, which
 * shares no code with the engine's.
 *
 * @module
 */
import { AsymmetricJob, FORM_RFC3 } from "../../src/engine/asymmetric/job.ts";
import { concat } from "../bytes.ts";
import { CURVES } from "./curves.ts";
import { type Outcome, runRequest } from "./support.ts";

/** A number of a request. */
export type Bytes = Uint8Array;

/** Bytes of a hexadecimal text. */
export function hex(text: string): Bytes {
  const even = text.length % 2 === 0 ? text : "0" + text;
  return Uint8Array.from(even.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/** le32 words. */
export function words(...values: number[]): Bytes {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

function lens(...numbers: Bytes[]): number[] {
  return numbers.map((number) => number.length);
}

/** A big-endian number without zeros in front, of a JWK's field. */
export function base64url(text: string | undefined): Bytes {
  return Uint8Array.from(atob(text!.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

/** A curve's numbers in the order of a request: xg, yg, n, q, a, b, h. */
export function curveOf(name: string): Bytes[] {
  const { x, y, n, p, a, b, h } = CURVES[name]!;
  return [x, y, n, p, a, b, h].map(hex);
}

/** The field type of a curve. */
export function fieldTypeOf(name: string): number {
  return CURVES[name]!.fieldType;
}

/** An RSA private key: its fixed part, and its data. */
export interface PrivateKey {
  readonly head: Bytes;
  readonly data: Bytes;
}

/** The first representation. */
export function rep1(n: Bytes, d: Bytes): PrivateKey {
  return { head: words(2, 0, n.length, d.length, 0, 0, 0, 0, 0, 0), data: concat(n, d) };
}

/** The first representation in a union of its own size. */
export function rep1Short(n: Bytes, d: Bytes): PrivateKey {
  return { head: words(2, 0, n.length, d.length), data: concat(n, d) };
}

/** The second representation of a key with two primes. */
export function rep2(p: Bytes, q: Bytes, dp: Bytes, dq: Bytes, qinv: Bytes): PrivateKey {
  return { head: words(2, 1, ...lens(p, q, dp, dq, qinv), 0, 0, 0), data: concat(p, q, dp, dq, qinv) };
}

/** `struct virtio_crypto_rsa_sign_req`. */
export function rsaSign(key: PrivateKey, hash: number, padding: number, msg: Bytes, signatureLen: number): Bytes {
  return concat(words(hash, padding), key.head, words(msg.length, signatureLen), key.data, msg);
}

/** `struct virtio_crypto_rsa_verify_req`, with the signature that the RFC forgot. */
export function rsaVerify(n: Bytes, e: Bytes, hash: number, padding: number, signature: Bytes, msg: Bytes): Bytes {
  return concat(words(hash, padding, n.length, e.length, msg.length, 0), n, e, signature, msg);
}

/** `struct virtio_crypto_rsa_enc_req`. */
export function rsaEncrypt(n: Bytes, e: Bytes, padding: number, msg: Bytes): Bytes {
  return concat(words(padding, n.length, e.length, msg.length), n, e, msg);
}

/** `struct virtio_crypto_rsa_dec_req`. */
export function rsaDecrypt(key: PrivateKey, padding: number, cmsg: Bytes): Bytes {
  return concat(words(padding), key.head, words(cmsg.length), key.data, cmsg);
}

/** `struct virtio_crypto_rsa_keygen_req`. */
export function rsaKeygen(modulusLen: number, primes: number, repType: number, e: Bytes): Bytes {
  return concat(words(modulusLen, primes, repType, e.length), e);
}

/** `struct virtio_crypto_ecdsa_sign_req`. */
export function ecdsaSign(curve: string, hash: number, d: Bytes, msg: Bytes, size: number, k = hex("")): Bytes {
  const ec = curveOf(curve);
  return concat(
    words(hash, fieldTypeOf(curve), ...lens(...ec), 0, k.length, d.length, msg.length, size, size, 0),
    ...ec,
    k,
    d,
    msg,
  );
}

/** `struct virtio_crypto_ecdsa_verify_req` on a curve given by its numbers. */
export function ecdsaVerifyOn(
  ec: Bytes[],
  fieldType: number,
  hash: number,
  x: Bytes,
  y: Bytes,
  r: Bytes,
  s: Bytes,
  msg: Bytes,
): Bytes {
  return concat(words(hash, fieldType, ...lens(...ec), 0, ...lens(x, y, r, s, msg), 0), ...ec, x, y, r, s, msg);
}

/** `struct virtio_crypto_ecdsa_verify_req`. */
export function ecdsaVerify(
  curve: string,
  hash: number,
  x: Bytes,
  y: Bytes,
  r: Bytes,
  s: Bytes,
  msg: Bytes,
): Bytes {
  return ecdsaVerifyOn(curveOf(curve), fieldTypeOf(curve), hash, x, y, r, s, msg);
}

/** `struct virtio_crypto_ec_keygen_req`. */
export function ecKeygen(ec: Bytes[], fieldType: number, size: number): Bytes {
  return concat(words(fieldType, 0, ...lens(...ec), 0, size, size, size), ...ec);
}

/** `struct virtio_crypto_ecdh_keyexchg_key_gen_req`. */
export function ecdhKeygen(curve: string, size: number): Bytes {
  return concat(words(0, 0), ecKeygen(curveOf(curve), fieldTypeOf(curve), size));
}

/** `struct virtio_crypto_ecdh_keyexchg_key_compute_req`. */
export function ecdhCompute(curve: string, d: Bytes, x: Bytes, y: Bytes, size: number, operation = 1): Bytes {
  const para = ecKeygen(curveOf(curve), fieldTypeOf(curve), 0);
  return concat(words(operation, 0, ...lens(d, x, y), size), para, d, x, y);
}

/** `struct virtio_crypto_dsa_sign_req`. */
export function dsaSign(group: Bytes[], hash: number, x: Bytes, msg: Bytes, size: number, k = hex("")): Bytes {
  return concat(
    words(hash, 0, ...lens(...group), 0, k.length, x.length, msg.length, size, size, 0),
    ...group,
    k,
    x,
    msg,
  );
}

/** `struct virtio_crypto_dsa_verify_req`. */
export function dsaVerify(group: Bytes[], hash: number, y: Bytes, r: Bytes, s: Bytes, msg: Bytes): Bytes {
  return concat(words(hash, 0, ...lens(...group), 0, ...lens(y, r, s, msg)), ...group, y, r, s, msg);
}

/** `struct virtio_crypto_dh_keyexchg_param_gen_req`. */
export function dhParamGen(modulusLen: number): Bytes {
  return words(2, 0, modulusLen, 0, 0, 0);
}

/** `struct virtio_crypto_dh_keyexchg_key_gen_req`. */
export function dhKeygen(p: Bytes, g: Bytes): Bytes {
  return concat(words(0, 0, p.length, 0, p.length, g.length), p, g);
}

/** `struct virtio_crypto_dh_keyexchg_key_compute_req`. */
export function dhCompute(p: Bytes, g: Bytes, x: Bytes, y: Bytes, size: number): Bytes {
  return concat(words(1, 0, p.length, 0, p.length, g.length), p, g, words(x.length, y.length, size, 0), x, y);
}

/** A result: its two words, and what follows. */
export interface Result {
  readonly status: number;
  readonly second: number;
  readonly data: Bytes;
}

const job = new AsymmetricJob();

/** Runs a request; throws if the job's status is not the one that the result starts with. */
export function run(opcode: number, algo: number, request: Bytes, capacity = 8192): Result {
  job.form = FORM_RFC3;
  job.opcode = opcode;
  job.algo = algo;
  const outcome: Outcome = runRequest(job, request, capacity);
  const [status = -1, second = -1] = new Uint32Array(outcome.bytes.slice(0, 8).buffer);
  if (status !== outcome.status) throw new Error(`the job's status is ${outcome.status}, the result's ${status}`);
  return { status, second, data: outcome.bytes.slice(8) };
}

/** Cuts `data` into stretches of the given lengths. */
export function cut(data: Bytes, ...lengths: number[]): Bytes[] {
  let at = 0;
  return lengths.map((length) => data.slice(at, at += length));
}
