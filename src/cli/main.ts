/**
 * The program: parses its options, serves devices until it is stopped, and reports an error in one line.
 *
 * @module
 */
import { processEnvironment } from "./environment.ts";
import { type LogFormat, logLine } from "./log.ts";
import type { Options } from "./options.ts";
import { VERSION } from "./version.ts";

/**
 * The modules of commands. Deno reads the modules that a literal `import()` names, and all that they import, before the
 * program starts, whether they are used or not; a device needs none of these 100, with the driver and the tools.
 */
const COMMANDS = {
  probe: new URL("./driver_commands.ts", import.meta.url),
  conform: new URL("./conform_command.ts", import.meta.url),
  bench: new URL("./bench_command.ts", import.meta.url),
  stats: new URL("./stats_command.ts", import.meta.url),
};

function load<Module>(url: URL): Promise<Module> {
  return import(url.href);
}

/** Executes command `name` with `args`; returns the exit code, or undefined if there is no such command. */
async function runCommand(name: string, args: string[]): Promise<number | undefined> {
  switch (name) {
    case "probe":
      return await (await load<typeof import("./driver_commands.ts")>(COMMANDS.probe)).probeCommand(args);
    case "conform":
      return await (await load<typeof import("./conform_command.ts")>(COMMANDS.conform)).conformCommand(args);
    case "bench":
      return await (await load<typeof import("./bench_command.ts")>(COMMANDS.bench)).benchCommand(args);
    case "stats":
      return await (await load<typeof import("./stats_command.ts")>(COMMANDS.stats)).statsCommand(args);
    default:
      return undefined;
  }
}

async function printVersion({ openssl }: Options): Promise<void> {
  const { opensslVersion } = await import("../engine/openssl.ts");
  const { applyOpensslSettings } = await import("../engine/openssl_settings.ts");
  const fips = applyOpensslSettings(openssl);
  const provider = fips === undefined ? [] : [`${fips.name} ${fips.version}`];
  const parts = [`Deno ${Deno.version.deno}`, opensslVersion(), ...provider];
  console.log(`vhost-user-crypto ${VERSION} (${parts.join(", ")})`);
}

async function printAlgorithms({ engines, openssl, asymmetric, json }: Options): Promise<void> {
  const { applyOpensslSettings, defaultConfigWarning } = await import("../engine/openssl_settings.ts");
  const fips = applyOpensslSettings(openssl);
  const warning = defaultConfigWarning(openssl);
  if (warning !== undefined) console.error(logLine("text", "warn", warning, undefined));
  const [{ listAlgorithms }, { algorithmsJson, algorithmsText }] = await Promise.all([
    import("./algorithm_list.ts"),
    import("./algorithm_report.ts"),
  ]);
  const list = listAlgorithms(engines, asymmetric, fips);
  console.log(json ? algorithmsJson(list) : algorithmsText(list));
}

/** Executes the action of `options`; returns the exit code. */
async function act(options: Options): Promise<number> {
  switch (options.action) {
    case "serve":
      return await (await import("./serve_devices.ts")).serveDevices(options) ? 0 : 1;
    case "help":
      console.log((await import("./help.ts")).helpText());
      break;
    case "version":
      await printVersion(options);
      break;
    case "list-algorithms":
      await printAlgorithms(options);
      break;
    case "print-man":
      console.log((await import("./man_page.ts")).manPage());
      break;
    case "print-completion":
      console.log((await import("./completions.ts")).completion(options.shell));
      break;
  }
  return 0;
}

/** The prefix of an error's line; empty if the C library, which the check needs, cannot be loaded. */
async function errorPrefix(): Promise<string> {
  if (processEnvironment("JOURNAL_STREAM") === undefined) return "";
  try {
    const { isJournal, priorityPrefix } = await import("./journal.ts");
    return isJournal(processEnvironment) ? priorityPrefix("error") : "";
  } catch {
    return "";
  }
}

/** Runs the program with `commandLine`; returns its exit code. */
export async function main(commandLine: string[]): Promise<number> {
  if (commandLine.includes("--print-capabilities")) {
    // Other options are ignored, as QEMU's conventions for backends require.
    console.log(JSON.stringify({ type: "crypto" }));
    return 0;
  }
  let format: LogFormat = "text";
  try {
    const code = await runCommand(commandLine[0] ?? "", commandLine.slice(1));
    if (code !== undefined) return code;
    // Loaded here, because the modules with the options' limits open the C library.
    const { readOptions } = await import("./options.ts");
    const options = readOptions(commandLine);
    format = options.log.format;
    return await act(options);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(await errorPrefix() + logLine(format, "error", message, undefined));
    if (!(error instanceof Error && error.name === "UsageError")) return 1;
    console.error("Try --help.");
    return 2;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
