/**
 * The device's configuration space (v19, Device configuration layout), computed from the algorithms of this host.
 *
 * @module
 */
import { akcipherOffer } from "../engine/asymmetric/akcipher_offer.ts";
import type { Catalogue } from "../engine/catalogue.ts";
import { asymAlgoMask, rsaPaddingMask } from "../engine/asymmetric/rfc3/service.ts";
import { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX } from "../engine/operation.ts";
import { insertMasks } from "../wire/asym_rfc3.ts";
import type { Draft } from "../wire/drafts/draft.ts";
import * as v5 from "../wire/drafts/v5.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { type AsymmetricForm, maskOf } from "./negotiated_features.ts";
import { REQUEST_BYTES_MAX } from "./limits.ts";

/** The services that `catalogue` has algorithms for: bit n for service n. */
export function servicesOf(catalogue: Catalogue): number {
  return (catalogue.ciphers.size > 0 ? 1 << wire.SERVICE_CIPHER : 0) |
    (catalogue.hashes.size > 0 ? 1 << wire.SERVICE_HASH : 0) |
    (catalogue.macs.size > 0 ? 1 << wire.SERVICE_MAC : 0) |
    (catalogue.aeads.size > 0 ? 1 << wire.SERVICE_AEAD : 0);
}

/** The asymmetric service on offer. */
export interface OfferedAsymmetric {
  readonly form: AsymmetricForm;
  /** Its algorithms: bit n for number n. */
  readonly mask: number;
}

/** The parts of the service `form` that this host's OpenSSL supports; without any, the service is off. */
export function offeredAsymmetric(form: AsymmetricForm): OfferedAsymmetric {
  const mask = form === "off" ? 0 : form === "rfc3" ? asymAlgoMask() : akcipherOffer().mask;
  return { form: mask === 0 ? "off" : form, mask };
}

/** `struct virtio_crypto_config` of a device that follows `draft`; the other parameters are as below. */
export function encodeConfig(
  draft: Draft,
  catalogue: Catalogue,
  dataQueues: number,
  asymmetric: OfferedAsymmetric,
): Uint8Array {
  // v15's is that of v19, and the asymmetric RFC is an addition to v15.
  return draft === "v5" ? encodeConfigV5(catalogue, dataQueues) : encodeConfigV19(catalogue, dataQueues, asymmetric);
}

/** The services, the number of data queues, and the masks that have the same place in all drafts. */
function putCommon(view: DataView, catalogue: Catalogue, dataQueues: number, services: number): void {
  const put = (offset: number, value: number) => view.setUint32(offset, value, true);
  put(wire.CONFIG_STATUS_OFFSET, wire.S_HW_READY);
  put(wire.CONFIG_MAX_DATAQUEUES_OFFSET, dataQueues);
  put(wire.CONFIG_CRYPTO_SERVICES_OFFSET, services);
  // The 64-bit masks are two 32-bit fields each, the lower one first.
  view.setBigUint64(wire.CONFIG_CIPHER_ALGO_L_OFFSET, maskOf(...catalogue.ciphers.keys()), true);
  put(wire.CONFIG_HASH_ALGO_OFFSET, Number(maskOf(...catalogue.hashes.keys())));
  view.setBigUint64(wire.CONFIG_MAC_ALGO_L_OFFSET, maskOf(...catalogue.macs.keys()), true);
}

/** The layout of draft v5: 48 bytes, without limits. S_STARTED is never set: no rule says when it would be. */
function encodeConfigV5(catalogue: Catalogue, dataQueues: number): Uint8Array {
  const bytes = new Uint8Array(v5.CONFIG_BYTES_V5);
  const view = new DataView(bytes.buffer);
  putCommon(view, catalogue, dataQueues, servicesOf(catalogue));
  view.setUint32(v5.CONFIG_AEAD_ALGO_OFFSET_V5, Number(maskOf(...catalogue.aeads.keys())), true);
  return bytes;
}

/**
 * The layout of v19 of a device with `dataQueues` data queues and the given asymmetric service. The
 * ratified text has the algorithms of AKCIPHER in a field that v19 reserves; the RFC has two more fields, 64 bytes in
 * all.
 */
function encodeConfigV19(catalogue: Catalogue, dataQueues: number, { form, mask }: OfferedAsymmetric): Uint8Array {
  const bytes = new Uint8Array(wire.CONFIG_BYTES);
  const view = new DataView(bytes.buffer);
  const put = (offset: number, value: number) => view.setUint32(offset, value, true);
  const service = form === "off" ? 0 : 1 << wire.SERVICE_AKCIPHER;
  putCommon(view, catalogue, dataQueues, servicesOf(catalogue) | service);
  if (form === "akcipher") put(wire.CONFIG_AKCIPHER_ALGO_OFFSET, mask);
  put(wire.CONFIG_AEAD_ALGO_OFFSET, Number(maskOf(...catalogue.aeads.keys())));
  put(wire.CONFIG_MAX_CIPHER_KEY_LEN_OFFSET, CIPHER_KEY_BYTES_MAX);
  put(wire.CONFIG_MAX_AUTH_KEY_LEN_OFFSET, AUTH_KEY_BYTES_MAX);
  view.setBigUint64(wire.CONFIG_MAX_SIZE_OFFSET, BigInt(REQUEST_BYTES_MAX), true);
  return form === "rfc3" ? insertMasks(bytes, mask, rsaPaddingMask()) : bytes;
}
