import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { CryptoDevice } from "../../src/device/device.ts";
import { checkAnswer } from "../../src/tools/checks.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { AKCIPHER_ANSWERS, type AkcipherAnswer } from "../../src/tools/known_akcipher_answers.ts";
import {
  CHAIN_ANSWER,
  CHAIN_PARTS,
  KNOWN_ANSWERS,
  type KnownAnswer,
  WHOLE_CHAIN_ANSWER,
} from "../../src/tools/known_answers.ts";
import { ALGORITHM_NAMES } from "../../src/driver/names.ts";
import { featuresFor, MODES } from "../../src/tools/probe.ts";
import { AEADS, CIPHERS, HASHES, MACS } from "../../src/engine/algorithms.ts";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import { readOptions } from "../../src/cli/options.ts";
import { DisconnectedError, DriverTimeoutError } from "../../src/driver/errors.ts";
import { SystemError } from "../../src/os/errno.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { groupId } from "../../src/os/groups.ts";
import { listenUnix } from "../../src/os/unix_socket.ts";
import { deviceError } from "../../src/tools/device_error.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { VhostUserServer } from "../../src/vhost_user/server.ts";
import * as ak from "../../src/wire/akcipher.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "../device/harness.ts";
import { kasumiF8, kasumiF9 } from "../engines/models/kasumi.ts";
import { snow3gUea2, snow3gUia2 } from "../engines/models/snow3g.ts";
import { gmacTwofish } from "../engines/models/twofish.ts";
import { zucEea3, zucEia3 } from "../engines/models/zuc.ts";
import { oracle } from "../vectors/oracle.ts";
import { PROGRAM, run, withDeviceProcess, withDirectory } from "./programs.ts";

const SERVICE_NUMBERS = { cipher: 0, hash: 1, mac: 2, aead: 3, chain: 0 } as const;
const NOTHING = new Uint8Array();

/** Results of the models for algorithms that the oracle does not have. */
function model({ service, algo, key, iv, src }: KnownAnswer): Uint8Array | undefined {
  if (service === "cipher" && algo === w.CIPHER_KASUMI_F8) return kasumiF8(key, iv, src);
  if (service === "cipher" && algo === w.CIPHER_SNOW3G_UEA2) return snow3gUea2(key, iv, src);
  if (service === "cipher" && algo === w.CIPHER_ZUC_EEA3) return zucEea3(key, iv, src);
  if (service === "mac" && algo === w.MAC_KASUMI_F9) {
    const padded = new Uint8Array(Math.ceil((iv.length + src.length) / 8) * 8);
    padded.set(Uint8Array.of(...iv, ...src));
    return kasumiF9(key, padded);
  }
  if (service === "mac" && algo === w.MAC_SNOW3G_UIA2) return snow3gUia2(key, iv, src);
  if (service === "mac" && algo === w.MAC_ZUC_EIA3) return zucEia3(key, iv, src);
  if (service === "mac" && algo === w.MAC_GMAC_TWOFISH) return gmacTwofish(key, iv, src);
  return undefined;
}

Deno.test("a second implementation agrees with every embedded known answer", () => {
  for (const answer of KNOWN_ANSWERS) {
    const { service, algo, key, iv, aad, src, dst, source } = answer;
    const direction = service === "cipher" || service === "aead" ? w.OP_ENCRYPT : 0;
    const number = SERVICE_NUMBERS[service];
    const computed = model(answer) ?? oracle(number, algo, direction, key, iv, aad, src, dst.length);
    assertEquals(computed?.toHex(), dst.toHex(), source);
  }
  const { lenToCipher, hashStartSrcOffset, lenToHash, authKey, hashResult } = CHAIN_PARTS;
  const { algo, key, iv, src, dst } = CHAIN_ANSWER;
  const enciphered = oracle(0, algo, w.OP_ENCRYPT, key, iv, NOTHING, src.slice(0, lenToCipher), lenToCipher)!;
  assertEquals(dst, Uint8Array.of(...enciphered, ...src.slice(lenToCipher)));
  const hashed = src.slice(hashStartSrcOffset, hashStartSrcOffset + lenToHash);
  assertEquals(oracle(2, CHAIN_PARTS.hashAlgo, 0, authKey, NOTHING, NOTHING, hashed, 20)!.toHex(), hashResult.toHex());
  const whole = WHOLE_CHAIN_ANSWER.parts!;
  const digest = (of: Uint8Array) => oracle(2, whole.hashAlgo, 0, whole.authKey, NOTHING, NOTHING, of, 20)!.toHex();
  assertEquals(digest(WHOLE_CHAIN_ANSWER.dst), whole.hashResult.toHex());
  assertEquals(digest(WHOLE_CHAIN_ANSWER.src), whole.hashFirstResult!.toHex());
});

