/**
 * Files with thresholds of multi-buffer execution: JSON objects with one object per instruction set of libIPSec_MB,
 * which has the number of requests and of bytes for each kind, as in {"avx512_t2": {"AES-128-CBC-encrypt": [3, 512]}}.
 *
 * @module
 */
import type { MultiBufferChoice } from "../engine/multibuffer/policy.ts";
import type { MultiBufferTable } from "../engine/multibuffer/thresholds.ts";
import { UsageError } from "./command_line.ts";

/** Maximum number of requests of a threshold, which is the length of a batch. */
const LANES_MAX = 128;

function isTable(value: unknown): value is MultiBufferTable {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.values(value).every((threshold: unknown) =>
      Array.isArray(threshold) && threshold.length === 2 && threshold.every(Number.isInteger) &&
      threshold[0] >= 2 && threshold[0] <= LANES_MAX && threshold[1] >= 0
    );
}

function readFile(path: string): MultiBufferChoice {
  let found: unknown;
  try {
    found = JSON.parse(Deno.readTextFileSync(path));
  } catch (error) {
    throw new UsageError(
      `--bursts takes auto, on, off or a file that calibrate has made, not "${path}": ${(error as Error).message}`,
    );
  }
  if (typeof found === "object" && found !== null && !Array.isArray(found)) {
    const tables = Object.values(found);
    if (tables.length > 0 && tables.every(isTable)) return found as Readonly<Record<string, MultiBufferTable>>;
  }
  throw new UsageError(
    `--bursts: "${path}" was not written by calibrate: each kind needs a number of requests from 2 to ${LANES_MAX} and a number of bytes`,
  );
}

/** The thresholds that the value of --bursts selects. Throws {@linkcode UsageError}. */
export function parseMultiBufferChoice(text: string | undefined): MultiBufferChoice {
  if (text === undefined || text === "auto") return "auto";
  return text === "on" || text === "off" ? text : readFile(text);
}
