/**
 * A client of a unix socket that says what it likes, for tests.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { ByteStream } from "../../src/os/byte_stream.ts";
import { closeFd } from "../../src/os/event_fd.ts";

/** `how` of shutdown(2): nothing will be written any more. */
export const SHUT_WR = 1;
const PATIENCE_MS = 20_000;
const AF_UNIX = 1;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;

/**
 * Connects to `path` without ever blocking: who is to accept lives in the same isolate, and does so only while this
 * one waits.
 */
export async function connectPatiently(path: string): Promise<number> {
  const address = new Uint8Array([AF_UNIX, 0, ...new TextEncoder().encode(path), 0]);
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const fd = libc.socket(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0);
    if (libc.connect(fd, address, address.length) === 0) return fd;
    closeFd(fd);
    if (performance.now() > deadline) throw new Error(`nobody accepts at ${path}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** One connection. */
export class Talker {
  readonly #stream: ByteStream;
  #isClosed = false;

  /** Takes over a connected descriptor. */
  constructor(fd: number) {
    this.#stream = new ByteStream(fd);
  }

  /** Connects to `path`. */
  static async connect(path: string): Promise<Talker> {
    return new Talker(await connectPatiently(path));
  }

  /** Says `text`, as far as there is room for it; nobody may be listening any more. */
  say(text: string): void {
    try {
      this.#stream.write(Uint8Array.from(text, (character) => character.charCodeAt(0)));
    } catch {
      // The other side has closed: what it said before that can still be read.
    }
  }

  /** Says nothing more. */
  finish(): void {
    libc.shutdown(this.#stream.fd, SHUT_WR);
  }

  /** All that comes until the other side closes; closes this side too. */
  async all(): Promise<string> {
    const decoder = new TextDecoder("latin1");
    const deadline = performance.now() + PATIENCE_MS;
    let text = "";
    for (;;) {
      const bytes = this.#stream.read(1 << 16);
      if (bytes?.length === 0) break;
      if (bytes !== undefined) text += decoder.decode(bytes, { stream: true });
      else if (performance.now() > deadline) throw new Error(`no end after ${text.length} bytes`);
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
    this.close();
    return text;
  }

  /** True if the other side has closed; reads on until then. */
  isClosed(): boolean {
    if (this.#isClosed) return true;
    const bytes = this.#stream.read(1 << 16);
    return this.#isClosed = bytes?.length === 0;
  }

  /** Closes this side. */
  close(): void {
    this.#stream.close();
  }
}

/** Connects to `path`, says `text` and nothing more, and returns what comes back. */
export async function talk(path: string, text: string): Promise<string> {
  const talker = await Talker.connect(path);
  talker.say(text);
  talker.finish();
  return await talker.all();
}
