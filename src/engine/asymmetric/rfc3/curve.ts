/**
 * Curves of the RFC's dialect, which come as numbers with each request. OpenSSL recognises those that have a name, and
 * has faster code for some; any other must prove to be a curve of prime order before anything is computed on it,
 * because loops that wait for a usable point would not end on some that are none. Verdicts are remembered.
 *
 * @module
 */
import { libcrypto } from "../../../../ffi/libcrypto.ts";
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import { copyBytes } from "../../../memory/native.ts";
import { mapAnonymous } from "../../../os/memory_map.ts";
import * as format from "./format.ts";
import { FAILED, UNSUPPORTED } from "../../operation.ts";
import { bignumAt, bignumContext } from "../bignums.ts";
import * as parameters from "../key_parameters.ts";
import { EC_ORDER_BITS_MIN } from "../limits.ts";
import { type Bytes, field, isGood, takeBytes } from "./stream.ts";

/** Bytes of a curve's number, more than OpenSSL's largest field has. */
const CURVE_NUMBER_BYTES_MAX = 96;
/** Verdicts remembered; a guest uses few curves, and one that uses many just loses them. */
const VERDICTS_MAX = 64;

const XG = 0;
const YG = 1;
const ORDER = 2;
const FIELD = 3;
const A = 4;
const B = 5;
const COFACTOR = 6;

/** A curve that was found good. */
export interface Curve {
  /** OpenSSL's name of it; null if it has none. */
  readonly name: string | null;
  /** EC_FIELD_TYPE_*. */
  readonly fieldType: number;
  /** Bytes of a coordinate. */
  readonly fieldBytes: number;
  /** Where its numbers are in the input, in the order of the request. */
  readonly numbers: readonly Bytes[];
}

/** The seven lengths at `offset` of the fixed part. */
export function curveLengths(offset: number): number[] {
  return Array.from({ length: format.EC_GROUP_NUMBERS }, (_, i) => field(offset + 4 * i));
}

const copyArea = mapAnonymous(4096);
const copyOfNumbers = new Uint8Array(copyArea.buffer);

interface Verdict {
  readonly name: string | null;
  readonly fieldBytes: number;
  /** False: nothing will be computed on it. */
  readonly isGood: boolean;
}

const verdicts = new Map<string, Verdict>();

/** Takes a curve from the stream; a status if nothing can be computed on it. */
export function takeCurve(fieldType: number, lengths: readonly number[]): Curve | number {
  if (fieldType !== format.EC_FIELD_TYPE_PRIME && fieldType !== format.EC_FIELD_TYPE_BINARY) return FAILED;
  if (lengths.some((length) => length > CURVE_NUMBER_BYTES_MAX)) return UNSUPPORTED;
  const numbers = lengths.map((length) => takeBytes(length));
  if (!isGood()) return FAILED;
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (total === 0) return FAILED;
  copyBytes(copyArea.address, numbers[0]!.address, total);
  const key = `${fieldType},${lengths.join()},${String.fromCharCode(...copyOfNumbers.subarray(0, total))}`;
  let verdict = verdicts.get(key);
  if (verdict === undefined) {
    if (verdicts.size === VERDICTS_MAX) verdicts.clear();
    verdicts.set(key, verdict = judge(fieldType, numbers));
  }
  const { name, fieldBytes } = verdict;
  return verdict.isGood ? { name, fieldType, fieldBytes, numbers } : FAILED;
}

