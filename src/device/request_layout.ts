/**
 * The layout of a request's variable part, by service: which lengths are allowed, and which bytes are IV, source,
 * additional data, destination and result. It is the same for every form; forms differ in the position of the lengths.
 * Every function returns STATUS_OK or the status to answer with.
 *
 * Data path.
 *
 * @module
 */
import { IV_BYTES_MAX, type Template } from "../engine/operation.ts";
import * as wire from "../wire/virtio_crypto.ts";
import type { RequestReader } from "./request_reader.ts";

/** The lengths of a request, in bytes. */
export class RequestLengths {
  ivLen = 0;
  srcDataLen = 0;
  dstDataLen = 0;
  aadLen = 0;
  /** The length of a digest or of a tag. */
  resultLen = 0;
}

/** CIPHER: IV and source; destination. */
export function layOutCipher(reader: RequestReader, template: Template, lengths: RequestLengths): number {
  const { ivLen, srcDataLen, dstDataLen } = lengths;
  if (dstDataLen < srcDataLen || ivLen > IV_BYTES_MAX) return wire.STATUS_ERR;
  if (!reader.fits(ivLen + srcDataLen, dstDataLen)) return wire.STATUS_ERR;
  template.ivLen = ivLen;
  reader.readable.sliceInto(template.ivSpan, ivLen);
  reader.readable.sliceInto(template.src, srcDataLen);
  reader.writable.sliceInto(template.dst, srcDataLen);
  return wire.STATUS_OK;
}

/** HASH and MAC: source; digest. */
export function layOutDigest(reader: RequestReader, template: Template, lengths: RequestLengths): number {
  const { srcDataLen, resultLen } = lengths;
  const sessionResultLen = template.parameters.hashResultLen;
  if (resultLen === 0 || (sessionResultLen !== 0 && resultLen > sessionResultLen)) return wire.STATUS_ERR;
  if (!reader.fits(srcDataLen, resultLen)) return wire.STATUS_ERR;
  reader.readable.sliceInto(template.src, srcDataLen);
  reader.writable.sliceInto(template.result, resultLen);
  return wire.STATUS_OK;
}

/** AEAD: IV, source, additional data; destination. The tag is at the end of the ciphertext. */
export function layOutAead(reader: RequestReader, template: Template, lengths: RequestLengths): number {
  const { ivLen, srcDataLen, dstDataLen, aadLen, resultLen: tagLen } = lengths;
  const { encrypt, aadLen: sessionAadLen } = template.parameters;
  if (sessionAadLen !== 0 && sessionAadLen !== aadLen) return wire.STATUS_ERR;
  const writtenLen = encrypt ? srcDataLen + tagLen : srcDataLen - tagLen;
  if (writtenLen < 0 || dstDataLen < writtenLen || ivLen > IV_BYTES_MAX) return wire.STATUS_ERR;
  if (!reader.fits(ivLen + srcDataLen + aadLen, dstDataLen)) return wire.STATUS_ERR;
  template.ivLen = ivLen;
  template.tagLen = tagLen;
  reader.readable.sliceInto(template.ivSpan, ivLen);
  reader.readable.sliceInto(template.src, srcDataLen);
  reader.readable.sliceInto(template.aad, aadLen);
  reader.writable.sliceInto(template.dst, writtenLen);
  return wire.STATUS_OK;
}

/**
 * Algorithm chaining: IV, and additional data before or after the source; destination, digest. All forms have the
 * chain's parameters from iv_len on in the same order; `at` is the offset of iv_len.
 */
export function layOutChain(reader: RequestReader, template: Template, at: number, aadFirst: boolean): number {
  const ivLen = reader.para(at + wire.CHAIN_PARA_IV_LEN_OFFSET);
  const srcDataLen = reader.para(at + wire.CHAIN_PARA_SRC_DATA_LEN_OFFSET);
  const dstDataLen = reader.para(at + wire.CHAIN_PARA_DST_DATA_LEN_OFFSET);
  const aadLen = reader.para(at + wire.CHAIN_PARA_AAD_LEN_OFFSET);
  const hashResultLen = reader.para(at + wire.CHAIN_PARA_HASH_RESULT_LEN_OFFSET);
  template.cipherStart = reader.para(at + wire.CHAIN_PARA_CIPHER_START_OFFSET);
  template.cipherLen = reader.para(at + wire.CHAIN_PARA_LEN_TO_CIPHER_OFFSET);
  template.hashStart = reader.para(at + wire.CHAIN_PARA_HASH_START_OFFSET);
  template.hashLen = reader.para(at + wire.CHAIN_PARA_LEN_TO_HASH_OFFSET);
  if (template.cipherStart + template.cipherLen > srcDataLen) return wire.STATUS_ERR;
  if (template.hashStart + template.hashLen > srcDataLen) return wire.STATUS_ERR;
  const { hashResultLen: sessionResultLen, aadLen: sessionAadLen } = template.parameters;
  if (hashResultLen === 0 || (sessionResultLen !== 0 && hashResultLen > sessionResultLen)) return wire.STATUS_ERR;
  if (sessionAadLen !== 0 && sessionAadLen !== aadLen) return wire.STATUS_ERR;
  if (dstDataLen < srcDataLen || ivLen > IV_BYTES_MAX) return wire.STATUS_ERR;
  if (!reader.fits(ivLen + srcDataLen + aadLen, dstDataLen + hashResultLen)) return wire.STATUS_ERR;
  template.ivLen = ivLen;
  reader.readable.sliceInto(template.ivSpan, ivLen);
  if (aadFirst) reader.readable.sliceInto(template.aad, aadLen);
  reader.readable.sliceInto(template.src, srcDataLen);
  if (!aadFirst) reader.readable.sliceInto(template.aad, aadLen);
  reader.writable.sliceInto(template.dst, srcDataLen);
  // The part of a destination that exceeds the source is not written; the digest follows the whole destination.
  template.gapLen = dstDataLen - srcDataLen;
  reader.skipWritable(template.gapLen);
  reader.writable.sliceInto(template.result, hashResultLen);
  return wire.STATUS_OK;
}
