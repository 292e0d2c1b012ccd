/**
 * One of the two threads of a litmus test: see `ordering_test.ts`.
 *
 * @module
 */
import { viewOf } from "../../src/os/memory_map.ts";

/** What the two threads do in each round. */
export type Litmus = "store, then load" | "store, then load, without Atomics" | "write, then publish";

/** What a thread is told. All words are 32 bits, in one mapping. */
export interface LitmusOrder {
  readonly address: number;
  readonly sizeBytes: number;
  readonly thread: 0 | 1;
  readonly rounds: number;
  readonly litmus: Litmus;
}

/** Words of a cache line. */
const LINE = 16;
/** What the threads write, X and Y, and the rounds that each of them has begun, all in lines of their own. */
const X = 0;
const Y = LINE;
const BEGUN = 2 * LINE;
const RESULTS = 4 * LINE;

/** Bytes for the words and the results of `rounds` rounds. */
export function litmusBytes(rounds: number): number {
  return 4 * (RESULTS + 2 * rounds);
}

/** Where `thread` leaves its result of `round`: 0 if it has seen what it must not see, or missed what it must see. */
export function resultWord(thread: number, round: number): number {
  return RESULTS + 2 * round + thread;
}

/** Both threads leave this function at about the same time. */
function meet(words: Int32Array, thread: number, value: number): void {
  Atomics.store(words, BEGUN + LINE * thread, value);
  while (Atomics.load(words, BEGUN + LINE * (1 - thread)) < value);
}

/** What a thread does with `value`, the number of the round; true if it has seen the other's. */
type Step = (words: Int32Array, thread: number, value: number) => boolean;

const STEPS: Readonly<Record<Litmus, Step>> = {
  "store, then load": (words, thread, value) => {
    Atomics.store(words, thread === 0 ? X : Y, value);
    return Atomics.load(words, thread === 0 ? Y : X) === value;
  },
  "store, then load, without Atomics": (words, thread, value) => {
    words[thread === 0 ? X : Y] = value;
    return words[thread === 0 ? Y : X]! === value;
  },
  "write, then publish": (words, thread, value) => {
    if (thread === 0) {
      words[X] = value;
      Atomics.store(words, Y, value);
      // Only the other thread can be wrong.
      return false;
    }
    for (let i = 0; i < 100; i++) if (Atomics.load(words, Y) === value) return words[X]! === value;
    return true;
  },
};

function run({ address, sizeBytes, thread, rounds, litmus }: LitmusOrder): void {
  const words = new Int32Array(viewOf(address, sizeBytes));
  const step = STEPS[litmus];
  for (let value = 1; value <= rounds; value++) {
    meet(words, thread, value);
    words[resultWord(thread, value - 1)] = step(words, thread, value) ? 1 : 0;
  }
}

const scope = globalThis as unknown as { onmessage: (event: MessageEvent) => void; postMessage(word: string): void };
scope.onmessage = ({ data }) => {
  run(data);
  scope.postMessage("done");
};
