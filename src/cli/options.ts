/**
 * The program's options as one table: parsing, checking and the help text are made from it.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { DATA_QUEUES_MAX, POLL_US_DEFAULT, SESSIONS_DEFAULT, SESSIONS_MAX } from "../device/limits.ts";
import type { AsymmetricDialect } from "../device/dialect.ts";
import { type EngineName, ENGINES } from "../engine/engines.ts";
import type { LogLevel } from "../vhost_user/log.ts";

/** A command line that cannot be obeyed: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** One row of the option table. */
export interface OptionRow {
  /** Long name, without dashes. */
  readonly name: string;
  /** Short name. */
  readonly short?: string;
  /** What stands for the value in the help text; undefined: the option takes none. */
  readonly value?: string;
  /** What it does: a sentence. */
  readonly help: string;
}

/** All options of the device program. */
export const OPTIONS: readonly OptionRow[] = [
  { name: "socket-path", short: "s", value: "PATH", help: "Listen for a VMM on the unix socket PATH." },
  {
    name: "fd",
    value: "NUMBER",
    help: "Serve the unix socket that was inherited as this descriptor, connected or listening.",
  },
  {
    name: "queues",
    short: "q",
    value: "N",
    help: `Data queues, 1 to ${DATA_QUEUES_MAX} (default 1). The control queue comes on top.`,
  },
  {
    name: "workers",
    short: "w",
    value: "N|auto",
    help:
      "Worker isolates that share the data queues (default 0: everything on one event loop; auto: one a queue, at most " +
      "one a processor).",
  },
  {
    name: "poll-us",
    value: "N",
    help:
      `Microseconds that a worker looks at its rings before it sleeps, at most (default ${POLL_US_DEFAULT}; it adapts).`,
  },
  { name: "pin-cpus", value: "LIST", help: "Processors to tie workers to, in turn, as in 2,3." },
  {
    name: "max-sessions",
    value: "N",
    help: `Sessions that may exist at once, 1 to ${SESSIONS_MAX} (default ${SESSIONS_DEFAULT}).`,
  },
  {
    name: "mux",
    value: "on|off",
    help: "Offer the multiplexing mode (default on). Off for guests that acknowledge it without speaking it.",
  },
  {
    name: "stateless",
    value: "SERVICES",
    help: "Services offered in stateless mode: all (default), none, or a list of cipher,hash,mac,aead,akcipher.",
  },
  {
    name: "asymmetric",
    value: "FORM",
    help: "The asymmetric service: akcipher (default; what Linux and QEMU speak), rfc3 (the RFC before it), or off.",
  },
  {
    name: "engines",
    value: "LIBRARIES",
    help: `Libraries that algorithms may come from: a list of ${ENGINES.join(",")} (default: all that are installed).`,
  },
  {
    name: "engine-module",
    value: "PATH",
    help:
      "Load algorithms from the file PATH, in place of those here or on top (EngineModule of mod.ts). May be repeated.",
  },
  { name: "socket-mode", value: "OCTAL", help: "Permissions of the socket, as in 660 (default: as the umask says)." },
  { name: "socket-group", value: "GID", help: "Group of the socket, by its number (default: as the system says)." },
  {
    name: "sandbox",
    value: "on|off",
    help: "Give up programs, new connections and changes to files once serving starts (default on).",
  },
  { name: "once", help: "Exit when the first frontend has disconnected." },
  { name: "log-level", value: "LEVEL", help: "error, warn, info (default) or debug. Lines go to standard error." },
  { name: "print-capabilities", help: "Print what a management program wants to know, as JSON, and exit." },
  { name: "version", short: "V", help: "Print the versions of this program, Deno and OpenSSL, and exit." },
  { name: "help", short: "h", help: "Print this text and exit." },
];

/** Options, checked. */
export interface Options {
  /** Where to be served: exactly one of the two is set unless an action below ends the program first. */
  readonly socketPath: string | undefined;
  readonly fd: number | undefined;
  readonly queues: number;
  /** 0: no worker isolates. */
  readonly workers: number;
  readonly pollUs: number;
  readonly cpus: readonly number[];
  readonly maxSessions: number;
  readonly mux: boolean;
  /** Service numbers. */
  readonly statelessServices: readonly number[];
  readonly engines: readonly EngineName[];
  /** Paths. */
  readonly engineModules: readonly string[];
  readonly asymmetric: AsymmetricDialect;
  readonly socketMode: number | undefined;
  /** Group id. */
  readonly socketGroup: number | undefined;
  readonly sandbox: boolean;
  readonly once: boolean;
  readonly logLevel: LogLevel;
  readonly action: "serve" | "print-capabilities" | "version" | "help";
}

const SERVICE_NAMES: readonly string[] = ["cipher", "hash", "mac", "aead", "akcipher"];
const LOG_LEVELS: readonly string[] = ["error", "warn", "info", "debug"];

