/**
 * Indirect descriptor tables: a private copy of one, taken once, so that the guest cannot change what was checked.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { copyBytes } from "../memory/native.ts";
import { mapAnonymous } from "../os/memory_map.ts";
import { DESC_BYTES } from "../wire/vring.ts";
import { ADDRESS_HIGH_LIMIT } from "./chain.ts";

const { memcpy } = libc;

/** Entries of an indirect table. More than a ring has: drivers build longer tables than their ring, and rightly. */
export const INDIRECT_ENTRIES_MAX = 65535;

const mapping = mapAnonymous(DESC_BYTES * (INDIRECT_ENTRIES_MAX + 1));
const TABLE_ADDRESS = BigInt(mapping.address);

/** The table copied last: four words a descriptor (address low, high, length, flags and next or id). */
export const indirectWords: Uint32Array = new Uint32Array(mapping.buffer);

/**
 * Copies the table of `length` bytes at guest address `addressHigh`‖`addressLow`. Returns its number of entries, or 0
 * if it is empty, longer than allowed, of a length that is no multiple of 16, or not in one region of guest memory.
 */
export function copyIndirectTable(
  memory: GuestMemory,
  addressLow: number,
  addressHigh: number,
  length: number,
): number {
  if (length === 0 || (length & DESC_BYTES - 1) !== 0 || length > DESC_BYTES * INDIRECT_ENTRIES_MAX) return 0;
  if (memory.isInWindow(addressHigh, addressLow, length)) {
    memcpy(
      BigInt.asUintN(64, TABLE_ADDRESS),
      BigInt.asUintN(64, memory.windowBase[0]! + BigInt(addressLow >>> 0)),
      BigInt.asUintN(64, BigInt(length >>> 0)),
    );
  } else {
    // Across a boundary of 4 GiB, or nowhere.
    if (addressHigh >= ADDRESS_HIGH_LIMIT) return 0;
    const from = memory.translateGuest(addressHigh * 0x1_0000_0000 + addressLow, length);
    if (from === 0) return 0;
    copyBytes(mapping.address, from, length);
  }
  return length >>> 4;
}
