/**
 * `conform` as a program and as a library: a device that answers wrongly, hangs, closes the connection or ends is a
 * result, each with its exit status; reports in every form are what parsers of that form accept.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { checksOf, type Clause, type Group } from "../../src/tools/conform/check.ts";
import { expectEqual, NotApplicable } from "../../src/tools/conform/expect.ts";
import { conformHtml } from "../../src/tools/conform/reports/html.ts";
import { conformJson } from "../../src/tools/conform/reports/json.ts";
import { conformJunit } from "../../src/tools/conform/reports/junit.ts";
import { conformTap } from "../../src/tools/conform/reports/tap.ts";
import { conformText } from "../../src/tools/conform/reports/text.ts";
import { exitStatusOf, type Report, runChecks, type RunOptions } from "../../src/tools/conform/run.ts";
import { cipherSample } from "../../src/tools/conform/samples.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { listenUnix } from "../../src/os/unix_socket.ts";
import * as vu from "../../src/wire/vhost_user.ts";
import { withDevice } from "../device/harness.ts";
import { PROGRAM, run, withDeviceProcess, withDirectory } from "./programs.ts";

/** Text that every form of report has to escape. */
const AWKWARD = "<b>&\"'# \u0007]]> TO" + "DO";

function clause(id: string, body: Clause["run"], more: Partial<Clause> = {}): Clause {
  return { id, duty: `the duty ${id} ${AWKWARD}`, reference: { v19: 1 }, run: body, ...more };
}

function passes(id: string): Clause {
  return clause(id, async (context) => {
    expectEqual((await context.ask(cipherSample())).dst, cipherSample().dst);
  });
}

const WRONG = clause("wrong", async (context) => {
  await context.ask(cipherSample());
  expectEqual(AWKWARD, "another text", "the answer");
});

/** Runs `clauses` against a device in this thread. */
async function reportOf(clauses: readonly Clause[], options: RunOptions = {}): Promise<Report> {
  const group: Group = { name: "trial", title: `Trial ${AWKWARD}`, clauses };
  let report: Report | undefined;
  await withDevice({}, async ({ path }) => {
    report = await runChecks(path, checksOf(group), options);
  });
  return report!;
}

/** A report with every verdict. */
function everyVerdict(options: RunOptions = {}): Promise<Report> {
  return reportOf([
    passes("good"),
    WRONG,
    clause("advice", () => Promise.reject(new Error(AWKWARD)), { level: "SHOULD" }),
    clause("unmet", () => Promise.resolve(), { needs: { features: [40] } }),
    clause("undecided", () => Promise.reject(new NotApplicable(AWKWARD))),
    passes("good-again"),
  ], options);
}

Deno.test("conform: a device that hangs or closes the connection fails the check, and the next one is made", async () => {
  const report = await reportOf([
    clause("never-ends", () => new Promise(() => {})),
    passes("after-never"),
    clause("hangs", async (context) => {
      // A message that is not complete is not answered.
      const frontend = await context.frontend();
      frontend.sendRaw(new Uint8Array(4));
      await frontend.receiveRaw("an answer to a third of a header");
    }),
    passes("after-hanging"),
    clause("closes", async (context) => {
      const frontend = await context.frontend();
      frontend.sendRaw(Uint8Array.of(...new Uint8Array(8).fill(0xff), 0xff, 0xff, 0xff, 0x7f));
      await frontend.receiveRaw("an answer to nonsense");
    }),
    passes("after-closing"),
  ], { timeoutMs: 300, checkMs: 1500 });
  assertEquals(report.results.map(({ verdict, failure }) => failure?.kind ?? verdict), [
    ...["hung", "passed", "hung", "passed", "closed", "passed"],
  ]);
  assertMatch(report.results[2]!.failure!.sent.join(), /→ 4 bytes 00000000 of a message/);
  assertEquals(exitStatusOf(report), 3);
});

Deno.test("conform: a device that ends fails three checks, and the others are not run", async () => {
  let end = () => Promise.resolve();
  const group: Group = {
    name: "trial",
    title: "trial",
    clauses: [
      passes("before"),
      clause("ends", async (context) => {
        await context.close();
        await end();
        await context.frontend();
      }),
      ...["second", "third", "fourth", "fifth"].map(passes),
    ],
  };
  let report: Report | undefined;
  await withDeviceProcess([], async (path, device) => {
    end = async () => {
      device.kill("SIGTERM");
      await device.ended();
    };
    report = await runChecks(path, checksOf(group), { timeoutMs: 1000 });
  });
  assertEquals(report!.results.map(({ verdict, failure }) => failure?.kind ?? verdict), [
    ...["passed", "unreachable", "unreachable", "unreachable", "not-run", "not-run"],
  ]);
  assertEquals(exitStatusOf(report!), 4);
});

