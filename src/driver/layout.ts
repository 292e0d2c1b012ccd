/**
 * Places a request's fields in guest memory and cuts them into descriptors: the specification ties no field to a
 * descriptor, so every way of cutting must give the same result. Owns the placement of one request, and the check that
 * the device wrote nowhere else.
 *
 * @module
 */
import { DeviceViolationError, DriverError } from "./errors.ts";
import { type AddressedBuffer, type EncodedRequest, withAddresses } from "./fields.ts";
import type { Block, DriverMemory, Segment } from "./guest_memory.ts";
import { makeRandom, type Random } from "./random.ts";

/**
 * How a request is cut into descriptors:
 * `one`: all readable bytes in one, all writable ones in another; `fields`: one per field; `bytes`: one per byte;
 * `random`: at random places and lengths, empty ones included; `linux`: as Linux does it, header and parameters in
 * one, data cut at pages and listed in the triangular way of its `virtio_crypto` driver; `straddle`: all readable
 * bytes in one descriptor that crosses from one memory region into the adjacent one.
 */
export type Split = "one" | "fields" | "bytes" | "random" | "linux" | "straddle";

/** All values of {@linkcode Split} that can be used for several requests at a time. */
export const SPLITS: readonly Split[] = ["one", "fields", "bytes", "random", "linux"];

/** Options of a placement. */
export interface LayoutOptions {
  /** `fields` if not given. */
  readonly split?: Split;
  /** Places `dst` at the address of `src`. */
  readonly inPlace?: boolean;
  /** Seed of `random` and `linux`; equal seeds give equal layouts. */
  readonly seed?: number;
  /** Checks afterwards that nothing but the writable fields has changed; true if not given. */
  readonly guards?: boolean;
}

/** Initial value of writable bytes, so that a byte that the device did not write is recognized. */
export const UNWRITTEN = 0xee;

const GUARD = 0xa5;
const PAGE_BYTES = 4096;

/** A contiguous part of one field. */
interface Piece extends Segment {
  readonly field: string;
  /** Its offset in its field. */
  readonly offset: number;
}

/** The parts of a request in guest memory. */
interface PlacedParts {
  readonly blocks: readonly Block[];
  /** Pieces of writable fields. */
  readonly pieces: readonly Piece[];
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
  /** Bytes of the blocks that are in no writable field are compared. */
  readonly guards: boolean;
}

/** A request in guest memory. */
export class Placement {
  /** Segments of the device-readable descriptors, in order. */
  readonly readable: readonly Segment[];
  /** Segments of the device-writable descriptors, in order. */
  readonly writable: readonly Segment[];
  readonly #memory: DriverMemory;
  readonly #blocks: readonly Block[];
  readonly #pieces: readonly Piece[];
  /** Contents of the blocks before the request was submitted; empty without guards. */
  readonly #before: readonly Uint8Array[];

  /** Made by {@linkcode place}. */
  constructor(memory: DriverMemory, { blocks, pieces, readable, writable, guards }: PlacedParts) {
    this.#memory = memory;
    this.#blocks = blocks;
    this.#pieces = pieces;
    this.readable = readable;
    this.writable = writable;
    this.#before = guards ? blocks.map((block) => block.bytes.slice()) : [];
  }

  /** A copy of the current bytes of the writable field `name`. */
  read(name: string): Uint8Array<ArrayBuffer> {
    const pieces = this.#pieces.filter((piece) => piece.field === name);
    const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.sizeBytes, 0));
    for (const piece of pieces) bytes.set(this.#memory.read(piece.guestAddress, piece.sizeBytes), piece.offset);
    return bytes;
  }

  /** Throws {@linkcode DeviceViolationError} if a byte has changed that is in no writable field. */
  verify(): void {
    this.#before.forEach((before, i) => {
      const block = this.#blocks[i]!;
      for (const piece of this.#pieces) {
        const offset = piece.guestAddress - block.guestAddress;
        if (offset < 0 || offset >= block.sizeBytes) continue;
        before.set(block.bytes.subarray(offset, offset + piece.sizeBytes), offset);
      }
      const at = firstDifference(before, block.bytes);
      if (at >= 0) {
        throw new DeviceViolationError(
          `the device wrote to guest address 0x${
            (block.guestAddress + at).toString(16)
          }, which is outside the request's writable fields`,
        );
      }
    });
  }

  /** Frees the memory. The device must have completed the request. */
  release(): void {
    for (const block of this.#blocks) this.#memory.free(block);
  }
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return i;
  }
  return -1;
}

