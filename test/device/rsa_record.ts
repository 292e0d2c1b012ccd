/**
 * The parameters of an RSA session.
 *
 * @module
 */
import { generateKeyPairSync } from "node:crypto";
import { KIND_AKCIPHER, Parameters } from "../../src/engine/operation.ts";
import { mapAnonymous } from "../../src/os/memory_map.ts";
import * as ak from "../../src/wire/akcipher.ts";

/** An RSA key as a session has it. */
export function rsaRecord(): Parameters {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const der = new Uint8Array(privateKey.export({ type: "pkcs1", format: "der" }));
  const memory = mapAnonymous(4096);
  new Uint8Array(memory.buffer).set(der);
  return Object.assign(new Parameters(), {
    kind: KIND_AKCIPHER,
    algo: ak.AKCIPHER_RSA,
    keyType: ak.AKCIPHER_KEY_PRIVATE,
    keyLen: der.length,
    cipherKey: memory.address,
  });
}
