/**
 * Parses and judges what a guest has written to its second serial port: the lines of `guest/init` and of the check
 * program, and the complaints in the kernel log.
 */

/** An algorithm of a virtio driver as `/proc/crypto` lists it. */
export interface Algorithm {
  readonly driver: string;
  readonly selfTest: string;
}

/** A guest's report. */
export interface GuestReport {
  readonly kernel: string;
  readonly algorithms: readonly Algorithm[];
  readonly phases: readonly string[];
  readonly checks: number;
  readonly failedChecks: number;
  /** Failures that the guest reported. */
  readonly failures: readonly string[];
  /** Kernel log lines that count as failures. */
  readonly complaints: readonly string[];
  /** Whether the guest reached the end of its script. */
  readonly ended: boolean;
}

const COMPLAINTS = [
  // The crypto test manager logs failures only, except for these lines.
  /\balg: (?!No test for|self-tests disabled|self-tests for .* passed)/,
  /WARNING: |BUG: |Oops|general protection fault|Call Trace|Kernel panic|soft lockup|blocked for more than|rcu.*stall/,
  /virtio_crypto.*(?:fail|error|invalid|timed? ?out)/i,
];

/** Whether a kernel log line counts as a failure. */
export function isComplaint(line: string): boolean {
  return COMPLAINTS.some((pattern) => pattern.test(line));
}

/** Parses the lines of a guest; truncated or unknown lines are skipped. */
export function parseGuestReport(text: string): GuestReport {
  const lines = text.split("\n").map((line) => line.trimEnd());
  const after = (word: string) =>
    lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  const [checks = 0, failedChecks = 0] = (/^CHECKS (\d+) FAILED (\d+)$/m.exec(lines.join("\n")) ?? [])
    .slice(1).map(Number);
  const algorithms = after("ALGORITHM").flatMap((line) => {
    const found = /^driver=(\S+) name=.* selftest=(\S+)$/.exec(line);
    return found === null ? [] : [{ driver: found[1]!, selfTest: found[2]! }];
  });
  return {
    kernel: after("KERNEL")[0] ?? "unknown",
    algorithms,
    phases: after("PHASE"),
    checks,
    failedChecks,
    failures: [...after("FAIL"), ...after("STUCK").map((line) => `stuck ${line}`)],
    // The log is sent before and after the checks, so that it is not lost if the device hangs.
    complaints: [...new Set(after("DMESG").filter(isComplaint))],
    ended: lines.includes("END"),
  };
}

/** One line of a verdict: the numbers of passed and failed checks, and a text. */
export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  readonly text: string;
}

/**
 * The verdicts that follow from the report alone. Scope "cipher" considers `driver` only, for a device whose other
 * algorithms are known to fail the kernel's self-test.
 */
export function judge(report: GuestReport, driver: string, scope: "all" | "cipher"): Verdict[] {
  const algorithms = report.algorithms.filter((algorithm) => scope === "all" || algorithm.driver === driver);
  const verdicts = algorithms.map(({ driver, selfTest }) =>
    one(selfTest === "passed", `kernel's self-test of ${driver}: ${selfTest}`)
  );
  if (!algorithms.some((algorithm) => algorithm.driver === driver)) {
    verdicts.push(one(false, `kernel's self-test of ${driver}: not registered`));
  }
  const passed = report.checks - report.failedChecks;
  // A guest without checks has not passed.
  const failed = report.failedChecks || (report.checks === 0 ? 1 : 0);
  verdicts.push({ passed, failed, text: `AF_ALG checks: ${passed}/${report.checks}` });
  if (scope === "all") {
    verdicts.push(one(report.complaints.length === 0, `kernel log: ${report.complaints.length} complaints`));
  }
  verdicts.push(one(report.ended, report.ended ? "guest: ended by itself" : "guest: did not reach its end"));
  return verdicts;
}

/** The verdict of one check. */
export function one(good: boolean, text: string): Verdict {
  return { passed: good ? 1 : 0, failed: good ? 0 : 1, text };
}
