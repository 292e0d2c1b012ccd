/**
 * The documentation is true: every command line in it is run by something that `scripts/test` runs, or it is said here
 * why not; options, files, links and QEMU's arguments that it names exist.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { COMMANDS, OPTIONS } from "../../src/cli/option_table.ts";
import { readOptions } from "../vm/options.ts";
import { guestArguments } from "../vm/qemu.ts";
import { pages } from "../../scripts/docs.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const PAGES: ReadonlyMap<string, string> = new Map(pages().map((path) => [path, Deno.readTextFileSync(ROOT + path)]));
const ALL: string = [...PAGES.values()].join("\n");
const HERE = "KNOWN in test/tidy/documentation_test.ts";

/** Where a command line is run: `file` holds `text`. */
type RanBy = readonly [file: string, text: string];

/**
 * The command lines of the documentation without line ends and comments; ` … ` matches anything. For each, the file and the
 * text that run it, or the reason why nothing does.
 */
const KNOWN: Readonly<Record<string, RanBy | string>> = {
  "scripts/demo": ["test/cli/demo_test.ts", "scripts/demo"],
  "scripts/test": "it is what runs this test",
  "scripts/test PATH…": "it is what runs this test",
  "scripts/unpack-packages": ["scripts/on-arm64", "scripts/unpack-packages"],
  "scripts/vm --arm64": "an emulated machine takes minutes",
  "scripts/test --on=arm64": "emulation takes too long for every run",
  "scripts/test --on=arm64 PATH…": ["scripts/test", 'run_tests "$@"'],
  "scripts/test --on=arm64 [PATH…]": ["scripts/test", 'run_tests "$@"'],
  "scripts/on-arm64": ["scripts/test", "on=(scripts/on-arm64)"],
  "scripts/check": ["scripts/test", "scripts/check"],
  "scripts/prepare": ["scripts/test", "scripts/prepare"],
  "scripts/check-goals": ["scripts/test", "scripts/check-goals"],
  "scripts/bench": ["scripts/test", "scripts/bench"],
  "scripts/v8-flags": ["scripts/bench", "scripts/v8-flags"],
  "scripts/test test/proof test/vectors test/engines/numbers_test.ts test/statistics/counters_test.ts test/cli/algorithms_test.ts test/cli/probe_test.ts test/device/known_answers_test.ts test/conformance/differential_test.ts":
    "its tests are those that scripts/test runs",
  "scripts/test --unit": "its tests are those that scripts/test runs",
  "scripts/bench --figures": ["scripts/check-goals", "--figures"],
  "scripts/bench --choice": "measuring how good a choice is takes minutes, and a machine that does nothing else",
  "scripts/ab-bench A B": "comparing two commits takes half an hour, and a machine that does nothing else",
  "scripts/compile": ["scripts/check", "scripts/compile --check"],
  "scripts/fuzz [--seconds=N] [--seed=S] [--workers=0|1] [--target=rings|requests|asymmetric|messages|rewriting|rfc3|state|draft-v15|draft-v5]":
    [
      "test/fuzz/fuzz_test.ts",
      "await fuzz(",
    ],
  "scripts/soak --minutes=N [--workers=N] [--queues=N] [--seed=S] [--handover-seconds=N] [--svg=FILE] [--json]": [
    "test/soak/soak_test.ts",
    "await soak(",
  ],
  "scripts/coverage": ["scripts/test", "scripts/coverage --report"],
  "scripts/docs": ["scripts/check", "scripts/docs --check"],
  "scripts/fuzz": ["test/fuzz/fuzz_test.ts", "await fuzz("],
  "scripts/soak": ["test/soak/soak_test.ts", "await soak("],
  "scripts/charts": ["test/bench/charts_test.ts", "drawAll"],
  "scripts/deno": ["scripts/test", "scripts/deno test"],
  "scripts/vhost-user-crypto": ["test/vm/options.ts", "scripts/vhost-user-crypto"],
  "scripts/install": ["test/cli/install_test.ts", "scripts/install"],
  "scripts/compile --test": ["scripts/test", "scripts/compile --test"],
  "scripts/demo --device=PROGRAM": ["test/binary/check.ts", "`--device=${program}`"],
  "scripts/charts [--record=sizes,depths,guest]": ["test/bench/charts_test.ts", "drawAll"],
  "scripts/bench --break-even": ["test/bench/break_even_test.ts", '"--break-even"'],
  "scripts/vm --showcase": ["scripts/test", "--showcase"],
  "systemctl start vhost-user-crypto@web1.socket": ["test/systemd/checks", "systemctl start $name@web1.socket"],
  "systemctl enable --now vhost-user-crypto@web1.socket": ["test/systemd/checks", "systemctl start $name@web1.socket"],
  "OPTIONS=--workers=1 --queues=2 --stats-socket=/run/vhost-user-crypto-web1/stats.sock": [
    "test/systemd/checks",
    "--stats-socket=/run/$name-web1/stats.sock",
  ],
  "systemctl edit vhost-user-crypto@LONG-NAME.service": ["test/systemd/checks", "User=vuc-short"],
  "systemctl daemon-reload": ["test/systemd/checks", "systemctl daemon-reload"],
  "systemctl reload 'vhost-user-crypto*.service'": ["test/systemd/checks", "systemctl reload"],
  "scripts/vm --handovers= … ": "it hands over many times, which takes minutes",
  "scripts/soak --minutes= … ": ["test/soak/soak_test.ts", "soak("],
  "systemctl disable --now 'vhost-user-crypto@web1.socket'": ["test/systemd/checks", "systemctl stop"],
  "systemctl stop 'vhost-user-crypto*.service'": ["test/systemd/checks", 'systemctl stop "$name*.socket"'],
  "scripts/install --uninstall": ["test/systemd/checks", "scripts/install --uninstall"],
  "rm -rf /etc/vhost-user-crypto* /var/cache/private/vhost-user-crypto*": "it removes nothing that is installed",
  "scripts/vm --device-model=builtin": "it boots a guest with QEMU's own device, which is not this one",
  "scripts/vm --systemd": ["scripts/test", "scripts/vm --systemd --skip-if-unavailable"],
  "curl --unix-socket PATH http://localhost/metrics": ["test/statistics/server_test.ts", "GET /metrics"],
  "vhost-user-crypto stats --stats-socket=PATH --watch": ["test/cli/stats_test.ts", '"--watch"'],
  "vhost-user-crypto --list-algorithms": ["test/cli/algorithms_test.ts", "--list-algorithms"],
  "vhost-user-crypto --take-over=PATH [OPTION]…": ["test/handover/handover_test.ts", "--take-over="],
  "vhost-user-crypto --socket-path=PATH --handover-socket=HANDOVER …": [
    "test/handover/succession.ts",
    "--handover-socket=",
  ],
  "vhost-user-crypto --take-over=HANDOVER --handover-socket=HANDOVER …": [
    "test/handover/succession.ts",
    "--take-over=",
  ],
  "vhost-user-crypto --take-over=PATH --handover-socket=PATH [OPTION]…": [
    "test/handover/succession.ts",
    "--take-over=",
  ],
  "scripts/handovers": ["test/handover/handover_test.ts", "await measure("],
  "scripts/handovers -- … ": ["test/handover/handover_test.ts", "await measure("],
  "vhost-user-crypto --socket-path=PATH [OPTION]…": ["test/cli/serving_test.ts", "--socket-path="],
  "vhost-user-crypto probe --socket-path=PATH": ["test/cli/probe_test.ts", '"probe"'],
  "vhost-user-crypto conform": ["test/cli/conform_test.ts", '"conform"'],
  "vhost-user-crypto conform --socket-path=PATH": ["test/cli/conform_test.ts", '"conform"'],
  "vhost-user-crypto bench": ["test/cli/bench_test.ts", '"bench"'],
  "scripts/bench --guest": "it boots guests on a machine that does nothing else",
  "scripts/dpdk": "it installs DPDK in a root that takes minutes to make",
  "scripts/dpdk --conform": "it installs DPDK in a root that takes minutes to make",
  "scripts/bench --guest --against=dpdk": "it installs DPDK in a root that takes minutes to make",
  "scripts/bench --guest --against=dpdk [ROOT]...": "it installs DPDK in a root that takes minutes to make",
  "scripts/bench --guest [ROOT]...": "it boots guests on a machine that does nothing else",
  "scripts/bench --guest --turn-ms=3 --rounds=80 --algorithms=AES-128-CBC 5A159B6 .":
    "it takes minutes on a machine that does nothing else",
  "scripts/test --on=debian-13 [PATH…]": ["scripts/test", "run_tests_on debian-13"],
  "scripts/on DISTRIBUTION COMMAND": ["scripts/test", 'on=(scripts/on "$1")'],
  "scripts/debian-root DISTRIBUTION": ["scripts/on", 'scripts/debian-root" "$name"'],
  "vhost-user-crypto bench --socket-path=PATH": ["test/cli/bench_test.ts", '"bench"'],
  "kill -USR2 PID": ["test/cli/stats_test.ts", 'kill("SIGUSR2")'],
  "cloud-hypervisor … ": "no package of Debian's or npm's has it",
  "gcc -static -o showcase_tool test/vm/guest/showcase_tool.c": ["test/vm/guest_program.ts", '"showcase_tool.c"'],
  "./showcase_tool priority 'cbc(aes)' virtio_crypto_aes_cbc 500": [
    "test/vm/guest/showcase",
    "priority 'cbc(aes)' \"$NAMED\" 500",
  ],
  "scripts/vm": ["scripts/test", "scripts/vm --skip-if-unavailable"],
  "scripts/vm --help": ["test/vm/vm_test.ts", 'readOptions(["--help"])'],
  "scripts/vhost-user-crypto --socket-path=/run/crypto.sock": ["test/vm/options.ts", "scripts/vhost-user-crypto"],
  "vhost-user-crypto probe --socket-path=PATH [--json] [--queue=N] [--quick]": ["test/cli/probe_test.ts", '"probe"'],
  "apt install npm qemu-system-x86 libipsec-mb2 libgcrypt20 openssl-provider-legacy":
    "it installs into the machine, as root",
  "qemu-system-x86_64 … cryptodev-vhost-user … ": ["scripts/test", "scripts/vm --skip-if-unavailable"],
  "qemu-system-x86_64 … vhost-user-test-device-pci … ": ["scripts/test", "scripts/vm --skip-if-unavailable"],
};

