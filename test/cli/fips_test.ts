/**
 * FIPS mode. Most of it needs OpenSSL's FIPS provider, which the roots of scripts/debian-root have.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { RefusedError } from "../../src/driver/errors.ts";
import * as ak from "../../src/wire/akcipher.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { configuration, listedWith, refusal, servedWith, withConfiguration } from "./openssl_configurations.ts";
import { exists, PROGRAM, run, withDeviceProcess, withDirectory } from "./programs.ts";

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

/** Runs `body` with a configuration of the FIPS provider whose section is in `module`; says so if this host has none. */
async function withFips(body: (file: string) => Promise<void>, module?: string): Promise<void> {
  if (!exists(FIPS_MODULE_CONFIGURATION)) {
    console.log(
      `      SKIPPED: no FIPS provider is configured here (Debian 13: package openssl-provider-fips, then ` +
        `openssl fipsinstall -out ${FIPS_MODULE_CONFIGURATION} -module …/ossl-modules/fips.so)`,
    );
    return;
  }
  // The included file has the section of the provider itself.
  const content = configuration(["base"], `.include ${module ?? FIPS_MODULE_CONFIGURATION}`)
    .replace("[list]\n", "[list]\nfips = fips_sect\n");
  await withConfiguration(content, body);
}

Deno.test("FIPS mode lists what the provider executes, and nothing that is composed or another library's", async () => {
  await withFips(async (file) => {
    const { names, fips } = await servedWith("--fips=required", `--openssl-config=${file}`);
    assertStringIncludes(fips ?? "", "FIPS");
    const { stdout } = await run(PROGRAM, ["--version", "--fips=required", `--openssl-config=${file}`]);
    assertStringIncludes(stdout, fips!);
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

/** An RSAPrivateKey of `bits` without primes, which serves to see what its size permits. */
function rsaKey(bits: number): Uint8Array {
  const integer = (...bytes: number[]) => Uint8Array.of(2, 0x82, bytes.length >>> 8, bytes.length & 0xff, ...bytes);
  const modulus = integer(0, ...new Array(bits / 8).fill(0xff));
  const zeros = new Array(5).fill(integer(0));
  const content = [integer(0), modulus, integer(1, 0, 1), integer(1, 0, 1), ...zeros].flatMap((part) => [...part]);
  return Uint8Array.of(0x30, 0x82, content.length >>> 8, content.length & 0xff, ...content);
}

/** The ECPrivateKey with the number 1, on any curve. */
const EC_KEY = Uint8Array.fromHex("3006020101040101");

/** What a device says to creating a session with such a key, and then to signing and verifying. */
async function answersTo(
  driver: CryptoDriver,
  session: { algo: number; key: Uint8Array; para0: number; para1?: number },
) {
  try {
    const keyType = ak.AKCIPHER_KEY_PRIVATE;
    const sessionId = await driver.createSession({ service: "akcipher", keyType, ...session });
    const digest = new Uint8Array(32);
    const signed = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_SIGN, src: digest, dstDataLen: 1024 });
    const verified = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_VERIFY, src: new Uint8Array(64), digest });
    return { signs: signed.status !== w.STATUS_NOTSUPP, verifies: verified.status !== w.STATUS_NOTSUPP };
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    assertStringIncludes(error.message, "NOTSUPP");
    return { signs: false, verifies: false };
  }
}

const CURVES = { "P-192": 1, "P-224": 2, "P-256": 3, "P-384": 4, "P-521": 5 } as const;

