/**
 * How the IV of a request is set in a context of OpenSSL's that keeps its key: written where the provider says that the
 * IV is (`EVP_CIPHER_CTX_iv_noconst`), or by an initialisation, the documented way. A provider may answer with no
 * address, or with that of a copy that it does not read again, and would then use the previous IV once more. A trial
 * decides for each cipher, key length and direction.
 *
 * Off the data path: it runs when a catalogue is made.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { copyBytes } from "../memory/native.ts";
import { mapAnonymous } from "../os/memory_map.ts";
import { type CipherSpec, CUT_WHOLE, type IvSetting } from "./cipher.ts";
import { initContext, ivAddress, newContext, update } from "./evp_cipher.ts";
import { fetchCipher } from "./openssl.ts";

/** Of the trial's memory: keys, then IVs, then data. All of it is made up, so none of it is secret. */
const KEYS = 0;
const IVS = 256;
const DATA = 512;
const KEY_BYTES_MAX = 64;
const IV_BYTES = 16;
const DATA_BYTES = 64;
/** A session's requests, and keys that a context is given one after the other. */
const REQUESTS = 3;
const KEY_COUNT = 2;

const work = mapAnonymous(4096);
const bytes = new Uint8Array(work.buffer);

/** What is tried. */
interface Trial {
  readonly spec: CipherSpec;
  readonly keyLen: number;
  readonly encrypt: boolean;
}

function fillWork(): void {
  // An odd factor: no two keys, no two halves of a key and no two IVs are equal.
  for (let i = 0; i < DATA + DATA_BYTES; i++) bytes[i] = i * 37 + (i >>> 8) * 11;
}

function setData(): void {
  bytes.fill(0x5a, DATA, DATA + DATA_BYTES);
}

function keyAt(key: number): number {
  return work.address + KEYS + key * KEY_BYTES_MAX;
}

function ivAt(request: number): number {
  return work.address + IVS + request * IV_BYTES;
}

/** Executes a request on a context whose key and IV are set, in `pieces` calls; its result, or null if it failed. */
function result(context: bigint, pieces: number): string | null {
  setData();
  const at = work.address + DATA;
  const length = DATA_BYTES / pieces;
  for (let i = 0; i < pieces; i++) {
    if (!update(context, at + i * length, at + i * length, length)) return null;
  }
  return bytes.subarray(DATA, DATA + DATA_BYTES).toHex();
}

function trialContext({ spec, keyLen, encrypt }: Trial): bigint {
  const context = newContext(spec.names[keyLen]!, encrypt);
  libcrypto.EVP_CIPHER_CTX_set_key_length(context, keyLen);
  return context;
}

/** The answer to each request from a context of its own; null if the cipher cannot be used at all. */
function knownAnswers(trial: Trial): (readonly string[]) | null {
  const answers: string[] = [];
  for (let key = 0; key < KEY_COUNT; key++) {
    for (let request = 0; request < REQUESTS; request++) {
      const context = trialContext(trial);
      const answer = initContext(context, keyAt(key), ivAt(request)) ? result(context, 1) : null;
      libcrypto.EVP_CIPHER_CTX_free(context);
      if (answer === null) return null;
      answers.push(answer);
    }
  }
  return answers;
}

/** True if one context whose IVs are written in place gives `answers`. */
function answersInPlace(trial: Trial, answers: readonly string[]): boolean {
  const { spec: { ivLen, cut } } = trial;
  const context = trialContext(trial);
  let matches = true;
  for (let i = 0; matches && i < answers.length; i++) {
    const request = i % REQUESTS;
    // As a session does: an initialisation gives a key and any IV, and the address is asked for after it.
    if (request === 0) matches = initContext(context, keyAt(i / REQUESTS), ivAt(REQUESTS));
    const address = Number(ivAddress(context));
    matches &&= address !== 0;
    if (!matches) break;
    copyBytes(address, ivAt(request), ivLen);
    matches = result(context, cut === CUT_WHOLE ? 1 : 2) === answers[i];
  }
  libcrypto.EVP_CIPHER_CTX_free(context);
  return matches;
}

/** How the IV of the cipher that `spec` has for keys of `keyLen` bytes is set, or null if it cannot be used. */
export function tryIvSetting(spec: CipherSpec, keyLen: number, encrypt: boolean): IvSetting | null {
  if (fetchCipher(spec.names[keyLen]!) === 0n) return null;
  const trial: Trial = { spec, keyLen, encrypt };
  fillWork();
  const answers = knownAnswers(trial);
  const inPlace = answers !== null && spec.ivLen > 0 && answersInPlace(trial, answers);
  libcrypto.ERR_clear_error();
  if (answers === null) return null;
  return inPlace ? "in-place" : "initialise";
}