/** Options in the documentation that are other programs'. */
const FOREIGN_OPTIONS: readonly string[] = ["generic-vhost-user", "perf-prof"];

/** Fenced blocks of a language. */
function blocks(language: string): string[] {
  return [...ALL.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, name, text]) =>
    name === language ? [text!] : []
  );
}

/** Everything in backquotes that is not a block. */
const SPANS: readonly string[] = [...ALL.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`\n]+)`/g)]
  .map(([, text]) => text!.replaceAll("\\|", "|"));

function isCommand(span: string): boolean {
  return /^(?:scripts\/[\w-]+|vhost-user-crypto)(?: |$)/.test(span);
}

/** The command lines: those of `sh` blocks, and those in backquotes. */
const LINES: readonly string[] = [
  ...blocks("sh").flatMap((text) => text.replaceAll(/\\\n\s*/g, "").split("\n")).map((line) =>
    line.replace(/(^|\s)#.*/, "")
  ),
  ...SPANS.filter(isCommand),
].map((line) => line.trim()).filter((line) => line !== "");

/** Whether `line` is what `known` stands for. */
function matches(known: string, line: string): boolean {
  const parts = known.split(" … ").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(line);
}

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(ROOT + path).catch(() => "");
}

Deno.test("documentation: every command line is run by something, or it is said why not", async () => {
  const wrong: string[] = [];
  for (const line of LINES) {
    if (Object.keys(KNOWN).some((known) => matches(known, line))) continue;
    wrong.push(
      `add to ${HERE}: ${JSON.stringify(line)}: ["the file that runs it", "the text in that file"], or why not`,
    );
  }
  for (const [known, how] of Object.entries(KNOWN)) {
    if (!LINES.some((line) => matches(known, line))) {
      wrong.push(`no page has it any more: remove from ${HERE}: ${known}`);
    }
    if (typeof how === "string") continue;
    const [file, text] = how;
    if (!(await read(file)).includes(text)) {
      wrong.push(`${file} does not run ${known}: it has no ${text}; correct ${HERE}`);
    }
  }
  assertEquals(wrong, []);
});

