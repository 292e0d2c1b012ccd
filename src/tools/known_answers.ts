/**
 * One known answer for every symmetric algorithm, with which `probe` and `demo` check a device. Most are from published
 * standards; "computed" after the standard's name means that two implementations agree on inputs chosen here.
 * CBCMAC-KASUMI-F9 is missing, as no document defines it.
 *
 * @module
 */
import * as w from "../wire/virtio_crypto.ts";

/** Services of known answers; a chain uses algorithms of two services. */
export type AnsweredService = "cipher" | "hash" | "mac" | "aead" | "chain";

/** A request and its result. */
export interface KnownAnswer {
  readonly service: AnsweredService;
  /** The algorithm's number; for a chain, the cipher's. */
  readonly algo: number;
  /** The document that contains it, or defines how to compute it. */
  readonly source: string;
  readonly key: Uint8Array<ArrayBuffer>;
  /** For a MAC: the bytes in front of the source data. */
  readonly iv: Uint8Array<ArrayBuffer>;
  readonly aad: Uint8Array<ArrayBuffer>;
  readonly src: Uint8Array<ArrayBuffer>;
  /** The ciphertext, followed by the tag if there is one; the digest; or the MAC. */
  readonly dst: Uint8Array<ArrayBuffer>;
  /** Length of an AEAD's tag, in bytes. */
  readonly tagLen: number;
  /** The other parameters of a chain; {@linkcode CHAIN_PARTS} if not given. */
  readonly parts?: ChainParts;
}

/** The parameters and the digest of a chain. */
export interface ChainParts {
  readonly hashAlgo: number;
  readonly authKey: Uint8Array<ArrayBuffer>;
  /** The digest, and that of CHAIN_HASH_THEN_CIPHER if it differs. */
  readonly hashResult: Uint8Array<ArrayBuffer>;
  readonly hashFirstResult?: Uint8Array<ArrayBuffer>;
  /** The parts of the source that are ciphered and digested. */
  readonly lenToCipher: number;
  readonly hashStartSrcOffset: number;
  readonly lenToHash: number;
}

function hex(digits: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(digits.replaceAll(" ", ""));
}

function ascii(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** `length` bytes counting up from `first`. */
function counting(first: number, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => first + i);
}

const NOTHING = new Uint8Array();

/** SP 800-38A, appendix F: the first half of its message, and its 128-bit key; SP 800-38B uses the same ones. */
const MESSAGE = hex("6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51");
const KEY = hex("2b7e151628aed2a6abf7158809cf4f3c");
/** NIST's example values for TDEA. */
const TDEA_KEY = hex("0123456789abcdef 23456789abcdef01 456789abcdef0123");
const TDEA_IV = hex("f69f2445df4f9b17");
/** Inputs for 3GPP's algorithms, chosen here; COUNT is 01020304, BEARER 5, FRESH 05060708 and DIRECTION 1. */
const OWN_KEY = counting(0, 16);
const OWN_MESSAGE = counting(0, 37);
/** FIPS 81. */
const DES_KEY = hex("0123456789abcdef");
const DES_MESSAGE = ascii("Now is the time for all ");

function cipher(
  algo: number,
  source: string,
  { key, iv, src }: Pick<KnownAnswer, "key" | "iv" | "src">,
  dst: string,
): KnownAnswer {
  return { service: "cipher", algo, source, key, iv, src, dst: hex(dst), aad: NOTHING, tagLen: 0 };
}

