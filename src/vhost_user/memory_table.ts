/**
 * The guest's memory as the frontend describes it: complete tables (SET_MEM_TABLE) or single regions (ADD_MEM_REG,
 * REM_MEM_REG). Owns the mappings and unmaps one only when the device uses a table without it. A failure does not change
 * the table.
 *
 * @module
 */
import { logBytesFor } from "../memory/dirty_log.ts";
import { closeFd } from "../os/event_fd.ts";
import { GuestMemory, MappedRegion, type RegionDescription } from "../memory/guest_memory.ts";
import {
  MEM_REG_HEADER_BYTES,
  MEM_TABLE_HEADER_BYTES,
  MEM_TABLE_REGIONS_MAX,
  REGION_BYTES,
  REGION_GUEST_ADDRESS_OFFSET,
  REGION_MMAP_OFFSET_OFFSET,
  REGION_SIZE_OFFSET,
  REGION_USER_ADDRESS_OFFSET,
} from "../wire/vhost_user.ts";
import type { MemoryState } from "../handover/state.ts";
import type { Message } from "./framing.ts";
import { logRangeOf, LogRegion } from "./log_region.ts";
import { NO_FD_REMEDY, readU64, RequestError } from "./messages.ts";

function descriptionAt(view: DataView, at: number): RegionDescription {
  return {
    guestAddress: readU64(view, at + REGION_GUEST_ADDRESS_OFFSET, "a region's guest address"),
    sizeBytes: readU64(view, at + REGION_SIZE_OFFSET, "a region's size"),
    userAddress: readU64(view, at + REGION_USER_ADDRESS_OFFSET, "a region's user address"),
  };
}

function mapRegion(view: DataView, at: number, fd: number): MappedRegion {
  const mmapOffset = readU64(view, at + REGION_MMAP_OFFSET_OFFSET, "a region's mmap offset");
  return new MappedRegion(descriptionAt(view, at), fd, mmapOffset);
}

function release(regions: Iterable<MappedRegion>): void {
  for (const region of regions) region.release();
}

function addressEndOf(regions: readonly MappedRegion[]): number {
  return Math.max(0, ...regions.map(({ guestAddress, sizeBytes }) => guestAddress + sizeBytes));
}

/** Throws unless `log` has a bit for every page of `regions`. */
function checkLogSize(regions: readonly MappedRegion[], log: LogRegion): void {
  const needed = logBytesFor(addressEndOf(regions));
  const { sizeBytes } = log.location;
  if (sizeBytes >= needed) return;
  throw new RequestError(
    `guest memory needs a dirty log of ${needed} bytes, and the shared one has ${sizeBytes}: ` +
      "share a larger one (SET_LOG_BASE) first",
  );
}

/** The regions of one connection, and the dirty log for them. */
export class MemoryTable {
  readonly #install: (memory: GuestMemory) => Promise<void>;
  #regions: readonly MappedRegion[] = [];
  #log: LogRegion | undefined;
  #logsWrites = false;
  /**
   * True from SET_LOG_BASE until logging is turned off: the log has to cover all memory. Afterwards memory may be added
   * again, although no message ends the log's use.
   */
  #isLogCurrent = false;

  /** An empty table. `install` makes the device use another one; nothing accesses the old one when it resolves. */
  constructor(install: (memory: GuestMemory) => Promise<void>) {
    this.#install = install;
  }

