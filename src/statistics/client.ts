/**
 * The client of a running device's statistics socket.
 *
 * @module
 */
import { ByteStream } from "../os/byte_stream.ts";
import { SystemError } from "../os/errno.ts";
import { Poller } from "../os/poller.ts";
import { connectUnix } from "../os/unix_socket.ts";
import type { Snapshot } from "./snapshot.ts";

/** Maximum time without a byte from the device, in milliseconds. */
const SILENCE_MS = 5000;
const READ_BYTES_MAX = 1 << 16;

/** The statistics socket cannot be reached, or the answer is not a snapshot. */
export class StatisticsError extends Error {
  override readonly name = "StatisticsError";
}

function connect(path: string): ByteStream {
  try {
    return new ByteStream(connectUnix(path));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new StatisticsError(
      `there is no statistics socket at ${path} (${error.code}): start the device with --stats-socket=${path}`,
    );
  }
}

/** Reads until the device closes the connection. */
async function readAll(stream: ByteStream, path: string): Promise<string> {
  const poller = new Poller();
  const decoder = new TextDecoder();
  let text = "";
  try {
    poller.add(stream.fd, 0);
    for (;;) {
      const bytes = stream.read(READ_BYTES_MAX);
      if (bytes?.length === 0) return text;
      if (bytes !== undefined) text += decoder.decode(bytes, { stream: true });
      else if (await poller.wait(SILENCE_MS) === 0) {
        throw new StatisticsError(`${path} has sent nothing for ${SILENCE_MS / 1000} seconds`);
      }
    }
  } finally {
    poller.close();
  }
}

/** The snapshot of the device whose statistics socket is at `path`. Throws {@linkcode StatisticsError}. */
export async function fetchSnapshot(path: string): Promise<Snapshot> {
  const stream = connect(path);
  try {
    stream.write(new TextEncoder().encode("GET /json HTTP/1.0\r\n\r\n"));
    const answer = await readAll(stream, path);
    const start = answer.indexOf("\r\n\r\n");
    if (!answer.startsWith("HTTP/1.0 200 ") || start < 0) {
      throw new StatisticsError(`${path} is not a statistics socket`);
    }
    return JSON.parse(answer.slice(start + 4)) as Snapshot;
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof SyntaxError)) throw error;
    throw new StatisticsError(`${path} is not a statistics socket of this version: ${error.message}`);
  } finally {
    stream.close();
  }
}
