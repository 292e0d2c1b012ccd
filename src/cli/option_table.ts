/**
 * Tables of the program's options and commands. Parsing, help texts, manual page and shell completions are generated
 * from them. A new option is added to a table and to `options.ts`, which interprets it. A help text is one clause with
 * unit and default.
 *
 * @module
 */
import { DATA_QUEUES_MAX, POLL_US_DEFAULT, SESSIONS_DEFAULT, SESSIONS_MAX, SOCKETS_MAX } from "../device/limits.ts";
import type { MultiBufferChoice } from "../engine/multibuffer/policy.ts";
import type { AsymmetricForm } from "../device/negotiated_features.ts";
import { ENGINES } from "../engine/libraries.ts";
import { DRAFTS } from "../wire/drafts/draft.ts";
import { BENCH } from "./bench_options.ts";
import { type CommandRow, DEVICE_SOCKET, type OptionRow } from "./command_line.ts";
import { CONFORM } from "./conform_options.ts";
import { LOG_VARIABLE } from "./environment.ts";
import { LOG_LEVELS, type LogFormat } from "./log.ts";

/** Names of services in options, by number. */
export const SERVICE_NAMES: readonly string[] = ["cipher", "hash", "mac", "aead", "akcipher"];
/** Forms of the log's lines. */
export const LOG_FORMATS: readonly LogFormat[] = ["text", "json"];
/** Forms of the asymmetric service. */
export const ASYMMETRIC_FORMS: readonly AsymmetricForm[] = ["akcipher", "rfc3", "off"];
/** A shell with completions. */
export type Shell = "bash" | "zsh" | "fish";
/** All shells with completions. */
export const SHELLS: readonly Shell[] = ["bash", "zsh", "fish"];
/** Choices of --bursts. */
export const BURSTS: readonly MultiBufferChoice[] = ["auto", "on", "off"];

/** Values of a switch. */
export const ON_OFF: readonly ("on" | "off")[] = ["on", "off"];

/** Whether OpenSSL's FIPS provider is required. */
export const FIPS_MODES: readonly ("off" | "required")[] = ["off", "required"];
/** Service managers that can keep the state of devices for the next process. */
export const KEEPERS: readonly ("off" | "systemd")[] = ["off", "systemd"];

/** Options that belong together. */
export interface OptionGroup {
  /** Its heading. */
  readonly title: string;
  /** Its options. */
  readonly options: readonly OptionRow[];
}

const WHERE: OptionGroup = {
  title: "Sockets",
  options: [
    {
      ...DEVICE_SOCKET,
      details: "A socket left behind by a dead process is replaced; a socket in use is refused.",
    },
    {
      name: "fd",
      value: "NUMBER",
      help:
        "Inherited file descriptor of a connected or listening unix socket to serve (default without --socket-path: " +
        "sockets passed by systemd in LISTEN_FDS).",
      details: "A connected socket is served until the VMM disconnects.",
    },
    {
      name: "socket-count",
      short: "c",
      value: "N",
      help:
        `Number of devices, 1 to ${SOCKETS_MAX}, each with its own sessions and workers, on PATH0, PATH1 and so on, or ` +
        "on consecutive descriptors (default: one device, on PATH).",
      details: "A device that ends does not affect the others; the program ends with the last one.",
    },
    {
      name: "socket-mode",
      value: "OCTAL",
      help: "Permissions of the socket in octal, for example 660 (default: by the umask).",
    },
    {
      name: "socket-group",
      value: "GROUP",
      help: "Group of the socket, by name or number (default: assigned by the system).",
    },
    {
      name: "handover-socket",
      value: "PATH",
      isPath: true,
      help: "Path of a unix socket on which another process can take over all devices of this one (default: none).",
      details:
        "A process of the same user that is started with --take-over=PATH gets sockets, guest memory, rings and " +
        "sessions; this process ends with exit status 0 when the other one serves, and continues otherwise. --socket-mode " +
        "and --socket-group apply to this socket too.",
    },
    {
      name: "take-over",
      value: "PATH",
      isPath: true,
      help: "Continue for the process whose --handover-socket is PATH, without the VMM or the guest noticing.",
      details:
        "The sockets come from that process: --socket-path is not needed, or must be the same. --handover-socket " +
        "and --stats-socket may have the same paths as in that process. The exit status is 1, and the other process " +
        "continues, if this one does not offer what was negotiated with a connected frontend, or the algorithm of a session.",
    },
    {
      name: "keep-state",
      value: "off|systemd",
      choices: KEEPERS,
      help:
        "With systemd, have its descriptor store keep connections, guest memory, rings and sessions, so that the next " +
        "process continues after a crash (default off).",
      details:
        "The unit needs Type=notify and FileDescriptorStoreMax=. Session keys are then in a memory file of which systemd " +
        "has a descriptor. A crash while a message of the frontend is handled, or during a handover, loses the connection.",
    },
    {
      name: "migrate-sessions",
      value: "on|off",
      choices: ON_OFF,
      help:
        "Let the VMM transfer sessions, keys included, to another device at a live migration (default off); see the " +
        "threat model.",
    },
    {
      name: "once",
      help: "Exit after the first frontend has disconnected; with several devices, after each has served one.",
    },
  ],
};

