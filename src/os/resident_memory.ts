/**
 * The memory of this process that the machine holds for it.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { MADV_DONTNEED, mapAnonymous, unmap } from "./memory_map.ts";

const O_RDONLY_CLOEXEC = 0o2000000;
const PIECE_BYTES = 64 * 1024;
const SMAPS = new TextEncoder().encode("/proc/self/smaps\0");
/** The line that begins a mapping: private, not writable, of a file. */
const FILE_MAPPING = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \d+ +\//;
/** Such a mapping has no pages of its own, resident or swapped out, which relocations make. */
const UNCHANGED = /^Anonymous: +0 kB$[^]*^Swap: +0 kB$/m;

/** The mappings of this process; Deno itself reads no such file without all permissions. Empty if that fails. */
function readMappings(): string {
  const fd = libc.open(SMAPS, O_RDONLY_CLOEXEC);
  if (fd < 0) return "";
  const piece = mapAnonymous(PIECE_BYTES);
  const bytes = new Uint8Array(piece.buffer);
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const count = Number(libc.read(fd, BigInt(piece.address), BigInt(PIECE_BYTES)));
    if (count <= 0) break;
    text += decoder.decode(bytes.subarray(0, count), { stream: true });
  }
  libc.close(fd);
  unmap(piece);
  return text;
}

/** Gives back free memory of the C library's heaps, of all threads. */
export function releaseHeap(): void {
  libc.malloc_trim?.(0n);
}

/**
 * Gives back pages of programs and libraries that are as their files have them. They stay in the system's page cache, from
 * where those that are used again return.
 */
export function releaseFilePages(): void {
  for (const mapping of readMappings().split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const found = FILE_MAPPING.exec(mapping);
    if (found === null || !UNCHANGED.test(mapping)) continue;
    const [start, end] = [BigInt(`0x${found[1]}`), BigInt(`0x${found[2]}`)];
    libc.madvise(start, end - start, MADV_DONTNEED);
  }
}
