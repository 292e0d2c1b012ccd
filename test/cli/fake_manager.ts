/**
 * A service manager for tests: it starts the program with a listening socket, keeps descriptors for it as systemd's
 * descriptor store does, and passes them to the next process.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check } from "../../src/os/errno.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { inodeOf } from "../../src/os/file_identity.ts";
import { FdSocket, listenUnix, socketState } from "../../src/os/unix_socket.ts";
import { inheritable } from "./driving.ts";
import { PROGRAM, Running, until } from "./programs.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;

/** A datagram socket at `address`, abstract if it begins with `@`. */
export function notifySocket(address: string): FdSocket {
  const name = new TextEncoder().encode(address);
  const bytes = new Uint8Array(2 + name.length);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  bytes.set(name, 2);
  if (address.startsWith("@")) bytes[2] = 0;
  const fd = check(libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0), "socket");
  check(libc.bind(fd, bytes, bytes.length), "bind", address);
  return new FdSocket(fd, 4096);
}

/** The file, or the event counter, behind `fd`; undefined if it cannot be told. */
function fileOf(fd: number): string | undefined {
  return inodeOf(fd) ?? /^eventfd-id:.*$/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`))?.[0];
}

/** Keeps descriptors, and starts one process after the other. */
export class FakeManager {
  /** The socket for frontends. */
  readonly path: string;
  /** What is kept, by name. */
  readonly store = new Map<string, number>();
  /** Assignments of other messages, in order. */
  readonly messages: string[] = [];
  readonly #notify: FdSocket;
  readonly #address: string;
  readonly #listenFd: number;
  readonly #bytes = new Uint8Array(4096);
  /** Messages so far. */
  #count = 0;
  readonly #hearing: ReturnType<typeof setInterval>;
  /** Reads no messages while true. */
  isDeaf = false;

  /** Listens in `directory`. */
  constructor(directory: string) {
    this.path = `${directory}/device.sock`;
    this.#address = `${directory}/notify`;
    this.#notify = notifySocket(this.#address);
    this.#listenFd = listenUnix(this.path);
    // The kernel queues some ten messages only.
    this.#hearing = setInterval(() => this.hear(), 2);
  }

  /** Starts the program, with what is kept. */
  start(args: readonly string[]): Running {
    this.hear();
    const names = ["socket", ...this.store.keys()];
    const copies = [this.#listenFd, ...this.store.values()].map((fd) => inheritable(fd, 300));
    const moves = copies.map((fd, i) => `${3 + i}<&${fd} ${fd}<&-`).join(" ");
    const variables = `LISTEN_FDS=${copies.length} LISTEN_PID=$$ LISTEN_FDNAMES=${names.join(":")}`;
    // The shell executes the program in its own process, so the process id is the program's.
    const line = `${variables} NOTIFY_SOCKET=${this.#address} exec "$@" ${moves}`;
    const program = new Running("bash", ["-c", line, "bash", PROGRAM, ...args]);
    copies.forEach(closeFd);
    return program;
  }

  /** Starts the program as a reload does: nothing that is kept is passed to it. */
  reload(args: readonly string[]): Running {
    return new Running("env", [`NOTIFY_SOCKET=${this.#address}`, PROGRAM, ...args]);
  }

  /** Reads all messages that have arrived. */
  hear(): void {
    if (this.isDeaf) return;
    for (;;) {
      const { length, fds } = this.#notify.receive(this.#bytes);
      if (length < 0) return;
      this.#handle(new TextDecoder().decode(this.#bytes.subarray(0, length)), fds);
    }
  }

  #handle(text: string, fds: readonly number[]): void {
    this.#count++;
    const name = /^FDNAME=(.*)$/m.exec(text)?.[1] ?? "";
    if (/^FDSTORE=1$/m.test(text)) return fds.forEach((fd) => this.#keep(name, fd));
    if (/^FDSTOREREMOVE=1$/m.test(text)) return this.#drop(name);
    this.messages.push(...text.split("\n").filter((line) => line !== ""));
  }

  /** As systemd does, keeps a file once, under the name that it has already. */
  #keep(name: string, fd: number): void {
    const file = fileOf(fd);
    const isKept = file !== undefined && [...this.store.values()].some((kept) => fileOf(kept) === file);
    if (isKept) return closeFd(fd);
    if (this.store.has(name)) throw new Error(`${name} is kept twice`);
    this.store.set(name, fd);
  }

  #drop(name: string): void {
    closeFd(this.store.get(name) ?? -1);
    this.store.delete(name);
  }

  /** Waits until no message has come for a while: the state is kept. */
  async settled(): Promise<void> {
    for (let count = -1; count !== this.#count;) {
      count = this.#count;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** Forgets the connection of the frontend, as systemd does when its other side is closed. */
  dropSocket(): void {
    const [name] = [...this.store].find(([, fd]) => socketState(fd) !== "no socket")!;
    this.#drop(name);
  }

  /** Waits until a message has the assignment `line`, from the `from`-th on. */
  async heard(line: RegExp, from = 0): Promise<void> {
    await until(() => {
      this.hear();
      return this.messages.slice(from).some((message) => line.test(message));
    }, () => `${line} in ${this.messages}`);
  }

  /** Closes everything. */
  close(): void {
    clearInterval(this.#hearing);
    for (const fd of this.store.values()) closeFd(fd);
    closeFd(this.#listenFd);
    this.#notify.close();
  }
}
