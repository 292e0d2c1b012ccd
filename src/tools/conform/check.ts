/**
 * The types of clauses and checks: one duty of a device, its reference in the specifications, the offer that it needs,
 * and the function that checks it.
 *
 * @module
 */
import type { Draft } from "../../wire/drafts/draft.ts";
import type { CheckContext } from "./context.ts";
import type { Algorithm, Form } from "./forms.ts";

/** The requirement level of a duty. */
export type Level = "MUST" | "SHOULD";

/** The reference of a duty. At least one of the fields is given. */
export interface Reference {
  /** Line of the text of virtio-crypto v19, as sent on 26 August 2017. */
  readonly v19?: number;
  /** Line of the text of draft v15, and of draft v5, as sent. */
  readonly v15?: number;
  readonly v5?: number;
  /** Section of the ratified text, Virtio 1.1 and later: its title under "Crypto Device", or of another chapter. */
  readonly ratified?: string;
  /** Section of QEMU's document "Vhost-user Protocol". */
  readonly vhostUser?: string;
  /** A document that defines an algorithm. */
  readonly document?: string;
}

/** The offer that a check needs in order to apply. */
export interface Needs {
  /** Virtio feature bits. */
  readonly features?: readonly number[];
  /** Protocol feature bits. */
  readonly protocolFeatures?: readonly number[];
  /** Algorithms that requests use. */
  readonly algorithms?: readonly Algorithm[];
  /** The configuration space and the control queue; session messages do not suffice. */
  readonly wholeDevice?: boolean;
  /** Data queues. */
  readonly dataQueues?: number;
}

/** One duty and its check. With several `forms`, each is a check of its own. */
export interface Clause {
  /** Name within its group, in lower case with hyphens. */
  readonly id: string;
  /** {@linkcode Level}; MUST if not given. */
  readonly level?: Level;
  /** The duty, as a statement about the device. */
  readonly duty: string;
  readonly reference: Reference;
  readonly needs?: Needs;
  /** Forms of request in which the duty is checked; `fixed` if not given. */
  readonly forms?: readonly Form[];
  /** Checks the device; throws {@linkcode Mismatch} or an error of the driver if it fails. */
  readonly run: (context: CheckContext) => Promise<void>;
}

/** Clauses that belong together. */
export interface Group {
  /** The name for `--only` and `--skip`. */
  readonly name: string;
  /** A heading. */
  readonly title: string;
  /** Its checks run only on demand (`--hostile`), because they may crash the device. */
  readonly isHostile?: boolean;
  /** The draft of the specification that it checks; v19 and the ratified text if not given. */
  readonly draft?: Draft;
  readonly clauses: readonly Clause[];
}

/** A clause in one form of request. */
export interface Check {
  /** `group.clause`, or `group.clause.form` if the clause has several forms. */
  readonly id: string;
  readonly group: Group;
  readonly clause: Clause;
  readonly form: Form;
}

/** The checks of `group`, in order. */
export function checksOf(group: Group): Check[] {
  return group.clauses.flatMap((clause) =>
    (clause.forms ?? ["fixed"]).map((form, _, { length }) => {
      const id = `${group.name}.${clause.id}`;
      return { id: length === 1 ? id : `${id}.${form}`, group, clause, form };
    })
  );
}

/** The level of `clause`. */
export function levelOf({ level = "MUST" }: Clause): Level {
  return level;
}

/** `reference` as text. */
export function referenceText({ v19, v15, v5, ratified, vhostUser, document }: Reference): string {
  return [
    v19 === undefined ? "" : `v19 line ${v19}`,
    v15 === undefined ? "" : `v15 line ${v15}`,
    v5 === undefined ? "" : `v5 line ${v5}`,
    ratified === undefined ? "" : `ratified text, “${ratified}”`,
    vhostUser === undefined ? "" : `vhost-user, “${vhostUser}”`,
    document ?? "",
  ].filter((part) => part !== "").join("; ");
}
