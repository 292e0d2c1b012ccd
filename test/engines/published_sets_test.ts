/**
 * The reader of 3GPP's test sets, with tables of this test: C syntax, and missing files.
 *
 * @module
 */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { withDirectory } from "../cli/programs.ts";
import { initializerOf } from "./c_initializers.ts";
import { areSetsWanted, readPublishedSets, SETS_FILES } from "./published_sets.ts";

Deno.test("initializers are read: comments, words, nested braces, commas at the end", () => {
  const source = `
    #define LENGTH (16) /* bytes */
    typedef struct { int table[LENGTH]; } table_t;
    static const table_t other_table[] = { { 9 } };
    static const table_t table[2][LENGTH] = {
      { 0x0A, 11, /* 12, { */ LENGTH, UNKNOWN }, // 13 }
      {}, { { 1 }, {2,}, },
    };`;
  assertEquals(initializerOf(source, "table"), [[10, 11, 16, NaN], [], [[1], [2]]]);
  assertEquals(initializerOf(source, "other_table"), [[9]]);
  assertThrows(() => initializerOf(source, "no_table"), Error, "There is no initializer of no_table");
  assertThrows(() => initializerOf("int x[] = { 1, (2) };", "x"), Error, 'No initializer has "(2) };" in it');
  assertThrows(() => initializerOf("int x[] = { 1,", "x"), Error, "No initializer has");
});

Deno.test({
  name: "absent test sets are reported as missing, unreadable ones are an error",
  ignore: !areSetsWanted(),
  fn: () =>
    withDirectory(async (directory) => {
      const { sets, missing } = readPublishedSets(directory);
      assertEquals(Object.values(sets).flat(), []);
      assertStringIncludes(missing!, "scripts/prepare");
      for (const name of SETS_FILES) await Deno.writeTextFile(`${directory}/${name}`, "");
      assertThrows(
        () => readPublishedSets(directory),
        Error,
        `${directory} cannot be read: remove it and run scripts/prepare (There is no initializer of`,
      );
      const short = "x kasumi_f8_bitvectors[] = { { 24, 16, 8, { 1, 2 }, { 3, 4, 5 }, { 6 }, { 7 } } };";
      await Deno.writeTextFile(`${directory}/${SETS_FILES[0]}`, short);
      assertThrows(() => readPublishedSets(directory), Error, "there are 1 bytes instead of 8");
    }),
});
