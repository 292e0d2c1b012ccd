/**
 * Generating keys and parameters within a time budget, and while the result is wanted: OpenSSL asks between one
 * candidate and the next whether to go on.
 *
 * @module
 */
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import type { AsymmetricJob } from "./job.ts";
import type { KeyParameters } from "./key_parameters.ts";
import { GENERATION_MS_MAX } from "./limits.ts";
import type { Scratch } from "./scratch.ts";

/** Generates keys and parameters. */
export class KeyGeneration {
  /** What each generation may take, in milliseconds. */
  budgetMs = GENERATION_MS_MAX;
  readonly #scratch: Scratch;
  readonly #parameters: KeyParameters;
  #isAbandoned: () => boolean = () => false;

  /** Generates what the caller has added to `parameters`. */
  constructor(scratch: Scratch, parameters: KeyParameters) {
    this.#scratch = scratch;
    this.#parameters = parameters;
  }

  /** Generates for `job` from now on. */
  begin(job: AsymmetricJob): void {
    this.#isAbandoned = job.isAbandoned;
  }

  /** A key of `type` with the parameters that the caller has added; 0n on failure. */
  keyFromParameters(type: Uint8Array<ArrayBuffer>): bigint {
    const context = pkeys.EVP_PKEY_CTX_new_from_name(0n, type, 0n);
    const made = pkeys.EVP_PKEY_keygen_init(context) === 1 ? this.#generateWithParameters(context) : 0n;
    pkeys.EVP_PKEY_CTX_free(context);
    return made;
  }

  /** Parameters of `type` as the caller's added numbers say; 0n on failure. */
  parametersOf(type: Uint8Array<ArrayBuffer>): bigint {
    const context = pkeys.EVP_PKEY_CTX_new_from_name(0n, type, 0n);
    const made = pkeys.EVP_PKEY_paramgen_init(context) === 1 ? this.#generateWithParameters(context) : 0n;
    pkeys.EVP_PKEY_CTX_free(context);
    return made;
  }

  /** A key for the parameters `template`, which is quick: only a number is drawn. 0n on failure. */
  keyLike(template: bigint): bigint {
    const context = pkeys.EVP_PKEY_CTX_new_from_pkey(0n, template, 0n);
    const made = pkeys.EVP_PKEY_keygen_init(context) === 1 ? this.#generate(context) : 0n;
    pkeys.EVP_PKEY_CTX_free(context);
    return made;
  }

  #generateWithParameters(context: bigint): bigint {
    const address = this.#parameters.address();
    const isSet = address !== 0n && pkeys.EVP_PKEY_CTX_set_params(context, address) === 1;
    this.#parameters.wipe();
    return isSet ? this.#generateInTime(context) : 0n;
  }

  /** What the prepared `context` generates, or 0n if that fails, takes too long or is not wanted any more. */
  #generateInTime(context: bigint): bigint {
    const deadlineMs = performance.now() + this.budgetMs;
    const goOn = new Deno.UnsafeCallback(
      { parameters: ["u64"], result: "i32" },
      () => performance.now() < deadlineMs && !this.#isAbandoned() ? 1 : 0,
    );
    pkeys.EVP_PKEY_CTX_set_cb(context, goOn.pointer);
    const made = this.#generate(context);
    goOn.close();
    return made;
  }

  #generate(context: bigint): bigint {
    this.#scratch.putObject(0n);
    return pkeys.EVP_PKEY_generate(context, this.#scratch.objectAt) === 1 ? this.#scratch.objectValue() : 0n;
  }
}
