/**
 * `scripts/vm --handovers=N`: a guest under load, whose device is handed over N times from one process to the next. Judges
 * the guest's report of its requests, and reports the duration of the handovers.
 *
 * @module
 */
import { isComplaint, judge, one, parseGuestReport, type Verdict } from "./guest_report.ts";
import {
  DRIVER,
  finishDevice,
  guestFiles,
  type GuestParts,
  type GuestRun,
  QEMU_STOP_MS,
  startDevice,
  tail,
} from "./guest_run.ts";
import { writeInitramfs } from "./initramfs.ts";
import type { Guest, Options } from "./options.ts";
import { BackgroundProcess, sleep } from "./process.ts";
import { guestArguments } from "./qemu.ts";
import { converse, type Listener } from "./showcase.ts";

/** Maximum time for a process to start: seconds, if emulation and benchmarks use the CPUs. */
const TAKE_MS_MAX = 120_000;
/** Minimum time between two handovers; a random time of up to the same length is added. */
const REST_MS = 100;
const KEY_MODULES = ["pkcs8_key_parser"];

/** An RSA key in the form that the guest's kernel reads: PKCS#8. */
async function rsaKey(): Promise<Uint8Array> {
  const algorithm = { name: "RSA-OAEP", modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1), hash: "SHA-256" };
  const { privateKey } = await crypto.subtle.generateKey(algorithm, true, ["encrypt", "decrypt"]);
  return new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
}

/** The consecutive processes of the device. */
class Succession {
  readonly #command: readonly string[];
  readonly #handoverSocket: string;
  readonly #log: (number: number) => string;
  current: BackgroundProcess | undefined;
  #number = 0;
  /** Duration of each handover, as logged by the old process. */
  readonly timesMs: number[] = [];
  /** How long the rings were halted in each, as the process said that took over. */
  readonly haltsMs: number[] = [];
  failure: string | undefined;

  constructor(command: readonly string[], handoverSocket: string, log: (number: number) => string) {
    this.#command = [...command, `--handover-socket=${handoverSocket}`];
    this.#handoverSocket = handoverSocket;
    this.#log = log;
  }

  get logPath(): string {
    return this.#log(this.#number);
  }

  async start(socket: string, verdicts: Verdict[]): Promise<void> {
    this.current = await startDevice(this.#command, socket, this.logPath, verdicts);
  }

  /** Starts a process that takes over, and waits until the current one has ended; false if that failed. */
  async handOver(socket: string): Promise<boolean> {
    const old = this.current!;
    const oldLog = this.logPath;
    this.#number++;
    const command = [...this.#command, `--take-over=${this.#handoverSocket}`];
    const words = command.map((word) => word.replaceAll("{socket}", socket));
    const next = await BackgroundProcess.start(words, this.logPath);
    await Promise.race([old.waitMs(TAKE_MS_MAX), next.ended]);
    if (old.code !== 0 || next.code !== undefined) {
      const said = [...await tail(oldLog, "old", 3), ...await tail(this.logPath, "new", 3)].join("; ");
      this.failure =
        `handover ${this.#number}: the old process ended with ${old.code}, the new one with ${next.code}: ${said}`;
      if (next.code === undefined) this.current = next;
      return false;
    }
    this.current = next;
    const [, took] = /handed over in (\d+) ms/.exec(await Deno.readTextFile(oldLog)) ?? [];
    if (took !== undefined) this.timesMs.push(Number(took));
    const [, halted] = /stood still for ([\d.]+) ms/.exec(await Deno.readTextFile(this.logPath)) ?? [];
    if (halted !== undefined) this.haltsMs.push(Number(halted));
    await Deno.remove(oldLog);
    return true;
  }
}

/** Reads the guest's lines, and hands its device over when it is under load. */
class Audience implements Listener {
  text = "";
  done = 0;
  readonly #succession: Succession;
  readonly #socket: string;
  readonly #count: number;

  constructor(succession: Succession, socket: string, count: number) {
    this.#succession = succession;
    this.#socket = socket;
    this.#count = count;
  }

  async hear(line: string): Promise<boolean> {
    this.text += `${line}\n`;
    if (line !== "LOADED") return line === "END";
    while (this.done < this.#count && await this.#succession.handOver(this.#socket)) {
      this.done++;
      await sleep(REST_MS + REST_MS * Math.random());
    }
    return true;
  }
}

function summaryOf(what: string, timesMs: readonly number[]): string {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return `${what}: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, longest ${sorted.at(-1)} ms`;
}

/** Runs a guest under load through its device model. */
export async function runHandovers(guest: Guest, options: Options, parts: GuestParts): Promise<GuestRun> {
  const start = performance.now();
  const file = (name: string) => `${parts.scratch}/${name}`;
  const files = guestFiles(parts, "dialogue.sock");
  await writeInitramfs(files.initramfs, parts.kernelDirectory, {
    init: "handovers",
    programs: { load: parts.program },
    modules: KEY_MODULES,
    files: { "key.der": await rsaKey() },
    settings: { DRIVER, VERDICT_S: "30", LOAD_ARGUMENTS: `--threads=${options.threads} --seed=${options.seed}` },
  });
  const verdicts: Verdict[] = [];
  const succession = new Succession(options.device, file("handover.sock"), (number) => file(`device-${number}.log`));
  const audience = new Audience(succession, files.socket, options.handovers);
  let qemu: BackgroundProcess | undefined;
  try {
    await succession.start(files.socket, verdicts);
    if (verdicts.length === 0) {
      const words = guestArguments(guest, options, files, "dialogue");
      qemu = await BackgroundProcess.start([...parts.qemu.command, ...words], file("qemu.log"), parts.qemu.env);
      const talked = converse(files.results, audience, qemu);
      const inTime = await qemu.waitMs(options.timeoutMs);
      verdicts.push(one(inTime && qemu.code === 0, inTime ? `QEMU: exit code ${qemu.code}` : "QEMU: stopped"));
      if (inTime) await talked;
    }
  } finally {
    await qemu?.stop(QEMU_STOP_MS);
    verdicts.push(...await finishDevice(succession.current, verdicts));
  }
  const report = parseGuestReport(audience.text);
  verdicts.push(...judge(report, DRIVER, "all"));
  const { done } = audience;
  verdicts.push(one(done === options.handovers, succession.failure ?? `${done} of ${options.handovers} handovers`));
  const load = /^LOAD (.*)$/m.exec(audience.text)?.[1] ?? "no load";
  const phases = [`load: ${load}, ${report.failedChecks} failed`];
  if (succession.timesMs.length > 0) phases.push(summaryOf("handovers", succession.timesMs));
  if (succession.haltsMs.length > 0) phases.push(summaryOf("rings halted", succession.haltsMs));
  const details = [...report.failures, ...report.complaints.filter(isComplaint)];
  for (
    const path of [[succession.logPath, "device.log"], [file("qemu.log"), "qemu.log"], [files.console, "console.log"]]
  ) {
    details.push(...await tail(path[0]!, path[1]!, 20));
  }
  return { kernel: report.kernel, verdicts, details, phases, timeMs: performance.now() - start };
}