/** What a script may be told: its own text and that of the folders whose programs it starts. */
async function scriptText(script: string): Promise<string> {
  let text = await read(script);
  for (const [, folder] of text.matchAll(/((?:test|bench|src)(?:\/\w+)*)\/\w+\.ts/g)) {
    for await (const { name } of Deno.readDir(`${ROOT}${folder}`)) {
      if (name.endsWith(".ts")) text += await read(`${folder}/${name}`);
    }
  }
  return text;
}

function takesOption(text: string, option: string): boolean {
  return text.includes(`--${option}`) || text.includes(`"${option}"`);
}

Deno.test("documentation: every option exists", async () => {
  const wrong: string[] = [];
  const all = [...OPTIONS, ...COMMANDS.flatMap(({ options }) => options)].map(({ name }) => name);
  const scripts = (await Array.fromAsync(Deno.readDir(`${ROOT}scripts`))).filter(({ isFile }) => isFile);
  const told = (await Promise.all(scripts.map(({ name }) => scriptText(`scripts/${name}`)))).join("\n");
  for (const line of [...LINES, ...SPANS.filter((span) => span.startsWith("--"))]) {
    const [program = "", word = ""] = line.split(" ");
    const options = [...line.matchAll(/--([a-z][\w-]*)/g)].map(([, name]) => name!);
    const command = COMMANDS.find(({ name }) => name === word);
    for (const option of options) {
      let exists = true;
      if (program.endsWith("vhost-user-crypto")) {
        exists = (command?.options ?? OPTIONS).some(({ name }) => name === option);
      } else if (program.startsWith("scripts/")) exists = takesOption(await scriptText(program), option);
      else if (program.startsWith("--")) {
        exists = [...all, ...FOREIGN_OPTIONS].includes(option) || takesOption(told, option);
      }
      if (!exists) {
        wrong.push(`\`${line}\` in the documentation: there is no option --${option} (src/cli/option_table.ts)`);
      }
    }
  }
  assertEquals(wrong, []);
});

