/**
 * The table of options of the command `conform`.
 *
 * @module
 */
import { DRAFTS } from "../wire/drafts/draft.ts";
import { DEVICE_SOCKET } from "./command_line.ts";
import type { CommandRow } from "./command_line.ts";

/** How a device is driven, as named in options. */
export const DEVICE_MODELS: readonly ("auto" | "generic" | "cryptodev")[] = ["auto", "generic", "cryptodev"];

/** How heads of chains are chosen, and how requests are divided into descriptors, as named in options. */
export const HEADS: readonly ("free" | "slots")[] = ["free", "slots"];
export const LAYOUTS: readonly ("fields" | "linux")[] = ["fields", "linux"];

/** Maximum value of --timeout, in milliseconds. */
export const CONFORM_TIMEOUT_MS_MAX = 600_000;

/** The command that checks a device against the specification. */
export const CONFORM: CommandRow = {
  name: "conform",
  usage: "--socket-path=PATH [OPTION]...",
  summary: "checks a device against the specification",
  about: [
    "Connects to any vhost-user crypto device as a VMM and its guest do, and checks the duties of virtio-crypto v19 and " +
    "the ratified text, of virtqueues and of the vhost-user protocol, clause by clause. A check passes, fails (the report " +
    "shows what was sent, received and expected), or does not apply, with the reason. A device that hangs, closes the " +
    "connection or ends fails the check, and the next check uses a new connection. The device must not be in use, as it " +
    "serves one connection at a time.",
  ],
  options: [
    DEVICE_SOCKET,
    {
      name: "only",
      value: "LIST",
      help: "Checks to run: a list of groups and checks by the names that --list prints (default: all).",
    },
    { name: "skip", value: "LIST", help: "Checks not to run: a list as for --only (default: none)." },
    { name: "list", help: "Print the checks with their level, duty and reference, and run none." },
    { name: "hostile", help: "Also check hostile input, which may crash the device (default: off)." },
    { name: "strict", help: "Fail if a SHOULD is violated, too (default: only if a MUST is)." },
    {
      name: "device-model",
      value: "MODEL",
      choices: DEVICE_MODELS,
      help:
        "How the device is driven: generic (whole device), cryptodev (data queues and session messages, as QEMU's " +
        "cryptodev-vhost-user does) or auto (default; by what it offers).",
    },
    {
      name: "heads",
      value: "HEADS",
      choices: HEADS,
      help:
        "Heads of chains: free descriptors (default), or slots: each chain is an indirect descriptor at its slot in the " +
        "available ring, as DPDK's vhost_crypto needs it.",
    },
    {
      name: "layout",
      value: "LAYOUT",
      choices: LAYOUTS,
      help:
        "Layout of requests, unless a check needs its own: fields (default; one descriptor per field), or linux (header " +
        "and parameters in one descriptor), as DPDK's vhost_crypto needs it.",
    },
    {
      name: "draft",
      value: "DRAFT",
      choices: DRAFTS,
      help:
        "Draft of the specification that the device follows: v19 and the ratified text (default), v15 or v5, each with its " +
        "own checks.",
    },
    { name: "seed", value: "N", help: "Seed of random data and layouts (default 1)." },
    {
      name: "timeout",
      value: "MS",
      help: "Maximum wait for a reply or a request, in milliseconds (default 2000).",
    },
    { name: "json", help: "Print the report as JSON." },
    { name: "junit", help: "Print the report as JUnit's XML." },
    { name: "tap", help: "Print the report in the Test Anything Protocol." },
    { name: "html", value: "FILE", isPath: true, help: "Also write the report to FILE, as a page of HTML." },
    { name: "help", short: "h", help: "Print this text and exit." },
  ],
  exitStatus: "0 if all checks that apply passed, 1 if one failed or the device cannot be reached, 2 for a wrong " +
    "command line, 3 if the device did not answer in time or closed the connection in a check that failed, 4 if it " +
    "could not be reached any more.",
};
