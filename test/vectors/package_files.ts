/**
 * Known answers from the files of Debian's package python3-cryptography-vectors: NIST's validation files, and answers
 * from RFCs, OpenSSL and BoringSSL in the same format. This file maps files to algorithms.
 *
 * Left out as whole files: Monte Carlo chains, modes that the device does not have (CFB, OFB, interleaved CBC), and the
 * copies of DVPT that only add the reason of a failure. `leftOut` counts single answers that are left out.
 *
 * @module
 */

import * as v from "../../src/wire/virtio_crypto.ts";
import { concat } from "../bytes.ts";
import {
  aeadBothWays,
  type AeadCase,
  aeadOpens,
  aeadSeals,
  cipherAnswer,
  cipherBothWays,
  counting,
  digestAnswer,
  EMPTY,
  type KnownAnswer,
  xor,
} from "./answer.ts";
import { arc4Keystream } from "./arc4.ts";
import { type NistRecord, nistRecords } from "./nist_format.ts";

/** The answers of a record, or the reason why it is left out. */
export type Reading = KnownAnswer[] | string;

/** A file and an algorithm that it has answers for. */
export interface VectorFile {
  /** Below the package's directory. */
  path: string;
  /** The service it is read for. */
  service: number;
  /** The algorithm it is read for. */
  algo: number;
  /** Turns a record, to be called `source`, into answers. */
  read(record: NistRecord, source: string): Reading;
}

const ROOT = "/usr/lib/python3/dist-packages/cryptography_vectors";
const PACKAGE = "python3-cryptography-vectors";

