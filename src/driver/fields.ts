/**
 * A request as named fields, which the encoders produce and the layouts place in memory.
 *
 * @module
 */

/** A device-readable field. */
export interface Field {
  /** `header`, `para`, `key`, `cipherKey`, `authKey`, `iv`, `aad`, `src`. */
  readonly name: string;
  /** Its bytes. */
  readonly bytes: Uint8Array;
}

/** A device-writable field. */
export interface Space {
  /** `input` (control), `dst`, `result`, `status` (data). */
  readonly name: string;
  /** Its length. */
  readonly sizeBytes: number;
  /** Draft v5: contents that the device reads although the field is writable, and leaves as they are. */
  readonly bytes?: Uint8Array;
}

/** Draft v5: a buffer whose guest address is in a field of the request. */
export interface AddressedBuffer {
  /** `iv`, `src`, `aad`, `key`, `cipherKey`, `authKey`; `dst`, `result`, `tag`. */
  readonly name: string;
  /** Its contents; of a writable one only the length counts. */
  readonly bytes: Uint8Array;
  /** True if the device writes it. */
  readonly isWritable: boolean;
  /** The field that has its address. */
  readonly addressIn: string;
  /** Offset of the address, a le64, in that field. */
  readonly addressAt: number;
}

/** A request: its device-readable fields and its device-writable ones, each in the order of the stream. */
export interface EncodedRequest {
  /** The device-readable fields. */
  readonly readable: readonly Field[];
  /** The device-writable fields. */
  readonly writable: readonly Space[];
  /** Draft v5: what the request names by address. */
  readonly buffers?: readonly AddressedBuffer[];
}

/** The bytes of `first` followed by those of `second`. */
export function concat(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

/** `bytes` of the field `name`, with the addresses of those `buffers` that have theirs in it. */
export function withAddresses(
  name: string,
  bytes: Uint8Array,
  buffers: ReadonlyMap<AddressedBuffer, { readonly guestAddress: number }>,
): Uint8Array {
  const copy = bytes.slice();
  for (const [{ addressIn, addressAt }, { guestAddress }] of buffers) {
    if (addressIn === name) new DataView(copy.buffer).setBigUint64(addressAt, BigInt(guestAddress), true);
  }
  return copy;
}

/** A structure of `sizeBytes` zero bytes with le32 `values` at offsets. */
export function le32s(
  sizeBytes: number,
  values: readonly (readonly [offset: number, value: number])[],
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeBytes);
  const view = new DataView(bytes.buffer);
  for (const [offset, value] of values) view.setUint32(offset, value, true);
  return bytes;
}
