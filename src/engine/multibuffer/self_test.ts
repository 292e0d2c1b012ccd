/**
 * Self-test of multi-buffer execution when a device starts: messages of each kind, with lengths that complete in the
 * lanes at different times, are executed sequentially and in multi-buffer batches. Kinds whose results differ are
 * executed sequentially only, whichever version the library has.
 *
 * Off the data path: it runs once, before the first request.
 *
 * @module
 */
import { SegmentTable } from "../../memory/segments.ts";
import { mapAnonymous, unmap } from "../../os/memory_map.ts";
import type { Catalogue } from "../catalogue.ts";
import { Engine, isOfModule } from "../engine.ts";
import type { Prepared } from "../prepared.ts";
import { ipsecMbVersion } from "../ipsec_mb.ts";
import { KIND_AEAD, KIND_CHAIN, Operation, Parameters, Template } from "../operation.ts";
import { kindParameters } from "./kind_parameters.ts";
import { createMultiBufferManager } from "./manager.ts";
import { type MultiBufferChoice, type MultiBufferPolicy, policyOf } from "./policy.ts";
import { MultiBufferRunner } from "./runner.ts";
import { AEAD, DIGEST, kindName, type MultiBufferSession } from "./session.ts";

/** Message lengths in bytes, less 3 for algorithms without blocks, and messages per length. */
const SIZES = [16, 48, 64, 112, 144, 272];
const MESSAGES_PER_SIZE = 3;
const COUNT = SIZES.length * MESSAGES_PER_SIZE;
/** Indexes of a message's segments. */
const IV = 0;
const SRC = 1;
const DST = 2;
const AAD = 3;
const RESULT = 4;
const SEGMENTS = 5;
/** Bytes from the start of a segment to the next: fits the longest message with a tag and an IV. */
const STRIDE_BYTES = 320;
const TAG_BYTES = 16;
const AAD_BYTES = 20;
const AEAD_IV_BYTES = 12;
const KEY_BYTES = 1024;

/** Memory for the messages of a kind. */
class Arena {
  readonly #memory = mapAnonymous(KEY_BYTES + COUNT * SEGMENTS * STRIDE_BYTES);
  readonly #words = new Uint32Array(this.#memory.buffer);
  readonly #content = this.#words.map((_, i) => Math.imul(i + 1, 0x9e37_79b1));
  readonly #kept = new Uint32Array(this.#words.length);
  readonly batch = { segments: new SegmentTable(SEGMENTS * COUNT), first: new Uint32Array(COUNT) };
  readonly operation: Operation;

  /** Maps the memory, for an engine with memory for IVs at `iv`. */
  constructor(iv: number) {
    this.operation = new Operation(this.batch.segments, iv);
  }

  /** Address of the keys, which are not secret. */
  get keys(): number {
    return this.#memory.address;
  }

  /** Fills the arena with a fixed pattern. */
  fill(): void {
    this.#words.set(this.#content);
  }

  /** Saves the content for {@linkcode isAsKept}. */
  keep(): void {
    this.#kept.set(this.#words);
  }

