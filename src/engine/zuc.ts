/**
 * ZUC of libIPSec_MB, for one message at a time. With versions whose single-buffer functions are incorrect (see
 * `ipsec_mb_errata.ts`), a message is the only job of a manager.
 *
 * Data path, except `needsJobs`, `createZucEea3`, `createZucEia3` and `eea3Template` (for a session's first request
 * in a thread).
 *
 * @module
 */
import { cleanseBytes, copyBytes, fillBytes } from "../memory/native.ts";
import type { CipherTransform } from "./cipher.ts";
import type { DigestTransform } from "./digest.ts";
import { DIGEST, type EngineMemory } from "./engine_memory.ts";
import {
  CIPHER_IV_BYTES,
  ipsecMbVersionNumber,
  KEY_BYTES,
  MAC_IV_BYTES,
  StreamCipher,
  WirelessMac,
  ZUC_BYTES_MAX,
  ZUC_EIA3_INPUT,
  ZucEea3,
  ZucEia3,
} from "./ipsec_mb.ts";
import { hasErratum } from "./ipsec_mb_errata.ts";
import {
  CIPHER_NULL,
  createMultiBufferManager,
  DIRECTION_ENCRYPT,
  HASH_NULL,
  JOB_CIPHER_LENGTH,
  JOB_DEC_KEYS,
  JOB_DST,
  JOB_ENC_KEYS,
  JOB_EXTRA,
  JOB_HASH_LENGTH,
  JOB_IV,
  JOB_IV_BYTES,
  JOB_SRC,
  JOB_TAG,
  JOB_TAG_BYTES,
  type JobTemplate,
  type MultiBufferManager,
  ORDER_CIPHER_FIRST,
  ORDER_HASH_FIRST,
} from "./multibuffer/manager.ts";

/** The library's numbers: IMB_CIPHER_ZUC_EEA3, IMB_AUTH_ZUC_EIA3_BITLEN. */
const CIPHER_EEA3 = 14;
const HASH_EIA3 = 20;

/** An EIA3 message with its IV, and key stream for as many bytes. */
const KEY_STREAM = 8448;

/** Private memory for padded messages of EIA3. */
class PaddedMessage {
  readonly address: number;
  readonly bytes: Uint8Array;

  constructor({ owned }: EngineMemory) {
    const { address, buffer } = owned.mapSecret(2 * KEY_STREAM);
    this.address = address;
    this.bytes = new Uint8Array(buffer);
  }
}

/** A manager whose jobs are not part of any batch; null: none can be made. */
class SequentialManager {
  readonly manager: MultiBufferManager | null;

  constructor({ owned }: EngineMemory) {
    this.manager = createMultiBufferManager(undefined, owned);
  }
}

function sequentialManager(memory: EngineMemory): MultiBufferManager | null {
  return memory.scratch(SequentialManager).manager;
}

function needsJobs(): boolean {
  return hasErratum("zucSingleBuffer", ipsecMbVersionNumber());
}

/** The reason why ZUC cannot be served with the installed library, as the end of a sentence; undefined: it can. */
export function zucProblem(memory: EngineMemory): string | undefined {
  if (!needsJobs() || sequentialManager(memory) !== null) return undefined;
  return "this version of libIPSec_MB is correct in a job manager only, and on this host it has none that wipes its memory";
}

/** ZUC as EEA3. Where a job is needed, `manager` executes it, whose jobs no batch uses. */
export function createZucEea3(memory: EngineMemory, manager?: MultiBufferManager): CipherTransform {
  return needsJobs() ? new ZucEea3Job(memory, manager ?? sequentialManager(memory)!) : new ZucEea3(memory);
}

/** ZUC as EIA3; as {@linkcode createZucEea3}. */
export function createZucEia3(memory: EngineMemory, manager?: MultiBufferManager): DigestTransform {
  return needsJobs() ? new ZucEia3Job(memory, manager ?? sequentialManager(memory)!) : new ZucEia3(memory);
}

/** The template of EEA3 jobs with the key at `key`. */
function eea3Template(manager: MultiBufferManager, key: number): JobTemplate {
  const template = manager.makeTemplate({
    mode: CIPHER_EEA3,
    hash: HASH_NULL,
    direction: DIRECTION_ENCRYPT,
    order: ORDER_CIPHER_FIRST,
    keyBytes: KEY_BYTES,
  })!;
  template.set(JOB_ENC_KEYS, key);
  template.set(JOB_DEC_KEYS, key);
  template.set(JOB_IV_BYTES, CIPHER_IV_BYTES);
  return template;
}

/** EEA3 as the only job of a manager. */
class ZucEea3Job extends StreamCipher {
  readonly #manager: MultiBufferManager;
  readonly #template: JobTemplate;
  protected override readonly overReads: boolean;

