/**
 * A client of a unix socket that sends any bytes, for tests.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { ByteStream } from "../../src/os/byte_stream.ts";
import { closeFd } from "../../src/os/event_fd.ts";

/** `how` of shutdown(2): no more bytes will be written. */
export const SHUT_WR = 1;
const PATIENCE_MS = 20_000;
const AF_UNIX = 1;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;

/**
 * Connects to `path` without blocking, as the server runs in the same thread and accepts only while the client waits.
 */
export async function connectPatiently(path: string): Promise<number> {
  const address = new Uint8Array([AF_UNIX, 0, ...new TextEncoder().encode(path), 0]);
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const fd = libc.socket(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0);
    if (libc.connect(fd, address, address.length) === 0) return fd;
    closeFd(fd);
    if (performance.now() > deadline) throw new Error(`the connection to ${path} is not accepted`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** One connection. */
export class Talker {
  readonly #stream: ByteStream;
  #isClosed = false;

  /** Owns a connected descriptor. */
  constructor(fd: number) {
    this.#stream = new ByteStream(fd);
  }

  /** Connects to `path`. */
  static async connect(path: string): Promise<Talker> {
    return new Talker(await connectPatiently(path));
  }

  /** Sends as much of `text` as the socket accepts; the server may have closed the connection. */
  say(text: string): void {
    try {
      this.#stream.write(Uint8Array.from(text, (character) => character.charCodeAt(0)));
    } catch {
      // The server has closed the connection; the bytes it sent before can still be read.
    }
  }

  /** Closes the sending half of the connection. */
  finish(): void {
    libc.shutdown(this.#stream.fd, SHUT_WR);
  }

  /** Reads until the server closes the connection, and closes it. */
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

  /** Reads the available bytes; true if the server has closed the connection. */
  isClosed(): boolean {
    if (this.#isClosed) return true;
    const bytes = this.#stream.read(1 << 16);
    return this.#isClosed = bytes?.length === 0;
  }

  /** Closes the connection. */
  close(): void {
    this.#stream.close();
  }
}

/** Connects to `path`, sends `text`, and returns the answer. */
export async function talk(path: string, text: string): Promise<string> {
  const talker = await Talker.connect(path);
  talker.say(text);
  talker.finish();
  return await talker.all();
}