/** Adds the numbers of a curve as they came; bytes of a coordinate, or 0 if the generator is too long. */
function addNumbers(fieldType: number, numbers: readonly Bytes[]): number {
  const add = (name: string, which: number) =>
    parameters.addNumber(name, numbers[which]!.address, numbers[which]!.length);
  const isPrime = fieldType === format.EC_FIELD_TYPE_PRIME;
  parameters.addText("field-type", isPrime ? "prime-field" : "characteristic-two-field");
  // A polynomial has one bit more than the elements it reduces.
  const bits = add("p", FIELD) - (isPrime ? 0 : 1);
  const fieldBytes = (Math.max(bits, 0) + 7) >>> 3;
  add("a", A);
  add("b", B);
  const [x, y] = [numbers[XG]!, numbers[YG]!];
  const good = fieldBytes > 0 &&
    parameters.addPoint("generator", x.address, x.length, y.address, y.length, fieldBytes);
  add("order", ORDER);
  if (numbers[COFACTOR]!.length > 0) add("cofactor", COFACTOR);
  return good ? fieldBytes : 0;
}

function judge(fieldType: number, numbers: readonly Bytes[]): Verdict {
  parameters.beginParameters();
  const fieldBytes = addNumbers(fieldType, numbers);
  const address = parameters.parametersAddress();
  const group = fieldBytes > 0 && address !== 0n ? pkeys.EC_GROUP_new_from_params(address, 0n, 0n) : 0n;
  parameters.wipeParameters();
  let verdict: Verdict = { name: null, fieldBytes, isGood: false };
  if (group !== 0n) {
    const nid = pkeys.EC_GROUP_get_curve_name(group);
    if (nid > 0) {
      const name = new Deno.UnsafePointerView(Deno.UnsafePointer.create(pkeys.OBJ_nid2sn(nid))!).getCString();
      verdict = { name, fieldBytes, isGood: true };
    } else {
      verdict = { name: null, fieldBytes, isGood: isCurve(group, fieldType, numbers) };
    }
    pkeys.EC_GROUP_free(group);
  }
  libcrypto.ERR_clear_error();
  return verdict;
}

function isCurve(group: bigint, fieldType: number, numbers: readonly Bytes[]): boolean {
  const context = bignumContext();
  const order = bignumAt(numbers[ORDER]!.address, numbers[ORDER]!.length);
  if (pkeys.BN_num_bits(order) < EC_ORDER_BITS_MIN || pkeys.BN_check_prime(order, context, 0n) !== 1) return false;
  if (fieldType === format.EC_FIELD_TYPE_PRIME) {
    const prime = bignumAt(numbers[FIELD]!.address, numbers[FIELD]!.length);
    if (pkeys.BN_check_prime(prime, context, 0n) !== 1) return false;
  }
  return pkeys.EC_GROUP_check(group, context) === 1;
}

function addCurve(curve: Curve): void {
  if (curve.name !== null) parameters.addText("group", curve.name);
  else addNumbers(curve.fieldType, curve.numbers);
}

/** The curve itself, to generate keys on; 0n if OpenSSL refuses it. */
export function makeCurveParameters(curve: Curve): bigint {
  parameters.beginParameters();
  addCurve(curve);
  return parameters.makeKey("EC", parameters.SELECT_PARAMETERS);
}

/** The key with the private number `d`; 0n if that is not below the order. */
export function makePrivateKey(curve: Curve, d: Bytes): bigint {
  if (!isGood()) return 0n;
  const number = bignumAt(d.address, d.length);
  const order = bignumAt(curve.numbers[ORDER]!.address, curve.numbers[ORDER]!.length);
  if (pkeys.BN_num_bits(number) === 0 || pkeys.BN_cmp(number, order) >= 0) return 0n;
  parameters.beginParameters();
  addCurve(curve);
  parameters.addBignum("priv", number);
  return parameters.makeKey("EC", parameters.SELECT_KEYPAIR);
}

/** The key with the public point (x, y); 0n if that is not on the curve. */
export function makePublicKey(curve: Curve, x: Bytes, y: Bytes): bigint {
  if (!isGood()) return 0n;
  parameters.beginParameters();
  addCurve(curve);
  if (parameters.addPoint("pub", x.address, x.length, y.address, y.length, curve.fieldBytes)) {
    return parameters.makeKey("EC", parameters.SELECT_PUBLIC_KEY);
  }
  parameters.wipeParameters();
  return 0n;
}