/** Every file, in a fixed order. */
export const PACKAGE_FILES: readonly VectorFile[] = [
  ...aesFiles("ECB", v.SERVICE_CIPHER, v.CIPHER_AES_ECB, readBlockCipher),
  ...aesFiles("CBC", v.SERVICE_CIPHER, v.CIPHER_AES_CBC, readBlockCipher),
  ...aesFiles("CBC", v.SERVICE_MAC, v.MAC_CBCMAC_AES, readCbcMac),
  ...files(v.SERVICE_CIPHER, v.CIPHER_AES_CTR, "ciphers/AES/CTR/aes-{128,192,256}-ctr.txt", readRfc3686),
  ...files(v.SERVICE_CIPHER, v.CIPHER_AES_XTS, "ciphers/AES/XTS/tweak-128hexstr/XTSGenAES{128,256}.rsp", readXts),
  ...files(v.SERVICE_CIPHER, v.CIPHER_AES_XTS, "ciphers/AES/XTS/tweak-dataunitseqno/XTSGenAES{128,256}.rsp", readXts),
  ...files(v.SERVICE_CIPHER, v.CIPHER_3DES_ECB, "ciphers/3DES/ECB/TECBMMT{1,2,3}.rsp", readBlockCipher),
  ...files(v.SERVICE_CIPHER, v.CIPHER_3DES_CBC, "ciphers/3DES/CBC/TCBCMMT{1,2,3}.rsp", readBlockCipher),
  ...tripleDesKnownAnswerFiles("ECB", v.CIPHER_3DES_ECB, readBlockCipher),
  ...tripleDesKnownAnswerFiles("CBC", v.CIPHER_3DES_CBC, readBlockCipher),
  ...files(v.SERVICE_CIPHER, v.CIPHER_3DES_CTR, "ciphers/3DES/ECB/TECBMMT{1,2,3}.rsp", readCounterBlock),
  ...tripleDesKnownAnswerFiles("ECB", v.CIPHER_3DES_CTR, readCounterBlock),
  ...tripleDesKnownAnswerFiles("ECB", v.CIPHER_DES_ECB, readSingleDes),
  ...tripleDesKnownAnswerFiles("CBC", v.CIPHER_DES_CBC, readSingleDes),
  ...files(v.SERVICE_CIPHER, v.CIPHER_ARC4, "ciphers/ARC4/rfc-6229-{40,56,64,80,128,192,256}.txt", readArc4),
  ...files(v.SERVICE_CIPHER, v.CIPHER_ARC4, "ciphers/ARC4/arc4.txt", readArc4),

  ...files(v.SERVICE_HASH, v.HASH_MD5, "hashes/MD5/rfc-1321.txt", readHash),
  ...hashFiles(v.HASH_SHA1, "hashes/SHA1/SHA1"),
  ...hashFiles(v.HASH_SHA_224, "hashes/SHA2/SHA224"),
  ...hashFiles(v.HASH_SHA_256, "hashes/SHA2/SHA256"),
  ...hashFiles(v.HASH_SHA_384, "hashes/SHA2/SHA384"),
  ...hashFiles(v.HASH_SHA_512, "hashes/SHA2/SHA512"),
  ...hashFiles(v.HASH_SHA3_224, "hashes/SHA3/SHA3_224"),
  ...hashFiles(v.HASH_SHA3_256, "hashes/SHA3/SHA3_256"),
  ...hashFiles(v.HASH_SHA3_384, "hashes/SHA3/SHA3_384"),
  ...hashFiles(v.HASH_SHA3_512, "hashes/SHA3/SHA3_512"),
  ...files(v.SERVICE_HASH, v.HASH_SHA3_SHAKE128, "hashes/SHAKE/SHAKE128{ShortMsg,LongMsg,VariableOut}.rsp", readShake),
  ...files(v.SERVICE_HASH, v.HASH_SHA3_SHAKE256, "hashes/SHAKE/SHAKE256{ShortMsg,LongMsg,VariableOut}.rsp", readShake),

  ...files(v.SERVICE_MAC, v.MAC_HMAC_MD5, "HMAC/rfc-2202-md5.txt", readHmac),
  ...files(v.SERVICE_MAC, v.MAC_HMAC_SHA1, "HMAC/rfc-2202-sha1.txt", readHmac),
  ...files(v.SERVICE_MAC, v.MAC_HMAC_SHA_224, "HMAC/rfc-4231-sha224.txt", readHmac),
  ...files(v.SERVICE_MAC, v.MAC_HMAC_SHA_256, "HMAC/rfc-4231-sha256.txt", readHmac),
  ...files(v.SERVICE_MAC, v.MAC_HMAC_SHA_384, "HMAC/rfc-4231-sha384.txt", readHmac),
  ...files(v.SERVICE_MAC, v.MAC_HMAC_SHA_512, "HMAC/rfc-4231-sha512.txt", readHmac),
  ...files(v.SERVICE_MAC, v.MAC_CMAC_AES, "CMAC/nist-800-38b-aes{128,192,256}.txt", readCmac),
  ...files(v.SERVICE_MAC, v.MAC_CMAC_3DES, "CMAC/nist-800-38b-3des.txt", readCmac),
  ...files(v.SERVICE_MAC, v.MAC_GMAC_AES, "ciphers/AES/GCM/gcmEncryptExtIV{128,192,256}.rsp", readGmac),
  ...files(v.SERVICE_MAC, v.MAC_GMAC_AES, "ciphers/AES/GCM/gcmDecrypt{128,192,256}.rsp", readGmac),

  ...files(v.SERVICE_AEAD, v.AEAD_GCM, "ciphers/AES/GCM/gcmEncryptExtIV{128,192,256}.rsp", readGcm),
  ...files(v.SERVICE_AEAD, v.AEAD_GCM, "ciphers/AES/GCM/gcmDecrypt{128,192,256}.rsp", readGcm),
  ...files(v.SERVICE_AEAD, v.AEAD_CCM, "ciphers/AES/CCM/DVPT{128,192,256}.rsp", readCcm),
  ...files(v.SERVICE_AEAD, v.AEAD_CCM, "ciphers/AES/CCM/VADT{128,192,256}.rsp", readCcm),
  ...files(v.SERVICE_AEAD, v.AEAD_CCM, "ciphers/AES/CCM/VNT{128,192,256}.rsp", readCcm),
  ...files(v.SERVICE_AEAD, v.AEAD_CCM, "ciphers/AES/CCM/VPT{128,192,256}.rsp", readCcm),
  ...files(v.SERVICE_AEAD, v.AEAD_CCM, "ciphers/AES/CCM/VTT{128,192,256}.rsp", readCcm),
  ...files(v.SERVICE_AEAD, v.AEAD_CHACHA20_POLY1305, "ciphers/ChaCha20Poly1305/{openssl,boringssl}.txt", readChaCha20),
];

