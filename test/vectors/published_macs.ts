/**
 * Known answers of the MACs from standards, as literals: what every machine has, whatever is installed. Each value was
 * recomputed with a second implementation before it was written down.
 *
 * @module
 */

import * as v from "../../src/wire/virtio_crypto.ts";
import { concat } from "../bytes.ts";
import { ascii, counting, digestAnswer, hex, type KnownAnswer } from "./answer.ts";

/** All of them. */
export function publishedMacs(): KnownAnswer[] {
  return [...hmac(), ...cmacAes(), ...cmacTripleDes(), ...gmac(), ...cbcMac(), ...xcbc()];
}

function mac(source: string, algo: number, key: Uint8Array, message: Uint8Array, value: string): KnownAnswer {
  return digestAnswer(source, v.SERVICE_MAC, algo, message, hex(value), key);
}

/** RFC 2202 and RFC 4231: the short key (test case 2), the truncated MAC (5) and the key longer than a block (6). */
function hmac(): KnownAnswer[] {
  const rows = [
    {
      name: "RFC 2202 HMAC-MD5",
      algo: v.MAC_HMAC_MD5,
      jefe: "750c783e6ab0b503eaa86e310a5db738",
      truncated: "56461ef2342edc00f9bab995",
      shortKeyLen: 16,
      longKey: "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
      longKeyLen: 80,
    },
    {
      name: "RFC 2202 HMAC-SHA1",
      algo: v.MAC_HMAC_SHA1,
      jefe: "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
      truncated: "4c1a03424b55e07fe7f27be1",
      shortKeyLen: 20,
      longKey: "aa4ae5e15272d00e95705637ce8a3b55ed402112",
      longKeyLen: 80,
    },
    {
      name: "RFC 4231 HMAC-SHA-224",
      algo: v.MAC_HMAC_SHA_224,
      jefe: "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
      truncated: "0e2aea68a90c8d37c988bcdb9fca6fa8",
      shortKeyLen: 20,
      longKey: "95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e",
      longKeyLen: 131,
    },
    {
      name: "RFC 4231 HMAC-SHA-256",
      algo: v.MAC_HMAC_SHA_256,
      jefe: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      truncated: "a3b6167473100ee06e0c796c2955552b",
      shortKeyLen: 20,
      longKey: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
      longKeyLen: 131,
    },
    {
      name: "RFC 4231 HMAC-SHA-384",
      algo: v.MAC_HMAC_SHA_384,
      jefe: `af45d2e376484031617f78d2b58a6b1b 9c7ef464f5a01b47e42ec3736322445e
        8e2240ca5e69e2c78b3239ecfab21649`,
      truncated: "3abf34c3503b2a23a46efc619baef897",
      shortKeyLen: 20,
      longKey: `4ece084485813e9088d2c63a041bc5b4 4f9ef1012a2b588f3cd11f05033ac4c6
        0c2ef6ab4030fe8296248df163f44952`,
      longKeyLen: 131,
    },
    {
      name: "RFC 4231 HMAC-SHA-512",
      algo: v.MAC_HMAC_SHA_512,
      jefe: `164b7a7bfcf819e2e395fbe73b56e0a3 87bd64222e831fd610270cd7ea250554
        9758bf75c05a994a6d034f65f8f0e6fd caeab1a34d4a6b4b636e070a38bce737`,
      truncated: "415fad6271580a531d4179bc891d87a6",
      shortKeyLen: 20,
      longKey: `80b24263c7c1a3ebb71493c1dd7be8b4 9b46d1f41b4aeec1121b013783f8f352
        6b56d037e05f2598bd0fd2215d6a1e52 95e64f73f63f0aec8b915a985d786598`,
      longKeyLen: 131,
    },
  ];
  const question = ascii("what do ya want for nothing?");
  const truncation = ascii("Test With Truncation");
  const larger = ascii("Test Using Larger Than Block-Size Key - Hash Key First");
  return rows.flatMap(({ name, algo, jefe, truncated, shortKeyLen, longKey, longKeyLen }) => [
    mac(`${name} #2`, algo, ascii("Jefe"), question, jefe),
    mac(`${name} #5`, algo, new Uint8Array(shortKeyLen).fill(0x0c), truncation, truncated),
    mac(`${name} #6`, algo, new Uint8Array(longKeyLen).fill(0xaa), larger, longKey),
  ]);
}

