/**
 * Writes to standard error while the program serves: lines that are not read are kept up to a limit; further lines are
 * dropped, counted, and reported when the reader continues. The event loop never waits for the reader.
 *
 * @module
 */
import { Output } from "../os/output.ts";

/** Bytes kept for a slow reader, besides the kernel's buffer. */
const BACKLOG_BYTES_MAX = 256 << 10;
/** Initial and maximum interval of attempts to write the kept lines. */
const RETRY_MS_MIN = 10;
const RETRY_MS_MAX = 1000;
/** Maximum wait at the program's end for a reader that does not read, and for one that is slow. */
const FLUSH_MS = 200;
const FLUSH_MS_MAX = 1000;

/** Writes lines to a descriptor without blocking. */
export class LogOutput {
  readonly #output: Output;
  readonly #report: (droppedCount: number) => string;
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;
  #droppedCount = 0;
  #droppedTotal = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #retryMs = RETRY_MS_MIN;

  /** Writes to `fd`; `report` makes the line with the number of dropped texts. */
  constructor(fd: number, report: (droppedCount: number) => string) {
    this.#output = new Output(fd);
    this.#report = report;
  }

  /** Number of texts dropped so far. */
  get droppedTotal(): number {
    return this.#droppedTotal;
  }

  /** Writes `text`, one or more lines without the last newline, as soon as the descriptor accepts it, or drops it. */
  write(text: string): void {
    const bytes = new TextEncoder().encode(text + "\n");
    this.#drain();
    if (this.#backlogBytes + bytes.length > BACKLOG_BYTES_MAX) {
      this.#dropped(1);
    } else {
      this.#append(bytes);
      this.#drain();
    }
    this.#retryLater();
  }

  #append(bytes: Uint8Array): void {
    this.#backlog.push(bytes);
    this.#backlogBytes += bytes.length;
  }

  #dropped(count: number): void {
    this.#droppedCount += count;
    this.#droppedTotal += count;
  }

  /** Writes as much as the descriptor accepts. */
  #drain(): void {
    while (this.#backlog.length > 0) {
      const [first] = this.#backlog;
      const written = this.#output.write(first!);
      if (written < 0) return this.#dropBacklog();
      this.#backlogBytes -= written;
      if (written > 0) this.#retryMs = RETRY_MS_MIN;
      if (written < first!.length) {
        this.#backlog[0] = first!.subarray(written);
        return;
      }
      this.#backlog.shift();
      if (this.#backlog.length === 0 && this.#droppedCount > 0) this.#appendReport();
    }
  }

  #appendReport(): void {
    const line = this.#report(this.#droppedCount);
    this.#droppedCount = 0;
    this.#append(new TextEncoder().encode(line + "\n"));
  }

  /** Drops the kept texts after a failed write. */
  #dropBacklog(): void {
    this.#dropped(this.#backlog.length);
    this.#backlog = [];
    this.#backlogBytes = 0;
  }

  #retryLater(): void {
    if (this.#timer !== undefined || this.#backlog.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS_MAX);
      this.#drain();
      this.#retryLater();
    }, this.#retryMs);
    Deno.unrefTimer(this.#timer);
  }

  /** Writes the kept texts, unless the reader reads nothing for 200 ms, and closes the descriptor that was opened. */
  close(): void {
    clearTimeout(this.#timer);
    const deadlineMs = performance.now() + FLUSH_MS_MAX;
    do this.#drain(); while (
      this.#backlog.length > 0 && performance.now() < deadlineMs && this.#output.waitForRoom(FLUSH_MS)
    );
    this.#output.close();
  }
}
