/** The host's side of the showcase: parsing the guest's lines and the device's counters. */
import { assertEquals, assertThrows } from "@std/assert";
import { chooseUbuntuMirror } from "./apt.ts";
import { readOptions, UsageError } from "./options.ts";
import { type Counters, Dialogue, expectedDigest, parseCounters } from "./showcase.ts";

const KEY = "603deb1015ca71be2b73aef0857d7781";
/** Computed with OpenSSL's command line, sector by sector. */
const DIGEST = "7e6dfdd7d2f099615beaa9ed3aea78f5e885556f185d7ba564a3833b46087ff4";

/** Sends `lines` to a dialogue whose device returns the given counters in turn. */
async function hold(lines: readonly string[], counters: readonly Counters[] = []) {
  const left = [...counters];
  const printed: string[] = [];
  const dialogue = new Dialogue(() => Promise.resolve(left.shift()!), (line) => printed.push(line));
  const awaited: string[] = [];
  for (const line of lines) if (await dialogue.hear(line)) awaited.push(line);
  const failed = dialogue.verdicts.filter(({ failed }) => failed > 0).map(({ text }) => text);
  return { printed, failed, awaited, passed: dialogue.verdicts.length - failed.length, dialogue };
}

Deno.test("showcase: requests and bytes are summed over algorithms and statuses, without control requests", () => {
  const exposition = `# TYPE vhost_user_crypto_requests_total counter
vhost_user_crypto_requests_total{queue="0",service="cipher",algorithm="AES-CBC",status="ok"} 40
vhost_user_crypto_requests_total{queue="0",service="cipher",algorithm="AES-CBC",status="err"} 2
vhost_user_crypto_control_requests_total{operation="create",service="cipher",status="ok"} 7
vhost_user_crypto_source_bytes_total{queue="0",service="cipher",algorithm="AES-CBC"} 20480
`;
  assertEquals(parseCounters(exposition), { requests: 42, sourceBytes: 20480 });
  assertEquals(parseCounters(""), { requests: 0, sourceBytes: 0 });
});

Deno.test("showcase: a count covers the time since the previous one, and is compared", async () => {
  const counters = [5, 5, 9, 9, 10].map((requests) => ({ requests, sourceBytes: 512 * requests }));
  const said = ["COUNT any a", "COUNT 0 b", "COUNT 4 c", "COUNT some d", "COUNT 0 e"];
  const { failed, passed, awaited, printed } = await hold(said, counters);
  assertEquals(failed, [
    "d: the device has served 0 requests, not some",
    "e: the device has served 1 requests, not 0",
  ]);
  assertEquals([passed, awaited], [2, said]);
  assertEquals(printed[2], "  device: 4 requests, 2048 bytes: c");
});

Deno.test("showcase: the host computes the guest's ciphertext independently", async () => {
  assertEquals(await expectedDigest(KEY), DIGEST);
  assertEquals((await hold([`DIGEST ${KEY} ${DIGEST} a disk`])).failed, []);
  const wrong = await hold([`DIGEST ${KEY} ${DIGEST.replace(/^./, "f")} a disk`]);
  assertEquals(wrong.failed, ["a disk: the host's own AES comes to the same ciphertext"]);
});

Deno.test("showcase: a guest's verdicts, its failures and its kernel's complaints are counted", async () => {
  const { failed, passed, dialogue, printed } = await hold([
    "KERNEL 6.12.0",
    "STEP one",
    "$ ls",
    "CHECK ok it is there",
    "CHECK failed it is the same",
    "FAIL insmod x.ko",
    "DMESG <4>[ 2.0] WARNING: CPU: 0 PID: 1 at x.c:1",
    "DMESG <4>[ 2.0] a word in passing",
    "END",
  ]);
  assertEquals([passed, failed.length, dialogue.kernel, dialogue.ended], [1, 3, "6.12.0", true]);
  assertEquals(printed.slice(0, 3), ["\n== one", "  $ ls", "  ok: it is there"]);
  assertEquals((await hold(["CHECK ok a"])).dialogue.ended, false);
});

Deno.test("showcase: its options, and Ubuntu's mirror", () => {
  assertEquals(readOptions(["--showcase"])!.guests, [{ deviceModel: "generic", qemu: "11.1", kernel: "6.12" }]);
  assertEquals(readOptions(["--showcase", "--device-model=cryptodev", "--kernel=5.4"])!.guests, [
    { deviceModel: "cryptodev", qemu: "7.2", kernel: "5.4" },
  ]);
  assertThrows(() => readOptions(["--showcase", "--device-model=builtin"]), UsageError, "give --device-model");
  assertThrows(() => readOptions(["--showcase", "--kernel=6.1"]), UsageError, "random numbers");
  const sources = "http://a.example/debian bookworm\nhttp://b.example/ubuntu/ noble\n";
  assertEquals(chooseUbuntuMirror(sources), "http://b.example/ubuntu/");
  assertEquals(chooseUbuntuMirror("http://a.example/debian bookworm\n"), undefined);
});
