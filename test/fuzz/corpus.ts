/**
 * Stored inputs: seeds of whole rounds, requests, chains and conversations as bytes, each in a file of `corpus/` with its
 * purpose. The fuzzer adds rounds that fail, and the tests replay all of them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import type { RequestMode } from "../../src/driver/requests.ts";
import type { RawDescriptor } from "../../src/driver/split_queue.ts";
import { makeRandom } from "../../src/driver/random.ts";
import { OP_DECRYPT } from "../../src/wire/virtio_crypto.ts";
import { RawRing } from "../../src/tools/conform/raw_ring.ts";
import { allSamples, assertAnswer, assertStatus } from "../conformance/support.ts";
import { asymmetric } from "./asymmetric.ts";
import type { Bed } from "./bed.ts";
import type { CanaryMemory } from "./canary_memory.ts";
import { draftV15, draftV5 } from "./drafts.ts";
import { messages, replayConversation, type StoredStep } from "./messages.ts";
import { FEATURES, requests } from "./requests.ts";
import { rewriting } from "./rewriting.ts";
import { rfc3 } from "./rfc3.ts";
import { rings } from "./rings.ts";
import { state } from "./state.ts";
import type { Target } from "./target.ts";

/** All targets. */
export const TARGETS: readonly Target[] = [
  rings,
  requests,
  asymmetric,
  messages,
  rewriting,
  rfc3,
  state,
  draftV15,
  draftV5,
];

interface Kept {
  /** Its purpose. */
  readonly why: string;
}

/** A round, by its seed. */
export interface StoredRound extends Kept {
  readonly kind: "round";
  readonly target: string;
  readonly packed: boolean;
  readonly seed: number;
}

/** A request as bytes, in hexadecimal; SESSION is replaced by the id of a session that is created for it. */
export interface StoredRequest extends Kept {
  readonly kind: "request";
  readonly mode: RequestMode;
  /** The sample to whose session it belongs; a control request if not given. */
  readonly session?: string;
  /** True if the session decrypts. */
  readonly decrypts?: boolean;
  readonly readable: readonly string[];
  /** Bytes before the status of a data request; bytes of the answer of a control request. */
  readonly writable: number;
  readonly status: number;
}

/** A chain of descriptors, with addresses in a block of 8192 bytes; other addresses are text. */
export interface StoredChain extends Kept {
  readonly kind: "chain";
  /** Address, length, flags and next of each. */
  readonly descriptors: readonly (readonly [number | string, number, number, number])[];
  /** The same in a table; the first descriptor refers to it by the address "table". */
  readonly table?: StoredChain["descriptors"];
  /** The used length, or `broken`. */
  readonly outcome: number | "broken";
}

/** Messages of a frontend. */
export interface StoredConversation extends Kept {
  readonly kind: "conversation";
  readonly steps: readonly StoredStep[];
  /** True if the device closes the connection. */
  readonly hangsUp: boolean;
}

/** Any of them. */
export type Stored = StoredRound | StoredRequest | StoredChain | StoredConversation;

/** The folder of the corpus. */
export const FOLDER: string = new URL("./corpus/", import.meta.url).pathname;

/** All inputs in `folder`, by file name. */
export function readCorpus(folder = FOLDER): [name: string, stored: Stored][] {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".json")).sort();
  return names.map((name) => [name, JSON.parse(Deno.readTextFileSync(`${folder}/${name}`))]);
}

/** Writes `stored` to the file `name` in `folder`; returns its path. */
export function keep(name: string, stored: Stored, folder = FOLDER): string {
  const path = `${folder}/${name}.json`;
  Deno.writeTextFileSync(path, `${JSON.stringify(stored, null, 2)}\n`);
  return path;
}

function fromHex(text: string, sessionId: number): Uint8Array<ArrayBuffer> {
  const id = new Uint8Array(BigUint64Array.of(BigInt(sessionId)).buffer).toHex();
  return Uint8Array.fromHex(text.replaceAll("SESSION", id).replaceAll(" ", "")) as Uint8Array<ArrayBuffer>;
}

