/**
 * Programs as processes of their own, for tests: what they print, how they end, and that none of them outlives its
 * test.
 *
 * @module
 */

/** The repository. */
export const ROOT: string = new URL("../..", import.meta.url).pathname;

/** The device program. */
export const PROGRAM = `${ROOT}scripts/vhost-user-crypto`;

const START_MS = 20_000;
const END_MS = 20_000;

/** How a process ended. */
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

/** True if this host has `program`; otherwise says that tests which want it are skipped, and who brings it. */
export function findProgram(program: string, debianPackage: string): boolean {
  const { success } = new Deno.Command("bash", { args: ["-c", `command -v ${program}`], stdout: "null" }).outputSync();
  if (!success) console.log(`SKIPPED: what wants ${program}, which is not here (Debian package ${debianPackage})`);
  return success;
}

/** Waits until `condition` holds; throws what `what` says if it does not in time. */
export async function until(condition: () => boolean, what: () => string): Promise<void> {
  const deadline = performance.now() + START_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`in vain waited for: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** True if there is anything at `path`. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A process that runs until it is told to stop, with what it has said so far. */
export class Running {
  /** What it has written to standard output and standard error. */
  stdout = "";
  stderr = "";
  readonly #child: Deno.ChildProcess;
  readonly #readers: Promise<void>[];
  #hasEnded = false;

  /** Starts `program`; `options` say as whom, and with what in its environment. */
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

  /** True once it has ended, however that came about. */
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

  /** Waits until it has said `text` on standard error. */
  async said(text: string): Promise<void> {
    await until(() => this.stderr.includes(text), () => `"${text}" in "${this.stderr}"`);
  }

  /** Waits for its end, however that comes about; a process that does not end is killed, with exit code 137. */
  async ended(): Promise<Ended> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), END_MS);
    const { code } = await this.#child.status;
    clearTimeout(timer);
    await Promise.all(this.#readers);
    return { code, stdout: this.stdout, stderr: this.stderr };
  }
}

/** Runs `body` with a directory of its own, which is removed afterwards. */
export async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "vuc-cli-" });
  try {
    await body(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Runs `body` with a device as a process of `program` that listens at `path`, and ends it in order. */
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
