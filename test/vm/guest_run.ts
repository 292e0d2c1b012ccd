/**
 * Runs one guest from start to end: the device, QEMU, and the verdicts. Starts processes and always ends them; prints
 * nothing.
 */
import { judge, one, parseGuestReport, type Verdict } from "./guest_report.ts";
import { writeInitramfs } from "./initramfs.ts";
import type { Guest, Options } from "./options.ts";
import { BackgroundProcess, sleep } from "./process.ts";
import { guestArguments, type GuestFiles, type Qemu } from "./qemu.ts";

/** The Linux driver under test; AF_ALG finds it by this name only when its self-test has passed. */
export const DRIVER = "virtio_crypto_aes_cbc";
const DEVICE_START_MS = 20_000;
const DEVICE_STOP_MS = 10_000;
const DEVICE_SETTLE_MS = 300;
/** Maximum time for QEMU to end after SIGTERM. */
export const QEMU_STOP_MS = 3_000;
/** Maximum time for a guest to end after its device has ended: without a failure both end at the same time. */
const WITHOUT_DEVICE_MS = 3_000;
const VERDICT_TIMEOUT_S = 30;

/** The common parameters of all guests of a run. */
export interface GuestParts {
  readonly qemu: Qemu;
  readonly kernelDirectory: string;
  /** The program that runs in the guest. */
  readonly program: string;
  /** An empty directory for this guest's files. */
  readonly scratch: string;
}

/** The result of a guest's run. */
export interface GuestRun {
  readonly kernel: string;
  readonly verdicts: readonly Verdict[];
  /** Log excerpts for a failed run. */
  readonly details: readonly string[];
  readonly phases: readonly string[];
  readonly timeMs: number;
}

/** The paths of a guest's files; its report goes to `results`. */
export function guestFiles({ scratch, kernelDirectory }: GuestParts, results: string): GuestFiles {
  return {
    vmlinux: `${kernelDirectory}/vmlinux`,
    initramfs: `${scratch}/initramfs.cpio`,
    console: `${scratch}/console.log`,
    results: `${scratch}/${results}`,
    socket: `${scratch}/device.sock`,
  };
}

/** Runs a guest through its device model. */
export async function runGuest(guest: Guest, options: Options, parts: GuestParts): Promise<GuestRun> {
  const start = performance.now();
  const file = (name: string) => `${parts.scratch}/${name}`;
  const files = guestFiles(parts, "results.txt");
  await writeInitramfs(files.initramfs, parts.kernelDirectory, {
    init: "init",
    programs: { "af_alg_check": parts.program },
    modules: [],
    settings: {
      DRIVER,
      VERDICT_S: String(VERDICT_TIMEOUT_S),
      CHECK_ARGUMENTS: checkArguments(guest, options).join(" "),
    },
  });
  const verdicts: Verdict[] = [];
  let device: BackgroundProcess | undefined;
  let qemu: BackgroundProcess | undefined;
  try {
    if (guest.deviceModel !== "builtin") {
      device = await startDevice(options.device, files.socket, file("device.log"), verdicts);
    }
    if (verdicts.length === 0) {
      const command = [...parts.qemu.command, ...guestArguments(guest, options, files)];
      qemu = await BackgroundProcess.start(command, file("qemu.log"), parts.qemu.env);
      verdicts.push(...await awaitGuest(qemu, device, options.timeoutMs));
    }
  } finally {
    await qemu?.stop(QEMU_STOP_MS);
    verdicts.push(...await finishDevice(device, verdicts));
  }
  const report = parseGuestReport(await readIfThere(files.results));
  if (qemu !== undefined) {
    verdicts.unshift(...judge(report, DRIVER, guest.deviceModel === "builtin" ? "cipher" : "all"));
  }
  const details = [...report.failures, ...report.complaints];
  for (const [name, lines] of [["device.log", 40], ["qemu.log", 12], ["console.log", 12]] as const) {
    details.push(...await tail(file(name), name, lines));
  }
  return { kernel: report.kernel, verdicts, details, phases: report.phases, timeMs: performance.now() - start };
}

