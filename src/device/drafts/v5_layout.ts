/**
 * Finds the buffers of a data request of draft v5: lengths are checked, and addresses are translated.
 *
 * Data path.
 *
 * @module
 */
import { AEAD_GCM } from "../../engine/algorithm_numbers.ts";
import type { Catalogue } from "../../engine/catalogue.ts";
import {
  IV_BYTES_MAX,
  KIND_AEAD,
  KIND_CHAIN,
  KIND_CIPHER,
  KIND_HASH,
  KIND_MAC,
  type Template,
} from "../../engine/operation.ts";
import { canChain } from "../../engine/parameter_check.ts";
import { appendRange } from "../../memory/guest_range.ts";
import type { Span } from "../../memory/segments.ts";
import type { ChainBatch } from "../../virtqueue/chain.ts";
import * as v5 from "../../wire/drafts/v5.ts";
import { STATUS_ERR, STATUS_OK } from "../../wire/virtio_crypto.ts";
import { REQUEST_BYTES_MAX } from "../limits.ts";
import type { RequestTemplate } from "../request_template.ts";
import type { V5Image } from "./v5_image.ts";

/** Bytes of IV for GCM. The draft does not say what another length would mean. */
const GCM_IV_BYTES = 12;

/** Lays out requests of a batch. */
export class V5Layout {
  readonly #batch: ChainBatch;
  readonly #image: V5Image;
  readonly #catalogue: Catalogue;
  /** The first segment of the current request. */
  #first = 0;

  /** Lays out the request that `image` has copied from `batch`. */
  constructor(batch: ChainBatch, image: V5Image, catalogue: Catalogue) {
    this.#batch = batch;
    this.#image = image;
    this.#catalogue = catalogue;
  }

  /** Fills the operation of `request`, chain `i`, whose parameters are set. Returns STATUS_OK or STATUS_ERR. */
  layOut(i: number, request: RequestTemplate): number {
    this.#first = this.#batch.first[i]!;
    const { operation } = request;
    if (!this.#layOutKind(operation)) return STATUS_ERR;
    request.writtenBytes = operation.writtenBytes;
    return STATUS_OK;
  }

  #layOutKind(operation: Template): boolean {
    switch (operation.parameters.kind) {
      case KIND_CIPHER:
        return this.#layOutCipher(operation);
      case KIND_CHAIN:
        return this.#layOutChain(operation);
      case KIND_AEAD:
        return this.#layOutAead(operation);
      case KIND_HASH:
      case KIND_MAC:
        return this.#layOutDigest(operation);
      default:
        return false;
    }
  }

