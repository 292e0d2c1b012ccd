/**
 * The command `stats`, which prints the counters of a running device as a page.
 *
 * @module
 */
import { fetchSnapshot } from "../statistics/client.ts";
import { statisticsPage } from "../statistics/page.ts";
import type { Snapshot } from "../statistics/snapshot.ts";
import { splitCommandLine, UsageError } from "./command_line.ts";
import { commandHelpText } from "./help.ts";
import { STATS } from "./option_table.ts";

const WATCH_MS = 1000;
/** Moves the cursor to the first line and column and clears the rest of the screen. */
const CLEAR_SCREEN = "\x1b[H\x1b[2J";

/**
 * Runs `stats` with its `commandLine`; returns the exit code. With --watch it runs until the device ends or the program
 * receives a signal. Throws {@linkcode UsageError} and {@linkcode StatisticsError}.
 */
export async function statsCommand(commandLine: string[]): Promise<number> {
  const { text, has } = splitCommandLine(commandLine, STATS.options, { whose: "stats has no option" });
  if (has("help")) {
    console.log(commandHelpText(STATS));
    return 0;
  }
  const path = text("stats-socket");
  if (path === undefined) throw new UsageError("no device given: use --stats-socket=PATH");
  let before: Snapshot | undefined;
  for (;;) {
    const snapshot = await fetchSnapshot(path);
    const page = has("json") ? JSON.stringify(snapshot) : statisticsPage(snapshot, before);
    console.log(has("watch") && !has("json") && Deno.stdout.isTerminal() ? CLEAR_SCREEN + page : page);
    if (!has("watch")) return 0;
    before = snapshot;
    await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  }
}