const CIPHERS: readonly KnownAnswer[] = [
  cipher(
    w.CIPHER_ARC4,
    "RFC 6229",
    { key: counting(1, 16), iv: NOTHING, src: new Uint8Array(16) },
    "9ac7cc9a609d1ef7b2932899cde41b97",
  ),
  cipher(
    w.CIPHER_AES_ECB,
    "SP 800-38A F.1.1",
    { key: KEY, iv: NOTHING, src: MESSAGE },
    "3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf",
  ),
  cipher(
    w.CIPHER_AES_CBC,
    "SP 800-38A F.2.1",
    { key: KEY, iv: counting(0, 16), src: MESSAGE },
    "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2",
  ),
  cipher(
    w.CIPHER_AES_CTR,
    "SP 800-38A F.5.1",
    { key: KEY, iv: counting(0xf0, 16), src: MESSAGE },
    "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff",
  ),
  cipher(
    w.CIPHER_DES_ECB,
    "FIPS 81 B1",
    { key: DES_KEY, iv: NOTHING, src: DES_MESSAGE },
    "3fa40e8a984d4815 6a271787ab8883f9 893d51ec4b563b53",
  ),
  cipher(
    w.CIPHER_DES_CBC,
    "FIPS 81 C1",
    { key: DES_KEY, iv: hex("1234567890abcdef"), src: DES_MESSAGE },
    "e5c7cdde872bf27c 43e934008c389c0f 683788499a7c05f6",
  ),
  cipher(
    w.CIPHER_3DES_ECB,
    "NIST example TDES_ECB",
    { key: TDEA_KEY, iv: NOTHING, src: MESSAGE },
    "714772f339841d34267fcc4bd2949cc3 ee11c22a576a303876183f99c0b6de87",
  ),
  cipher(
    w.CIPHER_3DES_CBC,
    "NIST example TDES_CBC",
    { key: TDEA_KEY, iv: TDEA_IV, src: MESSAGE },
    "2079c3d53aa763e193b79e2569ab5262 516570481f25b50f73c0bda85c8e0da7",
  ),
  cipher(
    w.CIPHER_3DES_CTR,
    "NIST example TDES_CTR",
    { key: TDEA_KEY, iv: TDEA_IV, src: MESSAGE },
    "078bb74e59ce7ed619aa11d25004fb65 a03cedf1ba0b09baa3bc81b8f69c1da9",
  ),
  // IVs of 3GPP: COUNT, then BEARER and DIRECTION, which are repeated except for KASUMI.
  cipher(
    w.CIPHER_KASUMI_F8,
    "TS 35.201, computed",
    { key: OWN_KEY, iv: hex("010203042c000000"), src: OWN_MESSAGE },
    "5e20ab2f4820e950d9890615765a8b9d cb1f2f1d371ea40c6c3c91a1eca06c2e df4811eacd",
  ),
  cipher(w.CIPHER_SNOW3G_UEA2, "TS 35.215, computed", {
    key: OWN_KEY,
    iv: hex("010203042c000000 010203042c000000"),
    src: OWN_MESSAGE,
  }, "0652b8fd4df3ebc29b6dd23d280925bc f008b5ebbec0dcb7dacafb2b8be29bd2 88452f80ed"),
  // The key mask follows the key and has its length.
  cipher(w.CIPHER_AES_F8, "RFC 3711 B.1", {
    key: hex("234829008467be186c3de14aae72d62c 32f2870d555555555555555555555555"),
    iv: hex("006e5cba50681de55c621599d462564a"),
    src: ascii("pseudorandomness is the next best thing"),
  }, "019ce7a26e7854014a6366aa95d4eefd 1ad4172a14f9faf455b7f1d4b62bd08f 562c0eef7c4802"),
  cipher(w.CIPHER_AES_XTS, "IEEE 1619 B, vector 15", {
    key: hex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0 bfbebdbcbbbab9b8b7b6b5b4b3b2b1b0"),
    iv: hex("9a785634120000000000000000000000"),
    src: counting(0, 17),
  }, "6c1625db4671522d3d7599601de7ca09ed"),
  cipher(w.CIPHER_ZUC_EEA3, "TS 35.221, computed", {
    key: OWN_KEY,
    iv: hex("010203042c000000 010203042c000000"),
    src: OWN_MESSAGE,
  }, "1f0325ceae126d94006b94d686ba6172 b6cadccfcf6b16a15500764185e76c3f e5c50f4286"),
];

