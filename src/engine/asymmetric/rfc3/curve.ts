/**
 * Curves of the asymmetric RFC, whose numbers are part of each request. OpenSSL recognises named curves, and has faster
 * code for some; all others are checked to be curves of prime order before anything is computed on them, because some
 * loops of OpenSSL would not end on numbers that are not a curve. Verdicts are cached.
 *
 * @module
 */
import { libcrypto } from "../../../../ffi/libcrypto.ts";
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import { copyBytes } from "../../../memory/native.ts";
import type { Mapping } from "../../../os/memory_map.ts";
import * as format from "./format.ts";
import { FAILED, UNSUPPORTED } from "../../operation.ts";
import { SELECT_KEYPAIR, SELECT_PARAMETERS, SELECT_PUBLIC_KEY } from "../key_parameters.ts";
import { EC_ORDER_BITS_MIN } from "../limits.ts";
import type { Bytes } from "../key_operations.ts";
import type { JobTools } from "./job_tools.ts";

/** Maximum bytes of a curve's number; the elements of OpenSSL's largest field are shorter. */
const CURVE_NUMBER_BYTES_MAX = 96;
/** Number of cached verdicts; when it is reached, the cache is cleared. */
const VERDICTS_MAX = 64;

const XG = 0;
const YG = 1;
const ORDER = 2;
const FIELD = 3;
const A = 4;
const B = 5;
const COFACTOR = 6;

/** A valid curve. */
export interface Curve {
  /** OpenSSL's name for it; null if it has none. */
  readonly name: string | null;
  /** EC_FIELD_TYPE_*. */
  readonly fieldType: number;
  /** Bytes of a coordinate. */
  readonly fieldBytes: number;
  /** Its numbers in the input, in the order of the request. */
  readonly numbers: readonly Bytes[];
}

interface Verdict {
  readonly name: string | null;
  readonly fieldBytes: number;
  /** False: it is not a valid curve. */
  readonly isGood: boolean;
}

/** Reads curves from requests and makes keys on them. */
export class Curves {
  readonly #tools: JobTools;
  readonly #copyArea: Mapping;
  readonly #copyOfNumbers: Uint8Array;
  readonly #verdicts = new Map<string, Verdict>();

  /** Works with `tools`. */
  constructor(tools: JobTools) {
    this.#tools = tools;
    this.#copyArea = tools.memory.map(4096);
    this.#copyOfNumbers = new Uint8Array(this.#copyArea.buffer);
  }

  /** The seven lengths at `offset` of the fixed part. */
  lengthsAt(offset: number): number[] {
    const { stream } = this.#tools;
    return Array.from({ length: format.EC_GROUP_NUMBERS }, (_, i) => stream.field(offset + 4 * i));
  }

