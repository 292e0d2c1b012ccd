/**
 * The engine does not know the wire, so it has numbers of its own; the device passes them on as they are.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkNumbers } from "../../src/engine/catalogue.ts";
import * as algorithms from "../../src/engine/algorithm_numbers.ts";
import * as akcipherNumbers from "../../src/engine/asymmetric/akcipher_numbers.ts";
import * as format from "../../src/engine/asymmetric/rfc3/format.ts";
import * as akcipher from "../../src/wire/akcipher.ts";
import * as rfc3 from "../../src/wire/asym_rfc3.ts";
import * as crypto from "../../src/wire/virtio_crypto.ts";

const PAIRS: readonly [name: string, ours: Record<string, unknown>, wire: Record<string, unknown>][] = [
  ["algorithms", algorithms, crypto],
  ["AKCIPHER", akcipherNumbers, { ...crypto, ...akcipher }],
  ["the RFC", format, { ...crypto, ...rfc3 }],
];

for (const [name, ours, wire] of PAIRS) {
  Deno.test(`numbers of the engine equal those of the wire: ${name}`, () => {
    const numbers = Object.entries(ours).filter(([, value]) => typeof value === "number");
    assert(numbers.length > 10);
    for (const [constant, value] of numbers) assertEquals(value, wire[constant], constant);
  });
}

Deno.test("an algorithm whose number has no bit in its mask is refused", () => {
  const row = (algo: number) => [{ algo, name: "Camellia" }];
  for (const algo of [1, 31]) checkNumbers(row(algo), 31);
  for (const algo of [0, -1, 1.5, 32, 0x7f01]) {
    assertThrows(() => checkNumbers(row(algo), 31), RangeError, `Camellia has the number ${algo}`);
  }
});
