/**
 * Encodes an operation of the asymmetric RFC v3 and decodes its result. The service has no sessions: a request has all
 * parameters of its operation, as a fixed part of le32 words followed by numbers, and its result begins with a status.
 * Numbers are big-endian and unsigned; leading zeros are allowed.
 *
 * @module
 */
import * as rfc from "../../wire/asym_rfc3.ts";
import * as w from "../../wire/virtio_crypto.ts";
import { checkField } from "../check_request.ts";
import type { SubmitOptions } from "../submit_options.ts";
import { DeviceViolationError, RequestError } from "../errors.ts";
import { type EncodedRequest, type Field, le32s } from "../fields.ts";
import type { Completion } from "../pipeline.ts";

/** The outcome of an operation. All other fields of a result are empty unless `status` is STATUS_OK. */
export interface Rfc3Result {
  /** STATUS_*. */
  readonly status: number;
  /** Bytes written, as the device reports: two words, and the result. */
  readonly usedLen: number;
}

/** The outcome of a verification. */
export interface Rfc3Verification extends Rfc3Result {
  /** True if the device has verified the signature. */
  readonly verified: boolean;
}

/** A signature of DSA or ECDSA. */
export interface Rfc3PairSignature extends Rfc3Result {
  /** The first number. */
  readonly r: Uint8Array<ArrayBuffer>;
  /** The second number. */
  readonly s: Uint8Array<ArrayBuffer>;
}

/** A secret that two parties share. */
export interface Rfc3SharedSecret extends Rfc3Result {
  /** The secret, with leading zeros to have the requested length. */
  readonly sharedSecret: Uint8Array<ArrayBuffer>;
}

/** A message to sign, or a signed one. */
export interface Rfc3Message {
  /** HASH_*, which the device applies to the message; 0: `msg` is the digest. */
  readonly hashAlgo: number;
  /** The message. */
  readonly msg: Uint8Array;
}

/** An operation before it is laid out. */
export interface Operation {
  /** ASYM_SIGN to ASYM_KEY_EXCHG. */
  readonly opcode: number;
  /** ASYM_RSA to ASYM_ECDH. */
  readonly algo: number;
  /** The fixed part. */
  readonly words: readonly number[];
  /** The numbers after the fixed part. */
  readonly numbers: readonly Uint8Array[];
  /** Size of the result buffer behind its two words, in bytes. */
  readonly resultBytes: number;
}

/** Submits an operation and waits for its answer. */
export type Run = (operation: Operation, options?: SubmitOptions) => Promise<Answer>;

/** Throws {@linkcode RequestError} unless all `values` are numbers of a fixed part. */
export function checkWords(what: string, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) checkField(what, name, value, false);
}

/** The lengths of `values`, in their order. Throws {@linkcode RequestError} if one is not bytes. */
export function lengthsOf(what: string, values: Readonly<Record<string, unknown>>): number[] {
  return Object.entries(values).map(([name, value]) => {
    checkField(what, name, value, true);
    return (value as Uint8Array).length;
  });
}

/** Returns `value`. Throws {@linkcode RequestError} with its `meaning` if it is missing. */
export function required<Value>(what: string, name: string, value: Value, meaning: string): Value & object {
  if (typeof value === "object" && value !== null) return value;
  throw new RequestError(`${what} needs \`${name}\` (${meaning})`);
}

/** An operation as a request: header, fixed part, numbers; the result is in the field `output`. */
export function encodeOperation({ opcode, algo, words, numbers, resultBytes }: Operation): EncodedRequest {
  const header = le32s(w.DATA_HEADER_BYTES, [[w.DATA_OPCODE_OFFSET, opcode], [w.DATA_ALGO_OFFSET, algo]]);
  const para = le32s(4 * words.length, words.map((word, i) => [4 * i, word] as const));
  const data: Field[] = numbers.map((bytes, i) => ({ name: `number${i}`, bytes }));
  return {
    readable: [{ name: "header", bytes: header }, { name: "para", bytes: para }, ...data],
    writable: [{ name: "output", sizeBytes: rfc.RESULT_HEADER_BYTES + resultBytes }],
  };
}

/** The result of an operation, decoded from front to back. */
export class Answer {
  /** The fields that every result has. */
  readonly outcome: Rfc3Result;
  /** True for a verification whose signature matches. */
  readonly verified: boolean;
  readonly #data: Uint8Array<ArrayBuffer>;
  #at = 0;

  /** Decodes the two words in front. */
  constructor({ usedLen, fields }: Completion) {
    const output = fields["output"]!;
    const view = new DataView(output.buffer);
    const status = view.getUint32(0, true);
    this.outcome = { status, usedLen };
    this.verified = status === w.STATUS_OK && view.getUint32(4, true) === w.STATUS_OK;
    this.#data = output.slice(rfc.RESULT_HEADER_BYTES, status === w.STATUS_OK ? Math.max(usedLen, 8) : 8);
  }

  /**
   * Decodes the next `sizeBytes` bytes; none if the status is not STATUS_OK. Throws {@linkcode DeviceViolationError} if
   * the device has written fewer.
   */
  take(sizeBytes: number): Uint8Array<ArrayBuffer> {
    if (this.outcome.status !== w.STATUS_OK) return new Uint8Array();
    const end = this.#at + sizeBytes;
    if (end > this.#data.length) {
      throw new DeviceViolationError(`a result of ${end} bytes or more has only ${this.#data.length} bytes`);
    }
    const bytes = this.#data.slice(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /** Decodes the next `count` words; zeros if the status is not STATUS_OK. */
  words(count: number): number[] {
    const bytes = this.take(4 * count);
    const view = new DataView(bytes.length === 0 ? new ArrayBuffer(4 * count) : bytes.buffer);
    return Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true));
  }

  /** All remaining bytes. */
  rest(): Uint8Array<ArrayBuffer> {
    return this.take(this.#data.length - this.#at);
  }
}
