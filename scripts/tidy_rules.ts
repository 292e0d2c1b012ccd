/**
 * The rules of `tidy.ts` as tables. An exception is named, with its reason.
 *
 * @module
 */

/** Lines of a file. */
export const FILE_LINES_MAX = 500;
/** Lines of a function. */
export const FUNCTION_LINES_MAX = 70;

/** The modules, or single files of them, that a module may import. */
export const MODULES: Readonly<Record<string, readonly string[]>> = {
  ffi: [],
  wire: [],
  os: ["ffi"],
  memory: ["os", "ffi"],
  virtqueue: ["memory", "os", "wire", "ffi"],
  // Numbers that the engine has in common with the wire are its own; a test holds them to each other.
  engine: ["memory", "os", "ffi"],
  // It knows what the state of a device is, and nothing of those who have it.
  handover: ["memory", "os", "wire"],
  device: ["src/handover/state.ts", "virtqueue", "engine", "memory", "os", "wire"],
  // Of the device, the socket knows the interface it speaks to; of the rings, how large their records are.
  vhost_user: [
    "src/device/backend.ts",
    "src/handover/state.ts",
    "src/handover/state_format.ts",
    "src/virtqueue/inflight_state.ts",
    "memory",
    "os",
    "wire",
  ],
  worker: ["device", "virtqueue", "engine", "memory", "os", "wire"],
  statistics: ["device", "os"],
  cli: ["handover", "statistics", "vhost_user", "worker", "device", "engine", "os", "wire", ""],
  // The driver does not depend on the device.
  driver: ["wire", "os", "ffi"],
  tools: ["driver", "wire", "os", "ffi"],
};

/** Modules that a file may load dynamically only. */
export const DYNAMIC_IMPORTS: Readonly<Record<string, string>> = {
  "src/cli/bench_command.ts": "tools",
  "src/cli/conform_command.ts": "tools",
  "src/cli/driver_commands.ts": "tools",
};

/** Folders that are not the project's own text. */
export const FOREIGN_FOLDERS: readonly string[] = [".git", ".cache", "dist", "coverage", "node_modules"];

/**
 * Where the data path begins: the loop of a worker, and serving a queue. From here on, imports are followed, and each
 * file says in its header whether it is on the data path: a function in a file that is runs for each request and
 * allocates nothing, except constructors and those that the header names, with the reason.
 */
export const DATA_PATH_ROOTS: readonly string[] = ["src/worker/data_main.ts", "src/device/queue_server.ts"];

/** Modules of constants and pure functions, whose files need no statement about the data path. */
export const CONSTANT_MODULES: readonly string[] = ["wire"];

/** Files outside ffi/ that open libraries, and why. */
export const OPENS_LIBRARIES: Readonly<Record<string, string>> = {
  "test/embedding/engines/counting_cbc.ts": "an engine module, which is not code of the project",
};

/** Files of ffi/ and src/ that ask for the architecture, and why. */
export const ASKS_ARCHITECTURE: Readonly<Record<string, string>> = {
  "src/os/architecture.ts": "says what differs between architectures, for all others",
  "ffi/libc.ts": "musl's file name has the architecture in it",
  "ffi/packages.ts": "libIPSec_MB has packages for x86-64 alone",
};

/** Functions that may be longer, as "file function", and why. */
export const LONG_FUNCTIONS: Readonly<Record<string, string>> = {};

/** Parameters of a function. */
export const PARAMETERS_MAX = 4;
/** Files, or folders with a slash at the end, whose functions may have more parameters, and why. */
export const FIELDS_AS_PARAMETERS: Readonly<Record<string, string>> = {
  "test/vectors/": "primitives and rows of published vectors have their fields in the documents' order",
  "test/engines/known_answers.ts": "rows of published vectors have their fields in the documents' order",
  "test/asymmetric/rfc3_requests.ts": "the parameters are the fields of the RFC's structures, in their order",
};
/** Functions that may have more parameters or two booleans, as "file function", and why. */
export const MANY_PARAMETERS: Readonly<Record<string, string>> = {
  "src/memory/segments.ts put":
    "with the window in place of its base's halves, popping indirect chains took 3 to 12 % longer",
};

