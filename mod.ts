/**
 * A vhost-user backend for the virtio crypto device, and a driver for such backends, as a library. {@linkcode serve}
 * starts a device; {@linkcode CryptoDriver} does what a VMM and its guest do; {@linkcode virtioCrypto} has the
 * specification's numbers. To use a service, a program creates a session ({@linkcode CryptoDriver.createSession}) and
 * passes requests to the method of that service, or uses stateless mode without sessions. There is an example of each
 * below.
 *
 * Linux only. Needs `--allow-ffi`, and `--allow-read --allow-write` for the socket; the device needs OpenSSL 3's
 * libcrypto.
 *
 * @example A device, and a guest's request to it
 * ```ts
 * import { CryptoDriver, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = Deno.makeTempDirSync();
 * const socketPath = `${directory}/device.sock`;
 * {
 *   await using _device = await serve({ socketPath });
 *   await using driver = await CryptoDriver.connect(socketPath);
 *
 *   const src = new TextEncoder().encode("abc");
 *   const sessionId = await driver.createSession({ service: "hash", algo: v.HASH_SHA_256, hashResultLen: 32 });
 *   const { status, result } = await driver.hash({ sessionId, src });
 *
 *   assertEquals(status, v.STATUS_OK);
 *   assertEquals(result.toHex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @example A driver for any backend
 *
 * {@linkcode CryptoDriver} works with every vhost-user backend that presents the whole device. `config` and
 * `offeredFeatures` say what the backend offers; it refuses other sessions with a {@linkcode RefusedError}.
 * ```ts
 * import { CryptoDriver, expectOk, offers, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assert, assertEquals } from "@std/assert";
 *
 * // Encrypts with AES-CBC through the backend that listens at `socketPath`, with all requests in flight together.
 * async function encrypt(socketPath: string, key: Uint8Array, ivs: Uint8Array[], src: Uint8Array): Promise<Uint8Array[]> {
 *   await using driver = await CryptoDriver.connect(socketPath, { timeoutMs: 5000 });
 *   assert(offers(driver.config?.cipherAlgo ?? 0n, v.CIPHER_AES_CBC), "this backend has no AES-CBC");
 *   const algorithm = { service: "cipher", algo: v.CIPHER_AES_CBC, key, op: v.OP_ENCRYPT } as const;
 *   const sessionId = await driver.createSession(algorithm);
 *   const answers = await Promise.all(ivs.map((iv) => driver.cipher({ sessionId, iv, src })));
 *   await driver.destroySession("cipher", sessionId);
 *   return answers.map((answer) => expectOk(answer).dst);
 * }
 *
 * const directory = Deno.makeTempDirSync();
 * const socketPath = `${directory}/backend.sock`;
 * {
 *   await using _backend = await serve({ socketPath }); // Or any other.
 *   const [first, second] = await encrypt(
 *     socketPath,
 *     Uint8Array.fromHex("2b7e151628aed2a6abf7158809cf4f3c"),
 *     [Uint8Array.fromHex("000102030405060708090a0b0c0d0e0f"), new Uint8Array(16)],
 *     Uint8Array.fromHex("6bc1bee22e409f96e93d7e117393172a"),
 *   );
 *   assertEquals(first!.toHex(), "7649abac8119b246cee98e9b12e9197d"); // SP 800-38A, F.2.1
 *   assertEquals(second!.toHex(), "3ad77bb40d7a3660a89ecaf32466ef97"); // F.1.1: with no IV, CBC begins like ECB
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @example A message authentication code
 *
 * Algorithms with an IV have it in `iv`. The specification has no field for it, so the driver sends it in front of
 * `src`.
 * ```ts
 * import { CryptoDriver, expectOk, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = Deno.makeTempDirSync();
 * const socketPath = `${directory}/device.sock`;
 * {
 *   await using _device = await serve({ socketPath });
 *   await using driver = await CryptoDriver.connect(socketPath);
 *   const text = (ascii: string) => new TextEncoder().encode(ascii);
 *
 *   const hmac = { service: "mac", algo: v.MAC_HMAC_SHA_256, hashResultLen: 32, authKey: text("Jefe") } as const;
 *   const sessionId = await driver.createSession(hmac);
 *   const code = expectOk(await driver.mac({ sessionId, src: text("what do ya want for nothing?") }));
 *   assertEquals(code.result.toHex(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"); // RFC 4231
 *
 *   const gmac = { service: "mac", algo: v.MAC_GMAC_AES, hashResultLen: 16, authKey: new Uint8Array(16) } as const;
 *   const gmacId = await driver.createSession(gmac);
 *   const { result } = expectOk(await driver.mac({ sessionId: gmacId, iv: new Uint8Array(12), src: new Uint8Array() }));
 *   assertEquals(result.toHex(), "58e2fccefa7e3061367f1d57a4e7455a"); // GCM specification, test case 1
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @example Authenticated encryption
 * ```ts
 * import { CryptoDriver, expectOk, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = Deno.makeTempDirSync();
 * const socketPath = `${directory}/device.sock`;
 * {
 *   await using _device = await serve({ socketPath });
 *   await using driver = await CryptoDriver.connect(socketPath);
 *
 *   const gcm = { service: "aead", algo: v.AEAD_GCM, key: new Uint8Array(16), tagLen: 16 } as const;
 *   const encrypting = await driver.createSession({ ...gcm, op: v.OP_ENCRYPT });
 *   const decrypting = await driver.createSession({ ...gcm, op: v.OP_DECRYPT });
 *   const iv = new Uint8Array(12); // A program must never use the same IV twice with one key.
 *   const src = new Uint8Array(16);
 *
 *   // The ciphertext, followed by the tag: GCM specification, test case 2.
 *   const { dst: encrypted } = expectOk(await driver.aead({ sessionId: encrypting, iv, src }));
 *   assertEquals(encrypted.toHex(), "0388dace60b6a392f328c2b971b2fe78" + "ab6e47d42cec13bdf53a67b21257bddf");
 *   const { dst: decrypted } = expectOk(await driver.aead({ sessionId: decrypting, iv, src: encrypted }));
 *   assertEquals(decrypted, src);
 *
 *   const aad = new TextEncoder().encode("not what was authenticated");
 *   const { status } = await driver.aead({ sessionId: decrypting, iv, aad, src: encrypted });
 *   assertEquals(status, v.STATUS_BADMSG);
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @example A cipher and an authentication code in one request
 * ```ts
 * import { CryptoDriver, expectOk, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = Deno.makeTempDirSync();
 * const socketPath = `${directory}/device.sock`;
 * {
 *   await using _device = await serve({ socketPath });
 *   await using driver = await CryptoDriver.connect(socketPath);
 *
 *   const authKey = crypto.getRandomValues(new Uint8Array(32));
 *   const sessionId = await driver.createSession({
 *     service: "chain",
 *     algChainOrder: v.CHAIN_CIPHER_THEN_HASH,
 *     cipherAlgo: v.CIPHER_AES_CBC,
 *     cipherKey: crypto.getRandomValues(new Uint8Array(16)),
 *     op: v.OP_ENCRYPT,
 *     hashMode: v.HASH_MODE_AUTH, // A MAC; HASH_MODE_PLAIN uses a hash without authKey.
 *     hashAlgo: v.MAC_HMAC_SHA_256,
 *     hashResultLen: 32,
 *     authKey,
 *   });
 *   const iv = crypto.getRandomValues(new Uint8Array(16));
 *   const { dst, result } = expectOk(await driver.chain({ sessionId, iv, src: new Uint8Array(64) }));
 *
 *   // The same code for the ciphertext alone:
 *   const hmac = { service: "mac", algo: v.MAC_HMAC_SHA_256, hashResultLen: 32, authKey } as const;
 *   const alone = expectOk(await driver.mac({ sessionId: await driver.createSession(hmac), src: dst }));
 *   assertEquals(result, alone.result);
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @example Signatures with AKCIPHER
 *
 * The ratified asymmetric service has its own hash numbers: SHA-256 is `RSA_SHA256`, not `HASH_SHA_256`.
 * ```ts
 * import { CryptoDriver, expectOk, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assertEquals } from "@std/assert";
 * import { generateKeyPairSync } from "node:crypto";
 *
 * const { privateKey, publicKey } = generateKeyPairSync("rsa", {
 *   modulusLength: 2048,
 *   privateKeyEncoding: { format: "der", type: "pkcs1" },
 *   publicKeyEncoding: { format: "der", type: "pkcs1" },
 * });
 * const directory = Deno.makeTempDirSync();
 * const socketPath = `${directory}/device.sock`;
 * {
 *   await using _device = await serve({ socketPath });
 *   await using driver = await CryptoDriver.connect(socketPath, { timeoutMs: 60_000 }); // Some operations take long.
 *
 *   const rsa = { service: "akcipher", algo: v.AKCIPHER_RSA, paddingAlgo: v.RSA_PKCS1_PADDING, hashAlgo: v.RSA_SHA256 } as const;
 *   const signing = await driver.createSession({ ...rsa, keyType: v.AKCIPHER_KEY_PRIVATE, key: privateKey });
 *   const verifying = await driver.createSession({ ...rsa, keyType: v.AKCIPHER_KEY_PUBLIC, key: publicKey });
 *
 *   const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("a message")));
 *   const sign = { sessionId: signing, opcode: v.AKCIPHER_SIGN, src: digest, dstDataLen: 256 };
 *   const { dst: signature } = expectOk(await driver.akcipher(sign)); // It has the signature's length.
 *   const verify = { sessionId: verifying, opcode: v.AKCIPHER_VERIFY, src: signature, digest };
 *   assertEquals((await driver.akcipher(verify)).status, v.STATUS_OK);
 *   signature[0]! ^= 1;
 *   assertEquals((await driver.akcipher(verify)).status, v.STATUS_KEY_REJECTED);
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @example The asymmetric service of the RFC v3
 *
 * It has no sessions; its operations are methods of {@linkcode CryptoDriver.rfc3}.
 * ```ts
 * import { CryptoDriver, ecGroups, expectOk, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = Deno.makeTempDirSync();
 * const socketPath = `${directory}/device.sock`;
 * {
 *   await using _device = await serve({ socketPath, asymmetric: "rfc3" });
 *   await using driver = await CryptoDriver.connect(socketPath, { timeoutMs: 60_000 }); // Some operations take long.
 *   const { ecdsa, ecdh } = driver.rfc3;
 *
 *   const group = ecGroups.p256;
 *   const { d, x, y } = expectOk(await ecdsa.keyGen({ group }));
 *   const message = { hashAlgo: v.HASH_SHA_256, msg: new TextEncoder().encode("a message") };
 *   const { r, s } = expectOk(await ecdsa.sign({ group, d, ...message }));
 *   const { verified } = expectOk(await ecdsa.verify({ group, x, y, r, s, ...message }));
 *   assertEquals(verified, true);
 *
 *   const [mine, yours] = [expectOk(await ecdh.keyGen({ group })), expectOk(await ecdh.keyGen({ group }))];
 *   const here = await ecdh.computeKey({ group, d: mine.d, x: yours.x, y: yours.y });
 *   const there = await ecdh.computeKey({ group, d: yours.d, x: mine.x, y: mine.y });
 *   assertEquals(expectOk(here).sharedSecret, expectOk(there).sharedSecret);
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @example Stateless mode
 *
 * In stateless mode a request carries the parameters of a session.
 * ```ts
 * import { CryptoDriver, expectOk, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = Deno.makeTempDirSync();
 * const socketPath = `${directory}/device.sock`;
 * {
 *   await using _device = await serve({ socketPath });
 *   await using driver = await CryptoDriver.connect(socketPath, { mode: "stateless" });
 *
 *   const hash = { service: "hash", algo: v.HASH_SHA_256, hashResultLen: 32 } as const;
 *   const { result } = expectOk(await driver.hash({ stateless: hash, src: new TextEncoder().encode("abc") }));
 *   assertEquals(result.toHex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @example With VIRTIO_CRYPTO_F_MUX_MODE
 *
 * The ratified text calls it REVISION_1. Sessions and requests are used in the same way, and are shorter on the ring.
 * ```ts
 * import { CryptoDriver, expectOk, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const directory = Deno.makeTempDirSync();
 * const socketPath = `${directory}/device.sock`;
 * {
 *   await using _device = await serve({ socketPath });
 *   await using driver = await CryptoDriver.connect(socketPath, { mode: "mux", packed: true });
 *   assert(driver.hasFeature(v.F_MUX_MODE));
 *
 *   const key = Uint8Array.fromHex("2b7e151628aed2a6abf7158809cf4f3c");
 *   const session = { service: "cipher", algo: v.CIPHER_AES_ECB, key, op: v.OP_ENCRYPT } as const;
 *   const sessionId = await driver.createSession(session);
 *   const src = Uint8Array.fromHex("6bc1bee22e409f96e93d7e117393172a");
 *   const { dst } = expectOk(await driver.cipher({ sessionId, src }));
 *   assertEquals(dst.toHex(), "3ad77bb40d7a3660a89ecaf32466ef97"); // SP 800-38A, F.1.1
 *   await driver.destroySession("cipher", sessionId);
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @example A custom algorithm
 *
 * An engine module is a file that every worker of the device loads, with an {@linkcode EngineModule} as its default
 * export. This one is a dummy that serves XOR with the key under ARC4's number, which is not cryptography.
 * ```ts
 * import { CryptoDriver, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assertEquals } from "@std/assert";
 *
 * const directory = Deno.makeTempDirSync();
 * const engineModule = `${directory}/xor_engine.ts`; // new URL("./xor_engine.ts", import.meta.url) in a program
 * Deno.writeTextFileSync(
 *   engineModule,
 *   `
 *   import type { EngineModule } from "@vhost-user-crypto/vhost-user-crypto";
 *
 *   function createXor() {
 *     const key = new Uint8Array(64);
 *     let keyLen = 0;
 *     return {
 *       setKey({ bytes, length }) {
 *         for (keyLen = 0; keyLen < length; keyLen++) key[keyLen] = bytes[keyLen];
 *         return true;
 *       },
 *       run({ source, destination }) {
 *         for (let i = 0; i < source.length; i++) destination.bytes[i] = source.bytes[i] ^ key[i % keyLen];
 *         return "done";
 *       },
 *       free() {
 *         key.fill(0);
 *       },
 *     };
 *   }
 *
 *   export default {
 *     name: "xor",
 *     ciphers: [{ algo: 1, keyLens: [5, 16], ivLen: 0, create: createXor }],
 *   } satisfies EngineModule;
 *   `,
 * );
 * for (const workers of [0, 1]) {
 *   const socketPath = `${directory}/device.sock`;
 *   await using _device = await serve({ socketPath, workers, engineModules: [engineModule] });
 *   await using driver = await CryptoDriver.connect(socketPath);
 *
 *   const key = Uint8Array.of(1, 2, 4, 8, 16);
 *   const algorithm = { service: "cipher", algo: v.CIPHER_ARC4, key, op: v.OP_ENCRYPT } as const;
 *   const sessionId = await driver.createSession(algorithm);
 *   const { status, dst } = await driver.cipher({ sessionId, src: new Uint8Array(7) });
 *   assertEquals([status, ...dst], [v.STATUS_OK, 1, 2, 4, 8, 16, 1, 2]);
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @module
 */