  /** Reads a curve from the stream; a status if it is not valid. */
  read(fieldType: number, lengths: readonly number[]): Curve | number {
    const { stream } = this.#tools;
    if (fieldType !== format.EC_FIELD_TYPE_PRIME && fieldType !== format.EC_FIELD_TYPE_BINARY) return FAILED;
    if (lengths.some((length) => length > CURVE_NUMBER_BYTES_MAX)) return UNSUPPORTED;
    const numbers = lengths.map((length) => stream.readBytes(length));
    if (!stream.isGood()) return FAILED;
    const total = lengths.reduce((sum, length) => sum + length, 0);
    if (total === 0) return FAILED;
    copyBytes(this.#copyArea.address, numbers[0]!.address, total);
    const key = `${fieldType},${lengths.join()},${String.fromCharCode(...this.#copyOfNumbers.subarray(0, total))}`;
    let verdict = this.#verdicts.get(key);
    if (verdict === undefined) {
      if (this.#verdicts.size === VERDICTS_MAX) this.#verdicts.clear();
      this.#verdicts.set(key, verdict = this.#judge(fieldType, numbers));
    }
    const { name, fieldBytes } = verdict;
    return verdict.isGood ? { name, fieldType, fieldBytes, numbers } : FAILED;
  }

  /** Adds the numbers of a curve; returns the bytes of a coordinate, 0 if the generator is too long. */
  #addNumbers(fieldType: number, numbers: readonly Bytes[]): number {
    const { parameters } = this.#tools;
    const add = (name: string, which: number) =>
      parameters.addNumber(name, numbers[which]!.address, numbers[which]!.length);
    const isPrime = fieldType === format.EC_FIELD_TYPE_PRIME;
    parameters.addText("field-type", isPrime ? "prime-field" : "characteristic-two-field");
    // A polynomial has one bit more than the elements it reduces.
    const bits = add("p", FIELD) - (isPrime ? 0 : 1);
    const fieldBytes = (Math.max(bits, 0) + 7) >>> 3;
    add("a", A);
    add("b", B);
    const good = fieldBytes > 0 &&
      parameters.addPoint("generator", numbers[XG]!, numbers[YG]!, fieldBytes);
    add("order", ORDER);
    if (numbers[COFACTOR]!.length > 0) add("cofactor", COFACTOR);
    return good ? fieldBytes : 0;
  }

  #judge(fieldType: number, numbers: readonly Bytes[]): Verdict {
    const { parameters } = this.#tools;
    parameters.begin();
    const fieldBytes = this.#addNumbers(fieldType, numbers);
    const address = parameters.address();
    const group = fieldBytes > 0 && address !== 0n ? pkeys.EC_GROUP_new_from_params(address, 0n, 0n) : 0n;
    parameters.wipe();
    let verdict: Verdict = { name: null, fieldBytes, isGood: false };
    if (group !== 0n) {
      const nid = pkeys.EC_GROUP_get_curve_name(group);
      if (nid > 0) {
        const name = new Deno.UnsafePointerView(Deno.UnsafePointer.create(pkeys.OBJ_nid2sn(nid))!).getCString();
        verdict = { name, fieldBytes, isGood: true };
      } else {
        verdict = { name: null, fieldBytes, isGood: this.#isCurve(group, fieldType, numbers) };
      }
      pkeys.EC_GROUP_free(group);
    }
    libcrypto.ERR_clear_error();
    return verdict;
  }

  #isCurve(group: bigint, fieldType: number, numbers: readonly Bytes[]): boolean {
    const { bignums } = this.#tools;
    const context = bignums.context();
    const order = bignums.at(numbers[ORDER]!.address, numbers[ORDER]!.length);
    if (pkeys.BN_num_bits(order) < EC_ORDER_BITS_MIN || pkeys.BN_check_prime(order, context, 0n) !== 1) return false;
    if (fieldType === format.EC_FIELD_TYPE_PRIME) {
      const prime = bignums.at(numbers[FIELD]!.address, numbers[FIELD]!.length);
      if (pkeys.BN_check_prime(prime, context, 0n) !== 1) return false;
    }
    return pkeys.EC_GROUP_check(group, context) === 1;
  }

  #addCurve(curve: Curve): void {
    const { parameters } = this.#tools;
    if (curve.name !== null) parameters.addText("group", curve.name);
    else this.#addNumbers(curve.fieldType, curve.numbers);
  }

  /** The curve itself, to generate keys on; 0n if OpenSSL refuses it. */
  makeParameters(curve: Curve): bigint {
    const { parameters } = this.#tools;
    parameters.begin();
    this.#addCurve(curve);
    return parameters.makeKey("EC", SELECT_PARAMETERS);
  }

  /** The key with the private number `d`; 0n if that is not below the order. */
  makePrivateKey(curve: Curve, d: Bytes): bigint {
    const { bignums, parameters, stream } = this.#tools;
    if (!stream.isGood()) return 0n;
    const number = bignums.at(d.address, d.length);
    const order = bignums.at(curve.numbers[ORDER]!.address, curve.numbers[ORDER]!.length);
    if (pkeys.BN_num_bits(number) === 0 || pkeys.BN_cmp(number, order) >= 0) return 0n;
    parameters.begin();
    this.#addCurve(curve);
    parameters.addBignum("priv", number);
    return parameters.makeKey("EC", SELECT_KEYPAIR);
  }

  /** The key with the public point (x, y); 0n if that is not on the curve. */
  makePublicKey(curve: Curve, x: Bytes, y: Bytes): bigint {
    const { parameters, stream } = this.#tools;
    if (!stream.isGood()) return 0n;
    parameters.begin();
    this.#addCurve(curve);
    if (parameters.addPoint("pub", x, y, curve.fieldBytes)) {
      return parameters.makeKey("EC", SELECT_PUBLIC_KEY);
    }
    parameters.wipe();
    return 0n;
  }
}
