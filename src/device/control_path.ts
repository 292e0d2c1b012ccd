/**
 * The control queue: creating and destroying sessions (v19, Control Virtqueue). Control path, but its requests are as
 * untrusted as data requests, and are copied before they are looked at.
 *
 * @module
 */
import { loadCatalogue } from "../engine/algorithms.ts";
import { checkKeys, checkParameters } from "../engine/engine.ts";
import { prepareAkcipherKey } from "../engine/asymmetric/akcipher.ts";
import { AkcipherKeySpec } from "../engine/asymmetric/job.ts";
import { AKCIPHER_KEY_BYTES_MAX } from "../engine/asymmetric/limits.ts";
import {
  AUTH_KEY_BYTES_MAX,
  CIPHER_KEY_BYTES_MAX,
  FAILED,
  KIND_AEAD,
  KIND_AKCIPHER,
  KIND_CHAIN,
  KIND_CIPHER,
  KIND_HASH,
  KIND_MAC,
  Parameters,
  UNSUPPORTED,
} from "../engine/operation.ts";
import { cleanseBytes } from "../memory/native.ts";
import { gather, scatter, SegmentCursor, Span } from "../memory/segments.ts";
import { mapSecret } from "../os/memory_map.ts";
import { ChainBatch } from "../virtqueue/chain.ts";
import * as akcipher from "../wire/akcipher.ts";
import * as wire from "../wire/virtio_crypto.ts";
import type { QueueCounters } from "./counters.ts";
import { checkChain } from "./data_request.ts";
import type { NegotiatedFeatures } from "./negotiated_features.ts";
import type { JobPool } from "./jobs.ts";
import { LABELS_CREATE, LABELS_DESTROY, LABELS_OTHER_CONTROL, labelsOfControl, SERVICES } from "./metric_labels.ts";
import type { SessionTable } from "./sessions.ts";

/** Places in the private memory: request, keys, answer. */
const REQUEST = 0;
const CIPHER_KEY = 128;
const AUTH_KEY = CIPHER_KEY + CIPHER_KEY_BYTES_MAX;
const ANSWER = 1024;
const ANSWER_BYTES = 16;
const LONG_KEY = 4096;

/** Who hears of what happens to sessions. */
export interface ControlListener {
  /** Some have been destroyed: once a batch. */
  onDestroyed(): void;
  /** An asymmetric one has been created. */
  onAsymmetric(): void;
}

/** Answers control requests. */
export class ControlPath {
  /** The batch that the control queue fetches into. */
  readonly batch: ChainBatch = new ChainBatch();
  readonly #table: SessionTable;
  readonly #negotiated: NegotiatedFeatures;
  readonly #listener: ControlListener;
  readonly #readable = new SegmentCursor(this.batch.segments);
  readonly #writable = new SegmentCursor(this.batch.segments);
  readonly #part = new Span();
  readonly #memory = mapSecret(LONG_KEY + AKCIPHER_KEY_BYTES_MAX);
  readonly #words = new Uint32Array(this.#memory.buffer);
  readonly #parameters = new Parameters();
  readonly #catalogue = loadCatalogue();
  /** What the request under way is counted as, and its answer. */
  #labels = 0;
  #status = 0;

  /** Creates sessions in `table` by the rules of `dialect`. */
  constructor(table: SessionTable, negotiated: NegotiatedFeatures, listener: ControlListener) {
    this.#table = table;
    this.#negotiated = negotiated;
    this.#listener = listener;
  }

