/**
 * Operations with keys that are used once: a context is made, used and freed. Results are left in `result` of the scratch
 * memory, which the caller wipes.
 *
 * @module
 */
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import { UNSUPPORTED } from "../operation.ts";
import { fetchDigest } from "../openssl.ts";
import { type Scratch, SCRATCH_BYTES } from "./scratch.ts";

/** OpenSSL's numbers of RSA paddings. */
export const PKCS1_PADDING = 1;
export const NO_PADDING = 3;
export const OAEP_PADDING = 4;
export const X931_PADDING = 5;
export const PSS_PADDING = 6;

const PSS_SALT_AS_DIGEST = -1;
const PSS_SALT_ANY = -2;

/** The padding and hash of an RSA key's operations; other keys ignore it. */
export interface RsaUse {
  /** *_PADDING. */
  readonly padding: number;
  /** The digest of a signature; 0n: none. */
  readonly digest: bigint;
}

/** Bytes in private memory. */
export interface Bytes {
  readonly address: number;
  readonly length: number;
}

/** By `hash_algo` number. */
const HASH_NAMES = [
  "",
  "MD5",
  "SHA1",
  "SHA2-224",
  "SHA2-256",
  "SHA2-384",
  "SHA2-512",
  "SHA3-224",
  "SHA3-256",
  "SHA3-384",
  "SHA3-512",
];
const HASH_BYTES = [0, 16, 20, 28, 32, 48, 64, 28, 32, 48, 64];

/** OpenSSL's digest for a `hash_algo`; 0n if there is none with a length of its own. */
export function digestFor(hashAlgo: number): bigint {
  const name = HASH_NAMES[hashAlgo];
  return name ? fetchDigest(name) : 0n;
}

function setUp(context: bigint, use: RsaUse | null, salt: number): boolean {
  if (use === null) return true;
  // The digest is set first: X9.31's padding contains its number, and is refused for digests without one.
  if (use.digest !== 0n && pkeys.EVP_PKEY_CTX_set_signature_md(context, use.digest) !== 1) return false;
  if (pkeys.EVP_PKEY_CTX_set_rsa_padding(context, use.padding) !== 1) return false;
  return use.padding !== PSS_PADDING || pkeys.EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt) === 1;
}

/** True if `signature` is one of `input`. */
export function verifyWith(key: bigint, signature: Bytes, input: Bytes, use: RsaUse | null): boolean {
  const context = pkeys.EVP_PKEY_CTX_new_from_pkey(0n, key, 0n);
  const good = pkeys.EVP_PKEY_verify_init(context) === 1 && setUp(context, use, PSS_SALT_ANY) &&
    pkeys.EVP_PKEY_verify(
        context,
        BigInt(signature.address),
        BigInt(signature.length),
        BigInt(input.address),
        BigInt(input.length),
      ) === 1;
  pkeys.EVP_PKEY_CTX_free(context);
  return good;
}

/** Operations with keys that are used once. */
export class KeyOperations {
  readonly #tools: { readonly scratch: Scratch };

  /** Works with `tools`. */
  constructor(tools: { readonly scratch: Scratch }) {
    this.#tools = tools;
  }

  /** The bytes to sign: the hash `hashAlgo` of `message`, or `message` if that is 0; a status if it fails. */
  digestOf(hashAlgo: number, message: Bytes): Bytes | number {
    const { scratch } = this.#tools;
    if (hashAlgo === 0) return message;
    const digest = digestFor(hashAlgo);
    if (digest === 0n) return UNSUPPORTED;
    const done = pkeys.EVP_Digest(
      BigInt(message.address),
      BigInt(message.length),
      BigInt(scratch.digestAt),
      0n,
      digest,
      0n,
    );
    return done === 1 ? { address: scratch.digestAt, length: HASH_BYTES[hashAlgo]! } : UNSUPPORTED;
  }

  /** Signs `input`; bytes of signature, or -1. */
  signWith(key: bigint, input: Bytes, use: RsaUse | null): number {
    const { scratch } = this.#tools;
    const context = pkeys.EVP_PKEY_CTX_new_from_pkey(0n, key, 0n);
    scratch.putLength(SCRATCH_BYTES);
    const done = pkeys.EVP_PKEY_sign_init(context) === 1 && setUp(context, use, PSS_SALT_AS_DIGEST) &&
      pkeys.EVP_PKEY_sign(
          context,
          BigInt(scratch.result),
          scratch.lengthAt,
          BigInt(input.address),
          BigInt(input.length),
        ) === 1;
    pkeys.EVP_PKEY_CTX_free(context);
    return done ? scratch.lengthValue() : -1;
  }

  /** Encrypts or decrypts `input`; bytes of result, or -1. */
  cryptWith(key: bigint, encrypt: boolean, input: Bytes, padding: number): number {
    const { scratch } = this.#tools;
    const context = pkeys.EVP_PKEY_CTX_new_from_pkey(0n, key, 0n);
    const { EVP_PKEY_encrypt, EVP_PKEY_decrypt, EVP_PKEY_encrypt_init, EVP_PKEY_decrypt_init } = pkeys;
    const begun = encrypt ? EVP_PKEY_encrypt_init(context) : EVP_PKEY_decrypt_init(context);
    scratch.putLength(SCRATCH_BYTES);
    const done = begun === 1 && pkeys.EVP_PKEY_CTX_set_rsa_padding(context, padding) === 1 &&
      (encrypt ? EVP_PKEY_encrypt : EVP_PKEY_decrypt)(
          context,
          BigInt(scratch.result),
          scratch.lengthAt,
          BigInt(input.address),
          BigInt(input.length),
        ) === 1;
    pkeys.EVP_PKEY_CTX_free(context);
    return done ? scratch.lengthValue() : -1;
  }

  /**
   * Derives the secret that `key` shares with `peer`; bytes of it, or -1 if OpenSSL refuses the peer. Either key may be
   * 0n.
   */
  deriveWith(key: bigint, peer: bigint): number {
    const { scratch } = this.#tools;
    if (key === 0n || peer === 0n) return -1;
    const context = pkeys.EVP_PKEY_CTX_new_from_pkey(0n, key, 0n);
    scratch.putLength(SCRATCH_BYTES);
    const done = pkeys.EVP_PKEY_derive_init(context) === 1 && pkeys.EVP_PKEY_derive_set_peer(context, peer) === 1 &&
      pkeys.EVP_PKEY_derive(context, BigInt(scratch.result), scratch.lengthAt) === 1;
    pkeys.EVP_PKEY_CTX_free(context);
    return done ? scratch.lengthValue() : -1;
  }
}
