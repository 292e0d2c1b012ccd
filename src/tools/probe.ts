/**
 * Probes a backend: reads what it offers, and checks a known answer for each algorithm and mode. Works with any
 * vhost-user crypto backend that presents the whole device. Prints nothing.
 *
 * @module
 */
import type { Draft } from "../wire/drafts/draft.ts";
import * as v15 from "../wire/drafts/v15.ts";
import * as vu from "../wire/vhost_user.ts";
import * as w from "../wire/virtio_crypto.ts";
import { type DriverMode, featuresOfMode, maskOf } from "../driver/bring_up.ts";
import { type Answer, checkAnswer, type CheckOptions } from "./checks.ts";
import { type CryptoConfig, offers, readConfig } from "../driver/config.ts";
import { CryptoDriver } from "../driver/crypto_driver.ts";
import { deviceError } from "./device_error.ts";
import { DriverError } from "../driver/errors.ts";
import { Frontend } from "../driver/frontend.ts";
import { AKCIPHER_ANSWERS, type AkcipherAnswer } from "./known_akcipher_answers.ts";
import { CHAIN_ANSWER, CHAIN_PARTS, KNOWN_ANSWERS, type KnownAnswer, WHOLE_CHAIN_ANSWER } from "./known_answers.ts";
import { AKCIPHER_NAMES, ALGORITHM_NAMES, ASYM_NAMES, bitNumbers, nameOf, SERVICE_NAMES } from "../driver/names.ts";
import type { RequestMode } from "../driver/requests.ts";

/** All forms of a request, beginning with the one that deployed drivers use. */
export const MODES: readonly RequestMode[] = ["fixed", "mux", "stateless"];

/** The forms of a request in each draft. v15 has them with a session (`fixed`) and without. */
const MODES_OF_DRAFT: Readonly<Record<Draft, readonly RequestMode[]>> = {
  v19: MODES,
  v15: ["fixed", "stateless"],
  v5: ["fixed"],
};

/** The offer of a backend. */
export interface Offer {
  /** Virtio feature bits. */
  readonly features: bigint;
  /** Protocol feature bits. */
  readonly protocolFeatures: bigint;
  /** Numbers of rings and of memory regions it supports; undefined if it has no message for them. */
  readonly queueCount: number | undefined;
  readonly memSlots: number | undefined;
  /** The configuration space; undefined if it cannot be read. */
  readonly config: CryptoConfig | undefined;
}

/** The result of one mode: `passed`, `failed`, or `unavailable` if it cannot be negotiated. */
export interface ModeResult {
  readonly outcome: "passed" | "failed" | "unavailable";
  /** The failure, or the missing feature. */
  readonly detail?: string;
}

/** The results of one algorithm. */
export interface AlgorithmResult {
  /** `cipher`, `hash`, `mac`, `aead`, `chain`, `akcipher` or `asym`. */
  readonly service: string;
  readonly algo: number;
  readonly name: string;
  /** The document of the known answer; undefined if there is none, so that nothing was checked. */
  readonly source: string | undefined;
  /** Results by mode; empty if nothing was checked. */
  readonly modes: Partial<Record<RequestMode, ModeResult>>;
}

/** The report of a probe. */
export interface ProbeReport {
  readonly offer: Offer;
  readonly results: readonly AlgorithmResult[];
  /** Numbers of combinations of algorithm and mode that passed, failed, and could not be checked. */
  readonly passed: number;
  readonly failed: number;
  readonly unavailable: number;
}

const SERVICE_NUMBERS = { cipher: 0, hash: 1, mac: 2, aead: 3, chain: 0, akcipher: w.SERVICE_AKCIPHER } as const;

/** Reads what the backend offers, on a separate connection. Throws {@linkcode DriverError} if it cannot connect. */
async function readOffer(socketPath: string, { timeoutMs }: CheckOptions): Promise<Offer> {
  const frontend = Frontend.connect(socketPath, timeoutMs === undefined ? {} : { timeoutMs });
  try {
    const features = await frontend.getFeatures();
    const hasProtocol = offers(features, vu.F_PROTOCOL_FEATURES);
    const protocolFeatures = hasProtocol ? await frontend.getProtocolFeatures() : 0n;
    const wanted = maskOf(vu.PROTOCOL_F_MQ, vu.PROTOCOL_F_CONFIG, vu.PROTOCOL_F_CONFIGURE_MEM_SLOTS);
    if (hasProtocol) await frontend.setProtocolFeatures(protocolFeatures & wanted);
    const has = (bit: number) => offers(protocolFeatures, bit);
    return {
      features,
      protocolFeatures,
      queueCount: has(vu.PROTOCOL_F_MQ) ? await frontend.getQueueNum() : undefined,
      memSlots: has(vu.PROTOCOL_F_CONFIGURE_MEM_SLOTS) ? await frontend.getMaxMemSlots() : undefined,
      config: has(vu.PROTOCOL_F_CONFIG) ? await readConfig(frontend) : undefined,
    };
  } finally {
    await frontend.close();
  }
}

