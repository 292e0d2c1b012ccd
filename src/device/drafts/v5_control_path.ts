/**
 * The control queue of draft v5: creates and destroys sessions. A request is one structure, in which the device writes its
 * answer; keys are at guest-physical addresses, and are copied while the session is created.
 *
 * Off the data path: it answers the control queue.
 *
 * @module
 */
import type { Catalogue } from "../../engine/catalogue.ts";
import { KIND_AEAD, type Parameters } from "../../engine/operation.ts";
import { appendRange } from "../../memory/guest_range.ts";
import { gather, Span } from "../../memory/segments.ts";
import { ChainBatch, RESPONSE_ANYWHERE } from "../../virtqueue/chain.ts";
import * as v5 from "../../wire/drafts/v5.ts";
import * as wire from "../../wire/virtio_crypto.ts";
import { servicesOf } from "../config.ts";
import { firstSeriesOf } from "../control_path.ts";
import type { QueueCounters } from "../counters.ts";
import { DESTROYED_BY_DRIVER } from "../destruction_causes.ts";
import type { JobPool } from "../job_pool.ts";
import { LABELS_OTHER_CONTROL, labelsOfControl, SERVICES } from "../metric_labels.ts";
import type { BatchProcessor } from "../queue_server.ts";
import { SessionBody } from "../session_body.ts";
import type { KeySource, SessionFactory } from "../session_factory.ts";
import { checkSymmetric } from "../session_parameters.ts";
import { ORIGIN_CONTROL_QUEUE, type SessionTable } from "../sessions.ts";
import { V5Image } from "./v5_image.ts";

/** Offsets in a request to create a session: its length, its answer, and the addresses of its keys. */
interface CreateLayout {
  readonly bytesMin: number;
  readonly inputAt: number;
  readonly keyAt: number;
  readonly authKeyAt: number;
}

/** A field that a structure does not have. */
const NONE = -1;

const CIPHER: CreateLayout = {
  bytesMin: v5.REQUEST_BYTES,
  inputAt: v5.CTRL_CIPHER_INPUT_OFFSET,
  keyAt: v5.CTRL_CIPHER_KEY_ADDR_OFFSET,
  authKeyAt: NONE,
};
const CHAIN: CreateLayout = {
  bytesMin: v5.REQUEST_BYTES,
  inputAt: v5.CTRL_CHAIN_INPUT_OFFSET,
  keyAt: v5.CTRL_CHAIN_KEY_ADDR_OFFSET,
  authKeyAt: v5.CTRL_CHAIN_AUTH_KEY_ADDR_OFFSET,
};
/** By service; CIPHER's requests have two structures. */
const LAYOUTS: readonly CreateLayout[] = [
  CIPHER,
  { bytesMin: v5.CTRL_HASH_END, inputAt: v5.CTRL_HASH_INPUT_OFFSET, keyAt: NONE, authKeyAt: NONE },
  {
    bytesMin: v5.CTRL_MAC_END,
    inputAt: v5.CTRL_MAC_INPUT_OFFSET,
    keyAt: NONE,
    authKeyAt: v5.CTRL_MAC_AUTH_KEY_ADDR_OFFSET,
  },
  {
    bytesMin: v5.CTRL_AEAD_END,
    inputAt: v5.CTRL_AEAD_INPUT_OFFSET,
    keyAt: v5.CTRL_AEAD_KEY_ADDR_OFFSET,
    authKeyAt: NONE,
  },
];

/** The keys of the current request. The cipher key is read first, then the authentication key. */
class KeysByAddress implements KeySource {
  readonly #batch: ChainBatch;
  readonly #image: V5Image;
  readonly #part = new Span();
  /** Offsets of the addresses that are left. */
  #next: number[] = [];

  constructor(batch: ChainBatch, image: V5Image) {
    this.#batch = batch;
    this.#image = image;
  }

  begin({ keyAt, authKeyAt }: CreateLayout): void {
    this.#next = [keyAt, authKeyAt];
  }

