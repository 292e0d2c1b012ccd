/**
 * Runs checks against a device. Each wait and each check has a time limit. A device that hangs, closes the connection or
 * ends fails the check, and the next check uses a new connection.
 *
 * @module
 */
import { DeviceViolationError, DisconnectedError, DriverTimeoutError, RefusedError } from "../../driver/errors.ts";
import type { DeviceModel } from "../../driver/bring_up.ts";
import type { Draft } from "../../wire/drafts/draft.ts";
import { type Check, levelOf } from "./check.ts";
import { FORMS } from "./forms.ts";
import { Connections, type Peculiarities, UnreachableError } from "./connections.ts";
import { CheckContext } from "./context.ts";
import { Mismatch, NotApplicable } from "./expect.ts";
import { type Offer, readOffer } from "./offer.ts";
import { unmet } from "./applicability.ts";

/** The outcome of a check. `not-run`: the device could not be reached any more. */
export type Verdict = "passed" | "failed" | "not-applicable" | "not-run";

/**
 * How a check failed. `wrong`: the device answered, but not as expected; `refused`: it refused valid input;
 * `violation`: it violated the rules of rings or messages; `hung`: it did not answer in time; `closed`: it closed the
 * connection; `unreachable`: it accepts no connection, or does not answer on it; `error`: anything else.
 */
export type FailureKind = "wrong" | "refused" | "violation" | "hung" | "closed" | "unreachable" | "error";

/** The failure of a check. */
export interface Failure {
  readonly kind: FailureKind;
  /** What was sent last, line by line. */
  readonly sent: readonly string[];
  readonly came: string;
  readonly expected: string;
}

/** The result of a check. */
export interface CheckResult {
  readonly check: Check;
  readonly verdict: Verdict;
  /** The reason why it does not apply, or was not run. */
  readonly reason?: string;
  readonly failure?: Failure;
  readonly milliseconds: number;
}

/** The results of a run. */
export interface Report {
  readonly socketPath: string;
  readonly seed: number;
  readonly timeoutMs: number;
  readonly isStrict: boolean;
  readonly offer: Offer;
  readonly results: readonly CheckResult[];
  readonly milliseconds: number;
}

/** Options of a run. */
export interface RunOptions {
  /** Maximum wait for a reply or a request, in milliseconds; 2000 if not given. */
  readonly timeoutMs?: number;
  /** Maximum time of a check, in milliseconds; ten times `timeoutMs`, and at least 15000, if not given. */
  readonly checkMs?: number;
  /** Seed of random numbers; 1 if not given. */
  readonly seed?: number;
  /** Failed checks of level SHOULD count too. */
  readonly isStrict?: boolean;
  /** The draft of the specification that the device follows; v19 if not given. */
  readonly draft?: Draft;
  /** How the device is driven; detected if not given. */
  readonly deviceModel?: DeviceModel;
  /** Peculiarities of the device; none if not given. */
  readonly peculiarities?: Peculiarities;
  /** Restarts the device; called after each check that failed. */
  readonly restart?: () => Promise<void>;
  /** Called with each result. */
  readonly onResult?: (result: CheckResult) => void;
}

/** Default maximum wait for a reply or a request, in milliseconds. */
const TIMEOUT_MS = 2000;
/** Minimum of the wait for the first reply, in milliseconds: the device may still be closing an earlier connection. */
const FIRST_REPLY_MS_MIN = 2000;
/** Maximum time of a check, in multiples of a wait, and its minimum in milliseconds. */
const CHECK_WAITS = 10;
const CHECK_MS_MIN = 15_000;
/** Number of consecutive checks without a connection after which the others are not run. */
const UNREACHABLE_MAX = 3;

/** Settles as `promise` does, or rejects with {@linkcode DriverTimeoutError} after `milliseconds`. */
async function within(promise: Promise<void>, milliseconds: number): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new DriverTimeoutError(`the check did not end within ${milliseconds} ms`)),
    milliseconds,
  );
  try {
    await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
    // A check that exceeded its time fails later, when its connection is closed.
    promise.catch(() => {});
  }
}

function kindOf(error: unknown): FailureKind {
  if (error instanceof Mismatch) return "wrong";
  if (error instanceof UnreachableError) return "unreachable";
  if (error instanceof RefusedError) return "refused";
  if (error instanceof DeviceViolationError) return "violation";
  if (error instanceof DriverTimeoutError) return "hung";
  if (error instanceof DisconnectedError) return "closed";
  return "error";
}

const EXPECTED: Readonly<Record<FailureKind, string>> = {
  wrong: "",
  refused: "that the device accepts it",
  violation: "that the device keeps to the rules of rings and messages",
  hung: "an answer in time",
  closed: "an answer on an open connection",
  unreachable: "that the device accepts a connection and answers on it",
  error: "that the device can be driven",
};