Deno.test("every algorithm of this device has an embedded known answer and a name", () => {
  const served = { cipher: CIPHERS, hash: HASHES, mac: MACS, aead: AEADS };
  for (const [service, rows] of Object.entries(served)) {
    const answered = KNOWN_ANSWERS.filter((answer) => answer.service === service).map(({ algo }) => algo);
    assertEquals(answered, rows.map(({ algo }) => algo), service);
    for (const { algo, name } of rows) {
      assertEquals(ALGORITHM_NAMES[service as keyof typeof ALGORITHM_NAMES][algo], name);
    }
  }
});

Deno.test("a check detects a wrong byte of any answer, in every mode", async () => {
  await withDevice({}, async (device) => {
    for (const mode of MODES) {
      const driver = await device.connect({ features: featuresFor(mode) });
      for (const answer of [...KNOWN_ANSWERS, CHAIN_ANSWER]) {
        assertEquals(await checkAnswer(driver, answer, mode), undefined, answer.source);
        const dst = answer.dst.slice();
        dst[dst.length - 1]! ^= 1;
        const complaint = await checkAnswer(driver, { ...answer, dst }, mode, { quick: true });
        assertMatch(complaint ?? "nothing", /^wrong bytes from \d+ on: /, answer.source);
      }
      await driver.close();
    }
  });
});

