/** The parts of the harness that need no guest: parsing, formats, command lines. */
import { assertEquals, assertThrows } from "@std/assert";
import { chooseMirror, parseDepends, parseUris, reachable } from "./apt.ts";
import { isComplaint, judge, parseGuestReport } from "./guest_report.ts";
import { cpioArchive, loadOrder, moduleDepends } from "./initramfs.ts";
import { readOptions, UsageError } from "./options.ts";
import { guestArguments } from "./qemu.ts";
import { findPayload } from "./vmlinux.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("the mirror is the one in the machine's apt sources", () => {
  const machine = "http://a.example/debian/ bookworm\nhttp://a.example/debian/ bookworm-updates\n" +
    "http://s.example/debian-security/ bookworm-security\nhttp://o.example/other stable-tools-1\n";
  assertEquals(chooseMirror(machine), {
    main: "http://a.example/debian/",
    security: "http://s.example/debian-security/",
  });
  assertEquals(chooseMirror("http://a.example/debian/ trixie"), {
    main: "http://a.example/debian/",
    security: "http://a.example/debian-security",
  });
  assertEquals(chooseMirror("http://u.example/ubuntu noble\nhttp://u.example/ubuntu noble-security"), undefined);
});

Deno.test("only matching dependencies are fetched", () => {
  const graph = parseDepends(
    "emu\n  Depends: liba\n |Depends: tool\n  PreDepends: libb\nliba\n  Depends: libc\ntool\n  Depends: libz\n",
  );
  assertEquals([...reachable(graph, ["emu"], /^lib/)].sort(), ["emu", "liba", "libb", "libc"]);
});

Deno.test("package names, versions and sizes are read from apt's plan", () => {
  const plan = "Reading lists...\n'http://m/pool/q_7.2_amd64.deb' qemu-x86_1%3a7.2+d-7_amd64.deb 12345 MD5Sum:00\n";
  assertEquals(parseUris(plan), [{ name: "qemu-x86", version: "1:7.2+d-7", sizeBytes: 12345 }]);
});

Deno.test("modules are loaded after their dependencies", () => {
  assertEquals(moduleDepends(bytes("\x7fELF\0license=GPL\0depends=virtio-ring,virtio\0name=x\0")), [
    "virtio_ring",
    "virtio",
  ]);
  assertEquals(moduleDepends(bytes("\0depends=\0undepends=a\0")), []);
  const graph: Record<string, string[]> = {
    pci: ["virtio", "ring"],
    virtio: ["ring"],
    ring: [],
    crypto: ["virtio", "engine"],
    engine: [],
  };
  assertEquals(loadOrder(["pci", "crypto"], (name) => graph[name]!), ["ring", "virtio", "pci", "engine", "crypto"]);
});

