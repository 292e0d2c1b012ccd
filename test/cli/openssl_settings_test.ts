/**
 * Choosing OpenSSL's configuration, properties and FIPS mode on the command line.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { use } from "./driving.ts";
import { exists, PROGRAM, run, withDeviceProcess, withDirectory } from "./programs.ts";

/** A configuration that activates `providers`, after the lines `head`. */
function configuration(providers: readonly string[], head = ""): string {
  const sections = providers.map((name) => `[${name}_section]\nactivate = 1\n`);
  const list = providers.map((name) => `${name} = ${name}_section\n`).join("");
  return `openssl_conf = main\n${head}\n[main]\nproviders = list\n[list]\n${list}${sections.join("")}`;
}

/** Runs `body` with a configuration file of that content. */
async function withConfiguration(content: string, body: (file: string) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const file = `${directory}/chosen.cnf`;
    await Deno.writeTextFile(file, content);
    await body(file);
  });
}

/** Names of the algorithms that OpenSSL serves with `args`, and what the list says of FIPS. */
async function servedWith(...args: readonly string[]): Promise<{ names: string[]; fips: string | null }> {
  const { code, stdout, stderr } = await run(PROGRAM, ["--list-algorithms", "--json", "--asymmetric=off", ...args]);
  assertEquals(code, 0, stderr);
  const { algorithms, fips } = JSON.parse(stdout);
  const served = algorithms.filter(({ library }: { library: string | null }) => library !== null);
  return { names: served.map(({ name }: { name: string }) => name), fips };
}

/** The error with which the program ends, serving nothing, with `args`. */
async function refusal(code: number, ...args: readonly string[]): Promise<string> {
  let error = "";
  await withDirectory(async (directory) => {
    const ended = await run(PROGRAM, [`--socket-path=${directory}/device.sock`, ...args]);
    assertEquals([ended.code, exists(`${directory}/device.sock`)], [code, false], ended.stderr);
    error = ended.stderr;
  });
  return error;
}

Deno.test("a configuration file that is not there is named, and nothing is served", async () => {
  const error = await refusal(1, "--openssl-config=/nowhere/openssl.cnf");
  assertStringIncludes(error, "/nowhere/openssl.cnf");
  assertStringIncludes(error, "--openssl-config");
});

Deno.test("the providers are those of the chosen file, in workers too", async () => {
  await withConfiguration(configuration(["base", "default"]), async (file) => {
    const { names } = await servedWith("--engines=openssl", `--openssl-config=${file}`);
    assert(names.includes("AES-CBC") && names.includes("SHA1"));
    assert(!names.includes("ARC4") && !names.includes("DES-CBC"), "the legacy provider is not in the file");
    for (const workers of [0, 1]) {
      const args = [`--workers=${workers}`, `--openssl-config=${file}`, "--openssl-properties=provider=default"];
      await withDeviceProcess(args, async (path) => await use(path));
    }
  });
});

Deno.test("a property query decides what OpenSSL serves", async () => {
  const preferred = await servedWith("--engines=openssl", "--openssl-properties=?provider=base");
  assert(preferred.names.includes("AES-CBC"), "a preference takes nothing away");
  const demanded = await servedWith("--engines=openssl", "--openssl-properties=provider=base");
  assertEquals(demanded.names, [], "the base provider has no algorithm of a device");
});

Deno.test("a property query that OpenSSL does not accept is named", async () => {
  assertStringIncludes(await refusal(1, "--openssl-properties==,="), "--openssl-properties");
});

Deno.test("FIPS mode does not start without an active FIPS provider", async () => {
  await withConfiguration(configuration(["default"]), async (file) => {
    const error = await refusal(1, "--fips=required", `--openssl-config=${file}`);
    assertStringIncludes(error, "FIPS provider is not active");
    assertStringIncludes(error, "fipsinstall");
  });
});

Deno.test("FIPS mode goes with nothing that is outside the provider", async () => {
  for (
    const option of [
      "--engines=openssl,gcrypt",
      "--engine-module=/x.ts",
      "--asymmetric=rfc3",
      "--openssl-properties=?provider=x",
    ]
  ) {
    assertStringIncludes(await refusal(2, "--fips=required", option), `leave out ${option.split("=")[0]}`);
  }
  assertStringIncludes(await refusal(2, "--fips=yes"), "--fips");
});

/** Where `openssl fipsinstall` leaves what it has found. */
const FIPS_MODULE_CONFIGURATION = "/etc/ssl/fipsmodule.cnf";

/** Runs `body` with a configuration of the FIPS provider; says so if this host has none. */
async function withFips(body: (file: string) => Promise<void>): Promise<void> {
  if (!exists(FIPS_MODULE_CONFIGURATION)) {
    console.log(
      `      SKIPPED: no FIPS provider is configured here (Debian 13: package openssl-provider-fips, then ` +
        `openssl fipsinstall -out ${FIPS_MODULE_CONFIGURATION} -module …/ossl-modules/fips.so)`,
    );
    return;
  }
  // The included file has the section of the provider itself.
  const content = configuration(["base"], `.include ${FIPS_MODULE_CONFIGURATION}`)
    .replace("[list]\n", "[list]\nfips = fips_sect\n");
  await withConfiguration(content, body);
}

Deno.test("FIPS mode lists what the provider executes, and nothing that is composed or another library's", async () => {
  await withFips(async (file) => {
    const { names, fips } = await servedWith("--fips=required", `--openssl-config=${file}`);
    assertStringIncludes(fips ?? "", "FIPS");
    for (
      const name of ["AES-CBC", "AES-XTS", "SHA-256", "HMAC-SHA-256", "CMAC-AES", "GMAC-AES", "AES-GCM", "AES-CCM"]
    ) {
      assert(names.includes(name), `${name} is missing`);
    }
    const outside = ["AES-F8", "3DES-CTR", "XCBC-AES", "CBCMAC-AES", "GMAC-Twofish", "ZUC-EEA3", "MD5", "ARC4"];
    assertEquals(outside.filter((name) => names.includes(name)), []);
  });
});

for (const workers of [0, 1]) {
  Deno.test(`with ${workers} workers, FIPS mode answers the known answers through the ring`, async () => {
    await withFips(async (file) => {
      const args = ["--fips=required", `--openssl-config=${file}`, `--workers=${workers}`];
      await withDeviceProcess(args, async (path, device) => {
        assertStringIncludes(device.stderr, "FIPS mode: only OpenSSL FIPS Provider");
        const probed = await run(PROGRAM, ["probe", `--socket-path=${path}`, "--quick"]);
        assertEquals(probed.code, 0, probed.stdout + probed.stderr);
        const driver = await CryptoDriver.connect(path);
        const key = new Uint8Array(16);
        const op = w.OP_ENCRYPT;
        const sessionId = await driver.createSession({ service: "aead", algo: w.AEAD_GCM, key, tagLen: 16, op });
        const request = { sessionId, op, src: key, aad: key, tagLen: 16 };
        const usual = await driver.aead({ ...request, iv: new Uint8Array(12) });
        // An IV of 16 bytes is a counter block, which is composed here.
        const composed = await driver.aead({ ...request, iv: new Uint8Array(16) });
        await driver.close();
        assertEquals([usual.status, composed.status], [w.STATUS_OK, w.STATUS_NOTSUPP]);
      });
    });
  });
}
