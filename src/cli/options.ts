/**
 * Interprets and checks the options of a device.
 *
 * @module
 */
import { type AsymmetricForm, checkForm, DraftError, usualForm } from "../device/negotiated_features.ts";
import { DATA_QUEUES_MAX, POLL_US_DEFAULT, SESSIONS_DEFAULT, SESSIONS_MAX, SOCKETS_MAX } from "../device/limits.ts";
import type { MultiBufferChoice } from "../engine/multibuffer/policy.ts";
import { type EngineName, ENGINES } from "../engine/libraries.ts";
import { choice, type CommandLine, integer, splitCommandLine, UsageError } from "./command_line.ts";
import { type Environment, LOG_VARIABLE, processEnvironment } from "./environment.ts";
import { groupId } from "../os/groups.ts";
import { type Draft, DRAFTS } from "../wire/drafts/draft.ts";
import { isJournal } from "./journal.ts";
import { LOG_LEVELS, type LogOptions } from "./log.ts";
import {
  ASYMMETRIC_FORMS,
  BURSTS,
  COMMANDS,
  FIPS_MODES,
  KEEPERS,
  LOG_FORMATS,
  ON_OFF,
  OPTIONS,
  SERVICE_NAMES,
  type Shell,
  SHELLS,
} from "./option_table.ts";
import { type ServedSocket, servedSocketsOf } from "./served_sockets.ts";

/** The action of the program: serve, or print something and exit. */
export type Action = "serve" | typeof PRINT_ACTIONS[number];

/** The options that print, by precedence. */
const PRINT_ACTIONS = ["help", "version", "list-algorithms", "print-man", "print-completion"] as const;

/** The settings of OpenSSL. */
export interface OpensslOptions {
  /** A path. */
  readonly config: string | undefined;
  /** A property query. */
  readonly properties: string | undefined;
  readonly fips: boolean;
}

/** Checked options. */
export interface Options {
  /** The sockets of the devices, one each; empty unless `action` is to serve. */
  readonly sockets: readonly ServedSocket[];
  readonly queues: number;
  /** Number of workers; 0 if the main event loop serves the queues. */
  readonly workers: number;
  /** Log messages about options that are not applied as given. */
  readonly remarks: readonly string[];
  readonly pollUs: number;
  readonly cpus: readonly number[];
  readonly maxSessions: number;
  readonly draft: Draft;
  readonly mux: boolean;
  /** Service numbers. */
  readonly statelessServices: readonly number[];
  readonly engines: readonly EngineName[];
  /** Paths. */
  readonly engineModules: readonly string[];
  readonly openssl: OpensslOptions;
  readonly bursts: MultiBufferChoice;
  readonly asymmetric: AsymmetricForm;
  readonly socketMode: number | undefined;
  /** Group id. */
  readonly socketGroup: number | undefined;
  /** Path of the statistics socket. */
  readonly statsSocket: string | undefined;
  /** Path of the socket on which another process can take over. */
  readonly handoverSocket: string | undefined;
  /** The service manager keeps the state of devices. */
  readonly keepsState: boolean;
  readonly migratesSessions: boolean;
  /** The handover socket of the process to continue for. */
  readonly takeOver: string | undefined;
  readonly sandbox: boolean;
  readonly once: boolean;
  readonly log: LogOptions;
  readonly action: Action;
  /** Prints JSON. */
  readonly json: boolean;
  /** The shell whose completions are printed. */
  readonly shell: Shell;
}

/** The requested number of workers; a queue has at most one. */
function workerCount(text: string | undefined, queues: number): number {
  if (text === "auto") return Math.min(queues, navigator.hardwareConcurrency);
  return integer("workers", text, { fallback: 0, min: 0, max: DATA_QUEUES_MAX });
}

/** Log messages about options that are not applied as given. */
function remarks(askedWorkers: number, queues: number): string[] {
  if (askedWorkers <= queues) return [];
  const remark = `--workers=${askedWorkers} exceeds one worker per data queue: ${queues} are started; ` +
    "for more give --queues too";
  return [remark];
}

function cpuList(text: string | undefined, workers: number): number[] {
  if (text === undefined) return [];
  if (workers === 0) {
    throw new UsageError("--pin-cpus pins workers to CPUs, and there are none: give --workers too");
  }
  return text.split(",").map((part) => integer("pin-cpus", part, { fallback: 0, min: 0, max: 1023 }));
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

function openssl({ text, texts }: CommandLine): OpensslOptions {
  const fips = choice("--fips", text("fips"), "off", FIPS_MODES) === "required";
  const properties = text("openssl-properties");
  const outside = [
    properties === undefined ? undefined : "--openssl-properties",
    engines(text("engines")).some((name) => name !== "openssl") && text("engines") !== undefined
      ? "--engines"
      : undefined,
    texts("engine-module").length === 0 ? undefined : "--engine-module",
    text("asymmetric") === "rfc3" ? "--asymmetric=rfc3" : undefined,
  ].find((option) => option !== undefined);
  if (fips && outside !== undefined) {
    throw new UsageError(`--fips=required serves OpenSSL's FIPS provider alone: leave out ${outside}`);
  }
  return { config: text("openssl-config"), properties, fips };
}

/** The draft and the form of its asymmetric service. */
function draftAndForm({ text }: CommandLine): Pick<Options, "draft" | "asymmetric"> {
  const draft = choice("--draft", text("draft"), "v19", DRAFTS);
  const asymmetric = choice("--asymmetric", text("asymmetric"), usualForm(draft), ASYMMETRIC_FORMS);
  for (const name of ["mux", "stateless"]) {
    if (draft === "v19" || text(name) === undefined) continue;
    throw new UsageError(`--${name} is for --draft=v19, and draft ${draft} has no such mode: leave it out`);
  }
  try {
    checkForm(draft, asymmetric);
  } catch (error) {
    if (!(error instanceof DraftError)) throw error;
    throw new UsageError(`--asymmetric=${asymmetric} does not go with --draft=${draft}: ${error.message}`);
  }
  return { draft, asymmetric };
}

/** Permissions as a number. */
function socketMode(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-7]{3,4}$/.test(text)) {
    throw new UsageError(`--socket-mode takes three or four octal digits, as in 660, not "${text}"`);
  }
  return parseInt(text, 8);
}