const WHAT: OptionGroup = {
  title: "Device features",
  options: [
    {
      name: "queues",
      short: "q",
      value: "N",
      help: `Number of data queues without the control queue, 1 to ${DATA_QUEUES_MAX} (default 1).`,
    },
    {
      name: "max-sessions",
      value: "N",
      help: `Maximum number of sessions, 1 to ${SESSIONS_MAX} (default ${SESSIONS_DEFAULT}).`,
    },
    {
      name: "draft",
      value: "DRAFT",
      choices: DRAFTS,
      help:
        "Draft of the specification that the device follows: v19 (default; used by Linux, QEMU and DPDK), v15 (January " +
        "2017), or v5 (September 2016, whose requests carry guest-physical addresses).",
      details:
        "Guests written to one draft cannot use a device of another. The configuration space has 56 bytes with v19 and " +
        "v15, 64 with v15 and --asymmetric=rfc3, and 48 with v5: QEMU's generic device model needs it as config_size.",
    },
    {
      name: "mux",
      value: "on|off",
      choices: ON_OFF,
      help: "Offer VIRTIO_CRYPTO_F_MUX_MODE (default on); off for guests that acknowledge it without implementing it.",
    },
    {
      name: "stateless",
      value: "SERVICES",
      choices: [...SERVICE_NAMES, "all", "none"],
      isList: true,
      help: `Services offered in stateless mode: all (default), none, or a list of ${SERVICE_NAMES.join(",")}.`,
    },
    {
      name: "asymmetric",
      value: "FORM",
      choices: ASYMMETRIC_FORMS,
      help:
        "Asymmetric service: akcipher (default; used by Linux and QEMU), rfc3 (the earlier RFC), or off. --draft=v15 has " +
        "rfc3 or off (default), v5 has none.",
    },
    {
      name: "engines",
      value: "LIBRARIES",
      choices: ENGINES,
      isList: true,
      help: `Libraries that provide algorithms: a list of ${ENGINES.join(",")} (default: all that are installed).`,
    },
    {
      name: "fips",
      value: "off|required",
      choices: FIPS_MODES,
      help:
        "With required, serve only algorithms of OpenSSL's FIPS provider, and start only if it is active and passes its " +
        "self-test (default off).",
      details:
        "Other libraries, and algorithms that this program composes of several calls, are not used. The provider is " +
        "activated by OpenSSL's configuration, or that of --openssl-config.",
    },
    {
      name: "openssl-config",
      value: "FILE",
      isPath: true,
      help: "OpenSSL's configuration file (default: OpenSSL's own).",
      details: "The providers are those that FILE activates: name the legacy provider there too, for ARC4 and DES.",
    },
    {
      name: "openssl-properties",
      value: "QUERY",
      help: "Property query for all algorithms that OpenSSL fetches, as in ?provider=qat (default: none).",
      details:
        "Without the question mark, algorithms that do not match are not served; OpenSSL's random numbers must match, too.",
    },
    {
      name: "engine-module",
      value: "PATH",
      isPath: true,
      isRepeated: true,
      help: "File of a module that adds or replaces algorithms; can be repeated.",
      details:
        "The module's default export is an EngineModule (see the documentation of mod.ts). It is trusted: it sees keys " +
        "and runs before the sandbox is entered.",
    },
    {
      name: "bursts",
      value: "auto|on|off",
      choices: BURSTS,
      help:
        "When libIPSec_MB executes requests in multi-buffer batches: if run-time measurements show that it is faster " +
        "(auto, the default), always (on) or never (off).",
    },
  ],
};