/** Allocates places for fields in blocks of the right size, with guard bytes between them. */
class FieldAllocator {
  readonly blocks: Block[];
  readonly #memory: DriverMemory;
  readonly #next: number[];
  readonly #random: Random | undefined;

  /** Set for `random`: places are spread over all regions. */
  constructor(memory: DriverMemory, sizeBytes: number, align: number, random?: Random) {
    this.#memory = memory;
    this.#random = random;
    this.blocks = random === undefined ? [memory.alloc(sizeBytes, { align })] : blocksInAllRegions(memory, sizeBytes);
    for (const block of this.blocks) block.bytes.fill(GUARD);
    this.#next = this.blocks.map(() => GAP_BYTES);
  }

  take(sizeBytes: number, gapBytes: number): number {
    const i = this.#random === undefined ? 0 : this.#random(this.blocks.length);
    const block = this.blocks[i]!;
    const offset = this.#next[i]!;
    this.#next[i] = offset + sizeBytes + gapBytes + (this.#random?.(GAP_BYTES) ?? 0);
    if (this.#next[i]! > block.sizeBytes) throw new DriverError("a layout outgrew its memory");
    return block.guestAddress + offset;
  }

  /** The next place begins `offset` bytes into a page. */
  turnPage(offset: number): void {
    this.#next[0] = Math.ceil(this.#next[0]! / PAGE_BYTES) * PAGE_BYTES + offset;
  }

  fill(guestAddress: number, sizeBytes: number, value: number): void {
    if (sizeBytes > 0) this.#memory.write(guestAddress, new Uint8Array(sizeBytes).fill(value));
  }
}

/** A block in every region with enough free memory. */
function blocksInAllRegions(memory: DriverMemory, sizeBytes: number): Block[] {
  const blocks = memory.regions.map((_, region) => memory.tryAlloc(sizeBytes, { region }));
  const found = blocks.filter((block) => block !== undefined);
  return found.length > 0 ? found : [memory.alloc(sizeBytes)];
}

/** Largest gap between two places. */
const GAP_BYTES = 16;

/** Maximum number of pieces of a field under `random`, besides empty ones, of which each piece has at most one. */
const RANDOM_PIECES_MAX = 24;

/** Lengths of the pieces of a field of `sizeBytes` bytes. */
function cut(sizeBytes: number, split: Split, random: Random): number[] {
  const lengths: number[] = [];
  if (split === "bytes") return new Array(sizeBytes).fill(1);
  if (split !== "random") return sizeBytes > 0 ? [sizeBytes] : [];
  for (let left = sizeBytes; left > 0;) {
    if (random(4) === 0) lengths.push(0);
    const isLast = lengths.length >= RANDOM_PIECES_MAX;
    const length = isLast ? left : 1 + random(Math.min(left, random(2) === 0 ? 8 : left));
    lengths.push(length);
    left -= length;
  }
  if (random(4) === 0) lengths.push(0);
  return lengths;
}

/** Lengths of the parts of a field in the pages that it touches when it begins at `offset` in the first. */
function cutAtPages(sizeBytes: number, offset: number): number[] {
  const lengths: number[] = [];
  for (let left = sizeBytes, room = PAGE_BYTES - offset; left > 0; room = PAGE_BYTES) {
    const length = Math.min(left, room);
    lengths.push(length);
    left -= length;
  }
  return lengths;
}

/** Pieces 1…n, then 2…n, and so on to n: the descriptors that `virtqueue_add_sgs` makes of Linux's scatter lists. */
function triangular(pieces: readonly Piece[]): Piece[] {
  const all: Piece[] = [];
  for (let from = 0; from < pieces.length; from++) all.push(...pieces.slice(from));
  return all;
}

/** Joins pieces that are adjacent in memory. */
function joined(pieces: readonly Segment[]): Segment[] {
  const segments: Segment[] = [];
  for (const { guestAddress, sizeBytes } of pieces) {
    const last = segments.at(-1);
    if (sizeBytes === 0) continue;
    if (last !== undefined && last.guestAddress + last.sizeBytes === guestAddress) {
      segments[segments.length - 1] = { guestAddress: last.guestAddress, sizeBytes: last.sizeBytes + sizeBytes };
    } else {
      segments.push({ guestAddress, sizeBytes });
    }
  }
  return segments;
}

/** Places one request, field by field, in the order of the stream. */
class Layouter {
  readonly #split: Split;
  readonly #random: Random;
  readonly #allocator: FieldAllocator;
  readonly #memory: DriverMemory;
  #straddleNext = 0;

