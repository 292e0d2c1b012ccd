/**
 * The table of options of the command `bench`.
 *
 * @module
 */
import { DEVICE_SOCKET } from "./command_line.ts";
import type { CommandRow } from "./command_line.ts";

/** Forms of requests, as named in options. */
export const BENCH_MODES: readonly ("session" | "mux" | "stateless")[] = ["session", "mux", "stateless"];

/** The command that measures a device through a driver. */
export const BENCH: CommandRow = {
  name: "bench",
  usage: "--socket-path=PATH [OPTION]...",
  summary: "measures a device through a driver",
  about: [
    "Connects to a vhost-user crypto device as a VMM and its guest do, and keeps a number of requests in flight for " +
    "each algorithm, size and depth. Prints requests and MiB per second, the ratio to bare OpenSSL calls on one core " +
    "of this host, notifications per request in both directions, and latency. Results are compared with published " +
    "answers first, and checked during the measurement. The device must not be in use, as it serves one connection " +
    "at a time.",
  ],
  options: [
    DEVICE_SOCKET,
    {
      name: "algorithms",
      value: "LIST",
      help:
        "Algorithms to measure, by the names that probe prints, RSA-2048-sign and ECDSA-P-256-sign, or all (default " +
        "AES-CBC,AES-CBC+HMAC-SHA1,HMAC-SHA-256,AES-GCM, as far as offered).",
    },
    { name: "sizes", value: "LIST", help: "Lengths of the source data, in bytes (default 64,256,1024,4096,16384)." },
    { name: "depth", value: "LIST", help: "Numbers of requests in flight on each queue (default 1,32)." },
    { name: "queues", value: "N", help: "Number of data queues, all used by one thread (default 1)." },
    { name: "seconds", value: "N", help: "Time of each measurement, in seconds (default 0.5)." },
    {
      name: "mode",
      value: "MODE",
      choices: BENCH_MODES,
      help:
        "Form of the requests: session (default; without VIRTIO_CRYPTO_F_MUX_MODE), mux (sessions with it), or stateless.",
    },
    { name: "packed", help: "Use packed rings (default: split rings)." },
    { name: "poll", help: "Poll for completions instead of waiting for notifications; needs a core of its own." },
    { name: "json", help: "Print the results as JSON." },
    { name: "svg", value: "FILE", isPath: true, help: "Write charts of the results to FILE, as SVG." },
    { name: "help", short: "h", help: "Print this text and exit." },
  ],
  exitStatus: "0 if all results were correct and every algorithm was measured, 1 if not or if something " +
    "failed, 2 for a wrong command line.",
};
