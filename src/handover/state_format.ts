/**
 * The serialised form of a process's state: a header with a version, then the fields in the order of the functions in
 * this file. A process reads exactly the version that it writes.
 *
 * @module
 */
import type { LostFds } from "../os/unix_socket.ts";
import { DRAFTS } from "../wire/drafts/draft.ts";
import { StateError, StateReader, StateWriter } from "./state_bytes.ts";
import type {
  ConnectionState,
  DeviceState,
  DriverState,
  ListeningState,
  MemoryState,
  NegotiatedState,
  ProcessState,
  RingState,
  SessionsState,
  SessionState,
  StatisticsState,
} from "./state.ts";

/** The first four bytes of a state: "VUCS". */
const MAGIC = 0x5343_5556;
/** Incremented with every change of a field. */
const STATE_VERSION = 2;
/** The contents of a state: those of a process, or the sessions of a device. */
const CONTENTS_PROCESS = 1;
const CONTENTS_SESSIONS = 2;
const HEADER_BYTES = 16;

const ASYMMETRIC_FORMS = ["akcipher", "rfc3", "off"] as const;
const LOST_FDS: readonly LostFds[] = ["none", "too many", "not handed over"];

/** Returns the length of the serialised `state` in bytes. */
export function processStateBytes(state: ProcessState): number {
  const counter = new StateWriter();
  writeProcess(counter, state);
  return counter.length;
}

/**
 * Writes `state` to `bytes`, whose length is {@linkcode processStateBytes}. Returns the descriptors that must be passed
 * with it, in this order; the caller keeps them.
 */
export function encodeProcessState(state: ProcessState, bytes: Uint8Array): number[] {
  const writer = new StateWriter(bytes);
  writeProcess(writer, state);
  writeLength(writer, bytes);
  return writer.fds;
}

/**
 * Reads the state of a process. `fds` are the descriptors that were passed with it, which the caller still owns. Keys are
 * views of `bytes`. This function checks the form only; the users of the values check their meaning. Throws
 * {@linkcode StateError}.
 */
export function decodeProcessState(bytes: Uint8Array, fds: readonly number[]): ProcessState {
  const reader = new StateReader(bytes, fds);
  readHeader(reader, bytes.length, CONTENTS_PROCESS);
  const devices = reader.list("the list of devices", () => readDevice(reader));
  const sockets = reader.list("the listening sockets", () => readListening(reader));
  reader.end();
  return { devices, sockets };
}

/** Returns the length of the serialised `sessions` in bytes. */
export function sessionsBytes(sessions: SessionsState): number {
  const counter = new StateWriter();
  writeHeader(counter, CONTENTS_SESSIONS);
  writeSessions(counter, sessions);
  return counter.length;
}

/** Writes `sessions` to `bytes`, whose length is {@linkcode sessionsBytes}. */
export function encodeSessions(sessions: SessionsState, bytes: Uint8Array): void {
  const writer = new StateWriter(bytes);
  writeHeader(writer, CONTENTS_SESSIONS);
  writeSessions(writer, sessions);
  writeLength(writer, bytes);
}

/** Reads sessions, as {@linkcode decodeProcessState} reads a process. */
export function decodeSessions(bytes: Uint8Array): SessionsState {
  const reader = new StateReader(bytes);
  readHeader(reader, bytes.length, CONTENTS_SESSIONS);
  const sessions = readSessions(reader);
  reader.end();
  return sessions;
}

function writeHeader(writer: StateWriter, contents: number): void {
  writer.u32(MAGIC);
  writer.u32(STATE_VERSION);
  writer.u32(contents);
  // The total length, which writeLength() sets at the end.
  writer.u32(0);
}

function writeLength({ length }: StateWriter, bytes: Uint8Array): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(HEADER_BYTES - 4, length, true);
}

function readHeader(reader: StateReader, length: number, contents: number): void {
  if (reader.u32("the header") !== MAGIC) throw new StateError("these bytes are not the state of a device");
  const version = reader.u32("the header");
  if (version !== STATE_VERSION) {
    throw new StateError(
      `the state has format ${version}, and this program reads format ${STATE_VERSION} only: use a version of the ` +
        "program that has the same format",
    );
  }
  const found = reader.u32("the header");
  if (found !== contents) throw new StateError(`the state has contents ${found} instead of ${contents}`);
  const stated = reader.u32("the header");
  if (stated !== length) throw new StateError(`the state has ${length} bytes, and its header says ${stated}`);
}

function writeProcess(writer: StateWriter, { devices, sockets }: ProcessState): void {
  writeHeader(writer, CONTENTS_PROCESS);
  writer.list(devices, ({ negotiated, sessions, listening, connection, statistics }) => {
    writeNegotiated(writer, negotiated);
    writeSessions(writer, sessions);
    writer.optional(listening, (value) => writeListening(writer, value));
    writer.optional(connection, (value) => writeConnection(writer, value));
    writeStatistics(writer, statistics);
  });
  writer.list(sockets, (socket) => writeListening(writer, socket));
}

