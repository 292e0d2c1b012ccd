/**
 * A seccomp filter as data: the system calls that a serving device has no use for, and the program that refuses them.
 * It is a list of what is forbidden, not of what is allowed: the JavaScript engine maps and protects executable memory,
 * starts threads and makes calls of its own choice, and a list that has to follow it would break with every release.
 *
 * @module
 */

/** Bits of `open` flags that mean more than reading: WRONLY, RDWR, CREAT, TRUNC. */
const OPEN_FOR_WRITING = 0o1 | 0o2 | 0o100 | 0o1000;
const CLONE_THREAD = 0x10000;
const AUDIT_ARCH_X86_64 = 0xc000_003e;
const X32_BIT = 0x4000_0000;

const EPERM = 1;
const ENOSYS = 38;
const RET_ALLOW = 0x7fff_0000;
const RET_ERRNO = 0x0005_0000;
const RET_KILL_PROCESS = 0x8000_0000;

/** Classic BPF: load a word, jump if equal, if greater or equal, if any bit is set, return. */
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER_EQUAL = 0x35;
const JUMP_SET = 0x45;
const RETURN = 0x06;
const INSTRUCTION_BYTES = 8;
/** Of `struct seccomp_data`: the call's number, the architecture, the lower halves of the arguments. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const ARGUMENT = (index: number): number => 16 + 8 * index;

/** Numbers on x86-64, by what they would be used for. */
const FORBIDDEN: readonly number[] = [
  // Programs: execve, execveat, fork, vfork.
  ...[59, 322, 57, 58],
  // Other processes: ptrace, process_vm_readv/writev, pidfd_open/getfd, process_madvise, kcmp, kill, tkill,
  // rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal.
  ...[101, 310, 311, 434, 438, 440, 312, 62, 200, 129, 297, 424],
  // New connections: socket, connect, bind, listen. What listens already may accept; and pairs of sockets, which lead
  // nowhere, are what the runtime hears of signals through.
  ...[41, 42, 49, 50],
  // Files: creat, rename*, mkdir*, rmdir, link*, symlink*, chmod*, chown*, truncate, mknod*, setxattr*,
  // open_by_handle_at.
  ...[85, 82, 264, 316, 83, 258, 84, 86, 265, 88, 266, 90, 91, 268, 452, 92, 93, 94, 260, 76, 133, 259],
  ...[188, 189, 190, 304],
  // Mounts and namespaces: mount, umount2, pivot_root, chroot, open_tree and its kin, unshare, setns.
  ...[165, 166, 155, 161, 428, 429, 430, 431, 432, 433, 442, 272, 308],
  // The kernel: bpf, perf_event_open, userfaultfd, io_uring, modules, kexec, reboot, swap, acct, clocks, names, ports.
  ...[321, 298, 323, 425, 426, 427, 175, 313, 176, 246, 320, 169, 167, 168, 163, 164, 227, 159, 170, 171, 172, 173],
  // Keys of the kernel and identities: add_key, request_key, keyctl, set*id, capset.
  ...[248, 249, 250, 105, 106, 113, 114, 117, 119, 126],
];
const OPEN = 2;
const OPENAT = 257;
const CLONE = 56;
/** Their arguments lie in memory, where a filter cannot look; whoever is told that they do not exist has another way. */
const UNKNOWN: readonly number[] = [435, /* clone3 */ 437 /* openat2 */];

type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, k: number];

/** Loads an argument of call `number` and refuses the call if a bit of `bits` is set, or if none is. */
function unlessBits(number: number, argument: number, bits: number, refusesSet: boolean): Instruction[] {
  return [
    [JUMP_EQUAL, 0, 4, number],
    [LOAD, 0, 0, ARGUMENT(argument)],
    [JUMP_SET, refusesSet ? 0 : 1, refusesSet ? 1 : 0, bits],
    [RETURN, 0, 0, RET_ERRNO | EPERM],
    [RETURN, 0, 0, RET_ALLOW],
  ];
}

/** The filter for x86-64, as the kernel takes it; undefined for other processors, whose numbers are others. */
export function seccompProgram(): Uint8Array<ArrayBuffer> | undefined {
  if (Deno.build.arch !== "x86_64") return undefined;
  const program: Instruction[] = [
    [LOAD, 0, 0, ARCHITECTURE],
    [JUMP_EQUAL, 1, 0, AUDIT_ARCH_X86_64],
    [RETURN, 0, 0, RET_KILL_PROCESS],
    [LOAD, 0, 0, NUMBER],
    [JUMP_GREATER_EQUAL, 0, 1, X32_BIT],
    [RETURN, 0, 0, RET_ERRNO | EPERM],
    ...unlessBits(OPEN, 1, OPEN_FOR_WRITING, true),
    ...unlessBits(OPENAT, 2, OPEN_FOR_WRITING, true),
    ...unlessBits(CLONE, 0, CLONE_THREAD, false),
    ...UNKNOWN.flatMap((number): Instruction[] => [
      [JUMP_EQUAL, 0, 1, number],
      [RETURN, 0, 0, RET_ERRNO | ENOSYS],
    ]),
    ...FORBIDDEN.flatMap((number): Instruction[] => [
      [JUMP_EQUAL, 0, 1, number],
      [RETURN, 0, 0, RET_ERRNO | EPERM],
    ]),
    [RETURN, 0, 0, RET_ALLOW],
  ];
  const bytes = new Uint8Array(INSTRUCTION_BYTES * program.length);
  const view = new DataView(bytes.buffer);
  program.forEach(([code, jumpTrue, jumpFalse, k], i) => {
    view.setUint16(INSTRUCTION_BYTES * i, code, true);
    view.setUint8(INSTRUCTION_BYTES * i + 2, jumpTrue);
    view.setUint8(INSTRUCTION_BYTES * i + 3, jumpFalse);
    view.setUint32(INSTRUCTION_BYTES * i + 4, k >>> 0, true);
  });
  return bytes;
}
