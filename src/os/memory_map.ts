/**
 * Mapped memory: anonymous blocks at an address that native code and typed arrays share, and files (guest memory). Every
 * `ArrayBuffer` over native memory in this program is created here.
 *
 * Off the data path: memory is mapped at start and by commands.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { architecture } from "./architecture.ts";
import { check, errno, SystemError } from "./errno.ts";

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
/** Gives up pages: those of a file are read again when they are used. */
export const MADV_DONTNEED = 4;
const MADV_DONTDUMP = 16;
/** Returns pages of a file, which are zeros for all who map them. */
const MADV_REMOVE = 9;
/** The same as DONTNEED for locked memory; Linux 5.18 and later. */
const MADV_DONTNEED_LOCKED = 24;
const MLOCK_ONFAULT = 1;
const MFD_CLOEXEC_ALLOW_SEALING = 3;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;
const F_SEAL_SEAL = 1;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;
/** Linux 5.1 and later. */
const F_SEAL_FUTURE_WRITE = 16;
const SC_PAGESIZE = 30;
/** Page size in bytes, the granularity of mappings: 4096, or on arm64 the size that the kernel was built for. */
export const PAGE_BYTES: number = Number(libc.sysconf(SC_PAGESIZE));

/** Native memory: the same bytes at an address for native code and in an `ArrayBuffer` for typed arrays. */
export interface Mapping {
  /** Its address, always below 2^53. */
  readonly address: number;
  /** Its length in bytes. */
  readonly sizeBytes: number;
  /** A view of it, made at its first use. It must not be accessed after {@linkcode unmap}. */
  readonly buffer: ArrayBuffer;
}

/** V8 counts a view as memory of its own and collects the more often, so one that has no user is not made. */
class MappedMemory implements Mapping {
  readonly address: number;
  readonly sizeBytes: number;
  #buffer: ArrayBuffer | undefined;

  constructor(address: number, sizeBytes: number) {
    this.address = address;
    this.sizeBytes = sizeBytes;
  }

  get buffer(): ArrayBuffer {
    return this.#buffer ??= viewOf(this.address, this.sizeBytes);
  }
}

/** An `ArrayBuffer` over the `sizeBytes` bytes of native memory at `address`. It does not keep that memory mapped. */
export function viewOf(address: number, sizeBytes: number): ArrayBuffer {
  return Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(BigInt(address))!, sizeBytes);
}

/** A file, and where in it a mapping begins. */
interface FilePlace {
  readonly fd: number;
  readonly offsetBytes: number;
}

const NO_FILE: FilePlace = { fd: -1, offsetBytes: 0 };

function map(sizeBytes: number, flags: number, { fd, offsetBytes }: FilePlace, about: string): Mapping {
  const address = libc.mmap(0n, BigInt(sizeBytes), PROT_READ_WRITE, flags, fd, BigInt(offsetBytes));
  return mapped(address, sizeBytes, about);
}

function mapped(address: bigint, sizeBytes: number, about: string): Mapping {
  if (address === MAP_FAILED) throw new SystemError("mmap", errno(), about);
  return new MappedMemory(Number(address), sizeBytes);
}

/** Maps `sizeBytes` bytes (rounded up to pages) of zeroed private memory. Throws {@linkcode SystemError}. */
export function mapAnonymous(sizeBytes: number): Mapping {
  const rounded = Math.ceil(sizeBytes / PAGE_BYTES) * PAGE_BYTES;
  return map(rounded, MAP_PRIVATE_ANONYMOUS | MAP_NORESERVE, NO_FILE, `${rounded} bytes`);
}

/**
 * Maps private memory for keys: excluded from core dumps, and from swap as far as the memory-lock limit allows.
 * Throws {@linkcode SystemError} if it cannot be mapped.
 */
export function mapSecret(sizeBytes: number): Mapping {
  return keepSecret(mapAnonymous(sizeBytes));
}

/** Excludes `mapping`, which it returns, from core dumps and, as far as possible, from swap. */
export function keepSecret(mapping: Mapping): Mapping {
  libc.madvise(BigInt(mapping.address), BigInt(mapping.sizeBytes), MADV_DONTDUMP);
  libc.mlock2(BigInt(mapping.address), BigInt(mapping.sizeBytes), MLOCK_ONFAULT);
  return mapping;
}