Deno.test("the archive has the kernel's cpio format", async () => {
  const blob = cpioArchive([{ path: "etc/b/a", mode: 0o100644, bytes: bytes("hello") }]);
  const archive = new Uint8Array(await blob.arrayBuffer());
  const text = new TextDecoder("latin1").decode(archive);
  const names: string[] = [];
  let at = 0;
  for (;;) {
    assertEquals(text.slice(at, at + 6), "070701");
    const field = (index: number) => parseInt(text.slice(at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const [size, nameLength] = [field(6), field(11)];
    const name = text.slice(at + 110, at + 110 + nameLength - 1);
    const dataAt = (at + 110 + nameLength + 3) & ~3;
    names.push(name);
    if (name === "etc/b/a") assertEquals([field(1), text.slice(dataAt, dataAt + size)], [0o100644, "hello"]);
    if (name === "dev/console") assertEquals([field(1), field(9), field(10)], [0o020600, 5, 1]);
    at = (dataAt + size + 3) & ~3;
    if (name === "TRAILER!!!") break;
  }
  assertEquals(names, ["dev", "etc", "etc/b", "dev/console", "etc/b/a", "TRAILER!!!"]);
  assertEquals(at, archive.length);
});

Deno.test("the compressed kernel is found in a bzImage", () => {
  const image = new Uint8Array(0x250 + 0x400 + 64);
  const view = new DataView(image.buffer);
  image[0x1f1] = 1;
  image.set(bytes("HdrS"), 0x202);
  view.setUint32(0x248, 0x250, true);
  view.setUint32(0x24c, 20, true);
  image.set([0x28, 0xb5, 0x2f, 0xfd, 7], 0x400 + 0x250);
  const payload = findPayload(image);
  assertEquals([payload.tool, payload.bytes.length, payload.bytes[4]], ["zstd", 16, 7]);
  image[0x400 + 0x250] = 0;
  assertThrows(() => findPayload(image), Error, "compressed in a way");
  view.setUint32(0x24c, 100_000, true);
  assertThrows(() => findPayload(image), Error, "cut short");
  assertThrows(() => findPayload(new Uint8Array(1024)), Error, "not a bzImage");
});

const GOOD_REPORT = `KERNEL 6.1.0-1-amd64
ALGORITHM driver=virtio_crypto_aes_cbc name=cbc(aes) selftest=passed
DMESG <6>[    1.2] alg: No test for pkcs1pad(rsa) (virtio-pkcs1-rsa)
PHASE grid checks=10 failed=0 ms=5
CHECKS 10 FAILED 0
STATUS 0
END
`;

function count(text: string, scope: "all" | "cipher" = "all"): [passed: number, failed: number] {
  const verdicts = judge(parseGuestReport(text), "virtio_crypto_aes_cbc", scope);
  return [verdicts.reduce((sum, { passed }) => sum + passed, 0), verdicts.reduce((sum, { failed }) => sum + failed, 0)];
}

Deno.test("a guest without failures passes", () => {
  assertEquals(count(GOOD_REPORT), [13, 0]);
  assertEquals(count(GOOD_REPORT.replaceAll("\n", "\r\n")), [13, 0]);
});

Deno.test("a guest fails for every kind of failure", () => {
  assertEquals(count(GOOD_REPORT.replace("FAILED 0", "FAILED 3")), [10, 3]);
  assertEquals(count(GOOD_REPORT.replace("selftest=passed", "selftest=unknown")), [12, 1]);
  assertEquals(count(GOOD_REPORT.replace(/ALGORITHM.*\n/, "")), [12, 1]);
  assertEquals(count(GOOD_REPORT.replace(/CHECKS.*\n/, "")), [3, 1]);
  assertEquals(count(GOOD_REPORT.replace("END\n", "")), [12, 1]);
  assertEquals(count(`${GOOD_REPORT}DMESG <4>[ 2.0] WARNING: CPU: 0 PID: 1 at x.c:1\n`), [12, 1]);
  assertEquals(count(""), [1, 3]);
  const rsa = "ALGORITHM driver=virtio-crypto-rsa name=rsa selftest=unknown\n";
  assertEquals(count(rsa + GOOD_REPORT), [13, 1]);
  assertEquals(count(rsa + GOOD_REPORT, "cipher"), [12, 0]);
});

Deno.test("complaints are distinguished from the messages of a healthy kernel", () => {
  const bad = [
    "<3>[    2.1] alg: akcipher: encrypt test failed. err -22",
    "<4>[    2.1] alg: self-tests for cbc(aes) using virtio_crypto_aes_cbc failed (rc=-22)",
    "<0>[    2.1] BUG: kernel NULL pointer dereference",
    "<3>[   23.1] virtio_crypto virtio0: Create session failed status: 1",
    "<3>[  123.1] INFO: task af_alg_check:1 blocked for more than 120 seconds.",
  ];
  const good = [
    "<6>[    1.2] alg: self-tests for CTR-KDF (hmac(sha256)) passed",
    "<6>[    2.0] virtio_crypto virtio0: will run requests pump with realtime priority",
    "<6>[    0.5] alg: self-tests disabled",
  ];
  assertEquals([bad.filter(isComplaint).length, good.filter(isComplaint).length], [bad.length, 0]);
});

Deno.test("the command line is parsed or refused", () => {
  const options = readOptions([])!;
  assertEquals(options.guests, [
    { deviceModel: "cryptodev", qemu: "7.2", kernel: "6.1" },
    { deviceModel: "generic", qemu: "11.1", kernel: "6.12" },
  ]);
  assertEquals(readOptions(["--device-model=builtin", "--qemu=10.0", "--kernel=6.12"])!.guests, [
    { deviceModel: "builtin", qemu: "10.0", kernel: "6.12" },
  ]);
  assertEquals(readOptions(["--help"]), undefined);
  for (
    const wrong of ["--nonsense", "extra", "--smp=0", "--smp=x", "--device-model=side", "--kernel=5.5", "--device=x"]
  ) {
    assertThrows(() => readOptions([wrong]), UsageError);
  }
  assertThrows(() => readOptions(["--device-model=generic", "--qemu=7.2"]), UsageError, "no generic vhost-user device");
});

Deno.test("each device model has its device", () => {
  const files = { vmlinux: "k", initramfs: "i", console: "c", results: "r", socket: "/s" };
  const device = (...args: string[]) => {
    const options = readOptions(args)!;
    const words = guestArguments(options.guests[0]!, options, files);
    return words.filter((_, i) => ["-device", "-chardev"].includes(words[i - 1]!)).join(" ");
  };
  assertEquals(
    device("--device-model=cryptodev", "--properties=event_idx=off"),
    "socket,id=crypto,path=/s virtio-crypto-pci,cryptodev=cd,vectors=0,event_idx=off",
  );
  assertEquals(
    device("--device-model=cryptodev", "--qemu=10.0"),
    "socket,id=crypto,path=/s virtio-crypto-pci,cryptodev=cd",
  );
  assertEquals(
    device("--device-model=generic"),
    "socket,id=crypto,path=/s vhost-user-test-device-pci,chardev=crypto,virtio-id=20,num_vqs=2,vq_size=1024,config_size=56",
  );
  assertEquals(device("--device-model=builtin"), "virtio-crypto-pci,cryptodev=cd,vectors=0");
});
