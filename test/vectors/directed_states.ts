/**
 * Keys and IVs that lead ZUC and SNOW 3G to states that random ones reach once in 2^31 or 2^32 words, found by trying IVs
 * in the order of COUNT. `models_test.ts` checks the states with the models.
 *
 * @module
 */

/** A key and an IV, and the state that they lead to. */
export interface DirectedState {
  /** The property of the state. */
  readonly name: string;
  /** Words of key stream after which it is so; for a new cell and a word, those before the one that makes it. */
  readonly afterWords: number;
  /** 16 bytes in hexadecimal. */
  readonly key: string;
  /** The same. */
  readonly iv: string;
}

const KEY = "000102030405060708090a0b0c0d0e0f";

/** The IV of EEA3 and UEA2 for COUNT, with zeros for all other fields. */
function counted(name: string, afterWords: number, count: string): DirectedState {
  return { name, afterWords, key: KEY, iv: `${count}00000000`.repeat(2) };
}

/** ZUC in its rounds of initialisation, the first four: the new cell is 2^31 - 1. These were computed, not searched. */
export const ZUC_START_STATES: readonly DirectedState[] = [
  {
    name: "new cell of round 0 is 2^31 - 1",
    afterWords: 0,
    key: "2fa2949cf32a1ff658152b7ecdab1713",
    iv: "c416b4560b5ebead5a40bbc4b6bae203",
  },
  {
    name: "new cell of round 1 is 2^31 - 1",
    afterWords: 0,
    key: "ad021ea6cbd5038473f3b5d695373391",
    iv: "6b7289ef4ebaeb4703f62d851c71790f",
  },
  {
    name: "new cell of round 2 is 2^31 - 1",
    afterWords: 0,
    key: "a8a52e067074176192c7b40a89ba488a",
    iv: "491388d28d6151b63f232dc36aa2b468",
  },
  {
    name: "new cell of round 3 is 2^31 - 1",
    afterWords: 0,
    key: "10063a76bf36ce5dedfb6d99a807f272",
    iv: "d97c7fc8ad32f87a976338a61ff16b57",
  },
];

/** ZUC while it makes key stream. */
export const ZUC_STATES: readonly DirectedState[] = [
  counted("new cell is 2^31 - 1", 3, "0b253709"),
  counted("new cell is 2^31 - 1", 8, "cf50724b"),
  counted("new cell is 2^31 - 1", 20, "0488d059"),
  counted("new cell is 2^31 - 1", 22, "033e9721"),
  counted("new cell is 2^31 - 1", 27, "081fde8c"),
  counted("new cell is 2^31 - 1", 30, "09d097fe"),
  counted("new cell is 2^31 - 1", 31, "0b0ec7f3"),
  counted("new cell is 2^31 - 1", 37, "048be5df"),
  counted("new cell is 2^31 - 1", 38, "0a13078c"),
  counted("R1 is zeros", 14, "08aa036d"),
  counted("R1 is ones", 10, "031c73fd"),
  counted("R1 is ones", 33, "00509f1d"),
  counted("R2 is zeros", 8, "094edeea"),
  counted("R2 is ones", 3, "063053ca"),
  counted("R2 is ones", 11, "0b9065e9"),
  counted("word is zeros", 27, "0a3c746a"),
  counted("word is zeros", 36, "0737b649"),
  counted("word is ones", 2, "02300b19"),
  counted("word is ones", 16, "08a0def0"),
  counted("sum of X0 ^ R1 and R2 is 2^32", 13, "0015990e"),
  counted("sum of X0 ^ R1 and R2 is 2^32", 21, "01b1717a"),
];

/** SNOW 3G while it makes key stream. */
export const SNOW3G_STATES: readonly DirectedState[] = [
  counted("R1 is zeros", 2, "01621a9e"),
  counted("R1 is ones", 54, "004b4bf4"),
  counted("R2 is zeros", 46, "00bee0dd"),
  counted("R2 is ones", 51, "01ce8f49"),
  counted("R3 is zeros", 55, "069a24a1"),
  counted("R3 is ones", 47, "0130d424"),
  counted("word is zeros", 15, "0156d8f9"),
  counted("word is ones", 61, "03153a8e"),
  counted("new cell is zeros", 21, "019bd51a"),
  counted("new cell is ones", 53, "02b095f2"),
  counted("sum for R1 is 2^32", 1, "01621a9e"),
];
