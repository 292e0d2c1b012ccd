/**
 * Generating keys and parameters within a time budget, and while the result is wanted: OpenSSL asks between one
 * candidate and the next whether to go on.
 *
 * @module
 */
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import type { AsymmetricJob } from "./job.ts";
import * as parameters from "./key_parameters.ts";
import { GENERATION_MS_MAX } from "./limits.ts";
import { OBJECT_AT, objectValue, putObject } from "./scratch.ts";

let budgetMs = GENERATION_MS_MAX;
let isAbandoned: () => boolean = () => false;

/** Sets the budget of each generation from now on; tests want a short one. */
export function setGenerationBudget(milliseconds: number): void {
  budgetMs = milliseconds;
}

/** Generates for `job` from now on. */
export function beginGeneration(job: AsymmetricJob): void {
  isAbandoned = job.isAbandoned;
}

function generate(context: bigint): bigint {
  putObject(0n);
  return pkeys.EVP_PKEY_generate(context, OBJECT_AT) === 1 ? objectValue() : 0n;
}

/** What the prepared `context` generates, or 0n if that fails, takes too long or is not wanted any more. */
function generateInTime(context: bigint): bigint {
  const deadlineMs = performance.now() + budgetMs;
  const goOn = new Deno.UnsafeCallback(
    { parameters: ["u64"], result: "i32" },
    () => performance.now() < deadlineMs && !isAbandoned() ? 1 : 0,
  );
  pkeys.EVP_PKEY_CTX_set_cb(context, goOn.pointer);
  const made = generate(context);
  goOn.close();
  return made;
}

function setParameters(context: bigint): boolean {
  const address = parameters.parametersAddress();
  const set = address !== 0n && pkeys.EVP_PKEY_CTX_set_params(context, address) === 1;
  parameters.wipeParameters();
  return set;
}

/** A key of `type` with the parameters that the caller has added; 0n on failure. */
export function generateKeyFromParameters(type: Uint8Array<ArrayBuffer>): bigint {
  const context = pkeys.EVP_PKEY_CTX_new_from_name(0n, type, 0n);
  const made = pkeys.EVP_PKEY_keygen_init(context) === 1 && setParameters(context) ? generateInTime(context) : 0n;
  pkeys.EVP_PKEY_CTX_free(context);
  return made;
}

/** Parameters of `type` as the caller's added numbers say; 0n on failure. */
export function generateParameters(type: Uint8Array<ArrayBuffer>): bigint {
  const context = pkeys.EVP_PKEY_CTX_new_from_name(0n, type, 0n);
  const made = pkeys.EVP_PKEY_paramgen_init(context) === 1 && setParameters(context) ? generateInTime(context) : 0n;
  pkeys.EVP_PKEY_CTX_free(context);
  return made;
}

/** A key for the parameters `template`, which is at once: only a number is drawn. 0n on failure. */
export function generateKeyLike(template: bigint): bigint {
  const context = pkeys.EVP_PKEY_CTX_new_from_pkey(0n, template, 0n);
  const made = pkeys.EVP_PKEY_keygen_init(context) === 1 ? generate(context) : 0n;
  pkeys.EVP_PKEY_CTX_free(context);
  return made;
}
