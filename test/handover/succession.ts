/**
 * Device processes that take over from each other: the first serves a socket, and each of the others takes over from the
 * previous one.
 *
 * @module
 */
import { PROGRAM, Running, until, withDirectory } from "../cli/programs.ts";

/** Maximum time of a handover on a busy machine. */
const END_MS_MAX = 60_000;

/** How devices are started. */
export interface SuccessionOptions {
  /** Options of every device, besides sockets. */
  readonly args?: readonly string[];
  /** A program to run instead of the device program. */
  readonly program?: string;
}

/** The current device, and the start of its successors. */
export class Succession {
  /** The socket for frontends. */
  readonly path: string;
  /** The handover socket. */
  readonly handoverPath: string;
  readonly #options: SuccessionOptions;
  #device: Running;

  private constructor(directory: string, options: SuccessionOptions) {
    this.path = `${directory}/device.sock`;
    this.handoverPath = `${directory}/handover.sock`;
    this.#options = options;
    this.#device = this.#start([`--socket-path=${this.path}`, ...(options.args ?? [])]);
  }

  /** Runs `body` with a first device, and ends the last one with SIGTERM. */
  static async with(options: SuccessionOptions, body: (succession: Succession) => Promise<void>): Promise<void> {
    await withDirectory(async (directory) => {
      const succession = new Succession(directory, options);
      try {
        await succession.#device.said("serving");
        await body(succession);
      } finally {
        succession.#device.kill("SIGTERM");
        await succession.#device.ended();
      }
    });
  }

  /** The device that serves. */
  get device(): Running {
    return this.#device;
  }

  #start(args: readonly string[]): Running {
    const { program = PROGRAM } = this.#options;
    return new Running(program, [...args, `--handover-socket=${this.handoverPath}`, "--log-level=info"]);
  }

  /** Starts a process that takes over. {@linkcode succeed} or {@linkcode keep} follows. */
  begin(args: readonly string[] = this.#options.args ?? []): Running {
    return this.#start([`--take-over=${this.handoverPath}`, ...args]);
  }

  /** Waits until `successor` serves and the device before it has ended with 0; returns what that one has written. */
  async succeed(successor: Running): Promise<string> {
    const before = this.#device;
    const { code, stderr } = await before.ended(END_MS_MAX);
    if (code !== 0) throw new Error(`the old device ended with ${code}: ${stderr}; the new one: ${successor.stderr}`);
    await until(() => successor.stderr.includes("serving"), () => `a successor: ${successor.stderr}`);
    if (successor.hasEnded) throw new Error(`the new device has ended: ${successor.stderr}`);
    this.#device = successor;
    return stderr;
  }

  /** One handover. */
  async next(args?: readonly string[]): Promise<string> {
    return await this.succeed(this.begin(args));
  }

  /** Replaces a device that has ended otherwise by `successor`. */
  replace(successor: Running): void {
    this.#device = successor;
  }
}