function failureOf(error: unknown, sent: readonly string[]): Failure {
  const kind = kindOf(error);
  if (error instanceof Mismatch) return { kind, sent, came: error.came, expected: error.expected };
  const came = error instanceof Error ? `${error.message}` : String(error);
  return { kind, sent, came, expected: EXPECTED[kind] };
}

/** A number that depends on `text` alone. */
function hashOf(text: string): number {
  let sum = 0;
  for (const character of text) sum = Math.imul(sum, 31) + character.charCodeAt(0) | 0;
  return sum >>> 0;
}

/** A run in progress. */
class Run {
  readonly #connections: Connections;
  readonly #offer: Offer;
  readonly #seed: number;
  readonly #checkMs: number;
  readonly #restart: RunOptions["restart"];
  #unreachableCount = 0;

  constructor(connections: Connections, offer: Offer, { seed = 1, checkMs, restart }: RunOptions) {
    this.#restart = restart;
    this.#connections = connections;
    this.#offer = offer;
    this.#seed = seed;
    this.#checkMs = checkMs ?? Math.max(CHECK_MS_MIN, CHECK_WAITS * connections.target.timeoutMs);
  }

  async check(check: Check): Promise<CheckResult> {
    const reason = unmet(check, this.#offer);
    if (reason !== undefined) return { check, verdict: "not-applicable", reason, milliseconds: 0 };
    if (this.#unreachableCount >= UNREACHABLE_MAX) {
      return { check, verdict: "not-run", reason: "the device cannot be reached any more", milliseconds: 0 };
    }
    const start = performance.now();
    const result = await this.#try(check);
    const milliseconds = Math.round(performance.now() - start);
    if (result.verdict === "failed") await this.#restart?.();
    return { ...result, milliseconds };
  }

  async #try(check: Check): Promise<CheckResult> {
    const context = new CheckContext(this.#connections, this.#offer, check.form, this.#seed ^ hashOf(check.id));
    try {
      await within(check.clause.run(context), this.#checkMs);
      this.#unreachableCount = 0;
      return { check, verdict: "passed", milliseconds: 0 };
    } catch (error) {
      const failure = failureOf(error, context.sent);
      await this.#connections.abandon();
      if (failure.kind === "unreachable") this.#unreachableCount++;
      else this.#unreachableCount = 0;
      if (error instanceof NotApplicable) {
        return { check, verdict: "not-applicable", reason: error.message, milliseconds: 0 };
      }
      return { check, verdict: "failed", failure, milliseconds: 0 };
    }
  }
}

/** `checks` in the order in which they run: group by group, and in a group form by form, which saves connections. */
function inOrder(checks: readonly Check[]): Check[] {
  const groups = Map.groupBy(checks, ({ group }) => group);
  return [...groups.values()].flatMap((list) => FORMS.flatMap((form) => list.filter((check) => check.form === form)));
}

/**
 * Runs `checks` against the device at `socketPath`. Throws {@linkcode SystemError} or the driver's errors if it cannot
 * be reached at all.
 */
export async function runChecks(
  socketPath: string,
  checks: readonly Check[],
  options: RunOptions = {},
): Promise<Report> {
  const { timeoutMs = TIMEOUT_MS, seed = 1, isStrict = false, onResult } = options;
  const start = performance.now();
  const offer = await readOffer(socketPath, Math.max(timeoutMs, FIRST_REPLY_MS_MIN), options.deviceModel);
  const { peculiarities = {}, draft = "v19" } = options;
  const { deviceModel } = offer;
  const connections = new Connections({ socketPath, timeoutMs, deviceModel, draft, peculiarities });
  const run = new Run(connections, offer, options);
  const results = new Map<Check, CheckResult>();
  try {
    for (const check of inOrder(checks)) {
      const result = await run.check(check);
      results.set(check, result);
      onResult?.(result);
    }
  } finally {
    await connections.close();
  }
  const milliseconds = Math.round(performance.now() - start);
  return {
    socketPath,
    seed,
    timeoutMs,
    isStrict,
    offer,
    results: checks.map((check) => results.get(check)!),
    milliseconds,
  };
}

/** True if `result` makes the run fail. */
export function counts({ check, verdict }: CheckResult, isStrict: boolean): boolean {
  if (verdict === "not-run") return true;
  return verdict === "failed" && (isStrict || levelOf(check.clause) === "MUST");
}

/**
 * The exit status of a run: 0 if nothing counts as failed; 1 if the device answered each check that failed; 3 if it
 * hung or closed the connection in one; 4 if it could not be reached any more.
 */
export function exitStatusOf({ results, isStrict }: Report): 0 | 1 | 3 | 4 {
  const failed = results.filter((result) => counts(result, isStrict));
  if (failed.length === 0) return 0;
  const kinds = new Set(failed.map(({ failure }) => failure?.kind ?? "unreachable"));
  if (kinds.has("unreachable")) return 4;
  return kinds.has("hung") || kinds.has("closed") ? 3 : 1;
}
