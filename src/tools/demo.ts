/**
 * The demonstration: starts a device as a separate process, drives it over a socket as a guest does, prints results and
 * rates, and removes the files that it created. `scripts/demo` runs it with the path of the device program.
 *
 * @module
 */
import { Load } from "./benchmark/load.ts";
import { symmetricSubject } from "./benchmark/subjects.ts";
import { CryptoDriver } from "../driver/crypto_driver.ts";
import { type Draft, DRAFTS } from "../wire/drafts/draft.ts";
import { nameOf, STATUS_NAMES } from "../driver/names.ts";
import { KNOWN_ANSWERS } from "./known_answers.ts";
import { advertisedAnswers, algorithmName, probe, type ProbeReport } from "./probe.ts";
import { complaintsOf, RESULT_HEADING, resultRow } from "./probe_report.ts";

const DEPTH = 32;
const SIZE_BYTES = 1024;
const RUN_MS = 100;
const START_MS = 60_000;
const SIGNALS: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** The device's process, from its start to its end. */
class DeviceProcess {
  readonly socketPath: string;
  readonly #directory = Deno.makeTempDirSync({ prefix: "vhost-user-crypto-demo-" });
  readonly #child: Deno.ChildProcess;
  #exitCode: number | undefined;
  #isStopped = false;

  constructor(program: string, draft: Draft) {
    this.socketPath = `${this.#directory}/device.sock`;
    this.#child = new Deno.Command(program, {
      args: [
        `--socket-path=${this.socketPath}`,
        "--log-level=warn",
        ...(draft === "v19" ? [] : [`--draft=${draft}`]),
      ],
      stdin: "null",
    }).spawn();
    this.#child.status.then(({ code }) => this.#exitCode = code);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits until it listens. */
  async ready(): Promise<void> {
    const deadline = performance.now() + START_MS;
    while (!await exists(this.socketPath)) {
      if (this.#exitCode !== undefined) throw new Error(`the device ended at start with exit code ${this.#exitCode}`);
      if (performance.now() > deadline) throw new Error(`the device did not listen within ${START_MS / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Kills the process and removes its files; also called by a signal handler. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    if (this.#exitCode === undefined) this.#child.kill("SIGTERM");
    Deno.removeSync(this.#directory, { recursive: true });
  }

  /** Ends the process with SIGTERM; true if it exited with 0. */
  async end(): Promise<boolean> {
    if (this.#exitCode === undefined) this.#child.kill("SIGTERM");
    const { code } = await this.#child.status;
    this.stop();
    return code === 0;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}

/** Requests per second by algorithm name, in fixed form. */
async function measureAll(socketPath: string, draft: Draft, report: ProbeReport): Promise<Map<string, number>> {
  const rates = new Map<string, number>();
  const driver = await CryptoDriver.connect(socketPath, { polls: true, draft });
  try {
    for (const answer of advertisedAnswers(report.offer.config)) {
      const options = { mode: "fixed", sizeBytes: SIZE_BYTES, depth: DEPTH, polls: true } as const;
      const load = await Load.create(driver, symmetricSubject(answer), options);
      load.run(RUN_MS);
      const { badStatus, wrong } = load.inspect();
      if (badStatus !== undefined) {
        throw new Error(`a request of the run got status ${nameOf(STATUS_NAMES, badStatus)}`);
      }
      if (wrong > 0) throw new Error(`${wrong} requests of the run got a wrong result`);
      const { answered, elapsedMs } = load.counts;
      rates.set(algorithmName(answer), answered / elapsedMs * 1000);
      await load.close();
    }
  } finally {
    await driver.close();
  }
  return rates;
}

function printTable(report: ProbeReport, rates: ReadonlyMap<string, number>): void {
  console.log(`${RESULT_HEADING}${"requests/s".padStart(10)}`);
  for (const result of report.results) {
    const rate = rates.get(result.name);
    console.log(`${resultRow(result)}${(rate === undefined ? "-" : rate.toFixed(0)).padStart(10)}`);
    for (const complaint of complaintsOf(result)) console.log(complaint);
  }
}

/** Prints the algorithms that this host's device does not offer. */
function printMissing({ offer: { config } }: ProbeReport): void {
  const offered = new Set(advertisedAnswers(config));
  const missing = KNOWN_ANSWERS.filter((answer) => !offered.has(answer)).map(algorithmName);
  if (missing.length === 0) return;
  console.log(`\nnot on offer on this host: ${[...new Set(missing)].join(", ")}`);
  console.log("vhost-user-crypto --list-algorithms says why, and which package to install");
}

/** Demonstrates the device `program` with `draft` of the specification; returns the exit code. */
async function demonstrate(program: string, draft: Draft): Promise<number> {
  const device = new DeviceProcess(program, draft);
  for (const signal of SIGNALS) {
    Deno.addSignalListener(signal, () => {
      device.stop();
      Deno.exit(130);
    });
  }
  try {
    await device.ready();
    console.log(`device: process ${device.pid}; driver: process ${Deno.pid}; between them ${device.socketPath}`);
    console.log(
      "Each algorithm is checked with a published known answer in each form of request, in both directions if",
    );
    console.log(
      `there are two; then ${DEPTH} requests of ${SIZE_BYTES} bytes in fixed form are kept in flight for ${RUN_MS} ms.\n`,
    );
    const report = await probe(device.socketPath, { draft });
    const rates = await measureAll(device.socketPath, draft, report);
    printTable(report, rates);
    printMissing(report);
    const endedWell = await device.end();
    const { passed, failed, unavailable } = report;
    console.log(`\n${passed} passed, ${failed} failed, ${unavailable} not available`);
    if (!endedWell) console.error("demo: error: the device did not end with exit code 0");
    return failed === 0 && unavailable === 0 && passed > 0 && endedWell ? 0 : 1;
  } finally {
    device.stop();
  }
}

if (import.meta.main) {
  const [program, text = "v19"] = Deno.args;
  const draft = DRAFTS.find((known) => known === text);
  if (program === undefined) {
    console.error("demo: error: the path of the device program is missing: use scripts/demo");
    Deno.exit(2);
  }
  if (draft === undefined) {
    console.error(`demo: error: --draft takes ${DRAFTS.join(", ")}, not "${text}"`);
    Deno.exit(2);
  }
  try {
    Deno.exit(await demonstrate(program, draft));
  } catch (error) {
    console.error(`demo: error: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
