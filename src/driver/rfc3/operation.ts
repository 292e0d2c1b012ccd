/**
 * An operation of the asymmetric RFC v3 as bytes, and its answer taken apart. The service knows no sessions: one request
 * has all that an operation needs, a fixed part of le32 words and then numbers, and its result begins with a status.
 * Numbers are big-endian, without a sign; zeros in front do no harm.
 *
 * @module
 */
import * as rfc from "../../wire/asym_rfc3.ts";
import * as w from "../../wire/virtio_crypto.ts";
import { checkField } from "../check_request.ts";
import type { SubmitOptions } from "../crypto_driver.ts";
import { DeviceViolationError, RequestError } from "../errors.ts";
import { type EncodedRequest, type Field, le32s } from "../fields.ts";
import type { Completion } from "../pipeline.ts";

/** What became of an operation. All that a result has besides is empty unless `status` is STATUS_OK. */
export interface Rfc3Result {
  /** STATUS_*. */
  readonly status: number;
  /** Bytes that the device says it has written: two words, and the result. */
  readonly usedLen: number;
}

/** What became of a verification. */
export interface Rfc3Verification extends Rfc3Result {
  /** True if the device has checked the signature and it is right. */
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
  /** The secret, with zeros in front to have the length that was asked for. */
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
  /** What follows it. */
  readonly numbers: readonly Uint8Array[];
  /** Room for the result behind its two words, in bytes. */
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

/** `value`. Throws {@linkcode RequestError} if it is missing; `meaning` says what it has to be. */
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

/** What an operation has come to, to be taken apart from the front. */
export class Answer {
  /** What every result says. */
  readonly outcome: Rfc3Result;
  /** True for a verification that found the signature right. */
  readonly verified: boolean;
  readonly #data: Uint8Array<ArrayBuffer>;
  #at = 0;

  /** Reads the two words in front. */
  constructor({ usedLen, fields }: Completion) {
    const output = fields["output"]!;
    const view = new DataView(output.buffer);
    const status = view.getUint32(0, true);
    this.outcome = { status, usedLen };
    this.verified = status === w.STATUS_OK && view.getUint32(4, true) === w.STATUS_OK;
    this.#data = output.slice(rfc.RESULT_HEADER_BYTES, status === w.STATUS_OK ? Math.max(usedLen, 8) : 8);
  }

  /**
   * The next `sizeBytes` bytes; none if the status is not STATUS_OK. Throws {@linkcode DeviceViolationError} if the
   * device has written fewer.
   */
  take(sizeBytes: number): Uint8Array<ArrayBuffer> {
    if (this.outcome.status !== w.STATUS_OK) return new Uint8Array();
    const end = this.#at + sizeBytes;
    if (end > this.#data.length) {
      throw new DeviceViolationError(`a result of ${end} bytes or more has ${this.#data.length} bytes only`);
    }
    const bytes = this.#data.slice(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /** The next `count` words; zeros if the status is not STATUS_OK. */
  words(count: number): number[] {
    const bytes = this.take(4 * count);
    const view = new DataView(bytes.length === 0 ? new ArrayBuffer(4 * count) : bytes.buffer);
    return Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true));
  }

  /** All bytes that are left. */
  rest(): Uint8Array<ArrayBuffer> {
    return this.take(this.#data.length - this.#at);
  }
}
