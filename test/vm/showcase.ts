/**
 * The showcase: the kernel of a guest encrypts with the device, while the host reads the device's counters and computes
 * ciphertexts independently. Prints a transcript and ends with verdicts.
 *
 * @module
 */
import { DRIVER, finishDevice, QEMU_STOP_MS, startDevice, tail } from "./guest_run.ts";
import { isComplaint, one, type Verdict } from "./guest_report.ts";
import { guestFiles, type GuestParts, type GuestRun } from "./guest_run.ts";
import { writeInitramfs } from "./initramfs.ts";
import type { Guest, Options } from "./options.ts";
import { BackgroundProcess, sleep } from "./process.ts";
import { guestArguments } from "./qemu.ts";

/** The text that the guest encrypts, and the size of the sectors in which it encrypts. */
const TEXT = "A guest that has something to hide.\n";
const TEXT_BYTES = 131072;
const SECTOR_BYTES = 512;
const CONNECT_TRIES = 200;
/** The device's counters may be a tenth of a second old. */
const SNAPSHOT_MS = 150;

/** The modules of the showcase's kernel, in addition to those of every guest; they include the dependencies of AES-NI. */
const MODULES = [
  ...[
    "crypto_user",
    "crypto_simd",
    "gf128mul",
    "glue_helper",
    "md5",
    "hmac",
    "sha512_generic",
    "sha3_generic",
    "drbg",
    "jitterentropy_rng",
  ],
  ...["authenc", "echainiv", "seqiv", "cryptd", "brd", "dm_crypt", "ecryptfs", "veth", "xfrm_user", "esp4"],
];

/** The device's counters of data requests. */
export interface Counters {
  readonly requests: number;
  readonly sourceBytes: number;
}

/** Sums the counters of data requests in the device's exposition. */
export function parseCounters(exposition: string): Counters {
  const sum = (metric: string) => {
    const samples = exposition.matchAll(new RegExp(`^vhost_user_crypto_${metric}\\{[^}]*\\} (\\d+)$`, "gm"));
    return [...samples].reduce((total, [, value]) => total + Number(value), 0);
  };
  return { requests: sum("requests_total"), sourceBytes: sum("source_bytes_total") };
}

async function readCounters(socket: string): Promise<Counters> {
  await sleep(SNAPSHOT_MS);
  const connection = await Deno.connect({ transport: "unix", path: socket });
  await connection.write(new TextEncoder().encode("GET /metrics HTTP/1.0\r\n\r\n"));
  return parseCounters(await new Response(connection.readable).text());
}

/** SHA-256 of the guest's text, encrypted with AES-CBC and this key, each sector with its number as the IV. */
export async function expectedDigest(keyHex: string): Promise<string> {
  const text = new TextEncoder().encode(TEXT.repeat(Math.ceil(TEXT_BYTES / TEXT.length))).subarray(0, TEXT_BYTES);
  const key = await crypto.subtle.importKey("raw", Uint8Array.fromHex(keyHex), "AES-CBC", false, ["encrypt"]);
  const result = new Uint8Array(TEXT_BYTES);
  for (let at = 0; at < TEXT_BYTES; at += SECTOR_BYTES) {
    const iv = new Uint8Array(16);
    new DataView(iv.buffer).setUint32(0, at / SECTOR_BYTES, true);
    const sector = text.subarray(at, at + SECTOR_BYTES);
    // The result has a block of padding at its end.
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, sector));
    result.set(sealed.subarray(0, SECTOR_BYTES), at);
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", result)).toHex();
}

/** The host's part of the dialogue with the guest (`guest/showcase` has the guest's part). */
export class Dialogue implements Listener {
  readonly verdicts: Verdict[] = [];
  readonly details: string[] = [];
  kernel = "unknown";
  ended = false;
  readonly #read: () => Promise<Counters>;
  readonly #print: (line: string) => void;
  #last: Counters = { requests: 0, sourceBytes: 0 };

  /** `read` returns the device's counters, `print` prints a line of the transcript. */
  constructor(read: () => Promise<Counters>, print: (line: string) => void) {
    this.#read = read;
    this.#print = print;
  }

  /** Handles a line of the guest; true if the guest waits for an answer. */
  async hear(line: string): Promise<boolean> {
    const [word = "", ...rest] = line.split(" ");
    const text = rest.join(" ");
    if (word === "STEP") this.#print(`\n== ${text}`);
    else if (word === "KERNEL") this.kernel = text;
    else if (word === "CHECK") this.#judge(rest[0] === "ok", rest.slice(1).join(" "));
    else if (word === "DIGEST") await this.#compare(rest[0]!, rest[1]!, rest.slice(2).join(" "));
    else if (word === "DMESG") this.#complain(text);
    else if (word === "FAIL") this.#judge(false, text);
    else if (word === "COUNT") await this.#count(rest[0]!, rest.slice(1).join(" "));
    else if (word === "END") this.ended = true;
    else this.#print(`  ${line}`);
    return word === "COUNT" || word === "END";
  }

