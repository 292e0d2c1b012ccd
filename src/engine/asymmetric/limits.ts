/**
 * Limits of public-key operations, with the reasons for their sizes. The time of an operation grows with the cube of its
 * key's size, and a running operation cannot be interrupted.
 *
 * @module
 */

/** Bits of an RSA modulus. Linux tests its drivers with 512; signing with 8192 takes a tenth of a second. */
export const RSA_MODULUS_BITS_MIN = 512;
export const RSA_MODULUS_BITS_MAX = 8192;
/** Maximum bits of an RSA public exponent: OpenSSL's limit for large moduli. */
export const RSA_PUBLIC_EXPONENT_BITS_MAX = 64;
/** The same if it is computed from a private key's primes and exponents: the limit of FIPS 186-5, A.1.1. */
export const RSA_RECOVERED_EXPONENT_BITS_MAX = 256;
/** Maximum bytes of a key as DER: an 8192-bit private key with two primes has 4.7 KB, one with five a little more. */
export const AKCIPHER_KEY_BYTES_MAX = 8192;
/** Maximum bytes of a number in a request of the asymmetric RFC: the longest modulus with leading zeros. */
export const NUMBER_BYTES_MAX = 2048;
/** Maximum number of primes of an RSA modulus: OpenSSL's limit. */
export const RSA_PRIMES_MAX = 5;
/** Maximum bits of a generated RSA modulus: 4096 bits take one or two seconds, within the time budget. */
export const RSA_GENERATED_BITS_MAX = 4096;
/** Bits of a DSA modulus and of its subgroup's order, as FIPS 186 defines them. */
export const DSA_MODULUS_BITS_MIN = 512;
export const DSA_MODULUS_BITS_MAX = 3072;
export const DSA_ORDER_BITS: readonly number[] = [160, 224, 256];
/** Bits of a Diffie-Hellman modulus. */
export const DH_MODULUS_BITS_MIN = 512;
export const DH_MODULUS_BITS_MAX = 8192;
/** Maximum bits of a generated Diffie-Hellman modulus; longer ones are published groups. */
export const DH_GENERATED_BITS_MAX = 1024;
/** Minimum bits of the order of a curve without a name: with fewer, private keys can be found. */
export const EC_ORDER_BITS_MIN = 112;
/** Maximum time for generating parameters or a key, in milliseconds; then the request is answered with ERR. */
export const GENERATION_MS_MAX = 10_000;