  #layOutDigest(operation: Template): boolean {
    const srcDataLen = this.#image.field(v5.HASH_SRC_DATA_LEN_OFFSET);
    const { hashResultLen } = operation.parameters;
    if (hashResultLen === 0 || srcDataLen + hashResultLen > REQUEST_BYTES_MAX) return false;
    return this.#slice(operation.src, v5.HASH_SRC_DATA_ADDR_OFFSET, srcDataLen) &&
      this.#slice(operation.result, v5.HASH_DIGEST_RESULT_ADDR_OFFSET, hashResultLen);
  }

  #layOutCipher(operation: Template): boolean {
    return this.#layOutText(operation, 0) &&
      this.#slice(operation.dst, v5.CIPHER_DST_DATA_ADDR_OFFSET, operation.src.length);
  }

  /** IV and source, which cipher and chain have at the same offsets; `otherLen` bytes are read or written besides. */
  #layOutText(operation: Template, otherLen: number): boolean {
    const image = this.#image;
    const ivLen = image.field(v5.CIPHER_IV_LEN_OFFSET);
    const srcDataLen = image.field(v5.CIPHER_SRC_DATA_LEN_OFFSET);
    if (image.field(v5.CIPHER_DST_DATA_LEN_OFFSET) < srcDataLen || ivLen > IV_BYTES_MAX) return false;
    if (ivLen + 2 * srcDataLen + otherLen > REQUEST_BYTES_MAX) return false;
    operation.ivLen = ivLen;
    return this.#slice(operation.ivSpan, v5.CIPHER_IV_ADDR_OFFSET, ivLen) &&
      this.#slice(operation.src, v5.CIPHER_SRC_DATA_ADDR_OFFSET, srcDataLen);
  }

  /** A chain covers the whole source: the draft has no offsets. Its additional data leads what is digested. */
  #layOutChain(operation: Template): boolean {
    const { hashResultLen } = operation.parameters;
    const aadLen = this.#image.field(v5.CHAIN_AAD_LEN_OFFSET);
    if (hashResultLen === 0 || !this.#layOutText(operation, aadLen + hashResultLen)) return false;
    const srcDataLen = operation.src.length;
    // A request that fails writes nothing but its status, so that both halves of the chain have to be possible.
    if (!canChain(operation, this.#catalogue, aadLen, srcDataLen)) return false;
    operation.cipherStart = operation.hashStart = operation.gapLen = 0;
    operation.cipherLen = operation.hashLen = srcDataLen;
    return this.#slice(operation.aad, v5.CHAIN_AAD_DATA_ADDR_OFFSET, aadLen) &&
      this.#slice(operation.dst, v5.CHAIN_DST_DATA_ADDR_OFFSET, srcDataLen) &&
      this.#slice(operation.result, v5.CHAIN_DIGEST_RESULT_ADDR_OFFSET, hashResultLen);
  }

  /**
   * The tag is at `digest_result_addr` in both directions, behind the text as far as the engine is concerned; if that is
   * 0, it follows the text in memory too, and the lengths include it.
   */
  #layOutAead(operation: Template): boolean {
    const image = this.#image;
    const { tagLen, encrypt, algo } = operation.parameters;
    const ivLen = image.field(v5.AEAD_IV_LEN_OFFSET);
    const aadLen = image.field(v5.AEAD_AAD_LEN_OFFSET);
    const srcDataLen = image.field(v5.AEAD_SRC_DATA_LEN_OFFSET);
    const isApart = this.#isSet(v5.AEAD_DIGEST_RESULT_ADDR_OFFSET);
    const textLen = isApart || encrypt ? srcDataLen : srcDataLen - tagLen;
    const dstLen = encrypt && !isApart ? textLen + tagLen : textLen;
    if (tagLen === 0 || textLen < 0 || image.field(v5.AEAD_DST_DATA_LEN_OFFSET) < dstLen) return false;
    if (ivLen > IV_BYTES_MAX || (algo === AEAD_GCM && ivLen !== GCM_IV_BYTES)) return false;
    if (ivLen + aadLen + 2 * textLen + tagLen > REQUEST_BYTES_MAX) return false;
    operation.ivLen = ivLen;
    operation.tagLen = tagLen;
    if (!this.#slice(operation.ivSpan, v5.AEAD_IV_ADDR_OFFSET, ivLen)) return false;
    if (!this.#slice(operation.aad, v5.AEAD_ADD_DATA_ADDR_OFFSET, aadLen)) return false;
    const tagged = encrypt ? operation.dst : operation.src;
    return this.#slice(operation.src, v5.AEAD_SRC_DATA_ADDR_OFFSET, srcDataLen) &&
      (encrypt || this.#addTag(tagged, isApart, tagLen)) &&
      this.#slice(operation.dst, v5.AEAD_DST_DATA_ADDR_OFFSET, dstLen) &&
      (!encrypt || this.#addTag(tagged, isApart, tagLen));
  }

  /** Extends `span` by a tag that is apart from the text. */
  #addTag(span: Span, isApart: boolean, tagLen: number): boolean {
    return !isApart || this.#append(span, v5.AEAD_DIGEST_RESULT_ADDR_OFFSET, tagLen);
  }

  #isSet(addressAt: number): boolean {
    return (this.#image.field(addressAt) | this.#image.field(addressAt + 4)) !== 0;
  }

  /** Sets `span` to the `length` bytes at the guest address in the field at `addressAt`, which is ignored for 0 bytes. */
  #slice(span: Span, addressAt: number, length: number): boolean {
    span.clear();
    return this.#append(span, addressAt, length);
  }

  /** Adds them to `span`, whose segments, if it has any, are the last ones of the table. */
  #append(span: Span, addressAt: number, length: number): boolean {
    if (length === 0) return true;
    const { segments } = this.#batch;
    const start = segments.count;
    const image = this.#image;
    if (!appendRange(this.#batch, image.field(addressAt + 4), image.field(addressAt), length)) return false;
    if (span.length === 0) span.segment = start - this.#first;
    span.length += length;
    span.isContiguous = this.#first + span.segment + 1 === segments.count;
    return true;
  }
}
