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
}

/** A request: its device-readable fields and its device-writable ones, each in the order of the stream. */
export interface EncodedRequest {
  /** What the device reads. */
  readonly readable: readonly Field[];
  /** What the device writes. */
  readonly writable: readonly Space[];
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
