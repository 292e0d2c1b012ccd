/**
 * `scripts/vm`: boots Linux guests whose crypto driver uses the device, and reports their results. Fetches the parts, runs
 * the guests sequentially, prints a summary for CI, and removes its files.
 */
import { UnavailableError } from "./apt.ts";
import { type Bundle, Bundles, megabytes } from "./bundle.ts";
import { buildProgram } from "./guest_program.ts";
import { type GuestRun, runGuest } from "./guest_run.ts";
import { type Guest, HELP, type Options, readOptions, UsageError } from "./options.ts";
import { CommandError, killChildren } from "./process.ts";
import { runHandovers } from "./handovers.ts";
import { openQemu } from "./qemu.ts";
import { runShowcase } from "./showcase.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const CACHE = `${ROOT}.cache/vm`;

/** The result of one device model, for the last lines. */
interface Result {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly about: string;
}

async function main(): Promise<number> {
  let options: Options | undefined;
  try {
    options = readOptions(Deno.args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`vm: ${error.message}`);
    return 2;
  }
  if (options === undefined) {
    console.log(HELP.trimEnd());
    return 0;
  }
  Deno.chdir(ROOT);
  const scratch = await Deno.makeTempDir({ prefix: "vhost-user-crypto-vm-" });
  const removeScratch = () => Deno.removeSync(scratch, { recursive: true });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      killChildren();
      try {
        removeScratch();
      } finally {
        Deno.exit(130);
      }
    });
  }
  let failed = true;
  try {
    const results = await runAll(options, scratch);
    for (const result of results) {
      const { passed, failed, skipped, about } = result;
      console.log(`vm: ${passed} passed, ${failed} failed, ${skipped} skipped (${about})`);
    }
    failed = results.some((result) => result.failed > 0);
    return failed ? 1 : 0;
  } finally {
    killChildren();
    if (failed || options.keep) {
      // apt's lists are large and do not help to find a failure.
      await Deno.remove(`${scratch}/apt`, { recursive: true }).catch(() => {});
      console.error(`vm: temporary files are kept in ${scratch}`);
    } else {
      removeScratch();
    }
  }
}

async function runAll(options: Options, scratch: string): Promise<Result[]> {
  const bundles = new Bundles(CACHE, scratch, options);
  const fetched = new Map<string, Promise<Bundle>>();
  const once = (name: string, fetch: () => Promise<Bundle>): Promise<Bundle> => {
    const known = fetched.get(name) ?? fetch();
    fetched.set(name, known);
    return known;
  };
  const results: Result[] = [];
  for (const [i, guest] of options.guests.entries()) {
    const about = options.showcase ? `showcase, ${guest.deviceModel}` : `device model ${guest.deviceModel}`;
    try {
      const kernel = await once(`kernel ${guest.kernel}`, () => bundles.kernel(guest.kernel, options.refresh));
      const qemuBundle = await once(`qemu ${guest.qemu}`, () => bundles.qemu(guest.qemu, options.refresh));
      const programName = options.showcase ? "showcase_tool" : options.handovers > 0 ? "load" : "af_alg_check";
      const program = await buildProgram(CACHE, programName);
      const qemu = await openQemu(qemuBundle.directory);
      const own = `${scratch}/${i}-${guest.deviceModel}`;
      await Deno.mkdir(own);
      const parts = { qemu, kernelDirectory: kernel.directory, program, scratch: own };
      const run = options.showcase
        ? await runShowcase(guest, options, {
          ...parts,
          toolsDirectory: (await once("tools", () => bundles.tools(options.refresh))).directory,
        })
        : options.handovers > 0
        ? await runHandovers(guest, options, parts)
        : await runGuest(guest, options, parts);
      printRun(guest, qemu.version, run, options);
      const sum = (of: "passed" | "failed") => run.verdicts.reduce((total, verdict) => total + verdict[of], 0);
      results.push({ passed: sum("passed"), failed: sum("failed"), skipped: 0, about });
    } catch (error) {
      if (!(error instanceof UnavailableError || error instanceof CommandError)) throw error;
      const skip = error instanceof UnavailableError && options.skipIfUnavailable;
      console.log(`${about}: ${skip ? "SKIPPED" : "FAILED"}: ${error.message}`);
      results.push({ passed: 0, failed: skip ? 0 : 1, skipped: skip ? 1 : 0, about });
    }
  }
  await printDownloads(fetched);
  return results;
}

function printRun(guest: Guest, qemuVersion: string, run: GuestRun, options: Options): void {
  const cpus = `${options.smp} CPU${options.smp === 1 ? "" : "s"}`;
  console.log(
    `device model ${guest.deviceModel}: QEMU ${qemuVersion}, Linux ${run.kernel}, ${options.accel}, ${cpus}`,
  );
  for (const phase of run.phases) console.log(`  ${phase}`);
  for (const { failed, text } of run.verdicts) {
    // The showcase has printed its successes already.
    if (failed > 0 || !options.showcase) console.log(`  ${failed === 0 ? "ok  " : "FAIL"} ${text}`);
  }
  if (run.verdicts.some(({ failed }) => failed > 0)) {
    for (const line of run.details) console.log(`  | ${line}`);
  }
  console.log(`  time: ${(run.timeMs / 1000).toFixed(1)} s`);
}

async function printDownloads(fetched: Map<string, Promise<Bundle>>): Promise<void> {
  let now = 0;
  let all = 0;
  for (const bundle of await Promise.allSettled(fetched.values())) {
    if (bundle.status === "rejected") continue;
    all += bundle.value.downloadBytes;
    if (bundle.value.fresh) now += bundle.value.downloadBytes;
  }
  console.log(`packages: ${megabytes(all)} in total, ${megabytes(now)} of them downloaded in this run`);
}

if (import.meta.main) Deno.exit(await main());
