/**
 * The program's options and commands as tables: parsing, the help texts, the manual page and the completions of shells
 * are made from them. An option is added here and in `options.ts`, which gives it its meaning.
 *
 * @module
 */
import { DATA_QUEUES_MAX, POLL_US_DEFAULT, SESSIONS_DEFAULT, SESSIONS_MAX, SOCKETS_MAX } from "../device/limits.ts";
import type { AsymmetricForm } from "../device/negotiated_features.ts";
import { ENGINES } from "../engine/libraries.ts";
import { BENCH } from "./bench_options.ts";
import type { OptionRow } from "./command_line.ts";
import { LOG_VARIABLE } from "./environment.ts";
import { LOG_LEVELS, type LogFormat } from "./log.ts";

/** Services, by number, as options name them. */
export const SERVICE_NAMES: readonly string[] = ["cipher", "hash", "mac", "aead", "akcipher"];
/** Forms of the log's lines. */
export const LOG_FORMATS: readonly LogFormat[] = ["text", "json"];
/** Forms of the asymmetric service. */
export const ASYMMETRIC_FORMS: readonly AsymmetricForm[] = ["akcipher", "rfc3", "off"];
/** A shell that completions can be had for. */
export type Shell = "bash" | "zsh" | "fish";
/** All of them. */
export const SHELLS: readonly Shell[] = ["bash", "zsh", "fish"];
/** What a switch may be. */
export const ON_OFF: readonly ("on" | "off")[] = ["on", "off"];

/** Whether OpenSSL's FIPS provider is required. */
export const FIPS_MODES: readonly ("off" | "required")[] = ["off", "required"];

/** Options that belong together. */
export interface OptionGroup {
  /** Its heading. */
  readonly title: string;
  /** Its options. */
  readonly options: readonly OptionRow[];
}

const WHERE: OptionGroup = {
  title: "Where it is served",
  options: [
    {
      name: "socket-path",
      short: "s",
      value: "PATH",
      isPath: true,
      help: "Listen for a VMM on the unix socket PATH.",
      details: "A socket that a dead process left behind is replaced; one that is in use is refused.",
    },
    {
      name: "fd",
      value: "NUMBER",
      help:
        "Serve the unix socket that was inherited as this descriptor, connected or listening. With neither this nor " +
        "--socket-path, sockets that systemd passes (LISTEN_FDS) are served.",
      details: "A connected socket is served until the VMM disconnects.",
    },
    {
      name: "socket-count",
      short: "c",
      value: "N",
      help:
        `Serve N devices, 1 to ${SOCKETS_MAX}, each with sessions and workers of its own: on PATH0, PATH1 and so on, ` +
        "or on N descriptors in a row.",
      details: "Without this option there is one device, on PATH itself. One that ends leaves the others alone; the " +
        "program ends with the last.",
    },
    {
      name: "socket-mode",
      value: "OCTAL",
      help: "Permissions of the socket, as in 660 (default: as the umask says).",
    },
    {
      name: "socket-group",
      value: "GROUP",
      help: "Group of the socket, by its name or number (default: as the system says).",
    },
    {
      name: "once",
      help: "Exit when the first frontend has disconnected; with several devices, when each has had one.",
    },
  ],
};

