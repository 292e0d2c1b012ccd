/**
 * Replaces `@std/assert` where the JSR registry cannot be reached: the few functions this project uses, with
 * the same names and signatures, built on `node:assert`.
 *
 * @module
 */
import nodeAssert from "node:assert";

/** The error that every assertion throws, as in `@std/assert`. */
export const AssertionError: typeof nodeAssert.AssertionError = nodeAssert.AssertionError;

/** Fails unless `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError({ message: msg || "Expected a truthy value" });
}

/** Fails unless the two are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.deepStrictEqual(actual, expected, msg);
}

/** Fails if the two are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.notDeepStrictEqual(actual, expected, msg);
}

/** Fails unless the two are the same value. */
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  nodeAssert.strictEqual(actual, expected, msg);
}

/** Fails if `actual` is null or undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === null || actual === undefined) {
    throw new AssertionError({ message: msg ?? "Expected a value, not null or undefined" });
  }
}

/** Fails unless `actual` holds `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) {
    throw new AssertionError({
      message: msg ?? `Expected ${JSON.stringify(actual)} to contain ${JSON.stringify(expected)}`,
    });
  }
}

/** Fails unless `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  nodeAssert.match(actual, expected, msg);
}

/** Fails unless `actual` is greater than `expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) throw new AssertionError({ message: msg ?? `Expected ${actual} > ${expected}` });
}

/** Fails unless `actual` is at least `expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) throw new AssertionError({ message: msg ?? `Expected ${actual} >= ${expected}` });
}

/** Fails unless `actual` is less than `expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) throw new AssertionError({ message: msg ?? `Expected ${actual} < ${expected}` });
}

/** Fails unless `actual` is at most `expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) throw new AssertionError({ message: msg ?? `Expected ${actual} <= ${expected}` });
}

function checkError<E extends Error>(
  error: unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): void {
  const about = msg ? `: ${msg}` : "";
  if (!(error instanceof Error)) throw new AssertionError({ message: `A non-Error was thrown${about}` });
  if (ErrorClass && !(error instanceof ErrorClass)) {
    throw new AssertionError({
      message: `Expected ${ErrorClass.name}, not ${error.constructor.name} (${error.message})${about}`,
    });
  }
  if (msgIncludes && !error.message.includes(msgIncludes)) {
    throw new AssertionError({
      message: `Expected the message to include ${JSON.stringify(msgIncludes)}, but got ${
        JSON.stringify(error.message)
      }${about}`,
    });
  }
}

/**
 * Fails unless `fn` throws, optionally an `ErrorClass` whose message includes `msgIncludes`; returns what was thrown.
 */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): E {
  let error: unknown;
  let threw = false;
  try {
    fn();
  } catch (thrown) {
    threw = true;
    error = thrown;
  }
  if (!threw) throw new AssertionError({ message: `Expected function to throw${msg ? `: ${msg}` : ""}` });
  checkError(error, ErrorClass, msgIncludes, msg);
  return error as E;
}

/** Fails unless the promise of `fn` rejects, optionally with an `ErrorClass` whose message includes `msgIncludes`. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): Promise<E> {
  let error: unknown;
  let threw = false;
  try {
    await fn();
  } catch (thrown) {
    threw = true;
    error = thrown;
  }
  if (!threw) throw new AssertionError({ message: `Expected function to reject${msg ? `: ${msg}` : ""}` });
  checkError(error, ErrorClass, msgIncludes, msg);
  return error as E;
}

/** Fails always. */
export function fail(msg?: string): never {
  throw new AssertionError({ message: `Failed assertion${msg ? `: ${msg}` : "."}` });
}
