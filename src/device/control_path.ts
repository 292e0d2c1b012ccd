/**
 * The control queue: creates and destroys sessions (v19, Control Virtqueue). Its requests are as untrusted as data
 * requests, and are copied before they are parsed.
 *
 * Off the data path: it answers the control queue.
 *
 * @module
 */
import { KIND_AKCIPHER } from "../engine/operation.ts";
import { gather, scatter, SegmentCursor, Span } from "../memory/segments.ts";
import type { Mapping } from "../os/memory_map.ts";
import { ChainBatch } from "../virtqueue/chain.ts";
import * as akcipher from "../wire/akcipher.ts";
import * as wire from "../wire/virtio_crypto.ts";
import type { QueueCounters } from "./counters.ts";
import { DESTROYED_BY_DRIVER } from "./destruction_causes.ts";
import type { NegotiatedFeatures } from "./negotiated_features.ts";
import type { JobPool } from "./job_pool.ts";
import { LABELS_CREATE, LABELS_DESTROY, LABELS_OTHER_CONTROL, labelsOfControl, SERVICES } from "./metric_labels.ts";
import type { BatchProcessor } from "./queue_server.ts";
import { SessionBody } from "./session_body.ts";
import type { KeySource, SessionFactory } from "./session_factory.ts";
import { ORIGIN_CONTROL_QUEUE, type SessionTable } from "./sessions.ts";

/** Offsets in the private memory: request and answer. Keys are copied directly to the session factory's memory. */
const REQUEST = 0;
const ANSWER = 128;
const ANSWER_BYTES = 16;

/** Answers control requests. */
export class ControlPath implements BatchProcessor {
  /** The batch that the control queue fetches into. */
  readonly batch: ChainBatch;
  readonly #table: SessionTable;
  readonly #factory: SessionFactory;
  readonly #negotiated: NegotiatedFeatures;
  readonly #onDestroyed: () => void;
  readonly #readable: SegmentCursor;
  readonly #writable: SegmentCursor;
  readonly #part = new Span();
  readonly #memory: Mapping;
  readonly #words: Uint32Array;
  readonly #sessionBody: SessionBody;
  /** A session's keys follow its parameters in the request. */
  readonly #keys: KeySource = { read: (address, length) => this.#copy(address, length) };
  /** The metric labels of the current request, and its answer. */
  #labels = 0;
  #status = 0;

  /**
   * Creates sessions of `table` through `factory`, whose memory it shares, under the features `negotiated`. `onDestroyed`
   * is called once for each batch that has destroyed sessions.
   */
  constructor(
    table: SessionTable,
    factory: SessionFactory,
    negotiated: NegotiatedFeatures,
    onDestroyed: () => void,
  ) {
    this.batch = new ChainBatch(ANSWER_BYTES, factory.memory);
    this.#readable = new SegmentCursor(this.batch.segments);
    this.#writable = new SegmentCursor(this.batch.segments);
    this.#memory = factory.memory.map(ANSWER + ANSWER_BYTES);
    this.#words = new Uint32Array(this.#memory.buffer);
    this.#sessionBody = new SessionBody(this.#words, wire.SYM_SESSION_OP_TYPE_OFFSET);
    this.#table = table;
    this.#factory = factory;
    this.#negotiated = negotiated;
    this.#onDestroyed = onDestroyed;
  }

  /** Answers every request of the batch and counts it in `counters`. Returns the number of requests. */
  process(_jobs: JobPool | null, counters: QueueCounters): number {
    const destroyedBefore = this.#table.destroyedCount;
    for (let i = 0; i < this.batch.count; i++) {
      this.#labels = labelsOfControl(LABELS_OTHER_CONTROL, SERVICES);
      this.#status = wire.STATUS_ERR;
      this.batch.usedLen[i] = this.#answer(i);
      counters.control(this.#labels, this.#status);
    }
    const destroyed = this.#table.destroyedCount - destroyedBefore | 0;
    if (destroyed === 0) return this.batch.count;
    counters.sessionsDestroyed(DESTROYED_BY_DRIVER, destroyed);
    this.#onDestroyed();
    return this.batch.count;
  }

  /** Answers chain `i`; returns the bytes written. */
  #answer(i: number): number {
    const { batch } = this;
    this.#words.fill(0, ANSWER >>> 2, (ANSWER + ANSWER_BYTES) >>> 2);
    this.#writable.start(batch.firstWritable[i]!, batch.writableBytes[i]!);
    if (batch.unmapped[i] !== 0) return this.#answerCreate(wire.STATUS_ERR, 0);
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
    return this.#create(service);
  }