function readDevice(reader: StateReader): DeviceState {
  return {
    negotiated: readNegotiated(reader),
    sessions: readSessions(reader),
    listening: reader.optional("the listening socket", () => readListening(reader)),
    connection: reader.optional("the frontend", () => readConnection(reader)),
    statistics: readStatistics(reader),
  };
}

function writeListening(writer: StateWriter, { path, fd }: ListeningState): void {
  writer.text(path);
  writer.fd(fd);
}

function readListening(reader: StateReader): ListeningState {
  return { path: reader.text("a listening socket's path"), fd: reader.fd("a listening socket") };
}

function writeNegotiated(writer: StateWriter, state: NegotiatedState): void {
  writer.u32(state.queueCount);
  writer.u64(state.acknowledged);
  writer.text(state.draft);
  writer.text(state.asymmetric);
  writer.bytes(state.config);
}

function readNegotiated(reader: StateReader): NegotiatedState {
  return {
    queueCount: reader.u32("the number of queues"),
    acknowledged: reader.u64("the acknowledged features"),
    draft: reader.choice("the draft of the specification", DRAFTS),
    asymmetric: reader.choice("the asymmetric service", ASYMMETRIC_FORMS),
    config: reader.bytes("the configuration space").slice(),
  };
}

function writeSessions(writer: StateWriter, state: SessionsState): void {
  writer.u32(state.slots);
  writer.integer(state.createdCount);
  writer.u32(state.firstGeneration);
  writer.u32(state.generations.length);
  for (const generation of state.generations) writer.u32(generation);
  writer.list(state.sessions, (session) => writeSession(writer, session));
}

function readSessions(reader: StateReader): SessionsState {
  const slots = reader.u32("the number of session slots");
  const createdCount = reader.integer("the number of created sessions");
  const firstGeneration = reader.u32("the first generation of session slots");
  const generations = Uint32Array.from(
    reader.list("the generations of session slots", () => reader.u32("a generation")),
  );
  if (generations.length !== slots) {
    throw new StateError(`there are ${generations.length} generations for ${slots} session slots`);
  }
  const sessions = reader.list("the sessions", () => readSession(reader));
  return { slots, createdCount, firstGeneration, generations, sessions };
}

function writeSession(writer: StateWriter, session: SessionState): void {
  writer.u32(session.id);
  writer.u8(session.origin);
  writer.u8(session.kind);
  writer.u32(session.algo);
  writer.u32(session.hashAlgo);
  writer.boolean(session.encrypt);
  writer.boolean(session.authenticated);
  writer.boolean(session.hashFirst);
  writer.u32(session.hashResultLen);
  writer.u32(session.tagLen);
  writer.u32(session.aadLen);
  writer.u32(session.keyType);
  writer.u32(session.para0);
  writer.u32(session.para1);
  writer.bytes(session.cipherKey);
  writer.bytes(session.authKey);
}

function readSession(reader: StateReader): SessionState {
  return {
    id: reader.u32("a session's id"),
    origin: reader.u8("a session's origin"),
    kind: reader.u8("a session's kind"),
    algo: reader.u32("a session's algorithm"),
    hashAlgo: reader.u32("a session's hash"),
    encrypt: reader.boolean("a session's direction"),
    authenticated: reader.boolean("a session's hash mode"),
    hashFirst: reader.boolean("a session's chain order"),
    hashResultLen: reader.u32("a session's hash_result_len"),
    tagLen: reader.u32("a session's tag_len"),
    aadLen: reader.u32("a session's aad_len"),
    keyType: reader.u32("a session's key type"),
    para0: reader.u32("a session's parameter"),
    para1: reader.u32("a session's parameter"),
    cipherKey: reader.bytes("a session's key"),
    authKey: reader.bytes("a session's authentication key"),
  };
}

function writeConnection(writer: StateWriter, state: ConnectionState): void {
  writer.fd(state.fd);
  writer.integer(state.messageCount);
  writer.u64(state.protocolFeatures);
  writer.u8(state.status);
  writer.boolean(state.featuresRefused);
  writer.bytes(state.incoming.bytes);
  writer.list(state.incoming.fds, (fd) => writer.fd(fd));
  writer.text(state.incoming.lostFds);
  writer.bytes(state.outgoing.bytes);
  writer.fd(state.outgoing.fd);
  writeMemory(writer, state.memory);
  writer.optional(state.inflight, (inflight) => {
    writer.u32(inflight.queueCount);
    writer.u32(inflight.queueSize);
    writer.integer(inflight.sizeBytes);
    writer.integer(inflight.offset);
    writer.fd(inflight.fd);
  });
  writeDriver(writer, state.driver);
  writer.list(state.rings, (ring) => writeRing(writer, ring));
}

