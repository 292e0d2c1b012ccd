/**
 * The description of an engine module: third-party algorithms that replace built-in ones or are added to them. This file
 * contains types and their error only.
 *
 * @module
 */

/**
 * The outcome of a request. `failed`: a length, a parameter or the data is invalid, and the request is answered with ERR.
 * `tag-mismatch`: the tag of an AEAD does not match, and the request is answered with BADMSG.
 */
export type EngineOutcome = "done" | "failed" | "tag-mismatch";

/**
 * Bytes in native memory, valid during one call. Buffers are reused for the next request: keep no reference to them or
 * to their properties.
 */
export interface EngineBuffer {
  /** Address of the first byte in this process, below 2⁵³. */
  readonly address: number;
  /** Number of bytes. No byte beyond may be read or written. */
  readonly length: number;
  /**
   * The same address as one 64-bit word. `BigInt.asUintN(64, buffer.word[0]!)` in the arguments of a native call
   * allocates nothing; `BigInt(buffer.address)` does.
   */
  readonly word: BigUint64Array;
  /**
   * The bytes from {@linkcode address} on, more than {@linkcode length}, for algorithms written in JavaScript. Empty for
   * source, destination and additional data of algorithms with `direct`.
   */
  readonly bytes: Uint8Array;
}

/** A request with contiguous buffers. Buffers that do not apply are empty. */
export interface EngineRequest {
  /** The input: plaintext, ciphertext without its tag, or the data to digest. */
  readonly source: EngineBuffer;
  /**
   * The result. For ciphers and AEADs it is as long as the source, and either at the same address or disjoint from it. For
   * digests it is a full digest or, if the algorithm has digests of any length, as many bytes as the request wants.
   */
  readonly destination: EngineBuffer;
  /** The IV or nonce: a copy, which the guest cannot change. */
  readonly iv: EngineBuffer;
  /** Additional authenticated data. */
  readonly aad: EngineBuffer;
  /** The tag: when encrypting, to be written; when decrypting, a copy of the received tag, to be compared. */
  readonly tag: EngineBuffer;
}

/**
 * An algorithm with a key. Its methods are called sequentially, from one thread, between a guest's request and its
 * answer: they should return soon, allocate little, wait for nothing and not throw. If one throws, that is logged once for
 * each algorithm and thread, and the request is answered with ERR. There is no protection against timers and promises
 * that they leave behind, endless loops, or native calls that crash.
 */
export interface EngineTransform {
  /** Sets the key, which is wiped after the call; false if it is refused. Not called for hashes. */
  setKey(key: EngineBuffer): boolean;
  /** Executes a request. Requests are independent: each is complete and has its own IV. */
  run(request: EngineRequest): EngineOutcome;
  /** Wipes the key and frees all resources. */
  free(): void;
}

/** Properties of all algorithms. */
export interface EngineAlgorithm {
  /** Its number in the specification, as `CIPHER_AES_CBC` of {@linkcode virtioCrypto}. */
  readonly algo: number;
  /**
   * True: the algorithm reads and writes guest memory where source and destination are contiguous, for libraries that
   * are called with addresses. The guest may change such a source at any time: read each byte once. False or not given:
   * data is copied to private memory, and the result is copied back after `done`.
   */
  readonly direct?: boolean;
}

/** A cipher. Source and destination have the same length, which is a multiple of a block and not 0. */
export interface EngineCipher extends EngineAlgorithm {
  /** Key lengths that it accepts, each 1 to 64 bytes. */
  readonly keyLens: readonly number[];
  /** Bytes of IV, exactly: 0 to 128. */
  readonly ivLen: number;
  /** Bytes of a block, 1 to 4096; 1 if not given. Requests with incomplete blocks are answered with ERR. */
  readonly blockBytes?: number;
  /** Makes one for keys of `keyLen` bytes, for one direction. */
  create(keyLen: number, encrypt: boolean): EngineTransform;
}

/** A hash. */
export interface EngineHash extends EngineAlgorithm {
  /** Bytes of a full digest, 1 to 4096, of which a request may want fewer; 0: any number. */
  readonly digestBytes: number;
  /** Makes one. */
  create(): EngineTransform;
}

/** A MAC. */
export interface EngineMac extends EngineAlgorithm {
  /** Key lengths that it accepts, each 0 to 512 bytes. */
  readonly keyLens: readonly number[];
  /** Bytes of a full MAC, 1 to 4096, of which a request may want fewer. */
  readonly digestBytes: number;
  /** Makes one, for keys of any of the lengths. */
  create(): EngineTransform;
}

/** An AEAD. After `tag-mismatch` and `failed` the guest's destination holds zeros. */
export interface EngineAead extends EngineAlgorithm {
  /** Key lengths that it accepts, each 1 to 64 bytes. */
  readonly keyLens: readonly number[];
  /** Nonce lengths that it accepts, each 0 to 128 bytes. */
  readonly ivLens: readonly number[];
  /** Lengths of tags that it makes, each 1 to 64 bytes. */
  readonly tagLens: readonly number[];
  /** Makes one for keys of `keyLen` bytes, for one direction. */
  create(keyLen: number, encrypt: boolean): EngineTransform;
}

/**
 * The default export of an engine module. The module is loaded in every thread that serves data, so its variables are
 * not shared between them; algorithms are made there for a session's first request. They replace the built-in ones of the
 * same number, also in chains, and are never executed in multi-buffer batches.
 */
export interface EngineModule {
  /** A name for messages: 1 to 40 letters, digits, `.`, `_` and `-`. */
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

/** An engine module cannot be used. The message names the module, the problem and the remedy. */
export class EngineModuleError extends Error {
  /** The class's name. */
  override readonly name = "EngineModuleError";
}