const HOW: OptionGroup = {
  title: "Execution",
  options: [
    {
      name: "workers",
      short: "w",
      value: "N|auto",
      help:
        "Number of workers that share the data queues (default 0: the main event loop serves them; auto: one per queue, " +
        "at most one per CPU).",
    },
    {
      name: "poll-us",
      value: "N",
      help: `Maximum busy-poll time of a worker, in microseconds (default ${POLL_US_DEFAULT}; it adapts to the load).`,
    },
    {
      name: "pin-cpus",
      value: "LIST",
      help: "CPUs to which the workers of all devices are pinned in turn, for example 2,3 (default: not pinned).",
    },
    {
      name: "sandbox",
      value: "on|off",
      choices: ON_OFF,
      help: "Drop the rights to start programs, open connections and change files once serving starts (default on).",
    },
    {
      name: "stats-socket",
      value: "PATH",
      isPath: true,
      help: "Path of a unix socket that serves counters, in Prometheus's text format and for the command stats.",
      details:
        "The protocol is HTTP/1.0: / and /metrics return the exposition for Prometheus, /json the same counters as JSON. " +
        "A client that connects and sends nothing gets the exposition without a header. --socket-mode and --socket-group " +
        "apply to this socket too. SIGUSR2 prints the page of the command stats to standard error, with or without this " +
        "option.",
    },
    {
      name: "log-level",
      value: "LEVEL",
      choices: LOG_LEVELS,
      help: `Lowest level that is logged: error, warn, info or debug (default: ${LOG_VARIABLE}, else info).`,
    },
    {
      name: "log-format",
      value: "text|json",
      choices: LOG_FORMATS,
      help: "Format of the log: text (default), or json, one object per line with time, level, message and socket.",
    },
  ],
};

const PRINT: OptionGroup = {
  title: "Information",
  options: [
    {
      name: "list-algorithms",
      help:
        "Print every algorithm of the specification with its key lengths and the library of this host that serves it, or " +
        "the reason why none does. Applies --engines, --fips, --openssl-config, --openssl-properties and --asymmetric.",
    },
    { name: "json", help: "Print the output of --list-algorithms as JSON." },
    {
      name: "print-capabilities",
      help: "Print the capabilities for management programs as JSON; other options are ignored.",
    },
    { name: "print-man", help: "Print the manual page, for man -l." },
    {
      name: "print-completion",
      value: "SHELL",
      choices: SHELLS,
      help: `Print the completion script of a shell: ${SHELLS.join(", ")}.`,
    },
    {
      name: "version",
      short: "V",
      help: "Print the versions of this program, Deno and OpenSSL, and with --fips=required of its FIPS provider.",
    },
    { name: "help", short: "h", help: "Print the options and commands." },
  ],
};

/** All options of the device program, in groups. */
export const OPTION_GROUPS: readonly OptionGroup[] = [WHERE, WHAT, HOW, PRINT];

/** All options of the device program. */
export const OPTIONS: readonly OptionRow[] = OPTION_GROUPS.flatMap(({ options }) => options);

/** The command that checks a device through a driver. */
export const PROBE: CommandRow = {
  name: "probe",
  usage: "--socket-path=PATH [OPTION]...",
  summary: "checks a device through a driver",
  about: [
    "Connects to a vhost-user crypto device as a VMM and its guest do, prints what it offers, and checks a published " +
    "known answer of every algorithm it advertises: in fixed form (without VIRTIO_CRYPTO_F_MUX_MODE), in MUX sessions, " +
    "and stateless. With --draft=v15, these are requests with sessions (fixed) and without (stateless); with --draft=v5, " +
    "those of the draft (fixed). The device must not be in use, as it serves one connection at a time.",
  ],
  options: [
    DEVICE_SOCKET,
    { name: "queue", value: "N", help: "Number of the data queue to use (default 0)." },
    {
      name: "draft",
      value: "DRAFT",
      choices: DRAFTS,
      help: "Draft of the specification that the device follows: v19 (default), v15 or v5. It cannot be detected.",
    },
    {
      name: "quick",
      help: "Check one direction in one descriptor layout (default: both directions, forged tags, several layouts).",
    },
    { name: "json", help: "Print the report as JSON." },
    { name: "help", short: "h", help: "Print this text and exit." },
  ],
  exitStatus: "0 if all checks that could be negotiated passed, 1 after a failure, 2 for a wrong command line.",
};

/** The command that prints the counters of a running device. */
export const STATS: CommandRow = {
  name: "stats",
  usage: "--stats-socket=PATH [OPTION]...",
  summary: "prints the counters of a running device",
  about: [
    "Reads the counters of a device that runs with --stats-socket=PATH, and prints a page with its sessions, queues and " +
    "completed requests, with rates since its start or, with --watch, of the last second.",
    "The columns half and 99 % are upper bounds, within a factor of two, for the time from popping a request to completing " +
    "it, for half and 99 % of the requests. One batch in 61 is measured.",
  ],
  options: [
    { name: "stats-socket", value: "PATH", isPath: true, help: "Path of the device's statistics socket." },
    { name: "watch", help: "Print every second until interrupted (default: once)." },
    { name: "json", help: "Print the counters as JSON, one line each time." },
    { name: "help", short: "h", help: "Print this text and exit." },
  ],
  exitStatus: "0 after a page, 1 if the device cannot be reached, 2 for a wrong command line.",
};

/** All commands. */
export const COMMANDS: readonly CommandRow[] = [PROBE, CONFORM, BENCH, STATS];
