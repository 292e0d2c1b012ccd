/**
 * The guest's memory as the frontend tells it: whole tables (SET_MEM_TABLE) or region by region (ADD_MEM_REG,
 * REM_MEM_REG). Owns the mappings and unmaps one only when the device has taken a table without it. Whatever fails
 * leaves the table as it was.
 *
 * @module
 */
import type { BackendDevice } from "../device/backend.ts";
import type { DirtyLogLocation } from "../memory/dirty_log.ts";
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
import type { Message } from "./framing.ts";
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

/** The regions of one connection. */
export class MemoryTable {
  readonly #device: BackendDevice;
  #regions: readonly MappedRegion[] = [];
  #log: DirtyLogLocation | null = null;

  /** An empty table for `device`. */
  constructor(device: BackendDevice) {
    this.#device = device;
  }

  /** True while the frontend has shared no memory. */
  get isEmpty(): boolean {
    return this.#regions.length === 0;
  }

  /** The first guest address behind all memory. */
  get addressEnd(): number {
    return Math.max(0, ...this.#regions.map(({ guestAddress, sizeBytes }) => guestAddress + sizeBytes));
  }

  /** Has writes noted at `log` from now on; null: nowhere. What was noted at before is no more in use. */
  async setLog(log: DirtyLogLocation | null): Promise<void> {
    if (log === this.#log) return;
    this.#log = log;
    await this.#install(this.#regions);
  }

  /** SET_MEM_TABLE: these regions and no others. Throws, as all here, an Error that says what is wrong. */
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
    if (fds.length > count) throw new RequestError(`${fds.length} descriptors came along for ${count} regions`);
    const mapped: MappedRegion[] = [];
    try {
      for (let i = 0; i < count; i++) {
        mapped.push(mapRegion(view, MEM_TABLE_HEADER_BYTES + i * REGION_BYTES, fds[i]!));
      }
      await this.#install(mapped);
    } catch (error) {
      release(mapped);
      throw error;
    }
  }

  /** ADD_MEM_REG: one region more. */
  async add(message: Message): Promise<void> {
    const fd = message.fds[0];
    if (fd === undefined) throw new RequestError(`the guest memory region has no file descriptor: ${NO_FD_REMEDY}`);
    const region = mapRegion(message.view, MEM_REG_HEADER_BYTES, fd);
    try {
      await this.#install([...this.#regions, region]);
    } catch (error) {
      region.release();
      throw error;
    }
  }

  /** REM_MEM_REG: one region less, told by its addresses and size. */
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
    await this.#install(this.#regions.toSpliced(index, 1));
  }

  /** Forgets all regions, and the log. */
  async clear(): Promise<void> {
    this.#log = null;
    await this.#install([]);
  }

  async #install(regions: readonly MappedRegion[]): Promise<void> {
    await this.#device.setMemory(new GuestMemory(regions, this.#log));
    const old = this.#regions;
    this.#regions = regions;
    release(old.filter((region) => !regions.includes(region)));
  }
}
