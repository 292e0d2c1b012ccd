/**
 * A session is created if some request with its lengths succeeds, and refused if none would: for every algorithm, every
 * length around its bounds, every form of session, and requests that bring the same parameters themselves.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { DataRequest } from "../../src/driver/requests.ts";
import type { AeadSession, ChainSession, SessionParameters } from "../../src/driver/sessions.ts";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import { ENGINES } from "../../src/engine/libraries.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { bytes, FEATURES, keyOf } from "../conformance/support.ts";
import { withDevice } from "./harness.ts";

const { ciphers, hashes, macs, aeads, notes } = createCatalogue(ENGINES);
for (const note of notes) console.warn(`SKIPPED: ${note}`);

const LAYOUTS = ["qemu-2.12", "qemu-7.1", "qemu-8.1"] as const;
const MAX_SIZE = 4 << 20;
const HUGE = [0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/** A session, and whether it is to be created. */
interface Case {
  readonly session: SessionParameters;
  readonly isCreated: boolean;
}

/** A key of `length` bytes, for XTS with halves that differ. */
const key = keyOf;

/** A length of key that `row` takes, 16 if it can be. */
function someKeyLen({ keyLens }: { readonly keyLens?: ReadonlySet<number> }): number {
  return keyLens!.has(16) ? 16 : [...keyLens!][0]!;
}

/** The lengths around those in `lens`. */
function around(lens: Iterable<number>): number[] {
  return [...new Set([...lens].flatMap((length) => [length - 1, length, length + 1]))].filter((length) => length >= 0);
}

/** Key lengths of ciphers and AEADs, one at a time. */
function* keyCases(): Iterable<Case> {
  for (const [algo, { keyLens }] of ciphers) {
    for (const length of around([...keyLens, 0, 64])) {
      const session = { service: "cipher", algo, key: key(length), op: w.OP_ENCRYPT } as const;
      yield { session, isCreated: keyLens.has(length) };
    }
  }
  for (const [algo, { keyLens, tagLens }] of aeads) {
    for (const length of around([...keyLens, 0, 64])) {
      const session = {
        service: "aead",
        algo,
        key: key(length),
        tagLen: [...tagLens].at(-1)!,
        op: w.OP_ENCRYPT,
      } as const;
      yield { session, isCreated: keyLens.has(length) };
    }
  }
  for (const [algo, row] of macs) {
    for (const length of around([...row.keyLens!].length > 3 ? [0, 64, 512] : [...row.keyLens!, 0])) {
      const session = { service: "mac", algo, authKey: key(length), hashResultLen: 0 } as const;
      yield { session, isCreated: row.keyLens!.has(length) };
    }
  }
}

/** Tag lengths that the documents have: SP 800-38D, 5.2.1.2; SP 800-38C, A.1; RFC 8439, 2.8. */
const TAG_LENS: ReadonlyMap<number, readonly number[]> = new Map([
  [w.AEAD_GCM, [4, 8, 12, 13, 14, 15, 16]],
  [w.AEAD_CCM, [4, 6, 8, 10, 12, 14, 16]],
  [w.AEAD_CHACHA20_POLY1305, [16]],
]);

function* tagCases(): Iterable<Case> {
  for (const [algo, row] of aeads) {
    for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) {
      for (const tagLen of [...Array(34).keys(), 64, 65, 255, 256, 272, 65552, ...HUGE]) {
        const session = { service: "aead", algo, key: key(someKeyLen(row)), tagLen, op } as const;
        yield { session, isCreated: tagLen === 0 || TAG_LENS.get(algo)!.includes(tagLen) };
      }
    }
  }
}

function* digestCases(): Iterable<Case> {
  const cases = (digestBytes: number) =>
    digestBytes === 0
      ? [0, 1, 2048, MAX_SIZE, MAX_SIZE + 1, ...HUGE]
      : [...Array(digestBytes + 2).keys(), 256, 256 + digestBytes, 65536 + digestBytes, ...HUGE];
  for (const [algo, { digestBytes }] of hashes) {
    for (const hashResultLen of cases(digestBytes)) {
      const isCreated = hashResultLen <= (digestBytes || MAX_SIZE);
      yield { session: { service: "hash", algo, hashResultLen }, isCreated };
    }
  }
  for (const [algo, row] of macs) {
    for (const hashResultLen of cases(row.digestBytes)) {
      const session = { service: "mac", algo, hashResultLen, authKey: key(someKeyLen(row)) } as const;
      yield { session, isCreated: hashResultLen <= row.digestBytes };
    }
  }
}

