/**
 * Known answers of the hashes from standards, as literals: what every machine has, whatever is installed. Each value
 * was recomputed with a second implementation before it was written down.
 *
 * @module
 */

import * as v from "../../src/wire/virtio_crypto.ts";
import { ascii, digestAnswer, hex, type KnownAnswer } from "./answer.ts";

const TWO_BLOCKS = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
const TWO_LARGE_BLOCKS = "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn" +
  "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";

/** The 1600 bits of NIST's examples for SHA-3. */
const A3_1600 = new Uint8Array(200).fill(0xa3);

const ROWS: [source: string, algo: number, message: string | Uint8Array, digest: string][] = [
  ["RFC 1321 A.5 #1", v.HASH_MD5, "", "d41d8cd98f00b204e9800998ecf8427e"],
  ["RFC 1321 A.5 #3", v.HASH_MD5, "abc", "900150983cd24fb0d6963f7d28e17f72"],
  ["RFC 1321 A.5 #5", v.HASH_MD5, "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"],
  ["FIPS 180-2 A.1 #1", v.HASH_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"],
  ["FIPS 180-2 A.2 #1", v.HASH_SHA1, TWO_BLOCKS, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"],
  ["RFC 3874 3.1 #1", v.HASH_SHA_224, "abc", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"],
  ["RFC 3874 3.2 #1", v.HASH_SHA_224, TWO_BLOCKS, "75388b16512776cc5dba5da1fd890150b0c6455cb4f58b1952522525"],
  ["FIPS 180-2 B.1 #1", v.HASH_SHA_256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "FIPS 180-2 B.2 #1",
    v.HASH_SHA_256,
    TWO_BLOCKS,
    `248d6a61d20638b8e5c026930c3e6039
    a33ce45964ff2167f6ecedd419db06c1`,
  ],
  [
    "FIPS 180-2 D.1 #1",
    v.HASH_SHA_384,
    "abc",
    `cb00753f45a35e8bb5a03d699ac65007 272c32ab0eded1631a8b605a43ff5bed
    8086072ba1e7cc2358baeca134c825a7`,
  ],
  [
    "FIPS 180-2 D.2 #1",
    v.HASH_SHA_384,
    TWO_LARGE_BLOCKS,
    `09330c33f71147e83d192fc782cd1b47
    53111b173b3b05d22fa08086e3b0f712 fcc7c71a557e2db966c3e9fa91746039`,
  ],
  [
    "FIPS 180-2 C.1 #1",
    v.HASH_SHA_512,
    "abc",
    `ddaf35a193617abacc417349ae204131 12e6fa4e89a97ea20a9eeee64b55d39a
    2192992a274fc1a836ba3c23a3feebbd 454d4423643ce80e2a9ac94fa54ca49f`,
  ],
  [
    "FIPS 180-2 C.2 #1",
    v.HASH_SHA_512,
    TWO_LARGE_BLOCKS,
    `8e959b75dae313da8cf4f72814fc143f
    8f7779c6eb9f7fa17299aeadb6889018 501d289e4900f7e4331b99dec4b5433a c7d329eeb6dd26545e96e55b874be909`,
  ],
  ["NIST example SHA3-224 #1", v.HASH_SHA3_224, "", "6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7"],
  ["SHA3-224 of abc #1", v.HASH_SHA3_224, "abc", "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"],
  [
    "NIST example SHA3-256 #1",
    v.HASH_SHA3_256,
    "",
    `a7ffc6f8bf1ed76651c14756a061d662
    f580ff4de43b49fa82d80a4b80f8434a`,
  ],
  ["SHA3-256 of abc #1", v.HASH_SHA3_256, "abc", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"],
  [
    "NIST example SHA3-384 #1",
    v.HASH_SHA3_384,
    "",
    `0c63a75b845e4f7d01107d852e4c2485
    c51a50aaaa94fc61995e71bbee983a2a c3713831264adb47fb6bd1e058d5f004`,
  ],
  [
    "SHA3-384 of abc #1",
    v.HASH_SHA3_384,
    "abc",
    `ec01498288516fc926459f58e2c6ad8d f9b473cb0fc08c2596da7cf0e49be4b2
    98d88cea927ac7f539f1edf228376d25`,
  ],
  [
    "NIST example SHA3-512 #1",
    v.HASH_SHA3_512,
    "",
    `a69f73cca23a9ac5c8b567dc185a756e
    97c982164fe25859e0d1dcc1475c80a6 15b2123af1f5f94c11e3e9402c3ac558 f500199d95b6d3e301758586281dcd26`,
  ],
  [
    "SHA3-512 of abc #1",
    v.HASH_SHA3_512,
    "abc",
    `b751850b1a57168a5693cd924b6b096e 08f621827444f70d884f5d0240d2712e
    10e116e9192af3c91a7ec57647e39340 57340b4cf408d5a56592f8274eec53f0`,
  ],
  [
    "NIST example SHAKE128 #1",
    v.HASH_SHA3_SHAKE128,
    "",
    `7f9c2ba4e88f827d616045507605853e
    d73b8093f6efbc88eb1a6eacfa66ef26`,
  ],
  ["SHAKE128 of abc #1", v.HASH_SHA3_SHAKE128, "abc", "5881092dd818bf5cf8a3ddb793fbcba7"],
  [
    "NIST example SHAKE128, two blocks #1",
    v.HASH_SHA3_SHAKE128,
    A3_1600,
    `
    131ab8d2b594946b9c81333f9bb6e0ce75c3b93104fa3469d3917457385da037cf232ef7164a6d1eb448c8908186ad85
    2d3f85a5cf28da1ab6fe3438171978467f1c05d58c7ef38c284c41f6c2221a76f12ab1c04082660250802294fb871802
    13fdef5b0ecb7df50ca1f8555be14d32e10f6edcde892c09424b29f597afc270c904556bfcb47a7d40778d390923642b
    3cbd0579e60908d5a000c1d08b98ef933f806445bf87f8b009ba9e94f7266122ed7ac24e5e266c42a82fa1bbefb7b8db
    0066e16a85e0493f07df4809aec084a593748ac3dde5a6d7aae1e8b6e5352b2d71efbb47d4caeed5e6d633805d2d323e
    6fd81b4684b93a2677d45e7421c2c6aea259b855a698fd7d13477a1fe53e5a4a6197dbec5ce95f505b520bcd9570c4a8
    265a7e01f89c0c002c59bfec6cd4a5c109258953ee5ee70cd577ee217af21fa70178f0946c9bf6ca8751793479f6b537`,
  ],
  [
    "NIST example SHAKE256 #1",
    v.HASH_SHA3_SHAKE256,
    "",
    `46b9dd2b0ba88d13233b3feb743eeb24
    3fcd52ea62b81b82b50c27646ed5762f d75dc4ddd8c0f200cb05019d67b592f6 fc821c49479ab48640292eacb3b7c4be`,
  ],
  [
    "SHAKE256 of abc #1",
    v.HASH_SHA3_SHAKE256,
    "abc",
    "483366601360a8771c6863080cc4114d8db44530f8f1e1ee4f94ea37e78b5739",
  ],
  [
    "NIST example SHAKE256, two blocks #1",
    v.HASH_SHA3_SHAKE256,
    A3_1600,
    `
    cd8a920ed141aa0407a22d59288652e9d9f1a7ee0c1e7c1ca699424da84a904d2d700caae7396ece96604440577da4f3
    aa22aeb8857f961c4cd8e06f0ae6610b1048a7f64e1074cd629e85ad7566048efc4fb500b486a3309a8f26724c0ed628
    001a1099422468de726f1061d99eb9e93604d5aa7467d4b1bd6484582a384317d7f47d750b8f5499512bb85a226c4243
    556e696f6bd072c5aa2d9b69730244b56853d16970ad817e213e470618178001c9fb56c54fefa5fee67d2da524bb3b0b
    61ef0e9114a92cdbb6cccb98615cfe76e3510dd88d1cc28ff99287512f24bfafa1a76877b6f37198e3a641c68a7c42d4
    5fa7acc10dae5f3cefb7b735f12d4e589f7a456e78c0f5e4c4471fffa5e4fa05`,
  ],
];

/** All of them. */
export function publishedHashes(): KnownAnswer[] {
  return ROWS.map(([source, algo, message, digest]) => {
    const src = typeof message === "string" ? ascii(message) : message;
    return digestAnswer(source, v.SERVICE_HASH, algo, src, hex(digest));
  });
}
