/**
 * Known answers of the 3GPP algorithms. The library of this host must give them before its algorithms are served. No
 * other library implements these algorithms, so the values are part of the program; those of inputs that are not
 * published were computed by two implementations.
 *
 * Off the data path: it runs once, before there are requests.
 *
 * @module
 */
import { SegmentTable, Span } from "../memory/segments.ts";
import { type Mapping, viewOf } from "../os/memory_map.ts";
import * as numbers from "./algorithm_numbers.ts";
import type { CipherRow, DigestRow } from "./algorithms.ts";
import type { EngineMemory } from "./engine_memory.ts";
import { KIND_CIPHER, Operation, Parameters, Template } from "./operation.ts";

/** The answer of an algorithm to a message with the key 00 01 … 0f; the message of a MAC starts with its IV. */
interface Answer {
  readonly iv: string;
  readonly message: string;
  readonly answer: string;
}

/** 37 bytes, 00 01 … 24. */
const MESSAGE = Uint8Array.from({ length: 37 }, (_, i) => i).toHex();

const CIPHERS: ReadonlyMap<number, Answer> = new Map([
  [numbers.CIPHER_KASUMI_F8, {
    iv: "010203042c000000",
    message: MESSAGE,
    answer: "5e20ab2f4820e950d9890615765a8b9dcb1f2f1d371ea40c6c3c91a1eca06c2edf4811eacd",
  }],
  [numbers.CIPHER_SNOW3G_UEA2, {
    iv: "010203042c000000010203042c000000",
    message: MESSAGE,
    answer: "0652b8fd4df3ebc29b6dd23d280925bcf008b5ebbec0dcb7dacafb2b8be29bd288452f80ed",
  }],
  [numbers.CIPHER_ZUC_EEA3, {
    iv: "010203042c000000010203042c000000",
    message: MESSAGE,
    answer: "1f0325ceae126d94006b94d686ba6172b6cadccfcf6b16a15500764185e76c3fe5c50f4286",
  }],
]);

const MACS: ReadonlyMap<number, Answer> = new Map([
  [numbers.MAC_KASUMI_F9, { iv: "0102030405060708", message: `${MESSAGE}c0`, answer: "bfac0e7a" }],
  [numbers.MAC_SNOW3G_UIA2, { iv: "01020304050607088102030405068708", message: MESSAGE, answer: "b2d686e5" }],
  [numbers.MAC_ZUC_EIA3, { iv: "01020304280000008102030428008000", message: MESSAGE, answer: "b67e27a2" }],
]);

const KEY_BYTES = 16;
/** Offsets in the memory, which starts with the key. */
const IV = 64;
const SRC = 128;
const DST = 256;

/** Writes the key, and `bytes` at `offset`, to `memory`. */
function write({ buffer }: Mapping, offset: number, bytes: Uint8Array): void {
  const all = new Uint8Array(buffer);
  for (let i = 0; i < KEY_BYTES; i++) all[i] = i;
  all.set(bytes, offset);
}

/** True if the cipher of `row`, made in `engineMemory`, gives its known answer, or none is known. */
export function isCipherRight({ algo, create }: CipherRow, engineMemory: EngineMemory): boolean {
  const known = CIPHERS.get(algo);
  if (known === undefined) return true;
  const cipher = create(engineMemory, KEY_BYTES, true);
  const memory = engineMemory.owned.map(4096);
  const iv = Uint8Array.fromHex(known.iv);
  const message = Uint8Array.fromHex(known.message);
  write(memory, IV, iv);
  write(memory, SRC, message);
  const segments = new SegmentTable(3);
  segments.add(memory.address + IV, iv.length);
  segments.add(memory.address + SRC, message.length);
  segments.add(memory.address + DST, message.length);
  const template = new Template();
  template.parameters = Object.assign(new Parameters(), { kind: KIND_CIPHER, algo, encrypt: true });
  template.ivLen = iv.length;
  template.ivSpan.set(0, 0, iv.length);
  template.src.set(1, 0, message.length);
  template.dst.set(2, 0, message.length);
  const operation = new Operation(segments, engineMemory.iv);
  operation.use(template);
  operation.place(0);
  const done = cipher.setKey(memory.address) && cipher.run(operation, operation.src, operation.dst);
  const found = new Uint8Array(memory.buffer, DST, message.length).toHex();
  cipher.free();
  engineMemory.owned.unmap(memory);
  return done && found === known.answer;
}

/** The same for the MAC of `row`. */
export function isMacRight({ algo, create }: DigestRow, engineMemory: EngineMemory): boolean {
  const known = MACS.get(algo);
  if (known === undefined) return true;
  const mac = create(engineMemory, KEY_BYTES);
  const memory = engineMemory.owned.map(4096);
  const message = Uint8Array.fromHex(known.iv + known.message);
  write(memory, SRC, message);
  const segments = new SegmentTable(2);
  segments.add(memory.address + SRC, message.length);
  const body = new Span();
  body.set(0, 0, message.length);
  const answerBytes = known.answer.length / 2;
  const address = mac.setKey(memory.address, KEY_BYTES) ? mac.run(segments, new Span(), body, answerBytes) : 0;
  const found = address === 0 ? "" : new Uint8Array(viewOf(address, answerBytes)).toHex();
  mac.free();
  engineMemory.owned.unmap(memory);
  return found === known.answer;
}
