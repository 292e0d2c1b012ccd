/**
 * Defects in the device's side of virtqueues.
 *
 * @module
 */
import * as vu from "../../../src/wire/vhost_user.ts";
import * as w from "../../../src/wire/virtio_crypto.ts";
import { DESC_F_INDIRECT, DESC_F_NEXT } from "../../../src/wire/vring.ts";
import { ignores } from "./message_defects.ts";
import { type Defect, defect, type Hooks, type SeenRequest } from "./planting.ts";

/** Data requests for which `isRefused` holds are answered with ERR. */
export function refuses(isRefused: (request: SeenRequest) => boolean): Hooks {
  return {
    answer(request) {
      if (!request.isControl && isRefused(request)) request.status = w.STATUS_ERR;
    },
  };
}

/** Ids of used entries are wrong from completion `first` on. */
function wrongIdsFrom(first: number): () => Hooks {
  return () => {
    let completions = 0;
    return {
      complete(batch) {
        for (let i = 0; i < batch.count; i++) if (completions++ >= first) batch.id[i]! ^= 1;
        return true;
      },
    };
  };
}

const ENTRIES = 64;
const INDEX_RANGE = 65_536;

/** True if a chain of a split or packed ring's `words` from `head` on has a table. */
function hasTable(words: Uint32Array, start: number, head: number): boolean {
  for (let index = head;; index++) {
    const word = words[start + 4 * index + 3]!;
    // Split rings have the flags in the lower half, packed ones in the upper.
    const flags = (word & DESC_F_INDIRECT) !== 0 ? word : word >>> 16;
    if ((flags & DESC_F_INDIRECT) !== 0) return true;
    if (((word | word >>> 16) & DESC_F_NEXT) === 0 || index - head > ENTRIES) return false;
  }
}

/** True if a buffer of `request` ends with the last byte of a memory region. */
function endsRegion({ memory, readable, writable }: SeenRequest): boolean {
  const ends = memory.regions.map(({ hostAddress, sizeBytes }) => hostAddress + sizeBytes);
  return [readable, writable].some(({ addresses, lengths }) =>
    addresses.some((address, i) => ends.includes(address + lengths[i]!))
  );
}

/** Rings are not served any more after a message `request` that is not part of their set-up. */
function haltedBy(request: number): () => Hooks {
  return () => {
    let isSetUp = false;
    let isHalted = false;
    return {
      message(message) {
        if (message.request === request && isSetUp) isHalted = true;
        if (message.request === vu.SET_VRING_KICK) isSetUp = true;
        return message;
      },
      fetch: () => !isHalted,
    };
  };
}

/** A memory table of `isRefused` regions ends the connection. */
function refusesTable(isRefused: (regions: number) => boolean): Hooks {
  return {
    message: (message) =>
      message.request === vu.SET_MEM_TABLE && isRefused(message.view.getUint32(0, true)) ? "closed" : message,
  };
}

/** Segments of a request whose fields are a buffer each, without a border between them. */
const BUFFERS = 6;
const REGIONS_USUAL = 3;
const CONNECTIONS_SERVED = 3;

/** Defects in the handling of guest memory. */
export const MEMORY_DEFECTS: readonly Defect[] = [
  defect(
    "a buffer that crosses the border of two regions is ERR",
    /^memory\.straddling$/,
    refuses(({ readable }) => readable.lengths.length > 1),
  ),
  defect(
    "a buffer that crosses the border of two regions is ERR",
    /^memory\.border$/,
    refuses(({ readable, writable }) => readable.lengths.length + writable.lengths.length > BUFFERS),
  ),
  defect("a buffer that ends with a region is ERR", /^memory\.last-byte$/, refuses(endsRegion)),
  defect("a buffer that is in no region is skipped", /^memory\.nowhere$/, {
    answer(request) {
      if (!request.isControl) request.status = w.STATUS_OK;
    },
  }),
  defect(
    "a table of many regions is refused",
    /^memory\.eight-regions$/,
    refusesTable((count) => count > REGIONS_USUAL),
  ),
  defect("a table of one region is refused", /^memory\.one-region$/, refusesTable((count) => count === 1)),
  { name: "another memory table halts the rings", found: /^memory\.table-again$/, plant: haltedBy(vu.SET_MEM_TABLE) },
  { name: "another memory region halts the rings", found: /^memory\.add-remove$/, plant: haltedBy(vu.ADD_MEM_REG) },
  { name: "a removed region stays", found: /^memory\.added-and-removed$/, plant: () => ignores(vu.REM_MEM_REG) },
];

