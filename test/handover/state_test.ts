/**
 * The serialised state of a process: it is read as it was written, and anything else is refused or read without failure.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { makeRandom } from "../../src/driver/random.ts";
import { StateError } from "../../src/handover/state_bytes.ts";
import {
  decodeProcessState,
  decodeSessions,
  encodeProcessState,
  encodeSessions,
  processStateBytes,
  sessionsBytes,
} from "../../src/handover/state_format.ts";
import { randomState } from "./states.ts";

const SEEDS = 40;

function encoded(seed: number) {
  const state = randomState(makeRandom(seed));
  const bytes = new Uint8Array(processStateBytes(state));
  return { state, bytes, fds: encodeProcessState(state, bytes) };
}

/** Reads `bytes`: any error but a StateError fails the test. */
function isAccepted(bytes: Uint8Array, fds: readonly number[]): boolean {
  try {
    decodeProcessState(bytes, fds);
    return true;
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    return false;
  }
}

Deno.test("states are read as they were written, with their descriptors", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { state, bytes, fds } = encoded(seed);
    assertEquals(new Set(fds).size, fds.length);
    assertEquals(decodeProcessState(bytes, fds), state);
  }
});

Deno.test("sessions alone are read as they were written", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { sessions } = randomState(makeRandom(seed)).devices[0]!;
    const bytes = new Uint8Array(sessionsBytes(sessions));
    encodeSessions(sessions, bytes);
    assertEquals(decodeSessions(bytes), sessions);
    assertThrows(() => decodeProcessState(bytes, []), StateError, "contents");
  }
});

Deno.test("a state that is truncated at any byte, or has an extra byte, is refused", () => {
  const { bytes, fds } = encoded(3);
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(() => decodeProcessState(bytes.subarray(0, length), fds), StateError);
    // With a header that says so, too.
    const cut = bytes.slice(0, length);
    if (length >= 16) new DataView(cut.buffer).setUint32(12, length, true);
    assertThrows(() => decodeProcessState(cut, fds), StateError);
  }
  const longer = new Uint8Array(bytes.length + 1);
  longer.set(bytes);
  new DataView(longer.buffer).setUint32(12, longer.length, true);
  assertThrows(() => decodeProcessState(longer, fds), StateError, "1 bytes follow the state");
});

Deno.test("a state with any flipped bit is refused or read, and causes no failure", () => {
  const { bytes, fds } = encoded(5);
  let accepted = 0;
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const flipped = bytes.slice();
    flipped[bit >>> 3]! ^= 1 << (bit & 7);
    if (isAccepted(flipped, fds)) accepted++;
  }
  // Numbers and keys can have any value; headers, lengths, descriptors and choices cannot.
  assertEquals(accepted > 0 && accepted < 8 * bytes.length, true, `${accepted} of ${8 * bytes.length} accepted`);
});

Deno.test("a state of another format is refused with the numbers of both formats", () => {
  const { bytes, fds } = encoded(1);
  const newer = bytes.slice();
  newer[4]!++;
  assertThrows(() => decodeProcessState(newer, fds), StateError, "format 3, and this program reads format 2");
});

Deno.test("each descriptor of a state has one owner, and all are used", () => {
  const { bytes, fds } = encoded(2);
  assertThrows(() => decodeProcessState(bytes, fds.slice(1)), StateError);
  assertThrows(() => decodeProcessState(bytes, [...fds, 7]), StateError, "not in the state");
});

Deno.test("a count that exceeds the state's bytes allocates nothing", () => {
  const { bytes, fds } = encoded(1);
  const many = bytes.slice();
  new DataView(many.buffer).setUint32(16, 0xffff_ffff, true);
  assertThrows(() => decodeProcessState(many, fds), StateError, "4294967295 values");
});