  /** For a key of 16 bytes, executed by `manager`. */
  constructor(memory: EngineMemory, manager: MultiBufferManager) {
    super(memory, CIPHER_IV_BYTES, ZUC_BYTES_MAX);
    this.#manager = manager;
    this.#template = eea3Template(manager, this.schedule);
    this.overReads = hasErratum("zucOverRead", ipsecMbVersionNumber(), manager.variant.name);
  }

  override setKey(key: number): boolean {
    copyBytes(this.schedule, key, KEY_BYTES);
    return true;
  }

  protected override crypt(iv: number, from: number, to: number, length: number): boolean {
    const manager = this.#manager;
    const job = manager.begin(0, this.#template);
    manager.set(job + JOB_IV, iv);
    manager.set(job + JOB_SRC, from);
    manager.set(job + JOB_DST, to);
    manager.setLength(job + JOB_CIPHER_LENGTH, length);
    return manager.run(1);
  }
}

/**
 * EIA3 as the only message of a manager. With versions whose lanes are incorrect at the end of a round, a message that
 * ends in the last three bytes of a round is padded with zeros up to the end of that round. Zero bits select no key
 * stream, so the tag differs only in the word that the standard adds at the end of the message (TS 35.221, 4): the word
 * for the padded end is replaced by that for the actual end.
 */
class ZucEia3Job extends WirelessMac {
  readonly #manager: MultiBufferManager;
  readonly #template: JobTemplate;
  readonly #keyStream: JobTemplate;
  readonly #padded: PaddedMessage;
  /** Bytes of a round of key stream, if messages are padded; 0: they are not. */
  readonly #roundBytes: number;

  /** For a key of 16 bytes, executed by `manager`. */
  constructor(memory: EngineMemory, manager: MultiBufferManager) {
    super(memory, ZUC_EIA3_INPUT);
    this.#manager = manager;
    this.#padded = memory.scratch(PaddedMessage);
    this.#template = manager.makeTemplate({
      mode: CIPHER_NULL,
      hash: HASH_EIA3,
      direction: DIRECTION_ENCRYPT,
      order: ORDER_HASH_FIRST,
      keyBytes: 0,
    })!;
    this.#keyStream = eea3Template(manager, this.schedule);
    const { name } = manager.variant;
    const isPadded = hasErratum("zucEia3UnequalLanes", ipsecMbVersionNumber(), name);
    this.#roundBytes = isPadded ? name.startsWith("avx2_") ? 32 : 16 : 0;
    this.#template.set(JOB_EXTRA, this.schedule);
    this.#template.set(JOB_TAG_BYTES, this.digestBytes);
  }

  override setKey(key: number): boolean {
    copyBytes(this.schedule, key, KEY_BYTES);
    return true;
  }

  protected override digest(at: number, length: number): boolean {
    const round = this.#roundBytes;
    const missing = round === 0 ? 0 : (round - (length - MAC_IV_BYTES) % round) % round;
    return missing === 0 || missing > 3 ? this.#run(at, length, 1) : this.#runPadded(at, length, missing);
  }

  /** Digests the `length` bytes at `at`, IV included, as the first of `count` jobs; the others are filled. */
  #run(at: number, length: number, count: number): boolean {
    const manager = this.#manager;
    const job = manager.begin(0, this.#template);
    manager.set(job + JOB_EXTRA + 2, at);
    manager.set(job + JOB_SRC, at + MAC_IV_BYTES);
    manager.setLength(job + JOB_HASH_LENGTH, 8 * (length - MAC_IV_BYTES));
    manager.set(job + JOB_TAG, this.memory.digest);
    return manager.run(count);
  }

  #runPadded(at: number, length: number, missing: number): boolean {
    const manager = this.#manager;
    const { smallBytes } = this.memory;
    const { address, bytes } = this.#padded;
    const end = length - MAC_IV_BYTES;
    const wordBytes = this.digestBytes;
    copyBytes(address, at, length);
    fillBytes(address + length, 0, missing);
    const job = manager.begin(1, this.#keyStream);
    manager.set(job + JOB_IV, address);
    manager.set(job + JOB_SRC, address + KEY_STREAM);
    manager.set(job + JOB_DST, address + KEY_STREAM);
    manager.setLength(job + JOB_CIPHER_LENGTH, end + missing + wordBytes);
    const done = this.#run(address, length + missing, 2);
    for (let i = 0; i < wordBytes; i++) {
      const change = bytes[KEY_STREAM + end + i]! ^ bytes[KEY_STREAM + end + missing + i]!;
      smallBytes[DIGEST + i] = smallBytes[DIGEST + i]! ^ change;
    }
    cleanseBytes(address, 2 * KEY_STREAM);
    return done;
  }
}
