/**
 * The asymmetric service of the RFC: no sessions, one request with all that an operation needs, a status in front of
 * its result. Says which operation is whose, and what the service offers on this host.
 *
 * @module
 */
import { libcrypto } from "../../../../ffi/libcrypto.ts";
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { DONE, FAILED, SIGNATURE_MISMATCH, UNSUPPORTED } from "../../operation.ts";
import { cString, fetchDigest } from "../../openssl.ts";
import { freeBignums } from "../bignums.ts";
import { beginGeneration } from "../generation.ts";
import type { AsymmetricJob } from "../job.ts";
import { X931_PADDING } from "../key_operations.ts";
import { addSmallNumber, beginParameters, makeKey, SELECT_PUBLIC_KEY, wipeParameters } from "../key_parameters.ts";
import { exchangeDh } from "./dh.ts";
import { generateDsa, signDsa, verifyDsa } from "./dsa.ts";
import { exchangeEcdh, generateEc, signEcdsa, verifyEcdsa } from "./ec.ts";
import { decryptRsa, encryptRsa, signRsa, verifyRsa } from "./rsa.ts";
import { generateRsa } from "./rsa_keygen.ts";
import { beginStreams, discardOutput, finish, isGood } from "./stream.ts";

type Operation = () => number;

/** Operations by opcode and algorithm. */
const OPERATIONS: ReadonlyMap<number, ReadonlyMap<number, Operation>> = new Map([
  [format.ASYM_SIGN, new Map([[format.ASYM_RSA, signRsa], [format.ASYM_DSA, signDsa], [format.ASYM_ECDSA, signEcdsa]])],
  [
    format.ASYM_VERIFY,
    new Map([[format.ASYM_RSA, verifyRsa], [format.ASYM_DSA, verifyDsa], [format.ASYM_ECDSA, verifyEcdsa]]),
  ],
  [format.ASYM_ENCRYPT, new Map([[format.ASYM_RSA, encryptRsa]])],
  [format.ASYM_DECRYPT, new Map([[format.ASYM_RSA, decryptRsa]])],
  [
    format.ASYM_KEY_GEN,
    new Map([
      [format.ASYM_RSA, generateRsa],
      [format.ASYM_DSA, generateDsa],
      [format.ASYM_ECDSA, generateEc],
      [format.ASYM_ECDH, generateEc],
    ]),
  ],
  [format.ASYM_KEY_EXCHG, new Map([[format.ASYM_DH, exchangeDh], [format.ASYM_ECDH, exchangeEcdh]])],
]);

/** Runs a job in the RFC's dialect; its input is the request behind the 24-byte header. */
export function runRfc3(job: AsymmetricJob): void {
  beginStreams(job);
  beginGeneration(job);
  const operation = OPERATIONS.get(job.opcode)?.get(job.algo);
  let outcome = operation === undefined ? UNSUPPORTED : operation();
  if (outcome === DONE && !isGood()) outcome = FAILED;
  if (outcome !== DONE) {
    discardOutput();
    libcrypto.ERR_clear_error();
  }
  freeBignums();
  wipeParameters();
  // A signature that does not match is a verification that was done well and came to a result.
  const verifying = job.opcode === format.ASYM_VERIFY;
  job.outcome = verifying && outcome === SIGNATURE_MISMATCH ? DONE : outcome;
  job.written = finish(format.statusOf(job.outcome), verifying && outcome !== DONE ? format.STATUS_BADMSG : 0);
}

function offers(type: string): boolean {
  const context = pkeys.EVP_PKEY_CTX_new_from_name(0n, cString(type), 0n);
  pkeys.EVP_PKEY_CTX_free(context);
  if (context === 0n) libcrypto.ERR_clear_error();
  return context !== 0n;
}

/** True if signatures can have X9.31's padding, which OpenSSL may drop. */
function offersX931(): boolean {
  beginParameters();
  addSmallNumber("n", 0xffff_ffff);
  addSmallNumber("e", 3);
  const key = makeKey("RSA", SELECT_PUBLIC_KEY);
  if (key === 0n) return false;
  const context = pkeys.EVP_PKEY_CTX_new_from_pkey(0n, key, 0n);
  const good = pkeys.EVP_PKEY_verify_init(context) === 1 &&
    pkeys.EVP_PKEY_CTX_set_signature_md(context, fetchDigest("SHA1")) === 1 &&
    pkeys.EVP_PKEY_CTX_set_rsa_padding(context, X931_PADDING) === 1;
  pkeys.EVP_PKEY_CTX_free(context);
  pkeys.EVP_PKEY_free(key);
  libcrypto.ERR_clear_error();
  return good;
}

/** `asym_algo` of the configuration: what libcrypto offers. */
export function asymAlgoMask(): number {
  return (offers("RSA") ? 1 << format.ASYM_RSA : 0) |
    (offers("DSA") ? 1 << format.ASYM_DSA : 0) |
    (offers("DH") ? 1 << format.ASYM_DH : 0) |
    (offers("EC") ? 1 << format.ASYM_ECDSA | 1 << format.ASYM_ECDH : 0);
}

/** `rsa_padding` of the configuration. SSLV23 went with SSL 2 itself. */
export function rsaPaddingMask(): number {
  if (!offers("RSA")) return 0;
  return 1 << format.RSA_NO_PADDING | 1 << format.RSA_PKCS1_PADDING | 1 << format.RSA_PKCS1_OAEP_PADDING |
    1 << format.RSA_PKCS1_PSS_PADDING | (offersX931() ? 1 << format.RSA_X931_PADDING : 0);
}
