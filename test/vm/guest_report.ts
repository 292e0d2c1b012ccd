/**
 * What a guest wrote on its second serial port, read and judged. Knows the words of `guest/init` and of the check
 * program, and which lines of a kernel log are complaints.
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
  /** What went wrong inside the guest, in its own words. */
  readonly failures: readonly string[];
  /** Kernel log lines that must not be there. */
  readonly complaints: readonly string[];
  /** Whether the guest came to the end of its script. */
  readonly ended: boolean;
}

const COMPLAINTS = [
  // The crypto test manager speaks of failures only, but for these.
  /\balg: (?!No test for|self-tests disabled|self-tests for .* passed)/,
  /WARNING: |BUG: |Oops|general protection fault|Call Trace|Kernel panic|soft lockup|blocked for more than|rcu.*stall/,
  /virtio_crypto.*(?:fail|error|invalid|timed? ?out)/i,
];

/** Whether a kernel log line must not be there. */
export function isComplaint(line: string): boolean {
  return COMPLAINTS.some((pattern) => pattern.test(line));
}

/** Reads the lines of a guest; lines that are cut or unknown are passed over. */
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
    // The log is sent before and after the checks, lest a device that hangs takes it away.
    complaints: [...new Set(after("DMESG").filter(isComplaint))],
    ended: lines.includes("END"),
  };
}

/** One line of a verdict: how many things it stands for passed and failed, and words for people. */
export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  readonly text: string;
}

/**
 * The verdicts that follow from the report alone. Scope "cipher" leaves everything but `driver` out of account, for a
 * peer whose other algorithms are known to fail the kernel's self-test.
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
  // A guest that checked nothing has not passed.
  const failed = report.failedChecks || (report.checks === 0 ? 1 : 0);
  verdicts.push({ passed, failed, text: `AF_ALG checks: ${passed}/${report.checks}` });
  if (scope === "all") {
    verdicts.push(one(report.complaints.length === 0, `kernel log: ${report.complaints.length} complaints`));
  }
  verdicts.push(one(report.ended, report.ended ? "guest: ended by itself" : "guest: did not come to its end"));
  return verdicts;
}

/** A verdict on one thing. */
export function one(good: boolean, text: string): Verdict {
  return { passed: good ? 1 : 0, failed: good ? 0 : 1, text };
}
