/**
 * The sandbox that a device enters before it handles requests of an untrusted guest: it cannot be dumped or traced, gain
 * privileges, execute programs, open connections, or change files. All of this is permanent and applies to the whole
 * process.
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
/** Lowest limit of open descriptors: many times what most devices need. */
const DESCRIPTORS_MIN = 4096;
const SECCOMP_SET_MODE_FILTER = 1n;
const SECCOMP_FILTER_FLAG_TSYNC = 1n;

const LANDLOCK_CREATE_RULESET_VERSION = 1n;
const LANDLOCK_RULE_PATH_BENEATH = 1n;
const ACCESS_REMOVE_FILE = 1n << 5n;
/** Executing, writing, removing, creating: all rights of the first version but reading files and directories. */
const ACCESS_BUT_READING = 0x1fffn & ~(1n << 2n) & ~(1n << 3n);
/** Later versions: moving between directories, truncating. */
const ACCESS_REFER = 1n << 13n;
const ACCESS_TRUNCATE = 1n << 14n;

function call(name: SystemCall, ...args: bigint[]): number {
  const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n, f = 0n] = args;
  return Number(libc.syscall(BigInt(systemCallNumber(name)), a, b, c, d, e, f));
}

/** Runs `body` with the address of a copy of `bytes`, for calls that need pointers. */
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
 * Disables core dumps, which would contain keys, tracing by the same user, privileges from executed files, and message
 * queues, and limits open descriptors. FSIZE is not limited, because the log may be a file and inflight regions are
 * memory files; nor is NPROC, which counts all threads of a user while workers start later; nor are AS and DATA, because
 * V8 reserves more address space than it uses.
 */
function harden(descriptorsNeeded: number): void {
  if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) !== 0) throw new SystemError("prctl(NO_NEW_PRIVS)", errno());
  libc.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n);
  lower(RLIMIT_CORE, 0);
  lower(RLIMIT_NOFILE, Math.max(descriptorsNeeded, DESCRIPTORS_MIN));
  lower(RLIMIT_MSGQUEUE, 0);
}

/** Lowers a limit to `most` permanently; a lower one does not change. */
function lower(resource: number, most: number): void {
  const { hard } = resourceLimit(resource);
  const lowered = hard < BigInt(most) ? hard : BigInt(most);
  setResourceLimit(resource, { soft: lowered, hard: lowered });
}

/** Landlock for this thread and those it starts: no file may be changed, but files in `directories` may be removed. */
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

/** Installs the system call filter on all threads; false if this kernel does not support it. */
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
 * or 4096 if that is more. Returns descriptions of the mechanisms that the kernel lacks. Throws {@linkcode SystemError}.
 */
export function enterSandbox(socketDirectories: readonly string[], descriptorsNeeded = 0): string[] {
  const missing: string[] = [];
  harden(descriptorsNeeded);
  if (!restrictFiles(socketDirectories)) missing.push("this kernel has no Landlock: files are not restricted by path");
  if (!restrictCalls()) missing.push("this kernel has no system call filter");
  return missing;
}
