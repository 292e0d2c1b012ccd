/**
 * Requests that are laid out once and submitted repeatedly, for measurements. Each has the descriptors of a session
 * request as Linux makes it (header with parameters, IV, source, destination, status), or as many as its algorithm
 * needs. Nothing here reads a clock.
 *
 * @module
 */
import { DriverError } from "./errors.ts";
import { type EncodedRequest, withAddresses } from "./fields.ts";
import type { Block, DriverMemory, Segment } from "./guest_memory.ts";
import type { DriverQueue } from "./queue.ts";

/** A request in guest memory, prepared on a queue. */
export interface Chain {
  /** The queue's handle of the chain. */
  readonly handle: number;
  /** Its fields by name; `header` includes the parameters. */
  readonly blocks: ReadonlyMap<string, Block>;
}

function lead(request: EncodedRequest): Uint8Array {
  const parts = request.readable.filter(({ name }) => name === "header" || name === "para");
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part.bytes, at);
    at += part.bytes.length;
  }
  return bytes;
}

/** The segments of a block: source and destination are cut into `pieces` pieces of about the same length. */
function cut(name: string, { guestAddress, sizeBytes }: Block, pieces: number): Segment[] {
  const length = name === "src" || name === "dst" ? Math.ceil(sizeBytes / pieces) : sizeBytes;
  const segments: Segment[] = [];
  for (let at = 0; at < sizeBytes; at += length) {
    segments.push({ guestAddress: guestAddress + at, sizeBytes: Math.min(length, sizeBytes - at) });
  }
  return segments;
}

/** Options of a prepared chain. */
export interface ChainOptions {
  /** Returned by its completion. */
  readonly token: number;
  /** Descriptors of source and destination each, unless the request names them by address; 1 if not given. */
  readonly pieces?: number;
}

/** Lays out `request` and prepares it on `queue`. Throws {@linkcode DriverError}. */
export function prepareChain(
  memory: DriverMemory,
  queue: DriverQueue,
  request: EncodedRequest,
  { token, pieces = 1 }: ChainOptions,
): Chain {
  const blocks = new Map<string, Block>();
  const put = (name: string, bytes: Uint8Array): Segment[] => {
    const block = memory.alloc(bytes.length);
    block.bytes.set(bytes);
    blocks.set(name, block);
    return cut(name, block, pieces);
  };
  const buffers = new Map((request.buffers ?? []).map((buffer) => {
    const block = memory.alloc(buffer.bytes.length);
    block.bytes.set(buffer.bytes);
    blocks.set(buffer.name, block);
    return [buffer, block];
  }));
  const header = lead(request);
  const readable = header.length === 0 ? [] : put("header", header);
  for (const { name, bytes } of request.readable) {
    if (name !== "header" && name !== "para" && bytes.length > 0) readable.push(...put(name, bytes));
  }
  const writable = request.writable.filter(({ sizeBytes }) => sizeBytes > 0)
    .flatMap(({ name, sizeBytes, bytes }) =>
      put(name, bytes === undefined ? new Uint8Array(sizeBytes) : withAddresses(name, bytes, buffers))
    );
  const handle = queue.prepare(readable, writable, token);
  if (handle < 0) throw new DriverError(`a queue of ${queue.size} has no room for ${token + 1} chains`);
  return { handle, blocks };
}

/** Frees the chain's memory and descriptors. */
export function discardChain(memory: DriverMemory, queue: DriverQueue, chain: Chain): void {
  queue.discard(chain.handle);
  for (const block of chain.blocks.values()) memory.free(block);
}
