/**
 * The state of a device that a service manager keeps for the next process in case this one crashes: a memory file that
 * is updated after each message of the frontend, its descriptors, and the memory file of the session table.
 *
 * The memory file begins with 32-bit words: a magic number, whether the file is valid, the length of the state, and the
 * numbers under which its descriptors are kept; the serialised state follows. The file is valid only while everything
 * that it refers to is kept. It is invalid while a message is handled: the state of a process that crashes meanwhile
 * cannot be continued.
 *
 * @module
 */
import { closeFd, duplicateFd } from "../os/event_fd.ts";
import { inodeOf } from "../os/file_identity.ts";
import { createMemfd, fileSize, keepSecret, type Mapping, mapShared, sealMemfd, unmap } from "../os/memory_map.ts";
import type { DeviceState } from "./state.ts";
import { StateError } from "./state_bytes.ts";
import { decodeProcessState, encodeProcessState, processStateBytes } from "./state_format.ts";

/** Keeps descriptors under names for the next process, as a service manager does. */
export interface DescriptorKeeper {
  /** Keeps the file of `fd` as `name`. A file that is kept already may keep its first name. */
  keep(name: string, fd: number): void;
  /** Drops the descriptor that is kept as `name`. */
  drop(name: string): void;
  /** Resolves when all requests made so far have been sent. */
  sent(): Promise<void>;
}

/** The prefix of all names of kept descriptors. */
export const KEPT_PREFIX = "vuc-kept-";

/** "VUCK". */
const MAGIC = 0x4b43_5556;
/**
 * Indexes of the words: magic number, validity, length of the state in bytes, number of descriptors, kept number of the
 * session table's file, slots of that table; then the kept numbers of the descriptors.
 */
const MARK = 0;
const IS_VALID = 1;
const STATE_BYTES = 2;
const FD_COUNT = 3;
const SESSIONS = 4;
const SESSION_SLOTS = 5;
const NUMBERS = 16;
const NUMBERS_MAX = 1008;
const STATE_OFFSET = 4 * (NUMBERS + NUMBERS_MAX);
/** A state without sessions has a few kilobytes. Pages that are never written to use no memory. */
const FILE_BYTES = STATE_OFFSET + (1 << 20);

/** Returns the name of descriptor `number` of device `device`; the state's own file has a number, too. */
function nameOf(device: number, number: number, isState = false): string {
  return `${KEPT_PREFIX}${device}-${isState ? "state-" : ""}${number}`;
}

/** The state of a device that a crashed process has left. */
export interface LeftState {
  /** The state, without sessions. The caller owns its descriptors. */
  readonly state: DeviceState;
  /** The file with the session table, which the caller owns, and the table's number of slots. */
  readonly sessionsFd: number;
  readonly sessionSlots: number;
  /** All descriptors of this object. */
  readonly fds: readonly number[];
  readonly numbers: KeptNumbers;
}

/** The numbers under which descriptors are kept. */
class KeptNumbers {
  /** By inode, because a service manager keeps a file once. */
  readonly files = new Map<string, number>();
  /** By descriptor, for event descriptors, which have no inode of their own. */
  readonly events = new Map<number, number>();

  find(fd: number): number | undefined {
    const inode = inodeOf(fd);
    return inode === undefined ? this.events.get(fd) : this.files.get(inode);
  }

  set(fd: number, number: number): void {
    const inode = inodeOf(fd);
    if (inode === undefined) this.events.set(fd, number);
    else this.files.set(inode, number);
  }
}

/** The kept state of one device. */
export class KeptState {
  readonly #device: number;
  readonly #keeper: DescriptorKeeper;
  readonly #fd: number;
  readonly #mapping: Mapping;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #stateNumber: number;
  #nextNumber: number;
  /** The numbers in the last published state. */
  #numbers: KeptNumbers;
  /** Names of kept descriptors. */
  readonly #names: Set<string>;
  #version = 0;
  /** True if descriptors may not have been sent yet. */
  #isSending = false;
  /** By number, event descriptors that may still be kept under an earlier name, and so not under this one. */
  readonly #renewed = new Map<number, number>();

