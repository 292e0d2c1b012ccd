/**
 * OpenSSL's error queue as text.
 *
 * Off the data path: errors are read when something cannot be set up.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";

/** Empties OpenSSL's error queue and returns the reasons in the order of their occurrence; undefined if there is none. */
export function opensslErrors(): string | undefined {
  const reasons: string[] = [];
  const text = new Uint8Array(512);
  for (let code = libcrypto.ERR_get_error(); code !== 0n; code = libcrypto.ERR_get_error()) {
    libcrypto.ERR_error_string_n(code, text, BigInt(text.length));
    reasons.push(new TextDecoder().decode(text.subarray(0, text.indexOf(0))));
  }
  return reasons.length === 0 ? undefined : reasons.join("; ");
}
