/**
 * Helpers of the conformance tests: drivers with each kind of negotiation, and the samples and expectations of
 * `src/tools/conform` as assertions.
 *
 * @module
 */
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import type { CryptoDriver, CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import type { RequestMode } from "../../src/driver/requests.ts";
import { type TestDevice, type TestDeviceOptions, withDevice } from "../device/harness.ts";
import { oracle } from "../vectors/oracle.ts";

export { expectExactAnswer as assertAnswer, expectStatus as assertStatus } from "../../src/tools/conform/expect.ts";
export { AEAD_KEY_LENS, CIPHER_KEY_LENS, HASH_BYTES, keyOf, MACS } from "../../src/tools/conform/lengths.ts";
export {
  aeadSample,
  allSamples,
  bytes,
  chainSample,
  cipherSample,
  hashSample,
  hmacSha256,
  macSample,
  type Sample,
} from "../../src/tools/conform/samples.ts";
export { ask, askStateless, edited } from "../../src/tools/conform/ask.ts";

/** Feature bits that lead to each form of request. */
export const FEATURES: Readonly<Record<RequestMode, bigint>> = {
  fixed: FEATURES_USUAL,
  mux: FEATURES_USUAL | 1n,
  stateless: FEATURES_USUAL | 0x1fn,
};

/** Runs `body` with a device and a driver that has negotiated `mode`. */
export function withDriver(
  mode: RequestMode,
  body: (driver: CryptoDriver, device: TestDevice) => Promise<void>,
  deviceOptions: TestDeviceOptions = {},
  driverOptions: CryptoDriverOptions = {},
): Promise<void> {
  return withDevice(deviceOptions, async (device) => {
    await body(await device.connect({ features: FEATURES[mode], ...driverOptions }), device);
  });
}

const NONE = new Uint8Array();

/** The result of the independent implementation. */
export function expected(
  service: number,
  algo: number,
  op: number,
  parts: { key?: Uint8Array; iv?: Uint8Array; aad?: Uint8Array; src?: Uint8Array; resultLen: number },
): Uint8Array<ArrayBuffer> {
  const { key = NONE, iv = NONE, aad = NONE, src = NONE, resultLen } = parts;
  const answer = oracle(service, algo, op, key, iv, aad, src, resultLen);
  if (answer === undefined) throw new Error(`no second opinion on service ${service}, algorithm ${algo}`);
  return new Uint8Array(answer);
}