  /** Answers every request of the batch, and counts it in `counters`. */
  process(_jobs: JobPool | null, counters: QueueCounters): void {
    const destroyedBefore = this.#table.destroyedCount;
    for (let i = 0; i < this.batch.count; i++) {
      this.#labels = labelsOfControl(LABELS_OTHER_CONTROL, SERVICES);
      this.#status = wire.STATUS_ERR;
      this.batch.usedLen[i] = this.#answer(i);
      counters.control(this.#labels, this.#status);
    }
    if (this.#table.destroyedCount !== destroyedBefore) this.#listener.onDestroyed();
  }

  /** Answers chain `i`; returns the bytes written. */
  #answer(i: number): number {
    const { batch } = this;
    this.#words.fill(0, ANSWER >>> 2, (ANSWER + ANSWER_BYTES) >>> 2);
    this.#writable.start(batch.firstWritable[i]!, batch.writableBytes[i]!);
    if (batch.unmapped[i] !== 0) return this.#canAnswer(i) ? this.#answerCreate(wire.STATUS_ERR, 0) : 0;
    this.#readable.start(batch.first[i]!, batch.readableBytes[i]!);
    if (!this.#fetch(REQUEST, wire.CTRL_HEADER_BYTES)) return this.#answerCreate(wire.STATUS_ERR, 0);
    const opcode = this.#words[wire.CTRL_OPCODE_OFFSET >>> 2]!;
    const service = wire.serviceOf(opcode);
    const op = opcode & 0xff;
    this.#labels = labelsOfControl(firstSeriesOf(service, op), service);
    if (service === wire.SERVICE_AKCIPHER && this.#negotiated.asymmetric === "akcipher") {
      return this.#answerAsymmetric(op);
    }
    if (op === wire.OP_DESTROY_SESSION && service <= wire.SERVICE_AEAD) return this.#destroy();
    if (op !== wire.OP_CREATE_SESSION || service > wire.SERVICE_AEAD) {
      return this.#answerCreate(wire.STATUS_NOTSUPP, 0);
    }
    const status = this.#create(service);
    return this.#answerCreate(status, status === wire.STATUS_OK ? this.#createdId : 0);
  }

  #answerAsymmetric(op: number): number {
    if (op === wire.OP_AKCIPHER_DESTROY_SESSION) return this.#destroy();
    if (op !== wire.OP_AKCIPHER_CREATE_SESSION) return this.#answerCreate(wire.STATUS_NOTSUPP, 0);
    const status = this.#createAsymmetric();
    return this.#answerCreate(status, status === wire.STATUS_OK ? this.#createdId : 0);
  }

  /** False if some of the room for the answer to chain `i` is not in guest memory. */
  #canAnswer(i: number): boolean {
    const { segments, firstWritable, end } = this.batch;
    for (let at = firstWritable[i]!; at < end[i]!; at++) if (segments.addressOf(at) === 0) return false;
    return true;
  }

  #createdId = 0;

  #fetch(offset: number, length: number): boolean {
    if (this.#readable.remaining < length) return false;
    this.#readable.take(this.#part, length);
    gather(this.batch.segments, this.#part, this.#memory.address + offset);
    return true;
  }

  /** The body's field at `offset`. */
  #body(offset: number): number {
    return this.#words[(wire.CTRL_HEADER_BYTES + offset) >>> 2]!;
  }

