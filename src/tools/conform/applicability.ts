/**
 * Decides whether a check applies to a device, by the device's offer.
 *
 * @module
 */
import { offers } from "../../driver/config.ts";
import { ALGORITHM_NAMES, FEATURE_NAMES, nameOf, PROTOCOL_FEATURE_NAMES, SERVICE_NAMES } from "../../driver/names.ts";
import * as w from "../../wire/virtio_crypto.ts";
import type { Check } from "./check.ts";
import type { Algorithm } from "./forms.ts";
import { algorithmMask, type Offer } from "./offer.ts";

const NAMES_BY_SERVICE = [ALGORITHM_NAMES.cipher, ALGORITHM_NAMES.hash, ALGORITHM_NAMES.mac, ALGORITHM_NAMES.aead];

/** `CIPHER AES-CBC`. */
function algorithmText({ service, algo }: Algorithm): string {
  return `${SERVICE_NAMES[service]} ${nameOf(NAMES_BY_SERVICE[service] ?? [], algo)}`;
}

/** The reason why session messages cannot create sessions of `algorithms`; undefined if they can. */
function unmetMessage(algorithms: readonly Algorithm[]): string | undefined {
  const services = new Set(algorithms.map(({ service }) => service));
  const hasCipher = services.has(w.SERVICE_CIPHER);
  for (const service of services) {
    const hasForm = service === w.SERVICE_CIPHER || service === w.SERVICE_AKCIPHER ||
      // A MAC has one as a part of a chain.
      (service === w.SERVICE_MAC && hasCipher);
    if (!hasForm) return `no session message has a form for ${SERVICE_NAMES[service]}`;
  }
  return undefined;
}

/** The reason why `algorithms` cannot be used; undefined if they can, or if the device does not tell. */
function unmetAlgorithms({ deviceModel, config }: Offer, algorithms: readonly Algorithm[]): string | undefined {
  if (deviceModel === "cryptodev") return unmetMessage(algorithms);
  if (config === undefined) return undefined;
  const missing = algorithms.find(({ service, algo }) => !offers(algorithmMask(config, service), algo));
  return missing === undefined ? undefined : `${algorithmText(missing)} is not offered`;
}

/** The reason why form `form` of a request cannot be negotiated; undefined if it can. */
function unmetForm({ features, deviceModel }: Offer, { form, clause }: Check): string | undefined {
  if (form === "fixed") return undefined;
  if (deviceModel === "cryptodev") return "session messages negotiate no features";
  if (!offers(features, w.F_MUX_MODE)) return "VIRTIO_CRYPTO_F_MUX_MODE is not offered";
  if (form === "mux") return undefined;
  for (const { service } of clause.needs?.algorithms ?? []) {
    if (!offers(features, w.F_CIPHER_STATELESS_MODE + service)) {
      return `VIRTIO_CRYPTO_F_${SERVICE_NAMES[service]}_STATELESS_MODE is not offered`;
    }
  }
  return undefined;
}

/** The reason why `check` does not apply to a device that offers `offer`; undefined if it does. */
export function unmet(check: Check, offer: Offer): string | undefined {
  const { features = [], protocolFeatures = [], algorithms = [], wholeDevice, dataQueues = 0 } = check.clause.needs ??
    {};
  for (const bit of features) {
    if (!offers(offer.features, bit)) return `VIRTIO_${nameOf(FEATURE_NAMES, bit)} is not offered`;
  }
  for (const bit of protocolFeatures) {
    if (!offers(offer.protocolFeatures, bit)) {
      return `VHOST_USER_PROTOCOL_F_${nameOf(PROTOCOL_FEATURE_NAMES, bit)} is not offered`;
    }
  }
  if (wholeDevice && offer.deviceModel === "cryptodev") {
    return "the device leaves configuration space and control queue to the frontend";
  }
  const has = offer.config?.maxDataqueues ?? 1;
  if (has < dataQueues) return `the device has ${has} data queues, not ${dataQueues}`;
  return unmetAlgorithms(offer, algorithms) ?? unmetForm(offer, check);
}
