/**
 * Known answers of the ciphers from standards, as literals: what every machine has, whatever is installed. Each value
 * was recomputed with a second implementation before it was written down.
 *
 * @module
 */

import * as v from "../../src/wire/virtio_crypto.ts";
import { concat } from "../bytes.ts";
import { ascii, cipherBothWays, counting, EMPTY, hex, type KnownAnswer } from "./answer.ts";

/** All of them. */
export function publishedCiphers(): KnownAnswer[] {
  return [...aesModes(), ...counterWraps(), ...xts(), ...f8(), ...des(), ...tripleDes(), ...arc4()];
}

/** The message of SP 800-38A, appendix F. */
const MESSAGE_38A = `6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
  30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710`;

/** SP 800-38A, F.1 (ECB), F.2 (CBC) and F.5 (CTR), for each key size. */
function aesModes(): KnownAnswer[] {
  const rows = [
    {
      key: "2b7e151628aed2a6abf7158809cf4f3c",
      ecb: `3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf
        43b1cd7f598ece23881b00e3ed030688 7b0c785e27e8ad3f8223207104725dd4`,
      cbc: `7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2
        73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7`,
      ctr: `874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff
        5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee`,
    },
    {
      key: "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
      ecb: `bd334f1d6e45f25ff712a214571fa5cc 974104846d0ad3ad7734ecb3ecee4eef
        ef7afd2270e2e60adce0ba2face6444e 9a4b41ba738d6c72fb16691603c18e0e`,
      cbc: `4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a
        571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd`,
      ctr: `1abc932417521ca24f2b0459fe7e6e0b 090339ec0aa6faefd5ccc2c6f4ce8e94
        1e36b26bd1ebc670d1bd1d665620abf7 4f78a7f6d29809585a97daec58c6b050`,
    },
    {
      key: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
      ecb: `f3eed1bdb5d2a03c064b5a7e3db181f8 591ccb10d410ed26dc5ba74a31362870
        b6ed21b99ca6f4f9f153e7b1beafed1d 23304b7a39f9f3ff067d8d8f9e24ecc7`,
      cbc: `f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d
        39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b`,
      ctr: `601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5
        2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6`,
    },
  ];
  const message = hex(MESSAGE_38A);
  return rows.flatMap((row, i) => {
    const key = hex(row.key);
    const counter = counting(0xf0, 16);
    return [
      ...cipherBothWays(`SP 800-38A F.1 #${i + 1}`, v.CIPHER_AES_ECB, key, EMPTY, message, hex(row.ecb)),
      ...cipherBothWays(`SP 800-38A F.2 #${i + 1}`, v.CIPHER_AES_CBC, key, counting(0, 16), message, hex(row.cbc)),
      ...cipherBothWays(`SP 800-38A F.5 #${i + 1}`, v.CIPHER_AES_CTR, key, counter, message, hex(row.ctr)),
      ...cipherBothWays(
        `SP 800-38A F.5, cut short #${i + 1}`,
        v.CIPHER_AES_CTR,
        key,
        counter,
        message.subarray(0, 37),
        hex(row.ctr).subarray(0, 37),
      ),
    ];
  });
}

/**
 * The counter is one number of the block's width and wraps to zero (SP 800-38A, appendix B.1). The keystream of a zero
 * key is E(ff..ff), E(00..00): for AES the last VarTxt answer of AESAVS and test case 2 of GCM's specification, for DES
 * two entries of the variable plaintext tables.
 */
function counterWraps(): KnownAnswer[] {
  const aes = hex("3f5b8cc9ea855a0afa7347d23e8d664e 66e94bd4ef8a2c3b884cfa59ca342b2e");
  const tripleDes = hex("355550b2150e2451 8ca64de9c1b123a7");
  const ones = (length: number) => new Uint8Array(length).fill(0xff);
  const zeros = (length: number) => new Uint8Array(length);
  return [
    ...cipherBothWays("AES-CTR that wraps #1", v.CIPHER_AES_CTR, zeros(16), ones(16), zeros(32), aes),
    ...cipherBothWays("3DES-CTR that wraps #1", v.CIPHER_3DES_CTR, zeros(24), ones(8), zeros(16), tripleDes),
  ];
}

