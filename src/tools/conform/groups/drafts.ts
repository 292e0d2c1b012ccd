/**
 * The normative text of drafts v15 and v5 on the device. Duties that both state in different words have the same check,
 * through a driver of the draft.
 *
 * @module
 */
import { offers } from "../../../driver/config.ts";
import type { CryptoDriver, DataResult } from "../../../driver/crypto_driver.ts";
import type { DataRequest } from "../../../driver/requests.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group, Level } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectEqual, expectStatus, expectThat } from "../expect.ts";
import { concat } from "../oracle.ts";
import {
  aeadSample,
  bytes,
  chainSample,
  cipherSample,
  hashSample,
  hmacSha256,
  macSample,
  type Sample,
} from "../samples.ts";
import { ask, askStateless } from "../ask.ts";
import { needsOf } from "./needs.ts";

/** Lines of the duty in the texts of v15 and v5. */
interface Lines {
  readonly v15?: number;
  readonly v5?: number;
}

/** A clause of either draft. */
function clause(
  id: string,
  duty: string,
  { level = "MUST", sample, ...lines }: Lines & { readonly level?: Level; readonly sample?: Sample },
  run: Clause["run"],
): Clause {
  return { id, level, duty, reference: lines, ...(sample === undefined ? {} : { needs: needsOf(sample) }), run };
}

/** The results of `sample` with a session and, if the draft has that, without one. */
async function askInModes(driver: CryptoDriver, sample: Sample, changes = {}): Promise<DataResult[]> {
  const results = [await ask(driver, sample, changes)];
  if (driver.draft === "v15") results.push(await askStateless(driver, sample, changes));
  return results;
}

/** A clause: `sample` is answered correctly in each mode. */
function answers(id: string, duty: string, lines: Lines, sample: Sample): Clause {
  return clause(id, duty, { ...lines, sample }, async (context) => {
    for (const result of await askInModes(await context.driver(), sample)) expectAnswer(result, sample);
  });
}

/** A clause: `status` of requests like `sample` describes the outcome. */
function statuses(id: string, lines: Lines, sample: Sample): Clause {
  return clause(
    id,
    "status is the value of the enumeration that describes the outcome",
    { ...lines, sample },
    async (context) => {
      const driver = await context.driver();
      for (const result of await askInModes(driver, sample)) expectStatus(result, w.STATUS_OK);
      const unknown = await driver.request({ ...sample.request, sessionId: 0x7fff_ffff } as DataRequest);
      expectStatus(unknown, w.STATUS_INVSESS, "a session that does not exist");
      const tooLong = { claims: { srcDataLen: 0x7fff_fff0 } };
      for (const result of await askInModes(driver, sample, tooLong)) {
        expectStatus(
          result,
          w.STATUS_ERR,
          "a false length",
        );
      }
    },
  );
}

async function checkDataqueues(context: CheckContext): Promise<void> {
  const { maxDataqueues } = (await context.driver()).config!;
  expectThat(maxDataqueues >= 1 && maxDataqueues <= 65535, `max_dataqueues ${maxDataqueues}`, "1 to 65535");
}

async function checkReady(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  expectEqual(driver.config!.status & w.S_HW_READY, w.S_HW_READY, "status");
  expectAnswer(await ask(driver, cipherSample()), cipherSample());
}

/** Every announced service has algorithms, and every service with algorithms is announced. */
async function checkServices(context: CheckContext): Promise<void> {
  const { cryptoServices, cipherAlgo, hashAlgo, macAlgo, aeadAlgo } = (await context.driver()).config!;
  [cipherAlgo, hashAlgo, macAlgo, aeadAlgo].forEach((mask, service) => {
    expectEqual(offers(cryptoServices, service), mask !== 0 && mask !== 0n, `crypto_services bit ${service}`);
  });
  expectThat(cryptoServices !== 0, "no service", "at least one");
}