/** The words of a page that name files: those in a top-level folder, and those beside the page. */
function fileWords(path: string, text: string): string[] {
  const folder = path.slice(0, -"README.md".length);
  const spans = [...text.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`\n]+)`/g)].map(([, span]) => span!);
  return [...spans, ...LINES].flatMap((span) => span.split(/[\s=]/)).flatMap((word) => {
    if (/^(?:src|ffi|bench|test|scripts)(?:\/[\w.-]+)*\/?$/.test(word)) return [word];
    return /^[\w/]+\.ts$/.test(word) && word !== "mod.ts" ? [folder + word] : [];
  });
}

Deno.test("documentation: every file exists", async () => {
  const wrong = new Set<string>();
  for (const [path, text] of PAGES) {
    for (const word of fileWords(path, text)) {
      if (!await Deno.stat(ROOT + word).then(() => true, () => false)) wrong.add(`${path} names ${word}`);
    }
  }
  assertEquals([...wrong], []);
});

/** Values of QEMU's options in a command line, those of places and sizes put as the guest harness has them. */
function valuesOf(words: readonly string[]): string[] {
  const wanted = ["-object", "-machine", "-chardev", "-device"];
  const values = words.flatMap((word, i) => wanted.includes(words[i - 1]!) ? [`${words[i - 1]} ${word}`] : []);
  return values.map((value) => value.replace(/size=\d+[MG]/, "size=…").replace(/path=[^,]+/, "path=…"));
}

