/**
 * The command `conform`, which checks a device against the specification. It loads the driver after its options have
 * been checked.
 *
 * @module
 */
import { choice, integer, splitCommandLine, UsageError } from "./command_line.ts";
import { DRAFTS } from "../wire/drafts/draft.ts";
import { CONFORM, CONFORM_TIMEOUT_MS_MAX, DEVICE_MODELS, HEADS, LAYOUTS } from "./conform_options.ts";
import { commandHelpText } from "./help.ts";
import { suggest } from "./suggestion.ts";

type Selection = Parameters<typeof import("../tools/conform/catalogue.ts").selectChecks>[0];
type RunChecks = typeof import("../tools/conform/run.ts").runChecks;
type RunOptions = NonNullable<Parameters<RunChecks>[2]>;
type Report = Awaited<ReturnType<RunChecks>>;

type Format = "text" | "json" | "junit" | "tap";

/** The options of `conform`; names of checks are checked later, against the catalogue. */
interface ConformOptions extends RunOptions {
  readonly socketPath: string;
  readonly selection: Selection;
  readonly isList: boolean;
  readonly format: Format;
  readonly htmlPath: string | undefined;
}

const SEED_MAX = 2 ** 32 - 1;

function names(list: string | undefined): string[] {
  return list?.split(",") ?? [];
}

/** Parses the command line; undefined if it asks for help. Throws {@linkcode UsageError}. */
function readConformOptions(commandLine: string[]): ConformOptions | undefined {
  const { text, has } = splitCommandLine(commandLine, CONFORM.options, { whose: "conform has no option" });
  if (has("help")) return undefined;
  const formats = (["json", "junit", "tap"] as const).filter(has);
  if (formats.length > 1) throw new UsageError(`--${formats[0]} and --${formats[1]} exclude each other: give one`);
  const socketPath = text("socket-path");
  if (socketPath === undefined && !has("list")) throw new UsageError("no device given: use --socket-path=PATH");
  const draft = choice("--draft", text("draft"), "v19", DRAFTS);
  const deviceModel = choice("--device-model", text("device-model"), "auto", DEVICE_MODELS);
  return {
    socketPath: socketPath ?? "",
    selection: { only: names(text("only")), skip: names(text("skip")), isHostile: has("hostile"), draft },
    draft,
    isList: has("list"),
    format: formats[0] ?? "text",
    htmlPath: text("html"),
    isStrict: has("strict"),
    seed: integer("seed", text("seed"), { fallback: 1, min: 0, max: SEED_MAX }),
    timeoutMs: integer("timeout", text("timeout"), { fallback: 2000, min: 1, max: CONFORM_TIMEOUT_MS_MAX }),
    ...(deviceModel === "auto" ? {} : { deviceModel }),
    peculiarities: {
      heads: choice("--heads", text("heads"), "free", HEADS),
      split: choice("--layout", text("layout"), "fields", LAYOUTS),
    },
  };
}

async function formatted(report: Report, format: Format): Promise<string> {
  switch (format) {
    case "text":
      return (await import("../tools/conform/reports/text.ts")).conformText(report);
    case "json":
      return (await import("../tools/conform/reports/json.ts")).conformJson(report);
    case "junit":
      return (await import("../tools/conform/reports/junit.ts")).conformJunit(report);
    case "tap":
      return (await import("../tools/conform/reports/tap.ts")).conformTap(report);
  }
}

/** The checks of `selection`. Throws {@linkcode UsageError} for names without a check. */
async function chosenChecks(selection: Selection) {
  const { ALL_GROUPS, selectChecks, unknownNames } = await import("../tools/conform/catalogue.ts");
  const [unknown] = unknownNames(selection);
  if (unknown !== undefined) {
    const near = suggest(unknown, ALL_GROUPS.map(({ name }) => name));
    const hint = near === undefined ? "--list prints all names" : `did you mean ${near}?`;
    throw new UsageError(`there is no check or group "${unknown}": ${hint}`);
  }
  const hostile = ALL_GROUPS.filter(({ isHostile }) => isHostile).map(({ name }) => name);
  const withoutHostile = selection.only.find((name) => hostile.includes(name.split(".")[0]!));
  if (withoutHostile !== undefined && !selection.isHostile) {
    throw new UsageError(`"${withoutHostile}" is hostile input, which may crash the device: give --hostile too`);
  }
  const checks = selectChecks(selection);
  if (checks.length === 0) {
    throw new UsageError("--only, --skip and --draft leave no check: --list prints the names of a draft's checks");
  }
  return checks;
}

/**
 * Runs `conform` with its `commandLine`; returns the exit status. Throws {@linkcode UsageError}, and the driver's
 * errors if the device cannot be reached.
 */
export async function conformCommand(commandLine: string[]): Promise<number> {
  const options = readConformOptions(commandLine);
  if (options === undefined) {
    console.log(commandHelpText(CONFORM));
    return 0;
  }
  const checks = await chosenChecks(options.selection);
  if (options.isList) {
    console.log((await import("../tools/conform/reports/text.ts")).listText(checks));
    return 0;
  }
  const [{ exitStatusOf, runChecks }, { deviceError }] = await Promise.all([
    import("../tools/conform/run.ts"),
    import("../tools/device_error.ts"),
  ]);
  let report: Report;
  try {
    report = await runChecks(options.socketPath, checks, options);
  } catch (error) {
    throw deviceError(options.socketPath, error);
  }
  console.log(await formatted(report, options.format));
  if (options.htmlPath !== undefined) {
    const { conformHtml } = await import("../tools/conform/reports/html.ts");
    await Deno.writeTextFile(options.htmlPath, conformHtml(report));
  }
  return exitStatusOf(report);
}