function integer(name: string, text: string | undefined, fallback: number, min: number, max: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new UsageError(`--${name} takes a whole number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}

function choice(name: string, text: string | undefined, fallback: string, choices: readonly string[]): string {
  if (text === undefined) return fallback;
  if (!choices.includes(text)) throw new UsageError(`--${name} takes one of ${choices.join(", ")}, not "${text}"`);
  return text;
}

function workerCount(text: string | undefined, queues: number): number {
  if (text === "auto") return Math.min(queues, navigator.hardwareConcurrency);
  // More isolates than queues would have nothing to do.
  return Math.min(queues, integer("workers", text, 0, 0, DATA_QUEUES_MAX));
}

function cpuList(text: string | undefined): number[] {
  if (text === undefined) return [];
  return text.split(",").map((part) => integer("pin-cpus", part, 0, 0, 1023));
}

function services(text: string | undefined): number[] {
  if (text === undefined || text === "all") return SERVICE_NAMES.map((_, i) => i);
  if (text === "none") return [];
  return text.split(",").map((name) => {
    const service = SERVICE_NAMES.indexOf(name);
    if (service < 0) {
      throw new UsageError(`--stateless takes all, none or a list of ${SERVICE_NAMES.join(", ")}, not "${name}"`);
    }
    return service;
  });
}

function engines(text: string | undefined): readonly EngineName[] {
  if (text === undefined) return ENGINES;
  return text.split(",").map((name) => {
    const engine = ENGINES.find((known) => known === name);
    if (engine === undefined) throw new UsageError(`--engines takes a list of ${ENGINES.join(", ")}, not "${name}"`);
    return engine;
  });
}

function paths(name: string, values: unknown): readonly string[] {
  const list = (values ?? []) as readonly string[];
  if (list.includes("")) throw new UsageError(`--${name} needs a value`);
  return list;
}

/** Reads a command line. Throws {@linkcode UsageError}. */
export function readOptions(commandLine: string[]): Options {
  const alias = Object.fromEntries(OPTIONS.flatMap(({ name, short }) => short ? [[short, name]] : []));
  const args = parseArgs(commandLine, {
    string: OPTIONS.filter(({ value }) => value !== undefined).map(({ name }) => name),
    boolean: OPTIONS.filter(({ value }) => value === undefined).map(({ name }) => name),
    collect: ["engine-module"],
    alias,
    unknown: (arg: string) => {
      throw new UsageError(`there is no option or command "${arg}"`);
    },
  });
  const text = (name: string): string | undefined => {
    const value = args[name];
    if (Array.isArray(value)) throw new UsageError(`--${name} was given more than once`);
    if (value === "") throw new UsageError(`--${name} needs a value`);
    return value as string | undefined;
  };
  const mode = text("socket-mode");
  if (mode !== undefined && !/^[0-7]{3,4}$/.test(mode)) {
    throw new UsageError(`--socket-mode takes three or four octal digits, as in 660, not "${mode}"`);
  }
  const fd = text("fd");
  const group = text("socket-group");
  const queues = integer("queues", text("queues"), 1, 1, DATA_QUEUES_MAX);
  const options: Options = {
    socketPath: text("socket-path"),
    fd: fd === undefined ? undefined : integer("fd", fd, -1, 0, 1 << 20),
    queues,
    workers: workerCount(text("workers"), queues),
    pollUs: integer("poll-us", text("poll-us"), POLL_US_DEFAULT, 0, 1_000_000),
    cpus: cpuList(text("pin-cpus")),
    maxSessions: integer("max-sessions", text("max-sessions"), SESSIONS_DEFAULT, 1, SESSIONS_MAX),
    mux: choice("mux", text("mux"), "on", ["on", "off"]) === "on",
    statelessServices: services(text("stateless")),
    engines: engines(text("engines")),
    engineModules: paths("engine-module", args["engine-module"]),
    asymmetric: choice("asymmetric", text("asymmetric"), "akcipher", ["akcipher", "rfc3", "off"]) as AsymmetricDialect,
    socketMode: mode === undefined ? undefined : parseInt(mode, 8),
    socketGroup: group === undefined ? undefined : integer("socket-group", group, -1, 0, 2 ** 31 - 1),
    sandbox: choice("sandbox", text("sandbox"), "on", ["on", "off"]) === "on",
    once: args["once"] === true,
    logLevel: choice("log-level", text("log-level"), "info", LOG_LEVELS) as LogLevel,
    action: args["help"]
      ? "help"
      : args["version"]
      ? "version"
      : args["print-capabilities"]
      ? "print-capabilities"
      : "serve",
  };
  if (options.action === "serve" && (options.socketPath === undefined) === (options.fd === undefined)) {
    throw new UsageError(
      options.fd === undefined
        ? "say where to serve: --socket-path=PATH or --fd=NUMBER"
        : "--socket-path and --fd exclude each other: a device is served in one place",
    );
  }
  return options;
}

/** The help text. */
export function helpText(): string {
  const rows = OPTIONS.map(({ name, short, value, help }) => {
    const left = `  ${short ? `-${short}, ` : "    "}--${name}${value ? `=${value}` : ""}`;
    return left.length < 30 ? `${left.padEnd(30)}${help}` : `${left}\n${" ".repeat(30)}${help}`;
  });
  return `Usage: vhost-user-crypto --socket-path=PATH [OPTION]...
       vhost-user-crypto probe --socket-path=PATH [OPTION]...

Serves a virtio crypto device to a VMM over vhost-user, with OpenSSL behind it. The command "probe" looks at any such
device from the other side: what it offers, and whether known answers come out right (probe --help).

${rows.join("\n")}

Exit status: 0 after a clean end, 1 if something failed at run time, 2 for a wrong command line.
`;
}
