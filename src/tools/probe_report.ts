/**
 * Formats a probe's report as text and as JSON. Pure functions.
 *
 * @module
 */
import type { CryptoConfig } from "../driver/config.ts";
import * as names from "../driver/names.ts";
import { type AlgorithmResult, MODES, type ProbeReport } from "./probe.ts";

function row(label: string, text: string): string {
  return `${label.padEnd(18)}${text}`;
}

function listed(items: readonly string[]): string {
  return items.length === 0 ? "none" : items.join(", ");
}

function configRows(config: CryptoConfig): string[] {
  return [
    row("status", (config.status & 1) === 1 ? "ready" : "not ready"),
    row("data queues", String(config.maxDataqueues)),
    row("layout", LAYOUT_TEXTS[config.layout]),
    row("services", listed(names.namesOf(serviceNames(config), config.cryptoServices))),
    row("ciphers", listed(names.namesOf(names.CIPHER_NAMES, config.cipherAlgo))),
    row("hashes", listed(names.namesOf(names.HASH_NAMES, config.hashAlgo))),
    row("MACs", listed(names.namesOf(names.MAC_NAMES, config.macAlgo))),
    row("AEADs", listed(names.namesOf(names.AEAD_NAMES, config.aeadAlgo))),
    ...asymmetricRows(config),
    row("limits", limitsText(config)),
  ];
}

const LAYOUT_TEXTS: Readonly<Record<CryptoConfig["layout"], string>> = {
  ratified: "56 bytes: ratified text, or a draft since v15",
  rfc3: "64 bytes: draft v15 with the asymmetric RFC v3",
  v5: "48 bytes: draft v5",
};

function serviceNames({ layout }: CryptoConfig): readonly string[] {
  return layout === "rfc3" ? names.SERVICE_NAMES_RFC3 : names.SERVICE_NAMES;
}

function asymmetricRows({ layout, akcipherAlgo, asymAlgo, rsaPadding }: CryptoConfig): string[] {
  if (layout !== "rfc3") return [row("asymmetric", listed(names.namesOf(names.AKCIPHER_NAMES, akcipherAlgo)))];
  return [
    row("asymmetric", listed(names.namesOf(names.ASYM_NAMES, asymAlgo))),
    row("RSA paddings", listed(names.namesOf(names.RSA_PADDING_NAMES, rsaPadding))),
  ];
}

function limitsText(config: CryptoConfig): string {
  if (config.maxSize === undefined) return "not stated";
  return `cipher key ${config.maxCipherKeyLen} bytes, authentication key ${config.maxAuthKeyLen} bytes, ` +
    `request ${config.maxSize} bytes`;
}

function cell(result: AlgorithmResult, mode: (typeof MODES)[number]): string {
  const outcome = result.modes[mode]?.outcome;
  return outcome === "passed" ? "pass" : outcome === "failed" ? "FAIL" : "-";
}

/** The heading of {@linkcode resultRow}. */
export const RESULT_HEADING: string = `${"service".padEnd(9)}${"algorithm".padEnd(21)}` +
  MODES.map((mode) => mode.padEnd(11)).join("");

/** One algorithm's line, without its failures. */
export function resultRow(result: AlgorithmResult): string {
  const cells = result.source === undefined
    ? "no known answer here: not checked"
    : MODES.map((mode) => cell(result, mode).padEnd(11)).join("");
  return `${result.service.padEnd(9)}${result.name.padEnd(21)}${cells}`;
}

/** The failures of an algorithm, one per line, without those in `known`. */
export function complaintsOf(result: AlgorithmResult, known: ReadonlySet<string> = new Set()): string[] {
  return MODES.flatMap((mode) => {
    const { outcome, detail } = result.modes[mode] ?? {};
    if (outcome !== "failed" || known.has(`${mode}: ${detail}`)) return [];
    return [`  ${result.name}, ${mode}: ${detail}`];
  });
}

