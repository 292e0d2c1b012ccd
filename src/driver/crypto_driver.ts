/**
 * A virtio-crypto driver on top of a vhost-user frontend: everything that stands on the other side of the device, in
 * one object. Owns memory, queues and connection, from the handshake to an orderly end or a sudden one.
 *
 * @module
 */
import { closeFd } from "../os/event_fd.ts";
import { connectUnix } from "../os/unix_socket.ts";
import { F_MUX_MODE, FLAG_SESSION_MODE, STATUS_OK } from "../wire/virtio_crypto.ts";
import { bringUp, type BringUpOptions, type DeviceModel, setUpRing, tearDownRing } from "./bring_up.ts";
import type { CryptoConfig } from "./config.ts";
import { DriverError, RefusedError } from "./errors.ts";
import { Frontend } from "./frontend.ts";
import type { FrontendOptions } from "./frontend_connection.ts";
import { DriverMemory, type RegionSpec, type Segment } from "./guest_memory.ts";
import { type Completion, Pipeline, type PipelineOptions } from "./pipeline.ts";
import type { ChainLayout, DriverQueue } from "./queue.ts";
import * as requests from "./requests.ts";
import type { SessionMessageLayout } from "./session_payload.ts";
import { type ControlOptions, encodeCreateSession, encodeDestroySession, type SessionParameters } from "./sessions.ts";
import type { EncodedRequest } from "./fields.ts";

/** How a driver is made. */
export interface CryptoDriverOptions extends FrontendOptions, BringUpOptions {
  /** Guest memory; three regions if not given. */
  readonly regions?: readonly RegionSpec[];
  /** Guest memory of the caller's making instead, which becomes the driver's. */
  readonly memory?: DriverMemory;
  /** Layout of session messages, where {@linkcode DeviceModel} is `messages`; `qemu-8.1` if not given. */
  readonly sessionLayout?: SessionMessageLayout;
}

/** How a request is submitted. */
export interface SubmitOptions extends PipelineOptions {
  /** Index of the data queue; 0 if not given. */
  readonly queue?: number;
  /** Form of the request; the one that fits it and what was negotiated if not given. */
  readonly mode?: requests.RequestMode;
}

/** What became of a data request. Fields that it has not are empty. */
export interface DataResult {
  /** STATUS_*. */
  readonly status: number;
  /** The destination's bytes. */
  readonly dst: Uint8Array<ArrayBuffer>;
  /** The digest's or MAC's bytes. */
  readonly result: Uint8Array<ArrayBuffer>;
  /** Bytes written, as the device says. */
  readonly usedLen: number;
}

/** What became of a request to create a session. */
export interface CreateResult {
  /** STATUS_*. */
  readonly status: number;
  /** The new session's id. */
  readonly sessionId: number;
  /** Bytes written, as the device says. */
  readonly usedLen: number;
}

/** A request whose service is the name of the method. */
export type Bare<Request> = Omit<Request, "service">;

const NOTHING = new Uint8Array();