/** The message of SP 800-38B, appendix D, of which the examples take a beginning. */
const MESSAGE_38B = hex(`6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
  30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710`);

/** SP 800-38B, D.1 to D.3; those of the 128-bit key are RFC 4493's, too. RFC 4494 cuts one to 96 bits. */
function cmacAes(): KnownAnswer[] {
  const key128 = "2b7e151628aed2a6abf7158809cf4f3c";
  const key192 = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b";
  const key256 = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
  const rows: [source: string, key: string, messageLen: number, value: string][] = [
    ["SP 800-38B D.1 #1", key128, 0, "bb1d6929e95937287fa37d129b756746"],
    ["SP 800-38B D.1 #2", key128, 16, "070a16b46b4d4144f79bdd9dd04a287c"],
    ["SP 800-38B D.1 #3", key128, 40, "dfa66747de9ae63030ca32611497c827"],
    ["SP 800-38B D.1 #4", key128, 64, "51f0bebf7e3b9d92fc49741779363cfe"],
    ["SP 800-38B D.2 #1", key192, 0, "d17ddf46adaacde531cac483de7a9367"],
    ["SP 800-38B D.2 #2", key192, 16, "9e99a7bf31e710900662f65e617c5184"],
    ["SP 800-38B D.2 #3", key192, 40, "8a1de5be2eb31aad089a82e6ee908b0e"],
    ["SP 800-38B D.2 #4", key192, 64, "a1d5df0eed790f794d77589659f39a11"],
    ["SP 800-38B D.3 #1", key256, 0, "028962f61b7bf89efc6b551f4667d983"],
    ["SP 800-38B D.3 #2", key256, 16, "28a7023f452e8f82bd4bf28d8c37c35c"],
    ["SP 800-38B D.3 #3", key256, 40, "aaf3d8f1de5640c232f5b169b9c911e6"],
    ["SP 800-38B D.3 #4", key256, 64, "e1992190549f6ed5696a2c056c315410"],
    ["RFC 4494 4 #3", key128, 40, "dfa66747de9ae63030ca3261"],
  ];
  return rows.map(([source, key, messageLen, value]) =>
    mac(source, v.MAC_CMAC_AES, hex(key), MESSAGE_38B.subarray(0, messageLen), value)
  );
}

/** SP 800-38B, D.4 (three keys) and D.5 (two keys). */
function cmacTripleDes(): KnownAnswer[] {
  const three = "8aa83bf8cbda1062 0bc1bf19fbb6cd58 bc313d4a371ca8b5";
  const two = "4cf15134a2850dd5 8a3d10ba80570d38 4cf15134a2850dd5";
  const rows: [source: string, key: string, messageLen: number, value: string][] = [
    ["SP 800-38B D.4 #1", three, 0, "b7a688e122ffaf95"],
    ["SP 800-38B D.4 #2", three, 8, "8e8f293136283797"],
    ["SP 800-38B D.4 #3", three, 20, "743ddbe0ce2dc2ed"],
    ["SP 800-38B D.4 #4", three, 32, "33e6b1092400eae5"],
    ["SP 800-38B D.5 #1", two, 0, "bd2ebf9a3ba00361"],
    ["SP 800-38B D.5 #2", two, 8, "4ff2ab813c53ce83"],
    ["SP 800-38B D.5 #3", two, 20, "62dd1b471902bd4e"],
    ["SP 800-38B D.5 #4", two, 32, "31b1e431dabc4eb8"],
  ];
  return rows.flatMap(([source, key, messageLen, value]) => {
    const message = MESSAGE_38B.subarray(0, messageLen);
    const whole = mac(source, v.MAC_CMAC_3DES, hex(key), message, value);
    if (key !== two) return [whole];
    return [
      whole,
      mac(source.replace(" #", ", 16 bytes #"), v.MAC_CMAC_3DES, hex(key).subarray(0, 16), message, value),
    ];
  });
}