/** Most bytes of additional data that a MAC takes in a chain (TS 35.201; TS 35.221), if not as many as fit. */
const INPUT_MAX: ReadonlyMap<number, number> = new Map([[w.MAC_KASUMI_F9, 2500], [w.MAC_ZUC_EIA3, 16 + 8188]]);

function chainOf(cipherAlgo: number, hashMode: number, hashAlgo: number): ChainSession {
  const isKeyed = hashMode === w.HASH_MODE_AUTH;
  return {
    service: "chain",
    algChainOrder: w.CHAIN_CIPHER_THEN_HASH,
    hashMode,
    cipherAlgo,
    cipherKey: key(someKeyLen(ciphers.get(cipherAlgo)!)),
    op: w.OP_ENCRYPT,
    hashAlgo,
    hashResultLen: 0,
    ...(isKeyed ? { authKey: key(someKeyLen(macs.get(hashAlgo)!)) } : {}),
  };
}

/** Every pair of cipher and digest; then digest lengths and additional data of one pair for each digest. */
function* chainCases(): Iterable<Case> {
  const digests = [
    ...[...hashes.values()].map((row) => [w.HASH_MODE_PLAIN, row] as const),
    ...[...macs.values()].map((row) => [w.HASH_MODE_AUTH, row] as const),
  ];
  for (const cipherAlgo of ciphers.keys()) {
    for (const [hashMode, { algo }] of digests) {
      const session = chainOf(cipherAlgo, hashMode, algo);
      yield { session, isCreated: true };
    }
  }
  for (const [hashMode, { algo, digestBytes }] of digests) {
    const session = chainOf(w.CIPHER_AES_CTR, hashMode, algo);
    for (const hashResultLen of [1, digestBytes || 2048, (digestBytes || MAX_SIZE) + 1, ...HUGE]) {
      yield { session: { ...session, hashResultLen }, isCreated: hashResultLen <= (digestBytes || 2048) };
    }
    const most = hashMode === w.HASH_MODE_AUTH ? INPUT_MAX.get(algo) : undefined;
    for (const aadLen of [1, 15, 16, 17, 2500, 2501, 8204, 8205, ...HUGE]) {
      yield { session: { ...session, aadLen }, isCreated: aadLen <= (most ?? 1 << 20) };
    }
  }
  const known = chainOf(w.CIPHER_AES_CBC, w.HASH_MODE_AUTH, w.MAC_HMAC_SHA_256);
  for (const changes of [{ algChainOrder: 0 }, { algChainOrder: 3 }, { hashMode: 0 }, { hashMode: 3 }]) {
    yield { session: { ...known, ...changes }, isCreated: false };
  }
}

/** Additional data as long as a request can have, and a byte more. */
function* longAadCases(): Iterable<Case> {
  for (const [algo, row] of aeads) {
    for (const tagLen of [0, 16]) {
      const fixed = { service: "aead", algo, key: key(someKeyLen(row)), tagLen, op: w.OP_ENCRYPT } as const;
      const most = MAX_SIZE - row.ivLenMin - (tagLen || Math.min(...TAG_LENS.get(algo)!));
      yield { session: { ...fixed, aadLen: most }, isCreated: true };
      yield { session: { ...fixed, aadLen: most + 1 }, isCreated: false };
    }
  }
  const chain = chainOf(w.CIPHER_AES_CTR, w.HASH_MODE_AUTH, w.MAC_HMAC_SHA_256);
  for (const hashResultLen of [0, 32]) {
    const most = MAX_SIZE - 16 - (hashResultLen || 1);
    yield { session: { ...chain, hashResultLen, aadLen: most }, isCreated: true };
    yield { session: { ...chain, hashResultLen, aadLen: most + 1 }, isCreated: false };
  }
}

/** Requests with the lengths that `session` fixes, some of which an algorithm takes if it takes any. */
function* requestsFor(session: SessionParameters): Iterable<DataRequest> {
  const op = "op" in session ? session.op : 0;
  const sources = [0, 16, 17, 32];
  switch (session.service) {
    case "cipher":
      for (const ivLen of [0, 8, 16]) yield { service: "cipher", op, iv: bytes(ivLen), src: bytes(32) };
      return;
    case "hash":
    case "mac":
      for (const length of sources) {
        yield { service: session.service, src: bytes(length), hashResultLen: session.hashResultLen || 1 };
      }
      return;
    case "aead":
      yield* aeadRequests(session);
      return;
    case "chain":
      for (const ivLen of [0, 8, 16]) {
        const aad = new Uint8Array(session.aadLen ?? 0);
        for (const length of aad.length > 1 << 20 ? [0] : [...sources, 16 - aad.length % 16]) {
          const [iv, src] = [bytes(ivLen), bytes(length)];
          const common = { lenToCipher: 0, hashResultLen: session.hashResultLen || 1 };
          yield { service: "chain", op, iv, src, aad, ...common };
        }
      }
  }
}

