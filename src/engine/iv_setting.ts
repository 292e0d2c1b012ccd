/**
 * Chooses how the IV of a request is set in an OpenSSL context that keeps its key: written where the provider says that the
 * IV is (`EVP_CIPHER_CTX_iv_noconst`), or by an initialisation, the documented way. A provider may return no address, or
 * that of a copy that it does not read again, and would then use the previous IV again. A trial decides for each cipher,
 * key length and direction.
 *
 * Off the data path: it runs when a catalogue is made.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { copyBytes } from "../memory/native.ts";
import { type CipherSpec, CUT_WHOLE, type IvSetting } from "./cipher.ts";
import type { EngineMemory } from "./engine_memory.ts";
import { EvpContext } from "./evp_cipher.ts";
import { fetchCipher } from "./openssl.ts";

/** Offsets in the trial's memory: keys, IVs, data. All are test values and not secret. */
const KEYS = 0;
const IVS = 256;
const DATA = 512;
const KEY_BYTES_MAX = 64;
const IV_BYTES = 16;
const DATA_BYTES = 64;
/** Requests with the same key, and keys that are set in a context one after the other. */
const REQUESTS = 3;
const KEY_COUNT = 2;

/** A cipher to try. */
export interface CipherTrial {
  readonly spec: CipherSpec;
  /** Bytes of key. */
  readonly keyLen: number;
  readonly encrypt: boolean;
}

/** Keys, IVs and data of trials. */
class TrialMemory {
  readonly #address: number;
  readonly #bytes: Uint8Array;

  constructor({ owned }: EngineMemory) {
    const { address, buffer } = owned.map(4096);
    this.#address = address;
    this.#bytes = new Uint8Array(buffer);
    // With an odd factor, no two keys, no two halves of a key and no two IVs are equal.
    for (let i = 0; i < DATA; i++) this.#bytes[i] = i * 37 + (i >>> 8) * 11;
  }

  keyAt(key: number): number {
    return this.#address + KEYS + key * KEY_BYTES_MAX;
  }

  ivAt(request: number): number {
    return this.#address + IVS + request * IV_BYTES;
  }

  /** Executes a request on a context whose key and IV are set, in `pieces` calls; its result, or null if it failed. */
  result(context: EvpContext, pieces: number): string | null {
    this.#bytes.fill(0x5a, DATA, DATA + DATA_BYTES);
    const at = this.#address + DATA;
    const length = DATA_BYTES / pieces;
    for (let i = 0; i < pieces; i++) {
      if (!context.update(at + i * length, at + i * length, length)) return null;
    }
    return this.#bytes.subarray(DATA, DATA + DATA_BYTES).toHex();
  }
}

function trialContext(memory: EngineMemory, { spec, keyLen, encrypt }: CipherTrial): EvpContext {
  const context = new EvpContext(memory, spec.names[keyLen]!, encrypt);
  context.setKeyLength(keyLen);
  return context;
}

/** The answer to each request from a context of its own; null if the cipher cannot be used at all. */
function knownAnswers(memory: EngineMemory, trial: CipherTrial): (readonly string[]) | null {
  const requests = memory.scratch(TrialMemory);
  const answers: string[] = [];
  for (let key = 0; key < KEY_COUNT; key++) {
    for (let request = 0; request < REQUESTS; request++) {
      const context = trialContext(memory, trial);
      const isSet = context.init(requests.keyAt(key), requests.ivAt(request));
      const answer = isSet ? requests.result(context, 1) : null;
      context.free();
      if (answer === null) return null;
      answers.push(answer);
    }
  }
  return answers;
}

/** True if one context whose IVs are written in place gives `answers`. */
function answersInPlace(memory: EngineMemory, trial: CipherTrial, answers: readonly string[]): boolean {
  const { spec: { ivLen, cut } } = trial;
  const requests = memory.scratch(TrialMemory);
  const context = trialContext(memory, trial);
  let matches = true;
  for (let i = 0; matches && i < answers.length; i++) {
    const request = i % REQUESTS;
    // As in a session, an initialisation sets a key and any IV, and the address is requested after it.
    if (request === 0) matches = context.init(requests.keyAt(i / REQUESTS), requests.ivAt(REQUESTS));
    const address = Number(context.ivAddress());
    matches &&= address !== 0;
    if (!matches) break;
    copyBytes(address, requests.ivAt(request), ivLen);
    matches = requests.result(context, cut === CUT_WHOLE ? 1 : 2) === answers[i];
  }
  context.free();
  return matches;
}

/** Returns how the IV of the cipher of `trial` is set, or null if the cipher cannot be used. The trial runs in `memory`. */
export function tryIvSetting(memory: EngineMemory, trial: CipherTrial): IvSetting | null {
  const { spec, keyLen } = trial;
  if (fetchCipher(spec.names[keyLen]!) === 0n) return null;
  const answers = knownAnswers(memory, trial);
  const inPlace = answers !== null && spec.ivLen > 0 && answersInPlace(memory, trial, answers);
  libcrypto.ERR_clear_error();
  if (answers === null) return null;
  return inPlace ? "in-place" : "initialise";
}