/** The feature that a device of `draft` lacks for requests of form `mode` of service number `service`; undefined if none. */
function missingFeature(features: bigint, draft: Draft, mode: RequestMode, service: number): string | undefined {
  if (draft !== "v19") return missingInDraft(features, draft, mode, service);
  if (mode === "fixed") return undefined;
  if (!offers(features, w.F_MUX_MODE)) return "VIRTIO_CRYPTO_F_MUX_MODE is not offered";
  const bit = w.F_CIPHER_STATELESS_MODE + service;
  if (mode === "mux" || offers(features, bit)) return undefined;
  return `VIRTIO_CRYPTO_F_${SERVICE_NAMES[service]}_STATELESS_MODE is not offered`;
}

/** The same for the drafts before v19. */
function missingInDraft(features: bigint, draft: Draft, mode: RequestMode, service: number): string | undefined {
  const bit = v15.F_CIPHER_SESSION_MODE + service;
  if (draft === "v5" || mode === "stateless" || offers(features, bit)) return undefined;
  return `VIRTIO_CRYPTO_F_${SERVICE_NAMES[service]}_SESSION_MODE is not offered`;
}

/** The driver's mode for requests of form `mode`. */
function driverModeFor(mode: RequestMode): DriverMode {
  return mode === "fixed" ? "session" : mode;
}

/** The virtio feature bits that a driver acknowledges to send requests of form `mode`. */
export function featuresFor(mode: RequestMode): bigint {
  return featuresOfMode(driverModeFor(mode));
}

function algorithmMask(config: CryptoConfig, service: keyof typeof ALGORITHM_NAMES): number | bigint {
  if (!offers(config.cryptoServices, SERVICE_NUMBERS[service])) return 0;
  return {
    cipher: config.cipherAlgo,
    hash: config.hashAlgo,
    mac: config.macAlgo,
    aead: config.aeadAlgo,
  }[service];
}

/** The known symmetric answers for the algorithms that `config` advertises; all of them without a configuration. */
export function advertisedAnswers(config: CryptoConfig | undefined): KnownAnswer[] {
  const isOffered = (service: keyof typeof ALGORITHM_NAMES, algo: number) =>
    config === undefined || offers(algorithmMask(config, service), algo);
  const answers = KNOWN_ANSWERS.filter(({ service, algo }) => service !== "chain" && isOffered(service, algo));
  const chains = isOffered("cipher", CHAIN_ANSWER.algo) && isOffered("mac", CHAIN_PARTS.hashAlgo);
  if (!chains) return answers;
  return [...answers, config?.layout === "v5" ? WHOLE_CHAIN_ANSWER : CHAIN_ANSWER];
}

/** The known asymmetric answers for the algorithms that `config` advertises; all of them without a configuration. */
function advertisedAkcipher(config: CryptoConfig | undefined, draft: Draft): readonly AkcipherAnswer[] {
  if (config === undefined) return draft === "v19" ? AKCIPHER_ANSWERS : [];
  if (draft !== "v19" || !offers(config.cryptoServices, w.SERVICE_AKCIPHER) || config.layout !== "ratified") return [];
  return AKCIPHER_ANSWERS.filter(({ algo }) => offers(config.akcipherAlgo, algo));
}

/** Advertised algorithms without a known answer. */
function unanswered(config: CryptoConfig | undefined): AlgorithmResult[] {
  if (config === undefined) return [];
  const results: AlgorithmResult[] = [];
  const note = (service: string, algo: number, name: string) =>
    results.push({ service, algo, name, source: undefined, modes: {} });
  for (const service of ["cipher", "hash", "mac", "aead"] as const) {
    for (const algo of bitNumbers(algorithmMask(config, service))) {
      if (KNOWN_ANSWERS.some((answer) => answer.service === service && answer.algo === algo)) continue;
      note(service, algo, nameOf(ALGORITHM_NAMES[service], algo));
    }
  }
  if (offers(config.cryptoServices, w.SERVICE_AKCIPHER)) {
    for (const algo of bitNumbers(config.akcipherAlgo)) {
      if (AKCIPHER_ANSWERS.some((answer) => answer.algo === algo)) continue;
      note("akcipher", algo, nameOf(AKCIPHER_NAMES, algo));
    }
    for (const algo of bitNumbers(config.asymAlgo)) note("asym", algo, nameOf(ASYM_NAMES, algo));
  }
  return results;
}

