/**
 * The libraries that implement algorithms, by the names that users choose. This file opens none of them.
 *
 * @module
 */

/** A library: OpenSSL's libcrypto, libIPSec_MB or libgcrypt. */
export type EngineName = "openssl" | "ipsec-mb" | "gcrypt";

/** All of them. */
export const ENGINES: readonly EngineName[] = ["openssl", "ipsec-mb", "gcrypt"];