  /** True if the content equals the saved content. */
  isAsKept(): boolean {
    for (let i = 0; i < this.#words.length; i++) if (this.#words[i] !== this.#kept[i]) return false;
    return true;
  }

  /** Adds the segments of message `i`, with the lengths of the spans of `template`. */
  addMessage(i: number, { ivSpan, src, dst, aad, result }: Template): void {
    const { segments, first } = this.batch;
    first[i] = segments.count;
    for (const [segment, { length }] of [ivSpan, src, dst, aad, result].entries()) {
      const at = KEY_BYTES + (i * SEGMENTS + segment) * STRIDE_BYTES;
      segments.add(this.#memory.address + at, Math.max(length, 1));
    }
  }

  free(): void {
    unmap(this.#memory);
  }
}

/** Returns a template for messages of `sizeBytes` bytes of a session. */
function templateOf(parameters: Parameters, session: MultiBufferSession, sizeBytes: number): Template {
  const { form, blockBytes, headBytes, digestBytes, ivLenMin } = session;
  const { encrypt } = parameters;
  const template = new Template();
  const length = blockBytes === 1 ? sizeBytes - 3 : sizeBytes;
  const tagLen = form === AEAD ? TAG_BYTES : 0;
  Object.assign(template, { parameters, tagLen, cipherLen: length, hashLen: length });
  template.ivLen = form === AEAD ? AEAD_IV_BYTES : ivLenMin;
  if (template.ivLen > 0) template.ivSpan.set(IV, 0, template.ivLen);
  template.src.set(SRC, 0, headBytes + length + (encrypt ? 0 : tagLen));
  if (form !== DIGEST) template.dst.set(DST, 0, length + (encrypt ? tagLen : 0));
  if (form === AEAD) template.aad.set(AAD, 0, AAD_BYTES);
  if (digestBytes > 0) template.result.set(RESULT, 0, digestBytes);
  return template;
}

/** Returns the template that encrypts the destination of `opening`, an AEAD decryption, into its source. */
function sealingOf(opening: Template): Template {
  const template = new Template();
  const parameters = Object.assign(new Parameters(), opening.parameters, { encrypt: true });
  Object.assign(template, { parameters, tagLen: opening.tagLen, ivLen: opening.ivLen });
  template.ivSpan.set(IV, 0, opening.ivLen);
  template.src.set(DST, 0, opening.dst.length);
  template.dst.set(SRC, 0, opening.src.length);
  template.aad.set(AAD, 0, opening.aad.length);
  return template;
}

/** Executes all messages of `templates` sequentially. */
function runSequentially(engine: Engine, prepared: Prepared, templates: readonly Template[], arena: Arena): void {
  const { operation, batch } = arena;
  for (const [run, template] of templates.entries()) {
    operation.use(template);
    for (let i = 0; i < MESSAGES_PER_SIZE; i++) {
      operation.place(batch.first[run * MESSAGES_PER_SIZE + i]!);
      engine.execute(operation, prepared);
    }
  }
}

/** Fills the arena; the sources of an AEAD's decryption get valid tags. */
function prepareMessages(engine: Engine, templates: readonly Template[], arena: Arena): void {
  arena.fill();
  const { parameters } = templates[0]!;
  if (parameters.kind !== KIND_AEAD || parameters.encrypt) return;
  const seals = templates.map(sealingOf);
  const prepared = engine.prepare(seals[0]!.parameters)!;
  runSequentially(engine, prepared, seals, arena);
  engine.release(prepared);
}

/** True if multi-buffer execution leaves the same memory as sequential execution, or does not support the kind. */
function isCorrect(engine: Engine, parameters: Parameters, arena: Arena): boolean {
  const prepared = engine.prepare(parameters);
  if (prepared === null) return true;
  const runner = engine.multiBuffer!;
  const session = prepared.multiBuffer;
  if (session === null) {
    engine.release(prepared);
    return true;
  }
  const templates = SIZES.map((sizeBytes) => templateOf(parameters, session, sizeBytes));
  arena.batch.segments.count = 0;
  for (let i = 0; i < COUNT; i++) arena.addMessage(i, templates[Math.floor(i / MESSAGES_PER_SIZE)]!);
  prepareMessages(engine, templates, arena);
  runSequentially(engine, prepared, templates, arena);
  arena.keep();
  prepareMessages(engine, templates, arena);
  runner.begin(arena.batch, COUNT);
  for (const [run, template] of templates.entries()) {
    runner.add(template, session, run * MESSAGES_PER_SIZE, MESSAGES_PER_SIZE);
  }
  runner.run();
  engine.release(prepared);
  return arena.isAsKept();
}

/** The result of the self-test. */
export interface MultiBufferSelfTest {
  /** The requested policy, without the kinds whose results are wrong on this host. */
  readonly policy: MultiBufferPolicy;
  /** Messages for the log. */
  readonly notes: readonly string[];
}

/**
 * Returns the instruction set of this host's library and the names of the kinds whose results are wrong; null if there
 * is no multi-buffer execution.
 */
export function wrongKinds(
  catalogue: Catalogue,
): { readonly variant: string; readonly names: readonly string[] } | null {
  const manager = createMultiBufferManager();
  if (manager === null) return null;
  const engine = new Engine(catalogue, new MultiBufferRunner(manager, policyOf("on")));
  const arena = new Arena(engine.memory.iv);
  const names = new Set<string>();
  for (const given of kindParameters(catalogue)) {
    // Engine modules have no multi-buffer jobs, and their code must run for requests only.
    if (isOfModule(catalogue, Object.assign(new Parameters(), given))) continue;
    for (const hashFirst of given.kind === KIND_CHAIN ? [false, true] : [false]) {
      const parameters = Object.assign(new Parameters(), given, { hashFirst });
      parameters.cipherKey = arena.keys;
      parameters.authKey = arena.keys + KEY_BYTES / 2;
      if (!isCorrect(engine, parameters, arena)) names.add(kindName(parameters));
    }
  }
  arena.free();
  engine.close();
  return { variant: manager.variant.name, names: [...names] };
}

/** Tests multi-buffer execution of the algorithms of `catalogue`, unless `choice` is "off". */
export function testMultiBuffer(catalogue: Catalogue, choice: MultiBufferChoice): MultiBufferSelfTest {
  const wrong = choice === "off" || !catalogue.engines.has("ipsec-mb") ? null : wrongKinds(catalogue);
  if (wrong === null || wrong.names.length === 0) return { policy: policyOf(choice), notes: [] };
  const { variant, names } = wrong;
  const note = `libIPSec_MB ${ipsecMbVersion()} gives wrong results with ${variant} for ${names.join(", ")}: ` +
    "OpenSSL executes them sequentially";
  return { policy: { choice, excluded: names }, notes: [note] };
}