  /** SET_LOG_BASE: uses the log that `view` describes in the file `fd`, which may be closed afterwards. */
  async setLogBase(view: DataView, fd: number): Promise<void> {
    const old = this.#log;
    this.#log = new LogRegion(logRangeOf(view), fd, addressEndOf(this.#regions));
    this.#isLogCurrent = true;
    if (this.#logsWrites) await this.#change(this.#regions);
    old?.release();
  }

  /** VHOST_F_LOG_ALL: turns logging of writes to guest memory on or off, if the frontend has shared a log. */
  async setLogging(logsWrites: boolean): Promise<void> {
    if (logsWrites === this.#logsWrites) return;
    if (logsWrites && this.#log !== undefined) checkLogSize(this.#regions, this.#log);
    this.#logsWrites = logsWrites;
    this.#isLogCurrent = logsWrites;
    if (this.#log !== undefined) await this.#change(this.#regions);
  }

  /** SET_MEM_TABLE: replaces all regions. Throws, as all methods here, an Error with the cause. */
  async replace(message: Message): Promise<void> {
    const { view, fds } = message;
    const count = view.getUint32(0, true);
    if (count > MEM_TABLE_REGIONS_MAX) {
      throw new RequestError(`${count} regions are too many: a table has at most ${MEM_TABLE_REGIONS_MAX}`);
    }
    if (view.byteLength !== MEM_TABLE_HEADER_BYTES + count * REGION_BYTES) {
      throw new RequestError(`the payload has ${view.byteLength} bytes, which does not fit ${count} regions`);
    }
    if (fds.length < count) {
      throw new RequestError(`guest memory region ${fds.length} has no file descriptor: ${NO_FD_REMEDY}`);
    }
    if (fds.length > count) throw new RequestError(`${fds.length} descriptors are too many for ${count} regions`);
    const mapped: MappedRegion[] = [];
    try {
      for (let i = 0; i < count; i++) {
        mapped.push(mapRegion(view, MEM_TABLE_HEADER_BYTES + i * REGION_BYTES, fds[i]!));
      }
      await this.#change(mapped);
    } catch (error) {
      release(mapped);
      throw error;
    }
  }

  /** ADD_MEM_REG: adds a region. */
  async add(message: Message): Promise<void> {
    const fd = message.fds[0];
    if (fd === undefined) throw new RequestError(`the guest memory region has no file descriptor: ${NO_FD_REMEDY}`);
    const region = mapRegion(message.view, MEM_REG_HEADER_BYTES, fd);
    try {
      await this.#change([...this.#regions, region]);
    } catch (error) {
      region.release();
      throw error;
    }
  }

  /** REM_MEM_REG: removes the region with these addresses and this size. */
  async remove(message: Message): Promise<void> {
    const { guestAddress, sizeBytes, userAddress } = descriptionAt(message.view, MEM_REG_HEADER_BYTES);
    const index = this.#regions.findIndex((region) =>
      region.guestAddress === guestAddress && region.sizeBytes === sizeBytes && region.userAddress === userAddress
    );
    if (index < 0) {
      throw new RequestError(
        `there is no region of ${sizeBytes} bytes at guest address 0x${guestAddress.toString(16)}`,
      );
    }
    await this.#change(this.#regions.toSpliced(index, 1));
  }

  /** The table as another process needs it. */
  exportState(): MemoryState {
    const log = this.#log;
    return {
      regions: this.#regions.map(({ guestAddress, sizeBytes, userAddress, mmapOffset, fd }) => ({
        guestAddress,
        sizeBytes,
        userAddress,
        mmapOffset,
        fd,
      })),
      log: log === undefined ? null : { ...log.range, fd: log.fd },
      logsWrites: this.#logsWrites,
      isLogCurrent: this.#isLogCurrent,
    };
  }

  /** Maps the regions and the log of `state`, whose descriptors it closes, in place of an empty table. */
  async restore({ regions, log, logsWrites, isLogCurrent }: MemoryState): Promise<void> {
    const mapped: MappedRegion[] = [];
    try {
      for (const region of regions) mapped.push(new MappedRegion(region, region.fd, region.mmapOffset));
      // A log that is not current need not cover all memory.
      if (log !== null) this.#log = new LogRegion(log, log.fd, isLogCurrent ? addressEndOf(mapped) : 0);
      this.#logsWrites = logsWrites;
      this.#isLogCurrent = isLogCurrent;
      await this.#change(mapped);
    } catch (error) {
      release(mapped);
      throw error;
    } finally {
      for (const { fd } of regions) closeFd(fd);
      closeFd(log?.fd ?? -1);
    }
  }

  /** Unmaps all regions and the log. */
  async clear(): Promise<void> {
    this.#logsWrites = false;
    this.#isLogCurrent = false;
    await this.#change([]);
    this.#log?.release();
    this.#log = undefined;
  }

  async #change(regions: readonly MappedRegion[]): Promise<void> {
    if (this.#isLogCurrent && this.#log !== undefined) checkLogSize(regions, this.#log);
    const log = this.#logsWrites ? this.#log?.location ?? null : null;
    await this.#install(new GuestMemory(regions, log));
    const old = this.#regions;
    this.#regions = regions;
    release(old.filter((region) => !regions.includes(region)));
  }
}
