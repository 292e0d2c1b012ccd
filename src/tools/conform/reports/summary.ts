/**
 * Parts of all forms of the report: numbers by group, and a short description of the device.
 *
 * @module
 */
import { FEATURE_NAMES, namesOf, PROTOCOL_FEATURE_NAMES, SERVICE_NAMES } from "../../../driver/names.ts";
import { type Group, levelOf } from "../check.ts";
import type { CheckResult, Report, Verdict } from "../run.ts";

/** Numbers of results. */
export interface Counts {
  readonly passed: number;
  /** Failed checks of level MUST and SHOULD. */
  readonly failedMust: number;
  readonly failedShould: number;
  readonly notApplicable: number;
  readonly notRun: number;
}

/** The numbers of `results`. */
export function countsOf(results: readonly CheckResult[]): Counts {
  const count = (verdict: Verdict) => results.filter((result) => result.verdict === verdict).length;
  const failedMust = results.filter(({ check, verdict }) => verdict === "failed" && levelOf(check.clause) === "MUST");
  return {
    passed: count("passed"),
    failedMust: failedMust.length,
    failedShould: count("failed") - failedMust.length,
    notApplicable: count("not-applicable"),
    notRun: count("not-run"),
  };
}

/** The results by group, in order. */
export function byGroup({ results }: Report): Map<Group, CheckResult[]> {
  return Map.groupBy(results, ({ check }) => check.group);
}

/** The failed results, MUST first. */
export function failuresOf({ results }: Report): CheckResult[] {
  const failed = results.filter(({ verdict }) => verdict === "failed");
  const isMust = ({ check }: CheckResult) => levelOf(check.clause) === "MUST";
  return [...failed.filter(isMust), ...failed.filter((result) => !isMust(result))];
}

/** The device's offer, in lines of a name and a text. */
export function offerLines({ offer }: Report): [name: string, text: string][] {
  const { features, protocolFeatures, config, deviceModel } = offer;
  return [
    ["device model", deviceModel === "generic" ? "whole device" : "data queues and session messages"],
    ["features", namesOf(FEATURE_NAMES, features).join(", ") || "none"],
    ["protocol features", namesOf(PROTOCOL_FEATURE_NAMES, protocolFeatures).join(", ") || "none"],
    ["configuration", config === undefined ? "cannot be read" : `layout ${config.layout}`],
    ...(config === undefined ? [] : [
      ["services", namesOf(SERVICE_NAMES, config.cryptoServices).join(", ") || "none"] as [string, string],
      ["data queues", String(config.maxDataqueues)] as [string, string],
    ]),
  ];
}

/** `counts` in words. */
export function countsText({ passed, failedMust, failedShould, notApplicable, notRun }: Counts): string {
  return [
    `${passed} passed`,
    `${failedMust + failedShould} failed` +
    (failedShould > 0 ? ` (${failedMust} MUST, ${failedShould} SHOULD)` : ""),
    `${notApplicable} not applicable`,
    ...(notRun > 0 ? [`${notRun} not run`] : []),
  ].join(", ");
}
