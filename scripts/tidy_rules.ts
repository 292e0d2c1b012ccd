/**
 * The rules of `tidy.ts` as tables. An exception is named, with its reason.
 *
 * @module
 */

/** Lines of a file. */
export const FILE_LINES_MAX = 500;
/** Lines of a function. */
export const FUNCTION_LINES_MAX = 70;

/** What a room may import: other rooms, or single files of them. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  ffi: [],
  wire: [],
  os: ["ffi"],
  memory: ["os", "ffi"],
  virtqueue: ["memory", "os", "wire", "ffi"],
  // Numbers that the engine has in common with the wire are its own; a test holds them to each other.
  engine: ["memory", "os", "ffi"],
  device: ["virtqueue", "engine", "memory", "os", "wire"],
  // Of the device, the socket knows the interface it speaks to; of the rings, how large their records are.
  vhost_user: ["src/device/backend.ts", "src/virtqueue/inflight_state.ts", "memory", "os", "wire"],
  worker: ["device", "virtqueue", "engine", "memory", "os", "wire"],
  statistics: ["device", "os"],
  cli: ["statistics", "vhost_user", "worker", "device", "engine", "os", "wire", ""],
  // The other side knows nothing of this one.
  driver: ["wire", "os", "ffi"],
  tools: ["driver", "wire", "os", "ffi"],
};

/** Rooms that a file may load when they are asked for, and not before. */
export const DYNAMIC_IMPORTS: Readonly<Record<string, string>> = {
  "src/cli/bench_command.ts": "tools",
  "src/cli/driver_commands.ts": "tools",
};

/** Folders that are not the project's own text. */
export const FOREIGN_FOLDERS: readonly string[] = [".git", ".cache", "dist", "coverage", "node_modules"];

const SET_UP = "runs once for a ring or a message of the frontend";
const OPENS = "opens a library, once";

/**
 * The files of the data path. Every function in them runs for each request and allocates nothing, but for constructors
 * and those named here, with the reason.
 */
export const DATA_PATH: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "src/virtqueue/split.ts": { descriptorsOf: SET_UP },
  "src/virtqueue/chain.ts": {},
  "src/virtqueue/descriptor_table.ts": {},
  "src/virtqueue/indirect.ts": {},
  "src/virtqueue/notify.ts": {},
  "src/memory/segments.ts": {},
  "src/memory/native.ts": {},
  "src/memory/guest_memory.ts": {
    windowsOf: SET_UP,
    "#isWhole": SET_UP,
    "#makeView": "runs once for a stretch of a region",
    translateUser: SET_UP,
  },
  "src/memory/host_view.ts": { viewBounds: "runs once for a view" },
  "src/memory/dirty_log.ts": {},
  "src/engine/bounce.ts": {},
  "src/engine/parameter_check.ts": {},
  "src/engine/cipher.ts": {},
  "src/engine/digest.ts": { nameParameter: "runs once for an algorithm" },
  "src/engine/aead.ts": {},
  "src/engine/evp_cipher.ts": {},
  "src/engine/composed_cipher.ts": {},
  "src/engine/composed_mac.ts": {},
  "src/engine/gcm_j0.ts": {},
  "src/engine/ipsec_mb.ts": { load: OPENS },
  "src/engine/zuc.ts": {
    needsJobs: "runs for a session's first request in an isolate",
    createZucEea3: "runs for a session's first request in an isolate",
    createZucEia3: "runs for a session's first request in an isolate",
    eea3Template: "runs for a session's first request in an isolate",
  },
  "src/engine/gcrypt.ts": { load: OPENS, open: "makes a context, for a session's first request in an isolate" },
  "src/engine/modules/transforms.ts": {
    words: "tells of an algorithm that broke the rules",
    silence: "the same",
  },
  "src/engine/operation.ts": { createOperation: "runs once for a thread" },
  "src/engine/engine.ts": { createEngine: "runs once for a device and thread" },
  "src/engine/multibuffer/runner.ts": {
    createMultiBufferRunner: "runs once for an engine",
    prepare: "runs for a session's first request in an isolate",
    "#kindOf": "runs for a session's first request in an isolate",
  },
  "src/engine/multibuffer/bounced_jobs.ts": {},
  "src/engine/multibuffer/job_builder.ts": {},
  "src/engine/multibuffer/manager.ts": {
    createMultiBufferManager: "runs once for an engine",
  },
  "src/device/jobs.ts": {
    post: "keeps where the result goes; what follows takes microseconds at the least",
    reachOf: "the same",
  },
  "src/device/contexts.ts": { "#load": "runs for a session's first request in an isolate" },
  "src/device/data_request.ts": {},
  "src/device/request_template.ts": {},
  "src/device/request_reader.ts": {},
  "src/device/request_layout.ts": {},
  "src/device/session_form.ts": {},
  "src/device/stateless_form.ts": {},
  "src/device/template_matcher.ts": {},
  "src/device/counters.ts": { createCounterMemory: "runs once for a queue" },
  "src/device/metric_labels.ts": {},
  "src/os/clock.ts": {},
  "src/device/data_path.ts": {},
  "src/device/asymmetric_request.ts": {},
};

/** Files outside ffi/ that open libraries, and why. */
export const OPENS_LIBRARIES: Readonly<Record<string, string>> = {
  "test/embedding/engines/counting_cbc.ts": "an engine module, which is somebody else's code",
};

/** Functions that may be longer, as "file function", and why. */
export const LONG_FUNCTIONS: Readonly<Record<string, string>> = {};

/** Exports that nobody imports, as "file name", and why they are there. */
export const UNUSED_EXPORTS: Readonly<Record<string, string>> = {
  "src/memory/segments.ts ALIASED": "one of the three answers of relate()",
};

/** Rooms that write a specification's numbers down, whether anybody here uses them or not. */
export const COMPLETE_ROOMS: readonly string[] = ["wire"];

/** Text that has no place in any file, and what to say of it. */
export const WORDS: readonly (readonly [RegExp, string])[] = [
  [/\b(TOD[O]|FIXM[E])\b/, "says that something is left to do: do it, or open an issue"],
  [/(?<![\w.)\]}$*-])\/(home|root|work|mnt|opt|srv|media|Users|workspace)\//, "names a path of one machine"],
  [
    /\b(npm\w*|jsr|deno|crates|pypi|debian|ubuntu)\.(org|io|land|com|net)\b/,
    "names the host of a package registry",
  ],
];
