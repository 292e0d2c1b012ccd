/**
 * The session table: fixed slots in native memory that every thread of the process can read and only the control path
 * writes. Each session of a slot has another id, so that the id of a destroyed session stays unknown for a long time.
 *
 * Data path, except `#takeFreeSlot`, `endRestoring`, `findSessions`, `exportState`, `bytesAt` (the control path).
 *
 * @module
 */
import { AKCIPHER_KEY_BYTES_MAX } from "../engine/asymmetric/limits.ts";
import { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX, KIND_AKCIPHER, Parameters } from "../engine/operation.ts";
import type { SessionsState, SessionState } from "../handover/state.ts";
import { cleanseBytes, copyBytes } from "../memory/native.ts";
import { type Mapping, PAGE_BYTES, unmap, viewOf } from "../os/memory_map.ts";
import { ID_DESTROYED, ID_INVALID, ID_UNKNOWN } from "./invsess_reasons.ts";
import { PRIVATE_MEMORY, type SessionMemory } from "./session_memory.ts";

/** Bytes before the first slot: the count of destroyed sessions. */
const HEADER_BYTES = 64;
const SLOT_BYTES = 1024;
/** Bytes of a cipher key followed by an authentication key. */
const CIPHER_KEY_OFFSET = 64;

/** Words of a slot. `ID` is 0 while the slot is free. */
const ID = 0;
const KIND = 1;
const ALGO = 2;
const KEY_LEN = 3;
const FLAGS = 4;
const HASH_ALGO = 5;
const AUTH_KEY_LEN = 6;
const HASH_RESULT_LEN = 7;
const TAG_LEN = 8;
const AAD_LEN = 9;
const KEY_TYPE = 10;
const PARA0 = 11;
const PARA1 = 12;
const ORIGIN = 13;

const FLAG_ENCRYPT = 1;
const FLAG_AUTHENTICATED = 2;
const FLAG_HASH_FIRST = 4;

/** Origin of a session: the driver's control request, or the frontend's message. */
export const ORIGIN_CONTROL_QUEUE = 0;
export const ORIGIN_MESSAGE = 1;

/** Location of a table, for other threads of the process. */
export interface SessionTableLocation {
  /** Address of the mapping. */
  readonly address: number;
  /** Slots. */
  readonly slots: number;
  /** Address of the asymmetric keys, {@linkcode AKCIPHER_KEY_BYTES_MAX} a slot; 0: the table has none. */
  readonly longKeys: number;
  /** The generation with which every slot began, then that of the next session of each. */
  readonly generations: Uint32Array<SharedArrayBuffer>;
}

/** Ids stay below this number, so that reading one allocates nothing. */
const ID_LIMIT = 2 ** 31;

/** Bits of an id that are the number of a slot. */
export function slotBitsOf(slots: number): number {
  return Math.ceil(Math.log2(Math.max(2, slots)));
}

function bytesAt(address: number, length: number): Uint8Array {
  return length === 0 ? new Uint8Array(0) : new Uint8Array(viewOf(address, length));
}

/** The table as any thread reads it. */
export class SessionTableView {
  /** Slots. */
  readonly slots: number;
  protected readonly words: Uint32Array;
  readonly #address: number;
  readonly #slotMask: number;
  readonly #longKeys: number;
  /** As in {@linkcode SessionTableLocation}. */
  protected readonly generations: Uint32Array<SharedArrayBuffer>;

  /** Maps the table at `location` for reading. */
  constructor(location: SessionTableLocation) {
    this.slots = location.slots;
    this.#address = location.address;
    this.#longKeys = location.longKeys;
    this.generations = location.generations;
    this.words = new Uint32Array(viewOf(location.address, HEADER_BYTES + SLOT_BYTES * location.slots));
    this.#slotMask = 2 ** slotBitsOf(location.slots) - 1;
  }

  /**
   * The slot of session `id`, or why there is no such session: one of the ID_ reasons, which are below 0. `idHigh` are
   * the id's upper 32 bits.
   */
  find(id: number, idHigh: number): number {
    if (idHigh !== 0 || id === 0) return ID_INVALID;
    const slot = id & this.#slotMask;
    if (slot >= this.slots) return ID_UNKNOWN;
    // A plain load: a concurrent destruction may come before or after this request. The methods that read more than the
    // id check it themselves.
    return this.words[(HEADER_BYTES + SLOT_BYTES * slot) >>> 2] === id ? slot : this.#reasonOf(slot, id);
  }

