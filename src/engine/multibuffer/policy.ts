/**
 * Decides which operations are executed in multi-buffer batches. A lane is slower than OpenSSL with the same message
 * alone, so multi-buffer execution is faster only from some number of lanes on.
 *
 * Off the data path: a policy is asked for a session's first request in a thread.
 *
 * @module
 */
import { MULTI_BUFFER_TABLES, type MultiBufferTable, type MultiBufferThreshold } from "./thresholds.ts";

/** The threshold of a kind of operation and its parts; null: sequential execution is always faster. */
export type MultiBufferPolicy = (name: string, parts: readonly string[]) => MultiBufferThreshold | null;

/**
 * Suffix of a kind's name for operations whose data is copied through a bounce buffer: their thresholds are higher.
 */
export const BOUNCED = ", bounced";

const NEVER: MultiBufferThreshold = [Infinity, Infinity];

/** A policy of `table`: a chain that it does not have needs as many as those of its parts that need most. */
function policyOf(table: MultiBufferTable): MultiBufferPolicy {
  return (name, parts) => {
    const ofParts = parts.map((part) => table[part] ?? NEVER);
    const [lanesMin, bytesMin] = table[name] ?? [0, 1].map((i) => Math.max(...ofParts.map((part) => part[i]!)));
    return Number.isFinite(lanesMin) ? [lanesMin!, bytesMin!] : null;
  };
}

/** Everything is worth it, a single operation too. */
const ALWAYS: MultiBufferThreshold = [1, 0];

/**
 * When operations are executed in multi-buffer batches: where that is measured to be faster ("auto"; the built-in tables
 * say where to begin), always ("on"), never ("off"), or from the thresholds of other tables on, which go before the
 * built-in ones, by instruction set of libIPSec_MB.
 */
export type MultiBufferChoice = "auto" | "on" | "off" | Readonly<Record<string, MultiBufferTable>>;

/** Instruction sets without a table of their own, and the one whose table is nearest: what those add is seldom used. */
const NEAREST: Readonly<Record<string, string>> = { avx2_t4: "avx2_t2", avx2_t3: "avx2_t2" };

function tableOf(choice: Exclude<MultiBufferChoice, "off">, variant: string): MultiBufferTable {
  const chosen = typeof choice === "string" ? undefined : choice[variant];
  return chosen ?? MULTI_BUFFER_TABLES[variant] ?? MULTI_BUFFER_TABLES[NEAREST[variant] ?? ""] ?? {};
}

/** The policy that `choice` means for the instruction set `variant`. */
export function multiBufferPolicy(choice: MultiBufferChoice, variant: string): MultiBufferPolicy {
  if (choice === "on") return () => ALWAYS;
  return choice === "off" ? () => null : policyOf(tableOf(choice, variant));
}

/** `choice` for the instruction set `variant`, but without the kinds `names` and all chains that they are part of. */
export function choiceWithout(
  choice: MultiBufferChoice,
  variant: string,
  names: readonly string[],
): MultiBufferChoice {
  if (choice === "off" || names.length === 0) return choice;
  const table = tableOf(choice, variant);
  const isWithout = (name: string) => {
    const kind = name.replace(BOUNCED, "");
    return !names.includes(kind) && !kind.split("+").some((part) => names.includes(part));
  };
  const kept = Object.entries(table).filter(([name]) => isWithout(name));
  // A chain that a table lacks is judged by its parts.
  const never = names.flatMap((name) => [[name, NEVER], [name + BOUNCED, NEVER]]);
  return { [variant]: Object.fromEntries([...kept, ...never]) };
}