  #judge(good: boolean, text: string): void {
    this.verdicts.push(one(good, text));
    this.#print(`  ${good ? "ok" : "FAILED"}: ${text}`);
  }

  #complain(line: string): void {
    if (isComplaint(line)) this.#judge(false, `the kernel complains: ${line}`);
  }

  async #compare(key: string, sum: string, text: string): Promise<void> {
    this.#judge(sum === await expectedDigest(key), `${text}: the host's own AES comes to the same ciphertext`);
  }

  async #count(wanted: string, text: string): Promise<void> {
    const now = await this.#read();
    const requests = now.requests - this.#last.requests;
    const sourceBytes = now.sourceBytes - this.#last.sourceBytes;
    this.#last = now;
    this.#print(`  device: ${requests} requests, ${sourceBytes} bytes: ${text}`);
    if (wanted === "any") return;
    const good = wanted === "some" ? requests > 0 : requests === Number(wanted);
    if (good) this.verdicts.push(one(true, `the device's counters: ${text}`));
    else this.#judge(false, `${text}: the device has served ${requests} requests, not ${wanted}`);
  }
}

/** The host's side of a dialogue. */
export interface Listener {
  /** Takes a line of the guest's; true if the guest waits for an answer. */
  hear(line: string): Promise<boolean>;
}

/** Runs the dialogue on the guest's second serial port until QEMU ends. */
export async function converse(socket: string, dialogue: Listener, qemu: BackgroundProcess): Promise<void> {
  let connection: Deno.UnixConn | undefined;
  for (let tries = 0; connection === undefined && tries < CONNECT_TRIES && qemu.code === undefined; tries++) {
    connection = await Deno.connect({ transport: "unix", path: socket }).catch(() => undefined);
    if (connection === undefined) await sleep(50);
  }
  if (connection === undefined) return;
  const answer = new TextEncoder().encode("go\n");
  const decoder = new TextDecoder();
  let left = "";
  try {
    for await (const chunk of connection.readable.values({ preventCancel: true })) {
      const lines = (left + decoder.decode(chunk, { stream: true })).split("\n");
      left = lines.pop()!;
      for (const line of lines) {
        if (await dialogue.hear(line.trimEnd())) await connection.write(answer);
      }
    }
  } catch (error) {
    // QEMU ends without reading everything; the guest's lines tell whether it reached its end.
    if (!(error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** Whether dm-crypt of this kernel refuses drivers that allocate memory, as it does since 5.9. */
function dmCryptRefuses(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split(".").map(Number);
  return major > 5 || (major === 5 && minor >= 9);
}

/** Runs the showcase's guest; `toolsDirectory` is the bundle of its programs. */
export async function runShowcase(
  guest: Guest,
  options: Options,
  parts: GuestParts & { readonly toolsDirectory: string },
): Promise<GuestRun> {
  const start = performance.now();
  const file = (name: string) => `${parts.scratch}/${name}`;
  const files = guestFiles(parts, "dialogue.sock");
  await writeInitramfs(files.initramfs, parts.kernelDirectory, {
    init: "showcase",
    programs: { "tools/showcase_tool": parts.program },
    modules: MODULES,
    laterModule: "aesni_intel",
    toolsDirectory: parts.toolsDirectory,
    settings: { DRIVER, VERDICT_S: "30", DM_CRYPT: dmCryptRefuses(guest.kernel) ? "refuses" : "takes" },
  });
  const stats = file("stats.sock");
  const dialogue = new Dialogue(() => readCounters(stats), (line) => console.log(line));
  const verdicts: Verdict[] = [];
  const deviceCommand = [...options.device, `--stats-socket=${stats}`];
  console.log(`$ ${deviceCommand.join(" ").replaceAll("{socket}", "crypto.sock").replace(stats, "stats.sock")}`);
  const device = await startDevice(deviceCommand, files.socket, file("device.log"), verdicts);
  let qemu: BackgroundProcess | undefined;
  try {
    if (verdicts.length === 0) {
      const words = guestArguments(guest, options, files, "dialogue");
      console.log(`$ ${printableCommand(words, parts.scratch, parts.kernelDirectory)}`);
      qemu = await BackgroundProcess.start([...parts.qemu.command, ...words], file("qemu.log"), parts.qemu.env);
      const talked = converse(files.results, dialogue, qemu);
      const inTime = await qemu.waitMs(options.timeoutMs);
      verdicts.push(one(inTime && qemu.code === 0, inTime ? `QEMU: exit code ${qemu.code}` : "QEMU: stopped"));
      if (inTime) await talked;
    }
  } finally {
    await qemu?.stop(QEMU_STOP_MS);
    verdicts.push(...await finishDevice(device, verdicts));
  }
  verdicts.push(...dialogue.verdicts, one(dialogue.ended, `the guest reached its end: ${dialogue.ended}`));
  const details = [...dialogue.details];
  for (const [name, lines] of [["device.log", 40], ["qemu.log", 12], ["console.log", 12]] as const) {
    details.push(...await tail(file(name), name, lines));
  }
  return { kernel: dialogue.kernel, verdicts, details, phases: [], timeMs: performance.now() - start };
}

/** A command line for the transcript: names of files without their folders. */
function printableCommand(words: readonly string[], scratch: string, kernelDirectory: string): string {
  const plain = words.map((word) => word.replaceAll(`${scratch}/`, "").replaceAll(`${kernelDirectory}/`, ""));
  return ["qemu-system-x86_64", ...plain.map((word) => /[\s]/.test(word) ? `'${word}'` : word)].join(" ");
}