function readConnection(reader: StateReader): ConnectionState {
  return {
    fd: reader.fd("the connected socket"),
    messageCount: reader.integer("the number of messages"),
    protocolFeatures: reader.u64("the protocol features"),
    status: reader.u8("the device status"),
    featuresRefused: reader.boolean("the refusal of features"),
    incoming: {
      bytes: reader.bytes("a message that has arrived in part"),
      fds: reader.list("its descriptors", () => reader.fd("a descriptor of a message")),
      lostFds: reader.choice("the reason of lost descriptors", LOST_FDS),
    },
    outgoing: { bytes: reader.bytes("a reply"), fd: reader.fd("a reply's descriptor") },
    memory: readMemory(reader),
    inflight: reader.optional("the inflight region", () => ({
      queueCount: reader.u32("the inflight region's queues"),
      queueSize: reader.u32("the inflight region's entries"),
      sizeBytes: reader.integer("the inflight region's size"),
      offset: reader.integer("the inflight region's offset"),
      fd: reader.fd("the inflight region's descriptor"),
    })),
    driver: readDriver(reader),
    rings: reader.list("the rings", () => readRing(reader)),
  };
}

function writeMemory(writer: StateWriter, state: MemoryState): void {
  writer.list(state.regions, (region) => {
    writer.integer(region.guestAddress);
    writer.integer(region.sizeBytes);
    writer.integer(region.userAddress);
    writer.integer(region.mmapOffset);
    writer.fd(region.fd);
  });
  writer.optional(state.log, (log) => {
    writer.integer(log.sizeBytes);
    writer.integer(log.offset);
    writer.fd(log.fd);
  });
  writer.boolean(state.logsWrites);
  writer.boolean(state.isLogCurrent);
}

function readMemory(reader: StateReader): MemoryState {
  return {
    regions: reader.list("the memory regions", () => ({
      guestAddress: reader.integer("a region's guest address"),
      sizeBytes: reader.integer("a region's size"),
      userAddress: reader.integer("a region's user address"),
      mmapOffset: reader.integer("a region's mmap offset"),
      fd: reader.fd("a region's descriptor"),
    })),
    log: reader.optional("the dirty log", () => ({
      sizeBytes: reader.integer("the dirty log's size"),
      offset: reader.integer("the dirty log's offset"),
      fd: reader.fd("the dirty log's descriptor"),
    })),
    logsWrites: reader.boolean("whether writes are logged"),
    isLogCurrent: reader.boolean("whether the dirty log is current"),
  };
}

function writeDriver(writer: StateWriter, state: DriverState): void {
  writer.optional(state.acknowledged, (value) => writer.u64(value));
  writer.boolean(state.hadDriver);
  writer.integer(state.configReads);
  writer.boolean(state.passesConfigReads);
  writer.boolean(state.dataRingRestarted);
}

function readDriver(reader: StateReader): DriverState {
  return {
    acknowledged: reader.optional("the driver's features", () => reader.u64("the driver's features")),
    hadDriver: reader.boolean("whether there was a driver"),
    configReads: reader.integer("the number of reads of the configuration"),
    passesConfigReads: reader.boolean("whether the frontend passes reads on"),
    dataRingRestarted: reader.boolean("whether a data ring restarted"),
  };
}

function writeRing(writer: StateWriter, ring: RingState): void {
  writer.u32(ring.size);
  writer.u32(ring.base);
  writer.optional(ring.addresses, ({ desc, avail, used }) => [desc, avail, used].forEach((at) => writer.integer(at)));
  writer.boolean(ring.started);
  writer.boolean(ring.enabled);
  writer.boolean(ring.running);
  writer.boolean(ring.ownsInflightState);
  writer.fd(ring.kickFd);
  writer.fd(ring.callFd);
  writer.fd(ring.errFd);
}

function readRing(reader: StateReader): RingState {
  return {
    size: reader.u32("a ring's size"),
    base: reader.u32("a ring's position"),
    addresses: reader.optional("a ring's addresses", () => ({
      desc: reader.integer("a descriptor area"),
      avail: reader.integer("a driver area"),
      used: reader.integer("a device area"),
    })),
    started: reader.boolean("whether a ring is started"),
    enabled: reader.boolean("whether a ring is enabled"),
    running: reader.boolean("whether a ring is served"),
    ownsInflightState: reader.boolean("whose inflight state a ring has"),
    kickFd: reader.fd("a kick descriptor"),
    callFd: reader.fd("a call descriptor"),
    errFd: reader.fd("an error descriptor"),
  };
}

/** Writes counters as they are in memory: IEEE 754, little-endian. */
function writeStatistics(writer: StateWriter, state: StatisticsState): void {
  writer.integer(state.connectionCount);
  writer.list(Object.entries(state.refused), ([name, count]) => {
    writer.text(name);
    writer.integer(count);
  });
  writer.list(state.queues, (numbers) => {
    writer.bytes(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
  });
}

function readStatistics(reader: StateReader): StatisticsState {
  const connectionCount = reader.integer("the number of connections");
  const refused = reader.list("the refused sessions", () =>
    [
      reader.text("the name of a status"),
      reader.integer("the number of refused sessions"),
    ] as const);
  const queues = reader.list("the counters", () => {
    const bytes = reader.bytes("the counters of a queue");
    if (bytes.length % 8 !== 0) throw new StateError(`the counters of a queue have ${bytes.length} bytes`);
    return new Float64Array(bytes.slice().buffer);
  });
  return { connectionCount, refused: Object.fromEntries(refused), queues };
}