/** The id of a group that is given by name or number. */
function socketGroup(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return integer("socket-group", text, { fallback: -1, min: 0, max: 2 ** 31 - 1 });
  const id = groupId(text);
  if (id !== undefined) return id;
  throw new UsageError(`--socket-group takes a group of this host, by name or number, and there is no group "${text}"`);
}

function logOptions({ text }: CommandLine, environment: Environment): LogOptions {
  const inherited = choice(LOG_VARIABLE, environment(LOG_VARIABLE), "info", LOG_LEVELS);
  return {
    level: choice("--log-level", text("log-level"), inherited, LOG_LEVELS),
    format: choice("--log-format", text("log-format"), "text", LOG_FORMATS),
    hasPriorities: isJournal(environment),
  };
}

function servedSockets(line: CommandLine, environment: Environment): readonly ServedSocket[] {
  const { text } = line;
  const fd = text("fd");
  const count = text("socket-count");
  const socketPath = text("socket-path");
  for (const name of ["socket-mode", "socket-group"]) {
    const isUsed = ["socket-path", "stats-socket", "handover-socket", "take-over"].some((of) => text(of) !== undefined);
    if (text(name) !== undefined && !isUsed) {
      throw new UsageError(
        `--${name} applies to the sockets of --socket-path, --stats-socket and --handover-socket: give one of them too, or ` +
          "leave it out",
      );
    }
  }
  if (text("take-over") !== undefined) {
    if (fd !== undefined) throw new UsageError("--take-over gets the sockets of the other process: leave out --fd");
    if (socketPath === undefined) return [];
  }
  return servedSocketsOf({
    socketPath,
    fd: fd === undefined ? undefined : integer("fd", fd, { fallback: -1, min: 0, max: 1 << 20 }),
    count: count === undefined ? undefined : integer("socket-count", count, { fallback: 1, min: 1, max: SOCKETS_MAX }),
  }, environment);
}

/** Parses a command line and the variables of `environment`. Throws {@linkcode UsageError}. */
export function readOptions(commandLine: string[], environment: Environment = processEnvironment): Options {
  const line = splitCommandLine(commandLine, OPTIONS, {
    whose: "there is no option or command",
    commands: COMMANDS.map(({ name }) => name),
  });
  const { text } = line;
  const shell = text("print-completion");
  const action = PRINT_ACTIONS.find((name) => name === "print-completion" ? shell !== undefined : line.has(name)) ??
    "serve";
  if (line.has("json") && action !== "list-algorithms" && action !== "help") {
    throw new UsageError("--json is for --list-algorithms: give both, or neither");
  }
  const queues = integer("queues", text("queues"), { fallback: 1, min: 1, max: DATA_QUEUES_MAX });
  const askedWorkers = workerCount(text("workers"), queues);
  const workers = Math.min(queues, askedWorkers);
  const chosen = openssl(line);
  return {
    sockets: action === "serve" ? servedSockets(line, environment) : [],
    queues,
    workers,
    remarks: remarks(askedWorkers, queues),
    pollUs: integer("poll-us", text("poll-us"), { fallback: POLL_US_DEFAULT, min: 0, max: 1_000_000 }),
    cpus: cpuList(text("pin-cpus"), workers),
    maxSessions: integer("max-sessions", text("max-sessions"), {
      fallback: SESSIONS_DEFAULT,
      min: 1,
      max: SESSIONS_MAX,
    }),
    mux: choice("--mux", text("mux"), "on", ON_OFF) === "on",
    statelessServices: services(text("stateless")),
    engines: chosen.fips ? ["openssl"] : engines(text("engines")),
    openssl: chosen,
    engineModules: line.texts("engine-module"),
    bursts: choice("--bursts", text("bursts"), "auto", BURSTS),
    ...draftAndForm(line),
    socketMode: socketMode(text("socket-mode")),
    socketGroup: socketGroup(text("socket-group")),
    sandbox: choice("--sandbox", text("sandbox"), "on", ON_OFF) === "on",
    once: line.has("once"),
    statsSocket: text("stats-socket"),
    handoverSocket: text("handover-socket"),
    keepsState: choice("--keep-state", text("keep-state"), "off", KEEPERS) === "systemd",
    migratesSessions: choice("--migrate-sessions", text("migrate-sessions"), "off", ON_OFF) === "on",
    takeOver: text("take-over"),
    log: logOptions(line, environment),
    action,
    json: line.has("json"),
    shell: choice("--print-completion", shell, "bash", SHELLS),
  };
}
