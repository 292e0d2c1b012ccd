/**
 * A virtio-crypto driver on top of a vhost-user frontend, in one object. Owns guest memory, queues and the connection
 * from the handshake until they are closed.
 *
 * @module
 */
import { closeFd } from "../os/event_fd.ts";
import { connectUnix } from "../os/unix_socket.ts";
import type { Draft } from "../wire/drafts/draft.ts";
import * as w from "../wire/virtio_crypto.ts";
import { bringUp, type BringUpOptions, type DeviceModel, setUpRing, tearDownRing } from "./bring_up.ts";
import {
  checkDestruction,
  checkEncoded,
  checkSession,
  completeRequest,
  type SessionDefaults,
  sessionDefaultsOf,
} from "./check_request.ts";
import { type CryptoConfig, offers } from "./config.ts";
import { DriverError, RequestError } from "./errors.ts";
import { concat, type EncodedRequest } from "./fields.ts";
import { Frontend } from "./frontend.ts";
import type { FrontendOptions } from "./frontend_connection.ts";
import { DriverMemory, type RegionSpec, type Segment } from "./guest_memory.ts";
import { FEATURE_NAMES } from "./names.ts";
import type { Split } from "./layout.ts";
import { type Completion, Pipeline, type PipelineOptions } from "./pipeline.ts";
import type { ChainLayout, DriverQueue } from "./queue.ts";
import * as requests from "./requests.ts";
import { encodeDataV15 } from "./drafts/v15_requests.ts";
import { encodeCreateSessionV5, encodeDataV5, encodeDestroySessionV5 } from "./drafts/v5_requests.ts";
import { Answer, encodeOperation } from "./rfc3/operation.ts";
import { Rfc3Service } from "./rfc3/rfc3_service.ts";
import type { SubmitOptions } from "./submit_options.ts";
import type { SessionMessageLayout } from "./session_payload.ts";
import { type ControlOptions, encodeCreateSession, encodeDestroySession, type SessionParameters } from "./sessions.ts";
import { sessionRefused, withArticle } from "./status.ts";

/** Options of {@linkcode CryptoDriver.connect}. */
export interface CryptoDriverOptions extends FrontendOptions, BringUpOptions {
  /** Guest memory; three regions if not given. */
  readonly regions?: readonly RegionSpec[];
  /** Guest memory that the caller has made, used instead of `regions`; the driver owns it from then on. */
  readonly memory?: DriverMemory;
  /** The layout of requests in descriptors, unless their options override it; `fields` if not given. */
  readonly split?: Split;
  /** Layout of session messages, where {@linkcode DeviceModel} is `cryptodev`; `qemu-8.1` if not given. */
  readonly sessionLayout?: SessionMessageLayout;
}

/**
 * The outcome of a request: its status, and the number of bytes that the device reports as written, status included.
 */
export interface Outcome {
  /** STATUS_*; {@linkcode expectOk} throws if it is not STATUS_OK. */
  readonly status: number;
  /** Bytes written, as the device reports. */
  readonly usedLen: number;
}

/** The outcome of a CIPHER, AEAD or AKCIPHER request. */
export interface DstResult extends Outcome {
  /** The whole destination, if `status` is STATUS_OK. */
  readonly dst: Uint8Array<ArrayBuffer>;
}

/** The outcome of a HASH or MAC request. */
export interface DigestResult extends Outcome {
  /** The digest or the authentication code, if `status` is STATUS_OK. */
  readonly result: Uint8Array<ArrayBuffer>;
}

/** The outcome of a data request of any service. Fields that the service does not have are empty. */
export interface DataResult extends DstResult, DigestResult {}

/** The outcome of a request to create a session. */
export interface CreateResult {
  /** STATUS_*. */
  readonly status: number;
  /** The new session's id. */
  readonly sessionId: number;
  /** Bytes written, as the device reports. */
  readonly usedLen: number;
}

/** A request whose service is the name of the method. */
export type Bare<Request> = Omit<Request, "service">;

const NOTHING = new Uint8Array();

/** The feature bit that allows each service's requests without a session. */
const STATELESS_BITS = {
  cipher: w.F_CIPHER_STATELESS_MODE,
  chain: w.F_CIPHER_STATELESS_MODE,
  hash: w.F_HASH_STATELESS_MODE,
  mac: w.F_MAC_STATELESS_MODE,
  aead: w.F_AEAD_STATELESS_MODE,
  akcipher: w.F_AKCIPHER_STATELESS_MODE,
} as const;

/**
 * A driver of a virtio-crypto device: sessions are created with {@linkcode CryptoDriver.createSession}, and each
 * service has a method. Any number of requests may be in flight. Methods reject with {@linkcode RequestError} for a
 * request that cannot be encoded, and with {@linkcode DriverTimeoutError}, {@linkcode DisconnectedError} or
 * {@linkcode DeviceViolationError} if the device does not answer correctly. A status that is not STATUS_OK is a result.
 */
