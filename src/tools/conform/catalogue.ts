/**
 * All checks, in the order in which they run, and their selection by name.
 *
 * @module
 */
import type { Draft } from "../../wire/drafts/draft.ts";
import { type Check, checksOf, type Group } from "./check.ts";
import { ASYMMETRIC, COMPARED, KNOWN } from "./groups/algorithms.ts";
import { AEAD } from "./groups/aead.ts";
import { CONFIGURATION } from "./groups/configuration.ts";
import { HASH, MAC } from "./groups/digests.ts";
import { DIRTY_LOG } from "./groups/dirty_log.ts";
import { DRAFT_V15, DRAFT_V5 } from "./groups/drafts.ts";
import { HANDSHAKE } from "./groups/handshake.ts";
import { HOSTILE } from "./groups/hostile.ts";
import { INFLIGHT } from "./groups/inflight.ts";
import { LENGTHS } from "./groups/lengths.ts";
import { LIFECYCLE } from "./groups/lifecycle.ts";
import { MEMORY } from "./groups/memory.ts";
import { MESSAGES } from "./groups/messages.ts";
import { PACKED_RINGS, SPLIT_RINGS } from "./groups/rings.ts";
import { SESSIONS } from "./groups/sessions.ts";
import { SYMMETRIC } from "./groups/symmetric.ts";

/** All groups of v19 and the ratified text. */
export const GROUPS: readonly Group[] = [
  HANDSHAKE,
  CONFIGURATION,
  SESSIONS,
  HASH,
  MAC,
  SYMMETRIC,
  AEAD,
  KNOWN,
  COMPARED,
  ASYMMETRIC,
  LENGTHS,
  SPLIT_RINGS,
  PACKED_RINGS,
  MEMORY,
  LIFECYCLE,
  INFLIGHT,
  DIRTY_LOG,
  MESSAGES,
  HOSTILE,
];

/** The groups of earlier drafts. */
export const DRAFT_GROUPS: readonly Group[] = [DRAFT_V15, DRAFT_V5];

/** All groups. */
export const ALL_GROUPS: readonly Group[] = [...GROUPS, ...DRAFT_GROUPS];

/** The checks to run. */
export interface Selection {
  /** Groups, clauses or checks to run; all if empty. */
  readonly only: readonly string[];
  /** Groups, clauses or checks not to run. */
  readonly skip: readonly string[];
  /** Hostile groups too. */
  readonly isHostile: boolean;
  /** The draft of the specification that the device follows. */
  readonly draft: Draft;
}

/** True if `name`, of a group, a clause or a check, stands for the check `id`. */
function standsFor(name: string, id: string): boolean {
  return id === name || id.startsWith(`${name}.`);
}

/** The names in `selection` that stand for no check. */
export function unknownNames({ only, skip }: Pick<Selection, "only" | "skip">): string[] {
  const ids = ALL_GROUPS.flatMap(checksOf).map(({ id }) => id);
  return [...only, ...skip].filter((name) => !ids.some((id) => standsFor(name, id)));
}

/** The checks of `selection`, in order. */
export function selectChecks({ only, skip, isHostile, draft }: Selection): Check[] {
  const groups = ALL_GROUPS.filter((group) => (group.draft ?? "v19") === draft && (isHostile || !group.isHostile));
  return groups.flatMap(checksOf).filter(({ id }) =>
    (only.length === 0 || only.some((name) => standsFor(name, id))) && !skip.some((name) => standsFor(name, id))
  );
}