/** IEEE Std 1619-2007, annex B. Vector 1 is absent: its two keys are equal, which devices refuse. */
function xts(): KnownAnswer[] {
  const stealing = "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0 bfbebdbcbbbab9b8b7b6b5b4b3b2b1b0";
  const e = "2718281828459045235360287471352662497757247093699959574966967627";
  const pi = "3141592653589793238462643383279502884197169399375105820974944592";
  const long = concat(counting(0, 256), counting(0, 256));
  const fours = new Uint8Array(32).fill(0x44);
  const rows: [vector: number, key: string, dataUnit: string, plaintext: Uint8Array, ciphertext: string][] = [
    [
      2,
      "11".repeat(16) + "22".repeat(16),
      "3333333333",
      fours,
      `c454185e6a16936e39334038acef838b
      fb186fff7480adc4289382ecd6d394f0`,
    ],
    [
      3,
      "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0" + "22".repeat(16),
      "3333333333",
      fours,
      `af85336b597afc1a900b2eb21ec949d2
      92df4c047e0b21532186a5971a227a89`,
    ],
    [
      4,
      "27182818284590452353602874713526 31415926535897932384626433832795",
      "00",
      long,
      `
      27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89cc78cf7f5e543445f8333d8fa7f560000
      05279fa5d8b5e4ad40e736ddb4d35412328063fd2aab53e5ea1e0a9f332500a5df9487d07a5c92cc512c8866c7e860ce
      93fdf166a24912b422976146ae20ce846bb7dc9ba94a767aaef20c0d61ad02655ea92dc4c4e41a8952c651d33174be51
      a10c421110e6d81588ede82103a252d8a750e8768defffed9122810aaeb99f9172af82b604dc4b8e51bcb08235a6f434
      1332e4ca60482a4ba1a03b3e65008fc5da76b70bf1690db4eae29c5f1badd03c5ccf2a55d705ddcd86d449511ceb7ec3
      0bf12b1fa35b913f9f747a8afd1b130e94bff94effd01a91735ca1726acd0b197c4e5b03393697e126826fb6bbde8ecc
      1e08298516e2c9ed03ff3c1b7860f6de76d4cecd94c8119855ef5297ca67e9f3e7ff72b1e99785ca0a7e7720c5b36dc6
      d72cac9574c8cbbc2f801e23e56fd344b07f22154beba0f08ce8891e643ed995c94d9a69c9f1b5f499027a78572aeebd
      74d20cc39881c213ee770b1010e4bea718846977ae119f7a023ab58cca0ad752afe656bb3c17256a9f6e9bf19fdd5a38
      fc82bbe872c5539edb609ef4f79c203ebb140f2e583cb2ad15b4aa5b655016a8449277dbd477ef2c8d6c017db738b18d
      eb4a427d1923ce3ff262735779a418f20a282df920147beabe421ee5319d0568`,
    ],
    [
      10,
      e + pi,
      "ff",
      long,
      `
      1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b5d31e276f8fe4a8d66b317f9ac683f44
      680a86ac35adfc3345befecb4bb188fd5776926c49a3095eb108fd1098baec70aaa66999a72a82f27d848b21d4a741b0
      c5cd4d5fff9dac89aeba122961d03a757123e9870f8acf1000020887891429ca2a3e7a7d7df7b10355165c8b9a6d0a7d
      e8b062c4500dc4cd120c0f7418dae3d0b5781c34803fa75421c790dfe1de1834f280d7667b327f6c8cd7557e12ac3a0f
      93ec05c52e0493ef31a12d3d9260f79a289d6a379bc70c50841473d1a8cc81ec583e9645e07b8d9670655ba5bbcfecc6
      dc3966380ad8fecb17b6ba02469a020a84e18e8f84252070c13e9f1f289be54fbc481457778f616015e1327a02b140f1
      505eb309326d68378f8374595c849d84f4c333ec4423885143cb47bd71c5edae9be69a2ffeceb1bec9de244fbe15992b
      11b77c040f12bd8f6a975a44a0f90c29a9abc3d4d893927284c58754cce294529f8614dcd2aba991925fedc4ae74ffac
      6e333b93eb4aff0479da9a410e4450e0dd7ae4c6e2910900575da401fc07059f645e8b7e9bfdef33943054ff84011493
      c27b3429eaedb4ed5376441a77ed43851ad77f16f541dfd269d50d6a5f14fb0aab1cbb4c1550be97f7ab4066193c4caa
      773dad38014bd2092fa755c824bb5e54c4f36ffda9fcea70b9c6e693e148c151`,
    ],
    [15, stealing, "9a78563412", counting(0, 17), "6c1625db4671522d3d7599601de7ca09ed"],
    [16, stealing, "9a78563412", counting(0, 18), "d069444b7a7e0cab09e24447d24deb1fedbf"],
    [17, stealing, "9a78563412", counting(0, 19), "e5df1351c0544ba1350b3363cd8ef4beedbf9d"],
    [18, stealing, "9a78563412", counting(0, 20), "9d84c813f719aa2c7be3f66171c7c5c2edbf9dac"],
  ];
  return rows.flatMap(([vector, key, dataUnit, plaintext, ciphertext]) => {
    const tweak = hex(dataUnit.padEnd(32, "0"));
    return cipherBothWays(`IEEE 1619 B #${vector}`, v.CIPHER_AES_XTS, hex(key), tweak, plaintext, hex(ciphertext));
  });
}