async function replayRequest(driver: CryptoDriver, stored: StoredRequest): Promise<void> {
  const sample = allSamples().find(({ name, session }) =>
    name === stored.session && (stored.decrypts === true) === ("op" in session && session.op === OP_DECRYPT)
  );
  if (sample === undefined && stored.session !== undefined) throw new Error(`there is no sample ${stored.session}`);
  const sessionId = sample === undefined ? 0 : await driver.createSession(sample.session);
  const readable = stored.readable.map((text, i) => ({ name: `${i}`, bytes: fromHex(text, sessionId) }));
  for (const split of ["one", "fields", "bytes"] as const) {
    if (sample !== undefined) {
      const writable = [{ name: "dst", sizeBytes: stored.writable }, { name: "status", sizeBytes: 1 }];
      assertStatus(
        await driver.submitData({ readable, writable }, { split }),
        stored.status,
        `${stored.why}, ${split}`,
      );
      continue;
    }
    const request: EncodedRequest = { readable, writable: [{ name: "input", sizeBytes: stored.writable }] };
    const { fields } = await driver.submitControl(request, { split });
    const input = fields["input"]!;
    const at = input.length >= 16 ? 8 : 0;
    assertEquals(input[at], stored.status, `${stored.why}, ${split}`);
  }
  if (sample === undefined || stored.mode === "stateless") return;
  assertAnswer(await driver.request({ ...sample.request, sessionId }), sample, "the same session, asked rightly");
}

async function replayChain(driver: CryptoDriver, stored: StoredChain): Promise<void> {
  await RawRing.use(driver, async (ring) => {
    const block = driver.memory.alloc(8192);
    const table = driver.memory.alloc(4096);
    const asDescriptor = ([place, length, flags, next]: StoredChain["descriptors"][number]): RawDescriptor => ({
      address: typeof place === "number"
        ? block.guestAddress + place
        : place === "table"
        ? table.guestAddress
        : BigInt(place),
      length,
      flags,
      next,
    });
    const view = new DataView(table.bytes.buffer, table.bytes.byteOffset, table.sizeBytes);
    for (const [i, entry] of (stored.table ?? []).entries()) {
      const { address, length, flags, next } = asDescriptor(entry);
      view.setBigUint64(16 * i, BigInt(address), true);
      view.setUint32(16 * i + 8, length, true);
      view.setUint16(16 * i + 12, flags, true);
      view.setUint16(16 * i + 14, next, true);
    }
    stored.descriptors.forEach((descriptor, i) => ring.put(i, asDescriptor(descriptor)));
    const outcome = await ring.run(0);
    assertEquals(outcome === "broken" ? outcome : outcome.usedLen, stored.outcome, stored.why);
    if (outcome === "broken") await ring.reset();
  });
}

/** The target of `stored`, if it is a round. */
export function targetOf(stored: Stored): Target | undefined {
  if (stored.kind !== "round") return undefined;
  const target = TARGETS.find(({ name }) => name === stored.target);
  if (target === undefined) throw new Error(`there is no target ${stored.target}`);
  return target;
}

/** Replays `stored` against the device of `bed`; throws unless the device works correctly and leaks nothing afterwards. */
export async function replay(bed: Bed, stored: Stored): Promise<void> {
  if (stored.kind === "round") {
    await targetOf(stored)!.run({ bed, packed: stored.packed, random: makeRandom(stored.seed) });
  } else if (stored.kind === "conversation") {
    assertEquals(await replayConversation(bed.path, stored.steps), stored.hangsUp, `${stored.why}: it hangs up`);
  } else {
    const driver = await bed.connect(false, stored.kind === "request" ? FEATURES[stored.mode] : 0n);
    try {
      if (stored.kind === "request") await replayRequest(driver, stored);
      else await replayChain(driver, stored);
      (driver.memory as CanaryMemory).verifyCanaries();
    } finally {
      await driver.abandon();
    }
  }
  await bed.assertCorrect(stored.kind === "round" && stored.packed);
  await bed.assertNothingKept();
}
