/**
 * IVs with providers that do not keep them where OpenSSL's do: every request is executed with its own IV.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { CIPHERS } from "../../src/engine/algorithms.ts";
import type { IvSetting } from "../../src/engine/cipher.ts";
import { tryIvSetting } from "../../src/engine/iv_setting.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { oracle } from "../vectors/oracle.ts";
import { PROGRAM, ROOT, run, Running, withDirectory } from "../cli/programs.ts";
import { engineMemory } from "./memory.ts";

/** Prints what a catalogue says of its ciphers, by OpenSSL's names: decrypting, encrypting. */
const PRINT_SETTINGS = `
const { createCatalogue } = await import("${ROOT}src/engine/catalogue.ts");
const found = {};
for (const { spec, keyLens, ivSetting } of createCatalogue(["openssl"]).ciphers.values()) {
  for (const keyLen of ivSetting === undefined ? [] : keyLens) {
    found[spec.names[keyLen]] = [ivSetting(keyLen, false), ivSetting(keyLen, true)];
  }
}
console.log(JSON.stringify(found));`;

/** Those in a process with `env` in its environment. */
async function settingsWith(env: Readonly<Record<string, string>>): Promise<Record<string, IvSetting[]>> {
  const { code, stdout, stderr } = await run(Deno.execPath(), ["eval", PRINT_SETTINGS], env);
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

function configuration(module: string): string {
  return `openssl_conf = main
[main]
providers = providers
alg_section = algorithms
[providers]
default = default_provider
elsewhere = elsewhere_provider
[default_provider]
activate = 1
[elsewhere_provider]
module = ${module}
activate = 1
[algorithms]
default_properties = ?provider=elsewhere
`;
}

/** Runs `body` with the environment in which OpenSSL prefers the test's provider; skips it loudly without a compiler. */
async function withProvider(body: (env: Record<string, string>, directory: string) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const module = `${directory}/elsewhere.so`;
    const source = new URL("./iv_elsewhere_provider.c", import.meta.url).pathname;
    const probe = await run("bash", ["-c", "echo '#include <openssl/core_dispatch.h>' | gcc -E - >/dev/null"]);
    if (probe.code !== 0) {
      console.log("      SKIPPED: the provider cannot be compiled (Debian packages gcc and libssl-dev)");
      return;
    }
    const { code, stderr } = await run("gcc", ["-shared", "-fPIC", "-o", module, source, "-lcrypto"]);
    assertEquals(code, 0, stderr);
    await Deno.writeTextFile(`${directory}/openssl.cnf`, configuration(module));
    await body({ OPENSSL_CONF: `${directory}/openssl.cnf` }, directory);
  });
}

Deno.test("with OpenSSL's own providers, every cipher's IV is set in place", async () => {
  const settings = Object.entries(await settingsWith({}));
  for (const [name, both] of settings) assertEquals([name, both], [name, ["in-place", "in-place"]]);
  // CBC and CTR of AES, CBC of 3DES, XTS; DES-CBC is the legacy provider's.
  assert(settings.length >= 10, `only ${settings.length} ciphers were tried`);
});

Deno.test("a cipher that OpenSSL does not have is refused", () => {
  const { spec } = CIPHERS.find(({ name }) => name === "AES-CBC")!;
  const unknown = { ...spec!, names: { 16: "AES-128-NONE" } };
  assertEquals(tryIvSetting(engineMemory, { spec: unknown, keyLen: 16, encrypt: true }), null);
});

Deno.test("if a provider does not read the IV from the address that it gives, the IV is set by an initialisation", async () => {
  await withProvider(async (env) => {
    const settings = await settingsWith(env);
    for (const name of ["AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "AES-192-CTR"]) {
      assertEquals([name, settings[name]], [name, ["initialise", "initialise"]]);
    }
    assertEquals(settings["AES-128-CTR"], ["in-place", "in-place"]);
    assertEquals(settings["AES-256-CTR"], ["in-place", "in-place"]);
  });
});

const ALGORITHMS = [
  { algo: w.CIPHER_AES_CBC, mode: "cbc", keyLens: [16, 24, 32] },
  { algo: w.CIPHER_AES_CTR, mode: "ctr", keyLens: [16, 24, 32] },
] as const;

const NO_AAD = new Uint8Array();

/** The first bytes of a session's IVs: one comes twice. */
const IVS = [1, 2, 3, 2];

/** Asks one session after another for requests whose IVs differ, and compares with another implementation. */
async function askWithSeveralIvs(driver: CryptoDriver): Promise<void> {
  const src = new Uint8Array(96).map((_, i) => i * 7);
  for (const { algo, mode, keyLens } of ALGORITHMS) {
    for (const keyLen of keyLens) {
      const key = new Uint8Array(keyLen).map((_, i) => i + keyLen);
      for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) {
        const sessionId = await driver.createSession({ service: "cipher", algo, key, op });
        const name = `aes-${8 * keyLen}-${mode}`;
        const answers: string[] = [];
        for (const first of IVS) {
          const iv = new Uint8Array(16).fill(first);
          const { status, dst } = await driver.cipher({ sessionId, op, iv, src });
          const wanted = oracle(w.SERVICE_CIPHER, algo, op, key, iv, NO_AAD, src, src.length)!.toHex();
          assertEquals([name, op, first, status, dst.toHex()], [name, op, first, w.STATUS_OK, wanted]);
          answers.push(dst.toHex());
        }
        assertNotEquals(answers[0], answers[1]);
        await driver.destroySession("cipher", sessionId);
      }
    }
  }
}

for (const workers of [0, 1]) {
  Deno.test(`a device with ${workers} workers uses every request's own IV with such a provider`, async () => {
    await withProvider(async (env, directory) => {
      const path = `${directory}/device.sock`;
      const device = new Running(PROGRAM, [`--socket-path=${path}`, "--engines=openssl", `--workers=${workers}`], {
        env,
      });
      try {
        await device.said("serving");
        const driver = await CryptoDriver.connect(path);
        await askWithSeveralIvs(driver).finally(() => driver.close());
      } finally {
        device.kill("SIGTERM");
      }
      const { code, stderr } = await device.ended();
      assertEquals(code, 0, stderr);
    });
  });
}
