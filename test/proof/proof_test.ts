/**
 * The tables of proofs against the tests that there are: renaming or dropping a test fails here with what it proved.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ROOT } from "../cli/programs.ts";
import { DEFECTS } from "./defects.ts";
import { LIMIT_CONSTANTS, LIMITS, LIMITS_TOLD } from "./limits.ts";
import { PROMISES } from "./promises.ts";
import { missing, namesIn, testFiles } from "./test_names.ts";

Deno.test("a reference to a missing test or file is reported", () => {
  assertEquals(missing(["proof/proof_test.ts", "the tables are in order"]).length, 1);
  assertEquals(missing(["proof/no_test.ts", "the tables are in order"]), ["there is no test/proof/no_test.ts"]);
  assertEquals(
    missing(["proof/proof_test.ts", "a reference to a missing test or file is reported"]),
    [],
  );
});

Deno.test("every defect of other devices has its tests, by its id", () => {
  const seen = new Set<string>();
  for (const { ids, sentence, tests } of DEFECTS) {
    assert(tests.length > 0 && sentence.endsWith("."), sentence);
    assertEquals(tests.flatMap(missing), [], sentence);
    for (const id of ids) {
      assert(tests.some(([, name]) => name.includes(id)), `no test of "${sentence}" has ${id} in its name`);
      assert(!seen.has(id), `${id} is there twice`);
      seen.add(id);
    }
  }
});

Deno.test("every CVE in a test's name is in the table of defects", () => {
  const known = DEFECTS.flatMap(({ tests }) => tests.map(([, name]) => name)).join("\n");
  let count = 0;
  for (const file of testFiles()) {
    for (const name of namesIn(file)) {
      for (const [cve] of name.matchAll(/\bCVE-\d{4}-\d+/g)) {
        assert(known.includes(cve), `${cve} in test/${file}: "${name}" is not in the table`);
        count++;
      }
    }
  }
  assert(count >= 15, `${count} CVEs`);
});

Deno.test("every documented limit is the code's, and has its tests", () => {
  assertEquals(LIMITS_TOLD.filter(({ atMost }) => atMost === undefined), []);
  for (const { what, tests } of LIMITS) {
    assert(tests.length > 0, what);
    assertEquals(tests.flatMap(missing), [], what);
  }
});

Deno.test("every constant that is a limit has its tests", () => {
  const tested = new Set(LIMITS.flatMap((limit) => limit.exports));
  assertEquals(LIMIT_CONSTANTS.filter((name) => !tested.has(name)), []);
  assertEquals([...tested].filter((name) => !LIMIT_CONSTANTS.includes(name)), []);
});

Deno.test("every promise has its tests", () => {
  for (const { promise, tests } of PROMISES) {
    assert(tests.length > 0, promise);
    assertEquals(tests.flatMap(missing), [], promise);
  }
  assert(PROMISES.length <= 35);
});

Deno.test("no test is disabled", () => {
  for (const file of testFiles()) {
    const text = Deno.readTextFileSync(`${ROOT}test/${file}`);
    assertEquals(/Deno\.test\.(ignore|only)\b|^\s*(ignore|only): true/m.exec(text)?.[0], undefined, file);
  }
});

Deno.test("the documentation says what QEMU offers its guests, whatever the device serves", () => {
  const page = Deno.readTextFileSync(`${ROOT}src/cli/README.md`);
  assert(/QEMU offers the guest AES-CBC and HMAC-SHA1, whatever the device serves/.test(page));
  assert(/share=on/.test(page));
});
