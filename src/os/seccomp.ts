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

/** A processor whose system calls are numbered here. */
export type Architecture = "x86_64" | "aarch64";

/** Calls that are refused, by what they would be used for: their numbers on x86-64 and aarch64, -1 where there is none. */
export const FORBIDDEN: Readonly<Record<string, readonly [x86: number, arm: number]>> = {
  // Programs.
  execve: [59, 221],
  execveat: [322, 281],
  fork: [57, -1],
  vfork: [58, -1],
  // Other processes. tgkill stays: it is how a runtime signals its own threads.
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  pidfd_open: [434, 434],
  pidfd_getfd: [438, 438],
  process_madvise: [440, 440],
  kcmp: [312, 272],
  kill: [62, 129],
  tkill: [200, 130],
  rt_sigqueueinfo: [129, 138],
  rt_tgsigqueueinfo: [297, 240],
  pidfd_send_signal: [424, 424],
  // New connections. What listens already may accept; and pairs of sockets, which lead nowhere, are what the runtime
  // hears of signals through.
  socket: [41, 198],
  connect: [42, 203],
  bind: [49, 200],
  listen: [50, 201],
  // Files.
  creat: [85, -1],
  rename: [82, -1],
  renameat: [264, 38],
  renameat2: [316, 276],
  mkdir: [83, -1],
  mkdirat: [258, 34],
  rmdir: [84, -1],
  link: [86, -1],
  linkat: [265, 37],
  symlink: [88, -1],
  symlinkat: [266, 36],
  chmod: [90, -1],
  fchmod: [91, 52],
  fchmodat: [268, 53],
  fchmodat2: [452, 452],
  chown: [92, -1],
  fchown: [93, 55],
  lchown: [94, -1],
  fchownat: [260, 54],
  truncate: [76, 45],
  mknod: [133, -1],
  mknodat: [259, 33],
  setxattr: [188, 5],
  lsetxattr: [189, 6],
  fsetxattr: [190, 7],
  open_by_handle_at: [304, 265],
  // Mounts and namespaces.
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  open_tree: [428, 428],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  unshare: [272, 97],
  setns: [308, 268],
  // The kernel: its programs, modules, clocks, names and ports.
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  reboot: [169, 142],
  swapon: [167, 224],
  swapoff: [168, 225],
  acct: [163, 89],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  clock_adjtime: [305, 266],
  adjtimex: [159, 171],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  iopl: [172, -1],
  ioperm: [173, -1],
  // Keys of the kernel, and identities.
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  setuid: [105, 146],
  setgid: [106, 144],
  setreuid: [113, 145],
  setregid: [114, 143],
  setresuid: [117, 147],
  setresgid: [119, 149],
  capset: [126, 91],
};

interface Processor {
  /** AUDIT_ARCH_*. */
  readonly audit: number;
  /** Which of the numbers above are its. */
  readonly column: 0 | 1;
  /** `open`, where there is one beside `openat`. */
  readonly open: number;
  readonly openat: number;
  readonly clone: number;
  /** Set in the numbers of another set of calls, where there is one. */
  readonly otherSet: number;
}

const PROCESSORS: Readonly<Record<Architecture, Processor>> = {
  x86_64: { audit: 0xc000_003e, column: 0, open: 2, openat: 257, clone: 56, otherSet: 0x4000_0000 },
  aarch64: { audit: 0xc000_00b7, column: 1, open: -1, openat: 56, clone: 220, otherSet: 0 },
};
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

/**
 * The filter for `architecture`, this one's if not given, as the kernel takes it; undefined where the numbers are not
 * known here.
 */
export function seccompProgram(architecture: string = Deno.build.arch): Uint8Array<ArrayBuffer> | undefined {
  const processor = PROCESSORS[architecture as Architecture] as Processor | undefined;
  if (processor === undefined) return undefined;
  const { audit, column, open, openat, clone, otherSet } = processor;
  const refuse = (number: number, error: number): Instruction[] => [
    [JUMP_EQUAL, 0, 1, number],
    [RETURN, 0, 0, RET_ERRNO | error],
  ];
  const program: Instruction[] = [
    [LOAD, 0, 0, ARCHITECTURE],
    [JUMP_EQUAL, 1, 0, audit],
    [RETURN, 0, 0, RET_KILL_PROCESS],
    [LOAD, 0, 0, NUMBER],
    ...(otherSet === 0 ? [] : [[JUMP_GREATER_EQUAL, 0, 1, otherSet], [RETURN, 0, 0, RET_ERRNO | EPERM]] as const),
    ...(open < 0 ? [] : unlessBits(open, 1, OPEN_FOR_WRITING, true)),
    ...unlessBits(openat, 2, OPEN_FOR_WRITING, true),
    ...unlessBits(clone, 0, CLONE_THREAD, false),
    ...UNKNOWN.flatMap((number) => refuse(number, ENOSYS)),
    ...Object.values(FORBIDDEN).flatMap((numbers) => numbers[column] < 0 ? [] : refuse(numbers[column], EPERM)),
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
