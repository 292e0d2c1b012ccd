/**
 * The differences between architectures in Linux's interface and in the CPU, in one place: layouts of structures, values
 * of flags, and memory ordering. System call numbers are in `system_calls.ts`; no other file reads `Deno.build.arch`.
 * Both architectures that Deno runs on are little-endian with 64-bit pointers, so `msghdr` and `cmsghdr` (ancillary
 * data), `iovec`, `pollfd`, `timespec`, `rlimit64`, `sock_fprog`, the error numbers, and all other flags of this folder
 * are the same on both; a test runs them on both. The kernel determines the page size: `memory_map.ts`.
 *
 * @module
 */

/** A supported architecture, by Deno's name. */
export type ArchitectureName = "x86_64" | "aarch64";

/** One architecture. Offsets and sizes are in bytes. */
export interface Architecture {
  /** Deno's name of it. */
  readonly name: ArchitectureName;
  /** `struct epoll_event`: packed on x86-64 only; elsewhere its 64 bits of data are aligned. */
  readonly epollEvent: { readonly sizeBytes: number; readonly dataOffset: number };
  /** `struct stat`. Only the lower half of `st_blksize` is read: the upper one is padding on arm64. */
  readonly stat: { readonly modeOffset: number; readonly sizeOffset: number; readonly blksizeOffset: number };
  /** Flags of `open`. The two architectures have the same bits for different flags. */
  readonly openFlags: { readonly directory: number; readonly noFollow: number; readonly direct: number };
  /** AUDIT_ARCH_*: the architecture that a system call filter is given. */
  readonly audit: number;
  /** The bit that marks the numbers of a second set of system calls (x32); 0: there is none. */
  readonly otherCallsBit: number;
  /**
   * Whether the CPU executes loads in program order. If so, one `Atomics.load` orders the plain loads after it as well as
   * an `Atomics.load` for each would.
   */
  readonly keepsLoadsInOrder: boolean;
}

/** All supported architectures. */
export const ARCHITECTURES: Readonly<Record<ArchitectureName, Architecture>> = {
  x86_64: {
    name: "x86_64",
    epollEvent: { sizeBytes: 12, dataOffset: 4 },
    stat: { modeOffset: 24, sizeOffset: 48, blksizeOffset: 56 },
    openFlags: { directory: 0o200000, noFollow: 0o400000, direct: 0o40000 },
    audit: 0xc000_003e,
    otherCallsBit: 0x4000_0000,
    keepsLoadsInOrder: true,
  },
  aarch64: {
    name: "aarch64",
    epollEvent: { sizeBytes: 16, dataOffset: 8 },
    stat: { modeOffset: 16, sizeOffset: 48, blksizeOffset: 56 },
    openFlags: { directory: 0o40000, noFollow: 0o100000, direct: 0o200000 },
    audit: 0xc000_00b7,
    otherCallsBit: 0,
    keepsLoadsInOrder: false,
  },
};

/** The architecture of this process. */
export const architecture: Architecture = ARCHITECTURES[Deno.build.arch];