import * as akcipher from "./src/wire/akcipher.ts";
import * as rfc3 from "./src/wire/asym_rfc3.ts";
import * as wire from "./src/wire/virtio_crypto.ts";
import * as vring from "./src/wire/vring.ts";

export { serve } from "./src/cli/serve.ts";
export type { ServedDevice, ServeOptions } from "./src/cli/serve_options.ts";
export { LibraryMissingError, type LibrarySpec } from "./ffi/library.ts";
export type { PackagedLibrary } from "./ffi/packages.ts";
export type {
  ControlCounts,
  DeviceStatistics,
  Distribution,
  QueueStatistics,
  RequestCounts,
  RingState,
  SessionStatistics,
} from "./src/device/statistics.ts";
export type { DeviceSnapshot } from "./src/statistics/snapshot.ts";
export type { AsymmetricForm } from "./src/device/negotiated_features.ts";
export type { Draft } from "./src/wire/drafts/draft.ts";
export {
  type EngineAead,
  type EngineAlgorithm,
  type EngineBuffer,
  type EngineCipher,
  type EngineHash,
  type EngineMac,
  type EngineModule,
  EngineModuleError,
  type EngineOutcome,
  type EngineRequest,
  type EngineTransform,
} from "./src/engine/modules/description.ts";
export type { MultiBufferChoice } from "./src/engine/multibuffer/policy.ts";
export type { EngineName } from "./src/engine/libraries.ts";
export { SystemError } from "./src/os/errno.ts";
export type { Log, LogLevel } from "./src/os/log.ts";
export { ServerError } from "./src/os/listening_socket.ts";
export { DescriptorLimitError } from "./src/os/resource_limits.ts";
export { WorkerError } from "./src/device/backend.ts";

