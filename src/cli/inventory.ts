/**
 * What this host has: the versions of the program and of what it uses, and the algorithms on offer.
 *
 * @module
 */
import { opensslVersion } from "../engine/openssl.ts";
import { applyOpensslSettings, defaultConfigWarning } from "../engine/openssl_settings.ts";
import { listAlgorithms } from "./algorithm_list.ts";
import { algorithmsJson, algorithmsText } from "./algorithm_report.ts";
import { logLine } from "./log.ts";
import type { Options } from "./options.ts";
import { VERSION } from "./version.ts";

/** Prints the versions. Throws an Error if OpenSSL cannot be set up as `options` choose. */
export function printVersion({ openssl }: Options): void {
  const fips = applyOpensslSettings(openssl);
  const provider = fips === undefined ? [] : [`${fips.name} ${fips.version}`];
  const parts = [`Deno ${Deno.version.deno}`, opensslVersion(), ...provider];
  console.log(`vhost-user-crypto ${VERSION} (${parts.join(", ")})`);
}

/** Prints the algorithms that a device with `options` offers. Throws as {@linkcode printVersion} does. */
export function printAlgorithms({ engines, openssl, asymmetric, json }: Options): void {
  const fips = applyOpensslSettings(openssl);
  const warning = defaultConfigWarning(openssl);
  if (warning !== undefined) console.error(logLine("text", "warn", warning, undefined));
  const list = listAlgorithms(engines, asymmetric, fips);
  console.log(json ? algorithmsJson(list) : algorithmsText(list));
}
