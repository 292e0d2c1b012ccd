/**
 * The private memory that algorithms of engine modules see: source and destination in the engine's bounce buffers, keys,
 * IVs and tags in memory of its own. Made once for an engine; requests differ in addresses and lengths alone.
 *
 * Data path.
 *
 * @module
 */
import { viewOf } from "../../os/memory_map.ts";
import { DATA_BYTES_MAX, type EngineMemory } from "../engine_memory.ts";
import { AUTH_KEY_BYTES_MAX, IV_BYTES_MAX } from "../operation.ts";
import { TAG_BYTES_MAX } from "./check.ts";
import type { EngineBuffer, EngineRequest } from "./description.ts";

/** A buffer that is set to other bytes for each request. */
class ModuleBuffer implements EngineBuffer {
  address: number = 0;
  length: number = 0;
  readonly word: BigUint64Array = new BigUint64Array(1);
  readonly bytes: Uint8Array;
  readonly #halves = new Uint32Array(this.word.buffer);

  /** Empty so far. `bytes` are those at the only address that it will have; none if it will have several. */
  constructor(bytes: Uint8Array = new Uint8Array()) {
    this.bytes = bytes;
  }

  /** Makes this buffer the `length` bytes at `address`. */
  set(address: number, length: number): void {
    this.address = address;
    this.length = length;
    this.#halves[0] = address >>> 0;
    this.#halves[1] = (address * 2 ** -32) >>> 0;
  }
}

const KEY = 0;
const IV = AUTH_KEY_BYTES_MAX;
const TAG = IV + IV_BYTES_MAX;

/** The buffers of one request. */
export class ModuleRequest implements EngineRequest {
  readonly source: ModuleBuffer;
  readonly destination: ModuleBuffer;
  readonly iv: ModuleBuffer;
  readonly aad: ModuleBuffer;
  readonly tag: ModuleBuffer;
  readonly #ivAddress: number;
  readonly #tagAddress: number;

  /** A request whose data is in `source`, `destination` and `aad`, and whose IV and tag are in `buffers`. */
  constructor(buffers: ModuleBuffers, [source, destination, aad]: readonly [ModuleBuffer, ModuleBuffer, ModuleBuffer]) {
    this.source = source;
    this.destination = destination;
    this.iv = new ModuleBuffer(buffers.ivBytes);
    this.aad = aad;
    this.tag = new ModuleBuffer(buffers.tagBytes);
    this.#ivAddress = buffers.iv;
    this.#tagAddress = buffers.tag;
  }

  /** Sets the source to `length` bytes at `from` and the destination to `resultLength` at `to`; the rest is empty. */
  set(from: number, length: number, to: number, resultLength: number): void {
    this.source.set(from, length);
    this.destination.set(to, resultLength);
    this.iv.set(this.#ivAddress, 0);
    this.aad.set(0, 0);
    this.tag.set(this.#tagAddress, 0);
  }
}

/** The buffers and requests of one engine. */
export class ModuleBuffers {
  /** The key that is shown to an algorithm, and its address. */
  readonly key: ModuleBuffer;
  readonly keyAddress: number;
  /** Address of the IV. */
  readonly iv: number;
  readonly ivU64: bigint;
  readonly ivBytes: Uint8Array;
  /** Address of the tag. */
  readonly tag: number;
  readonly tagBytes: Uint8Array;
  /** A request of an algorithm that works in place in private memory. */
  readonly privateRequest: ModuleRequest;
  /** A request of a digest whose source is in private memory. */
  readonly privateDigest: ModuleRequest;
  /** A request of an algorithm that is given addresses. */
  readonly directRequest: ModuleRequest;

  /** Maps the memory. */
  constructor({ owned, bounce, bounceAad }: EngineMemory) {
    const { address, buffer } = owned.mapSecret(AUTH_KEY_BYTES_MAX + IV_BYTES_MAX + TAG_BYTES_MAX);
    this.key = new ModuleBuffer(new Uint8Array(buffer, KEY, AUTH_KEY_BYTES_MAX));
    this.keyAddress = address + KEY;
    this.iv = address + IV;
    this.ivU64 = BigInt(this.iv);
    this.ivBytes = new Uint8Array(buffer, IV, IV_BYTES_MAX);
    this.tag = address + TAG;
    this.tagBytes = new Uint8Array(buffer, TAG, TAG_BYTES_MAX);
    const data = new Uint8Array(viewOf(bounce, DATA_BYTES_MAX));
    const aad = new Uint8Array(viewOf(bounceAad, DATA_BYTES_MAX));
    const nowhere = () => new ModuleBuffer();
    this.privateRequest = new ModuleRequest(this, [
      new ModuleBuffer(data),
      new ModuleBuffer(data),
      new ModuleBuffer(aad),
    ]);
    this.privateDigest = new ModuleRequest(this, [new ModuleBuffer(data), new ModuleBuffer(aad), nowhere()]);
    this.directRequest = new ModuleRequest(this, [nowhere(), nowhere(), nowhere()]);
  }
}
