/**
 * Standard error as the program uses it while it serves: lines that are not read are kept up to a bound, and what comes
 * beyond it is dropped, counted, and reported when there is room again. The event loop never waits for the reader.
 *
 * @module
 */
import { Output } from "../os/output.ts";

/** Bytes kept for a reader that is slow, beside what the kernel keeps. */
const BACKLOG_BYTES_MAX = 256 << 10;
/** How long to wait before trying again to write what is kept: at first, and at most. */
const RETRY_MS_MIN = 10;
const RETRY_MS_MAX = 1000;
/** How long the end of the program waits for a reader that takes nothing, and for one that is slow. */
const FLUSH_MS = 200;
const FLUSH_MS_MAX = 1000;

/** Lines to a descriptor. */
export class LogOutput {
  readonly #output: Output;
  readonly #report: (droppedCount: number) => string;
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;
  #droppedCount = 0;
  #droppedTotal = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #retryMs = RETRY_MS_MIN;

  /** Writes to `fd`; `report` makes the line that says how many texts were dropped. */
  constructor(fd: number, report: (droppedCount: number) => string) {
    this.#output = new Output(fd);
    this.#report = report;
  }

  /** Texts that were dropped so far. */
  get droppedTotal(): number {
    return this.#droppedTotal;
  }

  /** Writes `text`, a line or several without the last one's end, as soon as there is room for it, or drops it. */
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

  /** Writes what there is room for. */
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

  /** Nothing can be written any more, now at least. */
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

  /** Writes what is kept, unless the reader takes nothing for 200 ms, and gives up what was opened. */
  close(): void {
    clearTimeout(this.#timer);
    const deadlineMs = performance.now() + FLUSH_MS_MAX;
    do this.#drain(); while (
      this.#backlog.length > 0 && performance.now() < deadlineMs && this.#output.waitForRoom(FLUSH_MS)
    );
    this.#output.close();
  }
}
