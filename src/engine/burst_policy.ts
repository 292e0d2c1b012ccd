/**
 * From when on operations are executed in bursts. A lane of a burst is slower than OpenSSL is with the same message
 * alone, so a burst is worth it from some number of lanes on.
 *
 * @module
 */
import { BURST_TABLES, type BurstTable } from "./burst_tables.ts";

/**
 * How many messages of one length make a burst worth it, for a kind of operation and the parts that it consists of; null
 * for no bursts at all.
 */
export type BurstPolicy = (name: string, parts: readonly string[]) => number | null;

/** A policy of `table`: a chain that it does not have needs as many as those of its parts that need most. */
export function policyOf(table: BurstTable): BurstPolicy {
  return (name, parts) => {
    const most = table[name] ?? Math.max(...parts.map((part) => table[part] ?? Infinity));
    return Number.isFinite(most) ? most : null;
  };
}

let policy: BurstPolicy | undefined;

/** The policy of engines made from now on, whose bursts are of the instruction set `variant`. */
export function burstPolicy(variant: string): BurstPolicy {
  return policy ?? policyOf(BURST_TABLES[variant] ?? {});
}

/** Sets another policy for all instruction sets; none: the usual ones. */
export function setBurstPolicy(other?: BurstPolicy): void {
  policy = other;
}