  #answerAsymmetric(op: number): number {
    if (op === wire.OP_AKCIPHER_DESTROY_SESSION) return this.#destroy();
    if (op !== wire.OP_AKCIPHER_CREATE_SESSION) return this.#answerCreate(wire.STATUS_NOTSUPP, 0);
    return this.#createAsymmetric();
  }

  #fetch(offset: number, length: number): boolean {
    return this.#copy(this.#memory.address + offset, length);
  }

  /** Copies the next `length` readable bytes to `address`; false if there are fewer. */
  #copy(address: number, length: number): boolean {
    if (this.#readable.remaining < length) return false;
    this.#readable.sliceInto(this.#part, length);
    gather(this.batch.segments, this.#part, address);
    return true;
  }

  /** The field at `offset` of the body. */
  #body(offset: number): number {
    return this.#words[(wire.CTRL_HEADER_BYTES + offset) >>> 2]!;
  }

  #destroy(): number {
    const { mux, draft } = this.#negotiated;
    const isShort = mux || (draft === "v15" && this.#readable.remaining === wire.CTRL_DESTROY_BYTES);
    const length = isShort ? wire.CTRL_DESTROY_BYTES : wire.CTRL_BODY_BYTES_FIXED;
    let status = wire.STATUS_ERR;
    if (this.#fetch(wire.CTRL_HEADER_BYTES, length) && this.#table.destroy(this.#body(0), this.#body(4))) {
      status = wire.STATUS_OK;
    }
    return this.#answerDestroy(status);
  }

  /**
   * Writes the status of a destroy request. v19 has a le32 status followed by padding, the other texts have a byte;
   * some drivers provide a whole session_input and read the status there. A little-endian, zero-padded answer suits
   * all.
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
    // A request that is too short to be identified may be a destroy request that has space for a status byte only.
    if (room < wire.SESSION_INPUT_STATUS_OFFSET + 4) return this.#answerDestroy(status);
    return this.#write(Math.min(room, ANSWER_BYTES));
  }

  #write(length: number): number {
    this.#writable.sliceInto(this.#part, length);
    scatter(this.batch.segments, this.#memory.address + ANSWER, this.#part);
    return length;
  }

  #create(service: number): number {
    const { services, sessionCreation } = this.#negotiated;
    const isOffered = ((services & sessionCreation) >>> service & 1) !== 0;
    if (!isOffered) return this.#answerCreate(wire.STATUS_NOTSUPP, 0);
    if (!this.#fetchBody(service)) return this.#answerCreate(wire.STATUS_ERR, 0);
    const status = this.#sessionBody.read(service, this.#factory.begin());
    return status === wire.STATUS_OK ? this.#store() : this.#answerCreate(status, 0);
  }

  /**
   * Copies the body of a request to create a session; false if it is not complete. v15 does not say whether it is padded:
   * a request that has exactly the length of an unpadded body and its key is taken for one.
   */
  #fetchBody(service: number): boolean {
    const { mux, draft } = this.#negotiated;
    const shortBytes = muxBodyBytes(service);
    if (mux) return this.#fetch(wire.CTRL_HEADER_BYTES, shortBytes);
    if (draft === "v19") return this.#fetch(wire.CTRL_HEADER_BYTES, wire.CTRL_BODY_BYTES_FIXED);
    if (!this.#fetch(wire.CTRL_HEADER_BYTES, shortBytes)) return false;
    if (this.#readable.remaining === this.#keyBytes(service)) return true;
    const padding = wire.CTRL_BODY_BYTES_FIXED - shortBytes;
    return padding === 0 || this.#fetch(wire.CTRL_HEADER_BYTES + shortBytes, padding);
  }

  /** Bytes of the key of a session of `service`, as its body says, unless it is symmetric. */
  #keyBytes(service: number): number {
    if (service === wire.SERVICE_MAC) return this.#body(wire.MAC_SESSION_AUTH_KEY_LEN_OFFSET);
    return service === wire.SERVICE_AEAD ? this.#body(wire.AEAD_SESSION_KEY_LEN_OFFSET) : 0;
  }

  /** The body of an asymmetric session has one size in either form; the algorithm decides which of its fields count. */
  #createAsymmetric(): number {
    if (!this.#fetch(wire.CTRL_HEADER_BYTES, wire.CTRL_BODY_BYTES_FIXED)) return this.#answerCreate(wire.STATUS_ERR, 0);
    const parameters = this.#factory.begin();
    parameters.kind = KIND_AKCIPHER;
    parameters.algo = this.#body(akcipher.AKCIPHER_SESSION_ALGO_OFFSET);
    parameters.keyType = this.#body(akcipher.AKCIPHER_SESSION_KEY_TYPE_OFFSET);
    parameters.keyLen = this.#body(akcipher.AKCIPHER_SESSION_KEY_LEN_OFFSET);
    parameters.para0 = this.#body(akcipher.AKCIPHER_SESSION_PARA0_OFFSET);
    parameters.para1 = this.#body(akcipher.AKCIPHER_SESSION_PARA1_OFFSET);
    return this.#store();
  }

  /** Creates the session whose parameters have been read, with the keys that follow them, and writes the answer. */
  #store(): number {
    const id = this.#factory.create(this.#keys, ORIGIN_CONTROL_QUEUE);
    if (id > 0) return this.#answerCreate(wire.STATUS_OK, id);
    // v19 has NOSPC only under MUX_MODE; without it, a full table is reported as ERR.
    return this.#answerCreate(id === -wire.STATUS_NOSPC && !this.#negotiated.mux ? wire.STATUS_ERR : -id, 0);
  }
}

/** The metric labels of control requests with operation `op` of a service, offered or not. */
export function firstSeriesOf(service: number, op: number): number {
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
