/**
 * The engine alone: prepared operations on contiguous memory, without rings, decoding or sessions.
 *
 * @module
 */
import type { SessionParameters } from "../../src/driver/sessions.ts";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import { Engine } from "../../src/engine/engine.ts";
import {
  DONE,
  KIND_AEAD,
  KIND_CHAIN,
  KIND_CIPHER,
  KIND_HASH,
  KIND_MAC,
  Operation,
  Parameters,
  Template,
} from "../../src/engine/operation.ts";
import { SegmentTable, type Span } from "../../src/memory/segments.ts";
import { mapAnonymous } from "../../src/os/memory_map.ts";
import { timed, type Variant } from "./ratio.ts";
import type { Workload } from "./workloads.ts";

const OPERATIONS = 64;

/** A session as the engine and the session table take it, its keys in memory that stays. */
export function sessionRecord(session: SessionParameters): Parameters {
  const parameters = new Parameters();
  const keys = mapAnonymous(4096);
  const bytes = new Uint8Array(keys.buffer);
  parameters.cipherKey = keys.address;
  parameters.authKey = keys.address + 1024;
  parameters.encrypt = true;
  const setCipher = (algo: number, key: Uint8Array) => {
    parameters.algo = algo;
    parameters.keyLen = key.length;
    bytes.set(key);
  };
  const setDigest = (algo: number, resultLen: number, key: Uint8Array = new Uint8Array()) => {
    parameters.hashAlgo = algo;
    parameters.hashResultLen = resultLen;
    parameters.authKeyLen = key.length;
    bytes.set(key, 1024);
  };
  switch (session.service) {
    case "cipher":
      parameters.kind = KIND_CIPHER;
      setCipher(session.algo, session.key);
      break;
    case "aead":
      parameters.kind = KIND_AEAD;
      parameters.tagLen = session.tagLen;
      setCipher(session.algo, session.key);
      break;
    case "hash":
      parameters.kind = KIND_HASH;
      setDigest(session.algo, session.hashResultLen);
      break;
    case "mac":
      parameters.kind = KIND_MAC;
      setDigest(session.algo, session.hashResultLen, session.authKey);
      break;
    case "chain":
      parameters.kind = KIND_CHAIN;
      parameters.authenticated = true;
      setCipher(session.cipherAlgo, session.cipherKey);
      setDigest(session.hashAlgo, session.hashResultLen, session.authKey);
      break;
    default:
      throw new Error(`the benchmarks have no ${session.service} sessions`);
  }
  return parameters;
}

/** The engine on requests of `workload` with `sizeBytes` bytes. */
export function engineVariant(workload: Workload, sizeBytes: number): Variant {
  const engine = new Engine(createCatalogue(), null);
  const parameters = sessionRecord(workload.session);
  const prepared = engine.prepare(parameters);
  if (prepared === null) throw new Error(`the engine refuses a key of ${workload.name}`);
  const segments = new SegmentTable(4 * OPERATIONS);
  const template = new Template();
  const { ivLen, resultLen } = workload;
  const isAead = parameters.kind === KIND_AEAD;
  const step = Math.ceil((2 * sizeBytes + 512) / 64) * 64;
  let next = mapAnonymous(step * OPERATIONS).address;
  let first = 0;
  const put = (span: Span, length: number) => {
    if (length === 0) return;
    segments.add(next, length);
    span.set(segments.count - 1 - first, 0, length);
    next += Math.ceil(length / 64) * 64;
  };
  const isDigest = parameters.kind === KIND_HASH || parameters.kind === KIND_MAC;
  template.parameters = parameters;
  template.ivLen = ivLen;
  template.tagLen = isAead ? resultLen : 0;
  template.cipherLen = sizeBytes;
  template.hashLen = sizeBytes;
  const operations = Array.from({ length: OPERATIONS }, (): Operation => {
    first = segments.count;
    put(template.ivSpan, ivLen);
    put(template.src, sizeBytes);
    if (!isDigest) put(template.dst, sizeBytes + template.tagLen);
    if (!isAead) put(template.result, resultLen);
    const operation = new Operation(segments, engine.memory.iv);
    operation.use(template);
    operation.place(first);
    const outcome = engine.execute(operation, prepared);
    if (outcome !== DONE) throw new Error(`the engine refuses ${sizeBytes} bytes of ${workload.name}`);
    return operation;
  });
  return timed("engine", (count) => {
    for (let i = 0; i < count; i++) engine.execute(operations[i % OPERATIONS]!, prepared);
  });
}