/**
 * RFC 3711, appendix B.1; the key mask stands behind the key. Longer keys have no published answer: the two others were
 * computed from 4.1.2 with two independent programs.
 */
function f8(): KnownAnswer[] {
  const iv = hex("006e5cba50681de55c621599d462564a");
  const plaintext = ascii("pseudorandomness is the next best thing");
  const mask = (length: number) => concat(hex("32f2870d"), new Uint8Array(length - 4).fill(0x55));
  const rows: [source: string, key: Uint8Array, ciphertext: string][] = [
    [
      "RFC 3711 B.1 #1",
      hex("234829008467be186c3de14aae72d62c"),
      `019ce7a26e7854014a6366aa95d4eefd
      1ad4172a14f9faf455b7f1d4b62bd08f 562c0eef7c4802`,
    ],
    [
      "RFC 3711 4.1.2, computed #1",
      counting(0, 24),
      `aedfdffef748a550904eeabc1613bb9a
      68f5bdb95d2dd593290e6856c75c4c1c 480307946b730e`,
    ],
    [
      "RFC 3711 4.1.2, computed #2",
      counting(0, 32),
      `62164972fea928e856be498b1cbf73e8
      46912750074d2f91f85ba432c126d565 4eabbc8e8c11cb`,
    ],
  ];
  return rows.flatMap(([source, key, ciphertext]) => {
    const keyAndMask = concat(key, mask(key.length));
    return cipherBothWays(source, v.CIPHER_AES_F8, keyAndMask, iv, plaintext, hex(ciphertext));
  });
}

/** FIPS 81, tables B1 and C1, and the worked example of Grabbe's "The DES Algorithm Illustrated". */
function des(): KnownAnswer[] {
  const key = hex("0123456789abcdef");
  const message = ascii("Now is the time for all ");
  const ecb = hex("3fa40e8a984d4815 6a271787ab8883f9 893d51ec4b563b53");
  const cbc = hex("e5c7cdde872bf27c 43e934008c389c0f 683788499a7c05f6");
  const block = hex("0123456789abcdef");
  return [
    ...cipherBothWays("FIPS 81 B1 #1", v.CIPHER_DES_ECB, key, EMPTY, message, ecb),
    ...cipherBothWays("FIPS 81 C1 #1", v.CIPHER_DES_CBC, key, hex("1234567890abcdef"), message, cbc),
    ...cipherBothWays(
      "DES illustrated #1",
      v.CIPHER_DES_ECB,
      hex("133457799bbcdff1"),
      EMPTY,
      block,
      hex("85e813540f0ab405"),
    ),
  ];
}

