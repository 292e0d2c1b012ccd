/**
 * The program: parses its options, serves devices until it is stopped, and reports an error in one line.
 *
 * @module
 */
import { processEnvironment } from "./environment.ts";
import { type LogFormat, logLine } from "./log.ts";
import type { Options } from "./options.ts";

/**
 * Modules that are loaded when they are used. Deno reads the modules that a literal `import()` names, and all that they
 * import, before the program starts, whether they are used or not: these are 300, of which a device needs two thirds
 * and a text none.
 */
const MODULES = {
  serve: new URL("./serve_devices.ts", import.meta.url),
  inventory: new URL("./inventory.ts", import.meta.url),
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
      return await (await load<typeof import("./driver_commands.ts")>(MODULES.probe)).probeCommand(args);
    case "conform":
      return await (await load<typeof import("./conform_command.ts")>(MODULES.conform)).conformCommand(args);
    case "bench":
      return await (await load<typeof import("./bench_command.ts")>(MODULES.bench)).benchCommand(args);
    case "stats":
      return await (await load<typeof import("./stats_command.ts")>(MODULES.stats)).statsCommand(args);
    default:
      return undefined;
  }
}

/** Executes the action of `options`; returns the exit code. */
async function act(options: Options): Promise<number> {
  switch (options.action) {
    case "serve":
      return await (await load<typeof import("./serve_devices.ts")>(MODULES.serve)).serveDevices(options) ? 0 : 1;
    case "help":
      console.log((await import("./help.ts")).helpText());
      break;
    case "version":
      (await load<typeof import("./inventory.ts")>(MODULES.inventory)).printVersion(options);
      break;
    case "list-algorithms":
      (await load<typeof import("./inventory.ts")>(MODULES.inventory)).printAlgorithms(options);
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
