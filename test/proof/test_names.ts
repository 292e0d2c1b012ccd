/**
 * Which tests there are: names as they stand in the test files, so that tables of proofs can be held against them.
 * Names that are templates stand here as they are written, `${…}` and all.
 *
 * @module
 */
import { ROOT } from "../cli/programs.ts";

/** A test by its file, below `test/`, and its name as it is written there. */
export type TestName = readonly [file: string, name: string];

/**
 * A string that is a call's first argument, or called `name`: where tests, and those who declare several at once, have
 * the name.
 */
const NAME = /(?:\(|\bname:)\s*(["`])((?:\\.|(?!\1)[^\\\n])*)\1\s*[,)]/g;

const namesByFile = new Map<string, ReadonlySet<string>>();

/** Names of the tests in the file at `path`, below `test/`; and some strings that are none. */
export function namesIn(path: string): ReadonlySet<string> {
  let names = namesByFile.get(path);
  if (names === undefined) {
    const text = Deno.readTextFileSync(`${ROOT}test/${path}`);
    names = new Set([...text.matchAll(NAME)].map(([, , name]) => name!));
    namesByFile.set(path, names);
  }
  return names;
}

/** Every test file, below `test/`. */
export function testFiles(folder = ""): string[] {
  return [...Deno.readDirSync(`${ROOT}test/${folder}`)].flatMap((entry) => {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory) return testFiles(`${path}/`);
    return path.endsWith("_test.ts") ? [path] : [];
  }).sort();
}

/** What is wrong with the reference to a test: a sentence, or nothing. */
export function missing([file, name]: TestName): string[] {
  try {
    return namesIn(file).has(name) ? [] : [`test/${file} has no test "${name}"`];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [`there is no test/${file}`];
    throw error;
  }
}
