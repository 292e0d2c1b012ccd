/**
 * A frontend as a process of its own, that can be killed: connections one after the other, and lines of JSON that say
 * what was done so far, or what went wrong.
 *
 * @module
 */
import { makeRandom } from "../../src/driver/random.ts";
import { Connection } from "./connection.ts";
import { emptyTally, type Tally } from "./tally.ts";

/** What a driver process is to do. */
export interface DriverOrder {
  readonly path: string;
  readonly seed: number;
  readonly queues: number;
  /** Whether the first connection has packed rings; then it is in turns. */
  readonly packedFirst: boolean;
  readonly connections: number;
  /** How long each lasts. */
  readonly connectionMs: number;
  /** How long an answer may take. */
  readonly timeoutMs: number;
}

/** What a driver process says, a line each. */
export interface DriverNews {
  readonly tally: Tally;
  /** The connection that there is, in words. */
  readonly about: string;
  /** What was wrong. */
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