/** The readings of a file in its order; none when the file is absent. */
export function* packageReadings(file: VectorFile): Generator<Reading> {
  let text: string;
  try {
    text = Deno.readTextFileSync(`${ROOT}/${file.path}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  let number = 0;
  for (const record of nistRecords(text, file.path)) yield file.read(record, `${file.path} #${++number}`);
}

/** A sentence that names absent files and their Debian package. */
export function missingSources(): string[] {
  const absent = (path: string) => {
    try {
      Deno.statSync(path);
      return false;
    } catch {
      return true;
    }
  };
  if (absent(ROOT)) return [`${ROOT} (Debian package ${PACKAGE})`];
  const paths = [...new Set(PACKAGE_FILES.map((file) => `${ROOT}/${file.path}`))];
  return paths.filter(absent).map((path) => `${path} (Debian package ${PACKAGE})`);
}

/** A file for each alternative in the braces of `pattern`. */
function files(service: number, algo: number, pattern: string, read: VectorFile["read"]): VectorFile[] {
  const [, head, alternatives, tail] = /^(.*)\{(.*)\}(.*)$/.exec(pattern) ?? ["", pattern, "", ""];
  return alternatives!.split(",").map((each) => ({ path: `${head}${each}${tail}`, service, algo, read }));
}

function aesFiles(mode: string, service: number, algo: number, read: VectorFile["read"]): VectorFile[] {
  const kinds = ["GFSbox", "KeySbox", "VarKey", "VarTxt", "MMT"];
  return kinds.flatMap((kind) => files(service, algo, `ciphers/AES/${mode}/${mode}${kind}{128,192,256}.rsp`, read));
}

/** The single-block files, whose three keys are one: they are answers of DES as well. */
function tripleDesKnownAnswerFiles(mode: string, algo: number, read: VectorFile["read"]): VectorFile[] {
  const pattern = `ciphers/3DES/${mode}/T${mode}{invperm,permop,subtab,varkey,vartext}.rsp`;
  return files(v.SERVICE_CIPHER, algo, pattern, read);
}

function hashFiles(algo: number, stem: string): VectorFile[] {
  return files(v.SERVICE_HASH, algo, `${stem}{ShortMsg,LongMsg}.rsp`, readHash);
}

function directionOf(record: NistRecord): number {
  return record.text("DIRECTION") === "DECRYPT" ? v.OP_DECRYPT : v.OP_ENCRYPT;
}

/** A record that is asked in the direction of its section. */
function inItsDirection(
  record: NistRecord,
  source: string,
  algo: number,
  key: Uint8Array,
  iv: Uint8Array,
  plaintext: Uint8Array,
  ciphertext: Uint8Array,
): KnownAnswer[] {
  const direction = directionOf(record);
  const [src, dst] = direction === v.OP_ENCRYPT ? [plaintext, ciphertext] : [ciphertext, plaintext];
  return [cipherAnswer(source, algo, direction, key, iv, src, dst)];
}

/** The key of a block cipher; Triple DES with two keys gives a second form, of 16 bytes, and a name for it. */
function keyForms(record: NistRecord, source: string): [source: string, key: Uint8Array][] {
  if (record.has("KEY")) return [[source, record.bytes("KEY")]];
  const [first, second, third] = ["KEY1", "KEY2", "KEY3"].map((name) =>
    record.bytes(record.has("KEYS") ? "KEYS" : name)
  );
  const whole: [string, Uint8Array] = [source, concat(first!, second!, third!)];
  const hasTwoKeys = !record.has("KEYS") && record.text("KEY1") === record.text("KEY3");
  return hasTwoKeys ? [whole, [source.replace(" #", ", two keys #"), concat(first!, second!)]] : [whole];
}

function readBlockCipher(this: VectorFile, record: NistRecord, source: string): Reading {
  const iv = record.has("IV") ? record.bytes("IV") : EMPTY;
  const [plaintext, ciphertext] = [record.bytes("PLAINTEXT"), record.bytes("CIPHERTEXT")];
  return keyForms(record, source).flatMap(([name, key]) =>
    inItsDirection(record, name, this.algo, key, iv, plaintext, ciphertext)
  );
}

/** Triple DES under one key thrice is DES under that key. */
function readSingleDes(this: VectorFile, record: NistRecord, source: string): Reading {
  const iv = record.has("IV") ? record.bytes("IV") : EMPTY;
  const [plaintext, ciphertext] = [record.bytes("PLAINTEXT"), record.bytes("CIPHERTEXT")];
  return inItsDirection(record, source, this.algo, record.bytes("KEYS"), iv, plaintext, ciphertext);
}

/** SP 800-38A, 6.5: the keystream block of a counter is the counter enciphered, which an ECB file tells. */
function readCounterBlock(this: VectorFile, record: NistRecord, source: string): Reading {
  const [counter, keystream] = [record.bytes("PLAINTEXT", 8), record.bytes("CIPHERTEXT", 8)];
  const plaintext = counting(0, 8);
  const ciphertext = xor(plaintext, keystream);
  return keyForms(record, source).flatMap(([name, key]) =>
    inItsDirection(record, name, this.algo, key, counter, plaintext, ciphertext)
  );
}

/** CBC-MAC of `P` with the IV folded into its first block is the last block of the CBC ciphertext. */
function readCbcMac(this: VectorFile, record: NistRecord, source: string): Reading {
  const [plaintext, ciphertext] = [record.bytes("PLAINTEXT"), record.bytes("CIPHERTEXT")];
  const src = concat(xor(plaintext.subarray(0, 16), record.bytes("IV")), plaintext.subarray(16));
  return [digestAnswer(source, this.service, this.algo, src, ciphertext.slice(-16), record.bytes("KEY"))];
}

function readRfc3686(this: VectorFile, record: NistRecord, source: string): Reading {
  const [plaintext, ciphertext] = [record.bytes("PLAINTEXT"), record.bytes("CIPHERTEXT")];
  return cipherBothWays(source, this.algo, record.bytes("KEY"), record.bytes("IV"), plaintext, ciphertext);
}

function readXts(this: VectorFile, record: NistRecord, source: string): Reading {
  if (record.number("DATAUNITLEN") % 8 !== 0) return "AES-XTS data unit that is no whole number of bytes";
  const tweak = record.has("I") ? record.bytes("I") : littleEndian(record.number("DATAUNITSEQNUMBER"), 16);
  const [plaintext, ciphertext] = [record.bytes("PT"), record.bytes("CT")];
  return inItsDirection(record, source, this.algo, record.bytes("KEY"), tweak, plaintext, ciphertext);
}

/** The file shows a window of the keystream at OFFSET; the bytes before it come from the model, which must agree. */
function readArc4(this: VectorFile, record: NistRecord, source: string): Reading {
  const [key, offset] = [record.bytes("KEY"), record.number("OFFSET")];
  const window = xor(record.bytes("PLAINTEXT"), record.bytes("CIPHERTEXT"));
  const keystream = arc4Keystream(key, offset + window.length);
  if (window.some((byte, i) => byte !== keystream[offset + i])) throw new Error(`${source} disagrees with the model`);
  return cipherBothWays(source, this.algo, key, EMPTY, new Uint8Array(keystream.length), keystream);
}

function readHash(this: VectorFile, record: NistRecord, source: string): Reading {
  const bits = record.number("LEN");
  if (bits % 8 !== 0) return "message that is no whole number of bytes";
  return [digestAnswer(source, this.service, this.algo, record.bytes("MSG", bits / 8), record.bytes("MD"))];
}

function readShake(this: VectorFile, record: NistRecord, source: string): Reading {
  const bits = record.has("LEN") ? record.number("LEN") : record.number("INPUT LENGTH");
  if (bits % 8 !== 0 || record.number("OUTPUTLEN") % 8 !== 0) return "message that is no whole number of bytes";
  return [digestAnswer(source, this.service, this.algo, record.bytes("MSG", bits / 8), record.bytes("OUTPUT"))];
}

function readHmac(this: VectorFile, record: NistRecord, source: string): Reading {
  return [digestAnswer(source, this.service, this.algo, record.bytes("MSG"), record.bytes("MD"), record.bytes("KEY"))];
}

function readCmac(this: VectorFile, record: NistRecord, source: string): Reading {
  const [message, mac] = [record.bytes("MESSAGE"), record.bytes("OUTPUT")];
  return keyForms(record, source).map(([name, key]) => digestAnswer(name, this.service, this.algo, message, mac, key));
}

/** SP 800-38D, 3: GMAC is GCM that has nothing to encipher. The device takes GMAC's IV at 12 bytes only. */
function readGmac(this: VectorFile, record: NistRecord, source: string): Reading {
  if (record.number("PTLEN") !== 0 || record.has("FAIL")) return [];
  if (record.number("IVLEN") !== 96) return "GMAC whose IV is not 12 bytes";
  const [key, iv, mac] = [record.bytes("KEY"), record.bytes("IV"), record.bytes("TAG")];
  return [digestAnswer(source, this.service, this.algo, record.bytes("AAD"), mac, key, iv)];
}

function readGcm(this: VectorFile, record: NistRecord, source: string): Reading {
  const common: AeadCase = {
    source,
    algo: this.algo,
    key: record.bytes("KEY"),
    iv: record.bytes("IV"),
    aad: record.bytes("AAD"),
    tagLen: record.number("TAGLEN") / 8,
  };
  const sealed = concat(record.bytes("CT"), record.bytes("TAG"));
  if (record.has("FAIL")) return [aeadOpens(common, sealed)];
  const seals = this.path.includes("Encrypt");
  return [seals ? aeadSeals(common, record.bytes("PT"), sealed) : aeadOpens(common, sealed, record.bytes("PT"))];
}

/** Only the DVPT files ask for decryption and know refusals; the others are taken both ways. */
function readCcm(this: VectorFile, record: NistRecord, source: string): Reading {
  const common: AeadCase = {
    source,
    algo: this.algo,
    key: record.bytes("KEY"),
    iv: record.bytes("NONCE"),
    aad: record.bytes("ADATA", record.number("ALEN")),
    tagLen: record.number("TLEN"),
  };
  const sealed = record.bytes("CT");
  if (record.has("RESULT") && record.text("RESULT") === "Fail") return [aeadOpens(common, sealed)];
  const plaintext = record.bytes("PAYLOAD", record.number("PLEN"));
  return record.has("RESULT") ? [aeadOpens(common, sealed, plaintext)] : aeadBothWays(common, plaintext, sealed);
}

/** OpenSSL's and BoringSSL's files name their fields differently. */
function readChaCha20(this: VectorFile, record: NistRecord, source: string): Reading {
  const either = (one: string, other: string) => record.bytes(record.has(one) ? one : other);
  const common: AeadCase = {
    source,
    algo: this.algo,
    key: record.bytes("KEY"),
    iv: either("IV", "NONCE"),
    aad: either("AAD", "AD"),
    tagLen: record.bytes("TAG").length,
  };
  const sealed = concat(either("CIPHERTEXT", "CT"), record.bytes("TAG"));
  if (record.has("RESULT")) return [aeadOpens(common, sealed)];
  return aeadBothWays(common, either("PLAINTEXT", "IN"), sealed);
}

function littleEndian(value: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