const WHAT: OptionGroup = {
  title: "What the device offers",
  options: [
    {
      name: "queues",
      short: "q",
      value: "N",
      help: `Data queues, 1 to ${DATA_QUEUES_MAX} (default 1). The control queue comes on top.`,
    },
    {
      name: "max-sessions",
      value: "N",
      help: `Sessions that may exist at once, 1 to ${SESSIONS_MAX} (default ${SESSIONS_DEFAULT}).`,
    },
    {
      name: "mux",
      value: "on|off",
      choices: ON_OFF,
      help: "Offer the multiplexing mode (default on). Off for guests that acknowledge it without speaking it.",
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
      help: "The asymmetric service: akcipher (default; what Linux and QEMU speak), rfc3 (the RFC before it), or off.",
    },
    {
      name: "engines",
      value: "LIBRARIES",
      choices: ENGINES,
      isList: true,
      help: `Libraries that algorithms may come from: a list of ${
        ENGINES.join(",")
      } (default: all that are installed).`,
    },
    {
      name: "fips",
      value: "off|required",
      choices: FIPS_MODES,
      help:
        "With required, serve only what OpenSSL's FIPS provider does, and start only if it is active and passes its " +
        "self-test (default off).",
      details: "No other library and nothing composed here of several calls is used. The provider is activated by " +
        "OpenSSL's configuration, or that of --openssl-config.",
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
        "Without the question mark, whatever does not match is not served; OpenSSL's random numbers must match too.",
    },
    {
      name: "engine-module",
      value: "PATH",
      isPath: true,
      isRepeated: true,
      help: "Load algorithms from the file PATH, in place of those here or on top. May be repeated.",
      details:
        "The file is a module whose default export is an EngineModule, as the documentation of mod.ts has it. It " +
        "is trusted: it sees keys, and runs before the sandbox is entered.",
    },
    {
      name: "bursts",
      value: "auto|on|off|FILE",
      isPath: true,
      help:
        "When libIPSec_MB executes requests side by side: where it is measured to be faster while they are served (auto, " +
        "the default), always (on), never (off), or from the numbers on in FILE, which calibrate has made on this host.",
    },
  ],
};

const HOW: OptionGroup = {
  title: "How it runs",
  options: [
    {
      name: "workers",
      short: "w",
      value: "N|auto",
      help:
        "Worker isolates that share the data queues (default 0: everything on one event loop; auto: one a queue, at " +
        "most one a processor).",
    },
    {
      name: "poll-us",
      value: "N",
      help: "Microseconds that a worker looks at its rings before it sleeps, at most " +
        `(default ${POLL_US_DEFAULT}; it adapts).`,
    },
    {
      name: "pin-cpus",
      value: "LIST",
      help: "Processors to tie workers to, in turn, as in 2,3; those of all devices together.",
    },
    {
      name: "sandbox",
      value: "on|off",
      choices: ON_OFF,
      help: "Give up programs, new connections and changes to files once serving starts (default on).",
    },
    {
      name: "stats-socket",
      value: "PATH",
      isPath: true,
      help: "Give out counters on the unix socket PATH: in Prometheus's format, and to the command stats.",
      details:
        "It speaks HTTP/1.0: / and /metrics are the exposition for Prometheus, /json is the same as JSON. Whoever " +
        "connects and sends nothing gets the exposition without a header. Permissions are those of --socket-mode and " +
        "--socket-group. SIGUSR2 prints the page of the command stats to standard error, with or without this option.",
    },
    {
      name: "log-level",
      value: "LEVEL",
      choices: LOG_LEVELS,
      help: `error, warn, info or debug (default: what ${LOG_VARIABLE} says, else info). Lines go to standard error.`,
    },
    {
      name: "log-format",
      value: "text|json",
      choices: LOG_FORMATS,
      help: "Lines for people (default), or a JSON object a line: time, level, message, socket.",
    },
  ],
};

const PRINT: OptionGroup = {
  title: "To print something and exit",
  options: [
    {
      name: "list-algorithms",
      help:
        "Every algorithm of the specification: lengths of keys, and the library of this host that serves it, or why " +
        "none does. Heeds --engines, --fips, --openssl-config, " +
        "--openssl-properties and --asymmetric.",
    },
    { name: "json", help: "With --list-algorithms: as JSON." },
    { name: "print-capabilities", help: "What a management program wants to know, as JSON; all else is ignored." },
    { name: "print-man", help: "The manual page, for man -l." },
    {
      name: "print-completion",
      value: "SHELL",
      choices: SHELLS,
      help: `What a shell reads to complete this program's options: ${SHELLS.join(", ")}.`,
    },
    { name: "version", short: "V", help: "The versions of this program, Deno and OpenSSL." },
    { name: "help", short: "h", help: "The options and commands, in short." },
  ],
};