Deno.test("FIPS mode lists the key sizes and curves that the device signs and verifies with", async () => {
  await withFips(async (file) => {
    const args = ["--fips=required", `--openssl-config=${file}`];
    const { algorithms } = await listedWith(...args);
    const [rsa, ecdsa] = ["RSA", "ECDSA"].map((name) => algorithms.find((row) => row.name === name)!);
    assertEquals([rsa!.keyBits![0]!.min, rsa!.verifyKeyBits![0]!.min], [2048, 1024]);
    await withDeviceProcess(args, async (path) => {
      const driver = await CryptoDriver.connect(path);
      for (const bits of [512, 1024, 2048]) {
        const para = { para0: ak.RSA_PKCS1_PADDING, para1: ak.RSA_SHA256 };
        const answers = await answersTo(driver, { algo: ak.AKCIPHER_RSA, key: rsaKey(bits), ...para });
        assertEquals([bits, answers], [bits, { signs: bits >= 2048, verifies: bits >= 1024 }]);
      }
      for (const [name, para0] of Object.entries(CURVES)) {
        const answers = await answersTo(driver, { algo: ak.AKCIPHER_ECDSA, key: EC_KEY, para0 });
        const listed = {
          signs: ecdsa!.curves!.includes(name),
          verifies: (ecdsa!.verifyCurves ?? ecdsa!.curves!).includes(name),
        };
        assertEquals([name, answers], [name, listed]);
      }
      await driver.close();
    });
  });
});

/** Writes the section of a FIPS provider that must fail its self-test, by name. */
const BROKEN: Readonly<Record<string, (directory: string, section: string) => Promise<string>>> = {
  "whose checksum is another": (_, section) => Promise.resolve(section.replace(/^module-mac = ../m, "module-mac = 00")),
  "that was changed": async (directory, section) => {
    const found = await run("find", ["/usr/lib", "-path", "*/ossl-modules/fips.so"]);
    const module = await Deno.readFile(found.stdout.trim());
    const changed = `${directory}/fips.so`;
    module[module.length - 1]! ^= 1;
    await Deno.writeFile(changed, module, { mode: 0o755 });
    return `${section}\nmodule = ${changed}\n`;
  },
};

for (const [which, breakIt] of Object.entries(BROKEN)) {
  Deno.test(`a FIPS provider ${which} is refused by name`, async () => {
    await withDirectory(async (directory) => {
      const broken = `${directory}/fipsmodule.cnf`;
      if (exists(FIPS_MODULE_CONFIGURATION)) {
        await Deno.writeTextFile(broken, await breakIt(directory, await Deno.readTextFile(FIPS_MODULE_CONFIGURATION)));
      }
      await withFips(async (file) => {
        for (const mode of ["--fips=required", "--fips=off"]) {
          const error = await refusal(1, mode, `--openssl-config=${file}`);
          assertStringIncludes(error, "the provider fips, which OpenSSL cannot load or which fails its self-test");
        }
        const { code, stderr } = await run(PROGRAM, ["--list-algorithms", "--fips=required"], { OPENSSL_CONF: file });
        assertEquals(code, 1);
        assertStringIncludes(stderr, "FIPS provider is not active");
      }, broken);
    });
  });
}

Deno.test("where checks of FIPS 140-3 are strict, every known answer that is on offer is right", async () => {
  await withDirectory(async (directory) => {
    const strict = `${directory}/fipsmodule.cnf`;
    if (exists(FIPS_MODULE_CONFIGURATION)) {
      const section = await Deno.readTextFile(FIPS_MODULE_CONFIGURATION);
      // As `openssl fipsinstall -pedantic` has them.
      await Deno.writeTextFile(strict, section.replaceAll(/^(.*-(?:check|checks|disabled|no-.*)) = 0$/gm, "$1 = 1"));
    }
    await withFips(async (file) => {
      await withDeviceProcess(["--fips=required", `--openssl-config=${file}`], async (path) => {
        const { code, stdout, stderr } = await run(PROGRAM, ["probe", `--socket-path=${path}`, "--quick"]);
        assertEquals(code, 0, stdout + stderr);
        assertStringIncludes(stdout, "HMAC-SHA-256");
        assert(!stdout.includes("3DES"), "encryption with 3DES is not approved");
      });
    }, strict);
  });
});