/**
 * SP 800-67, appendix B, and NIST's example values for the modes of TDEA with three keys and with two. CTR with two
 * keys was computed with two independent programs.
 */
function tripleDes(): KnownAnswer[] {
  const key = hex("0123456789abcdef 23456789abcdef01 456789abcdef0123");
  const iv = hex("f69f2445df4f9b17");
  const message = hex(MESSAGE_38A).subarray(0, 32);
  const ecb = hex("714772f339841d34267fcc4bd2949cc3 ee11c22a576a303876183f99c0b6de87");
  const cbc = hex("2079c3d53aa763e193b79e2569ab5262 516570481f25b50f73c0bda85c8e0da7");
  const ctr = hex("078bb74e59ce7ed619aa11d25004fb65 a03cedf1ba0b09baa3bc81b8f69c1da9");
  const twoKeys = key.subarray(0, 16);
  const ecb2 = hex("06ede3d82884090aff322c19f0518486 730576972a666e58b6c88cf107340d3d");
  const cbc2 = hex("7401ce1eab6d003caff84bf47b36cc21 54f0238f9ffecd8f6acf118392b45581");
  const ctr2 = hex("6195b9c2c39909c5dbdf92dadbad5a5d 1568482bf25c42c96d3853a8e71b010e");
  const fox = ascii("The qufck brown fox jump");
  const foxEcb = hex("a826fd8ce53b855f cce21c8112256fe6 68d5c05dd9b6b900");
  const cut = (bytes: Uint8Array) => bytes.subarray(0, 27);
  return [
    ...cipherBothWays("SP 800-67 B #1", v.CIPHER_3DES_ECB, key, EMPTY, fox, foxEcb),
    ...cipherBothWays("NIST example TDES_ECB #1", v.CIPHER_3DES_ECB, key, EMPTY, message, ecb),
    ...cipherBothWays("NIST example TDES_CBC #1", v.CIPHER_3DES_CBC, key, iv, message, cbc),
    ...cipherBothWays("NIST example TDES_CTR #1", v.CIPHER_3DES_CTR, key, iv, message, ctr),
    ...cipherBothWays("NIST example TDES_CTR, cut short #1", v.CIPHER_3DES_CTR, key, iv, cut(message), cut(ctr)),
    ...cipherBothWays("NIST example TDES_ECB, two keys #1", v.CIPHER_3DES_ECB, twoKeys, EMPTY, message, ecb2),
    ...cipherBothWays("NIST example TDES_CBC, two keys #1", v.CIPHER_3DES_CBC, twoKeys, iv, message, cbc2),
    ...cipherBothWays("SP 800-38A 6.5, two keys, computed #1", v.CIPHER_3DES_CTR, twoKeys, iv, message, ctr2),
  ];
}

/** RFC 6229, section 2 (offset 0 and 16), and the three examples that came with the first description of the cipher. */
function arc4(): KnownAnswer[] {
  const zeros = new Uint8Array(32);
  const rows: [source: string, key: Uint8Array, plaintext: Uint8Array, ciphertext: string][] = [
    ["RFC 6229 #1", counting(1, 5), zeros, "b2396305f03dc027ccc3524a0a1118a8 6982944f18fc82d589c403a47a0d0919"],
    ["RFC 6229 #2", counting(1, 16), zeros, "9ac7cc9a609d1ef7b2932899cde41b97 5248c4959014126a6e8a84f11d1a9e1c"],
    ["RFC 6229 #3", counting(1, 32), zeros, "eaa6bd25880bf93d3f5d1e4ca2611d91 cfa45c9f7e714b54bdfa80027cb14380"],
    ["ARC4 example #1", ascii("Secret"), ascii("Attack at dawn"), "45a01f645fc35b383552544b9bf5"],
  ];
  return rows.flatMap(([source, key, plaintext, ciphertext]) =>
    cipherBothWays(source, v.CIPHER_ARC4, key, EMPTY, plaintext, hex(ciphertext))
  );
}
