/**
 * The table of prototypes of the C library: sockets with descriptor passing, memory mapping, event descriptors, process
 * controls. `src/os` wraps them.
 *
 * Addresses are `u64`, so that a `BigInt.asUintN(64, …)` in the call uses V8's fast path. `buffer` is used where a
 * whole preallocated array is passed.
 *
 * @module
 */
import { openLibrary } from "./library.ts";

const symbols = {
  // int *__errno_location(void)
  __errno_location: { parameters: [], result: "u64" },

  // int socket(int domain, int type, int protocol)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int socketpair(int domain, int type, int protocol, int sv[2])
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int listen(int fd, int backlog)
  listen: { parameters: ["i32", "i32"], result: "i32" },
  // int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
  accept4: { parameters: ["i32", "u64", "u64", "i32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len)
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // int shutdown(int fd, int how)
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  // ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  // ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },

  // ssize_t send(int fd, const void *buf, size_t count, int flags)
  send: { parameters: ["i32", "u64", "usize", "i32"], result: "isize" },

  // int open(const char *path, int flags, ...)
  open: { parameters: ["buffer", "i32"], result: "i32" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count)
  read: { parameters: ["i32", "u64", "usize"], result: "isize" },
  // ssize_t write(int fd, const void *buf, size_t count)
  write: { parameters: ["i32", "u64", "usize"], result: "isize" },
  // int fcntl(int fd, int cmd, long arg)
  fcntl: { parameters: ["i32", "i32", "i64"], result: "i32" },
  // int fstat(int fd, struct stat *buf)
  fstat: { parameters: ["i32", "buffer"], result: "i32" },
  // int unlink(const char *path)
  unlink: { parameters: ["buffer"], result: "i32" },
  // int ftruncate(int fd, off_t length)
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },

  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
  mmap: { parameters: ["u64", "usize", "i32", "i32", "i32", "i64"], result: "u64" },
  // int munmap(void *addr, size_t length)
  munmap: { parameters: ["u64", "usize"], result: "i32" },
  // int madvise(void *addr, size_t length, int advice)
  madvise: { parameters: ["u64", "usize", "i32"], result: "i32" },
  // int mlock2(const void *addr, size_t len, unsigned int flags)
  mlock2: { parameters: ["u64", "usize", "u32"], result: "i32" },
  // int munlock(const void *addr, size_t len)
  munlock: { parameters: ["u64", "usize"], result: "i32" },
  // int memfd_create(const char *name, unsigned int flags)
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  // void *memcpy(void *dest, const void *src, size_t n)
  memcpy: { parameters: ["u64", "u64", "usize"], result: "void" },
  // void *memmove(void *dest, const void *src, size_t n)
  memmove: { parameters: ["u64", "u64", "usize"], result: "void" },
  // void *memset(void *s, int c, size_t n)
  memset: { parameters: ["u64", "i32", "usize"], result: "void" },

  // struct group *getgrnam(const char *name)
  getgrnam: { parameters: ["buffer"], result: "u64" },

  // void explicit_bzero(void *s, size_t n)
  explicit_bzero: { parameters: ["u64", "usize"], result: "void" },

  // int mallopt(int param, int value); only glibc has it
  mallopt: { parameters: ["i32", "i32"], result: "i32", optional: true },
  // int malloc_trim(size_t pad); only glibc has it
  malloc_trim: { parameters: ["usize"], result: "i32", optional: true },

  // int clock_gettime(clockid_t clock, struct timespec *time)
  clock_gettime: { parameters: ["i32", "u64"], result: "i32" },
  // int eventfd(unsigned int initval, int flags)
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout)
  poll: { parameters: ["u64", "u64", "i32"], result: "i32" },
  // int epoll_create1(int flags)
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
  epoll_wait: { parameters: ["i32", "u64", "i32", "i32"], result: "i32" },
  // The same function on a thread of the runtime's pool, so that the event loop continues during the wait.
  epoll_wait_async: { name: "epoll_wait", parameters: ["i32", "u64", "i32", "i32"], result: "i32", nonblocking: true },

  // long syscall(long number, ...); arguments are passed as those of a function with as many integers
  syscall: { parameters: ["i64", "u64", "u64", "u64", "u64", "u64", "u64"], result: "i64" },
  // int prctl(int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5)
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  // int sched_setaffinity(pid_t pid, size_t cpusetsize, const cpu_set_t *mask); pid 0 is the calling thread
  sched_setaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  // int sched_getaffinity(pid_t pid, size_t cpusetsize, cpu_set_t *mask)
  sched_getaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  // int getrlimit(int resource, struct rlimit *limit)
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  // int setrlimit(int resource, const struct rlimit *limit)
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  // int getpid(void)
  getpid: { parameters: [], result: "i32" },
  // uid_t geteuid(void)
  geteuid: { parameters: [], result: "u32" },
  // long sysconf(int name)
  sysconf: { parameters: ["i32"], result: "i64" },
  // int getloadavg(double loadavg[], int nelem)
  getloadavg: { parameters: ["buffer", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The C library's functions. After a result of -1, `errno` must be read at once: see `src/os/errno.ts`. */
export const libc: Deno.DynamicLibrary<typeof symbols>["symbols"] = openLibrary({
  name: "the C library",
  candidates: ["libc.so.6", `libc.musl-${Deno.build.arch}.so.1`, "libc.so"],
  library: "libc",
}, symbols).symbols;
