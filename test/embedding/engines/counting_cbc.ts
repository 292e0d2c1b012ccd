/**
 * An engine module that calls OpenSSL for AES-128-CBC by addresses, in guest memory if that is contiguous, and counts
 * the requests.
 *
 * @module
 */
import type {
  EngineBuffer,
  EngineModule,
  EngineOutcome,
  EngineRequest,
  EngineTransform,
} from "../../../src/engine/modules/description.ts";

const { symbols: libcrypto } = Deno.dlopen("libcrypto.so.3", {
  EVP_aes_128_cbc: { parameters: [], result: "u64" },
  EVP_CIPHER_CTX_new: { parameters: [], result: "u64" },
  EVP_CIPHER_CTX_free: { parameters: ["u64"], result: "void" },
  EVP_CIPHER_CTX_set_padding: { parameters: ["u64", "i32"], result: "i32" },
  EVP_CipherInit_ex: { parameters: ["u64", "u64", "u64", "u64", "u64", "i32"], result: "i32" },
  EVP_CipherUpdate: { parameters: ["u64", "u64", "buffer", "u64", "i32"], result: "i32" },
});

/** Requests executed in this worker, and those of them whose source and destination were separate in guest memory. */
export const counts = { requests: 0, apart: 0 };

const written = new Uint8Array(4);

class CountingCbc implements EngineTransform {
  readonly #context = libcrypto.EVP_CIPHER_CTX_new();

  constructor(encrypt: boolean) {
    libcrypto.EVP_CipherInit_ex(this.#context, libcrypto.EVP_aes_128_cbc(), 0n, 0n, 0n, encrypt ? 1 : 0);
    libcrypto.EVP_CIPHER_CTX_set_padding(this.#context, 0);
  }

  setKey({ word }: EngineBuffer): boolean {
    return libcrypto.EVP_CipherInit_ex(this.#context, 0n, 0n, BigInt.asUintN(64, word[0]!), 0n, -1) === 1;
  }

  run({ source, destination, iv }: EngineRequest): EngineOutcome {
    counts.requests++;
    if (source.address !== destination.address) counts.apart++;
    if (libcrypto.EVP_CipherInit_ex(this.#context, 0n, 0n, 0n, BigInt.asUintN(64, iv.word[0]!), -1) !== 1) {
      return "failed";
    }
    const ok = libcrypto.EVP_CipherUpdate(
      this.#context,
      BigInt.asUintN(64, destination.word[0]!),
      written,
      BigInt.asUintN(64, source.word[0]!),
      source.length,
    );
    return ok === 1 ? "done" : "failed";
  }

  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#context);
  }
}

const module: EngineModule = {
  name: "counting-cbc",
  ciphers: [{
    algo: 3, // CIPHER_AES_CBC
    keyLens: [16],
    ivLen: 16,
    blockBytes: 16,
    direct: true,
    create: (_keyLen, encrypt) => new CountingCbc(encrypt),
  }],
};
export default module;