  /** Whether session `id`, which is not in `slot`, has been there: its generation is one of those so far. */
  #reasonOf(slot: number, id: number): number {
    if (id >= ID_LIMIT) return ID_UNKNOWN;
    const generationMask = (ID_LIMIT - 1) / (this.#slotMask + 1) | 0;
    const first = Atomics.load(this.generations, 0);
    const next = Atomics.load(this.generations, 1 + slot);
    const generation = id / (this.#slotMask + 1) | 0;
    return (generation - first & generationMask) < (next - first & generationMask) ? ID_DESTROYED : ID_UNKNOWN;
  }

  /** The id of the session in `slot`, 0 if the slot is free. */
  idAt(slot: number): number {
    return Atomics.load(this.words, (HEADER_BYTES + SLOT_BYTES * slot) >>> 2);
  }

  /** Number of destroyed sessions. A thread evicts its stale contexts when it has changed. */
  get destroyedCount(): number {
    return Atomics.load(this.words, 0);
  }

  /**
   * Reads the parameters of session `id` in `slot`; false if the session has been destroyed, and then `parameters` must
   * not be used. {@linkcode copyKeys} reads the keys.
   */
  readParameters(slot: number, id: number, into: Parameters): boolean {
    // This load orders those below after it, and `holds` orders them before it: between the two the slot had one owner.
    if (this.idAt(slot) !== id) return false;
    const base = (HEADER_BYTES + SLOT_BYTES * slot) >>> 2;
    const words = this.words;
    const flags = words[base + FLAGS]!;
    into.kind = words[base + KIND]!;
    into.algo = words[base + ALGO]!;
    into.keyLen = words[base + KEY_LEN]!;
    into.encrypt = (flags & FLAG_ENCRYPT) !== 0;
    into.authenticated = (flags & FLAG_AUTHENTICATED) !== 0;
    into.hashFirst = (flags & FLAG_HASH_FIRST) !== 0;
    into.hashAlgo = words[base + HASH_ALGO]!;
    into.authKeyLen = words[base + AUTH_KEY_LEN]!;
    into.hashResultLen = words[base + HASH_RESULT_LEN]!;
    into.tagLen = words[base + TAG_LEN]!;
    into.aadLen = words[base + AAD_LEN]!;
    into.keyType = words[base + KEY_TYPE]!;
    into.para0 = words[base + PARA0]!;
    into.para1 = words[base + PARA1]!;
    return this.holds(slot, id);
  }

  /**
   * Copies the keys of session `id` in `slot`, whose parameters {@linkcode readParameters} has left in `parameters`, to
   * the addresses that `parameters` has for them. False, with bytes there that have no meaning, if the session has been
   * destroyed.
   */
  copyKeys(slot: number, id: number, parameters: Parameters): boolean {
    const { kind, keyLen, authKeyLen, cipherKey, authKey } = parameters;
    const from = kind === KIND_AKCIPHER ? this.longKeyAddress(slot) : this.keyAddress(slot);
    if (keyLen > 0) copyBytes(cipherKey, from, keyLen);
    if (authKeyLen > 0) copyBytes(authKey, this.keyAddress(slot) + CIPHER_KEY_BYTES_MAX, authKeyLen);
    return this.holds(slot, id);
  }

  /**
   * True if `slot` still is session `id`'s. A read-modify-write that changes nothing: unlike a load, it comes after every
   * load before it on any CPU. On arm64 its store does so. The exchange that begins a destruction comes
   * either before this one, which then fails, or after it; in the latter case everything that the destruction writes
   * comes after it, too.
   */
  protected holds(slot: number, id: number): boolean {
    return Atomics.compareExchange(this.words, (HEADER_BYTES + SLOT_BYTES * slot) >>> 2, id, id) === id;
  }

  /** Address of a slot's asymmetric key, in a table that has memory for such keys. */
  protected longKeyAddress(slot: number): number {
    return this.#longKeys + AKCIPHER_KEY_BYTES_MAX * slot;
  }

  /** Address of a slot's cipher key; its authentication key follows. */
  protected keyAddress(slot: number): number {
    return this.#address + HEADER_BYTES + SLOT_BYTES * slot + CIPHER_KEY_OFFSET;
  }
}

/** The table for its only writer, the control path. */
export class SessionTable extends SessionTableView {
  readonly #memory: SessionMemory;
  readonly #mapping: Mapping;
  readonly #longKeys: Mapping | undefined;
  readonly #slotBits: number;
  /** Free slots, in the order in which they were freed, so that a slot is reused as late as possible. */
  #free: number[];
  #freeHead = 0;
  /** Number of sessions that exist. */
  count = 0;
  /** Number of sessions created so far. */
  createdCount = 0;