/** Defects in the life of sessions, rings and connections. */
export const LIFECYCLE_DEFECTS: readonly Defect[] = [
  defect(
    "only the first connections are served",
    /^(lifecycle\.(reconnect|half-way|leave-under-load|cut-message)$|hostile\.message-)/,
    {
      message: (message, connection) => connection < CONNECTIONS_SERVED ? message : "closed",
    },
  ),
  defect("sessions are never ended", /^lifecycle\.sessions-end/, { clearSessions: () => false }),
  { name: "RESET_DEVICE does nothing", found: /^lifecycle\.reset-device$/, plant: () => ignores(vu.RESET_DEVICE) },
  {
    name: "sessions end when a ring is stopped",
    found: /^lifecycle\.pause$/,
    plant: () => {
      let wasStopped = false;
      return {
        message(message) {
          if (message.request === vu.GET_VRING_BASE) wasStopped = true;
          return message;
        },
        answer(request) {
          if (!request.isControl && wasStopped) request.status = w.STATUS_INVSESS;
        },
      };
    },
  },
];

/** Defects that the groups of ring checks find. */
export const RING_DEFECTS: readonly Defect[] = [
  defect("chains with a table halt the ring", /^(split|packed)-rings\.(.*-indirect|mixed)$/, {
    chain: ({ words, start }, head) => !hasTable(words, start, head),
  }),
  defect(
    "a request whose readable bytes are in one descriptor is ERR",
    /-rings\.one$/,
    refuses(({ readable }) => readable.lengths.length === 1),
  ),
  defect(
    "a request whose readable bytes are in several descriptors is ERR",
    /-rings\.(fields|bytes|linux|random)$/,
    refuses(({ readable }) => readable.lengths.length > 1),
  ),
  defect(
    "a request with source and destination in the same place is ERR",
    /-rings\.in-place$/,
    refuses((request) => request.isInPlace),
  ),
  {
    name: "used entries have wrong ids once the ring has wrapped around",
    found: /-rings\.(many|small|large|no-features|polled)$/,
    plant: wrongIdsFrom(ENTRIES),
  },
  {
    name: "used entries have wrong ids once the 16-bit index has wrapped around",
    found: /-rings\.index-wrap$/,
    plant: wrongIdsFrom(INDEX_RANGE),
  },
  defect("the driver is never notified", /-rings\.(event-index|notifications)$/, { notify: () => false }),
  defect("GET_VRING_BASE skips an entry", /-rings\.stop$/, { base: (base) => (base + 1) & 0xffff }),
  {
    name: "a ring that is started again is not served",
    found: /-rings\.starts-full$/,
    plant: () => {
      let starts = 0;
      return {
        message(message) {
          if (message.request === vu.SET_VRING_KICK && message.payload[0] === 0) starts++;
          return message;
        },
        fetch: () => starts < 2,
      };
    },
  },
  defect("a ring that is disabled is served", /-rings\.disabled$/, {
    message(message) {
      if (message.request === vu.SET_VRING_ENABLE) message.view.setUint32(4, 1, true);
      return message;
    },
  }),
  {
    name: "the id of a used entry is its position in the available ring",
    found: /-rings\.head-is-id$/,
    plant: () => {
      let position = 0;
      return {
        complete(batch) {
          for (let i = 0; i < batch.count; i++) batch.id[i] = position++ % ENTRIES;
          return true;
        },
      };
    },
  },
  defect("the descriptors of a chain have to follow each other", /-rings\.scattered-chain$/, {
    chain({ words, start }, head) {
      for (let index = head;; index++) {
        const word = words[start + 4 * index + 3]!;
        if ((word & DESC_F_NEXT) === 0) return true;
        if (word >>> 16 !== index + 1) return false;
      }
    },
  }),
];
