/**
 * A search for keys in the memory of a process that is not in the sandbox, guest memory left out.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const PAGE_BYTES = 4096;
const CHUNK_PAGES = 4096;
/** An entry of /proc/…/pagemap, its upper half: the page is in memory, or swapped out. */
const PRESENT = 0xc000_0000;

/** The pages of process `pid` that are its own to write and have been written to, in runs; guest memory left out. */
function* writtenPages(pid: number): Generator<{ at: number; sizeBytes: number }> {
  using pagemap = Deno.openSync(`/proc/${pid}/pagemap`);
  for (const line of Deno.readTextFileSync(`/proc/${pid}/maps`).split("\n")) {
    const [, from, to, what] = /^([0-9a-f]+)-([0-9a-f]+) rw\S+ \S+ \S+ \S+\s*(.*)$/.exec(line) ?? [];
    if (from === undefined || what!.includes("memfd:driver-memory") || what!.startsWith("[v")) continue;
    const [first, end] = [parseInt(from, 16) / PAGE_BYTES, parseInt(to!, 16) / PAGE_BYTES];
    for (let page = first; page < end; page += CHUNK_PAGES) {
      const entries = new Uint32Array(2 * Math.min(CHUNK_PAGES, end - page));
      pagemap.seekSync(8 * page, Deno.SeekMode.Start);
      pagemap.readSync(new Uint8Array(entries.buffer));
      let run = 0;
      for (let i = 0; i <= entries.length / 2; i++) {
        if (i < entries.length / 2 && (entries[2 * i + 1]! & PRESENT) !== 0) run++;
        else if (run > 0) {
          yield { at: (page + i - run) * PAGE_BYTES, sizeBytes: run * PAGE_BYTES };
          run = 0;
        }
      }
    }
  }
}

/** Which of `keys`, by their places in the list, are somewhere in the memory of process `pid`. */
export function found(pid: number, keys: readonly Uint8Array[]): number[] {
  using memory = Deno.openSync(`/proc/${pid}/mem`);
  const seen = new Set<number>();
  for (const { at, sizeBytes } of writtenPages(pid)) {
    const bytes = Buffer.alloc(sizeBytes);
    try {
      memory.seekSync(at, Deno.SeekMode.Start);
      memory.readSync(bytes);
    } catch {
      continue; // It was given back meanwhile.
    }
    keys.forEach((key, i) => bytes.indexOf(key) >= 0 && seen.add(i));
  }
  return [...seen].sort();
}