function* aeadRequests({ op, tagLen, aadLen = 0 }: AeadSession): Iterable<DataRequest> {
  const tagLens = tagLen === 0 ? [16, 4] : [tagLen];
  for (const ivLen of [12, 7, 1]) {
    for (const tag of tagLens) {
      const common = { op, iv: bytes(ivLen), aad: new Uint8Array(aadLen), tagLen: tag };
      // Of a source that is no ciphertext the tag is wrong, which tells that lengths are not.
      const src = op === w.OP_DECRYPT ? bytes(tag <= 65552 ? tag + 5 : 5) : new Uint8Array(aadLen > 1000 ? 0 : 5);
      const claims = { dstDataLen: op === w.OP_DECRYPT ? 5 : src.length + (tag <= 65552 ? tag : 16) };
      yield { service: "aead", src, claims, ...common };
    }
  }
}

/** True if `status` says that lengths were valid. */
const isAnswer = (status: number) => status === w.STATUS_OK || status === w.STATUS_BADMSG;

function about(session: SessionParameters): string {
  return JSON.stringify(session, (_, value) => value instanceof Uint8Array ? `${value.length} bytes` : value);
}

/** Creates, uses and destroys the session of `one`; returns the status of its creation. */
async function tryCase(driver: CryptoDriver, { session, isCreated }: Case, form: string): Promise<number> {
  const { status, sessionId } = await driver.tryCreateSession(session);
  assertEquals(status === w.STATUS_OK, isCreated, `${form}: ${about(session)}: status ${status}`);
  if (!isCreated) return status;
  const statuses: number[] = [];
  for (const request of requestsFor(session)) {
    const answer = await driver.request({ ...request, sessionId } as DataRequest, { guards: false });
    statuses.push(answer.status);
    if (isAnswer(answer.status)) break;
  }
  assert(statuses.some(isAnswer), `${form}: no request succeeds with ${about(session)}: ${statuses}`);
  assertEquals(await driver.destroySession(session.service, sessionId), w.STATUS_OK);
  return status;
}

/** No request that brings the parameters of a refused session gets another status. */
async function tryStateless(driver: CryptoDriver, { session, isCreated }: Case, status: number): Promise<void> {
  const statuses: number[] = [];
  for (const request of requestsFor(session)) {
    const answer = await driver.request({ ...request, stateless: session } as DataRequest, { guards: false });
    statuses.push(answer.status);
    if (isCreated && isAnswer(answer.status)) return;
  }
  assert(!isCreated, `no stateless request succeeds with ${about(session)}: ${statuses}`);
  assertEquals([...new Set(statuses)], [status], `stateless: ${about(session)}`);
}

/** Lengths that a request could not even have are not asked for without a session. */
function canAsk({ session }: Case): boolean {
  const { tagLen = 0, hashResultLen = 0, aadLen = 0 } = session as Partial<AeadSession & ChainSession>;
  return Math.max(tagLen, hashResultLen, aadLen) < MAX_SIZE;
}

const GROUPS: readonly [name: string, cases: () => Iterable<Case>][] = [
  ["keys", keyCases],
  ["tags", tagCases],
  ["digests", digestCases],
  ["chains", chainCases],
  ["long additional data", longAadCases],
];

for (const [name, cases] of GROUPS) {
  Deno.test(`a session is created if a request with its lengths succeeds, and not otherwise: ${name}`, () =>
    withDevice({}, async (device) => {
      const fixed = await device.connect({ features: FEATURES.fixed });
      const statuses: number[] = [];
      for (const one of cases()) statuses.push(await tryCase(fixed, one, "fixed"));
      await fixed.close();
      const mux = await device.connect({ features: FEATURES.stateless });
      for (const [i, one] of [...cases()].entries()) {
        assertEquals(await tryCase(mux, one, "mux"), statuses[i], about(one.session));
        if (canAsk(one)) await tryStateless(mux, one, statuses[i]!);
      }
      await mux.close();
      for (const sessionLayout of LAYOUTS) {
        const driver = await device.connect({ deviceModel: "cryptodev", sessionLayout });
        for (const [i, one] of [...cases()].entries()) {
          if (one.session.service !== "cipher" && one.session.service !== "chain") continue;
          // A message says op_type and direction in a byte each, and has room for keys of 64 and 512 bytes.
          assertEquals(
            await tryCase(driver, one, sessionLayout),
            statuses[i],
            `${sessionLayout}: ${about(one.session)}`,
          );
        }
        await driver.close();
      }
      console.log(`${statuses.length} sessions, ${statuses.filter((status) => status !== w.STATUS_OK).length} refused`);
    }));
}