/** Announced algorithms can be used, others are refused. */
async function checkMasks(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const sample = cipherSample();
  expectAnswer(await ask(driver, sample), sample);
  const session = { ...sample.session, algo: 63 } as Sample["session"];
  expectStatus(await driver.tryCreateSession(session), w.STATUS_NOTSUPP, "algorithm 63");
}

/** A request with `size` bytes in total is answered, a longer one is ERR. */
async function checkMaxSize(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const size = Number(driver.config!.maxSize!);
  expectThat(size > 64, `max_size ${size}`, "room for a request");
  if (size > 1 << 23) return;
  const sample = hashSample();
  const src = new Uint8Array(size - 32);
  expectStatus(await ask(driver, sample, { src }), w.STATUS_OK, "max_size bytes");
  expectStatus(await ask(driver, sample, { src: new Uint8Array(size - 31) }), w.STATUS_ERR, "max_size + 1 bytes");
}

async function checkSessionIds(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const ids = new Set<number>();
  const samples = [cipherSample(), hashSample(), macSample(), aeadSample(), chainSample()];
  for (const { session } of samples) ids.add(await driver.createSession(session));
  expectEqual(ids.size, samples.length, "different session ids");
}

async function checkCreateStatus(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const { session } = cipherSample();
  expectStatus(await driver.tryCreateSession(session), w.STATUS_OK);
  expectStatus(await driver.tryCreateSession(session, { claims: { op: 3 } }), w.STATUS_ERR, "an undefined direction");
  expectStatus(await driver.tryCreateSession(session, { claims: { opType: 0 } }), w.STATUS_NOTSUPP, "op_type NONE");
}

async function checkDestroyStatus(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const sessionId = await driver.createSession(hashSample().session);
  expectEqual(await driver.destroySession("hash", sessionId), w.STATUS_OK, "status");
  expectEqual(await driver.destroySession("hash", sessionId), w.STATUS_ERR, "status of a second time");
}

/** `op_type` selects the structure that is parsed, and must agree with the session's kind. */
async function checkOpType(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  for (const sample of [cipherSample(), chainSample()]) {
    for (const result of await askInModes(driver, sample)) expectAnswer(result, sample);
    const sessionId = await driver.createSession(sample.session);
    const other = sample.session.service === "chain" ? cipherSample() : chainSample();
    expectStatus(await driver.request({ ...other.request, sessionId } as DataRequest), w.STATUS_ERR, "the other kind");
  }
}

async function checkDirections(driver: CryptoDriver, sampleOf: (op: number) => Sample): Promise<void> {
  for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) {
    const sample = sampleOf(op);
    for (const result of await askInModes(driver, sample)) expectAnswer(result, sample);
    const other = op === w.OP_ENCRYPT ? w.OP_DECRYPT : w.OP_ENCRYPT;
    for (const result of await askInModes(driver, sample, { op: other })) {
      expectStatus(result, w.STATUS_ERR, "the other one");
    }
  }
}

/** Additional data is digested before the data, in both orders of a chain. */
async function checkAad(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  for (const algChainOrder of [w.CHAIN_CIPHER_THEN_HASH, w.CHAIN_HASH_THEN_CIPHER]) {
    const sample = chainSample({ algChainOrder });
    const { authKey } = sample.session as { authKey: Uint8Array };
    const { src } = sample.request as { src: Uint8Array };
    for (const aad of [new Uint8Array(), bytes(24, 12)]) {
      for (const { status, dst, result } of await askInModes(driver, sample, { aad })) {
        expectStatus({ status }, w.STATUS_OK);
        const digested = algChainOrder === w.CHAIN_HASH_THEN_CIPHER ? src : dst;
        expectEqual(result, hmacSha256(authKey, concat(aad, digested)), `digest with ${aad.length} bytes`);
      }
    }
  }
}