/**
 * The options of the check program. Linux sends a request of n source and m destination pieces as
 * n(n+1)/2 + m(m+1)/2 + 3 descriptors, with empty ones among them if an answer is read in parts. QEMU's own device breaks
 * at more than 1024 descriptors and at an empty one, so both are disabled for it.
 */
function checkArguments(guest: Guest, options: Options): string[] {
  const shape = guest.deviceModel === "builtin"
    ? ["--max=49152", "--pieces=12", "--parts=0"]
    : ["--max=131072", "--pieces=40", "--parts=1"];
  return [...shape, `--threads=${options.threads}`, `--seed=${options.seed}`, `--corrupt=${options.corrupt}`];
}

/** Ends the device. If nothing has failed so far, the way it ends is a verdict. */
export async function finishDevice(
  device: BackgroundProcess | undefined,
  verdicts: readonly Verdict[],
): Promise<Verdict[]> {
  if (device === undefined) return [];
  if (verdicts.every(({ failed }) => failed === 0)) return [await stopDevice(device)];
  await device.stop(DEVICE_STOP_MS);
  return [];
}

/** Starts the device and waits for its socket; adds a verdict only if that fails. */
export async function startDevice(
  command: readonly string[],
  socket: string,
  log: string,
  verdicts: Verdict[],
): Promise<BackgroundProcess | undefined> {
  let device: BackgroundProcess;
  try {
    device = await BackgroundProcess.start(command.map((word) => word.replaceAll("{socket}", socket)), log);
  } catch (error) {
    verdicts.push(
      one(false, `device: ${command[0]} cannot be started: ${error instanceof Error ? error.message : error}`),
    );
    return undefined;
  }
  const deadline = performance.now() + DEVICE_START_MS;
  while (performance.now() < deadline && device.code === undefined) {
    if (await Deno.lstat(socket).then(({ isSocket }) => isSocket, () => false)) return device;
    await sleep(20);
  }
  const why = device.code === undefined ? `no socket after ${DEVICE_START_MS / 1000} s` : `exit code ${device.code}`;
  verdicts.push(one(false, `device: did not start: ${why}`));
  return device;
}

/** Waits until QEMU ends, the time limit is reached, or the device and then the guest have ended. */
async function awaitGuest(
  qemu: BackgroundProcess,
  device: BackgroundProcess | undefined,
  timeoutMs: number,
): Promise<Verdict[]> {
  const waits = [qemu.waitMs(timeoutMs)];
  if (device !== undefined) waits.push(device.ended.then(() => qemu.waitMs(WITHOUT_DEVICE_MS)));
  if (await Promise.race(waits)) return [one(qemu.code === 0, `QEMU: exit code ${qemu.code}`)];
  if (device?.code === undefined) return [one(false, `QEMU: stopped after ${timeoutMs / 1000} s`)];
  return [one(false, `device: ended with code ${device.code} while the guest was running`)];
}

/** After SIGTERM a device must end with code 0. */
async function stopDevice(device: BackgroundProcess): Promise<Verdict> {
  // A device that serves one connection may be ending already.
  await device.waitMs(DEVICE_SETTLE_MS);
  const stopped = await device.stop(DEVICE_STOP_MS);
  const text = stopped
    ? `exit code ${device.code} after SIGTERM`
    : `killed: it did not end within ${DEVICE_STOP_MS / 1000} s after SIGTERM`;
  return one(stopped && device.code === 0, `device: ${text}`);
}

async function readIfThere(path: string): Promise<string> {
  return await Deno.readTextFile(path).catch(() => "");
}

/** The last lines of a file, each with the file's name before it; empty if there is no file. */
export async function tail(path: string, name: string, count: number): Promise<string[]> {
  const lines = (await readIfThere(path)).split("\n").map((line) => line.trimEnd()).filter((line) => line !== "");
  return lines.slice(-count).map((line) => `${name}: ${line}`);
}