export class CryptoDriver {
  /** The connection. */
  readonly frontend: Frontend;
  /** The guest's memory. */
  readonly memory: DriverMemory;
  /** The data queues. */
  readonly dataQueues: readonly DriverQueue[];
  /** The control queue; undefined for the device model `cryptodev`, where session messages replace it. */
  readonly controlQueue: DriverQueue | undefined;
  /** The operations of the asymmetric RFC v3, for a device whose `config.layout` is `rfc3`. */
  readonly rfc3: Rfc3Service;
  /** Virtio feature bits that were acknowledged. */
  readonly features: bigint;
  /** Virtio feature bits that the device offers. */
  readonly offeredFeatures: bigint;
  /** The configuration space; undefined if the device does not let it be read. */
  readonly config: CryptoConfig | undefined;
  /** The draft of the specification that the driver follows. */
  readonly draft: Draft;
  readonly #deviceModel: DeviceModel;
  readonly #controlIndex: number;
  readonly #rings: ReadonlyMap<number, { readonly queue: DriverQueue; readonly errFd: number }>;
  readonly #pipeline: Pipeline;
  readonly #sessionLayout: SessionMessageLayout;
  readonly #bases = new Map<number, number>();
  /** Parameters that the existing sessions fix for their requests, by id. */
  readonly #sessionDefaults = new Map<bigint, SessionDefaults>();
  #closed = false;