/** The two authentication-only packets of IEEE 802.1AE, annex C.1, and GCM's test cases of nothing at all. */
function gmac(): KnownAnswer[] {
  const packet = hex(`d609b1f056637a0d46df998d88e5222a b2c2846512153524c0895e8108000f10
    1112131415161718191a1b1c1d1e1f20 2122232425262728292a2b2c2d2e2f30 313233340001`);
  const nonce = hex("12153524c0895e81b2c28465");
  const key256 = "e3c08a8f06c6e3ad95a70557b23f7548 3ce33021a9c72b7025666204c69c0b72";
  const rows: [source: string, key: Uint8Array, iv: Uint8Array, src: Uint8Array, value: string][] = [
    ["IEEE 802.1AE C.1 #1", hex("ad7a2bd03eac835a6f620fdcb506b345"), nonce, packet, "f09478a9b09007d06f46e9b6a1da25dd"],
    ["IEEE 802.1AE C.1 #2", hex(key256), nonce, packet, "2f0bc5af409e06d609ea8b7d0fa5ea50"],
    ["GCM specification B #1", new Uint8Array(16), new Uint8Array(12), hex(""), "58e2fccefa7e3061367f1d57a4e7455a"],
    ["GCM specification B #7", new Uint8Array(24), new Uint8Array(12), hex(""), "cd33b28ac773f74ba00ed1f312572435"],
    ["GCM specification B #13", new Uint8Array(32), new Uint8Array(12), hex(""), "530f8afbc74536b9a963b4f1c4cb738b"],
  ];
  return rows.map(([source, key, iv, src, value]) =>
    digestAnswer(source, v.SERVICE_MAC, v.MAC_GMAC_AES, src, hex(value), key, iv)
  );
}

/** RFC 3610, section 8, packet vector 1 shows the CBC-MAC inside CCM: B0, the length and the header, the message. */
function cbcMac(): KnownAnswer[] {
  const message = concat(
    hex("59 00000003020100a0a1a2a3a4a5 0017"),
    hex("0008 0001020304050607 000000000000"),
    counting(0x08, 23),
    new Uint8Array(9),
  );
  return [mac("RFC 3610 8 #1", v.MAC_CBCMAC_AES, counting(0xc0, 16), message, "2dc697e411ca83a860c2c406ccaa542f")];
}

/** RFC 3566, section 4.6, whole and cut to the 96 bits that IPsec carries. */
function xcbc(): KnownAnswer[] {
  const rows: [testCase: number, message: Uint8Array, value: string][] = [
    [1, counting(0, 0), "75f0251d528ac01c4573dfd584d79f29"],
    [2, counting(0, 3), "5b376580ae2f19afe7219ceef172756f"],
    [3, counting(0, 16), "d2a246fa349b68a79998a4394ff7a263"],
    [4, counting(0, 20), "47f51b4564966215b8985c63055ed308"],
    [5, counting(0, 32), "f54f0ec8d2b9f3d36807734bd5283fd4"],
    [6, counting(0, 34), "becbb3bccdb518a30677d5481fb6b4d8"],
    [7, new Uint8Array(1000), "f0dafee895db30253761103b5d84528f"],
  ];
  const key = counting(0, 16);
  return rows.flatMap(([testCase, message, value]) => [
    mac(`RFC 3566 4.6 #${testCase}`, v.MAC_XCBC_AES, key, message, value),
    mac(`RFC 3566 4.6, 96 bits #${testCase}`, v.MAC_XCBC_AES, key, message, value.slice(0, 24)),
  ]);
}
