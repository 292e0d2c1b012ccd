/**
 * The checks of a binary.
 *
 * @module
 */
import { CryptoDriver } from "../../mod.ts";
import { checkAnswer } from "../../src/tools/checks.ts";
import { KNOWN_ANSWERS } from "../../src/tools/known_answers.ts";
import { PROGRAM, ROOT, run, withDeviceProcess } from "../cli/programs.ts";

/** Number of starts, of which the fastest counts. */
const STARTS = 3;

/** Minimum time from starting `program` until it serves, in milliseconds. */
async function startMs(program: string): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < STARTS; i++) {
    const start = performance.now();
    const stop = () => Promise.resolve(void (least = Math.min(least, performance.now() - start)));
    await withDeviceProcess([], stop, program);
  }
  return least;
}

async function demo(program: string): Promise<string> {
  const { code, stdout, stderr } = await run(`${ROOT}scripts/demo`, [`--device=${program}`]);
  if (code !== 0) throw new Error(`the demo ended with exit code ${code}: ${stdout}${stderr}`);
  return /^.* passed, .*$/m.exec(stdout)?.[0] ?? "no result";
}

/** Every known answer through two workers. */
async function workers(program: string): Promise<string> {
  let count = 0;
  await withDeviceProcess(["--queues=2", "--workers=2"], async (socketPath) => {
    await using driver = await CryptoDriver.connect(socketPath, { dataQueueCount: 2 });
    for (const answer of KNOWN_ANSWERS.filter(({ service }) => service === "cipher" || service === "hash")) {
      const wrong = await checkAnswer(driver, answer, "fixed", { quick: true, queue: count++ % 2 });
      // Algorithms of a missing library are advertised by neither program.
      if (wrong !== undefined && !wrong.includes("NOTSUPP")) throw new Error(`${answer.source}: ${wrong}`);
    }
  }, program);
  return `${count} known answers`;
}

/** Probes the binary with its own driver, asymmetric operations included. */
async function probe(program: string): Promise<string> {
  let said = "";
  await withDeviceProcess([], async (socketPath) => {
    const { code, stdout, stderr } = await run(program, ["probe", `--socket-path=${socketPath}`, "--quick", "--json"]);
    if (code !== 0) throw new Error(`probe ended with exit code ${code}: ${stdout}${stderr}`);
    const { passed, failed, unavailable } = JSON.parse(stdout);
    said = `${passed} passed, ${failed} failed, ${unavailable} not available`;
  }, program);
  return said;
}

/** Checks the binary `program`, an absolute path, with a line for each result; false if one is wrong. */
export async function checkBinary(program: string): Promise<boolean> {
  let isGood = true;
  const parts = { demo, "workers": workers, "its own probe": probe };
  for (const [name, part] of Object.entries(parts)) {
    try {
      console.log(`binary: ${name}: ${await part(program)}`);
    } catch (error) {
      console.log(`binary: ${name}: FAILED: ${error instanceof Error ? error.message : error}`);
      isGood = false;
    }
  }
  if (!isGood) return false;
  const [binaryMs, sourceMs] = [await startMs(program), await startMs(PROGRAM)];
  const sizeMiB = Deno.statSync(program).size / 2 ** 20;
  console.log(
    `binary: ${sizeMiB.toFixed(0)} MiB; serves ${binaryMs.toFixed(0)} ms after its start, ` +
      `the program from source ${sourceMs.toFixed(0)} ms`,
  );
  return true;
}