/** Failures that all algorithms of a mode have in common, because the mode does not work at all. */
function commonComplaints({ results }: ProbeReport): Set<string> {
  const complaints = new Set<string>();
  for (const mode of MODES) {
    const asked = results.flatMap(({ modes }) => modes[mode] ?? []).filter(({ outcome }) => outcome !== "unavailable");
    const [first] = asked;
    const isCommon = asked.every(({ outcome, detail }) => outcome === "failed" && detail === first!.detail);
    if (first !== undefined && isCommon) complaints.add(`${mode}: ${first.detail}`);
  }
  return complaints;
}

/** The reasons why modes could not be negotiated, without duplicates. */
function reasonsOf({ results }: ProbeReport): string[] {
  const reasons = new Set<string>();
  for (const { modes, service } of results) {
    for (const mode of MODES) {
      const { outcome, detail } = modes[mode] ?? {};
      if (outcome === "unavailable") reasons.add(`${mode} (${service}): ${detail}`);
    }
  }
  return [...reasons];
}

/** A report as text. */
export function probeText(report: ProbeReport): string {
  const { offer, results, passed, failed, unavailable } = report;
  const common = commonComplaints(report);
  const lines = [
    row("protocol features", listed(names.namesOf(names.PROTOCOL_FEATURE_NAMES, offer.protocolFeatures))),
    row("features", listed(names.namesOf(names.FEATURE_NAMES, offer.features))),
    row("queues", offer.queueCount === undefined ? "unknown: MQ is not offered" : String(offer.queueCount)),
    row("memory regions", offer.memSlots === undefined ? "8" : String(offer.memSlots)),
    ...(offer.config === undefined
      ? [row("configuration", "cannot be read: CONFIG is not offered, so every algorithm is tried")]
      : configRows(offer.config)),
    "",
    RESULT_HEADING,
    ...results.flatMap((result) => [resultRow(result), ...complaintsOf(result, common)]),
    "",
  ];
  if (common.size > 0) lines.push("FAIL of a whole mode", ...[...common].map((complaint) => `  ${complaint}`), "");
  const reasons = reasonsOf(report);
  if (reasons.length > 0) lines.push("-: not available", ...reasons.map((reason) => `  ${reason}`), "");
  lines.push(`${passed} passed, ${failed} failed, ${unavailable} not available`);
  return lines.join("\n");
}

/** A report as JSON. Masks are hexadecimal and `maxSize` is decimal text, as both can exceed 2^53. */
export function probeJson(report: ProbeReport): string {
  const { offer } = report;
  const { config } = offer;
  const maskAnd = (table: Readonly<Record<number, string>>, mask: number | bigint) => ({
    mask: `0x${mask.toString(16)}`,
    names: names.namesOf(table, mask),
  });
  return JSON.stringify(
    {
      protocolFeatures: maskAnd(names.PROTOCOL_FEATURE_NAMES, offer.protocolFeatures),
      features: maskAnd(names.FEATURE_NAMES, offer.features),
      queueCount: offer.queueCount ?? null,
      memSlots: offer.memSlots ?? null,
      config: config === undefined ? null : {
        status: config.status,
        maxDataqueues: config.maxDataqueues,
        layout: config.layout,
        services: maskAnd(serviceNames(config), config.cryptoServices),
        cipher: maskAnd(names.CIPHER_NAMES, config.cipherAlgo),
        hash: maskAnd(names.HASH_NAMES, config.hashAlgo),
        mac: maskAnd(names.MAC_NAMES, config.macAlgo),
        aead: maskAnd(names.AEAD_NAMES, config.aeadAlgo),
        akcipher: maskAnd(names.AKCIPHER_NAMES, config.akcipherAlgo),
        asym: maskAnd(names.ASYM_NAMES, config.asymAlgo),
        rsaPadding: maskAnd(names.RSA_PADDING_NAMES, config.rsaPadding),
        maxCipherKeyLen: config.maxCipherKeyLen ?? null,
        maxAuthKeyLen: config.maxAuthKeyLen ?? null,
        maxSize: config.maxSize === undefined ? null : String(config.maxSize),
      },
      results: report.results.map((result) => ({ ...result, source: result.source ?? null })),
      passed: report.passed,
      failed: report.failed,
      unavailable: report.unavailable,
    },
    null,
    2,
  );
}