/**
 * Returns the pages of a {@linkcode mapSecret} from `address`, the start of a page, to the system: they are zeros again,
 * and use no memory until they are written.
 */
export function giveBackSecret(address: number, sizeBytes: number): void {
  const [start, length] = [BigInt(address), BigInt(sizeBytes)];
  if (libc.madvise(start, length, MADV_DONTNEED_LOCKED) === 0) return;
  libc.munlock(start, length);
  libc.madvise(start, length, MADV_DONTNEED);
  libc.mlock2(start, length, MLOCK_ONFAULT);
}

/** The same for a shared mapping of a memory file: the pages are zeros for every process that maps them. */
export function giveBackShared(address: number, sizeBytes: number): void {
  const [start, length] = [BigInt(address), BigInt(sizeBytes)];
  libc.munlock(start, length);
  libc.madvise(start, length, MADV_REMOVE);
  libc.mlock2(start, length, MLOCK_ONFAULT);
}

/** Sets the length of the file behind `fd` to `sizeBytes`. Throws {@linkcode SystemError}. */
export function resizeFile(fd: number, sizeBytes: number): void {
  check(libc.ftruncate(fd, BigInt(sizeBytes)), "ftruncate", `${sizeBytes} bytes`);
}

/** Maps `sizeBytes` bytes of `fd` from `offsetBytes` (a page's start) on, shared. Throws {@linkcode SystemError}. */
export function mapShared(fd: number, sizeBytes: number, offsetBytes = 0): Mapping {
  return map(sizeBytes, MAP_SHARED | MAP_NORESERVE, { fd, offsetBytes }, `${sizeBytes} bytes of descriptor ${fd}`);
}

/** Maps the first `sizeBytes` bytes of `fd`, shared, for reading only. Throws {@linkcode SystemError}. */
export function mapForReading(fd: number, sizeBytes: number): Mapping {
  const address = libc.mmap(0n, BigInt(sizeBytes), PROT_READ, MAP_SHARED, fd, 0n);
  return mapped(address, sizeBytes, `${sizeBytes} bytes of descriptor ${fd}`);
}

/** Unmaps `mapping`; its `buffer` must not be used any more. */
export function unmap(mapping: Mapping): void {
  check(libc.munmap(BigInt(mapping.address), BigInt(mapping.sizeBytes)), "munmap");
}

/** Size and preferred block (page) size, in bytes, of the file behind `fd`. Throws {@linkcode SystemError}. */
export function fileSize(fd: number): { sizeBytes: number; blockBytes: number } {
  const stat = new Uint8Array(256);
  check(libc.fstat(fd, stat), "fstat", `descriptor ${fd}`);
  const view = new DataView(stat.buffer);
  return {
    sizeBytes: Number(view.getBigInt64(architecture.stat.sizeOffset, true)),
    blockBytes: view.getUint32(architecture.stat.blksizeOffset, true),
  };
}

/** Seals the memfd `fd` against shrinking, if it allows seals; true if it is sealed now. */
export function sealAgainstShrinking(fd: number): boolean {
  if (libc.fcntl(fd, F_ADD_SEALS, BigInt(F_SEAL_SHRINK)) === 0) return true;
  const seals = libc.fcntl(fd, F_GET_SEALS, 0n);
  return seals >= 0 && (seals & F_SEAL_SHRINK) !== 0;
}

/**
 * Fixes the size of the memfd `fd` and the present seals; unless `isWritable`, only mappings that exist can be written to
 * from now on. Throws {@linkcode SystemError}.
 */
export function sealMemfd(fd: number, isWritable: boolean): void {
  const seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | (isWritable ? 0 : F_SEAL_FUTURE_WRITE);
  check(libc.fcntl(fd, F_ADD_SEALS, BigInt(seals)), "fcntl(F_ADD_SEALS)");
}

/** Creates a memfd of `sizeBytes` zero bytes; `name` is shown in `/proc`. Throws {@linkcode SystemError}. */
export function createMemfd(name: string, sizeBytes: number): number {
  const fd = check(libc.memfd_create(new TextEncoder().encode(name + "\0"), MFD_CLOEXEC_ALLOW_SEALING), "memfd_create");
  check(libc.ftruncate(fd, BigInt(sizeBytes)), "ftruncate", `${sizeBytes} bytes`);
  return fd;
}
