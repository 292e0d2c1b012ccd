import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { adviceFor } from "../../ffi/packages.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import * as names from "../../src/driver/names.ts";
import { PROGRAM, run, withDeviceProcess, withDirectory } from "./programs.ts";

interface Listed {
  readonly service: string;
  readonly number: number;
  readonly name: string;
  readonly served: boolean;
  readonly keyBytes: readonly { readonly min: number; readonly max: number }[] | null;
  readonly digestBytes: number | null;
  readonly library: string | null;
  readonly reason: string | null;
}

interface List {
  readonly libraries: readonly {
    readonly name: string;
    readonly version: string | null;
    readonly problem: string | null;
  }[];
  readonly asymmetric: string;
  readonly algorithms: readonly Listed[];
}

async function list(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<List> {
  const { code, stdout, stderr } = await run(PROGRAM, ["--list-algorithms", "--json", ...args], env);
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

/** The numbers of `service` that are listed as served, in ascending order. */
function served({ algorithms }: List, service: string): number[] {
  return algorithms.filter((one) => one.service === service && one.served).map(({ number }) => number)
    .sort((a, b) => a - b);
}

/** The numbers of the bits that are set in `mask`. */
function bits(mask: bigint | number): number[] {
  return Array.from({ length: 64 }, (_, i) => i).filter((i) => (BigInt(mask) >> BigInt(i) & 1n) === 1n);
}

for (const args of [[], ["--engines=openssl"], ["--engines=ipsec-mb,gcrypt"], ["--asymmetric=off"]]) {
  Deno.test(`the list equals the device's configuration space: ${args.join(" ") || "all engines"}`, async () => {
    const listed = await list(args);
    await withDeviceProcess(args, async (path) => {
      await using driver = await CryptoDriver.connect(path);
      const { cipherAlgo, hashAlgo, macAlgo, aeadAlgo, akcipherAlgo, cryptoServices } = driver.config!;
      assertEquals(
        ["cipher", "hash", "mac", "aead", "akcipher"].map((service) => served(listed, service)),
        [cipherAlgo, hashAlgo, macAlgo, aeadAlgo, akcipherAlgo].map(bits),
      );
      assertEquals((cryptoServices & 1 << 4) !== 0, served(listed, "akcipher").length > 0);
    });
  });
}

Deno.test("every number of the specification is listed once, under its name", async () => {
  const { algorithms } = await list([]);
  for (const [service, table] of Object.entries(names.ALGORITHM_NAMES)) {
    const expected = Object.entries(table).filter(([number]) => number !== "0").map(([n, name]) => [Number(n), name]);
    assertEquals(
      algorithms.filter((one) => one.service === service).map(({ number, name }) => [number, name]),
      expected,
    );
  }
  const cbcmacF9 = algorithms.find(({ name }) => name === "CBCMAC-KASUMI-F9")!;
  assertEquals([cbcmacF9.served, cbcmacF9.library, cbcmacF9.reason], [false, null, "no standard defines it"]);
});

Deno.test("lengths are listed as ranges", async () => {
  const { algorithms } = await list(["--engines=openssl"]);
  const lengths = (name: string) =>
    algorithms.find((one) => one.name === name)!.keyBytes!.map(({ min, max }) => [min, max]);
  assertEquals(lengths("ARC4"), [[5, 64]]);
  assertEquals(lengths("AES-CBC"), [[16, 16], [24, 24], [32, 32]]);
  assertEquals(lengths("AES-XTS"), [[32, 32], [64, 64]]);
  assertEquals(lengths("HMAC-SHA1"), [[0, 512]]);
  assertEquals(algorithms.find(({ name }) => name === "SHA3-384")!.digestBytes, 48);
});

Deno.test("each library is listed with its version or the reason why it is not used", async () => {
  await withDirectory(async (directory) => {
    // Empty files that are found first simulate a host without the libraries.
    for (const name of ["libIPSec_MB.so.1", "libIPSec_MB.so.2", "libgcrypt.so.20"]) {
      await Deno.writeFile(`${directory}/${name}`, new Uint8Array());
    }
    const { libraries, algorithms } = await list(["--engines=openssl,gcrypt"], { LD_LIBRARY_PATH: directory });
    assertEquals(libraries.map(({ name }) => name), ["openssl", "ipsec-mb", "gcrypt"]);
    assertMatch(libraries[0]!.version!, /^3\.\d+\.\d+/);
    const reason = (name: string) => algorithms.find((one) => one.name === name)!.reason!;
    assertEquals(reason("ZUC-EEA3"), "excluded by --engines");
    assertStringIncludes(reason("GMAC-Twofish"), adviceFor("gcrypt"));
  });
});

Deno.test("the text list has the same algorithms as the JSON list", async () => {
  const { algorithms } = await list([]);
  const { code, stdout } = await run(PROGRAM, ["--list-algorithms"]);
  assertEquals(code, 0);
  const lines = stdout.split("\n");
  for (const { number, name, library } of algorithms) {
    const line = lines.find((one) => one.startsWith(` ${String(number).padStart(3)} ${name} `));
    assert(line !== undefined, name);
    assertStringIncludes(line, library ?? "not served: ");
  }
  // What is not served for want of a package names it, however long its name is.
  assert(lines.every((line) => line.length <= 100 || line.includes("not served: ")), stdout);
});

Deno.test("the asymmetric service of the RFC v3 is listed by its own numbers", async () => {
  const { asymmetric, algorithms } = await list(["--asymmetric=rfc3"]);
  assertEquals(asymmetric, "rfc3");
  const rows = algorithms.filter(({ service }) => service === "akcipher");
  assertEquals(rows.map(({ number, name }) => `${number} ${name}`), ["1 RSA", "2 DSA", "3 DH", "4 ECDSA", "5 ECDH"]);
});
