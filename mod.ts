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
 * @module
 */
import * as wire from "./src/wire/virtio_crypto.ts";

export { serve, type ServedDevice, type ServeOptions } from "./src/cli/serve.ts";
export { LibraryMissingError, type LibrarySpec } from "./ffi/library.ts";
export type { AsymmetricDialect } from "./src/device/dialect.ts";
export type { BurstChoice } from "./src/engine/burst_policy.ts";
export type { BurstTable, BurstThreshold } from "./src/engine/burst_tables.ts";
export type { EngineName } from "./src/engine/engines.ts";
export { SystemError } from "./src/os/errno.ts";
export type { Log, LogLevel } from "./src/vhost_user/log.ts";
export { ServerError } from "./src/vhost_user/server.ts";

export {
  type Bare,
  type CreateResult,
  CryptoDriver,
  type CryptoDriverOptions,
  type DataResult,
  type SubmitOptions,
} from "./src/driver/crypto_driver.ts";
export type { BringUpOptions, Door } from "./src/driver/bring_up.ts";
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
export type { SessionMessageLayout } from "./src/driver/session_message.ts";
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