  /**
   * Makes a table of `slots` free slots, with memory for asymmetric keys if `asymmetric`. Generations start at random
   * numbers, so that ids of an earlier process are unknown here.
   */
  constructor(slots: number, asymmetric = false, memory: SessionMemory = PRIVATE_MEMORY) {
    const mapping = memory.map(HEADER_BYTES + SLOT_BYTES * slots);
    const longKeys = asymmetric ? memory.map(AKCIPHER_KEY_BYTES_MAX * slots) : undefined;
    const generations = new Uint32Array(new SharedArrayBuffer(4 * (1 + slots)));
    super({ address: mapping.address, slots, longKeys: longKeys?.address ?? 0, generations });
    this.#memory = memory;
    this.#mapping = mapping;
    this.#longKeys = longKeys;
    this.#slotBits = slotBitsOf(slots);
    this.#free = Array.from({ length: slots }, (_, i) => i);
    const generationMask = 2 ** (31 - this.#slotBits) - 1;
    generations.fill(crypto.getRandomValues(new Uint32Array(1))[0]! & generationMask || 1);
  }

  /** The location for other threads. */
  get location(): SessionTableLocation {
    const { slots, generations } = this;
    return { address: this.#mapping.address, slots, longKeys: this.#longKeys?.address ?? 0, generations };
  }

  /**
   * Stores a session from `origin` (ORIGIN_*) whose keys are at the addresses in `parameters`; returns its id, above 0,
   * or 0 if no slot is free.
   */
  create(parameters: Parameters, origin: number = ORIGIN_CONTROL_QUEUE): number {
    const slot = this.#takeFreeSlot();
    if (slot < 0) return 0;
    const id = this.#nextId(slot);
    this.#store(slot, id, parameters, origin);
    this.createdCount++;
    return id;
  }

  #store(slot: number, id: number, parameters: Parameters, origin: number): void {
    const base = (HEADER_BYTES + SLOT_BYTES * slot) >>> 2;
    const words = this.words;
    words[base + KIND] = parameters.kind;
    words[base + ALGO] = parameters.algo;
    words[base + KEY_LEN] = parameters.keyLen;
    words[base + FLAGS] = (parameters.encrypt ? FLAG_ENCRYPT : 0) |
      (parameters.authenticated ? FLAG_AUTHENTICATED : 0) | (parameters.hashFirst ? FLAG_HASH_FIRST : 0);
    words[base + HASH_ALGO] = parameters.hashAlgo;
    words[base + AUTH_KEY_LEN] = parameters.authKeyLen;
    words[base + HASH_RESULT_LEN] = parameters.hashResultLen;
    words[base + TAG_LEN] = parameters.tagLen;
    words[base + AAD_LEN] = parameters.aadLen;
    words[base + KEY_TYPE] = parameters.keyType;
    words[base + PARA0] = parameters.para0;
    words[base + PARA1] = parameters.para1;
    words[base + ORIGIN] = origin;
    const keyAddress = parameters.kind === KIND_AKCIPHER ? this.longKeyAddress(slot) : this.keyAddress(slot);
    if (parameters.keyLen > 0) copyBytes(keyAddress, parameters.cipherKey, parameters.keyLen);
    if (parameters.authKeyLen > 0) {
      copyBytes(this.keyAddress(slot) + CIPHER_KEY_BYTES_MAX, parameters.authKey, parameters.authKeyLen);
    }
    // All of the above is seen before the id.
    Atomics.store(words, base + ID, id);
    this.count++;
  }

  /**
   * Stores a session of another process, like {@linkcode create}, under its id; false if its slot is not free.
   * {@linkcode endRestoring} follows after the last one.
   */
  restore(id: number, parameters: Parameters, origin: number): boolean {
    const slot = id % 2 ** this.#slotBits;
    if (id === 0 || id >= 2 ** 31 || slot >= this.slots || this.idAt(slot) !== 0) return false;
    this.#store(slot, id, parameters, origin);
    return true;
  }

  /** Continues with the generations of another process's table, if ids have as many bits for slots there. */
  endRestoring({ slots, firstGeneration, generations, createdCount }: SessionsState): void {
    this.#free = Array.from({ length: this.slots }, (_, slot) => slot).filter((slot) => this.idAt(slot) === 0);
    this.#freeHead = 0;
    this.createdCount = createdCount;
    if (slotBitsOf(slots) !== this.#slotBits) return;
    this.generations.fill(firstGeneration);
    this.generations.set(generations.subarray(0, this.slots), 1);
  }

  /** Finds the sessions of a process that has ended, whose memory the table has. */
  findSessions(): void {
    this.count = Array.from({ length: this.slots }, (_, slot) => slot).filter((slot) => this.idAt(slot) !== 0).length;
  }

  /** The sessions as another process needs them. Keys are views of the table. */
  exportState(): SessionsState {
    const sessions: SessionState[] = [];
    const parameters = new Parameters();
    for (let slot = 0; slot < this.slots && sessions.length < this.count; slot++) {
      const id = this.idAt(slot);
      if (id === 0) continue;
      this.readParameters(slot, id, parameters);
      const { keyLen, authKeyLen, kind } = parameters;
      const keyAddress = kind === KIND_AKCIPHER ? this.longKeyAddress(slot) : this.keyAddress(slot);
      sessions.push({
        ...parameters,
        id,
        origin: this.#originOf(slot),
        cipherKey: bytesAt(keyAddress, keyLen),
        authKey: bytesAt(this.keyAddress(slot) + CIPHER_KEY_BYTES_MAX, authKeyLen),
      });
    }
    const { slots, createdCount, generations } = this;
    return { slots, createdCount, firstGeneration: generations[0]!, generations: generations.slice(1), sessions };
  }

  #originOf(slot: number): number {
    return this.words[((HEADER_BYTES + SLOT_BYTES * slot) >>> 2) + ORIGIN]!;
  }

  #nextId(slot: number): number {
    const generationMask = 2 ** (31 - this.#slotBits) - 1;
    let generation = this.generations[1 + slot]! & generationMask;
    if (generation === 0) generation = 1; // No id may be 0.
    Atomics.store(this.generations, 1 + slot, generation + 1);
    return generation * 2 ** this.#slotBits + slot;
  }

  #takeFreeSlot(): number {
    if (this.#freeHead === this.#free.length) return -1;
    const slot = this.#free[this.#freeHead++]!;
    if (this.#freeHead > 1024) {
      this.#free = this.#free.slice(this.#freeHead);
      this.#freeHead = 0;
    }
    return slot;
  }

  /** Destroys session `id` and wipes its keys; false if there is none. */
  destroy(id: number, idHigh: number): boolean {
    const slot = this.find(id, idHigh);
    if (slot < 0) return false;
    this.#destroySlot(slot);
    return true;
  }

  #destroySlot(slot: number): void {
    const base = (HEADER_BYTES + SLOT_BYTES * slot) >>> 2;
    // An exchange, because the wiping below must not become visible before it: a reader would use a half-wiped key.
    Atomics.exchange(this.words, base + ID, 0);
    if (this.words[base + KIND] === KIND_AKCIPHER) {
      cleanseBytes(this.longKeyAddress(slot), this.words[base + KEY_LEN]!);
    }
    cleanseBytes(this.keyAddress(slot), CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX);
    Atomics.add(this.words, 0, 1);
    this.#free.push(slot);
    this.count--;
  }

  /**
   * Destroys all sessions, or only those from `origin`. When none is left, the memory of all sessions so far is returned
   * to the kernel.
   */
  clear(origin?: number): void {
    for (let slot = 0; slot < this.slots && this.count > 0; slot++) {
      if (this.idAt(slot) !== 0 && (origin === undefined || this.#originOf(slot) === origin)) this.#destroySlot(slot);
    }
    if (this.count > 0) return;
    // Slots are reused in rotation, so in time every page of the table would be resident. All ids are 0 by now. The
    // first page is kept: it has the count of destroyed sessions.
    const { address, sizeBytes } = this.#mapping;
    if (sizeBytes > PAGE_BYTES) this.#memory.giveBack(address + PAGE_BYTES, sizeBytes - PAGE_BYTES);
    if (this.#longKeys !== undefined) this.#memory.giveBack(this.#longKeys.address, this.#longKeys.sizeBytes);
  }

  /** Unmaps the table. No thread may read it afterwards. */
  close(): void {
    this.clear();
    if (this.#longKeys) unmap(this.#longKeys);
    unmap(this.#mapping);
  }
}
