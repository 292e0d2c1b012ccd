/**
 * Programs as child processes, for tests: their output, their exit, and that none of them outlives its test.
 *
 * @module
 */
import { SystemError } from "../../src/os/errno.ts";
import { hasListener } from "../../src/os/unix_socket.ts";

/** The repository. */
export const ROOT: string = new URL("../..", import.meta.url).pathname;

/** The device program. */
export const PROGRAM = `${ROOT}scripts/vhost-user-crypto`;

/** Emulated CPUs are slower: VUC_SLOWNESS=10 multiplies what tests wait at most. */
const SLOWNESS = Number(Deno.env.get("VUC_SLOWNESS") ?? 1);
const START_MS = 60_000 * SLOWNESS;
const END_MS = 20_000 * SLOWNESS;

/** True if a process listens on the socket at `path`; false if it does not, or if there is no socket yet. */
export function isListening(path: string): boolean {
  try {
    return hasListener(path);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return false;
  }
}

/** Exit code and output of a process. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, with `env` added to the environment. */
export async function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const command = new Deno.Command(program, { args: [...args], env: { ...env }, stdin: "null" });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** True if this host has `program`; otherwise prints that its tests are skipped, and the package to install. */
export function findProgram(program: string, debianPackage: string): boolean {
  const { success } = new Deno.Command("bash", { args: ["-c", `command -v ${program}`], stdout: "null" }).outputSync();
  if (!success) console.log(`SKIPPED: tests with ${program}, which is not installed (Debian package ${debianPackage})`);
  return success;
}

/** Waits until `condition` holds; throws an error with `what` after a timeout. */
export async function until(condition: () => boolean, what: () => string): Promise<void> {
  const deadline = performance.now() + START_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`timeout while waiting for: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** True if `path` exists. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A running process with its output so far. */
export class Running {
  /** Standard output so far. */
  stdout = "";
  stderr = "";
  readonly #child: Deno.ChildProcess;
  readonly #readers: Promise<void>[];
  #hasEnded = false;

  /** Starts `program`; `options` are user and environment. */
  constructor(
    program: string,
    args: readonly string[],
    options: Pick<Deno.CommandOptions, "uid" | "gid" | "env"> = {},
  ) {
    const piped = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
    this.#child = new Deno.Command(program, { args: [...args], ...options, ...piped }).spawn();
    this.#child.status.then(() => this.#hasEnded = true);
    this.#readers = [
      this.#read(this.#child.stdout, (text) => this.stdout += text),
      this.#read(this.#child.stderr, (text) => this.stderr += text),
    ];
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** True once it has ended for any reason. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  async #read(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
  }

  /** Sends `signal`, unless it has ended already. */
  kill(signal: Deno.Signal): void {
    if (!this.#hasEnded) this.#child.kill(signal);
  }

  /** Waits until it has written `text` to standard error. */
  async said(text: string): Promise<void> {
    await until(() => this.stderr.includes(text), () => `"${text}" in "${this.stderr}"`);
  }

  /** Waits for its end; a process that does not end within `timeoutMs` is killed, with exit code 137. */
  async ended(timeoutMs = END_MS): Promise<Ended> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    const { code } = await this.#child.status;
    clearTimeout(timer);
    await Promise.all(this.#readers);
    return { code, stdout: this.stdout, stderr: this.stderr };
  }
}

/** Runs `body` with a temporary directory, which is removed afterwards. */
export async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "vuc-cli-" });
  try {
    await body(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Runs `body` with a device process of `program` that listens at `path`, and ends it with SIGTERM. */
export async function withDeviceProcess(
  args: readonly string[],
  body: (path: string, device: Running) => Promise<void>,
  program: string = PROGRAM,
): Promise<void> {
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    const device = new Running(program, [`--socket-path=${path}`, ...args]);
    let ended: Ended;
    try {
      await device.said("serving");
      await body(path, device);
    } finally {
      device.kill("SIGTERM");
      ended = await device.ended();
    }
    if (ended.code !== 0) throw new Error(`the device ended with exit code ${ended.code}: ${ended.stderr}`);
  });
}
