/**
 * Contexts for requests that carry parameters and keys of their own: most drivers repeat a few of them. Once a key has
 * come again, requests with it are executed with contexts like those of a session, in multi-buffer batches too.
 *
 * Data path, except `#add` (for a key that has come again).
 *
 * @module
 */
import { cleanseBytes, copyBytes } from "../memory/native.ts";
import type { OwnedMemory } from "../os/owned_memory.ts";
import { equalSecrets } from "./openssl.ts";
import { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX, Parameters } from "./operation.ts";
import type { Prepared } from "./prepared.ts";

/** Number of keys with contexts. */
const KEYS_MAX = 4;
/** Requests after which another key is remembered, to see whether it comes again. */
const REQUESTS_PER_KEY = 16;

/** Contexts stay for so many batches that do not use them, at least. */
const BATCHES_KEPT = 64;

/**
 * What a key that has come before is worth, in comparisons for those that have not; and the most that is saved up. When
 * there is nothing left, only one in so many requests is compared.
 */
const WORTH_OF_HIT = 4;
const WORTH_MAX = 256;
const REQUESTS_PER_COMPARISON = 16;

/** Makes and releases contexts. */
interface Contexts {
  prepare(parameters: Parameters): Prepared | null;
  release(prepared: Prepared): void;
}

/** Parameters and keys that a request carried, in memory of their own, and their contexts. */
class CarriedKey {
  readonly parameters = new Parameters();
  /** Null: there are none. */
  prepared: Prepared | null = null;
  /** The batch that it was used in last. */
  batch = 0;

  constructor(memory: OwnedMemory) {
    this.parameters.cipherKey = memory.mapSecret(CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX).address;
    this.parameters.authKey = this.parameters.cipherKey + CIPHER_KEY_BYTES_MAX;
  }

  /** Copies `from`, with its keys. */
  set(from: Parameters): void {
    const to = this.parameters;
    to.kind = from.kind;
    to.algo = from.algo;
    to.keyLen = from.keyLen;
    to.encrypt = from.encrypt;
    to.hashAlgo = from.hashAlgo;
    to.authKeyLen = from.authKeyLen;
    to.authenticated = from.authenticated;
    to.hashFirst = from.hashFirst;
    copyBytes(to.cipherKey, from.cipherKey, from.keyLen);
    copyBytes(to.authKey, from.authKey, from.authKeyLen);
  }

  /** True if contexts for `other` are the same. */
  equals(other: Parameters): boolean {
    const own = this.parameters;
    return own.kind === other.kind && own.algo === other.algo && own.keyLen === other.keyLen &&
      own.encrypt === other.encrypt && own.hashAlgo === other.hashAlgo && own.authKeyLen === other.authKeyLen &&
      own.authenticated === other.authenticated && own.hashFirst === other.hashFirst &&
      (own.keyLen === 0 || equalSecrets(own.cipherKey, other.cipherKey, own.keyLen)) &&
      (own.authKeyLen === 0 || equalSecrets(own.authKey, other.authKey, own.authKeyLen));
  }

  /** Wipes parameters and keys. */
  clear(): void {
    const { cipherKey, authKey } = this.parameters;
    this.parameters.reset();
    this.parameters.cipherKey = cipherKey;
    this.parameters.authKey = authKey;
    cleanseBytes(cipherKey, CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX);
  }
}

/** Keys that have come again, with their contexts. */
export class RepeatedKeys {
  readonly #contexts: Contexts;
  readonly #keys: readonly CarriedKey[];
  /** The number of keys with contexts. */
  #count = 0;
  /** A key that may come again, and the requests until another one is remembered. */
  readonly #candidate: CarriedKey;
  #requestsLeft = 0;
  #batch = 0;
  #worth = WORTH_MAX;
  #skipped = 0;
  /** True if the request that {@linkcode find} was asked about last was compared. */
  #isCompared = false;

  /** Keeps keys in `memory`, and makes contexts with `contexts`. */
  constructor(memory: OwnedMemory, contexts: Contexts) {
    this.#contexts = contexts;
    this.#keys = Array.from({ length: KEYS_MAX }, () => new CarriedKey(memory));
    this.#candidate = new CarriedKey(memory);
  }

  /** Begins a batch: what {@linkcode find} returns in it stays until the next one. */
  begin(): void {
    this.#batch = (this.#batch + 1) | 0;
  }

  /** The contexts for `parameters`; null: there are none. */
  find(parameters: Parameters): Prepared | null {
    this.#isCompared = this.#worth > 0 || ++this.#skipped % REQUESTS_PER_COMPARISON === 0;
    if (!this.#isCompared) return null;
    for (let k = 0; k < this.#count; k++) {
      const key = this.#keys[k]!;
      if (!key.equals(parameters)) continue;
      key.batch = this.#batch;
      this.#worth = Math.min(WORTH_MAX, this.#worth + WORTH_OF_HIT);
      return key.prepared;
    }
    if (this.#worth > 0) this.#worth--;
    return null;
  }

  /** A request with `parameters` has come that there were no contexts for. */
  note(parameters: Parameters): void {
    if (!this.#isCompared) return;
    const candidate = this.#candidate;
    if (candidate.equals(parameters)) {
      this.#add(parameters);
      this.#requestsLeft = 0;
    } else if (--this.#requestsLeft <= 0) {
      candidate.set(parameters);
      this.#requestsLeft = REQUESTS_PER_KEY;
    }
  }

  /** Makes contexts for `parameters`, if there is room, instead of those that were not used for the longest time. */
  #add(parameters: Parameters): void {
    let key = this.#keys[this.#count];
    if (key === undefined) {
      key = this.#keys.reduce((oldest, one) => (one.batch - oldest.batch | 0) < 0 ? one : oldest);
      // Contexts are made at the cost of dozens of requests, and this batch may still need those that it has used.
      if ((this.#batch - key.batch | 0) < BATCHES_KEPT) return;
      if (key.prepared !== null) this.#contexts.release(key.prepared);
      key.prepared = null;
    }
    key.set(parameters);
    key.batch = this.#batch;
    key.prepared = this.#contexts.prepare(key.parameters);
    // An algorithm that refuses the key does so for every request.
    if (key.prepared === null) key.clear();
    else if (this.#keys[this.#count] === key) this.#count++;
    this.#candidate.clear();
  }

  /** Wipes all keys and releases their contexts. */
  clear(): void {
    for (const key of this.#keys) {
      if (key.prepared !== null) this.#contexts.release(key.prepared);
      key.prepared = null;
      key.clear();
    }
    this.#count = 0;
    this.#candidate.clear();
    this.#requestsLeft = 0;
    this.#worth = WORTH_MAX;
  }
}
