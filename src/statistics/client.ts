/**
 * Asking a running device's statistics socket.
 *
 * @module
 */
import { ByteStream } from "../os/byte_stream.ts";
import { SystemError } from "../os/errno.ts";
import { Poller } from "../os/poller.ts";
import { connectUnix } from "../os/unix_socket.ts";
import type { Snapshot } from "./snapshot.ts";

/** How long the device may keep silent. */
const SILENCE_MS = 5000;
const READ_BYTES_MAX = 1 << 16;

/** Nobody gives out statistics there, or what came is something else. */
export class StatisticsError extends Error {
  override readonly name = "StatisticsError";
}

function connect(path: string): ByteStream {
  try {
    return new ByteStream(connectUnix(path));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new StatisticsError(
      `nobody gives out statistics at ${path} (${error.code}): a device does that with --stats-socket=${path}`,
    );
  }
}

/** All that comes until the other side closes. */
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
        throw new StatisticsError(`${path} has said nothing for ${SILENCE_MS / 1000} seconds`);
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
    if (!answer.startsWith("HTTP/1.0 200 ") || start < 0) throw new StatisticsError(`${path} is no statistics socket`);
    return JSON.parse(answer.slice(start + 4)) as Snapshot;
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof SyntaxError)) throw error;
    throw new StatisticsError(`${path} does not answer like a statistics socket: ${error.message}`);
  } finally {
    stream.close();
  }
}
