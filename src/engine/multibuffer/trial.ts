/**
 * Multi-buffer execution held to sequential execution when a device starts: messages of each kind, of lengths that
 * leave lanes at different times. What a library of whatever version does wrong here is not used.
 *
 * Off the data path: it runs once, before there are requests.
 *
 * @module
 */
import { SegmentTable } from "../../memory/segments.ts";
import { mapAnonymous, unmap } from "../../os/memory_map.ts";
import type { Catalogue } from "../catalogue.ts";
import { Engine, isOfModule, type Prepared } from "../engine.ts";
import { ipsecMbVersion } from "../ipsec_mb.ts";
import { KIND_AEAD, KIND_CHAIN, Operation, Parameters, Template } from "../operation.ts";
import { kindParameters } from "./kind_parameters.ts";
import { createMultiBufferManager } from "./manager.ts";
import { type MultiBufferChoice, type MultiBufferPolicy, policyOf } from "./policy.ts";
import { MultiBufferRunner } from "./runner.ts";
import { AEAD, DIGEST, kindName, type MultiBufferSession } from "./session.ts";

/** Bytes of messages; ciphers and MACs that take any length get 3 less. Each length has so many messages. */
const SIZES = [16, 48, 64, 112, 144, 272];
const MESSAGES_PER_SIZE = 3;
const COUNT = SIZES.length * MESSAGES_PER_SIZE;
/** Segments of a message: IV, source, destination, additional data, result. */
const IV = 0;
const SRC = 1;
const DST = 2;
const AAD = 3;
const RESULT = 4;
const SEGMENTS = 5;
/** Bytes between the starts of two segments: room for any of them, with a tag and an IV. */
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

  /** For an engine whose operations have their IV at `iv`. */
  constructor(iv: number) {
    this.operation = new Operation(this.batch.segments, iv);
  }

  /** Where the keys are: bytes that are not secret. */
  get keys(): number {
    return this.#memory.address;
  }

  /** Fills all of it with the same bytes as ever. */
  fill(): void {
    this.#words.set(this.#content);
  }

  /** Keeps what is in it, to be compared. */
  keep(): void {
    this.#kept.set(this.#words);
  }

  /** True if what is in it is what was kept. */
  isAsKept(): boolean {
    for (let i = 0; i < this.#words.length; i++) if (this.#words[i] !== this.#kept[i]) return false;
    return true;
  }

  /** Lays out message `i` for `template`, whose spans have their lengths. */
  lay(i: number, { ivSpan, src, dst, aad, result }: Template): void {
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

/** A template for messages of `sizeBytes` bytes of a session. */
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

/** The template that makes the source of messages to be opened out of their destination. */
function sealing(opening: Template): Template {
  const template = new Template();
  const parameters = Object.assign(new Parameters(), opening.parameters, { encrypt: true });
  Object.assign(template, { parameters, tagLen: opening.tagLen, ivLen: opening.ivLen });
  template.ivSpan.set(IV, 0, opening.ivLen);
  template.src.set(DST, 0, opening.dst.length);
  template.dst.set(SRC, 0, opening.src.length);
  template.aad.set(AAD, 0, opening.aad.length);
  return template;
}

/** Executes every message of `templates` sequentially. */
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

/** Fills the arena, with tags that are right where messages are opened. */
function prepareMessages(engine: Engine, templates: readonly Template[], arena: Arena): void {
  arena.fill();
  const { parameters } = templates[0]!;
  if (parameters.kind !== KIND_AEAD || parameters.encrypt) return;
  const seals = templates.map(sealing);
  const prepared = engine.prepare(seals[0]!.parameters)!;
  runSequentially(engine, prepared, seals, arena);
  engine.release(prepared);
}

/** True if multi-buffer execution leaves what sequential execution leaves, or is not for this kind. */
function isRight(engine: Engine, parameters: Parameters, arena: Arena): boolean {
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
  for (let i = 0; i < COUNT; i++) arena.lay(i, templates[Math.floor(i / MESSAGES_PER_SIZE)]!);
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

/** What has been found out about multi-buffer execution on this host. */
export interface MultiBufferTrial {
  /** What was wanted, without the kinds that are wrong here. */
  readonly policy: MultiBufferPolicy;
  /** Sentences for people. */
  readonly notes: readonly string[];
}

/** Names of the kinds that are wrong with the library of this host, and its instruction set; null: it does none. */
export function wrongKinds(
  catalogue: Catalogue,
): { readonly variant: string; readonly names: readonly string[] } | null {
  const manager = createMultiBufferManager();
  if (manager === null) return null;
  const engine = new Engine(catalogue, new MultiBufferRunner(manager, policyOf("on")));
  const arena = new Arena(engine.memory.iv);
  const names = new Set<string>();
  for (const given of kindParameters(catalogue)) {
    // Engine modules are never executed in lanes, and their code runs for requests only.
    if (isOfModule(catalogue, Object.assign(new Parameters(), given))) continue;
    for (const hashFirst of given.kind === KIND_CHAIN ? [false, true] : [false]) {
      const parameters = Object.assign(new Parameters(), given, { hashFirst });
      parameters.cipherKey = arena.keys;
      parameters.authKey = arena.keys + KEY_BYTES / 2;
      if (!isRight(engine, parameters, arena)) names.add(kindName(parameters));
    }
  }
  arena.free();
  engine.close();
  return { variant: manager.variant.name, names: [...names] };
}

/** Tries what `choice` wants to use of `catalogue`. */
export function tryMultiBuffers(catalogue: Catalogue, choice: MultiBufferChoice): MultiBufferTrial {
  const wrong = choice === "off" || !catalogue.engines.has("ipsec-mb") ? null : wrongKinds(catalogue);
  if (wrong === null || wrong.names.length === 0) return { policy: policyOf(choice), notes: [] };
  const { variant, names } = wrong;
  const note = `libIPSec_MB ${ipsecMbVersion()} gives wrong answers with ${variant} for ${names.join(", ")}: ` +
    "OpenSSL executes them, one request at a time";
  return { policy: { choice, excluded: names }, notes: [note] };
}
