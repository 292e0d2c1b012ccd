/**
 * What a device gives up before it looks at a stranger's requests: being dumped and traced, new privileges, programs,
 * new connections, and files but for reading. Everything here is for good, and for the whole process.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { openDirectory } from "./directory.ts";
import { errno, SystemError } from "./errno.ts";
import { resourceLimit, RLIMIT_CORE, RLIMIT_MSGQUEUE, RLIMIT_NOFILE, setResourceLimit } from "./resource_limits.ts";
import { mapAnonymous, type Mapping, unmap } from "./memory_map.ts";
import { seccompProgram } from "./seccomp.ts";
import { type SystemCall, systemCallNumber } from "./system_calls.ts";

const PR_SET_DUMPABLE = 4;
const PR_SET_NO_NEW_PRIVS = 38;
/** Descriptors that may be open at least: what most devices need, many times over. */
const DESCRIPTORS_MIN = 4096;
const SECCOMP_SET_MODE_FILTER = 1n;
const SECCOMP_FILTER_FLAG_TSYNC = 1n;

const LANDLOCK_CREATE_RULESET_VERSION = 1n;
const LANDLOCK_RULE_PATH_BENEATH = 1n;
const ACCESS_REMOVE_FILE = 1n << 5n;
/** Execute, write, remove, make anything: all of the first version but reading files and directories. */
const ACCESS_BUT_READING = 0x1fffn & ~(1n << 2n) & ~(1n << 3n);
/** Later versions: moving between directories, truncating. */
const ACCESS_REFER = 1n << 13n;
const ACCESS_TRUNCATE = 1n << 14n;

function call(name: SystemCall, ...args: bigint[]): number {
  const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n, f = 0n] = args;
  return Number(libc.syscall(BigInt(systemCallNumber(name)), a, b, c, d, e, f));
}

/** Runs `body` with `bytes` at an address, for calls that take pointers. */
function withBytes<T>(bytes: Uint8Array, body: (address: bigint, mapping: Mapping) => T): T {
  const mapping = mapAnonymous(bytes.length + 16);
  new Uint8Array(mapping.buffer).set(bytes);
  try {
    return body(BigInt(mapping.address), mapping);
  } finally {
    unmap(mapping);
  }
}

/**
 * No core dumps, in which keys would stand, no tracing by the same user, no privileges from files that are executed, no
 * message queues, as many descriptors as needed. No limit of FSIZE, as the log may go to a file and inflight regions are
 * files of memory; of NPROC, which counts all of a user's threads, and isolates start later; of AS and DATA, as V8
 * reserves more than it ever touches.
 */
function harden(descriptorsNeeded: number): void {
  if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) !== 0) throw new SystemError("prctl(NO_NEW_PRIVS)", errno());
  libc.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n);
  lower(RLIMIT_CORE, 0);
  lower(RLIMIT_NOFILE, Math.max(descriptorsNeeded, DESCRIPTORS_MIN));
  lower(RLIMIT_MSGQUEUE, 0);
}

/** Lowers a limit to `most`, for good; one that is lower already stays. */
function lower(resource: number, most: number): void {
  const { hard } = resourceLimit(resource);
  const lowered = hard < BigInt(most) ? hard : BigInt(most);
  setResourceLimit(resource, { soft: lowered, hard: lowered });
}

/** Landlock for this thread and those it starts: no change to any file, but what `directories` hold may be removed. */
function restrictFiles(directories: readonly string[]): boolean {
  const version = call("landlock_create_ruleset", 0n, 0n, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return false;
  const handled = ACCESS_BUT_READING | (version >= 2 ? ACCESS_REFER : 0n) | (version >= 3 ? ACCESS_TRUNCATE : 0n);
  const ruleset = withBytes(
    new Uint8Array(BigUint64Array.of(handled).buffer),
    (address) => call("landlock_create_ruleset", address, 8n, 0n),
  );
  if (ruleset < 0) return false;
  for (const directory of directories) allowRemoval(ruleset, directory);
  const restricted = call("landlock_restrict_self", BigInt(ruleset), 0n) === 0;
  libc.close(ruleset);
  return restricted;
}

function allowRemoval(ruleset: number, directory: string): void {
  const fd = openDirectory(directory);
  // struct landlock_path_beneath_attr is packed: allowed_access u64, parent_fd s32.
  const rule = new Uint8Array(12);
  new DataView(rule.buffer).setBigUint64(0, ACCESS_REMOVE_FILE, true);
  new DataView(rule.buffer).setInt32(8, fd, true);
  withBytes(rule, (address) => call("landlock_add_rule", BigInt(ruleset), LANDLOCK_RULE_PATH_BENEATH, address, 0n));
  libc.close(fd);
}

/** The system call filter, on every thread at once; false if this kernel has none. */
function restrictCalls(): boolean {
  const program = seccompProgram();
  return withBytes(program, (address) => {
    // struct sock_fprog: len u16, padding, filter pointer.
    const description = new Uint8Array(16);
    const view = new DataView(description.buffer);
    view.setUint16(0, program.length / 8, true);
    view.setBigUint64(8, address, true);
    return withBytes(
      description,
      (at) => call("seccomp", SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, at) === 0,
    );
  });
}

/**
 * Enters the sandbox; sockets in `socketDirectories` can still be removed, and `descriptorsNeeded` descriptors opened,
 * or 4096 if that is more. Returns what could not be had, in words for
 * people. Throws {@linkcode SystemError}.
 */
export function enterSandbox(socketDirectories: readonly string[], descriptorsNeeded = 0): string[] {
  const missing: string[] = [];
  harden(descriptorsNeeded);
  if (!restrictFiles(socketDirectories)) missing.push("this kernel has no Landlock: files are not restricted by path");
  if (!restrictCalls()) missing.push("this kernel has no system call filter");
  return missing;
}
