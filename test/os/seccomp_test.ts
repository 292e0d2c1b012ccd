/**
 * The system call filter as a program, run by an interpreter: for every architecture with system call numbers, on any
 * this one is.
 *
 * @module
 */
import { assertEquals, assertGreater } from "@std/assert";
import type { ArchitectureName } from "../../src/os/architecture.ts";
import { FORBIDDEN, seccompProgram } from "../../src/os/seccomp.ts";
import { systemCallNumber } from "../../src/os/system_calls.ts";

const ALLOW = 0x7fff_0000;
const KILL = 0x8000_0000;
const refused = (error: number): number => 0x0005_0000 | error;
const [EPERM, ENOSYS] = [1, 38];

interface Call {
  readonly arch: number;
  readonly number: number;
  readonly args?: readonly number[];
}

/** What the kernel makes of `program` (classic BPF) for a call, as seccomp(2) has it. */
function verdict(program: Uint8Array<ArrayBuffer>, { arch, number, args = [] }: Call): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, number, true);
  data.setUint32(4, arch, true);
  args.forEach((arg, i) => data.setBigUint64(16 + 8 * i, BigInt(arg), true));
  const view = new DataView(program.buffer);
  let accumulator = 0;
  for (let at = 0; at < program.length / 8; at++) {
    const code = view.getUint16(8 * at, true);
    const [ifTrue, ifFalse] = [view.getUint8(8 * at + 2), view.getUint8(8 * at + 3)];
    const k = view.getUint32(8 * at + 4, true);
    const jump = (condition: boolean) => at += condition ? ifTrue : ifFalse;
    if (code === 0x20) accumulator = data.getUint32(k, true);
    else if (code === 0x15) jump(accumulator === k);
    else if (code === 0x35) jump(accumulator >= k);
    else if (code === 0x45) jump((accumulator & k) !== 0);
    else if (code === 0x06) return k;
    else throw new Error(`instruction ${at} has code 0x${code.toString(16)}`);
  }
  throw new Error("the program ends without a verdict");
}

interface Numbers {
  readonly audit: number;
  readonly openat: number;
  readonly clone: number;
  /** read, write, mmap, mprotect, futex, close, ioctl, epoll_ctl, recvmsg, sendmsg, accept4, socketpair, memfd_create, tgkill, exit_group. */
  readonly needed: readonly number[];
}

const NUMBERS_OF: Readonly<Record<ArchitectureName, Numbers>> = {
  x86_64: {
    audit: 0xc000_003e,
    openat: 257,
    clone: 56,
    needed: [0, 1, 9, 10, 202, 3, 16, 233, 47, 46, 288, 53, 319, 234, 231],
  },
  aarch64: {
    audit: 0xc000_00b7,
    openat: 56,
    clone: 220,
    needed: [63, 64, 222, 226, 98, 57, 29, 21, 212, 211, 242, 199, 279, 131, 94],
  },
};
const O_RDONLY_CLOEXEC = 0o2000000;
const CLONE_THREAD = 0x10000;
const SIGCHLD = 17;

for (const name of ["x86_64", "aarch64"] as const) {
  const { audit: arch, openat, clone, needed } = NUMBERS_OF[name];
  Deno.test(`the system call filter for ${name} refuses what it must and nothing that is needed`, () => {
    const program = seccompProgram(name);
    const ask = (number: number, ...args: number[]) => verdict(program, { arch, number, args });
    let count = 0;
    for (const call of FORBIDDEN) {
      const number = systemCallNumber(call, name);
      if (number < 0) continue;
      assertEquals(ask(number), refused(EPERM), call);
      count++;
    }
    assertGreater(count, 60);
    for (const number of needed) assertEquals(ask(number), ALLOW, `call ${number}`);
    assertEquals(ask(openat, 0, 0, O_RDONLY_CLOEXEC), ALLOW);
    for (const flags of [0o1, 0o2, 0o100, 0o1000, 0o2101]) assertEquals(ask(openat, 0, 0, flags), refused(EPERM));
    assertEquals(ask(clone, CLONE_THREAD | 0xf00), ALLOW);
    assertEquals(ask(clone, SIGCHLD), refused(EPERM));
    for (const number of [435, 437]) assertEquals(ask(number), refused(ENOSYS));
  });

  Deno.test(`the system call filter for ${name} kills callers with another architecture's calls`, () => {
    const program = seccompProgram(name);
    for (const other of [0x4000_0003, 0x4000_0028, ...Object.values(NUMBERS_OF).map(({ audit }) => audit)]) {
      const expected = other === arch ? ALLOW : KILL;
      assertEquals(verdict(program, { arch: other, number: needed[0]! }), expected);
    }
  });
}

Deno.test("the system call filter for x86_64 refuses the calls of x32, and open for writing", () => {
  const program = seccompProgram("x86_64");
  const ask = (number: number, ...args: number[]) => verdict(program, { arch: 0xc000_003e, number, args });
  assertEquals(ask(0x4000_0000), refused(EPERM));
  assertEquals(ask(2, 0, O_RDONLY_CLOEXEC), ALLOW);
  assertEquals(ask(2, 0, 0o1101), refused(EPERM));
});