async function checkVerification(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  const sample = aeadSample(w.OP_DECRYPT);
  for (const result of await askInModes(driver, sample)) expectAnswer(result, sample);
  const { src } = sample.request as { src: Uint8Array };
  for (const at of [0, src.length - 1]) {
    const forged = src.slice();
    forged[at]! ^= 0x40;
    for (const result of await askInModes(driver, sample, { src: forged })) {
      expectStatus(result, w.STATUS_BADMSG, `byte ${at} changed`);
    }
  }
}

async function checkFlag(context: CheckContext): Promise<void> {
  const driver = await context.driver();
  for (const sample of [cipherSample(), chainSample()]) {
    for (const result of await askInModes(driver, sample)) expectAnswer(result, sample);
    for (const flag of [0, 3, 0xffff_ffff]) {
      expectStatus(await ask(driver, sample, { flag }), w.STATUS_ERR, `flag ${flag}`);
    }
  }
}

async function checkKeyLimits(context: CheckContext, isCipher: boolean): Promise<void> {
  const { maxCipherKeyLen, maxAuthKeyLen } = (await context.driver()).config!;
  const limit = isCipher ? maxCipherKeyLen : maxAuthKeyLen;
  expectThat(limit !== undefined && limit >= 16, `a limit of ${limit} bytes`, "at least 16");
}

const V15: readonly Clause[] = [
  clause("dataqueues", "max_dataqueues is between 1 and 65535", { v15: 303 }, checkDataqueues),
  clause("ready", "status shows that the device is ready", { v15: 304, sample: cipherSample() }, checkReady),
  clause("serves", "requests are handled once HW_READY is set", { v15: 305, sample: cipherSample() }, checkReady),
  clause("services", "crypto_services lists the offered services", { v15: 306 }, checkServices),
  clause("masks", "the masks list the offered algorithms", { v15: 307, sample: cipherSample() }, checkMasks),
  clause("max-size", "max_size is the maximum size of a request", { v15: 308, sample: hashSample() }, checkMaxSize),
  clause("cipher-key", "max_cipher_key_len is set", { v15: 309 }, (context) => checkKeyLimits(context, true)),
  clause("auth-key", "max_auth_key_len is set", { v15: 310 }, (context) => checkKeyLimits(context, false)),
  clause("accelerator", "the device executes operations", { v15: 340, sample: cipherSample() }, checkReady),
  clause("capacities", "crypto_services lists exactly the services that are executed", { v15: 341 }, checkServices),
  clause("session-id", "session_id of a new session identifies it", { v15: 683 }, checkSessionIds),
  clause(
    "create-status",
    "status of a creation describes its outcome",
    { v15: 684, sample: cipherSample() },
    checkCreateStatus,
  ),
  clause(
    "destroy-status",
    "status of a destruction describes its outcome",
    { v15: 699, sample: hashSample() },
    checkDestroyStatus,
  ),
  answers("hash-result", "the result of HASH is copied to hash_result", { v15: 784 }, hashSample()),
  statuses("hash-status", { v15: 785 }, hashSample()),
  answers("mac-result", "the result of MAC is copied to hash_result", { v15: 840 }, macSample()),
  statuses("mac-status", { v15: 841 }, macSample()),
  clause("flag", "flag states whether a request uses a session", { v15: 1022, sample: chainSample() }, checkFlag),
  clause(
    "sym-opcode",
    "a symmetric request is parsed by its opcode",
    { v15: 1023, sample: cipherSample() },
    async (context) => await checkDirections(await context.driver(), cipherSample),
  ),
  clause(
    "sym-cipher",
    "op_type CIPHER selects the cipher's structure alone",
    { v15: 1024, level: "SHOULD", sample: chainSample() },
    checkOpType,
  ),
  answers("sym-chain", "op_type ALGORITHM_CHAINING selects the chain's structure", { v15: 1025 }, chainSample()),
  answers("sym-dst", "the cipher's result is copied to dst_data", { v15: 1027 }, chainSample()),
  clause("sym-aad", "additional data is parsed if there is any", { v15: 1028, sample: chainSample() }, checkAad),
  answers("sym-result", "a chain's digest is copied to hash_result", { v15: 1029 }, chainSample()),
  statuses("sym-status", { v15: 1030 }, cipherSample()),
  clause(
    "aead-opcode",
    "an AEAD request is parsed by its opcode",
    { v15: 1164, sample: aeadSample() },
    async (context) => await checkDirections(await context.driver(), aeadSample),
  ),
  answers("aead-dst", "AEAD's result is copied to dst_data", { v15: 1165 }, aeadSample()),
  answers("aead-tag", "the tag follows the result in dst_data", { v15: 1166 }, aeadSample()),
  statuses("aead-status", { v15: 1167 }, aeadSample()),
  clause("aead-verification", "a wrong tag is BADMSG", { v15: 1168, sample: aeadSample() }, checkVerification),
];