/** All options of the device program, in groups. */
export const OPTION_GROUPS: readonly OptionGroup[] = [WHERE, WHAT, HOW, PRINT];

/** All options of the device program. */
export const OPTIONS: readonly OptionRow[] = OPTION_GROUPS.flatMap(({ options }) => options);

/** A command: what it is called by, and its own options. */
export interface CommandRow {
  /** The word that stands first on the command line. */
  readonly name: string;
  /** What follows it, in short. */
  readonly usage: string;
  /** What it does, in a few words that follow its name. */
  readonly summary: string;
  /** What it does: paragraphs, each a string. */
  readonly about: readonly string[];
  /** Its options. */
  readonly options: readonly OptionRow[];
  /** What its exit status says: a sentence after "Exit status: ". */
  readonly exitStatus: string;
}

/** The command that looks at a device from the other side. */
export const PROBE: CommandRow = {
  name: "probe",
  usage: "--socket-path=PATH [OPTION]...",
  summary: "looks at a device from the other side",
  about: [
    "Connects to a vhost-user crypto device as a VMM and its guest would, prints what it offers, and asks it a " +
    "published known answer for every algorithm it advertises: in fixed form (without VIRTIO_CRYPTO_F_MUX_MODE), in " +
    "MUX sessions, and statelessly. The device must not be in use: it serves one connection at a time.",
  ],
  options: [
    {
      name: "socket-path",
      short: "s",
      value: "PATH",
      isPath: true,
      help: "The unix socket that the device listens on.",
    },
    { name: "queue", value: "N", help: "Ask on data queue N (default 0)." },
    {
      name: "quick",
      help: "One direction in one descriptor layout; otherwise both directions, forged tags and several layouts.",
    },
    { name: "json", help: "Print the findings as JSON." },
    { name: "help", short: "h", help: "Print this text and exit." },
  ],
  exitStatus: "0 if all that can be negotiated passed, 1 if something failed, 2 for a wrong command line.",
};

/** The command that prints what a running device has counted. */
export const STATS: CommandRow = {
  name: "stats",
  usage: "--stats-socket=PATH [OPTION]...",
  summary: "prints what a running device has counted",
  about: [
    "Asks a device that runs with --stats-socket=PATH, and prints a page: its sessions, its queues and the requests it " +
    "has answered, with rates since its start or, with --watch, of the last second.",
    "For a request, half and 99 % are upper bounds, within a factor of two, of the time that half and 99 % of them took " +
    "from being taken out of the ring to their completion. One batch in 61 is measured.",
  ],
  options: [
    { name: "stats-socket", value: "PATH", isPath: true, help: "The device's statistics socket." },
    { name: "watch", help: "Again every second, until interrupted." },
    { name: "json", help: "Print the counters as JSON, a line each time." },
    { name: "help", short: "h", help: "Print this text and exit." },
  ],
  exitStatus: "0 after a page, 1 if there is no device to ask, 2 for a wrong command line.",
};

/** The command that measures thresholds of bursts. */
export const CALIBRATE: CommandRow = {
  name: "calibrate",
  usage: "[OPTION]...",
  summary: "measures from how many requests on bursts are faster here",
  about: [
    "Measures on this host, which should have nothing else to do, from how many requests on it is faster to have " +
    "libIPSec_MB work on them side by side than to do one after the other, for every kind of request that it can. " +
    "Takes some seconds. Prints a JSON object for --bursts=FILE.",
  ],
  options: [
    {
      name: "output",
      short: "o",
      value: "FILE",
      isPath: true,
      help: "Write it to FILE; otherwise to standard output.",
    },
    { name: "help", short: "h", help: "Print this text and exit." },
  ],
  exitStatus: "0 if it was measured, 1 if there are no bursts on this host, 2 for a wrong command line.",
};

/** All commands. */
export const COMMANDS: readonly CommandRow[] = [PROBE, BENCH, STATS, CALIBRATE];
