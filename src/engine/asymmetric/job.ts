/**
 * One public-key operation as a flat record. Its input is a private copy that does not change while the job runs, and its
 * output is in private memory, too: a job knows neither guests nor rings.
 *
 * Off the data path: jobs run in a worker of their own.
 *
 * @module
 */
import { DONE } from "../operation.ts";
import type { Parameters } from "../operation.ts";

/** The service that a job's numbers belong to: the ratified AKCIPHER, or the asymmetric RFC's. */
export const FORM_AKCIPHER = 0;
export const FORM_RFC3 = 1;

/** The description of an AKCIPHER key. */
export class AkcipherKeySpec {
  /** AKCIPHER_RSA or AKCIPHER_ECDSA. */
  algo = 0;
  /** AKCIPHER_KEY_PUBLIC or AKCIPHER_KEY_PRIVATE. */
  keyType = 0;
  /** RSA: the padding. ECDSA: the curve. */
  para0 = 0;
  /** RSA: the hash. */
  para1 = 0;
  /** Address of its DER, in private memory. */
  key = 0;
  /** Bytes of it. */
  keyLen = 0;

  /** Describes the key of a session with these parameters. */
  setFrom(parameters: Parameters): void {
    this.algo = parameters.algo;
    this.keyType = parameters.keyType;
    this.para0 = parameters.para0;
    this.para1 = parameters.para1;
    this.key = parameters.cipherKey;
    this.keyLen = parameters.keyLen;
  }
}

/** A prepared key. */
export interface PreparedKey {
  /** Wipes and frees it. */
  free(): void;
}

/** One operation: filled by the device, executed by `runJob`. */
export class AsymmetricJob {
  /** FORM_*. */
  form = FORM_AKCIPHER;
  /** The opcode of the request's header. */
  opcode = 0;
  /** RFC: the algorithm of the request's header. */
  algo = 0;
  /** AKCIPHER: the session's key; null: {@linkcode ownKey} is used. */
  key: PreparedKey | null = null;
  /** AKCIPHER: the key of a request that carries its own. */
  readonly ownKey: AkcipherKeySpec = new AkcipherKeySpec();
  /** Address of the input. AKCIPHER: source data; to verify, the signature and then the digest. */
  input = 0;
  /** AKCIPHER: bytes of source data, or of the signature. RFC: bytes of the stream behind the header. */
  inputLen = 0;
  /** AKCIPHER, to verify: bytes of the digest. */
  digestLen = 0;
  /** Address of the output. */
  output = 0;
  /** Maximum bytes of output. */
  outputCapacity = 0;
  /** True once the result is no longer wanted. Long operations ask repeatedly, and end with ERR. */
  isAbandoned: () => boolean = () => false;

  /** DONE, FAILED, UNSUPPORTED or SIGNATURE_MISMATCH. */
  outcome = DONE;
  /** Bytes of result in the output. */
  written = 0;
}
