/**
 * The manual page, in the macros of man(7), from the tables of options and commands.
 *
 * @module
 */
import type { OptionRow } from "./command_line.ts";
import { LOG_VARIABLE } from "./environment.ts";
import { COMMANDS, OPTION_GROUPS } from "./option_table.ts";
import type { CommandRow } from "./command_line.ts";
import { OUTAGE_ADVICE, OUTAGES } from "./outage_table.ts";
import { VERSION, VERSION_DATE } from "./version.ts";
import { wrap } from "./wrap.ts";

const SOURCE_WIDTH = 80;

/** `text` escaped for roff, with backslashes and hyphens kept. */
function roff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}

/** A paragraph: each sentence on its own line, options in bold, and no line that roff takes for a request. */
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
  "protocol: it receives the guest's memory and rings over a unix socket, and executes requests by calling OpenSSL's " +
  "libcrypto on the guest's buffers. It serves one VMM at a time; run one process, or at least one device, for each " +
  "guest.",
  "The guest's memory must be shared (share=on); otherwise the VMM cannot pass it to the device.",
  "The program stays in the foreground and logs to standard error.",
];

const SANDBOX = [
  "Once all sockets exist, the program drops the rights that it does not need any more (--sandbox=on, the default): it " +
  "cannot be dumped or traced, starts no programs, opens no new connections and changes no files. It uses a filter of " +
  "system calls (x86-64) and Landlock, and logs what the kernel does not support.",
  "Confinement from outside must allow memory that is both writable and executable, as V8 compiles at run time.",
];

const SIGNALS: readonly (readonly [string, string])[] = [
  [
    "SIGTERM, SIGINT",
    "Requests in flight are completed, the program's own sockets are removed, and it ends with exit status 0. A second " +
    "signal ends it at once. A connected guest waits for answers then: see When the device goes away.",
  ],
  ["SIGUSR2", "Prints the page of statistics to standard error: sessions, queues, requests and their rates."],
];

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  [LOG_VARIABLE, "Log level, unless --log-level is given: error, warn, info or debug."],
  [
    "LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID",
    "Sockets passed by systemd, from descriptor 3 on; they are served if neither --socket-path nor --fd is given. " +
    "Several sockets need --socket-count. Descriptors with names that begin with vuc-kept- are what --keep-state=systemd " +
    "has kept.",
  ],
  ["NOTIFY_SOCKET", "Socket on which systemd is notified of readiness and of the end (Type=notify)."],
];

const EXIT_STATUS: readonly (readonly [string, string])[] = [
  ["0", "a clean end"],
  ["1", "a runtime failure"],
  ["2", "a wrong command line"],
];

const FILES: readonly (readonly [string, string])[] = [
  [
    "share/qemu/vhost-user/50-vhost-user-crypto.json",
    "Description of this backend for management programs, below the prefix.",
  ],
  [
    "vhost-user-crypto.socket, vhost-user-crypto@.socket",
    "Units that listen on /run/vhost-user-crypto/default.sock or, one per guest, on " +
    "/run/vhost-user-crypto/NAME.sock, and start the device when a VMM connects.",
  ],
];

const EXAMPLES: readonly (readonly [about: string, ...commands: string[]])[] = [
  [
    "A device with two queues, and QEMU with its device model cryptodev:",
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
  ["A check of everything that a device offers:", "vhost-user-crypto probe --socket-path=/run/crypto.sock"],
];

function examples(): string {
  return EXAMPLES.map(([about, ...commands]) => [prose(about), ...commands.map(example)].join("\n")).join("\n.PP\n");
}

function outages(): string {
  return terms(
    OUTAGES.map(({ event, vmm, effect, remedy }) => [`${event}: ${vmm}`, `Effect: ${effect}. Remedy: ${remedy}.`]),
  );
}

/** The manual page of section 1. */
export function manPage(): string {
  const groups = OPTION_GROUPS.map(({ title, options }) => subsection(title, options.map(optionText).join("\n")));
  return [
    `.TH VHOST\\-USER\\-CRYPTO 1 "${VERSION_DATE}" "vhost\\-user\\-crypto ${VERSION}" "User Commands"`,
    // Option names are neither hyphenated nor stretched.
    ".nh\n.ad l",
    section("Name", "vhost\\-user\\-crypto \\- a vhost\\-user backend for the virtio crypto device"),
    section("Synopsis", synopsis()),
    section("Description", paragraphs(...DESCRIPTION)),
    section("Options", ...groups),
    section("Commands", ...COMMANDS.map(commandText)),
    section("Sandbox", paragraphs(...SANDBOX)),
    section("Signals", terms(SIGNALS)),
    section("When the device goes away", outages(), paragraphs(OUTAGE_ADVICE)),
    section("Environment", terms(ENVIRONMENT)),
    section("Exit status", terms(EXIT_STATUS)),
    section("Files", terms(FILES)),
    section("Examples", examples()),
    section("See also", `${bold("qemu")}(1), ${bold("systemd.socket")}(5)`),
  ].join("\n");
}