  #destroy(): number {
    const length = this.#negotiated.mux ? wire.CTRL_DESTROY_BYTES : wire.CTRL_BODY_BYTES_FIXED;
    let status = wire.STATUS_ERR;
    if (this.#fetch(wire.CTRL_HEADER_BYTES, length) && this.#table.destroy(this.#body(0), this.#body(4))) {
      status = wire.STATUS_OK;
    }
    return this.#answerDestroy(status);
  }

  /**
   * v19 has a le32 status with padding behind it, everybody else a byte; some drivers offer room for a whole
   * session_input and read the status there. Little-endian and zero-padded, one answer fits them all.
   */
  #answerDestroy(status: number): number {
    this.#status = status;
    const room = this.#writable.remaining;
    this.#words[ANSWER >>> 2] = status;
    if (room >= wire.SESSION_INPUT_BYTES) this.#words[(ANSWER + wire.SESSION_INPUT_STATUS_OFFSET) >>> 2] = status;
    return this.#write(
      room >= wire.SESSION_INPUT_BYTES ? ANSWER_BYTES : room >= 8 ? 8 : room >= 4 ? 4 : Math.min(room, 1),
    );
  }

  #answerCreate(status: number, id: number): number {
    this.#status = status;
    this.#words[ANSWER >>> 2] = id;
    this.#words[(ANSWER + wire.SESSION_INPUT_STATUS_OFFSET) >>> 2] = status;
    const room = this.#writable.remaining;
    // A request that is too short to tell what it is may come from a destroyer with room for a status byte only.
    if (room < wire.SESSION_INPUT_STATUS_OFFSET + 4) return this.#answerDestroy(status);
    return this.#write(Math.min(room, ANSWER_BYTES));
  }

  #write(length: number): number {
    this.#writable.take(this.#part, length);
    scatter(this.batch.segments, this.#memory.address + ANSWER, this.#part);
    return length;
  }

  #create(service: number): number {
    if ((this.#negotiated.services >>> service & 1) === 0) return wire.STATUS_NOTSUPP;
    if (
      !this.#fetch(wire.CTRL_HEADER_BYTES, this.#negotiated.mux ? muxBodyBytes(service) : wire.CTRL_BODY_BYTES_FIXED)
    ) {
      return wire.STATUS_ERR;
    }
    const parameters = this.#parameters;
    resetParameters(parameters);
    parameters.cipherKey = this.#memory.address + CIPHER_KEY;
    parameters.authKey = this.#memory.address + AUTH_KEY;
    const status = this.#readBody(service, parameters);
    if (status !== wire.STATUS_OK) return status;
    const outcome = checkParameters(parameters, this.#catalogue);
    if (outcome === UNSUPPORTED) return wire.STATUS_NOTSUPP;
    if (outcome === FAILED) return wire.STATUS_ERR;
    const created = this.#store(parameters);
    cleanseBytes(this.#memory.address + CIPHER_KEY, CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX);
    return created;
  }

  /** Fetches the keys, whose lengths have been checked, and stores the session. */
  #store(parameters: Parameters): number {
    if (!this.#fetch(CIPHER_KEY, parameters.keyLen) || !this.#fetch(AUTH_KEY, parameters.authKeyLen)) {
      return wire.STATUS_ERR;
    }
    if (!checkKeys(parameters, this.#catalogue)) return wire.STATUS_ERR;
    const id = this.#table.create(parameters);
    if (id === 0) return this.#noFreeId();
    this.#createdId = id;
    return wire.STATUS_OK;
  }

  /** The body of an asymmetric session has one size in either form; of its tail only what the algorithm has counts. */
  #createAsymmetric(): number {
    if (!this.#fetch(wire.CTRL_HEADER_BYTES, wire.CTRL_BODY_BYTES_FIXED)) return wire.STATUS_ERR;
    const parameters = this.#parameters;
    resetParameters(parameters);
    parameters.kind = KIND_AKCIPHER;
    parameters.algo = this.#body(akcipher.AKCIPHER_SESSION_ALGO_OFFSET);
    parameters.keyType = this.#body(akcipher.AKCIPHER_SESSION_KEY_TYPE_OFFSET);
    parameters.keyLen = this.#body(akcipher.AKCIPHER_SESSION_KEY_LEN_OFFSET);
    parameters.para0 = this.#body(akcipher.AKCIPHER_SESSION_PARA0_OFFSET);
    parameters.para1 = this.#body(akcipher.AKCIPHER_SESSION_PARA1_OFFSET);
    parameters.cipherKey = this.#memory.address + LONG_KEY;
    if (parameters.keyLen > AKCIPHER_KEY_BYTES_MAX) return wire.STATUS_ERR;
    if (!this.#fetch(LONG_KEY, parameters.keyLen)) return wire.STATUS_ERR;
    const status = checkAsymmetricKey(parameters);
    const id = status === wire.STATUS_OK ? this.#table.create(parameters) : 0;
    cleanseBytes(parameters.cipherKey, parameters.keyLen);
    if (status !== wire.STATUS_OK) return status;
    if (id === 0) return this.#noFreeId();
    this.#createdId = id;
    this.#listener.onAsymmetric();
    return wire.STATUS_OK;
  }

  /** v19 has NOSPC only under MUX_MODE; before it, a full table is an error like any other. */
  #noFreeId(): number {
    return this.#negotiated.mux ? wire.STATUS_NOSPC : wire.STATUS_ERR;
  }

  #readBody(service: number, parameters: Parameters): number {
    switch (service) {
      case wire.SERVICE_HASH:
        parameters.kind = KIND_HASH;
        parameters.hashAlgo = this.#body(wire.HASH_SESSION_ALGO_OFFSET);
        parameters.hashResultLen = this.#body(wire.HASH_SESSION_RESULT_LEN_OFFSET);
        return wire.STATUS_OK;
      case wire.SERVICE_MAC:
        parameters.kind = KIND_MAC;
        parameters.hashAlgo = this.#body(wire.HASH_SESSION_ALGO_OFFSET);
        parameters.hashResultLen = this.#body(wire.HASH_SESSION_RESULT_LEN_OFFSET);
        parameters.authKeyLen = this.#body(wire.MAC_SESSION_AUTH_KEY_LEN_OFFSET);
        return wire.STATUS_OK;
      case wire.SERVICE_AEAD:
        parameters.kind = KIND_AEAD;
        parameters.algo = this.#body(wire.AEAD_SESSION_ALGO_OFFSET);
        parameters.keyLen = this.#body(wire.AEAD_SESSION_KEY_LEN_OFFSET);
        parameters.tagLen = this.#body(wire.AEAD_SESSION_TAG_LEN_OFFSET);
        parameters.aadLen = this.#body(wire.AEAD_SESSION_AAD_LEN_OFFSET);
        return setDirection(parameters, this.#body(wire.AEAD_SESSION_OP_OFFSET));
      default:
        return this.#readSym(parameters);
    }
  }

  #readSym(parameters: Parameters): number {
    const opType = this.#body(wire.SYM_SESSION_OP_TYPE_OFFSET);
    if (opType === wire.SYM_OP_CIPHER) {
      parameters.kind = KIND_CIPHER;
      return this.#readCipher(parameters, 0);
    }
    if (opType !== wire.SYM_OP_ALGORITHM_CHAINING) return wire.STATUS_NOTSUPP;
    parameters.kind = KIND_CHAIN;
    const order = this.#body(wire.CHAIN_SESSION_ORDER_OFFSET);
    const status = checkChain(order, this.#body(wire.CHAIN_SESSION_HASH_MODE_OFFSET), parameters);
    if (status !== wire.STATUS_OK) return status;
    const hash = wire.CHAIN_SESSION_HASH_OFFSET;
    parameters.hashAlgo = this.#body(hash + wire.HASH_SESSION_ALGO_OFFSET);
    parameters.hashResultLen = this.#body(hash + wire.HASH_SESSION_RESULT_LEN_OFFSET);
    // A plain hash has no key, whatever stands where a MAC has its key's length.
    if (parameters.authenticated) parameters.authKeyLen = this.#body(hash + wire.MAC_SESSION_AUTH_KEY_LEN_OFFSET);
    parameters.aadLen = this.#body(wire.CHAIN_SESSION_AAD_LEN_OFFSET);
    return this.#readCipher(parameters, wire.CHAIN_SESSION_CIPHER_OFFSET);
  }

  #readCipher(parameters: Parameters, at: number): number {
    parameters.algo = this.#body(at + wire.CIPHER_SESSION_ALGO_OFFSET);
    parameters.keyLen = this.#body(at + wire.CIPHER_SESSION_KEYLEN_OFFSET);
    return setDirection(parameters, this.#body(at + wire.CIPHER_SESSION_OP_OFFSET));
  }
}

/** The series of control requests with operation `op` of a service, whether it is on offer or not. */
function firstSeriesOf(service: number, op: number): number {
  const isAsymmetric = service === wire.SERVICE_AKCIPHER;
  if (op === (isAsymmetric ? wire.OP_AKCIPHER_CREATE_SESSION : wire.OP_CREATE_SESSION)) return LABELS_CREATE;
  if (op === (isAsymmetric ? wire.OP_AKCIPHER_DESTROY_SESSION : wire.OP_DESTROY_SESSION)) return LABELS_DESTROY;
  return LABELS_OTHER_CONTROL;
}

function muxBodyBytes(service: number): number {
  switch (service) {
    case wire.SERVICE_HASH:
      return wire.CTRL_HASH_BYTES;
    case wire.SERVICE_MAC:
      return wire.CTRL_MAC_BYTES;
    case wire.SERVICE_AEAD:
      return wire.CTRL_AEAD_BYTES;
    default:
      return wire.CTRL_SYM_BYTES;
  }
}

/** Tries an asymmetric session's key, so that a bad one is refused where it is given: STATUS_OK or the refusal. */
export function checkAsymmetricKey(parameters: Parameters): number {
  const spec = new AkcipherKeySpec();
  spec.takeFrom(parameters);
  const key = prepareAkcipherKey(spec);
  if (typeof key === "number") return key;
  key.free();
  return wire.STATUS_OK;
}

/** Sets what a session's body may leave out. */
export function resetParameters(parameters: Parameters): void {
  parameters.algo = 0;
  parameters.keyLen = 0;
  parameters.encrypt = false;
  parameters.hashAlgo = 0;
  parameters.authKeyLen = 0;
  parameters.authenticated = false;
  parameters.hashFirst = false;
  parameters.hashResultLen = 0;
  parameters.tagLen = 0;
  parameters.aadLen = 0;
}

/** Takes over a session's direction. */
export function setDirection(parameters: Parameters, op: number): number {
  parameters.encrypt = op === wire.OP_ENCRYPT;
  return op === wire.OP_ENCRYPT || op === wire.OP_DECRYPT ? wire.STATUS_OK : wire.STATUS_ERR;
}
