/**
 * Child processes with a time limit and without orphans: every child is recorded, ends with the harness, and is killed at
 * its time limit.
 */
const children = new Set<Deno.ChildProcess>();

/** The result of a command. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

/** Options of {@linkcode run}. */
export interface RunOptions {
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: Record<string, string>;
}

/** A command that failed, with its output. */
export class CommandError extends Error {
  override name = "CommandError";
}

/** Kills every running child, when a signal ends the harness. */
export function killChildren(): void {
  for (const child of children) signalChild(child, "SIGKILL");
}

function signalChild(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It ended by itself in the meantime.
  }
}

/** Runs a command to its end, or kills it after `timeoutMs`. */
export async function run(command: readonly string[], options: RunOptions): Promise<Finished> {
  const child = start(command, { stdout: "piped", stderr: "piped", ...options });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    signalChild(child, "SIGKILL");
  }, options.timeoutMs);
  try {
    const { code, stdout, stderr } = await child.output();
    const text = new TextDecoder();
    return { code, stdout: text.decode(stdout), stderr: text.decode(stderr), timedOut };
  } finally {
    clearTimeout(timer);
    children.delete(child);
  }
}

/** Runs a command and returns its output; throws an error with the output if it fails. */
export async function runOrThrow(command: readonly string[], options: RunOptions): Promise<string> {
  const { code, stdout, stderr, timedOut } = await run(command, options);
  if (code === 0) return stdout;
  const why = timedOut ? `no end after ${options.timeoutMs / 1000} s` : `exit code ${code}`;
  const said = (stderr.trim() || stdout.trim()).split("\n").slice(-8).join("\n  ");
  throw new CommandError(`${command.slice(0, 2).join(" ")}: ${why}\n  ${said}`);
}

/** Whether a program of this name can be started. */
export async function isInstalled(program: string): Promise<boolean> {
  const { code } = await run(["sh", "-c", 'command -v "$1"', "sh", program], { timeoutMs: 10_000 });
  return code === 0;
}

function start(command: readonly string[], options: Omit<Deno.CommandOptions, "args">): Deno.ChildProcess {
  const child = new Deno.Command(command[0]!, { args: command.slice(1), stdin: "null", ...options }).spawn();
  children.add(child);
  return child;
}

let deathSignal: readonly string[] | undefined;

/** A child in the background whose output goes to a log file; it ends with the harness in any case. */
export class BackgroundProcess {
  readonly #child: Deno.ChildProcess;
  readonly #logged: Promise<unknown>;
  /** The exit code once the process has ended (128 + number for a signal). */
  code: number | undefined;
  /** Settles when the process has ended and its output is in the log. */
  readonly ended: Promise<number>;

  private constructor(child: Deno.ChildProcess, logged: Promise<unknown>) {
    this.#child = child;
    this.#logged = logged;
    this.ended = this.#awaitEnd();
  }

  /** Starts `command`, its output going to `logPath`. */
  static async start(
    command: readonly string[],
    logPath: string,
    env: Record<string, string> = {},
  ): Promise<BackgroundProcess> {
    deathSignal ??= await isInstalled("setpriv") ? ["setpriv", "--pdeathsig", "KILL", "--"] : [];
    const child = start([...deathSignal, ...command], { stdout: "piped", stderr: "piped", env });
    const copy = async (stream: ReadableStream<Uint8Array>) => {
      for await (const chunk of stream) await Deno.writeFile(logPath, chunk, { append: true });
    };
    const logged = Promise.all([copy(child.stdout), copy(child.stderr)]);
    return new BackgroundProcess(child, logged);
  }

  async #awaitEnd(): Promise<number> {
    const { code } = await this.#child.status;
    // A grandchild may keep the pipes open; the child's output has been written by then.
    await Promise.race([this.#logged, sleep(2000)]);
    children.delete(this.#child);
    return this.code = code;
  }

  /** Waits for the end; false after the time limit. */
  async waitMs(timeoutMs: number): Promise<boolean> {
    const waiting = new AbortController();
    const inTime = await Promise.race([
      this.ended.then(() => true),
      sleep(timeoutMs, waiting.signal).then(() => false),
    ]);
    waiting.abort();
    return inTime;
  }

  /** Sends SIGTERM and kills the process after `graceMs`; returns whether it ended by SIGTERM. */
  async stop(graceMs: number): Promise<boolean> {
    if (this.code !== undefined) return true;
    signalChild(this.#child, "SIGTERM");
    if (await this.waitMs(graceMs)) return true;
    signalChild(this.#child, "SIGKILL");
    await this.waitMs(10_000);
    return false;
  }
}

/** Waits; an abort ends the waiting early without an error. */
export function sleep(timeMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeMs);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
