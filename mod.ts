/**
 * A vhost-user backend for the virtio crypto device, and a driver to talk to one, for programs that bring their own
 * command line. {@linkcode serve} starts a device; {@linkcode CryptoDriver} is the other side, as a VMM and its guest
 * would be; {@linkcode virtioCrypto} holds the specification's numbers.
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
 *   const { status, result } = await driver.hash({ sessionId, src, hashResultLen: 32 });
 *
 *   assertEquals(status, v.STATUS_OK);
 *   assertEquals(result.toHex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @example Any backend, from the other side
 *
 * {@linkcode CryptoDriver} speaks to every vhost-user backend that presents the whole device, whoever made it. What it
 * offers is in `config` and `offeredFeatures`; what is not there to be had is refused with a {@linkcode RefusedError}.
 * ```ts
 * import { CryptoDriver, serve, virtioCrypto as v } from "@vhost-user-crypto/vhost-user-crypto";
 * import { assert, assertEquals } from "@std/assert";
 *
 * // Encrypts with AES-CBC through the backend that listens at `socketPath`, all requests at a time.
 * async function encrypt(socketPath: string, key: Uint8Array, ivs: Uint8Array[], src: Uint8Array): Promise<Uint8Array[]> {
 *   await using driver = await CryptoDriver.connect(socketPath, { timeoutMs: 5000 });
 *   const { cipherAlgo = 0n } = driver.config ?? {};
 *   assert((cipherAlgo >> BigInt(v.CIPHER_AES_CBC) & 1n) === 1n, "this backend has no AES-CBC");
 *   const algorithm = { service: "cipher", algo: v.CIPHER_AES_CBC, key, op: v.OP_ENCRYPT } as const;
 *   const sessionId = await driver.createSession(algorithm);
 *   const answers = await Promise.all(ivs.map((iv) => driver.cipher({ sessionId, op: v.OP_ENCRYPT, iv, src })));
 *   await driver.destroySession("cipher", sessionId);
 *   assert(answers.every(({ status }) => status === v.STATUS_OK));
 *   return answers.map(({ dst }) => dst);
 * }
 *
 * const directory = Deno.makeTempDirSync();
 * const socketPath = `${directory}/backend.sock`;
 * {
 *   await using _backend = await serve({ socketPath }); // One of the many.
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
 * @example An algorithm of one's own
 *
 * An engine module is a file that every isolate of the device loads, with an {@linkcode EngineModule} as its default
 * export. This one stands in for a real one: it puts XOR with the key under ARC4's number, which is no cryptography.
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
 *   const { status, dst } = await driver.cipher({ sessionId, op: v.OP_ENCRYPT, src: new Uint8Array(7) });
 *   assertEquals([status, ...dst], [v.STATUS_OK, 1, 2, 4, 8, 16, 1, 2]);
 * }
 * Deno.removeSync(directory, { recursive: true });
 * ```
 *
 * @module
 */
import * as wire from "./src/wire/virtio_crypto.ts";

export { serve, type ServedDevice, type ServeOptions } from "./src/cli/serve.ts";
export { LibraryMissingError, type LibrarySpec } from "./ffi/library.ts";
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
export type { MultiBufferTable, MultiBufferThreshold } from "./src/engine/multibuffer/thresholds.ts";
export type { EngineName } from "./src/engine/libraries.ts";
export { SystemError } from "./src/os/errno.ts";
export type { Log, LogLevel } from "./src/os/log.ts";
export { ServerError } from "./src/os/listening_socket.ts";

export {
  type Bare,
  type CreateResult,
  CryptoDriver,
  type CryptoDriverOptions,
  type DataResult,
  type SubmitOptions,
} from "./src/driver/crypto_driver.ts";
export type { BringUpOptions, DeviceModel } from "./src/driver/bring_up.ts";
export type { CryptoConfig } from "./src/driver/config.ts";
export {
  DeviceViolationError,
  DisconnectedError,
  DriverError,
  DriverTimeoutError,
  RefusedError,
} from "./src/driver/errors.ts";
export type { EncodedRequest, Field, Space } from "./src/driver/fields.ts";
export { Frontend, type InflightRegion, type RegionMessage, type RingAddresses } from "./src/driver/frontend.ts";
export { FrontendConnection, type FrontendOptions, type Message } from "./src/driver/frontend_connection.ts";
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
export type {
  AeadRequest,
  AkcipherRequest,
  ChainRequest,
  CipherRequest,
  DataRequest,
  HashRequest,
  MacRequest,
  RequestCommon,
  RequestMode,
} from "./src/driver/requests.ts";
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

/** The numbers and layouts of the specification, under its names: `CIPHER_AES_CBC`, `STATUS_OK`, … */
export const virtioCrypto: typeof wire = wire;