  private constructor(
    frontend: Frontend,
    memory: DriverMemory,
    device: Awaited<ReturnType<typeof bringUp>>,
    options: CryptoDriverOptions,
  ) {
    this.frontend = frontend;
    this.memory = memory;
    this.features = device.features;
    this.offeredFeatures = device.offeredFeatures;
    this.config = device.config;
    this.dataQueues = device.dataQueues;
    this.controlQueue = device.rings.get(device.controlIndex)?.queue;
    this.draft = options.draft ?? "v19";
    this.#deviceModel = options.deviceModel ?? "generic";
    this.#controlIndex = device.controlIndex;
    this.#rings = device.rings;
    this.#sessionLayout = options.sessionLayout ?? "qemu-8.1";
    this.#pipeline = new Pipeline(memory, frontend, options.split);
    this.rfc3 = new Rfc3Service(async (operation, submitOptions = {}) => {
      this.#expectAsymmetric("rfc3");
      const completion = await this.#pipeline.submit(
        submitOptions.queue ?? 0,
        encodeOperation(operation),
        submitOptions,
      );
      return new Answer(completion);
    });
    for (const [index, ring] of device.rings) this.#pipeline.addQueue(index, ring);
  }

  /**
   * Connects to the device that listens on a path (or is connected to a descriptor), negotiates, and starts the
   * queues. Throws {@linkcode DriverError} or {@linkcode SystemError}, after freeing everything.
   */
  static async connect(where: string | number, options: CryptoDriverOptions = {}): Promise<CryptoDriver> {
    const frontend = new Frontend(typeof where === "number" ? where : connectUnix(where), options);
    let memory: DriverMemory | undefined;
    try {
      memory = options.memory ?? new DriverMemory(options.regions);
      return new CryptoDriver(frontend, memory, await bringUp(frontend, memory, options), options);
    } catch (error) {
      await frontend.close();
      memory?.release();
      throw error;
    }
  }

  /** True if feature bit `bit` is acknowledged. */
  hasFeature(bit: number): boolean {
    return (this.features >> BigInt(bit) & 1n) === 1n;
  }

  /** Requests in flight. */
  get openCount(): number {
    return this.#pipeline.openCount;
  }

  /**
   * Creates a session; returns its id. Throws {@linkcode RequestError} if a parameter is missing, {@linkcode
   * RefusedError} with the status's name and a remedy if the device refuses it.
   */
  async createSession(session: SessionParameters, options: ControlOptions & PipelineOptions = {}): Promise<number> {
    const { status, sessionId } = await this.tryCreateSession(session, options);
    if (status !== w.STATUS_OK) throw sessionRefused(session.service, status);
    return sessionId;
  }

  /** Creates a session; resolves with any status. Throws {@linkcode RequestError} if a parameter is missing. */
  async tryCreateSession(
    session: SessionParameters,
    options: ControlOptions & PipelineOptions = {},
  ): Promise<CreateResult> {
    checkSession(session);
    const result = await this.#submitCreation(session, options);
    if (result.status === w.STATUS_OK) this.#sessionDefaults.set(BigInt(result.sessionId), sessionDefaultsOf(session));
    return result;
  }

  async #submitCreation(session: SessionParameters, options: ControlOptions & PipelineOptions): Promise<CreateResult> {
    if (this.#deviceModel === "cryptodev") {
      const id = Number(await this.frontend.createCryptoSession(this.#sessionLayout, session));
      return { status: id < 0 ? -id : w.STATUS_OK, sessionId: id, usedLen: 0 };
    }
    const request = this.draft === "v5"
      ? encodeCreateSessionV5(session, options)
      : encodeCreateSession(session, { mux: this.hasFeature(w.F_MUX_MODE), ...options });
    const { usedLen, fields } = await this.submitControl(request, options);
    const input = new DataView(fields["input"]!.buffer);
    return { status: input.getUint32(8, true), sessionId: Number(input.getBigInt64(0, true)), usedLen };
  }

  /** Destroys a session; returns the status: STATUS_ERR if there is none of this id. */
  async destroySession(
    service: SessionParameters["service"],
    sessionId: number | bigint,
    options: ControlOptions & PipelineOptions & { readonly inputBytes?: number } = {},
  ): Promise<number> {
    checkDestruction(service, sessionId);
    this.#sessionDefaults.delete(BigInt(sessionId));
    if (this.#deviceModel === "cryptodev") {
      await this.frontend.closeCryptoSession(sessionId);
      return w.STATUS_OK;
    }
    const request = this.draft === "v5"
      ? encodeDestroySessionV5(service, sessionId, options)
      : encodeDestroySession(service, sessionId, { mux: this.hasFeature(w.F_MUX_MODE), ...options });
    const { fields } = await this.submitControl(request, options);
    const input = fields["input"]!;
    return input.length < 4 ? input[0]! : new DataView(input.buffer).getUint32(0, true);
  }

  /** Encrypts or decrypts with a cipher. */
  cipher(request: Bare<requests.CipherRequest>, options?: SubmitOptions): Promise<DstResult> {
    return this.request({ ...request, service: "cipher" }, options);
  }

  /** Computes a digest. */
  hash(request: Bare<requests.HashRequest>, options?: SubmitOptions): Promise<DigestResult> {
    return this.request({ ...request, service: "hash" }, options);
  }

  /**
   * Computes a message authentication code. GMAC, SNOW3G_UIA2 and ZUC_EIA3 need an `iv`, which is sent in front of
   * `src` and is not part of the message.
   */
  mac(request: Bare<requests.MacRequest>, options?: SubmitOptions): Promise<DigestResult> {
    return this.request({ ...request, service: "mac" }, options);
  }

  /** Encrypts or decrypts, and computes a digest or an authentication code, in the session's order. */
  chain(request: Bare<requests.ChainRequest>, options?: SubmitOptions): Promise<DataResult> {
    return this.request({ ...request, service: "chain" }, options);
  }

  /** Encrypts and authenticates, or verifies and decrypts; a tag that does not match gives STATUS_BADMSG. */
  aead(request: Bare<requests.AeadRequest>, options?: SubmitOptions): Promise<DstResult> {
    return this.request({ ...request, service: "aead" }, options);
  }

  /**
   * Executes an operation of the ratified AKCIPHER service. `dst` has exactly the bytes of the result, which can be
   * fewer than `dstDataLen` for a signature or a plaintext. A signature that does not match gives STATUS_KEY_REJECTED.
   */
  akcipher(request: Bare<requests.AkcipherRequest>, options?: SubmitOptions): Promise<DstResult> {
    return this.request({ ...request, service: "akcipher" }, options);
  }

  /** The form in which `request` is sent unless the caller chooses one. */
  modeOf(request: requests.DataRequest): requests.RequestMode {
    if (request.stateless !== undefined && request.flag !== w.FLAG_SESSION_MODE) return "stateless";
    return this.hasFeature(w.F_MUX_MODE) ? "mux" : "fixed";
  }

  /** Executes a data request of any service. Rejects with {@linkcode RequestError} if a field is missing. */
  async request(request: requests.DataRequest, options: SubmitOptions = {}): Promise<DataResult> {
    const complete = completeRequest(request, (id) => this.#sessionDefaults.get(id));
    if (complete.service === "akcipher") this.#expectAsymmetric("ratified");
    if (complete.stateless !== undefined && options.mode === undefined) this.#expectStateless(complete.service);
    const result = await this.submitData(this.encode(complete, options.mode), options);
    if (complete.service !== "akcipher") return result;
    // The used length counts the result and the status byte, which may be further behind.
    return { ...result, dst: result.dst.slice(0, Math.max(0, result.usedLen - 1)) };
  }

  /** The bytes of a complete request, in the form that was negotiated unless the caller chooses one. */
  encode(request: requests.DataRequest, mode?: requests.RequestMode): EncodedRequest {
    if (this.draft === "v5") return encodeDataV5(request);
    return this.draft === "v15" ? encodeDataV15(request) : requests.encodeData(request, mode ?? this.modeOf(request));
  }

  /** Throws {@linkcode RequestError} if requests of `service` need sessions. */
  #expectStateless(service: requests.DataRequest["service"]): void {
    if (this.draft !== "v19" && service !== "akcipher") return;
    const bit = STATELESS_BITS[service];
    if (this.hasFeature(bit)) return;
    throw new RequestError(
      `${withArticle(service)} request without a session needs VIRTIO_${FEATURE_NAMES[bit]}, which ` +
        (offers(this.offeredFeatures, bit)
          ? 'was not negotiated: connect with mode "stateless"'
          : "the device does not offer: create a session"),
    );
  }

  /** Throws {@linkcode RequestError} if, by the configuration space, the device has the other asymmetric service. */
  #expectAsymmetric(layout: "ratified" | "rfc3"): void {
    if (this.config === undefined || (this.config.layout === "rfc3") === (layout === "rfc3")) return;
    throw new RequestError(
      layout === "rfc3"
        ? "the device does not have the asymmetric service of the RFC v3: use akcipher(), or a device that offers it"
        : "the device's asymmetric service is that of the RFC v3, not AKCIPHER: use the methods of `rfc3`",
    );
  }

  /**
   * Submits an encoded data request, whose field `status` is the last writable byte. Any number may be in flight.
   * Rejects with {@linkcode RequestError} if there is no such field.
   */
  async submitData(request: EncodedRequest, options: SubmitOptions = {}): Promise<DataResult> {
    checkEncoded(request, "status");
    const { usedLen, fields } = await this.#pipeline.submit(options.queue ?? 0, request, options);
    const status = fields["status"]!;
    const { dst = NOTHING, tag } = fields;
    return {
      // Draft v5's is a le32.
      status: status.length < 4 ? status[0]! : new DataView(status.buffer).getUint32(0, true),
      dst: tag === undefined ? dst : concat(dst, tag),
      result: fields["result"] ?? NOTHING,
      usedLen,
    };
  }

  /** For tests: submits an encoded request, whose writable fields may have any names, to the ring `ringIndex`. */
  async submitAny(ringIndex: number, request: EncodedRequest, options: PipelineOptions = {}): Promise<Completion> {
    checkEncoded(request);
    return await this.#pipeline.submit(ringIndex, request, options);
  }

  /** Submits an encoded control request. */
  async submitControl(request: EncodedRequest, options: PipelineOptions = {}): Promise<Completion> {
    checkEncoded(request);
    return await this.#pipeline.submit(this.#controlIndex, request, options);
  }

  /** For tests: submits a chain that the caller has laid out on the ring `index`; returns the used length. */
  async submitSegments(
    ringIndex: number,
    readable: readonly Segment[],
    writable: readonly Segment[],
    chain?: ChainLayout,
  ): Promise<number> {
    return (await this.#pipeline.submitSegments(ringIndex, readable, writable, chain)).usedLen;
  }

  /** Stops all queues, as a guest's pause does: the device completes requests that it has popped and keeps sessions. */
  async stop(): Promise<void> {
    for (const [index, { queue }] of this.#rings) {
      this.#bases.set(index, await tearDownRing(this.frontend, index, this.#deviceModel));
      if (queue.inFlight > 0) this.#pipeline.poll();
    }
  }

  /** Starts all queues at the bases that {@linkcode stop} recorded. */
  async start(): Promise<void> {
    for (const [index, { queue, errFd }] of this.#rings) {
      await setUpRing(
        this.frontend,
        { index, queue, errFd, base: this.#bases.get(index) ?? queue.initialBase },
        this.#deviceModel,
      );
    }
  }

  /** Addresses of the ring of queue `index`, as SET_VRING_ADDR carries them. */
  ringAddresses(index: number): Pick<DriverQueue, "descAddress" | "driverAddress" | "deviceAddress"> {
    const ring = this.#rings.get(index);
    if (ring === undefined) throw new DriverError(`there is no queue ${index}`);
    const { descAddress, driverAddress, deviceAddress } = ring.queue;
    return { descAddress, driverAddress, deviceAddress };
  }

  /** Stops the queues, then closes the connection and frees queues and memory. */
  async close(): Promise<void> {
    try {
      if (!this.#closed && this.frontend.readAvailable()) await this.stop();
    } finally {
      await this.abandon();
    }
  }

  /** {@linkcode close}, at the end of an `await using` scope. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes at once without stopping the queues, as a guest that is killed does. */
  async abandon(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#pipeline.close();
    await this.frontend.close();
    for (const { queue, errFd } of this.#rings.values()) {
      await queue.close();
      closeFd(queue.kickFd);
      closeFd(queue.callFd);
      closeFd(errFd);
    }
    this.memory.release();
  }
}
