/**
 * The manual page, in the macros of man(7), from the tables of options and commands.
 *
 * @module
 */
import type { OptionRow } from "./command_line.ts";
import { LOG_VARIABLE } from "./environment.ts";
import { type CommandRow, COMMANDS, OPTION_GROUPS } from "./option_table.ts";
import { VERSION, VERSION_DATE } from "./version.ts";
import { wrap } from "./wrap.ts";

const SOURCE_WIDTH = 80;

/** Text as roff takes it: backslashes and the hyphens of options stay what they are. */
function roff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}

/** A paragraph's text: each sentence on a line of its own, options in bold, and no line that looks like a request. */
function prose(text: string): string {
  return text.split(/(?<=[\w)]\.) (?=[A-Z])/)
    .map((sentence) => roff(sentence).replace(/(?<![\w\\])\\-\\-[a-z\\-]+/g, "\\fB$&\\fR"))
    .flatMap((sentence) => wrap(sentence, SOURCE_WIDTH))
    .map((line) => line.replace(/^[.']/, "\\&$&"))
    .join("\n");
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

function valueText(value: string): string {
  return value.split("|").map((word) => /^[A-Z]/.test(word) ? `\\fI${roff(word)}\\fR` : bold(word)).join("|");
}

function optionText({ name, short, value, help, details }: OptionRow): string {
  const names = [...(short === undefined ? [] : [bold(`-${short}`)]), bold(`--${name}`)].join(", ");
  const head = value === undefined ? names : `${names}=${valueText(value)}`;
  return `.TP\n${head}\n${prose(details === undefined ? help : `${help} ${details}`)}`;
}

function section(title: string, ...parts: readonly string[]): string {
  return [`.SH ${title.toUpperCase()}`, ...parts].join("\n");
}

function subsection(title: string, ...parts: readonly string[]): string {
  return [`.SS ${title}`, ...parts].join("\n");
}

function paragraphs(...texts: readonly string[]): string {
  return texts.map(prose).join("\n.PP\n");
}

function terms(rows: readonly (readonly [term: string, text: string])[]): string {
  return rows.map(([term, text]) => `.TP\n${bold(term)}\n${prose(text)}`).join("\n");
}

function example(command: string): string {
  return `.PP\n.in +4n\n.nf\n${roff(command)}\n.fi\n.in`;
}

function synopsis(): string {
  const usages = COMMANDS.map(({ name, usage }) => `${bold("vhost-user-crypto")} ${bold(name)} ${roff(usage)}`);
  return [`${bold("vhost-user-crypto")} ${roff("--socket-path=PATH [OPTION]...")}`, ...usages].join("\n.br\n");
}

function commandText({ name, usage, about, options, exitStatus }: CommandRow): string {
  return subsection(
    `${name} ${usage.replaceAll("-", "\\-")}`,
    paragraphs(...about),
    options.map(optionText).join("\n"),
    `.PP\n${prose(`Exit status: ${exitStatus}`)}`,
  );
}

const DESCRIPTION = [
  "Serves a virtio crypto device (virtio device 20) to a virtual machine monitor, as a backend of the vhost-user " +
  "protocol: it is handed the guest's memory and rings over a unix socket, and answers requests by calling OpenSSL's " +
  "libcrypto on the guest's buffers. It serves one VMM after the other; run one process, or at least one device, for " +
  "each guest.",
  "The guest's memory must be shared: without share=on the VMM has none to hand over.",
  "The program stays in the foreground and logs to standard error.",
];

const SANDBOX = [
  "Once all sockets are there, the program gives up what it needs no more (--sandbox=on, the default): it cannot be " +
  "dumped or traced, starts no programs, opens no new connections and changes no files, by a filter of system calls " +
  "(x86-64) and by Landlock. What a host lacks for that is logged.",
  "Whoever confines it from outside must leave it memory that is both writable and executable: V8 compiles at run time.",
];

const SIGNALS: readonly (readonly [string, string])[] = [
  ["SIGTERM, SIGINT", "Requests under way are completed, sockets of its own are removed, and the program ends with 0."],
  ["SIGUSR2", "A page of what has been counted goes to standard error: sessions, queues, requests and their rates."],
];

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  [LOG_VARIABLE, "How much is logged, unless --log-level says it: error, warn, info or debug."],
  [
    "LISTEN_FDS, LISTEN_PID",
    "Sockets passed by systemd, from descriptor 3 on; they are served where neither --socket-path nor --fd is given. " +
    "Several need --socket-count.",
  ],
  ["NOTIFY_SOCKET", "Where systemd wants to hear of readiness and of the end (Type=notify)."],
];

const EXIT_STATUS: readonly (readonly [string, string])[] = [
  ["0", "a clean end"],
  ["1", "something failed at run time"],
  ["2", "a wrong command line"],
];

const FILES: readonly (readonly [string, string])[] = [
  ["share/qemu/vhost-user/50-vhost-user-crypto.json", "Tells management programs of this backend, below the prefix."],
  [
    "vhost-user-crypto.socket, vhost-user-crypto@.socket",
    "Units that listen on /run/vhost-user-crypto/default.sock, or, one for each guest, on " +
    "/run/vhost-user-crypto/NAME.sock, and start the device with the first VMM that connects.",
  ],
];

const EXAMPLES: readonly (readonly [about: string, ...commands: string[]])[] = [
  [
    "A device of two queues, and QEMU with its own virtio-crypto device in front of it:",
    "vhost-user-crypto --socket-path=/run/crypto.sock --queues=2",
    "qemu-system-x86_64 ... -machine q35,memory-backend=mem \\\n" +
    "  -object memory-backend-memfd,id=mem,size=1G,share=on \\\n" +
    "  -chardev socket,id=crypto,path=/run/crypto.sock \\\n" +
    "  -object cryptodev-vhost-user,id=cd,chardev=crypto,queues=2 \\\n" +
    "  -device virtio-crypto-pci,cryptodev=cd",
  ],
  [
    "Four devices in one process, on /run/crypto.sock0 to /run/crypto.sock3:",
    "vhost-user-crypto --socket-path=/run/crypto.sock --socket-count=4",
  ],
  [
    "A device for the guest web1, started when its VMM connects to /run/vhost-user-crypto/web1.sock:",
    "systemctl start vhost-user-crypto@web1.socket",
  ],
  ["Does a device do what it says?", "vhost-user-crypto probe --socket-path=/run/crypto.sock"],
];

function examples(): string {
  return EXAMPLES.map(([about, ...commands]) => [prose(about), ...commands.map(example)].join("\n")).join("\n.PP\n");
}

/** The manual page of section 1. */
export function manPage(): string {
  const groups = OPTION_GROUPS.map(({ title, options }) => subsection(title, options.map(optionText).join("\n")));
  return [
    `.TH VHOST\\-USER\\-CRYPTO 1 "${VERSION_DATE}" "vhost\\-user\\-crypto ${VERSION}" "User Commands"`,
    // Names of options are neither taken apart nor pulled apart.
    ".nh\n.ad l",
    section("Name", "vhost\\-user\\-crypto \\- a vhost\\-user backend for the virtio crypto device"),
    section("Synopsis", synopsis()),
    section("Description", paragraphs(...DESCRIPTION)),
    section("Options", ...groups),
    section("Commands", ...COMMANDS.map(commandText)),
    section("Sandbox", paragraphs(...SANDBOX)),
    section("Signals", terms(SIGNALS)),
    section("Environment", terms(ENVIRONMENT)),
    section("Exit status", terms(EXIT_STATUS)),
    section("Files", terms(FILES)),
    section("Examples", examples()),
    section("See also", `${bold("qemu")}(1), ${bold("systemd.socket")}(5)`),
  ].join("\n");
}