/** The name of `answer`'s algorithm. */
export function algorithmName(answer: Answer): string {
  const { service, algo } = answer;
  if (service === "akcipher") return answer.name;
  return service === "chain" ? "AES-CBC + HMAC-SHA1" : nameOf(ALGORITHM_NAMES[service], algo);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Checks all `answers` in `mode` over one connection. If the connection ends, the remaining ones fail. */
async function probeMode(
  socketPath: string,
  answers: readonly Answer[],
  mode: RequestMode,
  options: CheckOptions,
): Promise<Map<Answer, ModeResult>> {
  const results = new Map<Answer, ModeResult>();
  let driver: CryptoDriver | undefined;
  try {
    driver = await CryptoDriver.connect(socketPath, {
      mode: driverModeFor(mode),
      draft: options.draft ?? "v19",
      dataQueueCount: (options.queue ?? 0) + 1,
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    });
    for (const answer of answers) {
      const detail = await checkAnswer(driver, answer, mode, options);
      results.set(answer, detail === undefined ? { outcome: "passed" } : { outcome: "failed", detail });
    }
    await driver.close();
  } catch (error) {
    const detail = messageOf(deviceError(socketPath, error));
    for (const answer of answers) {
      if (!results.has(answer)) results.set(answer, { outcome: "failed", detail });
    }
    await driver?.abandon();
  }
  return results;
}

/**
 * True for a refusal that is not a failure: chains, paddings and curves are never advertised, and without a
 * configuration space no algorithm is.
 */
function withoutUnadvertised(answer: Answer, config: CryptoConfig | undefined, result: ModeResult): ModeResult {
  if (result.outcome !== "failed" || !result.detail?.includes("NOTSUPP")) return result;
  const isAdvertised = answer.service !== "chain" && answer.service !== "akcipher" && config !== undefined;
  if (isAdvertised) return result;
  return { outcome: "unavailable", detail: "the device does not support it" };
}

/** Probes the backend that listens at `socketPath`. Throws {@linkcode DriverError} if it cannot connect. */
export async function probe(socketPath: string, options: CheckOptions = {}): Promise<ProbeReport> {
  let offer: Offer;
  try {
    offer = await readOffer(socketPath, options);
  } catch (error) {
    throw deviceError(socketPath, error);
  }
  const dataQueues = offer.config?.maxDataqueues ?? Infinity;
  const { queue = 0, draft = "v19" } = options;
  if (queue >= dataQueues) throw new DriverError(`the device has no data queue ${queue}, only 0 to ${dataQueues - 1}`);
  const answers: Answer[] = [...advertisedAnswers(offer.config), ...advertisedAkcipher(offer.config, draft)];
  const found = new Map<Answer, Partial<Record<RequestMode, ModeResult>>>(answers.map((answer) => [answer, {}]));
  for (const mode of MODES_OF_DRAFT[draft]) {
    const askable = answers.filter((answer) => {
      const detail = missingFeature(offer.features, draft, mode, SERVICE_NUMBERS[answer.service]);
      if (detail !== undefined) found.get(answer)![mode] = { outcome: "unavailable", detail };
      return detail === undefined;
    });
    if (askable.length === 0) continue;
    for (const [answer, result] of await probeMode(socketPath, askable, mode, options)) {
      found.get(answer)![mode] = withoutUnadvertised(answer, offer.config, result);
    }
  }
  const results = answers.map((answer) => ({
    service: answer.service,
    algo: answer.algo,
    name: algorithmName(answer),
    source: answer.source,
    modes: found.get(answer)!,
  }));
  const outcomes = results.flatMap(({ modes }) => Object.values(modes)).map(({ outcome }) => outcome);
  const count = (wanted: ModeResult["outcome"]) => outcomes.filter((outcome) => outcome === wanted).length;
  return {
    offer,
    results: [...results, ...unanswered(offer.config)],
    passed: count("passed"),
    failed: count("failed"),
    unavailable: count("unavailable"),
  };
}