function harnessValues(deviceModel: string, qemu: string): string[] {
  const options = readOptions([`--device-model=${deviceModel}`, `--qemu=${qemu}`])!;
  const files = { vmlinux: "v", initramfs: "i", console: "c", results: "r", socket: "/s" };
  return valuesOf(guestArguments(options.guests[0]!, options, files));
}

/** QEMU's command line in src/cli/README.md that contains `part`. */
function qemuLine(part: string): string[] {
  const line = LINES.find((line) => line.startsWith("qemu-system") && line.includes(part));
  assert(line !== undefined, `no page has a command line of QEMU with ${part}`);
  return line.split(" ");
}

Deno.test("documentation: QEMU is started as scripts/vm starts it", () => {
  assertEquals(valuesOf(qemuLine("cryptodev-vhost-user")).sort(), harnessValues("cryptodev", "11.1").sort());
  assertEquals(valuesOf(qemuLine("vhost-user-test-device-pci")).sort(), harnessValues("generic", "11.1").sort());
});

/** The names of elements that are open where `xml` ends; throws where one is closed that is not open. */
function openElements(xml: string): string[] {
  const open: string[] = [];
  for (const [tag, closing, name, empty] of xml.matchAll(/<(\/?)([\w:]+)[^<>]*?(\/?)>/g)) {
    if (closing === "" && empty === "") open.push(name!);
    if (closing !== "") assertEquals(open.pop(), name, `${tag} in the xml block of README.md`);
  }
  return open;
}

Deno.test("documentation: libvirt gives QEMU the arguments of the command line", () => {
  for (const xml of blocks("xml")) {
    assertEquals(openElements(xml), [], "elements of the xml block in README.md that are not closed");
    const given = [...xml.matchAll(/<qemu:arg value='([^']*)'\/>/g)].map(([, value]) => value!);
    // libvirt places its own devices itself, and QEMU ours before them: it needs a place where nothing else will be.
    const placed = given.map((value) => value.replace(",bus=pcie.0,addr=0x10", ""));
    const words = qemuLine(
      xml.includes("cryptodev-vhost-user") ? "cryptodev-vhost-user" : "vhost-user-test-device-pci",
    );
    const wanted = words.slice(words.indexOf("-chardev"));
    assertEquals(placed, wanted, "qemu:arg of the xml block in README.md, against QEMU's command line there");
    assert(
      given.some((value) => value.endsWith(",bus=pcie.0,addr=0x10")),
      "the device has no place of its own on the bus",
    );
    assert(/<source type='memfd'\/>\s*<access mode='shared'\/>/.test(xml), "the memory is not shared");
  }
});

Deno.test("documentation: every link leads to a file", async () => {
  const wrong: string[] = [];
  for (const [path, text] of PAGES) {
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) {
      const url = new URL(target!, `file://${ROOT}${path}`);
      if (!await Deno.stat(url).then(() => true, () => false)) wrong.push(`${path}: ${target} does not exist`);
    }
  }
  assertEquals(wrong, []);
});

Deno.test("documentation: the top-level page has at most 200 lines, and every page opens with what it answers", () => {
  assert(PAGES.get("README.md")!.split("\n").length <= 201);
  for (const [path, text] of PAGES) {
    if (path !== "README.md") assert(/^# .*\n\nThis page answers: /.test(text), `${path} does not say what it answers`);
  }
});