/** The other side of a virtio-crypto device. */
export class CryptoDriver {
  /** The connection. */
  readonly frontend: Frontend;
  /** The guest's memory. */
  readonly memory: DriverMemory;
  /** The data queues. */
  readonly dataQueues: readonly DriverQueue[];
  /** The control queue; undefined where sessions go by message. */
  readonly controlQueue: DriverQueue | undefined;
  /** Virtio feature bits that both sides have acknowledged, and those on offer. */
  readonly features: bigint;
  /** Virtio feature bits on offer. */
  readonly offeredFeatures: bigint;
  /** The configuration space; undefined where it is not to be had. */
  readonly config: CryptoConfig | undefined;
  readonly #deviceModel: DeviceModel;
  readonly #controlIndex: number;
  readonly #rings: ReadonlyMap<number, { readonly queue: DriverQueue; readonly errFd: number }>;
  readonly #pipeline: Pipeline;
  readonly #sessionLayout: SessionMessageLayout;
  readonly #bases = new Map<number, number>();
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
    this.#deviceModel = options.deviceModel ?? "device";
    this.#controlIndex = device.controlIndex;
    this.#rings = device.rings;
    this.#sessionLayout = options.sessionLayout ?? "qemu-8.1";
    this.#pipeline = new Pipeline(memory, frontend);
    for (const [index, ring] of device.rings) this.#pipeline.addQueue(index, ring);
  }

  /**
   * Connects to the device that listens on a path (or is connected to a descriptor), negotiates, and starts the
   * queues. Throws {@linkcode DriverError} or {@linkcode SystemError}; nothing stays behind then.
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

  /** Requests under way. */
  get openCount(): number {
    return this.#pipeline.openCount;
  }

  /** Creates a session; returns its id. Throws {@linkcode RefusedError} with the status if the device will not. */
  async createSession(session: SessionParameters, options: ControlOptions & PipelineOptions = {}): Promise<number> {
    const { status, sessionId } = await this.tryCreateSession(session, options);
    if (status !== STATUS_OK) throw new RefusedError(`a ${session.service} session`, status);
    return sessionId;
  }

  /** Creates a session, whatever comes of it. */
  async tryCreateSession(
    session: SessionParameters,
    options: ControlOptions & PipelineOptions = {},
  ): Promise<CreateResult> {
    if (this.#deviceModel === "messages") {
      const id = Number(await this.frontend.createCryptoSession(this.#sessionLayout, session));
      return { status: id < 0 ? -id : STATUS_OK, sessionId: id, usedLen: 0 };
    }
    const request = encodeCreateSession(session, { mux: this.hasFeature(F_MUX_MODE), ...options });
    const { usedLen, fields } = await this.submitControl(request, options);
    const input = new DataView(fields["input"]!.buffer);
    return { status: input.getUint32(8, true), sessionId: Number(input.getBigInt64(0, true)), usedLen };
  }

  /** Destroys a session; returns the status. */
  async destroySession(
    service: SessionParameters["service"],
    sessionId: number | bigint,
    options: ControlOptions & PipelineOptions & { readonly inputBytes?: number } = {},
  ): Promise<number> {
    if (this.#deviceModel === "messages") {
      await this.frontend.closeCryptoSession(sessionId);
      return STATUS_OK;
    }
    const request = encodeDestroySession(service, sessionId, { mux: this.hasFeature(F_MUX_MODE), ...options });
    const { fields } = await this.submitControl(request, options);
    const input = fields["input"]!;
    return input.length < 4 ? input[0]! : new DataView(input.buffer).getUint32(0, true);
  }

  /** Encrypts or decrypts. */
  cipher(request: Bare<requests.CipherRequest>, options?: SubmitOptions): Promise<DataResult> {
    return this.request({ ...request, service: "cipher" }, options);
  }

  /** Computes a digest. */
  hash(request: Bare<requests.HashRequest>, options?: SubmitOptions): Promise<DataResult> {
    return this.request({ ...request, service: "hash" }, options);
  }

  /** Computes a message authentication code. */
  mac(request: Bare<requests.MacRequest>, options?: SubmitOptions): Promise<DataResult> {
    return this.request({ ...request, service: "mac" }, options);
  }

  /** Ciphers and digests in one go. */
  chain(request: Bare<requests.ChainRequest>, options?: SubmitOptions): Promise<DataResult> {
    return this.request({ ...request, service: "chain" }, options);
  }

  /** Seals or opens. */
  aead(request: Bare<requests.AeadRequest>, options?: SubmitOptions): Promise<DataResult> {
    return this.request({ ...request, service: "aead" }, options);
  }

  /** Does an asymmetric operation. */
  akcipher(request: Bare<requests.AkcipherRequest>, options?: SubmitOptions): Promise<DataResult> {
    return this.request({ ...request, service: "akcipher" }, options);
  }

  /** The form in which `request` goes out if nothing else is said. */
  modeOf(request: requests.DataRequest): requests.RequestMode {
    if (request.stateless !== undefined && request.flag !== FLAG_SESSION_MODE) return "stateless";
    return this.hasFeature(F_MUX_MODE) ? "mux" : "fixed";
  }

  /** Does any data request. */
  request(request: requests.DataRequest, options: SubmitOptions = {}): Promise<DataResult> {
    return this.submitData(requests.encodeData(request, options.mode ?? this.modeOf(request)), options);
  }

  /** Submits an encoded data request. Any number may be under way. */
  async submitData(request: EncodedRequest, options: SubmitOptions = {}): Promise<DataResult> {
    const { usedLen, fields } = await this.#pipeline.submit(options.queue ?? 0, request, options);
    return {
      status: fields["status"]![0]!,
      dst: fields["dst"] ?? NOTHING,
      result: fields["result"] ?? NOTHING,
      usedLen,
    };
  }

  /** Submits an encoded control request. */
  submitControl(request: EncodedRequest, options: PipelineOptions = {}): Promise<Completion> {
    return this.#pipeline.submit(this.#controlIndex, request, options);
  }

  /** Puts a chain of the caller's making on any ring, by its index; returns the used length. For hostile tests. */
  async submitSegments(
    ringIndex: number,
    readable: readonly Segment[],
    writable: readonly Segment[],
    chain?: ChainLayout,
  ): Promise<number> {
    return (await this.#pipeline.submitSegments(ringIndex, readable, writable, chain)).usedLen;
  }

  /** Stops all queues, as on a guest's pause: everything taken is done, sessions live on. */
  async stop(): Promise<void> {
    for (const [index, { queue }] of this.#rings) {
      this.#bases.set(index, await tearDownRing(this.frontend, index, this.#deviceModel));
      if (queue.inFlight > 0) this.#pipeline.poll();
    }
  }

  /** Starts all queues where {@linkcode stop} left them. */
  async start(): Promise<void> {
    for (const [index, { queue, errFd }] of this.#rings) {
      await setUpRing(
        this.frontend,
        index,
        queue,
        errFd,
        this.#bases.get(index) ?? queue.initialBase,
        this.#deviceModel,
      );
    }
  }

  /** Addresses of the ring of queue `index`, as SET_VRING_ADDR has them. */
  ringAddresses(index: number): Pick<DriverQueue, "descAddress" | "driverAddress" | "deviceAddress"> {
    const ring = this.#rings.get(index);
    if (ring === undefined) throw new DriverError(`there is no queue ${index}`);
    const { descAddress, driverAddress, deviceAddress } = ring.queue;
    return { descAddress, driverAddress, deviceAddress };
  }

  /** Ends in order: the queues are stopped, then everything is given up. */
  async close(): Promise<void> {
    try {
      if (!this.#closed && this.frontend.look()) await this.stop();
    } finally {
      await this.abandon();
    }
  }

  /** The same, at the end of an `await using` scope. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Ends at once, as a guest does that is killed. */
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