function hash(algo: number, source: string, dst: string): KnownAnswer {
  return {
    service: "hash",
    algo,
    source: `${source}, "abc"`,
    src: ascii("abc"),
    dst: hex(dst),
    key: NOTHING,
    iv: NOTHING,
    aad: NOTHING,
    tagLen: 0,
  };
}

const HASHES: readonly KnownAnswer[] = [
  hash(w.HASH_MD5, "RFC 1321", "900150983cd24fb0d6963f7d28e17f72"),
  hash(w.HASH_SHA1, "FIPS 180-2 A.1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
  hash(w.HASH_SHA_224, "RFC 3874", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
  hash(w.HASH_SHA_256, "FIPS 180-2 B.1", "ba7816bf8f01cfea414140de5dae2223 b00361a396177a9cb410ff61f20015ad"),
  hash(
    w.HASH_SHA_384,
    "FIPS 180-2 D.1",
    "cb00753f45a35e8bb5a03d699ac65007 272c32ab0eded1631a8b605a43ff5bed 8086072ba1e7cc2358baeca134c825a7",
  ),
  hash(
    w.HASH_SHA_512,
    "FIPS 180-2 C.1",
    "ddaf35a193617abacc417349ae204131 12e6fa4e89a97ea20a9eeee64b55d39a " +
      "2192992a274fc1a836ba3c23a3feebbd 454d4423643ce80e2a9ac94fa54ca49f",
  ),
  hash(w.HASH_SHA3_224, "FIPS 202", "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
  hash(w.HASH_SHA3_256, "FIPS 202", "3a985da74fe225b2045c172d6bd390bd 855f086e3e9d525b46bfe24511431532"),
  hash(
    w.HASH_SHA3_384,
    "FIPS 202",
    "ec01498288516fc926459f58e2c6ad8d f9b473cb0fc08c2596da7cf0e49be4b2 98d88cea927ac7f539f1edf228376d25",
  ),
  hash(
    w.HASH_SHA3_512,
    "FIPS 202",
    "b751850b1a57168a5693cd924b6b096e 08f621827444f70d884f5d0240d2712e " +
      "10e116e9192af3c91a7ec57647e39340 57340b4cf408d5a56592f8274eec53f0",
  ),
  hash(w.HASH_SHA3_SHAKE128, "FIPS 202", "5881092dd818bf5cf8a3ddb793fbcba7"),
  hash(w.HASH_SHA3_SHAKE256, "FIPS 202", "483366601360a8771c6863080cc4114d 8db44530f8f1e1ee4f94ea37e78b5739"),
];

function mac(
  algo: number,
  source: string,
  { key, src, iv = NOTHING }: Pick<KnownAnswer, "key" | "src"> & Partial<Pick<KnownAnswer, "iv">>,
  dst: string,
): KnownAnswer {
  return { service: "mac", algo, source, key, iv, src, dst: hex(dst), aad: NOTHING, tagLen: 0 };
}

/** RFC 2202 and RFC 4231, test case 1. Providers of approved algorithms only may refuse keys below 14 bytes. */
const HMAC_KEY = new Uint8Array(20).fill(0x0b);
const HMAC_MESSAGE = ascii("Hi There");
const HMAC_SHA1 = "b617318655057264e28bc0b6fb378c8ef146be00";

const MACS: readonly KnownAnswer[] = [
  mac(
    w.MAC_HMAC_MD5,
    "RFC 2202 2, case 1",
    { key: HMAC_KEY.slice(0, 16), src: HMAC_MESSAGE },
    "9294727a3638bb1c13f48ef8158bfc9d",
  ),
  mac(w.MAC_HMAC_SHA1, "RFC 2202 3, case 1", { key: HMAC_KEY, src: HMAC_MESSAGE }, HMAC_SHA1),
  mac(
    w.MAC_HMAC_SHA_224,
    "RFC 4231 4.2",
    { key: HMAC_KEY, src: HMAC_MESSAGE },
    "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22",
  ),
  mac(
    w.MAC_HMAC_SHA_256,
    "RFC 4231 4.2",
    { key: HMAC_KEY, src: HMAC_MESSAGE },
    "b0344c61d8db38535ca8afceaf0bf12b 881dc200c9833da726e9376c2e32cff7",
  ),
  mac(
    w.MAC_HMAC_SHA_384,
    "RFC 4231 4.2",
    { key: HMAC_KEY, src: HMAC_MESSAGE },
    "afd03944d84895626b0825f4ab46907f 15f9dadbe4101ec682aa034c7cebc59c faea9ea9076ede7f4af152e8b2fa9cb6",
  ),
  mac(
    w.MAC_HMAC_SHA_512,
    "RFC 4231 4.2",
    { key: HMAC_KEY, src: HMAC_MESSAGE },
    "87aa7cdea5ef619d4ff0b4241a1d6cb0 2379f4e2ce4ec2787ad0b30545e17cde " +
      "daa833b7d6b8a702038b274eaea3f4e4 be9d914eeb61f1702e696c203a126854",
  ),
  mac(w.MAC_CMAC_3DES, "SP 800-38B D.4", {
    key: hex("8aa83bf8cbda1062 0bc1bf19fbb6cd58 bc313d4a371ca8b5"),
    src: MESSAGE.slice(0, 20),
  }, "743ddbe0ce2dc2ed"),
  mac(w.MAC_CMAC_AES, "SP 800-38B D.1", { key: KEY, src: MESSAGE.slice(0, 16) }, "070a16b46b4d4144f79bdd9dd04a287c"),
  // F9's input starts with COUNT and FRESH, and ends with DIRECTION and a 1.
  mac(w.MAC_KASUMI_F9, "TS 35.201, computed", {
    key: OWN_KEY,
    src: Uint8Array.of(...OWN_MESSAGE, 0xc0),
    iv: hex("0102030405060708"),
  }, "bfac0e7a"),
  mac(w.MAC_SNOW3G_UIA2, "TS 35.215, computed", {
    key: OWN_KEY,
    src: OWN_MESSAGE,
    iv: hex("0102030405060708 8102030405068708"),
  }, "b2d686e5"),
  mac(w.MAC_GMAC_AES, "IEEE 802.1AE C.1", {
    key: hex("ad7a2bd03eac835a6f620fdcb506b345"),
    src: hex(
      "d609b1f056637a0d46df998d88e5222a b2c2846512153524c0895e8108000f10 1112131415161718191a1b1c1d1e1f20 " +
        "2122232425262728292a2b2c2d2e2f30 313233340001",
    ),
    iv: hex("12153524c0895e81b2c28465"),
  }, "f09478a9b09007d06f46e9b6a1da25dd"),
  // No document has an answer for Twofish: this one was computed by two implementations.
  mac(w.MAC_GMAC_TWOFISH, "SP 800-38D, computed", {
    key: hex("0123456789abcdeffedcba9876543210"),
    src: MESSAGE,
    iv: hex("000102030405060708090a0b"),
  }, "6f2ff5423927da65cbe3c7f427f60738"),
  // RFC 3610 shows the CBC-MAC in CCM: its first block, then length and header, then the message.
  mac(w.MAC_CBCMAC_AES, "RFC 3610 8, packet 1", {
    key: counting(0xc0, 16),
    src: hex(
      "5900000003020100a0a1a2a3a4a50017 00080001020304050607000000000000 " +
        "08090a0b0c0d0e0f1011121314151617 18191a1b1c1d1e000000000000000000",
    ),
  }, "2dc697e411ca83a860c2c406ccaa542f"),
  mac(
    w.MAC_XCBC_AES,
    "RFC 3566 4.6, case 4",
    { key: counting(0, 16), src: counting(0, 20) },
    "47f51b4564966215b8985c63055ed308",
  ),
  mac(w.MAC_ZUC_EIA3, "TS 35.221, computed", {
    key: OWN_KEY,
    src: OWN_MESSAGE,
    iv: hex("0102030428000000 8102030428008000"),
  }, "b67e27a2"),
];

const AEADS: readonly KnownAnswer[] = [
  {
    service: "aead",
    algo: w.AEAD_GCM,
    source: "GCM specification B, case 4",
    key: hex("feffe9928665731c6d6a8f9467308308"),
    iv: hex("cafebabefacedbaddecaf888"),
    aad: hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
    src: hex(
      "d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72 " +
        "1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b39",
    ),
    dst: hex(
      "42831ec2217774244b7221b784d0d49c e3aa212f2c02a4e035c17e2329aca12e " +
        "21d514b25466931c7d8f6a5aac84aa05 1ba30b396a0aac973d58e091 5bc94fbc3221a5db94fae95ae7121a47",
    ),
    tagLen: 16,
  },
  {
    service: "aead",
    algo: w.AEAD_CCM,
    source: "SP 800-38C C.2",
    key: counting(0x40, 16),
    iv: counting(0x10, 8),
    aad: counting(0, 16),
    src: counting(0x20, 16),
    dst: hex("d2a1f0e051ea5f62081a7792073d593d 1fc64fbfaccd"),
    tagLen: 6,
  },
  {
    service: "aead",
    algo: w.AEAD_CHACHA20_POLY1305,
    source: "RFC 8439 2.8.2",
    key: counting(0x80, 32),
    iv: hex("070000004041424344454647"),
    aad: hex("50515253c0c1c2c3c4c5c6c7"),
    src: ascii(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would " +
        "be it.",
    ),
    dst: hex(
      "d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6 3dbea45e8ca9671282fafb69da92728b " +
        "1a71de0a9e060b2905d6a5b67ecd3b36 92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc " +
        "3ff4def08e4b7a9de576d26586cec64b 6116 1ae10b594f09e26a7e902ecbd0600691",
    ),
    tagLen: 16,
  },
];

/** All known answers, in the order of services and algorithm numbers. */
export const KNOWN_ANSWERS: readonly KnownAnswer[] = [...CIPHERS, ...HASHES, ...MACS, ...AEADS];

/**
 * AES-CBC chained with HMAC-SHA1 over one source: SP 800-38A's message, which is encrypted, followed by that of RFC 2202,
 * which is authenticated. Both orders give the same published values.
 */
export const CHAIN_ANSWER: KnownAnswer = {
  service: "chain",
  algo: w.CIPHER_AES_CBC,
  source: "SP 800-38A F.2.1 and RFC 2202 3, case 1",
  key: KEY,
  iv: counting(0, 16),
  aad: NOTHING,
  src: Uint8Array.of(...MESSAGE, ...HMAC_MESSAGE),
  dst: Uint8Array.of(...CIPHERS.find(({ algo }) => algo === w.CIPHER_AES_CBC)!.dst, ...HMAC_MESSAGE),
  tagLen: 0,
};

/** The parameters of {@linkcode CHAIN_ANSWER} that are not in its fields. */
export const CHAIN_PARTS: ChainParts = {
  hashAlgo: w.MAC_HMAC_SHA1,
  authKey: HMAC_KEY,
  hashResult: hex(HMAC_SHA1),
  lenToCipher: MESSAGE.length,
  hashStartSrcOffset: MESSAGE.length,
  lenToHash: HMAC_MESSAGE.length,
};

/** A chain whose cipher and digest cover the whole source, as draft v5 has no other. */
export const WHOLE_CHAIN_ANSWER: KnownAnswer = {
  ...CHAIN_ANSWER,
  source: "SP 800-38A F.2.1, and RFC 2104, computed",
  src: MESSAGE,
  dst: CIPHERS.find(({ algo }) => algo === w.CIPHER_AES_CBC)!.dst,
  parts: {
    ...CHAIN_PARTS,
    hashResult: hex("85ce733562e23655a7556885fff5ebcaa7f28009"),
    hashFirstResult: hex("8602193afce454c090f63771935f92e5ef67cf94"),
    lenToCipher: MESSAGE.length,
    hashStartSrcOffset: 0,
    lenToHash: MESSAGE.length,
  },
};