function toBigint(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytes.toHex()}`);
}

/** `base` to the power of `exponent` modulo `modulus`. */
function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let square = base % modulus, rest = exponent; rest > 0n; rest >>= 1n, square = square * square % modulus) {
    if ((rest & 1n) === 1n) result = result * square % modulus;
  }
  return result;
}

Deno.test("a second implementation agrees with every embedded asymmetric answer", async () => {
  for (const { cases, name } of AKCIPHER_ANSWERS) {
    for (const { session, opcode, src, digest, dst } of cases) {
      if (session.algo === ak.AKCIPHER_RSA) {
        const key = session.keyType === ak.AKCIPHER_KEY_PRIVATE
          ? createPrivateKey({ key: Buffer.from(session.key), format: "der", type: "pkcs1" })
          : createPublicKey({ key: Buffer.from(session.key), format: "der", type: "pkcs1" });
        const { n, e, d } = key.export({ format: "jwk" }) as Record<string, string>;
        const number = (text: string) => toBigint(Uint8Array.fromBase64(text, { alphabet: "base64url" }));
        const padded = `0001${"ff".repeat(202)}003031300d060960864801650304020105000420`;
        const isPrivate = opcode === w.AKCIPHER_DECRYPT || opcode === w.AKCIPHER_SIGN;
        const base = opcode === w.AKCIPHER_SIGN ? BigInt(`0x${padded}${src.toHex()}`) : toBigint(src);
        const result = power(base, number(isPrivate ? d! : e!), number(n!)).toString(16).padStart(512, "0");
        assertEquals(result, digest === undefined ? dst.toHex() : padded + digest.toHex(), name);
      } else {
        const key = await crypto.subtle.importKey(
          "raw",
          Uint8Array.from(session.key),
          { name: "ECDSA", namedCurve: "P-256" },
          false,
          ["verify"],
        );
        const rs = Uint8Array.of(...src.slice(5, 37), ...src.slice(40, 72));
        assertEquals(digest, new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("sample"))));
        const algorithm = { name: "ECDSA", hash: "SHA-256" };
        assert(await crypto.subtle.verify(algorithm, key, rs, new TextEncoder().encode("sample")), name);
      }
    }
  }
});

Deno.test("a check detects a wrong byte of any asymmetric answer, in every mode", async () => {
  await withDevice({}, async (device) => {
    for (const mode of MODES) {
      const driver = await device.connect({ features: featuresFor(mode) });
      for (const answer of AKCIPHER_ANSWERS) {
        assertEquals(await checkAnswer(driver, answer, mode), undefined, answer.name);
        for (const testCase of answer.cases) {
          const isVerify = testCase.opcode === w.AKCIPHER_VERIFY;
          const changed = (bytes: Uint8Array) => Uint8Array.from(bytes, (byte, i) => i === 20 ? byte ^ 1 : byte);
          const wrong = isVerify
            ? { ...testCase, digest: changed(testCase.digest!) }
            : { ...testCase, dst: changed(testCase.dst) };
          const complaint = await checkAnswer(driver, { ...answer, cases: [wrong] }, mode, { quick: true });
          assertMatch(complaint ?? "nothing", isVerify ? /^status KEY_REJECTED / : /^wrong bytes from 20 on/);
        }
      }
      await driver.close();
    }
  });
});

Deno.test("a check detects a device that accepts forged signatures", async () => {
  const [{ cases: [testCase] }] = AKCIPHER_ANSWERS as [AkcipherAnswer];
  const driver = {
    createSession: () => Promise.resolve(1),
    destroySession: () => Promise.resolve(w.STATUS_OK),
    request: () => Promise.resolve({ status: w.STATUS_OK, dst: NOTHING, result: NOTHING, usedLen: 1 }),
  } as unknown as CryptoDriver;
  const complaint = await checkAnswer(driver, { ...AKCIPHER_ANSWERS[0]!, cases: [testCase!] }, "fixed");
  assertEquals(complaint, "a forged signature got status OK instead of KEY_REJECTED");
});

/** Number of algorithms in a probe of this host's device, with or without the asymmetric service. */
function algorithmCount(asymmetric = true): number {
  const { ciphers, hashes, macs, aeads } = createCatalogue();
  return ciphers.size + hashes.size + macs.size + aeads.size + 1 + (asymmetric ? AKCIPHER_ANSWERS.length : 0);
}

Deno.test("probe: everything passes, as text and as JSON", async () => {
  await withDeviceProcess(["--queues=2"], async (path) => {
    const text = await run(PROGRAM, ["probe", `--socket-path=${path}`]);
    assertEquals([text.code, text.stderr], [0, ""]);
    const algorithms = algorithmCount();
    assertStringIncludes(text.stdout, `${3 * algorithms} passed, 0 failed, 0 not available`);
    assertMatch(text.stdout, /^services +CIPHER, HASH, MAC, AEAD, AKCIPHER$/m);
    assertMatch(text.stdout, /^limits +cipher key 64 bytes, authentication key 512 bytes, request 4194304 bytes$/m);
    assertMatch(text.stdout, /^cipher +AES-CBC +pass +pass +pass *$/m);

    const json = await run(PROGRAM, ["probe", "-s", path, "--queue=1", "--quick", "--json"]);
    assertEquals([json.code, json.stderr], [0, ""]);
    const report = JSON.parse(json.stdout);
    assertEquals([report.passed, report.failed, report.unavailable], [3 * algorithms, 0, 0]);
    assertEquals([report.queueCount, report.config.maxDataqueues, report.config.maxSize], [3, 2, "4194304"]);
    assert(report.protocolFeatures.names.includes("CRYPTO_SESSION"));
    assertEquals(report.results[2].name, "AES-CBC");
    assertEquals(report.results[2].modes.mux, { outcome: "passed" });
  });
});

Deno.test("probe: without VIRTIO_CRYPTO_F_MUX_MODE only the fixed form is checked, without failures", async () => {
  await withDeviceProcess(["--mux=off"], async (path) => {
    const { code, stdout } = await run(PROGRAM, ["probe", `--socket-path=${path}`, "--quick"]);
    assertEquals(code, 0);
    assertMatch(stdout, /^cipher +AES-CBC +pass +- +- *$/m);
    assertStringIncludes(stdout, "mux (cipher): VIRTIO_CRYPTO_F_MUX_MODE is not offered");
    const count = algorithmCount();
    assertStringIncludes(stdout, `\n${count} passed, 0 failed, ${2 * count} not available\n`);
  });
});

Deno.test("probe: stateless mode of one service", async () => {
  await withDeviceProcess(["--stateless=cipher"], async (path) => {
    const { code, stdout } = await run(PROGRAM, ["probe", `--socket-path=${path}`, "--quick"]);
    assertEquals(code, 0);
    assertMatch(stdout, /^cipher +AES-CBC +pass +pass +pass *$/m);
    assertMatch(stdout, /^hash +SHA1 +pass +pass +- *$/m);
    assertStringIncludes(stdout, "stateless (hash): VIRTIO_CRYPTO_F_HASH_STATELESS_MODE is not offered");
  });
});

Deno.test("probe: the RFC's 64-byte configuration and algorithms, without checks of AKCIPHER", async () => {
  await withDeviceProcess(["--asymmetric=rfc3"], async (path) => {
    const { code, stdout } = await run(PROGRAM, ["probe", `--socket-path=${path}`, "--quick"]);
    assertEquals(code, 0);
    assertMatch(stdout, /^layout +64 bytes: draft v15 with the asymmetric RFC v3$/m);
    assertMatch(stdout, /^services +CIPHER, HASH, MAC, AEAD, ASYM$/m);
    assertMatch(stdout, /^asymmetric +RSA, DSA, DH, ECDSA, ECDH$/m);
    assertMatch(stdout, /^RSA paddings +none, PKCS1, OAEP,.* PSS$/m);
    assertMatch(stdout, /^limits +cipher key 64 bytes, authentication key 512 bytes, request 4194304 bytes$/m);
    assertMatch(stdout, /^asym +ECDSA +no known answer here: not checked$/m);
    assertStringIncludes(stdout, `\n${3 * algorithmCount(false)} passed, 0 failed, 0 not available`);

    const { config } = JSON.parse((await run(PROGRAM, ["probe", "-s", path, "--quick", "--json"])).stdout);
    assertEquals([config.layout, config.maxCipherKeyLen, config.maxAuthKeyLen, config.maxSize], [
      "rfc3",
      64,
      512,
      "4194304",
    ]);
    assertEquals([config.akcipher.names, config.asym.names.length], [[], 5]);
  });
});

Deno.test("probe: a missing data queue and an unreachable device", async () => {
  await withDeviceProcess([], async (path) => {
    const { code, stderr } = await run(PROGRAM, ["probe", `--socket-path=${path}`, "--queue=1"]);
    assertEquals([code, stderr], [1, "vhost-user-crypto: error: the device has no data queue 1, only 0 to 0\n"]);
  });
  await withDirectory(async (directory) => {
    const { code, stderr } = await run(PROGRAM, ["probe", `--socket-path=${directory}/missing.sock`]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, `cannot connect to a device at ${directory}/missing.sock`);
    assertStringIncludes(stderr, "ENOENT): there is no socket: start the device");
  });
});

Deno.test("probe says whether no device listens, it may not connect, nothing comes in time, or the device goes", async () => {
  const error = (about: SystemError | DriverTimeoutError | DisconnectedError) =>
    (deviceError("/run/c.sock", about) as Error).message;
  assertMatch(error(new SystemError("connect", 111)), /ECONNREFUSED\): no process listens there: start the device/);
  assertMatch(error(new SystemError("connect", 13)), /EACCES\): this user may not connect .*--socket-group/);
  assertMatch(error(new DriverTimeoutError("a reply did not come")), /did not answer in time .* another frontend; see/);
  assertMatch(error(new DisconnectedError("the connection was closed")), /has gone or has closed the connection/);
  await withDirectory(async (directory) => {
    const path = `${directory}/c.sock`;
    closeFd(listenUnix(path));
    const { code, stderr } = await run(PROGRAM, ["probe", `--socket-path=${path}`]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "no process listens there");
  });
});

Deno.test("a socket's group may be named", () => {
  assertEquals(groupId("root"), 0);
  assertEquals(groupId("no-such-group"), undefined);
  const group = readOptions(["--socket-path=/tmp/x", "--socket-group=root"]).socketGroup;
  assertEquals(group, 0);
});

/** Offers VIRTIO_CRYPTO_F_MUX_MODE and then refuses it; advertises a MAC that it does not have. */
class LyingDevice extends CryptoDevice {
  override setFeatures(acknowledged: bigint): void {
    if ((acknowledged & 1n) === 1n) throw new Error("VIRTIO_CRYPTO_F_MUX_MODE is refused by this device");
    super.setFeatures(acknowledged);
  }

  override readConfig(): Uint8Array {
    const config = super.readConfig();
    config[w.CONFIG_MAC_ALGO_H_OFFSET + 2]! |= 1 << w.MAC_CBCMAC_KASUMI_F9 - 32 - 16;
    return config;
  }
}

Deno.test("probe: a device that does not serve what it offers, exit code 1", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    const loop = new EventLoop();
    const device = new LyingDevice({ dataQueues: 1 }, loop);
    const server = new VhostUserServer({ loop, device, log: () => {}, socket: { path } });
    const running = loop.run();
    const { code, stdout } = await run(PROGRAM, ["probe", `--socket-path=${path}`, "--quick"]);
    loop.stop();
    await running;
    await server.close();
    await device.close();
    loop.close();
    assertEquals(code, 1);
    assertMatch(stdout, /^cipher +AES-CBC +pass +FAIL +FAIL *$/m);
    assertMatch(
      stdout,
      /^FAIL of a whole mode\n {2}mux: SET_FEATURES was refused: \d+\n {2}stateless: SET_FEATURES was/m,
    );
    assert(!stdout.includes("AES-CBC, mux"), "the failure of the mode is reported once");
    assertMatch(stdout, /^mac +CBCMAC-KASUMI-F9 +no known answer here: not checked$/m);
    const count = algorithmCount(false);
    assertStringIncludes(stdout, `\n${count} passed, ${2 * count} failed, 0 not available\n`);
  });
});
