/**
 * Generates keys and parameters within a time budget and as long as the result is wanted: OpenSSL asks between two
 * candidates whether to continue.
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
  /** Maximum time of a generation, in milliseconds. */
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

  /** A key with the parameters `template`, which only takes a random number. 0n on failure. */
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

  /** The result of the prepared `context`; 0n if it fails, takes too long or is no longer wanted. */
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
