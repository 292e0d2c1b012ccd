/**
 * A frontend that records its messages, so that the report of a failed check can contain them.
 *
 * @module
 */
import { Frontend } from "../../driver/frontend.ts";
import type { Message } from "../../driver/frontend_connection.ts";
import { connectUnix } from "../../os/unix_socket.ts";
import * as vu from "../../wire/vhost_user.ts";
import { shown } from "./expect.ts";

const NOT_MESSAGES = /_(OFFSET|BYTES|MAX|MASK|OLD|NEW)|^(FLAG|F|PROTOCOL_F|CONFIG|SESSION|REGION|INFLIGHT|FDS)_/;

/** Names of messages by number. */
const MESSAGE_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(vu).filter(([name]) => /^(GET|SET|ADD|REM|RESET|CREATE|CLOSE|IOTLB|CHECK)_/.test(name))
    .filter(([name]) => !NOT_MESSAGES.test(name)).map(([name, number]) => [number, name]),
);

/** Maximum number of recorded entries. */
const RECORD_MAX = 12;

/** A frontend with a record of its latest messages and replies. */
export class RecordingFrontend extends Frontend {
  /** The latest messages and replies, as text. */
  readonly record: string[] = [];

  /** Connects to the backend that listens on `path`. Throws {@linkcode SystemError}. */
  static override connect(path: string, options: { timeoutMs?: number } = {}): RecordingFrontend {
    return new RecordingFrontend(connectUnix(path), options);
  }

  #note(line: string): void {
    this.record.push(line);
    if (this.record.length > RECORD_MAX) this.record.shift();
  }

  override sendRaw(bytes: Uint8Array, fds: readonly number[] = []): void {
    this.#note(`${sentText(bytes)}${fds.length > 0 ? ` with ${fds.length} descriptors` : ""}`);
    super.sendRaw(bytes, fds);
  }

  override async receiveRaw(awaited?: string): Promise<Message> {
    const message = await super.receiveRaw(awaited);
    const name = MESSAGE_NAMES[message.request] ?? `message ${message.request}`;
    this.#note(`← ${name}, flags 0x${message.flags.toString(16)}, ${shown(message.payload)}`);
    return message;
  }
}

function sentText(bytes: Uint8Array): string {
  if (bytes.length < vu.HEADER_BYTES) return `→ ${shown(bytes)} of a message`;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const number = view.getUint32(0, true);
  const flags = view.getUint32(4, true);
  const name = MESSAGE_NAMES[number] ?? `message ${number}`;
  return `→ ${name}, flags 0x${flags.toString(16)}, ${shown(bytes.subarray(vu.HEADER_BYTES))}`;
}
