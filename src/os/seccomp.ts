/**
 * A seccomp filter as data: the system calls that a serving device does not need, and the program that refuses them. The
 * list contains what is forbidden, not what is allowed: the JavaScript engine maps and protects executable memory, starts
 * threads and chooses its system calls itself, and a list of allowed calls would break with its releases.
 *
 * @module
 */
import { architecture, type ArchitectureName, ARCHITECTURES } from "./architecture.ts";
import { type SystemCall, systemCallNumber } from "./system_calls.ts";

/** Bits of `open` flags for more than reading: WRONLY, RDWR, CREAT, TRUNC. */
const OPEN_FOR_WRITING = 0o1 | 0o2 | 0o100 | 0o1000;
const CLONE_THREAD = 0x10000;

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
/** Offsets in `struct seccomp_data`: the call's number, the architecture, the lower halves of the arguments. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const ARGUMENT = (index: number): number => 16 + 8 * index;

/** Refused calls, grouped by purpose. */
export const FORBIDDEN: readonly SystemCall[] = [
  // Executing programs.
  "execve",
  "execveat",
  "fork",
  "vfork",
  // Other processes. tgkill is allowed: a runtime signals its own threads with it.
  "ptrace",
  "process_vm_readv",
  "process_vm_writev",
  "pidfd_open",
  "pidfd_getfd",
  "process_madvise",
  "kcmp",
  "kill",
  "tkill",
  "rt_sigqueueinfo",
  "rt_tgsigqueueinfo",
  "pidfd_send_signal",
  // New connections. Listening sockets may accept, and pairs of connected sockets are allowed, because the runtime
  // receives signals through them.
  "socket",
  "connect",
  "bind",
  "listen",
  // Changing files.
  "creat",
  "rename",
  "renameat",
  "renameat2",
  "mkdir",
  "mkdirat",
  "rmdir",
  "link",
  "linkat",
  "symlink",
  "symlinkat",
  "chmod",
  "fchmod",
  "fchmodat",
  "fchmodat2",
  "chown",
  "fchown",
  "lchown",
  "fchownat",
  "truncate",
  "mknod",
  "mknodat",
  "setxattr",
  "lsetxattr",
  "fsetxattr",
  "open_by_handle_at",
  // Mounts and namespaces.
  "mount",
  "umount2",
  "pivot_root",
  "chroot",
  "open_tree",
  "move_mount",
  "fsopen",
  "fsconfig",
  "fsmount",
  "fspick",
  "mount_setattr",
  "unshare",
  "setns",
  // The kernel: its programs, modules, clocks, names and ports.
  "bpf",
  "perf_event_open",
  "userfaultfd",
  "io_uring_setup",
  "io_uring_enter",
  "io_uring_register",
  "init_module",
  "finit_module",
  "delete_module",
  "kexec_load",
  "kexec_file_load",
  "reboot",
  "swapon",
  "swapoff",
  "acct",
  "settimeofday",
  "clock_settime",
  "clock_adjtime",
  "adjtimex",
  "sethostname",
  "setdomainname",
  "iopl",
  "ioperm",
  // Kernel keyrings, and identities.
  "add_key",
  "request_key",
  "keyctl",
  "setuid",
  "setgid",
  "setreuid",
  "setregid",
  "setresuid",
  "setresgid",
  "capset",
];

/** Calls whose arguments are in memory, which a filter cannot read. ENOSYS makes callers use the older calls. */
const UNKNOWN: readonly SystemCall[] = ["clone3", "openat2"];

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

/** The filter program for architecture `name`, by default this process's, in the kernel's format. */
export function seccompProgram(name: ArchitectureName = architecture.name): Uint8Array<ArrayBuffer> {
  const { audit, otherCallsBit } = ARCHITECTURES[name];
  const numberOf = (call: SystemCall) => systemCallNumber(call, name);
  const refuse = (calls: readonly SystemCall[], error: number): Instruction[] =>
    calls.map(numberOf).filter((number) => number >= 0).flatMap((number) => [
      [JUMP_EQUAL, 0, 1, number],
      [RETURN, 0, 0, RET_ERRNO | error],
    ]);
  const program: Instruction[] = [
    [LOAD, 0, 0, ARCHITECTURE],
    [JUMP_EQUAL, 1, 0, audit],
    [RETURN, 0, 0, RET_KILL_PROCESS],
    [LOAD, 0, 0, NUMBER],
    ...(otherCallsBit === 0
      ? []
      : [[JUMP_GREATER_EQUAL, 0, 1, otherCallsBit], [RETURN, 0, 0, RET_ERRNO | EPERM]] as const),
    ...(numberOf("open") < 0 ? [] : unlessBits(numberOf("open"), 1, OPEN_FOR_WRITING, true)),
    ...unlessBits(numberOf("openat"), 2, OPEN_FOR_WRITING, true),
    ...unlessBits(numberOf("clone"), 0, CLONE_THREAD, false),
    ...refuse(UNKNOWN, ENOSYS),
    ...refuse(FORBIDDEN, EPERM),
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