Deno.test("conform: the exit status counts MUST, and SHOULD with strict", async () => {
  const advice = clause("advice", () => Promise.reject(new Error("no")), { level: "SHOULD" });
  assertEquals(exitStatusOf(await reportOf([passes("good"), advice])), 0);
  assertEquals(exitStatusOf(await reportOf([passes("good"), advice], { isStrict: true })), 1);
  assertEquals(exitStatusOf(await reportOf([WRONG])), 1);
});

Deno.test("conform: the report as JSON has every result, and what was sent, came and was expected", async () => {
  const report = JSON.parse(conformJson(await everyVerdict()));
  assertEquals(report.counts, { passed: 2, failedMust: 1, failedShould: 1, notApplicable: 2, notRun: 0 });
  assertEquals(report.exitStatus, 1);
  const [, wrong, , unmet] = report.results;
  assertEquals([wrong.id, wrong.verdict, wrong.level, wrong.failure.kind], ["trial.wrong", "failed", "MUST", "wrong"]);
  assertEquals(wrong.failure.expected, "another text");
  assertStringIncludes(wrong.failure.came, AWKWARD);
  assertMatch(wrong.failure.sent[0], /^CIPHER, form fixed: session .*key 16 bytes/);
  assertEquals(unmet.reason, "VIRTIO_RING_RESET is not offered");
});

