/**
 * RSA key generation in the RFC's dialect.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as wire from "../../../wire/asym_rfc3.ts";
import { STATUS_ERR, STATUS_NOTSUPP, STATUS_OK } from "../../../wire/virtio_crypto.ts";
import { cString } from "../../openssl.ts";
import { generateKeyFromParameters } from "../generation.ts";
import * as parameters from "../key_parameters.ts";
import {
  RSA_GENERATED_BITS_MAX,
  RSA_MODULUS_BITS_MIN,
  RSA_PRIMES_MAX,
  RSA_PUBLIC_EXPONENT_BITS_MAX,
} from "../limits.ts";
import { putKeyPair } from "./rsa_key.ts";
import { field, isGood, takeFixed, takeNumber } from "./stream.ts";

const RSA = cString("RSA");

/** Generates a key (RFC, RSA key generation operation). */
export function generateRsa(): number {
  if (!takeFixed(wire.RSA_KEYGEN_BYTES)) return STATUS_ERR;
  const bits = 8 * field(wire.RSA_KEYGEN_MODULUS_LEN_OFFSET);
  const primes = field(wire.RSA_KEYGEN_PRIME_NUMBER_OFFSET);
  const repType = field(wire.RSA_KEYGEN_REP_TYPE_OFFSET);
  const e = takeNumber(field(wire.RSA_KEYGEN_E_LEN_OFFSET));
  if (!isGood() || (repType !== wire.RSA_PRIV_KEY_REPTYPE1 && repType !== wire.RSA_PRIV_KEY_REPTYPE2)) {
    return STATUS_ERR;
  }
  if (bits < RSA_MODULUS_BITS_MIN || bits > RSA_GENERATED_BITS_MAX) return STATUS_NOTSUPP;
  if (primes < 2 || primes > RSA_PRIMES_MAX) return STATUS_NOTSUPP;
  parameters.beginParameters();
  const exponentBits = parameters.addNumber("e", e.address, e.length);
  if (exponentBits < 2 || exponentBits > RSA_PUBLIC_EXPONENT_BITS_MAX || !parameters.lastNumberIsOdd()) {
    parameters.wipeParameters();
    return STATUS_ERR;
  }
  parameters.addSmallNumber("bits", bits);
  parameters.addSmallNumber("primes", primes);
  const key = generateKeyFromParameters(RSA);
  if (key === 0n) return STATUS_ERR;
  putKeyPair(key, primes, repType);
  pkeys.EVP_PKEY_free(key);
  return STATUS_OK;
}
