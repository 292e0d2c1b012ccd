/**
 * The options of the command `bench`, as a table.
 *
 * @module
 */
import type { CommandRow } from "./option_table.ts";

/** Forms of requests as options name them. */
export const BENCH_MODES: readonly ("session" | "mux" | "stateless")[] = ["session", "mux", "stateless"];

/** The command that measures a device from the other side. */
export const BENCH: CommandRow = {
  name: "bench",
  usage: "--socket-path=PATH [OPTION]...",
  summary: "measures a device from the other side",
  about: [
    "Connects to a vhost-user crypto device as a VMM and its guest would and keeps requests under way, by algorithm, " +
    "size and depth. For each it prints requests and MiB a second, the rate as a multiple of bare OpenSSL's on one " +
    "core of this machine, notifications a request in both directions, and latency. The device is held to a " +
    "published answer first, and answers are checked in between. It must not be in use: it serves one connection " +
    "at a time.",
  ],
  options: [
    {
      name: "socket-path",
      short: "s",
      value: "PATH",
      isPath: true,
      help: "The unix socket that the device listens on.",
    },
    {
      name: "algorithms",
      value: "LIST",
      help:
        "Algorithms by the names that probe prints, and RSA-2048-sign, ECDSA-P-256-sign; all: whatever is offered " +
        "(default AES-CBC,AES-CBC+HMAC-SHA1,HMAC-SHA-256,AES-GCM, as far as offered).",
    },
    { name: "sizes", value: "LIST", help: "Bytes of source data (default 64,256,1024,4096,16384)." },
    { name: "depth", value: "LIST", help: "Requests under way on each queue (default 1,32)." },
    { name: "queues", value: "N", help: "Data queues to use, all from one thread (default 1)." },
    { name: "seconds", value: "N", help: "How long each combination is measured (default 0.5)." },
    {
      name: "mode",
      value: "MODE",
      choices: BENCH_MODES,
      help:
        "Form of the requests: session (default: without the multiplexing mode), mux (sessions with it), or stateless.",
    },
    { name: "packed", help: "Packed rings instead of split ones." },
    { name: "poll", help: "The driver spins instead of sleeping until it is called. Needs a processor of its own." },
    { name: "json", help: "Print the figures as JSON." },
    { name: "svg", value: "FILE", isPath: true, help: "Write charts of the figures to FILE." },
    { name: "help", short: "h", help: "Print this text and exit." },
  ],
  exitStatus: "0 if all answers were right and something was measured of every algorithm, 1 if not or if something " +
    "failed, 2 for a wrong command line.",
};