  constructor(memory: DriverMemory, request: EncodedRequest, options: LayoutOptions) {
    this.#split = options.split ?? "fields";
    this.#random = makeRandom(options.seed ?? 1);
    this.#memory = memory;
    let readableBytes = 0;
    let writableBytes = 0;
    for (const field of request.readable) readableBytes += field.bytes.length;
    for (const space of request.writable) writableBytes += space.sizeBytes;
    const { buffers = [] } = request;
    const fieldCount = request.readable.length + request.writable.length + buffers.length;
    const total = readableBytes + writableBytes + buffers.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const piecesPerField = this.#split === "random" ? RANDOM_PIECES_MAX + 3 : 2;
    const pieceCount = piecesPerField * fieldCount + (this.#split === "bytes" ? total : 0);
    const pageBytes = this.#split === "linux" ? 2 * PAGE_BYTES * fieldCount : 0;
    this.#allocator = new FieldAllocator(
      memory,
      total + pieceCount * 2 * GAP_BYTES + pageBytes + 2 * GAP_BYTES,
      pageBytes > 0 ? PAGE_BYTES : 16,
      this.#split === "random" ? this.#random : undefined,
    );
    if (this.#split === "straddle") this.#straddleNext = memory.straddling(readableBytes).guestAddress;
  }

  get blocks(): Block[] {
    return this.#allocator.blocks;
  }

  #takePieces(field: string, lengths: readonly number[], gapBytes: number): Piece[] {
    let offset = 0;
    return lengths.map((sizeBytes) => {
      const piece = { field, offset, sizeBytes, guestAddress: this.#allocator.take(sizeBytes, gapBytes) };
      offset += sizeBytes;
      return piece;
    });
  }

  /** Places a buffer that the request names by address: such a buffer is one piece. */
  placeBuffer(field: string, sizeBytes: number): Piece {
    return this.#takePieces(field, [sizeBytes], GAP_BYTES)[0]!;
  }

  placeField(field: string, sizeBytes: number, isData: boolean): Piece[] {
    if (this.#split === "straddle" && this.#straddleNext > 0) {
      const piece = { field, offset: 0, sizeBytes, guestAddress: this.#straddleNext };
      this.#straddleNext += sizeBytes;
      return [piece];
    }
    if (this.#split === "one") return this.#takePieces(field, [sizeBytes], 0);
    if (this.#split === "linux" && isData) {
      const offset = this.#random(PAGE_BYTES / 16) * 16;
      this.#allocator.turnPage(offset);
      return this.#takePieces(field, cutAtPages(sizeBytes, offset), 0);
    }
    const gapBytes = this.#split === "linux" ? 0 : GAP_BYTES;
    return this.#takePieces(field, cut(sizeBytes, this.#split, this.#random), gapBytes);
  }

  /** Switches from readable to writable fields: leaves a guard in between and does not use the border again. */
  turn(): void {
    this.#straddleNext = 0;
    this.#allocator.take(0, GAP_BYTES);
  }

  /** Places `dst` on the pieces of `src`; the part that is longer than `src` gets pieces of its own. */
  placeOn(field: string, sizeBytes: number, onto: readonly Piece[]): Piece[] {
    const pieces: Piece[] = [];
    let done = 0;
    for (const { guestAddress, sizeBytes: length } of onto) {
      const taken = Math.min(length, sizeBytes - done);
      pieces.push({ field, offset: done, sizeBytes: taken, guestAddress });
      done += taken;
    }
    if (done === sizeBytes) return pieces;
    const rest = this.placeField(field, sizeBytes - done, true);
    return [...pieces, ...rest.map((piece) => ({ ...piece, offset: piece.offset + done }))];
  }

  segments(pieces: readonly Piece[]): Segment[] {
    if (this.#split === "random") return pieces.slice();
    if (this.#split === "one" || this.#split === "straddle") return joined(pieces);
    if (this.#split !== "linux") return pieces.filter((piece) => piece.sizeBytes > 0);
    const runs: Segment[] = joined(pieces.filter((piece) => piece.field === "header" || piece.field === "para"));
    for (const name of new Set(pieces.map((piece) => piece.field))) {
      if (name === "header" || name === "para") continue;
      runs.push(...triangular(pieces.filter((piece) => piece.field === name && piece.sizeBytes > 0)));
    }
    return runs;
  }

  /** Fills `pieces` so that a byte that the device does not write is recognized, except those at the place of `sources`. */
  markUnwritten(pieces: readonly Piece[], sources: readonly Piece[]): void {
    const onSource = new Set(sources.map((piece) => piece.guestAddress));
    for (const { guestAddress, sizeBytes } of pieces) {
      if (!onSource.has(guestAddress)) this.#allocator.fill(guestAddress, sizeBytes, UNWRITTEN);
    }
  }

  /** The placement of the pieces of a request, of which the device may write to those of `written`. */
  finish(
    readable: readonly Piece[],
    writable: readonly Piece[],
    written: readonly Piece[],
    guards: boolean,
  ): Placement {
    return new Placement(this.#memory, {
      blocks: this.#allocator.blocks,
      pieces: written,
      readable: this.segments(readable),
      writable: this.segments(writable),
      guards,
    });
  }
}

/** The buffers of a request that it names by address, in guest memory. */
function placeBuffers(
  memory: DriverMemory,
  layouter: Layouter,
  buffers: readonly AddressedBuffer[],
  inPlace: boolean,
): ReadonlyMap<AddressedBuffer, Piece> {
  const pieces = new Map<AddressedBuffer, Piece>();
  const src = buffers.find(({ name }) => name === "src");
  for (const buffer of buffers) {
    const { name, bytes: { length: sizeBytes } } = buffer;
    const onto = inPlace && name === "dst" && src !== undefined && sizeBytes <= src.bytes.length
      ? pieces.get(src)
      : undefined;
    const piece = onto === undefined ? layouter.placeBuffer(name, sizeBytes) : { ...onto, field: name, sizeBytes };
    if (!buffer.isWritable && sizeBytes > 0) memory.write(piece.guestAddress, buffer.bytes);
    pieces.set(buffer, piece);
  }
  return pieces;
}

/** Places `request` in guest memory. Throws {@linkcode DriverError} if it does not fit. */
export function place(memory: DriverMemory, request: EncodedRequest, options: LayoutOptions = {}): Placement {
  const layouter = new Layouter(memory, request, options);
  const inPlace = options.inPlace ?? false;
  const buffers = placeBuffers(memory, layouter, request.buffers ?? [], inPlace);
  const fill = (pieces: readonly Piece[], name: string, bytes: Uint8Array) => {
    const contents = buffers.size === 0 ? bytes : withAddresses(name, bytes, buffers);
    for (const { guestAddress, offset, sizeBytes } of pieces) {
      memory.write(guestAddress, contents.subarray(offset, offset + sizeBytes));
    }
  };
  const readable: Piece[] = [];
  let src: Piece[] = [];
  for (const { name, bytes } of request.readable) {
    const pieces = layouter.placeField(name, bytes.length, name === "src");
    fill(pieces, name, bytes);
    if (name === "src") src = pieces;
    readable.push(...pieces);
  }
  layouter.turn();
  const writable: Piece[] = [];
  const written = [...buffers].flatMap(([{ isWritable }, piece]) => isWritable ? [piece] : []);
  for (const { name, sizeBytes, bytes } of request.writable) {
    const pieces = inPlace && name === "dst"
      ? layouter.placeOn(name, sizeBytes, src)
      : layouter.placeField(name, sizeBytes, name === "dst");
    writable.push(...pieces);
    if (bytes === undefined) written.push(...pieces);
    else fill(pieces, name, bytes);
  }
  layouter.markUnwritten(
    written,
    inPlace ? [...readable, ...buffers.values().filter(({ field }) => field === "src")] : [],
  );
  return layouter.finish(readable, writable, written, options.guards ?? true);
}