/** Variables of modules that change, as "file name", and why they belong to no object. */
export const MODULE_STATE: Readonly<Record<string, string>> = {
  "ffi/ipsec_mb.ts found": "a library is opened once for the process",
  "ffi/ipsec_mb_bursts.ts keyMaker": "a library is opened once for the process",
  "ffi/ipsec_mb_bursts.ts opened": "a library is opened once for the process",
  "ffi/ipsec_mb_bursts.ts submitBursts": "a library is opened once for the process",
  "ffi/ipsec_mb_bursts.ts gcmKeys": "a library is opened once for the process",
  "src/engine/gcrypt.ts library": "a library is opened once for the process",
  "src/engine/gcrypt.ts problem": "a library is opened once for the process",
  "src/engine/gcrypt.ts version": "a library is opened once for the process",
  "src/engine/ipsec_mb.ts library": "a library is opened once for the process",
  "src/engine/ipsec_mb.ts problem": "a library is opened once for the process",
  "src/engine/ipsec_mb.ts version": "a library is opened once for the process",
  "src/engine/ipsec_mb.ts versionNumber": "a library is opened once for the process",
  "src/engine/openssl.ts loaded": "OpenSSL has its providers for the whole process",
  "src/engine/openssl.ts hasLegacy": "OpenSSL has its providers for the whole process",
  "src/engine/openssl_settings.ts applied": "OpenSSL has its settings for the whole process",
  "src/engine/openssl.ts args": "arguments of one native call",
  "src/memory/native.ts words": "arguments of one native call",
  "src/memory/native.ts halves": "arguments of one native call",
  "src/os/clock.ts timespec": "memory of one native call, of the thread",
  "src/os/clock.ts words": "memory of one native call, of the thread",
  "src/os/event_fd.ts counters": "memory of one native call, of the thread",
  "src/os/byte_stream.ts memory": "memory of one native call, of the thread",
  "src/os/byte_stream.ts bytes": "memory of one native call, of the thread",
  "src/os/passed_fd.ts memory": "memory of one native call, of the thread",
  "src/os/passed_fd.ts words": "memory of one native call, of the thread",
  "src/os/owned_memory.ts threadMemory": "owns the thread's own memory",
  "src/os/errno.ts errnoView": "the C library has one errno for the thread",
  "src/device/statistics.ts names": "the names of labels, which never change",
  "src/virtqueue/inflight_state.ts spareHeads": "empty tables, used by one ring after the other",
  "src/tools/benchmark/bare.ts small": "keys and lengths of a benchmark, which never change",
};

/** Exports that no file imports, as "file name", and why they exist. */
export const UNUSED_EXPORTS: Readonly<Record<string, string>> = {
  "src/memory/segments.ts ALIASED": "one of the three answers of relate()",
};

/** Modules with all numbers of a specification, used or not. */
export const COMPLETE_MODULES: readonly string[] = ["wire"];

/** Text that must not be in any file, and the complaint about it. */
export const WORDS: readonly (readonly [RegExp, string])[] = [
  [/\b(TOD[O]|FIXM[E])\b/, "says that something is left to do: do it, or open an issue"],
  [/(?<![\w.)\]}$*-])\/(home|root|work|mnt|opt|srv|media|Users|workspace)\//, "names a path of one machine"],
  [
    /\b(npm\w*|jsr|deno|crates|pypi|debian|ubuntu)\.(org|io|land|com|net)\b/,
    "names the host of a package registry",
  ],
  [
    /\bunder[ ]way\b|\blike[n]ess|\bwho[e]ver\b|\bno[b]ody\b|\bsome[b]ody\b|\ba[n]ew\b|\bup[h]eaval|\bstr[a]ngers?\b|\bone by[ ]one\b/i,
    "is not the field's word: in flight, template, the driver or the frontend, again, churn, untrusted client, sequentially",
  ],
  [
    /\ba[m]iss\b|\bstand-?[i]ns?\b|\bstr[a]y(s|ing)?\b|\bo[b]ey|\bin[b]ox\b|\bdi[a]lects?\b|\bstands?[ ]still\b/i,
    "is not the field's word: failure, substitute, over-read, execute, command queue, negotiated features, halted",
  ],
];