export {
  type Bare,
  type CreateResult,
  CryptoDriver,
  type CryptoDriverOptions,
  type DataResult,
  type DigestResult,
  type DstResult,
  type Outcome,
} from "./src/driver/crypto_driver.ts";
export type { SubmitOptions } from "./src/driver/submit_options.ts";
export type { BringUpOptions, DeviceModel, DriverMode } from "./src/driver/bring_up.ts";
export { type ConfigLayout, type CryptoConfig, offers } from "./src/driver/config.ts";
export {
  DeviceViolationError,
  DisconnectedError,
  DriverError,
  DriverTimeoutError,
  RefusedError,
  RequestError,
} from "./src/driver/errors.ts";
export type { AddressedBuffer, EncodedRequest, Field, Space } from "./src/driver/fields.ts";
export { Frontend, type InflightRegion, type RegionMessage, type RingAddresses } from "./src/driver/frontend.ts";
export {
  type CallOptions,
  FrontendConnection,
  type FrontendOptions,
  type Message,
} from "./src/driver/frontend_connection.ts";
export {
  type AllocOptions,
  type Block,
  DriverMemory,
  type DriverRegion,
  type RegionSpec,
  type Segment,
} from "./src/driver/guest_memory.ts";
export type { LayoutOptions, Split } from "./src/driver/layout.ts";
export type { Completion, PipelineOptions } from "./src/driver/pipeline.ts";
export type { ChainLayout, DriverQueue } from "./src/driver/queue.ts";
export {
  type AeadRequest,
  type AkcipherRequest,
  type ChainRequest,
  type CipherRequest,
  type DataRequest,
  encodeData,
  type HashRequest,
  type MacRequest,
  type RequestCommon,
  type RequestMode,
} from "./src/driver/requests.ts";
export {
  type DhComputeRequest,
  type DhGroup,
  type DhKeyPair,
  type DhParameters,
  type Rfc3Dh,
} from "./src/driver/rfc3/dh_operations.ts";
export {
  type DsaGroup,
  type DsaKeyPair,
  type DsaSignRequest,
  type DsaVerifyRequest,
  type Rfc3Dsa,
} from "./src/driver/rfc3/dsa_operations.ts";
export { ecGroups } from "./src/driver/rfc3/ec_groups.ts";
export type {
  EcdhComputeRequest,
  EcdsaSignRequest,
  EcdsaVerifyRequest,
  EcGroup,
  EcKeyGenRequest,
  EcKeyPair,
  Rfc3Ecdh,
  Rfc3Ecdsa,
} from "./src/driver/rfc3/ec_operations.ts";
export type {
  Answer,
  Operation,
  Rfc3Message,
  Rfc3PairSignature,
  Rfc3Result,
  Rfc3SharedSecret,
  Rfc3Verification,
  Run,
} from "./src/driver/rfc3/operation.ts";
export type { Rfc3Service } from "./src/driver/rfc3/rfc3_service.ts";
export type {
  Rfc3Rsa,
  RsaDecryptRequest,
  RsaEncryptRequest,
  RsaExponentKey,
  RsaFurtherPrime,
  RsaKeyGenRequest,
  RsaKeyPair,
  RsaPadding,
  RsaPrimesKey,
  RsaPrivateKey,
  RsaPublicKey,
  RsaSignature,
  RsaSignRequest,
  RsaText,
  RsaVerifyRequest,
} from "./src/driver/rfc3/rsa_operations.ts";
export type { SessionMessageLayout } from "./src/driver/session_payload.ts";
export type {
  AeadSession,
  AkcipherSession,
  ChainSession,
  CipherSession,
  ControlOptions,
  HashSession,
  MacSession,
  SessionParameters,
} from "./src/driver/sessions.ts";
export { expectOk, statusName } from "./src/driver/status.ts";

/**
 * The numbers and layouts of the specification, under its names: `CIPHER_AES_CBC`, `STATUS_OK`, …, including those of
 * the ratified AKCIPHER service: `AKCIPHER_RSA`, `RSA_PKCS1_PADDING`, `RSA_SHA256`, `CURVE_NIST_P256`, …
 */
export const virtioCrypto: typeof wire & typeof akcipher = { ...wire, ...akcipher };

/** The numbers and layouts of the asymmetric RFC v3, under its names: `ASYM_ECDSA`, `RSA_PKCS1_PSS_PADDING`, … */
export const asymRfc3: typeof rfc3 = rfc3;

/** The numbers of virtqueues and their feature bits: `F_VERSION_1`, `F_RING_PACKED`, … */
export const virtioRing: typeof vring = vring;