/** Parses XML as far as the reports use it; returns the names of elements with their attributes, in order. */
function parseXml(text: string): [name: string, attributes: Record<string, string>][] {
  const found: [string, Record<string, string>][] = [];
  const open: string[] = [];
  const body = text.replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/, "");
  // deno-lint-ignore no-control-regex
  assert(body.length < text.length && !/[\x00-\x08\x0b\x0c\x0e-\x1f]/.test(text), "declaration and characters");
  for (const [, between, tag] of body.matchAll(/([^<]*)(?:<([^<>]*)>|$)/g)) {
    assert(!/&(?!(?:amp|lt|gt|quot);)|>/.test(between!), `text ${between}`);
    if (tag === undefined) continue;
    if (tag.startsWith("/")) {
      assertEquals(open.pop(), tag.slice(1));
      continue;
    }
    const [, name, rest, isEmpty] = /^([a-z]+)((?: [a-z]+="[^"]*")*)(\/?)$/s.exec(tag) ?? [];
    assert(name !== undefined, `tag <${tag}>`);
    if (isEmpty === "") open.push(name);
    found.push([name, Object.fromEntries([...rest!.matchAll(/([a-z]+)="([^"]*)"/gs)].map(([, a, b]) => [a!, b!]))]);
  }
  assertEquals(open, []);
  return found;
}

Deno.test("conform: the report as JUnit's XML is well-formed, and its numbers are those of its cases", async () => {
  for (const isStrict of [false, true]) {
    const elements = parseXml(conformJunit(await everyVerdict({ isStrict })));
    const count = (name: string) => elements.filter(([element]) => element === name).length;
    const [, suite] = elements.find(([name]) => name === "testsuite")!;
    assertEquals([suite["tests"], suite["failures"], suite["skipped"]].map(Number), [
      ...[count("testcase"), count("failure"), count("skipped")],
    ]);
    assertEquals([count("testcase"), count("failure")], [6, isStrict ? 2 : 1]);
    assert(elements.some(([name, { type }]) => name === "failure" && type === "wrong"));
  }
});

Deno.test("conform: the report in TAP has its plan, a line for each check, and details that are YAML", async () => {
  const [version, plan, ...lines] = conformTap(await everyVerdict()).split("\n");
  assertEquals([version, plan], ["TAP version 13", "1..6"]);
  const points = lines.filter((line) => /^(not )?ok /.test(line));
  assertEquals(points.map((line) => /^(not ok|ok) (\d+) - \S+( # [A-Z]+)?/.exec(line)!.slice(1).join(" ").trim()), [
    ...["ok 1", "not ok 2", "not ok 3  # TO" + "DO", "ok 4  # SKIP", "ok 5  # SKIP", "ok 6"],
  ]);
  for (const line of lines.filter((line) => !points.includes(line))) {
    assertMatch(line, /^ {2}(---|\.\.\.|[a-z]+: ".*")$/);
    if (line.includes(":")) JSON.parse(line.slice(line.indexOf(":") + 1));
  }
});

Deno.test("conform: the report as HTML is one page, failures first, with nothing from elsewhere", async () => {
  const page = conformHtml(await everyVerdict());
  assert(!/<script|\bsrc=|@import|url\(|<link|https?:/.test(page), "something from elsewhere");
  assert(!page.includes("<b>"), "text that is not escaped");
  assert(page.indexOf('<section class="failure"') < page.indexOf("<details>"), "failures after all checks");
  const tags = [...page.matchAll(/<(\/?)([a-z0-9]+)[^>]*>/g)].filter(([, , name]) => !["meta", "br"].includes(name!));
  const open: string[] = [];
  for (const [, slash, name] of tags) {
    if (slash === "") open.push(name!);
    else assertEquals(open.pop(), name);
  }
  assertEquals(open, []);
});

Deno.test("conform: the report as text names duty, reference and the reason why a check does not apply", async () => {
  const text = conformText(await everyVerdict());
  for (const part of ["trial.wrong [MUST, wrong]", "v19 line 1", "expected  another text", "1  VIRTIO_RING_RESET is"]) {
    assertStringIncludes(text, part);
  }
});

Deno.test("conform: the program checks this device, in every form of report", () =>
  withDeviceProcess([], (socketPath) =>
    withDirectory(async (directory) => {
      const html = `${directory}/report.html`;
      for (const format of [[], ["--json"], ["--junit"], ["--tap"]]) {
        const args = ["conform", `--socket-path=${socketPath}`, "--only=hash", "--skip=hash.ok", ...format];
        const { code, stdout, stderr } = await run(PROGRAM, [...args, `--html=${html}`]);
        assertEquals([code, stderr], [0, ""]);
        assertStringIncludes(stdout, format.length === 0 ? "passed, 0 failed" : "hash.invsess.mux");
        assert(!stdout.includes("hash.ok"));
      }
      assertStringIncludes(await Deno.readTextFile(html), "hash.invsess.mux");
    })));

Deno.test("conform: a wrong command line is exit status 2, with a sentence", async () => {
  const cases: [string[], RegExp][] = [
    [[], /no device given/],
    [["--socket-path=x", "--only=hsah"], /no check or group "hsah": did you mean hash\?/],
    [["--socket-path=x", "--skip=hash.nothing"], /no check or group "hash.nothing"/],
    [["--socket-path=x", "--only=hash", "--skip=hash"], /leave no check/],
    [["--socket-path=x", "--json", "--tap"], /exclude each other/],
    [["--socket-path=x", "--timeout=0"], /--timeout takes a whole number from 1/],
    [["--socket-path=x", "--device-model=qemu"], /--device-model takes one of auto, generic, cryptodev/],
    [["--socket-path=x", "--stricter"], /conform has no option "--stricter": did you mean --strict\?/],
  ];
  for (const [args, complaint] of cases) {
    const { code, stderr } = await run(PROGRAM, ["conform", ...args]);
    assertEquals(code, 2, args.join(" "));
    assertMatch(stderr, complaint);
  }
});

Deno.test("conform: a device that cannot be reached or says nothing is exit status 1, with a sentence", () =>
  withDirectory(async (directory) => {
    const none = await run(PROGRAM, ["conform", `--socket-path=${directory}/none`]);
    assertEquals(none.code, 1);
    assertMatch(none.stderr, /there is no socket/);
    const path = `${directory}/silent`;
    const fd = listenUnix(path);
    const silent = await run(PROGRAM, ["conform", `--socket-path=${path}`, "--timeout=200"]);
    closeFd(fd);
    assertEquals(silent.code, 1);
    assertMatch(silent.stderr, /did not answer in time/);
  }));

Deno.test("conform: --list names every check with its level and reference, without a device", async () => {
  const { code, stdout } = await run(PROGRAM, ["conform", "--list", "--only=aead"]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "aead.tag-position.stateless\n  MUST: the tag directly follows");
  assertStringIncludes(stdout, "(v19 line 1718; ratified text, “AEAD Service Operation”)");
});

Deno.test("conform: session messages replace what a device without a control queue lacks", async () => {
  const wants: Clause = clause("whole", () => Promise.resolve(), { needs: { wholeDevice: true } });
  const message = clause("config", () => Promise.resolve(), { needs: { protocolFeatures: [vu.PROTOCOL_F_CONFIG] } });
  const { results } = await reportOf([passes("cipher"), wants, message], { deviceModel: "cryptodev" });
  assertEquals(results.map(({ verdict }) => verdict), ["passed", "not-applicable", "passed"]);
});
