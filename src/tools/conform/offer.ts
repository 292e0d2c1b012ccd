/**
 * The offer of a device, as far as it answers.
 *
 * @module
 */
import { type CryptoConfig, offers, readConfig } from "../../driver/config.ts";
import type { DeviceModel } from "../../driver/bring_up.ts";
import * as vu from "../../wire/vhost_user.ts";
import { RecordingFrontend } from "./messages.ts";

/** The offer of a device. Fields that it does not answer are 0 or undefined. */
export interface Offer {
  /** Virtio feature bits. */
  readonly features: bigint;
  /** Protocol feature bits. */
  readonly protocolFeatures: bigint;
  /** The configuration space; undefined if it cannot be read. */
  readonly config: CryptoConfig | undefined;
  /** Whether it presents the whole device, or serves data queues and session messages only. */
  readonly deviceModel: DeviceModel;
}

/** The result of `read`; `fallback` if it fails. */
async function attempt<T>(read: () => Promise<T>, fallback: T): Promise<T> {
  try {
    return await read();
  } catch {
    return fallback;
  }
}

/**
 * Reads what the device at `socketPath` offers, on a connection of its own. Without `deviceModel`, a device that has a
 * configuration space, or no session messages, counts as a whole one. Throws {@linkcode SystemError} if there is no
 * connection, the driver's errors if the device does not answer GET_FEATURES.
 */
export async function readOffer(
  socketPath: string,
  timeoutMs: number,
  deviceModel: DeviceModel | undefined,
): Promise<Offer> {
  const frontend = RecordingFrontend.connect(socketPath, { timeoutMs });
  try {
    const features = await frontend.getFeatures();
    const hasProtocol = offers(features, vu.F_PROTOCOL_FEATURES);
    const protocolFeatures = hasProtocol ? await attempt(() => frontend.getProtocolFeatures(), 0n) : 0n;
    const wanted = 1n << BigInt(vu.PROTOCOL_F_CONFIG);
    if (hasProtocol) await frontend.setProtocolFeatures(protocolFeatures & wanted);
    const hasConfig = offers(protocolFeatures, vu.PROTOCOL_F_CONFIG);
    const config = hasConfig ? await attempt(() => readConfig(frontend), undefined) : undefined;
    const hasMessages = offers(protocolFeatures, vu.PROTOCOL_F_CRYPTO_SESSION);
    const found = hasConfig || !hasMessages ? "generic" : "cryptodev";
    return { features, protocolFeatures, config, deviceModel: deviceModel ?? found };
  } finally {
    await frontend.close();
  }
}

/** The mask of `config` for service number `service`. */
export function algorithmMask(config: CryptoConfig, service: number): number | bigint {
  if (!offers(config.cryptoServices, service)) return 0;
  return [config.cipherAlgo, config.hashAlgo, config.macAlgo, config.aeadAlgo, config.akcipherAlgo][service] ?? 0;
}
