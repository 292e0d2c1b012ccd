/**
 * The statistics socket, over HTTP/1.0: `/` and `/metrics` return the exposition for Prometheus, `/json` the snapshot.
 * A client that closes its side without a request, or sends nothing for half a second, gets the exposition without a
 * header.
 *
 * Clients are untrusted: their number is limited and the oldest is dropped for a new one, each has limited time and
 * bytes, and at most ten snapshots per second are made for all of them.
 *
 * @module
 */
import { SystemError } from "../os/errno.ts";
import { Acceptor } from "../os/acceptor.ts";
import { EventLoop } from "../os/event_loop.ts";
import { ByteStream } from "../os/byte_stream.ts";
import { ListeningSocket, type SocketPath } from "../os/listening_socket.ts";
import { PROMETHEUS_CONTENT_TYPE, prometheusText } from "./prometheus.ts";
import type { Snapshot } from "./snapshot.ts";

/** Maximum number of clients at once. */
const CLIENTS_MAX = 8;
/** Maximum number of clients that wait to be accepted. */
const BACKLOG = 64;
/** Maximum length of a request, in bytes. */
const REQUEST_BYTES_MAX = 8192;
/** Maximum total time of a client, in milliseconds. */
const CLIENT_MS = 5000;
/** Maximum wait for the first byte of a request, in milliseconds. */
const SILENCE_MS = 500;
/** Lifetime of a snapshot, in milliseconds and in multiples of its cost, so that data paths have priority. */
const SNAPSHOT_MS = 100;
const SNAPSHOT_REST = 20;

/** The answer to a request. */
interface Answer {
  readonly status: string;
  readonly type: string;
  readonly body: string;
}

/** The texts that are served. */
interface Texts {
  readonly metrics: string;
  readonly json: string;
}

/** One client, from accept to close. */
class Client {
  readonly #stream: ByteStream;
  readonly #loop: EventLoop;
  readonly #texts: () => Texts;
  readonly #onEnd: (client: Client) => void;
  readonly #timers: readonly ReturnType<typeof setTimeout>[];
  #request = "";
  #isAnswering = false;
  #rest: Uint8Array = new Uint8Array();

  constructor(fd: number, loop: EventLoop, texts: () => Texts, onEnd: (client: Client) => void) {
    this.#stream = new ByteStream(fd);
    this.#loop = loop;
    this.#texts = texts;
    this.#onEnd = onEnd;
    this.#timers = [
      setTimeout(() => this.end(), CLIENT_MS),
      setTimeout(() => this.#request === "" && !this.#isAnswering && this.#sendPlain(), SILENCE_MS),
    ];
    loop.watch(fd, () => this.#receive());
  }

  /** Closes the connection, even if the answer is incomplete. */
  end(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#loop.unwatch(this.#stream.fd);
    this.#stream.close();
    this.#onEnd(this);
  }

  #receive(): void {
    let bytes: Uint8Array | undefined;
    try {
      bytes = this.#stream.read(REQUEST_BYTES_MAX);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return this.end();
    }
    if (bytes === undefined) return;
    if (bytes.length === 0) return this.#request === "" ? this.#sendPlain() : this.#answer();
    this.#request += new TextDecoder("latin1").decode(bytes);
    if (/\r?\n\r?\n/.test(this.#request) || this.#request.length > REQUEST_BYTES_MAX) this.#answer();
  }

  #sendPlain(): void {
    this.#send(this.#texts().metrics);
  }

  #answer(): void {
    const { status, type, body } = answerTo(this.#request, this.#texts);
    const bytes = new TextEncoder().encode(body);
    const header = `HTTP/1.0 ${status}\r\nContent-Type: ${type}\r\nContent-Length: ${bytes.length}\r\n` +
      "Cache-Control: no-store\r\nConnection: close\r\n\r\n";
    this.#send(this.#request.startsWith("HEAD ") ? header : header + body);
  }

  #send(text: string): void {
    this.#isAnswering = true;
    this.#loop.unwatch(this.#stream.fd);
    this.#rest = new TextEncoder().encode(text);
    this.#loop.watch(this.#stream.fd, () => this.#sendMore(), true);
  }

  #sendMore(): void {
    try {
      this.#rest = this.#rest.subarray(this.#stream.write(this.#rest));
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return this.end();
    }
    if (this.#rest.length === 0) this.end();
  }
}

function refusal(status: string, text: string): Answer {
  return { status, type: "text/plain; charset=utf-8", body: text + "\n" };
}

function answerTo(request: string, texts: () => Texts): Answer {
  if (request.length > REQUEST_BYTES_MAX) {
    return refusal("431 Request Header Fields Too Large", `a request has at most ${REQUEST_BYTES_MAX} bytes`);
  }
  const [, method, path] = /^([A-Z]+) ([^ ]+) HTTP\/1\.[01]\r?\n/.exec(request) ?? [];
  if (path === undefined) return refusal("400 Bad Request", "expected a request as in: GET /metrics HTTP/1.0");
  if (method !== "GET" && method !== "HEAD") return refusal("405 Method Not Allowed", "the methods are GET and HEAD");
  switch (path.replace(/[?#].*/, "")) {
    case "/":
    case "/metrics":
      return { status: "200 OK", type: PROMETHEUS_CONTENT_TYPE, body: texts().metrics };
    case "/json":
      return { status: "200 OK", type: "application/json", body: texts().json };
    default:
      return refusal("404 Not Found", "the paths are /metrics and /json");
  }
}

/** The socket, from construction until {@linkcode close}. */
export class StatisticsServer {
  readonly #read: () => Snapshot;
  readonly #loop = new EventLoop();
  readonly #socket: ListeningSocket;
  readonly #acceptor: Acceptor;
  readonly #clients = new Set<Client>();
  readonly #finished: Promise<void>;
  #texts: Texts | undefined;
  #staleMs = 0;

  /**
   * Listens at `place` and serves the snapshots of `read`. Throws {@linkcode ServerError} if the socket cannot be made.
   */
  constructor(place: SocketPath, read: () => Snapshot) {
    this.#read = read;
    try {
      this.#socket = new ListeningSocket(place, BACKLOG);
    } catch (error) {
      this.#loop.close();
      throw error;
    }
    this.#acceptor = new Acceptor(this.#socket, this.#loop, (fd) => this.#add(fd));
    this.#acceptor.start();
    this.#finished = this.#loop.run();
  }

  #add(fd: number): void {
    if (this.#clients.size >= CLIENTS_MAX) this.#clients.values().next().value!.end();
    this.#clients.add(
      new Client(fd, this.#loop, () => this.#currentTexts(), (client) => this.#clients.delete(client)),
    );
  }

  #currentTexts(): Texts {
    const startMs = performance.now();
    if (this.#texts !== undefined && startMs < this.#staleMs) return this.#texts;
    const snapshot = this.#read();
    this.#texts = { metrics: prometheusText(snapshot), json: JSON.stringify(snapshot) + "\n" };
    const endMs = performance.now();
    this.#staleMs = endMs + Math.max(SNAPSHOT_MS, SNAPSHOT_REST * (endMs - startMs));
    return this.#texts;
  }

  /** The listening socket. */
  get socket(): { readonly path: string; readonly fd: number } {
    return this.#socket;
  }

  /** Ends all connections and removes the socket, unless it `isLeft` to another process. */
  async close(isLeft = false): Promise<void> {
    this.#loop.stop();
    await this.#finished;
    for (const client of this.#clients) client.end();
    this.#acceptor.close(isLeft);
    this.#loop.close();
  }
}
