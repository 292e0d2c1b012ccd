/**
 * The errata of libIPSec_MB by version and instruction set.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { type ErratumName, hasErratum } from "../../src/engine/ipsec_mb_errata.ts";

const VERSIONS = [0x10300, 0x10400, 0x10500, 0x20000, 0x20001, 0x20002];

/** For each erratum and instruction set, which of those versions have it. */
const EXPECTED: readonly [name: ErratumName, variant: string, has: readonly boolean[]][] = [
  ["zucSingleBuffer", "", [true, true, true, false, false, false]],
  ["zucEia3UnequalLanes", "avx2_t1", [true, true, true, false, false, false]],
  ["zucEia3UnequalLanes", "avx512_t1", [false, false, false, false, false, false]],
  ["desWrongLane", "avx512_t2", [false, false, false, true, true, true]],
  ["desWrongLane", "avx2_t2", [false, false, false, false, false, false]],
  ["zucOverRead", "avx_t1", [true, true, true, false, false, false]],
  ["zucOverRead", "avx2_t1", [false, false, false, false, false, false]],
  ["cmacOverRead", "avx512_t2", [true, true, true, true, true, false]],
  ["chacha20OverRead", "sse_t1", [true, true, true, true, true, false]],
  ["emptyMessages", "sse_t1", [true, true, true, true, true, false]],
  ["ctrCarry", "sse_t1", [true, true, true, true, true, true]],
];

for (const [name, variant, has] of EXPECTED) {
  Deno.test(`versions that have ${name}${variant && ` in ${variant}`}`, () => {
    assertEquals(VERSIONS.map((version) => hasErratum(name, version, variant)), has);
  });
}
