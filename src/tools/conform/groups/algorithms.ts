/**
 * Every offered algorithm in every form: a known answer in several descriptor layouts and both directions, with a forged
 * tag or signature if the algorithm has one; and random requests compared with an independent implementation.
 *
 * @module
 */
import { RefusedError } from "../../../driver/errors.ts";
import type { RequestMode } from "../../../driver/requests.ts";
import { SPLITS } from "../../../driver/layout.ts";
import { ALGORITHM_NAMES, nameOf } from "../../../driver/names.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import { type Answer, checkAnswer } from "../../checks.ts";
import { AKCIPHER_ANSWERS } from "../../known_akcipher_answers.ts";
import { CHAIN_ANSWER, CHAIN_PARTS, KNOWN_ANSWERS } from "../../known_answers.ts";
import type { Clause, Group } from "../check.ts";
import { type Algorithm, type Form, FORMS } from "../forms.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, Mismatch, NotApplicable } from "../expect.ts";
import { V19_NUMBERS } from "./needs.ts";
import { randomSample, type Subject, SUBJECTS } from "../random_samples.ts";

const SERVICE_NUMBERS = { cipher: 0, hash: 1, mac: 2, aead: 3, akcipher: w.SERVICE_AKCIPHER } as const;

const MODES: Readonly<Record<Form, RequestMode>> = {
  fixed: "fixed",
  mux: "mux",
  flagged: "mux",
  stateless: "stateless",
};

/** The reason why a refused session does not count as a failure. */
const UNKNOWN = "the device refuses it, and has no configuration space that offers it";

/** A name as an id: `3DES-ECB` becomes `3des-ecb`. */
function idOf(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");
}

function nameOfAnswer(answer: Answer): string {
  if (answer.service === "akcipher") return answer.name;
  if (answer.service === "chain") return "AES-CBC + HMAC-SHA1";
  return nameOf(ALGORITHM_NAMES[answer.service], answer.algo);
}

function algorithmsOfAnswer({ service, algo }: Answer): Algorithm[] {
  if (service !== "chain") return [{ service: SERVICE_NUMBERS[service], algo }];
  return [{ service: w.SERVICE_CIPHER, algo }, { service: w.SERVICE_MAC, algo: CHAIN_PARTS.hashAlgo }];
}

/** Asymmetric algorithms whose curves, paddings and hashes no configuration lists, so that they may be refused. */
function isUnadvertised(answer: Answer): boolean {
  return answer.service === "akcipher" || answer.service === "chain";
}

/** True if the specification defines the numbers of all `algorithms`; vendors may add others. */
function isSpecified(algorithms: readonly Algorithm[]): boolean {
  return algorithms.every(({ service, algo }) => V19_NUMBERS[service]?.includes(algo) ?? true);
}

function knownAnswer(answer: Answer): Clause {
  const name = nameOfAnswer(answer);
  const algorithms = algorithmsOfAnswer(answer);
  const service = answer.service === "chain" ? "chain" : answer.service;
  return {
    id: `${service}-${idOf(name)}`,
    duty: `${service.toUpperCase()} ${name} gives the known answer, in every direction and layout`,
    ...(isSpecified(algorithms)
      ? { reference: { ratified: "Supported crypto services", document: answer.source } }
      : { level: "SHOULD", reference: { document: answer.source } }),
    needs: { algorithms },
    forms: ["fixed", "mux", "stateless"],
    run: async (context) => {
      context.note(`the known answer of ${name} (${answer.source}), form ${context.form}`);
      const complaint = await checkAnswer(await context.driver(), answer, MODES[context.form]);
      if (complaint === undefined) return;
      const isUnknown = context.offer.config === undefined;
      if ((isUnadvertised(answer) || isUnknown) && /refused with NOTSUPP|status NOTSUPP/.test(complaint)) {
        throw new NotApplicable(`${name} is not supported`);
      }
      if (isUnknown && complaint.startsWith("the session was refused")) throw new NotApplicable(UNKNOWN);
      throw new Mismatch(complaint, `the answer of ${answer.source}`);
    },
  };
}

/** Answers whose names are the same are different cases of one algorithm. */
function knownAnswers(answers: readonly Answer[]): Clause[] {
  const seen = new Map<string, number>();
  return answers.map(knownAnswer).map((clause) => {
    const count = (seen.get(clause.id) ?? 0) + 1;
    seen.set(clause.id, count);
    return count === 1 ? clause : { ...clause, id: `${clause.id}-${count}` };
  });
}

/** Known answers. */
export const KNOWN: Group = {
  name: "known-answers",
  title: "Known answers",
  clauses: knownAnswers([...KNOWN_ANSWERS.filter(({ service }) => service !== "chain"), CHAIN_ANSWER]),
};

/** The asymmetric service. */
export const ASYMMETRIC: Group = {
  name: "asymmetric",
  title: "Asymmetric service",
  clauses: knownAnswers(AKCIPHER_ANSWERS).map((clause) => ({
    ...clause,
    reference: { ...clause.reference, ratified: "AKCIPHER Service Operation" },
    id: clause.id.replace(/^akcipher-/, ""),
  })),
};

/** Random requests of each algorithm and form. */
const ROUNDS = 12;

function nameOfSubject({ service, algo }: Subject): string {
  return nameOf(ALGORITHM_NAMES[service], algo);
}

/** As {@linkcode compare}; a refused session counts as a failure only if the device offers the algorithm. */
async function compareOffered(context: CheckContext, subject: Subject): Promise<void> {
  try {
    await compare(context, subject);
  } catch (error) {
    if (error instanceof RefusedError && context.offer.config === undefined) throw new NotApplicable(UNKNOWN);
    throw error;
  }
}

async function compare(context: CheckContext, subject: Subject): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const sample = randomSample(subject, context.random);
    // The Linux layout repeats parts of the source, so nothing can follow the source.
    const splits = subject.service === "aead" ? SPLITS.filter((split) => split !== "linux") : SPLITS;
    const split = splits[context.random(splits.length)]!;
    const seed = context.random(2 ** 31);
    expectAnswer(await context.ask(sample, {}, { split, seed, inPlace: context.random(4) === 0 }), sample);
  }
}

/** Random requests, against `node:crypto`. */
export const COMPARED: Group = {
  name: "compared",
  title: "Against node:crypto",
  clauses: SUBJECTS.map((subject) => ({
    id: `${subject.service}-${idOf(nameOfSubject(subject))}`,
    duty: `${subject.service.toUpperCase()} ${nameOfSubject(subject)} agrees with node:crypto on random requests`,
    reference: { ratified: "Supported crypto services", document: "node:crypto" },
    needs: { algorithms: [{ service: SERVICE_NUMBERS[subject.service], algo: subject.algo }] },
    forms: FORMS,
    run: (context) => compareOffered(context, subject),
  })),
};
