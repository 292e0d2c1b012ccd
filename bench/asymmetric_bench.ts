/**
 * Signing as a job, compared with sequential EVP_PKEY_sign calls on one context. The latter is the loop of
 * `openssl speed rsa2048 ecdsap256`, whose rates should be published with these: run both in turn on an idle machine.
 */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { AkcipherKey } from "../src/engine/asymmetric/akcipher.ts";
import { AkcipherKeySpec } from "../src/engine/asymmetric/job.ts";
import { JobExecutor } from "../src/engine/asymmetric/job_executor.ts";
import { DONE } from "../src/engine/operation.ts";
import { mapSecret } from "../src/os/memory_map.ts";
import { AKCIPHER_ECDSA, AKCIPHER_KEY_PRIVATE, AKCIPHER_RSA, CURVE_NIST_P256 } from "../src/wire/akcipher.ts";
import { RSA_PKCS1_PADDING, RSA_SHA256 } from "../src/wire/akcipher.ts";
import { AKCIPHER_SIGN } from "../src/wire/virtio_crypto.ts";
import { bareSigning, placeKey } from "./support/bare_signing.ts";

const DIGEST_BYTES = 32;
const ROOM_BYTES = 1024;

function derOf(key: KeyObject, type: "pkcs1" | "sec1"): Uint8Array {
  return key.export({ type, format: "der" } as never) as unknown as Uint8Array;
}

/** A function that signs once as a job. */
function signingJob(spec: AkcipherKeySpec): () => void {
  const executor = new JobExecutor();
  const { job } = executor;
  const key = executor.akcipher.prepare(spec);
  if (!(key instanceof AkcipherKey)) throw new Error(`the key is refused with outcome ${key}`);
  const room = mapSecret(2 * ROOM_BYTES);
  job.opcode = AKCIPHER_SIGN;
  job.key = key;
  job.input = room.address;
  job.inputLen = DIGEST_BYTES;
  job.output = room.address + ROOM_BYTES;
  job.outputCapacity = ROOM_BYTES;
  return () => {
    executor.run();
    if (job.outcome !== DONE) throw new Error(`outcome ${job.outcome}`);
  };
}

function specOf(
  algo: number,
  para0: number,
  para1: number,
  place: { address: number; length: number },
): AkcipherKeySpec {
  return Object.assign(new AkcipherKeySpec(), {
    algo,
    keyType: AKCIPHER_KEY_PRIVATE,
    para0,
    para1,
    key: place.address,
    keyLen: place.length,
  });
}

const rsaKey = derOf(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey, "pkcs1");
const ecKey = derOf(generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey, "sec1");
const [rsaPlace, ecPlace] = [placeKey(rsaKey), placeKey(ecKey)];

const rsaJob = signingJob(specOf(AKCIPHER_RSA, RSA_PKCS1_PADDING, RSA_SHA256, rsaPlace));
const rsaBare = bareSigning(rsaKey, "RSA");
const ecJob = signingJob(specOf(AKCIPHER_ECDSA, CURVE_NIST_P256, 0, ecPlace));
const ecBare = bareSigning(ecKey, "P-256");

Deno.bench("RSA-2048 signature, bare", { group: "RSA-2048", baseline: true }, rsaBare);
Deno.bench("RSA-2048 signature, as a job", { group: "RSA-2048" }, rsaJob);
Deno.bench("P-256 signature, bare", { group: "P-256", baseline: true }, ecBare);
Deno.bench("P-256 signature, as a job", { group: "P-256" }, ecJob);