  read(address: number, length: number): boolean {
    const at = this.#next.shift()!;
    if (length === 0) return true;
    if (at === NONE) return false;
    const { segments } = this.#batch;
    const { count } = segments;
    if (!appendRange(this.#batch, this.#image.field(at + 4), this.#image.field(at), length)) return false;
    this.#part.set(count, 0, length);
    this.#part.isContiguous = segments.count === count + 1;
    gather(segments, this.#part, address);
    return true;
  }
}

/** Answers control requests. */
export class V5ControlPath implements BatchProcessor {
  readonly batch: ChainBatch;
  readonly #table: SessionTable;
  readonly #factory: SessionFactory;
  readonly #catalogue: Catalogue;
  readonly #onDestroyed: () => void;
  readonly #image: V5Image;
  readonly #body: SessionBody;
  readonly #keys: KeysByAddress;
  /** The metric labels of the current request, and its status. */
  #labels = 0;
  #status = 0;

  /**
   * Creates sessions of `table` through `factory`, whose memory it shares, with algorithms of `catalogue`. `onDestroyed`
   * is called once for each batch that has destroyed sessions.
   */
  constructor(table: SessionTable, factory: SessionFactory, catalogue: Catalogue, onDestroyed: () => void) {
    this.batch = new ChainBatch(RESPONSE_ANYWHERE, factory.memory);
    this.#image = new V5Image(this.batch, factory.memory);
    this.#body = new SessionBody(this.#image.words, v5.CTRL_OP_TYPE_BODY_OFFSET);
    this.#keys = new KeysByAddress(this.batch, this.#image);
    this.#table = table;
    this.#factory = factory;
    this.#catalogue = catalogue;
    this.#onDestroyed = onDestroyed;
  }

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

  /** Answers chain `i`; returns the used length: 0 if the request has no place for an answer. */
  #answer(i: number): number {
    const image = this.#image;
    if (!image.load(i) || image.bytes < wire.CTRL_HEADER_BYTES) return 0;
    const opcode = image.field(wire.CTRL_OPCODE_OFFSET);
    const service = wire.serviceOf(opcode);
    const op = opcode & 0xff;
    this.#labels = labelsOfControl(firstSeriesOf(service, op), service);
    if (service > wire.SERVICE_AEAD) return this.#refuseOpcode();
    if (op === wire.OP_DESTROY_SESSION) return this.#destroy(i);
    return op === wire.OP_CREATE_SESSION ? this.#create(i, service) : this.#refuseOpcode();
  }

  /** An opcode that is not defined has no structure, and no place for an answer. */
  #refuseOpcode(): number {
    this.#status = wire.STATUS_NOTSUPP;
    return 0;
  }

  #destroy(i: number): number {
    const image = this.#image;
    const at = v5.CTRL_DESTROY_STATUS_OFFSET;
    if (!image.isWritable(at, v5.STATUS_BYTES)) return 0;
    const id = v5.CTRL_DESTROY_SESSION_ID_OFFSET;
    const isDestroyed = image.bytes >= v5.CTRL_DESTROY_END && this.#table.destroy(image.field(id), image.field(id + 4));
    this.#status = isDestroyed ? wire.STATUS_OK : wire.STATUS_ERR;
    image.words[at >>> 2] = this.#status;
    image.put(i, at, v5.STATUS_BYTES);
    return image.usedLen;
  }

  #create(i: number, service: number): number {
    const image = this.#image;
    const isChain = service === wire.SERVICE_CIPHER &&
      image.field(v5.OP_TYPE_OFFSET) === wire.SYM_OP_ALGORITHM_CHAINING;
    const layout = isChain ? CHAIN : LAYOUTS[service]!;
    if (!image.isWritable(layout.inputAt, v5.CTRL_INPUT_BYTES)) return 0;
    const result = image.bytes < layout.bytesMin ? -wire.STATUS_ERR : this.#createSession(service, layout);
    this.#status = result > 0 ? wire.STATUS_OK : -result;
    const word = layout.inputAt >>> 2;
    image.words[word] = Math.max(0, result);
    image.words[word + 1] = 0;
    image.words[word + 2] = this.#status;
    image.put(i, layout.inputAt, v5.CTRL_INPUT_BYTES);
    return image.usedLen;
  }

  /** Creates the session that the current request describes. Returns its id, above 0, or minus a status. */
  #createSession(service: number, layout: CreateLayout): number {
    if ((servicesOf(this.#catalogue) >>> service & 1) === 0) return -wire.STATUS_NOTSUPP;
    const parameters = this.#factory.begin();
    const status = this.#body.read(service, parameters);
    if (status !== wire.STATUS_OK) return -status;
    // The count of each request is what matters.
    parameters.aadLen = 0;
    const refusal = this.#check(parameters, service, layout);
    if (refusal !== wire.STATUS_OK) return -refusal;
    this.#keys.begin(layout);
    const id = this.#factory.create(this.#keys, ORIGIN_CONTROL_QUEUE);
    // v5 has no status for a full table.
    return id === -wire.STATUS_NOSPC ? -wire.STATUS_ERR : id;
  }

  /** Data requests say nothing of the length of a digest or tag, so that a session without it could not be used. */
  #check(parameters: Parameters, service: number, layout: CreateLayout): number {
    const status = checkSymmetric(parameters, this.#catalogue);
    if (status !== wire.STATUS_OK) return status;
    if (parameters.kind === KIND_AEAD) return parameters.tagLen === 0 ? wire.STATUS_ERR : wire.STATUS_OK;
    const hasDigest = service !== wire.SERVICE_CIPHER || layout === CHAIN;
    return hasDigest && parameters.hashResultLen === 0 ? wire.STATUS_ERR : wire.STATUS_OK;
  }
}
