/**
 * The C library's error numbers as a typed error. Deno does not save errno, so it is read directly after the failed call,
 * on the same thread.
 *
 * Off the data path: the data path throws no errors.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";

const NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  4: "EINTR",
  5: "EIO",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  32: "EPIPE",
  36: "ENAMETOOLONG",
  38: "ENOSYS",
  40: "ELOOP",
  88: "ENOTSOCK",
  90: "EMSGSIZE",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  103: "ECONNABORTED",
  104: "ECONNRESET",
  105: "ENOBUFS",
  107: "ENOTCONN",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
};

let errnoView: Deno.UnsafePointerView | undefined;

/** The calling thread's `errno`. Valid only directly after a failed call. */
export function errno(): number {
  errnoView ??= new Deno.UnsafePointerView(Deno.UnsafePointer.create(libc.__errno_location())!);
  return errnoView.getInt32();
}

/** The remedies for errors of exhausted limits. */
const REMEDIES: Readonly<Record<string, string>> = {
  EMFILE: "this process may open no more files: raise LimitNOFILE= of its unit, or ulimit -n",
  ENFILE: "the system may open no more files: raise the sysctl fs.file-max",
};

/** A system call that failed. */
export class SystemError extends Error {
  /** The class's name. */
  override readonly name = "SystemError";
  /** The call, such as `mmap`. */
  readonly call: string;
  /** The error number. */
  readonly errno: number;
  /** The error's name, such as `ENOENT`. */
  readonly code: string;

  /** `call` failed with `errno`; `about` is what it was applied to. */
  constructor(call: string, errno: number, about = "") {
    const code = NAMES[errno] ?? `errno ${errno}`;
    const remedy = REMEDIES[code];
    super(`${call}${about && ` of ${about}`} failed: ${code}${remedy === undefined ? "" : ` (${remedy})`}`);
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

/** True if `error` is a shortage of descriptors or memory, which may be temporary. */
export function isShortage(error: SystemError): boolean {
  return ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"].includes(error.code);
}

/** Returns `result`; throws a {@linkcode SystemError} with the current `errno` if it is negative. */
export function check(result: number | bigint, call: string, about = ""): number {
  if (result < 0) throw new SystemError(call, errno(), about);
  return Number(result);
}
