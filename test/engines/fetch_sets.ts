/**
 * Fetches 3GPP's test sets once: copies the tables from Debian's source package intel-ipsec-mb, of the release whose
 * library is tested, to where the tests expect them. Without a Debian mirror it says so, which is not a failure.
 *
 * @module
 */
import { Apt, UnavailableError } from "../vm/apt.ts";
import { CommandError, runOrThrow } from "../vm/process.ts";
import { areSetsWanted, readPublishedSets, SETS_DIRECTORY, SETS_FILES } from "./published_sets.ts";

const SUITE = "bookworm";
const PACKAGE = "intel-ipsec-mb";
const UNPACK_TIMEOUT_MS = 60_000;

/** Fetches the sets into `directory`, which must not exist and is complete once it does. */
async function fetchSets(directory: string, mirror: string | undefined): Promise<void> {
  const scratch = await Deno.makeTempDir({ prefix: "3gpp-" });
  try {
    const apt = await Apt.open(`${scratch}/apt`, mirror);
    await apt.downloadSource(SUITE, PACKAGE, `${scratch}/source`);
    const files = [...Deno.readDirSync(`${scratch}/source`)].map(({ name }) => name);
    const archive = files.find((name) => name.includes(".orig.tar."));
    if (archive === undefined) throw new UnavailableError(`The source of ${PACKAGE} has no archive among its files`);
    await Deno.mkdir(`${scratch}/sets`);
    const members = SETS_FILES.map((name) => `*/test/${name}`);
    const tar = ["tar", "-x", "-f", archive, "--no-same-owner", "--strip-components=2", "-C", `${scratch}/sets`];
    await runOrThrow([...tar, "--wildcards", ...members], { cwd: `${scratch}/source`, timeoutMs: UNPACK_TIMEOUT_MS });
    readPublishedSets(`${scratch}/sets`);
    await moveInto(`${scratch}/sets`, directory);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

/** Copies first, since the two directories may be on different disks. If two processes compete, one uses the other's files. */
async function moveInto(from: string, directory: string): Promise<void> {
  const partial = `${directory}.${Deno.pid}`;
  await Deno.mkdir(partial, { recursive: true });
  for (const name of SETS_FILES) await Deno.copyFile(`${from}/${name}`, `${partial}/${name}`);
  await Deno.rename(partial, directory).catch(() => Deno.remove(partial, { recursive: true }));
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

if (import.meta.main && areSetsWanted() && !await exists(SETS_DIRECTORY)) {
  try {
    console.error(`scripts/prepare: fetching 3GPP's test sets from the Debian source package ${PACKAGE}`);
    await fetchSets(SETS_DIRECTORY, Deno.args.find((arg) => arg.startsWith("--mirror="))?.slice("--mirror=".length));
  } catch (error) {
    if (!(error instanceof UnavailableError) && !(error instanceof CommandError)) throw error;
    console.error(`scripts/prepare: 3GPP's test sets were not fetched: ${error.message}`);
  }
}