  /**
   * Creates the memory file for device `device`, invalid as yet. `names` are kept from an earlier process that has left
   * `left`; they are dropped when the first state of this process is valid. Throws {@linkcode SystemError}.
   */
  constructor(device: number, keeper: DescriptorKeeper, names: readonly string[] = [], left?: LeftState) {
    this.#device = device;
    this.#keeper = keeper;
    this.#names = new Set(names);
    const used = names.map((name) => Number(/\d+$/.exec(name)?.[0] ?? 0));
    this.#stateNumber = 1 + Math.max(0, ...used);
    this.#nextNumber = 1 + this.#stateNumber;
    this.#numbers = left?.numbers ?? new KeptNumbers();
    this.#fd = createMemfd("vhost-user-crypto-kept", FILE_BYTES);
    sealMemfd(this.#fd, true);
    this.#mapping = keepSecret(mapShared(this.#fd, FILE_BYTES));
    this.#words = new Uint32Array(this.#mapping.buffer, 0, STATE_OFFSET >>> 2);
    this.#words[MARK] = MAGIC;
    this.#keep(nameOf(device, this.#stateNumber, true), this.#fd);
  }

  /** Invalidates the kept state until the next {@linkcode publish}, because the device is about to change. */
  begin(): void {
    this.#version++;
    Atomics.store(this.#words, IS_VALID, 0);
  }

  /**
   * Keeps `state`, whose session table of `sessionSlots` slots is in the file `sessionsFd`. The state becomes valid when
   * all its descriptors have been sent. Resolves then, or when a later change has begun.
   */
  async publish(state: DeviceState, sessionsFd: number, sessionSlots: number): Promise<void> {
    this.begin();
    const version = this.#version;
    const whole = { devices: [state], sockets: [] };
    const stateBytes = processStateBytes(whole);
    if (STATE_OFFSET + stateBytes > FILE_BYTES) throw new RangeError(`a state of ${stateBytes} bytes cannot be kept`);
    const fds = encodeProcessState(whole, new Uint8Array(this.#mapping.buffer, STATE_OFFSET, stateBytes));
    if (fds.length > NUMBERS_MAX) throw new RangeError(`${fds.length} descriptors cannot be kept`);
    const numbers = this.#number([...fds, sessionsFd]);
    // The previous state may contain a part of a message, with a key in it.
    new Uint8Array(this.#mapping.buffer, STATE_OFFSET + stateBytes, Math.max(0, this.#words[STATE_BYTES]! - stateBytes))
      .fill(0);
    this.#words[STATE_BYTES] = stateBytes;
    this.#words[FD_COUNT] = fds.length;
    this.#words[SESSIONS] = numbers.at(-1)!;
    this.#words[SESSION_SLOTS] = sessionSlots;
    this.#words.set(numbers.slice(0, -1), NUMBERS);
    if (!await this.#isSent(version)) return;
    const needed = new Set(numbers);
    if (this.#renewed.size > 0) {
      this.#keepRenewed(needed);
      if (!await this.#isSent(version)) return;
    }
    // Published last: a reader that sees this also sees the state and the numbers.
    Atomics.store(this.#words, IS_VALID, 1);
    this.#dropOthers(needed);
  }

  /** Waits until all descriptors have been sent; false if a change after `version` has begun meanwhile. */
  async #isSent(version: number): Promise<boolean> {
    if (!this.#isSending) return true;
    await this.#keeper.sent();
    if (version !== this.#version) return false;
    this.#isSending = false;
    return true;
  }

  /**
   * Keeps event counters again that the frontend has sent again, as QEMU does when it restarts a ring. A service manager
   * keeps an event counter once, under its first name, so it gets its new number only after that name was dropped.
   */
  #keepRenewed(numbers: ReadonlySet<number>): void {
    this.#dropOthers(numbers);
    for (const [number, fd] of this.#renewed) {
      if (numbers.has(number)) this.#keep(nameOf(this.#device, number), fd);
    }
    this.#renewed.clear();
  }

  /** Returns the numbers of `fds`, and keeps those that are new. */
  #number(fds: readonly number[]): number[] {
    const present = new KeptNumbers();
    const numbers = fds.map((fd) => {
      const number = present.find(fd) ?? this.#numbers.find(fd) ?? this.#keepNew(fd);
      present.set(fd, number);
      return number;
    });
    this.#numbers = present;
    return numbers;
  }

  #keepNew(fd: number): number {
    const number = this.#nextNumber++;
    this.#keep(nameOf(this.#device, number), fd);
    if (inodeOf(fd) === undefined) this.#renewed.set(number, fd);
    return number;
  }

  #keep(name: string, fd: number): void {
    this.#names.add(name);
    this.#isSending = true;
    this.#keeper.keep(name, fd);
  }

  /** Drops all descriptors except the state's file and those with `numbers`. */
  #dropOthers(numbers: ReadonlySet<number>): void {
    const needed = new Set(Array.from(numbers, (number) => nameOf(this.#device, number)));
    needed.add(nameOf(this.#device, this.#stateNumber, true));
    for (const name of this.#names) if (!needed.has(name)) this.#drop(name);
  }

  #drop(name: string): void {
    this.#names.delete(name);
    this.#keeper.drop(name);
  }

  /** Drops and wipes everything. */
  close(): void {
    this.begin();
    for (const name of this.#names) this.#drop(name);
    new Uint8Array(this.#mapping.buffer, 0, STATE_OFFSET + this.#words[STATE_BYTES]!).fill(0);
    unmap(this.#mapping);
    closeFd(this.#fd);
  }
}

/**
 * Reads the state of device `device` from `kept`, descriptors by name, which the caller keeps. Returns undefined if there
 * is no valid state. Throws {@linkcode StateError} for an unusable state.
 */
export function readLeftState(device: number, kept: ReadonlyMap<string, number>): LeftState | undefined {
  const numberOf = (name: string) => Number(new RegExp(`^${KEPT_PREFIX}${device}-state-(\\d+)$`).exec(name)?.[1] ?? 0);
  const files = Array.from(kept, ([name, fd]) => ({ number: numberOf(name), fd })).filter(({ number }) => number > 0);
  // A process that continued from an earlier state may have crashed before the earlier state was dropped.
  for (const { fd } of files.sort((a, b) => b.number - a.number)) {
    const left = readStateFile(fd, (number) => kept.get(nameOf(device, number)));
    if (left !== undefined) return left;
  }
  return undefined;
}

function readStateFile(fd: number, keptAs: (number: number) => number | undefined): LeftState | undefined {
  if (fileSize(fd).sizeBytes !== FILE_BYTES) throw new StateError("the kept state has another length");
  const mapping = mapShared(fd, FILE_BYTES);
  const numbers = new KeptNumbers();
  const own: number[] = [];
  try {
    const words = new Uint32Array(mapping.buffer, 0, STATE_OFFSET >>> 2);
    if (words[MARK] !== MAGIC || Atomics.load(words, IS_VALID) !== 1) return undefined;
    const [stateBytes, count] = [words[STATE_BYTES]!, words[FD_COUNT]!];
    if (stateBytes > FILE_BYTES - STATE_OFFSET || count > NUMBERS_MAX) {
      throw new StateError("the kept state is damaged");
    }
    const duplicate = (number: number) => {
      const found = keptAs(number);
      if (found === undefined) throw new StateError("the frontend has gone, or one of its descriptors is not kept");
      own.push(duplicateFd(found));
      numbers.set(own.at(-1)!, number);
      return own.at(-1)!;
    };
    const fds = Array.from(words.subarray(NUMBERS, NUMBERS + count), duplicate);
    const sessionsFd = duplicate(words[SESSIONS]!);
    const bytes = new Uint8Array(mapping.buffer, STATE_OFFSET, stateBytes).slice();
    const [state] = decodeProcessState(bytes, fds).devices;
    if (state === undefined) throw new StateError("the kept state is of no device");
    return { state, sessionsFd, sessionSlots: words[SESSION_SLOTS]!, fds: own, numbers };
  } catch (error) {
    own.forEach(closeFd);
    throw error;
  } finally {
    unmap(mapping);
  }
}
