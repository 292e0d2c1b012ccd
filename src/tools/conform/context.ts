/**
 * The context of a check: connections to the device, its offer, requests in the check's form, and notes of what was sent,
 * for the report of a failure.
 *
 * @module
 */
import type { CryptoDriver, CryptoDriverOptions, DataResult } from "../../driver/crypto_driver.ts";
import type { SubmitOptions } from "../../driver/submit_options.ts";
import type { DriverMode } from "../../driver/bring_up.ts";
import { makeRandom, type Random } from "../../driver/random.ts";
import * as w from "../../wire/virtio_crypto.ts";
import type { Form } from "./forms.ts";
import type { Connections } from "./connections.ts";
import { shown } from "./expect.ts";
import type { RecordingFrontend } from "./messages.ts";
import type { Offer } from "./offer.ts";
import type { Sample } from "./samples.ts";
import { ask, askStateless, type Changes } from "./ask.ts";

const MODES: Readonly<Record<Form, DriverMode>> = {
  fixed: "session",
  mux: "mux",
  flagged: "stateless",
  stateless: "stateless",
};

/** The circumstances of one check. */
export class CheckContext {
  readonly offer: Offer;
  /** The form in which the check sends its requests. */
  readonly form: Form;
  /** Maximum wait for a reply or a request, in milliseconds. */
  readonly timeoutMs: number;
  /** Random numbers that depend on the run's seed and the check. */
  readonly random: Random;
  readonly #connections: Connections;
  #sent: string[] = [];

  /** For a check in form `form`, with random numbers from `seed`. */
  constructor(connections: Connections, offer: Offer, form: Form, seed: number) {
    this.#connections = connections;
    this.offer = offer;
    this.form = form;
    this.timeoutMs = connections.target.timeoutMs;
    this.random = makeRandom(seed);
  }

  /** Path of the device's socket. */
  get socketPath(): string {
    return this.#connections.target.socketPath;
  }

  /** What was sent last, for the report. */
  get sent(): string[] {
    return [...this.#sent, ...this.#connections.record];
  }

  /** Notes what is sent next; replaces the previous note. */
  note(...lines: string[]): void {
    this.#sent = lines;
  }

  /** A driver that has negotiated the check's form, and `options`; kept for the next call with the same ones. */
  driver(options: CryptoDriverOptions = {}): Promise<CryptoDriver> {
    return this.#connections.driver({ mode: MODES[this.form], ...options });
  }

  /** A new connection without a driver. */
  frontend(): Promise<RecordingFrontend> {
    return this.#connections.frontend();
  }

  /** Ends the connection as a guest that is shut down does. */
  close(): Promise<void> {
    return this.#connections.close();
  }

  /** Ends the connection as a guest that is killed does. */
  abandon(): Promise<void> {
    return this.#connections.abandon();
  }

  /** Submits `sample` in the check's form, with a session made for it or without one. */
  async ask(sample: Sample, changes: Changes = {}, options: SubmitOptions = {}): Promise<DataResult> {
    return await this.askWith(await this.driver(), sample, changes, options);
  }

  /** As {@linkcode ask}, through `driver`. */
  askWith(
    driver: CryptoDriver,
    sample: Sample,
    changes: Changes = {},
    options: SubmitOptions = {},
  ): Promise<DataResult> {
    this.note(sampleText(sample, this.form, changes, options));
    if (this.form === "stateless") return askStateless(driver, sample, changes, options);
    return ask(driver, sample, this.form === "flagged" ? { flag: w.FLAG_SESSION_MODE, ...changes } : changes, options);
  }
}

/** The fields of an object as text; keys are not shown. */
function fieldsText(fields: object): string {
  return Object.entries(fields).map(([name, value]) => {
    if (/key$/i.test(name) && value instanceof Uint8Array) return `${name} ${value.length} bytes`;
    if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) {
      return `${name} {${fieldsText(value)}}`;
    }
    return `${name} ${shown(value)}`;
  }).join(", ");
}

/** A request as text. */
function sampleText(sample: Sample, form: Form, changes: Changes = {}, options: SubmitOptions = {}): string {
  const parts = [
    `session {${fieldsText(sample.session)}}`,
    `request {${fieldsText(sample.request)}}`,
    ...(Object.keys(changes).length > 0 ? [`changed to {${fieldsText(changes)}}`] : []),
    ...(Object.keys(options).length > 0 ? [`layout {${fieldsText(options)}}`] : []),
  ];
  return `${sample.name}, form ${form}: ${parts.join("; ")}`;
}
