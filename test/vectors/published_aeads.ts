/**
 * Known answers of the AEADs from standards, as literals: what every machine has, whatever is installed. Each value was
 * recomputed with a second implementation before it was written down.
 *
 * @module
 */

import * as v from "../../src/wire/virtio_crypto.ts";
import { concat } from "../bytes.ts";
import {
  aeadBothWays,
  type AeadCase,
  aeadOpens,
  ascii,
  counting,
  EMPTY,
  hex,
  type KnownAnswer,
} from "./answer.ts";

/** All of them. */
export function publishedAeads(): KnownAnswer[] {
  return [...gcm(), ...ccm(), ...chaCha20Poly1305()];
}

/** The case both ways, and once more with the last bit of the tag turned, which must be refused. */
function threeWays(common: AeadCase, plaintext: Uint8Array, sealed: Uint8Array): KnownAnswer[] {
  const forged = sealed.slice();
  forged[forged.length - 1]! ^= 1;
  const [, document, number] = /^(.*)( #.*)$/.exec(common.source)!;
  const refused = { ...common, source: `${document}, forged${number}` };
  return [...aeadBothWays(common, plaintext, sealed), aeadOpens(refused, forged)];
}

/** What the longer test cases of GCM's specification have in common. */
const MESSAGE = hex(`d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72
  1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b391aafd255`);
const AAD = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
const LONG_KEY = hex("feffe9928665731c6d6a8f9467308308 feffe9928665731c6d6a8f9467308308");

/** What each test case of GCM's specification yields: the ciphertext and the tag. */
const GCM_ROWS: [testCase: number, keyLen: number, sealed: string][] = [
  [1, 16, "58e2fccefa7e3061367f1d57a4e7455a"],
  [2, 16, "0388dace60b6a392f328c2b971b2fe78 ab6e47d42cec13bdf53a67b21257bddf"],
  [
    3,
    16,
    `42831ec2217774244b7221b784d0d49c e3aa212f2c02a4e035c17e2329aca12e 21d514b25466931c7d8f6a5aac84aa05
    1ba30b396a0aac973d58e091473f5985 4d5c2af327cd64a62cf35abd2ba6fab4`,
  ],
  [
    4,
    16,
    `42831ec2217774244b7221b784d0d49c e3aa212f2c02a4e035c17e2329aca12e 21d514b25466931c7d8f6a5aac84aa05
    1ba30b396a0aac973d58e0915bc94fbc 3221a5db94fae95ae7121a47`,
  ],
  [
    5,
    16,
    `61353b4c2806934a777ff51fa22a4755 699b2a714fcdc6f83766e5f97b6c7423 73806900e49f24b22b097544d4896b42
    4989b5e1ebac0f07c23f45983612d2e7 9e3b0785561be14aaca2fccb`,
  ],
  [
    6,
    16,
    `8ce24998625615b603a033aca13fb894 be9112a5c3a211a8ba262a3cca7e2ca7 01e4a9a4fba43c90ccdcb281d48c7c6f
    d62875d2aca417034c34aee5619cc5ae fffe0bfa462af43c1699d050`,
  ],
  [7, 24, "cd33b28ac773f74ba00ed1f312572435"],
  [8, 24, "98e7247c07f0fe411c267e4384b0f600 2ff58d80033927ab8ef4d4587514f0fb"],
  [
    9,
    24,
    `3980ca0b3c00e841eb06fac4872a2757 859e1ceaa6efd984628593b40ca1e19c 7d773d00c144c525ac619d18c84a3f47
    18e2448b2fe324d9ccda2710acade256 9924a7c8587336bfb118024db8674a14`,
  ],
  [
    10,
    24,
    `3980ca0b3c00e841eb06fac4872a2757 859e1ceaa6efd984628593b40ca1e19c 7d773d00c144c525ac619d18c84a3f47
    18e2448b2fe324d9ccda27102519498e 80f1478f37ba55bd6d27618c`,
  ],
  [
    11,
    24,
    `0f10f599ae14a154ed24b36e25324db8 c566632ef2bbb34f8347280fc4507057 fddc29df9a471f75c66541d4d4dad1c9
    e93a19a58e8b473fa0f062f765dcc57f cf623a24094fcca40d3533f8`,
  ],
  [
    12,
    24,
    `d27e88681ce3243c4830165a8fdcf9ff 1de9a1d8e6b447ef6ef7b79828666e45 81e79012af34ddd9e2f037589b292db3
    e67c036745fa22e7e9b7373bdcf566ff 291c25bbb8568fc3d376a6d9`,
  ],
  [13, 32, "530f8afbc74536b9a963b4f1c4cb738b"],
  [14, 32, "cea7403d4d606b6e074ec5d3baf39d18 d0d1c8a799996bf0265b98b5d48ab919"],
  [
    15,
    32,
    `522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa 8cb08e48590dbb3da7b08b1056828838
    c5f61e6393ba7a0abcc9f662898015ad b094dac5d93471bdec1a502270e3cc6c`,
  ],
  [
    16,
    32,
    `522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa 8cb08e48590dbb3da7b08b1056828838
    c5f61e6393ba7a0abcc9f66276fc6ece 0f4e1768cddf8853bb2d551b`,
  ],
  [
    17,
    32,
    `c3762df1ca787d32ae47c13bf19844cb af1ae14d0b976afac52ff7d79bba9de0 feb582d33934a4f0954cc2363bc73f78
    62ac430e64abe499f47c9b1f3a337dbf 46a792c45e454913fe2ea8f2`,
  ],
  [
    18,
    32,
    `5a8def2f0c9e53f1f75d7853659e2a20 eeb2b22aafde6419a058ab4f6f746bf4 0fc0c3b780f244452da3ebf1c5d82cde
    a2418997200ef82e44ae7e3fa44a8266 ee1c8eb0c8b5d4cf5ae9f19a`,
  ],
];

/**
 * The GCM specification of McGrew and Viega, appendix B. Its cases with IVs of 8 and 60 bytes also show J0 (there Y0),
 * the form in which the device takes an IV of 16 bytes; J0 for a 12-byte IV is the IV and a block number of 1.
 */
function gcm(): KnownAnswer[] {
  const iv12 = hex("cafebabefacedbaddecaf888");
  const iv8 = iv12.subarray(0, 8);
  const iv60 = hex(`9313225df88406e555909c5aff5269aa 6a7a9538534f7da1e4c303d2a318a728
    c3c0c95156809539fcf0e2429a6b5254 16aedbf5a0de6a57a637b39b`);
  const short = MESSAGE.subarray(0, 60);
  const one = hex("00000001");
  const zeros = (length: number) => new Uint8Array(length);
  const cases = GCM_ROWS.flatMap(([testCase, keyLen, sealed]) => {
    const shape = (testCase - 1) % 6;
    const common = {
      source: `GCM specification B #${testCase}`,
      algo: v.AEAD_GCM,
      key: shape < 2 ? zeros(keyLen) : LONG_KEY.subarray(0, keyLen),
      iv: [zeros(12), zeros(12), iv12, iv12, iv8, iv60][shape]!,
      aad: shape < 3 ? EMPTY : AAD,
      tagLen: 16,
    };
    return threeWays(common, [EMPTY, zeros(16), MESSAGE, short, short, short][shape]!, hex(sealed));
  });
  const j0s: [testCase: number, j0: Uint8Array][] = [
    [4, concat(iv12, one)],
    [5, hex("c43a83c4c4badec4354ca984db252f7d")],
    [6, hex("3bab75780a31c059f83d2a44752f9864")],
    [16, concat(iv12, one)],
  ];
  const givenJ0 = j0s.flatMap(([testCase, iv]) => {
    const [, keyLen, sealed] = GCM_ROWS[testCase - 1]!;
    const source = `GCM specification B, given J0 #${testCase}`;
    return threeWays(
      { source, algo: v.AEAD_GCM, key: LONG_KEY.subarray(0, keyLen), iv, aad: AAD, tagLen: 16 },
      short,
      hex(sealed),
    );
  });
  return [...cases, ...givenJ0, ...wrappingJ0()];
}

/**
 * Counters that start at J0 and wrap within their last four bytes (SP 800-38D, 6.2). No document shows such a case: the
 * values were computed from 7.1 with two independent programs.
 */
function wrappingJ0(): KnownAnswer[] {
  const rows: [j0: string, sealed: string][] = [
    [
      "ff".repeat(16),
      `
      e80059dd5d25127674de8edb924a41f2 a9edc113662096061ce298bcd7b65536 6b2d8c509248d4e06dd27828a28cb78e
      00894177925fa6ac83c0822cc3792470 eeb6197575dc8f33453d7501`,
    ],
    [
      "c43a83c4c4badec4354ca984fffffffe",
      `
      04074ac24fa3879fd4f18789953835cc 85fbced0bd79761659eb480456c471df 7125a049b961d43e40c360068570223b
      7e34a69ffad35569210938772e954c17 d9de65dc9d9f079faf4095dd`,
    ],
  ];
  return rows.flatMap(([j0, sealed], i) => {
    const source = `SP 800-38D 7.1, J0 that wraps, computed #${i + 1}`;
    const common = { source, algo: v.AEAD_GCM, key: LONG_KEY.subarray(0, 16), iv: hex(j0), aad: AAD, tagLen: 16 };
    return threeWays(common, MESSAGE.subarray(0, 60), hex(sealed));
  });
}

/** SP 800-38C, appendix C, examples 1 to 4, and RFC 3610, section 8, packet vectors 1 to 12. */
function ccm(): KnownAnswer[] {
  const everyByte = counting(0, 256);
  const aad64KiB = concat(...Array.from({ length: 256 }, () => everyByte));
  const examples: [nonceLen: number, aad: Uint8Array, plaintextLen: number, tagLen: number, sealed: string][] = [
    [7, counting(0, 8), 4, 4, "7162015b 4dac255d"],
    [8, counting(0, 16), 16, 6, "d2a1f0e051ea5f62081a7792073d593d 1fc64fbfaccd"],
    [12, counting(0, 20), 24, 8, "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5 484392fbc1b09951"],
    [
      13,
      aad64KiB,
      32,
      14,
      `69915dad1e84c6376a68c2967e4dab61 5ae0fd1faec44cc484828529463ccf72
      b4ac6bec93e8598e7f0dadbcea5b`,
    ],
  ];
  const packets: [number: number, nonce: string, aadLen: number, total: number, tagLen: number, sealed: string][] = [
    [1, "00000003020100", 8, 31, 8, "588c979a61c663d2f066d0c2c0f98980 6d5f6b61dac384 17e8d12cfdf926e0"],
    [2, "00000004030201", 8, 32, 8, "72c91a36e135f8cf291ca894085c87e3 cc15c439c9e43a3b a091d56e10400916"],
    [3, "00000005040302", 8, 33, 8, "51b1e5f44a197d1da46b0f8e2d282ae8 71e838bb64da859657 4adaa76fbd9fb0c5"],
    [4, "00000006050403", 12, 31, 8, "a28c6865939a9a79faaa5c4c2a9d4a91 cdac8c 96c861b9c9e61ef1"],
    [5, "00000007060504", 12, 32, 8, "dcf1fb7b5d9e23fb9d4e131253658ad8 6ebdca3e 51e83f077d9c2d93"],
    [6, "00000008070605", 12, 33, 8, "6fc1b011f006568b5171a42d953d469b 2570a4bd87 405a0443ac91cb94"],
    [7, "00000009080706", 8, 31, 10, "0135d1b2c95f41d5d1d4fec185d166b8 094e999dfed96c 048c56602c97acbb7490"],
    [8, "0000000a090807", 8, 32, 10, "7b75399ac0831dd2f0bbd75879a2fd8f 6cae6b6cd9b7db24 c17b4433f434963f34b4"],
    [9, "0000000b0a0908", 8, 33, 10, "82531a60cc24945a4b8279181ab5c84d f21ce7f9b73f42e197 ea9c07e56b5eb17e5f4e"],
    [10, "0000000c0b0a09", 12, 31, 10, "07342594157785152b074098330abb14 1b947b 566aa9406b4d999988dd"],
    [11, "0000000d0c0b0a", 12, 32, 10, "676bb20380b0e301e8ab79590a396da7 8b834934 f53aa2e9107a8b6c022c"],
    [12, "0000000e0d0c0b", 12, 33, 10, "c0ffa0d6f05bdb67f24d43a4338d2aa4 bed7b20e43 cd1aa31662e7ad65d6db"],
  ];
  return [
    ...examples.flatMap(([nonceLen, aad, plaintextLen, tagLen, sealed], i) => {
      const [key, iv] = [counting(0x40, 16), counting(0x10, nonceLen)];
      const common = { source: `SP 800-38C C #${i + 1}`, algo: v.AEAD_CCM, key, iv, aad, tagLen };
      return threeWays(common, counting(0x20, plaintextLen), hex(sealed));
    }),
    ...packets.flatMap(([number, nonce, aadLen, total, tagLen, sealed]) => {
      const [key, iv, aad] = [counting(0xc0, 16), hex(`${nonce} a0a1a2a3a4a5`), counting(0, aadLen)];
      const common = { source: `RFC 3610 8 #${number}`, algo: v.AEAD_CCM, key, iv, aad, tagLen };
      return threeWays(common, counting(aadLen, total - aadLen), hex(sealed));
    }),
  ];
}

/** RFC 8439, section 2.8.2. */
function chaCha20Poly1305(): KnownAnswer[] {
  const common = {
    source: "RFC 8439 2.8.2 #1",
    algo: v.AEAD_CHACHA20_POLY1305,
    key: counting(0x80, 32),
    iv: hex("07000000 4041424344454647"),
    aad: hex("50515253c0c1c2c3c4c5c6c7"),
    tagLen: 16,
  };
  const plaintext = ascii(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, " +
      "sunscreen would be it.",
  );
  const sealed = hex(`d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6
    3dbea45e8ca9671282fafb69da92728b 1a71de0a9e060b2905d6a5b67ecd3b36 92ddbd7f2d778b8c9803aee328091b58
    fab324e4fad675945585808b4831d7bc 3ff4def08e4b7a9de576d26586cec64b 6116
    1ae10b594f09e26a7e902ecbd0600691`);
  return threeWays(common, plaintext, sealed);
}
