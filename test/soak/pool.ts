/**
 * The sessions of a connection. Any number of requests may use one; a removed session is destroyed after the last of them
 * has been answered.
 *
 * @module
 */
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { Random } from "../../src/driver/random.ts";
import type { DataRequest } from "../../src/driver/requests.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import type { Ask, Makers, Subject } from "./subjects.ts";
import type { Tally } from "./tally.ts";

/** A session of the device. */
export interface Held {
  readonly subject: Subject;
  readonly sessionId: number;
}

/** Kinds of requests. */
export type Kind = "short" | "long" | "asymmetric";

interface Entry extends Held {
  users: number;
  /** Called when it is not used any more, after its removal was requested. */
  onUnused: (() => void) | undefined;
}

const COUNTS: readonly (readonly [Kind, number])[] = [["short", 40], ["long", 4], ["asymmetric", 4]];
const SHORT_BYTES_MAX = 4096;
const LONG_BYTES_MAX = 128 * 1024;

/** Sessions of each kind. */
export class Pool {
  readonly #driver: CryptoDriver;
  readonly #random: Random;
  readonly #makers: Makers;
  readonly #tally: Tally;
  readonly #entries = new Map<Kind, Entry[]>();

  /** A pool without sessions. */
  constructor(
    driver: CryptoDriver,
    random: Random,
    makers: Makers,
    tally: Tally,
  ) {
    this.#driver = driver;
    this.#random = random;
    this.#makers = makers;
    this.#tally = tally;
  }

  /** Creates all sessions. */
  async fill(): Promise<void> {
    for (const [kind, count] of COUNTS) {
      const entries: Entry[] = [];
      for (let i = 0; i < count; i++) entries.push(await this.#make(kind));
      this.#entries.set(kind, entries);
    }
  }

  async #make(kind: Kind): Promise<Entry> {
    const { symmetric, asymmetric } = this.#makers;
    const makers = kind === "asymmetric" && asymmetric.length > 0 ? asymmetric : symmetric;
    const maker = makers[this.#random(makers.length)]!;
    const subject = maker(this.#random, kind === "long" ? LONG_BYTES_MAX : SHORT_BYTES_MAX);
    const sessionId = await this.#driver.createSession(subject.session);
    this.#tally.sessions++;
    return { subject, sessionId, users: 0, onUnused: undefined };
  }

  /** Runs `body` with a request and its session, which is not destroyed meanwhile. */
  async using(kind: Kind, body: (held: Held, ask: Ask) => Promise<void>): Promise<void> {
    const entries = this.#entries.get(kind)!;
    const entry = entries[this.#random(entries.length)]!;
    entry.users++;
    try {
      await body(entry, entry.subject.asks[this.#random(entry.subject.asks.length)]!);
    } finally {
      if (--entry.users === 0) entry.onUnused?.();
    }
  }

  /** Replaces one session. */
  async renew(): Promise<void> {
    const [kind] = COUNTS[this.#random(8) === 0 ? 1 + this.#random(2) : 0]!;
    const entries = this.#entries.get(kind)!;
    const at = this.#random(entries.length);
    const old = entries[at]!;
    entries[at] = await this.#make(kind);
    if (old.users > 0) await new Promise<void>((resolve) => old.onUnused = resolve);
    await this.#destroy(old);
  }

  async #destroy({ subject, sessionId }: Entry): Promise<void> {
    const { service } = subject.session;
    const status = await this.#driver.destroySession(service, sessionId);
    if (status !== w.STATUS_OK) throw new Error(`${subject.name}: destroying its session has status ${status}`);
    if (this.#random(4) > 0) return;
    const request = { ...subject.asks[0]!.request, sessionId, flag: w.FLAG_SESSION_MODE } as DataRequest;
    const result = await this.#driver.request(request);
    if (result.status !== w.STATUS_INVSESS) {
      throw new Error(`${subject.name}: status ${result.status} of a session that is gone`);
    }
    this.#tally.checked++;
  }

  /** Removes all sessions, which must not be used any more. */
  async empty(): Promise<void> {
    for (const entries of this.#entries.values()) {
      for (const entry of entries) await this.#destroy(entry);
    }
  }
}
