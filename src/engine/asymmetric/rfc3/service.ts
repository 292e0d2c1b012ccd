/**
 * The asymmetric service of the RFC: it has no sessions, requests carry all that an operation needs, and results start
 * with a status. This file dispatches operations and determines what the service offers on this host.
 *
 * @module
 */
import { libcrypto } from "../../../../ffi/libcrypto.ts";
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { DONE, FAILED, SIGNATURE_MISMATCH, UNSUPPORTED } from "../../operation.ts";
import { OwnedMemory } from "../../../os/owned_memory.ts";
import { cString, fetchDigest } from "../../openssl.ts";
import type { AsymmetricJob } from "../job.ts";
import { X931_PADDING } from "../key_operations.ts";
import { KeyParameters, SELECT_PUBLIC_KEY } from "../key_parameters.ts";
import { Scratch } from "../scratch.ts";
import type { AsymmetricTools } from "../tools.ts";
import { DiffieHellman } from "./dh.ts";
import { Dsa } from "./dsa.ts";
import { EllipticCurves } from "./ec.ts";
import { Rsa } from "./rsa.ts";
import { RsaKeyGeneration } from "./rsa_keygen.ts";
import { Rfc3Tools } from "./tools.ts";

type Operation = () => number;

/** The operations of `tools`, by opcode and algorithm. */
function operationsOf(tools: Rfc3Tools): ReadonlyMap<number, ReadonlyMap<number, Operation>> {
  const [rsa, dsa, ec, dh] = [new Rsa(tools), new Dsa(tools), new EllipticCurves(tools), new DiffieHellman(tools)];
  const rsaKeyGeneration = new RsaKeyGeneration(tools);
  const generateOnCurve = () => ec.generate();
  return new Map([
    [
      format.ASYM_SIGN,
      new Map([
        [format.ASYM_RSA, () => rsa.sign()],
        [format.ASYM_DSA, () => dsa.sign()],
        [format.ASYM_ECDSA, () => ec.sign()],
      ]),
    ],
    [
      format.ASYM_VERIFY,
      new Map([
        [format.ASYM_RSA, () => rsa.verify()],
        [format.ASYM_DSA, () => dsa.verify()],
        [format.ASYM_ECDSA, () => ec.verify()],
      ]),
    ],
    [format.ASYM_ENCRYPT, new Map([[format.ASYM_RSA, () => rsa.encrypt()]])],
    [format.ASYM_DECRYPT, new Map([[format.ASYM_RSA, () => rsa.decrypt()]])],
    [
      format.ASYM_KEY_GEN,
      new Map([
        [format.ASYM_RSA, () => rsaKeyGeneration.generate()],
        [format.ASYM_DSA, () => dsa.generate()],
        [format.ASYM_ECDSA, generateOnCurve],
        [format.ASYM_ECDH, generateOnCurve],
      ]),
    ],
    [
      format.ASYM_KEY_EXCHG,
      new Map([[format.ASYM_DH, () => dh.exchange()], [format.ASYM_ECDH, () => ec.exchange()]]),
    ],
  ]);
}

/** The RFC's service of one thread. */
export class Rfc3Service {
  readonly #tools: Rfc3Tools;
  readonly #operations: ReadonlyMap<number, ReadonlyMap<number, Operation>>;

  /** Works with `tools`. */
  constructor(tools: AsymmetricTools) {
    this.#tools = new Rfc3Tools(tools);
    this.#operations = operationsOf(this.#tools);
  }

  /** Runs a job of the RFC's service; its input is the request behind the 24-byte header. */
  run(job: AsymmetricJob): void {
    const { stream, parameters, bignums, generation } = this.#tools;
    stream.begin(job);
    generation.begin(job);
    const operation = this.#operations.get(job.opcode)?.get(job.algo);
    let outcome = operation === undefined ? UNSUPPORTED : operation();
    if (outcome === DONE && !stream.isGood()) outcome = FAILED;
    if (outcome !== DONE) {
      stream.discardOutput();
      libcrypto.ERR_clear_error();
    }
    bignums.free();
    parameters.wipe();
    // A verification succeeds even if the signature does not match: that is its result.
    const verifying = job.opcode === format.ASYM_VERIFY;
    job.outcome = verifying && outcome === SIGNATURE_MISMATCH ? DONE : outcome;
    const verifyResult = verifying && outcome !== DONE ? format.STATUS_BADMSG : 0;
    job.written = stream.finish(format.statusOf(job.outcome), verifyResult);
  }
}

function offers(type: string): boolean {
  const context = pkeys.EVP_PKEY_CTX_new_from_name(0n, cString(type), 0n);
  pkeys.EVP_PKEY_CTX_free(context);
  if (context === 0n) libcrypto.ERR_clear_error();
  return context !== 0n;
}

/** True if signatures can have X9.31's padding, which OpenSSL may be built without. */
function offersX931(): boolean {
  const memory = new OwnedMemory();
  const parameters = new KeyParameters(new Scratch(memory), memory);
  parameters.addSmallNumber("n", 0xffff_ffff);
  parameters.addSmallNumber("e", 3);
  const key = parameters.makeKey("RSA", SELECT_PUBLIC_KEY);
  parameters.close();
  memory.close();
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

/** `rsa_padding` of the configuration. OpenSSL no longer has SSLV23. */
export function rsaPaddingMask(): number {
  if (!offers("RSA")) return 0;
  return 1 << format.RSA_NO_PADDING | 1 << format.RSA_PKCS1_PADDING | 1 << format.RSA_PKCS1_OAEP_PADDING |
    1 << format.RSA_PKCS1_PSS_PADDING | (offersX931() ? 1 << format.RSA_X931_PADDING : 0);
}
