/**
 * RSA key generation of the asymmetric RFC.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { DONE, FAILED, UNSUPPORTED } from "../../operation.ts";
import { cString } from "../../openssl.ts";
import {
  RSA_GENERATED_BITS_MAX,
  RSA_MODULUS_BITS_MIN,
  RSA_PRIMES_MAX,
  RSA_PUBLIC_EXPONENT_BITS_MAX,
} from "../limits.ts";
import type { Rfc3Tools } from "./tools.ts";

const RSA = cString("RSA");

/** RSA key generation. */
export class RsaKeyGeneration {
  readonly #tools: Rfc3Tools;

  /** Works with `tools`. */
  constructor(tools: Rfc3Tools) {
    this.#tools = tools;
  }

  /** Generates a key (RFC, RSA key generation operation). */
  generate(): number {
    const { generation, parameters, rsaKeys, stream } = this.#tools;
    if (!stream.readFixed(format.RSA_KEYGEN_BYTES)) return FAILED;
    const bits = 8 * stream.field(format.RSA_KEYGEN_MODULUS_LEN_OFFSET);
    const primes = stream.field(format.RSA_KEYGEN_PRIME_NUMBER_OFFSET);
    const repType = stream.field(format.RSA_KEYGEN_REP_TYPE_OFFSET);
    const e = stream.readNumber(stream.field(format.RSA_KEYGEN_E_LEN_OFFSET));
    if (!stream.isGood() || (repType !== format.RSA_PRIV_KEY_REPTYPE1 && repType !== format.RSA_PRIV_KEY_REPTYPE2)) {
      return FAILED;
    }
    if (bits < RSA_MODULUS_BITS_MIN || bits > RSA_GENERATED_BITS_MAX) return UNSUPPORTED;
    if (primes < 2 || primes > RSA_PRIMES_MAX) return UNSUPPORTED;
    parameters.begin();
    const exponentBits = parameters.addNumber("e", e.address, e.length);
    if (exponentBits < 2 || exponentBits > RSA_PUBLIC_EXPONENT_BITS_MAX || !parameters.lastNumberIsOdd()) {
      parameters.wipe();
      return FAILED;
    }
    parameters.addSmallNumber("bits", bits);
    parameters.addSmallNumber("primes", primes);
    const key = generation.keyFromParameters(RSA);
    if (key === 0n) return FAILED;
    rsaKeys.putKeyPair(key, primes, repType);
    pkeys.EVP_PKEY_free(key);
    return DONE;
  }
}
