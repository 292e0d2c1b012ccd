/**
 * A frontend as a process, so that it can be killed: it makes consecutive connections and prints lines of JSON with its
 * progress and failures.
 *
 * @module
 */
import { makeRandom } from "../../src/driver/random.ts";
import { Connection } from "./connection.ts";
import { emptyTally, type Tally } from "./tally.ts";

/** The task of a driver process. */
export interface DriverOrder {
  readonly path: string;
  readonly seed: number;
  readonly queues: number;
  /** True if the first connection has packed rings; later ones alternate. */
  readonly packedFirst: boolean;
  readonly connections: number;
  /** Duration of each connection. */
  readonly connectionMs: number;
  /** Maximum wait for an answer. */
  readonly timeoutMs: number;
}

/** A line of a driver process's output. */
export interface DriverNews {
  readonly tally: Tally;
  /** Description of the current connection. */
  readonly about: string;
  /** The failure. */
  readonly failure?: string;
}

const NEWS_MS = 200;

if (import.meta.main) {
  const order = JSON.parse(Deno.args[0]!) as DriverOrder;
  const { path, seed, queues, packedFirst, connections, connectionMs, timeoutMs } = order;
  const random = makeRandom(seed);
  const tally = emptyTally();
  let about = "connecting";
  const tell = (failure?: string) =>
    console.log(JSON.stringify({ tally, about, ...(failure === undefined ? {} : { failure }) } satisfies DriverNews));
  const timer = setInterval(tell, NEWS_MS);
  try {
    for (let i = 0; i < connections; i++) {
      const packed = (i % 2 === 1) !== packedFirst;
      const durationMs = connectionMs / 2 + random(connectionMs);
      const connection = await Connection.open(path, { packed, queues, random, durationMs, timeoutMs }, tally);
      about = connection.description;
      await connection.run();
    }
    clearInterval(timer);
    tell();
  } catch (error) {
    clearInterval(timer);
    tell(`${(error as Error).name}: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
