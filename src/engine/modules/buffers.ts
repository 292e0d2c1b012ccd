/**
 * The private memory that algorithms of engine modules see: source and destination in the bounce of this thread, the
 * rest in a room of its own. Made once; requests are told apart by addresses and lengths alone.
 *
 * Data path.
 *
 * @module
 */
import { mapSecret, viewOf } from "../../os/memory_map.ts";
import { bounceAadAddress, bounceAddress, DATA_BYTES_MAX } from "../bounce.ts";
import { AUTH_KEY_BYTES_MAX, IV_BYTES_MAX } from "../operation.ts";
import { TAG_BYTES_MAX } from "./check.ts";
import type { EngineBuffer, EngineRequest } from "./description.ts";

/** A buffer that is pointed at other bytes for each request. */
class ModuleBuffer implements EngineBuffer {
  address: number = 0;
  length: number = 0;
  readonly word: BigUint64Array = new BigUint64Array(1);
  readonly bytes: Uint8Array;
  readonly #halves = new Uint32Array(this.word.buffer);

  /** Nowhere yet. `bytes` is what stands at the one address it will have; empty: it will have several. */
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

const room = mapSecret(AUTH_KEY_BYTES_MAX + IV_BYTES_MAX + TAG_BYTES_MAX);
const KEY = 0;
const IV = AUTH_KEY_BYTES_MAX;
const TAG = IV + IV_BYTES_MAX;

/** Where keys are shown. */
export const keyAddress: number = room.address + KEY;
/** Where IVs are copied to. */
export const ivAddress: number = room.address + IV;
/** The same as a 64-bit word. */
export const IV_U64: bigint = BigInt(ivAddress);
/** Where tags are made and shown. */
export const tagAddress: number = room.address + TAG;

/** The key that is shown to an algorithm. */
export const key: ModuleBuffer = new ModuleBuffer(new Uint8Array(room.buffer, KEY, AUTH_KEY_BYTES_MAX));

/** The buffers of one request. */
export class ModuleRequest implements EngineRequest {
  readonly source: ModuleBuffer;
  readonly destination: ModuleBuffer;
  readonly iv: ModuleBuffer = new ModuleBuffer(new Uint8Array(room.buffer, IV, IV_BYTES_MAX));
  readonly aad: ModuleBuffer;
  readonly tag: ModuleBuffer = new ModuleBuffer(new Uint8Array(room.buffer, TAG, TAG_BYTES_MAX));

  /** `source` and `destination` as they will be pointed at. */
  constructor(source: ModuleBuffer, destination: ModuleBuffer, aad: ModuleBuffer) {
    this.source = source;
    this.destination = destination;
    this.aad = aad;
  }

  /** Points at `length` bytes from `from` on and `resultLength` from `to` on; there is nothing else, so far. */
  set(from: number, length: number, to: number, resultLength: number): void {
    this.source.set(from, length);
    this.destination.set(to, resultLength);
    this.iv.set(ivAddress, 0);
    this.aad.set(0, 0);
    this.tag.set(tagAddress, 0);
  }
}

const bounce = new Uint8Array(viewOf(bounceAddress, DATA_BYTES_MAX));
const bounceAad = new Uint8Array(viewOf(bounceAadAddress, DATA_BYTES_MAX));

/** A request of an algorithm that works in place in private memory. */
export const privateRequest: ModuleRequest = new ModuleRequest(
  new ModuleBuffer(bounce),
  new ModuleBuffer(bounce),
  new ModuleBuffer(bounceAad),
);
/** A request of a digest whose source is in private memory. */
export const privateDigest: ModuleRequest = new ModuleRequest(
  new ModuleBuffer(bounce),
  new ModuleBuffer(bounceAad),
  new ModuleBuffer(),
);
/** A request of an algorithm that is given addresses. */
export const directRequest: ModuleRequest = new ModuleRequest(
  new ModuleBuffer(),
  new ModuleBuffer(),
  new ModuleBuffer(),
);
