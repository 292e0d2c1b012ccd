/**
 * Limits of public-key operations, each with the reason for its size. An operation's time grows with the cube of
 * these, and nothing interrupts it once it runs.
 *
 * @module
 */

/** Bits of an RSA modulus. Linux tests its drivers with 512; 8192 takes a tenth of a second to sign with. */
export const RSA_MODULUS_BITS_MIN = 512;
export const RSA_MODULUS_BITS_MAX = 8192;
/** Bits of an RSA public exponent: what OpenSSL allows for large moduli. */
export const RSA_PUBLIC_EXPONENT_BITS_MAX = 64;
/** Bits of one that is worked out of a private key's primes and exponents: what FIPS 186-5, A.1.1, allows. */
export const RSA_RECOVERED_EXPONENT_BITS_MAX = 256;
/** Bytes of a key as DER, at most: an 8192-bit private key of two primes takes 4.7 KB, one of five a little more. */
export const AKCIPHER_KEY_BYTES_MAX = 8192;
/** Bytes of any number in a request of the asymmetric RFC: the longest modulus with generous zeros in front. */
export const NUMBER_BYTES_MAX = 2048;
/** Primes of an RSA modulus: what OpenSSL takes. */
export const RSA_PRIMES_MAX = 5;
/** Bits of an RSA modulus to generate: 4096 take a second or two, and the time budget ends the unlucky ones. */
export const RSA_GENERATED_BITS_MAX = 4096;
/** Bits of a DSA modulus and of its subgroup's order: what FIPS 186 defines. */
export const DSA_MODULUS_BITS_MIN = 512;
export const DSA_MODULUS_BITS_MAX = 3072;
export const DSA_ORDER_BITS: readonly number[] = [160, 224, 256];
/** Bits of a Diffie-Hellman modulus. */
export const DH_MODULUS_BITS_MIN = 512;
export const DH_MODULUS_BITS_MAX = 8192;
/** Bits of a Diffie-Hellman modulus that is searched for; longer ones are published groups. */
export const DH_GENERATED_BITS_MAX = 1024;
/** Bits of a curve's order, where the curve is none that has a name: below it the private key can be found. */
export const EC_ORDER_BITS_MIN = 112;
/** Milliseconds that generating parameters or a key may take before it is given up with ERR. */
export const GENERATION_MS_MAX = 10_000;
