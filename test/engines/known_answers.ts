/**
 * Known answers of the algorithms that OpenSSL lacks, in the form of all others: 3GPP's test sets with complete bytes,
 * if they are on this machine, and answers of the models, which are tested with these sets, for lengths around every
 * block.
 *
 * @module
 */
import * as v from "../../src/wire/virtio_crypto.ts";
import { cipherBothWays, counting, digestAnswer, EMPTY, type KnownAnswer } from "../vectors/answer.ts";
import { f9Input, ivOf, macIvOf } from "./inputs.ts";
import { kasumiF8, kasumiF9 } from "./models/kasumi.ts";
import { snow3gUea2, snow3gUia2 } from "./models/snow3g.ts";
import { gmacTwofish } from "./models/twofish.ts";
import { zucEea3, zucEia3 } from "./models/zuc.ts";
import { readPublishedSets } from "./published_sets.ts";

const { sets, missing } = readPublishedSets();

/** All of them. */
export function engineAnswers(): KnownAnswer[] {
  return [...publishedCiphers(), ...publishedMacs(), ...computed()];
}

/** Test sets that are left out: all, or the MACs of messages that end within a byte. */
export function setsLeftOut(): string {
  if (missing !== undefined) return missing;
  const count = [...sets.snow3gUia2, ...sets.zucEia3].filter(({ bits }) => bits % 8 !== 0).length;
  return `${count} test sets end within a byte and are left out`;
}

/** A stream cipher's whole bytes stand for themselves, so of each test set all but the bits of a last byte is used. */
function publishedCiphers(): KnownAnswer[] {
  const documents = [
    { source: "TS 35.203 KASUMI-F8", algo: v.CIPHER_KASUMI_F8, ivLen: 8, sets: sets.kasumiF8 },
    { source: "TS 35.217 UEA2", algo: v.CIPHER_SNOW3G_UEA2, ivLen: 16, sets: sets.snow3gUea2 },
    { source: "TS 35.223 EEA3", algo: v.CIPHER_ZUC_EEA3, ivLen: 16, sets: sets.zucEea3 },
  ] as const;
  return documents.flatMap(({ source, algo, ivLen, sets }) =>
    sets.flatMap((set, i) => {
      const [plaintext, ciphertext] = [set.plaintext, set.ciphertext].map((text) => text.slice(0, set.bits >>> 3));
      return cipherBothWays(`${source} #${i + 1}`, algo, set.key, ivOf(set, ivLen), plaintext!, ciphertext!);
    })
  );
}

function mac(source: string, algo: number, key: Uint8Array, iv: Uint8Array, src: Uint8Array, value: Uint8Array) {
  return digestAnswer(source, v.SERVICE_MAC, algo, src, value, key, iv);
}

/** F9 takes a message of any number of bits, the other MACs one of whole bytes. */
function publishedMacs(): KnownAnswer[] {
  const f9 = sets.kasumiF9.map((set, i) =>
    mac(`TS 35.203 KASUMI-F9 #${i + 1}`, v.MAC_KASUMI_F9, set.key, EMPTY, f9Input(set), set.mac)
  );
  const documents = [
    { source: "TS 35.217 UIA2", algo: v.MAC_SNOW3G_UIA2, sets: sets.snow3gUia2 },
    { source: "TS 35.223 EIA3", algo: v.MAC_ZUC_EIA3, sets: sets.zucEia3 },
  ];
  const others = documents.flatMap(({ source, algo, sets }) =>
    sets.flatMap((set, i) =>
      set.bits % 8 === 0 ? [mac(`${source} #${i + 1}`, algo, set.key, macIvOf(set), set.message, set.mac)] : []
    )
  );
  return [...f9, ...others];
}

const LENGTHS = [1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 120, 128, 257, 500, 1000, 1024, 2048];

/** Answers of the models. Keys, IVs and messages count upwards, each from somewhere else. */
function computed(): KnownAnswer[] {
  return LENGTHS.flatMap((length, i) => {
    const data = counting(7 * length, length);
    const key = counting(100 + i, 16);
    const iv = counting(200 + i, 16);
    const at = `#${i + 1}`;
    const kasumi = kasumiF8(key, iv.subarray(0, 8), data);
    const twofishKey = counting(i, 16 + 16 * (i % 2));
    const gmacIv = iv.subarray(0, 12);
    return [
      ...cipherBothWays(`model of KASUMI-F8 ${at}`, v.CIPHER_KASUMI_F8, key, iv.subarray(0, 8), data, kasumi),
      ...cipherBothWays(`model of UEA2 ${at}`, v.CIPHER_SNOW3G_UEA2, key, iv, data, snow3gUea2(key, iv, data)),
      ...cipherBothWays(`model of EEA3 ${at}`, v.CIPHER_ZUC_EEA3, key, iv, data, zucEea3(key, iv, data)),
      mac(`model of UIA2 ${at}`, v.MAC_SNOW3G_UIA2, key, iv, data, snow3gUia2(key, iv, data)),
      mac(`model of EIA3 ${at}`, v.MAC_ZUC_EIA3, key, iv, data, zucEia3(key, iv, data)),
      ...f9Computed(at, key, data),
      mac(
        `model of GMAC-Twofish ${at}`,
        v.MAC_GMAC_TWOFISH,
        twofishKey,
        gmacIv,
        data,
        gmacTwofish(twofishKey, gmacIv, data),
      ),
    ];
  });
}

/** F9's input has 8 bytes in front of the message; its length need not be a multiple of 8, see the engine. */
function f9Computed(at: string, key: Uint8Array, data: Uint8Array): KnownAnswer[] {
  if (data.length <= 8) return [];
  return [mac(`model of KASUMI-F9 ${at}`, v.MAC_KASUMI_F9, key, EMPTY, data, kasumiF9(key, data))];
}