const V5: readonly Clause[] = [
  clause("dataqueues", "max_dataqueues is between 1 and 65535", { v5: 132 }, checkDataqueues),
  clause(
    "ready",
    "status shows that the device is ready",
    { v5: 133, level: "SHOULD", sample: cipherSample() },
    checkReady,
  ),
  clause("services", "crypto_services lists the offered services", { v5: 134 }, checkServices),
  clause("masks", "the masks list the offered algorithms", { v5: 135, sample: cipherSample() }, checkMasks),
  clause("accelerator", "the device executes operations", { v5: 156, sample: cipherSample() }, checkReady),
  clause("capacities", "crypto_services lists exactly the services that are executed", { v5: 157 }, checkServices),
  clause("session-id", "a creation returns a session identifier", { v5: 439 }, checkSessionIds),
  clause(
    "create-status",
    "a creation ends with session_id and status",
    { v5: 441, sample: cipherSample() },
    checkCreateStatus,
  ),
  clause(
    "create-values",
    "status of a creation describes its outcome",
    { v5: 442, sample: cipherSample() },
    checkCreateStatus,
  ),
  clause(
    "destroy-status",
    "status of a destruction describes its outcome",
    { v5: 455, sample: hashSample() },
    checkDestroyStatus,
  ),
  answers("hash-result", "the result of HASH is copied to digest_result_addr", { v5: 526 }, hashSample()),
  statuses("hash-status", { v5: 528 }, hashSample()),
  answers("mac-result", "the result of MAC is copied to its address", { v5: 563 }, macSample()),
  statuses("mac-status", { v5: 563 }, macSample()),
  clause(
    "sym-session",
    "a symmetric request is parsed by its session",
    { v5: 657, sample: cipherSample() },
    async (context) => await checkDirections(await context.driver(), cipherSample),
  ),
  clause(
    "sym-cipher",
    "a cipher's session selects the cipher's structure",
    { v5: 658, level: "SHOULD", sample: chainSample() },
    checkOpType,
  ),
  clause(
    "sym-aad",
    "a chain's session selects the chain's",
    { v5: 660, level: "SHOULD", sample: chainSample() },
    checkAad,
  ),
  answers("sym-dst", "the cipher's result is copied to dst_data_addr", { v5: 663 }, cipherSample()),
  answers("sym-result", "a chain's digest is copied to digest_result_addr", { v5: 664 }, chainSample()),
  statuses("sym-status", { v5: 665 }, cipherSample()),
  answers("aead-result", "text and tag of AEAD are copied to their addresses", { v5: 663 }, aeadSample()),
  statuses("aead-status", { v5: 665 }, aeadSample()),
  clause(
    "aead-verification",
    "the tag of a decryption is verified",
    { v5: 766, sample: aeadSample() },
    checkVerification,
  ),
  clause("aead-badmsg", "a wrong tag is BADMSG", { v5: 768, sample: aeadSample() }, checkVerification),
];

/** Draft v15. */
export const DRAFT_V15: Group = { name: "draft-v15", title: "Draft v15", draft: "v15", clauses: V15 };
/** Draft v5. */
export const DRAFT_V5: Group = { name: "draft-v5", title: "Draft v5", draft: "v5", clauses: V5 };
