/**
 * The frames of a handover, in their order, and the time limits for them.
 *
 * | frame | sent by | contents |
 * | --- | --- | --- |
 * | HELLO | new process | the versions of its protocol and program |
 * | OFFER | old process | the paths of its devices' sockets |
 * | REQUEST | new process | libraries are loaded and workers run: request for the state |
 * | DESCRIPTORS | old process | up to 32 descriptors of the state; repeated |
 * | STATE | old process | the memory files of the state and of the live region |
 * | READY | new process | the state is restored: the rings can be halted |
 * | HALTED | old process | the rings are halted |
 * | SERVING | new process | the rings are served |
 * | REFUSED | either process | the reason why there is no handover |
 *
 * @module
 */
import { type Frame, type HandoverChannel, HandoverError } from "./channel.ts";
import { closeFd } from "../os/event_fd.ts";
import { fitsSocketAddress } from "../os/unix_socket.ts";
import { StateError, StateReader, StateWriter } from "./state_bytes.ts";

/** Incremented with every change of a frame. The format of the state has its own version. */
export const PROTOCOL_VERSION = 1;

export const HELLO = 1;
export const OFFER = 2;
export const REQUEST = 3;
export const DESCRIPTORS = 4;
export const STATE = 5;
export const READY = 6;
export const HALTED = 7;
export const SERVING = 8;
export const REFUSED = 9;

/** Time limit for an immediate answer. */
export const ANSWER_MS_MAX = 5000;
/** Time limit for the new process to load libraries and start workers. The old one serves meanwhile. */
export const LOAD_MS_MAX = 120_000;
/** Time limit for the new process to restore a state. Only messages and control requests wait meanwhile. */
export const RESTORE_MS_MAX = 10_000;
/** Time limit for the new process to serve the halted rings. */
export const START_MS_MAX = 1000;

/** Devices of one process. */
const DEVICES_MAX = 16;
const TEXT_LENGTH_MAX = 1000;
const CONTROL_CHARACTERS = /\p{C}/gu;

/** The first frame. */
export interface Hello {
  readonly protocol: number;
  readonly program: string;
}

/** The payload of {@linkcode HELLO}. */
export function encodeHello({ protocol, program }: Hello): Uint8Array {
  return encode((writer) => {
    writer.u32(protocol);
    writer.text(program);
  });
}

/**
 * Reads the payload of {@linkcode HELLO}; another version of the protocol may have more in it. Throws
 * {@linkcode StateError}.
 */
export function decodeHello(payload: Uint8Array): Hello {
  const reader = new StateReader(payload);
  return { protocol: reader.u32("the protocol's version"), program: printable(reader.text("the program's version")) };
}

/** What the other process says, in a form for the log: without control characters, and not long. */
function printable(text: string): string {
  return text.slice(0, TEXT_LENGTH_MAX).replace(CONTROL_CHARACTERS, "?");
}

/** The payload of {@linkcode OFFER}: the path of each device's socket, empty for one that was passed as a descriptor. */
export function encodeOffer(paths: readonly string[]): Uint8Array {
  return encode((writer) => writer.list(paths, (path) => writer.text(path)));
}

/** Reads the payload of {@linkcode OFFER}. Throws {@linkcode StateError}. */
export function decodeOffer(payload: Uint8Array): string[] {
  const reader = new StateReader(payload);
  const paths = reader.list("the devices", () => reader.text("a socket's path"));
  reader.end();
  if (paths.length === 0 || paths.length > DEVICES_MAX) {
    throw new StateError(`the other process offers ${paths.length} devices: 1 to ${DEVICES_MAX} are possible`);
  }
  const bad = paths.find((path) => path.search(CONTROL_CHARACTERS) >= 0 || path !== "" && !fitsSocketAddress(path));
  if (bad !== undefined) throw new StateError(`no socket can be at the path "${printable(bad)}"`);
  return paths;
}

function encode(write: (writer: StateWriter) => void): Uint8Array {
  const counter = new StateWriter();
  write(counter);
  const bytes = new Uint8Array(counter.length);
  write(new StateWriter(bytes));
  return bytes;
}

/**
 * Receives the next frame, which must be of `type` and without descriptors. Throws {@linkcode HandoverError} if
 * the other process refuses, with its reason, and if another frame or none arrives.
 */
export async function expectFrame(channel: HandoverChannel, type: number, timeoutMs: number): Promise<Frame> {
  const frame = await channel.receive(timeoutMs);
  if (frame.type === type && frame.fds.length === 0) return frame;
  throw unexpected(frame, type);
}

/** The error for `frame`, whose descriptors are closed, where one of `type` was to come. */
export function unexpected({ type: sent, payload, fds }: Frame, type: number): HandoverError {
  for (const fd of fds) closeFd(fd);
  if (sent === REFUSED) {
    return new HandoverError(`the other process refuses: ${printable(new TextDecoder().decode(payload))}`);
  }
  if (sent !== type) return new HandoverError(`the other process has sent frame ${sent} instead of ${type}`);
  return new HandoverError(`the other process has sent frame ${sent} with ${fds.length} descriptors`);
}
