/**
 * Expectations of checks. They throw {@linkcode Mismatch} with what was received and what was expected.
 *
 * @module
 */
import type { DataResult } from "../../driver/crypto_driver.ts";
import { nameOf, STATUS_NAMES } from "../../driver/names.ts";
import type { Sample } from "./samples.ts";

/** The device's answer differs from the expected one. */
export class Mismatch extends Error {
  override readonly name = "Mismatch";
  /** What was received and what was expected, as text. */
  readonly came: string;
  readonly expected: string;

  /** `about` names the answer; it may be empty. */
  constructor(came: string, expected: string, about = "") {
    super(`${about === "" ? "" : `${about}: `}${came}; expected: ${expected}`);
    this.came = about === "" ? came : `${about}: ${came}`;
    this.expected = expected;
  }
}

/** The check cannot be made with this device; the message has the reason. */
export class NotApplicable extends Error {
  override readonly name = "NotApplicable";
}

const HEX_BYTES_MAX = 80;

/** `value` as text: bytes as hexadecimal digits. */
export function shown(value: unknown): string {
  if (value instanceof Uint8Array) {
    const digits = value.subarray(0, HEX_BYTES_MAX).toHex();
    return `${value.length} bytes ${digits}${value.length > HEX_BYTES_MAX ? "…" : ""}`;
  }
  if (Array.isArray(value)) return `[${value.map(shown).join(", ")}]`;
  return String(value);
}

function isSame(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return a.length === b.length && a.every((byte, i) => byte === b[i]);
  }
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => isSame(item, b[i]));
  return a === b;
}

/** Throws {@linkcode Mismatch} unless `came`, a number, text, bytes or a list of these, equals `expected`. */
export function expectEqual(came: unknown, expected: unknown, about = ""): void {
  if (!isSame(came, expected)) throw new Mismatch(shown(came), shown(expected), about);
}

/** Throws {@linkcode Mismatch} unless `holds`. */
export function expectThat(holds: boolean, came: string, expected: string): void {
  if (!holds) throw new Mismatch(came, expected);
}

/** `status` with its name. */
export function statusText(status: number): string {
  return `status ${nameOf(STATUS_NAMES, status)} (${status})`;
}

/** Throws {@linkcode Mismatch} unless `result` has `status`, or one of several. */
export function expectStatus(
  result: { readonly status: number },
  status: number | readonly number[],
  about = "",
): void {
  const allowed = typeof status === "number" ? [status] : status;
  if (allowed.includes(result.status)) return;
  throw new Mismatch(statusText(result.status), allowed.map(statusText).join(" or "), about);
}

/** Throws {@linkcode Mismatch} unless `result` is the answer to `sample`. */
export function expectAnswer(result: DataResult, sample: Sample, about = sample.name): void {
  expectStatus(result, 0, about);
  expectEqual(result.dst, sample.dst, `${about}, destination`);
  expectEqual(result.result, sample.result, `${about}, digest`);
}

/** As {@linkcode expectAnswer}; the used length must count all written bytes, too. */
export function expectExactAnswer(result: DataResult, sample: Sample, about = sample.name): void {
  expectAnswer(result, sample, about);
  expectEqual(result.usedLen, sample.dst.length + sample.result.length + 1, `${about}, used length`);
}

/** Throws {@linkcode Mismatch} if `result` is the answer to `sample`. */
export function expectOtherAnswer(result: DataResult, sample: Sample, about: string): void {
  if (result.status !== 0) return;
  if (isSame(result.dst, sample.dst) && isSame(result.result, sample.result)) {
    throw new Mismatch(`the right answer, although ${about}`, "another answer, or a status that is not OK");
  }
}
