/**
 * The description of an engine module: third-party algorithms that replace those here or
 * come on top. Types and their error only; no code of the data path, and nothing that opens a library.
 *
 * @module
 */

/**
 * What came of a call. `failed`: a length, a parameter or the data is wrong, and the guest is answered with ERR.
 * `tag-mismatch`: the tag of an AEAD is not the right one, and the guest is answered with BADMSG.
 */
export type EngineOutcome = "done" | "failed" | "tag-mismatch";

/**
 * Bytes in native memory, for the length of one call. Buffers are reused for the next request: keep none, and read
 * again what you need in every call.
 */
export interface EngineBuffer {
  /** Address of the first byte in this process, below 2⁵³. */
  readonly address: number;
  /** How many bytes there are. Not one more may be read or written. */
  readonly length: number;
  /**
   * The same address as one 64-bit word. `BigInt.asUintN(64, buffer.word[0]!)` in the arguments of a native call
   * allocates nothing; `BigInt(buffer.address)` does.
   */
  readonly word: BigUint64Array;
  /**
   * The bytes themselves, from {@linkcode address} on and more than {@linkcode length} of them, for algorithms
   * written in JavaScript. Empty for source, destination and additional data of algorithms with `direct`.
   */
  readonly bytes: Uint8Array;
}

/** One request, as an algorithm sees it: everything contiguous. What does not apply is empty. */
export interface EngineRequest {
  /** What to work on: plaintext, ciphertext without its tag, or what is digested. */
  readonly source: EngineBuffer;
  /**
   * Where the result goes. For ciphers and AEADs as long as the source, and either at the same address or nowhere
   * overlapping it. For digests, a full digest, or as many bytes as are wanted of one that has any number.
   */
  readonly destination: EngineBuffer;
  /** The IV or nonce: a copy, which the guest cannot change. */
  readonly iv: EngineBuffer;
  /** Additional authenticated data. */
  readonly aad: EngineBuffer;
  /** The tag: to be written when encrypting; when decrypting, a copy of the one that came, to be compared. */
  readonly tag: EngineBuffer;
}

/**
 * An algorithm with a key in it. Its methods are called one at a time, from one thread, between a guest's request and
 * its answer: they return at once, allocate nothing where it can be helped, await nothing and do not throw. What they
 * throw all the same is logged once for each algorithm and thread, and the request is answered with ERR. Nothing here
 * guards against timers and promises that they leave behind, loops without end, or native calls that crash.
 */
export interface EngineTransform {
  /** Takes another key, which is wiped after the call; false if it is refused. Not called for hashes. */
  setKey(key: EngineBuffer): boolean;
  /** Answers a request. Requests do not build on each other: each has its IV and is complete. */
  run(request: EngineRequest): EngineOutcome;
  /** Wipes the key and gives everything up. */
  free(): void;
}

/** What all algorithms say. */
export interface EngineAlgorithm {
  /** Its number in the specification, as `CIPHER_AES_CBC` of {@linkcode virtioCrypto}. */
  readonly algo: number;
  /**
   * True to work on the guest's own memory where source and destination are contiguous in it, for libraries that are
   * called with addresses. The guest may change such a source at any time: read each byte once, and take no decision
   * on it twice. Otherwise (false, or not given) data is copied to private memory and the result copied back, only
   * after `done`.
   */
  readonly direct?: boolean;
}

/** A cipher. Source and destination have the same length, which is a multiple of a block and not 0. */
export interface EngineCipher extends EngineAlgorithm {
  /** Lengths of keys that it takes, each 1 to 64 bytes. */
  readonly keyLens: readonly number[];
  /** Bytes of IV, exactly: 0 to 128. */
  readonly ivLen: number;
  /** Bytes of a block, 1 to 4096; 1 if not given. Data that is no multiple is answered with ERR. */
  readonly blockBytes?: number;
  /** Makes one for keys of `keyLen` bytes, for one direction. */
  create(keyLen: number, encrypt: boolean): EngineTransform;
}

/** A hash. */
export interface EngineHash extends EngineAlgorithm {
  /** Bytes of a full digest, 1 to 4096, of which a guest may want fewer; 0: any number. */
  readonly digestBytes: number;
  /** Makes one. */
  create(): EngineTransform;
}

/** A MAC. */
export interface EngineMac extends EngineAlgorithm {
  /** Lengths of keys that it takes, each 0 to 512 bytes. */
  readonly keyLens: readonly number[];
  /** Bytes of a full MAC, 1 to 4096, of which a guest may want fewer. */
  readonly digestBytes: number;
  /** Makes one, for keys of any of the lengths. */
  create(): EngineTransform;
}

/** An AEAD. After `tag-mismatch` and `failed` the guest's destination holds zeros. */
export interface EngineAead extends EngineAlgorithm {
  /** Lengths of keys that it takes, each 1 to 64 bytes. */
  readonly keyLens: readonly number[];
  /** Lengths of nonces that it takes, each 0 to 128 bytes. */
  readonly ivLens: readonly number[];
  /** Lengths of tags that it makes, each 1 to 64 bytes. */
  readonly tagLens: readonly number[];
  /** Makes one for keys of `keyLen` bytes, for one direction. */
  create(keyLen: number, encrypt: boolean): EngineTransform;
}

/**
 * What an engine module exports as its default. The module is loaded in every thread that serves data, so that
 * nothing it keeps is shared between them, and algorithms are made there when a session's first request comes. Its
 * algorithms replace the built-in ones of the same number, also in multi-buffer batches and chains.
 */
export interface EngineModule {
  /** A name for messages to people: 1 to 40 letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** CIPHER algorithms. */
  readonly ciphers?: readonly EngineCipher[];
  /** HASH algorithms. */
  readonly hashes?: readonly EngineHash[];
  /** MAC algorithms. */
  readonly macs?: readonly EngineMac[];
  /** AEAD algorithms. */
  readonly aeads?: readonly EngineAead[];
}

/** An engine module that cannot be used: the message says which, what is wrong with it, and what would be right. */
export class EngineModuleError extends Error {
  /** The class's name. */
  override readonly name = "EngineModuleError";
}
