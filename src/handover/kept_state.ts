/**
 * The state of a device that a service manager keeps for the next process, in case this one crashes: a memory file that is
 * updated after each message of the frontend, the descriptors that belong to it, and the memory of the session table.
 *
 * A file begins with words of four bytes: a mark, whether the file is valid, the length of the state, and under which
 * numbers its descriptors are kept; then comes the serialised state. It is valid only while all that it names is kept.
 * While a message is handled it is not: a process that dies then leaves nothing that could be continued.
 *
 * @module
 */
import { closeFd, duplicateFd } from "../os/event_fd.ts";
import { inodeOf } from "../os/file_identity.ts";
import { createMemfd, fileSize, keepSecret, type Mapping, mapShared, sealMemfd, unmap } from "../os/memory_map.ts";
import type { DeviceState } from "./state.ts";
import { StateError } from "./state_bytes.ts";
import { decodeProcessState, encodeProcessState, processStateBytes } from "./state_format.ts";

/** Keeps descriptors under names, for the next process: what a service manager does. */
export interface DescriptorKeeper {
  /** Keeps what `fd` leads to as `name`. What is kept already may keep its old name. */
  keep(name: string, fd: number): void;
  /** Forgets what is kept as `name`. */
  drop(name: string): void;
  /** Resolves when all requests so far have been sent. */
  sent(): Promise<void>;
}

/** Every name under which a descriptor is kept begins with this. */
export const KEPT_PREFIX = "vuc-kept-";

/** "VUCK". */
const MAGIC = 0x4b43_5556;
/**
 * Words: mark, valid, bytes of the state, descriptors, number of the session table's file, slots of that table; then the
 * descriptors' numbers.
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
/** A state without sessions has some kilobytes. Pages that are not written to take no memory. */
const FILE_BYTES = STATE_OFFSET + (1 << 20);

/** The name of descriptor `number` of device `device`; the state itself has a number, too. */
function nameOf(device: number, number: number, isState = false): string {
  return `${KEPT_PREFIX}${device}-${isState ? "state-" : ""}${number}`;
}

/** What an earlier process has left of a device. */
export interface LeftState {
  /** Its state, without sessions. Its descriptors are the caller's. */
  readonly state: DeviceState;
  /** The file with its session table, the caller's too, and the slots of the table. */
  readonly sessionsFd: number;
  readonly sessionSlots: number;
  /** All of these descriptors. */
  readonly fds: readonly number[];
  readonly numbers: KeptNumbers;
}

/** Numbers under which descriptors are kept. */
class KeptNumbers {
  /** By inode: a file is kept once. */
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

/** What is kept of one device. */
export class KeptState {
  readonly #device: number;
  readonly #keeper: DescriptorKeeper;
  readonly #fd: number;
  readonly #mapping: Mapping;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #stateNumber: number;
  #nextNumber: number;
  /** The numbers in the state that was published last. */
  #numbers: KeptNumbers;
  /** Names that are kept. */
  readonly #names: Set<string>;
  #version = 0;
  /** True if descriptors may not have been sent yet. */
  #isSending = false;
  /** By number, event descriptors that may still be kept under an earlier name, and so not under this one. */
  readonly #renewed = new Map<number, number>();

  /**
   * Keeps nothing of device number `device` yet. `names` are kept already, by an earlier process that has left `left`;
   * they are dropped when the first state of this process is valid. Throws {@linkcode SystemError}.
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

  /** Something is about to change: what is kept is not valid until it is published. */
  begin(): void {
    this.#version++;
    Atomics.store(this.#words, IS_VALID, 0);
  }

  /**
   * Keeps `state`, whose session table of `sessionSlots` slots is the file `sessionsFd`. It is valid as soon as all its
   * descriptors have been sent. Resolves then, or when a later change has begun.
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
    // A message that had arrived in part may have had a key in it.
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
    // The state and the numbers are seen before this.
    Atomics.store(this.#words, IS_VALID, 1);
    this.#dropOthers(needed);
  }

  /** Waits until all descriptors have been sent. False: a later change than `version` has begun. */
  async #isSent(version: number): Promise<boolean> {
    if (!this.#isSending) return true;
    await this.#keeper.sent();
    if (version !== this.#version) return false;
    this.#isSending = false;
    return true;
  }

  /**
   * A service manager keeps an event counter once, under its first name. A frontend may send one again, as QEMU does when
   * it starts a ring again: it can be kept under its new number only after the earlier name has been dropped.
   */
  #keepRenewed(numbers: ReadonlySet<number>): void {
    this.#dropOthers(numbers);
    for (const [number, fd] of this.#renewed) {
      if (numbers.has(number)) this.#keep(nameOf(this.#device, number), fd);
    }
    this.#renewed.clear();
  }

  /** The numbers of `fds`; those that are new are kept. */
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

  /** Drops what is not under one of `numbers`. */
  #dropOthers(numbers: ReadonlySet<number>): void {
    const needed = new Set(Array.from(numbers, (number) => nameOf(this.#device, number)));
    needed.add(nameOf(this.#device, this.#stateNumber, true));
    for (const name of this.#names) if (!needed.has(name)) this.#drop(name);
  }

  #drop(name: string): void {
    this.#names.delete(name);
    this.#keeper.drop(name);
  }

  /** Drops everything. */
  close(): void {
    this.begin();
    for (const name of this.#names) this.#drop(name);
    new Uint8Array(this.#mapping.buffer, 0, STATE_OFFSET + this.#words[STATE_BYTES]!).fill(0);
    unmap(this.#mapping);
    closeFd(this.#fd);
  }
}

/**
 * Reads what is left of device number `device` among `kept`, descriptors by name, which stay the caller's. Undefined:
 * nothing is that is valid. Throws {@linkcode StateError} for a state that cannot be used.
 */
export function readLeftState(device: number, kept: ReadonlyMap<string, number>): LeftState | undefined {
  const numberOf = (name: string) => Number(new RegExp(`^${KEPT_PREFIX}${device}-state-(\\d+)$`).exec(name)?.[1] ?? 0);
  const files = Array.from(kept, ([name, fd]) => ({ number: numberOf(name), fd })).filter(({ number }) => number > 0);
  // A process that has continued with an earlier one's state may have died before that one's was dropped.
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
