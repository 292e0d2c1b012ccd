/**
 * Serialisation of the numbers, bytes and descriptors of a state, little-endian and without padding: a writer, and a
 * reader for untrusted bytes.
 *
 * @module
 */

/** An unusable state. The message names what was expected, what was found, and the remedy. */
export class StateError extends Error {
  override readonly name = "StateError";
}

/** Encodes that there is no descriptor. */
const NO_FD = 0xffff_ffff;

/** Writes values, or counts the bytes that they need. */
export class StateWriter {
  /** Bytes written so far. */
  length = 0;
  /** Descriptors written so far, in the order of their indexes in the state. */
  readonly fds: number[] = [];
  readonly #bytes: Uint8Array | undefined;
  readonly #view: DataView | undefined;

  /** Writes to `bytes`, which must be long enough; without it, only counts. */
  constructor(bytes?: Uint8Array) {
    this.#bytes = bytes;
    this.#view = bytes === undefined ? undefined : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #advance(byteCount: number): number {
    const at = this.length;
    this.length += byteCount;
    return at;
  }

  /** An 8-bit number. */
  u8(value: number): void {
    const at = this.#advance(1);
    this.#view?.setUint8(at, value);
  }

  /** A 32-bit number. */
  u32(value: number): void {
    const at = this.#advance(4);
    this.#view?.setUint32(at, value, true);
  }

  /** A 64-bit number. */
  u64(value: bigint): void {
    const at = this.#advance(8);
    this.#view?.setBigUint64(at, value, true);
  }

  /** An integer from 0 to 2^53 - 1. */
  integer(value: number): void {
    this.u64(BigInt(value));
  }

  /** True or false. */
  boolean(value: boolean): void {
    this.u8(value ? 1 : 0);
  }

  /** A byte string, preceded by its length. */
  bytes(value: Uint8Array): void {
    this.u32(value.length);
    const at = this.#advance(value.length);
    this.#bytes?.set(value, at);
  }

  /** A string in UTF-8, preceded by its length. */
  text(value: string): void {
    this.bytes(new TextEncoder().encode(value));
  }

  /** A descriptor, or -1. */
  fd(value: number): void {
    if (value < 0) return this.u32(NO_FD);
    this.u32(this.fds.length);
    this.fds.push(value);
  }

  /** A value, or null. */
  optional<T>(value: T | null, write: (value: T) => void): void {
    this.boolean(value !== null);
    if (value !== null) write(value);
  }

  /** A list of values, preceded by their number. */
  list<T>(values: readonly T[], write: (value: T) => void): void {
    this.u32(values.length);
    values.forEach((value) => write(value));
  }
}

/**
 * Reads the values that a {@linkcode StateWriter} has written. Each byte is read once. Methods throw
 * {@linkcode StateError} for a value that is truncated or invalid; `what` is the value's name for the message.
 */
export class StateReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fds: readonly number[];
  readonly #usedFds = new Set<number>();
  #at = 0;

  /** Reads from `bytes`, whose descriptors are `fds`. */
  constructor(bytes: Uint8Array, fds: readonly number[] = []) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fds = fds;
  }

  #advance(byteCount: number, what: string): number {
    const at = this.#at;
    if (byteCount > this.#bytes.length - at) {
      throw new StateError(
        `the state ends in ${what}: ${byteCount} bytes are expected at ${at} of ${this.#bytes.length}`,
      );
    }
    this.#at = at + byteCount;
    return at;
  }

  /** An 8-bit number. */
  u8(what: string): number {
    return this.#view.getUint8(this.#advance(1, what));
  }

  /** A 32-bit number. */
  u32(what: string): number {
    return this.#view.getUint32(this.#advance(4, what), true);
  }

  /** A 64-bit number. */
  u64(what: string): bigint {
    return this.#view.getBigUint64(this.#advance(8, what), true);
  }

  /** An integer from 0 to 2^53 - 1. */
  integer(what: string): number {
    const value = this.u64(what);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new StateError(`${what} is ${value}: at most 2^53 - 1 is possible`);
    }
    return Number(value);
  }

  /** True or false. */
  boolean(what: string): boolean {
    const value = this.u8(what);
    if (value > 1) throw new StateError(`${what} is ${value} instead of 0 or 1`);
    return value === 1;
  }

  /** A byte string, as a view of the state. */
  bytes(what: string): Uint8Array {
    const length = this.u32(what);
    const at = this.#advance(length, what);
    return this.#bytes.subarray(at, at + length);
  }

  /** A string. */
  text(what: string): string {
    return new TextDecoder().decode(this.bytes(what).slice());
  }

  /** A string that is one of `choices`. */
  choice<T extends string>(what: string, choices: readonly T[]): T {
    const text = this.text(what);
    const found = choices.find((choice) => choice === text);
    if (found === undefined) throw new StateError(`${what} is "${text.slice(0, 40)}" instead of ${choices.join(", ")}`);
    return found;
  }

  /** A descriptor, or -1. Each descriptor has one owner, so it may occur only once. */
  fd(what: string): number {
    const index = this.u32(what);
    if (index === NO_FD) return -1;
    const fd = this.#fds[index];
    if (fd === undefined) throw new StateError(`${what} is descriptor ${index} of ${this.#fds.length}`);
    if (this.#usedFds.has(index)) throw new StateError(`${what} is descriptor ${index}, which is used already`);
    this.#usedFds.add(index);
    return fd;
  }

  /** A value, or null. */
  optional<T>(what: string, read: () => T): T | null {
    return this.boolean(what) ? read() : null;
  }

  /** A list of values of at least one byte each. */
  list<T>(what: string, read: () => T): T[] {
    const count = this.u32(what);
    const rest = this.#bytes.length - this.#at;
    if (count > rest) throw new StateError(`the state ends in ${what}: there are ${rest} bytes for ${count} values`);
    const values: T[] = [];
    for (let i = 0; i < count; i++) values.push(read());
    return values;
  }

  /** Throws unless all bytes were read and all descriptors were used. */
  end(): void {
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) throw new StateError(`${rest} bytes follow the state`);
    const unused = this.#fds.length - this.#usedFds.size;
    if (unused > 0) throw new StateError(`${unused} of ${this.#fds.length} descriptors are not in the state`);
  }
}
