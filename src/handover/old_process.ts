/**
 * The old process's side of a handover: it listens on the handover socket, sends the state of its devices to the process
 * that connects, and continues to serve unless that process serves.
 *
 * @module
 */
import { SystemError } from "../os/errno.ts";
import { Acceptor } from "../os/acceptor.ts";
import { closeFd } from "../os/event_fd.ts";
import { EventLoop } from "../os/event_loop.ts";
import { ListeningSocket, type SocketPath } from "../os/listening_socket.ts";
import type { Log } from "../os/log.ts";
import { FDS_PER_MESSAGE_MAX, ownUser, peerUser } from "../os/unix_socket.ts";
import { HandoverChannel, HandoverError, PeerGoneError } from "./channel.ts";
import { LiveRegion, PHASE_CANCELLED, PHASE_HALTED, PHASE_SERVED } from "./live_region.ts";
import {
  ANSWER_MS_MAX,
  decodeHello,
  DESCRIPTORS,
  encodeOffer,
  expectFrame,
  HALTED,
  HELLO,
  LOAD_MS_MAX,
  OFFER,
  PROTOCOL_VERSION,
  READY,
  REFUSED,
  REQUEST,
  RESTORE_MS_MAX,
  SERVING,
  START_MS_MAX,
  STATE,
} from "./protocol.ts";
import type { ListeningState, ProcessState } from "./state.ts";
import { StateError } from "./state_bytes.ts";
import { GivenState } from "./state_memory.ts";

/** The devices that are handed over. */
export interface Giver {
  /** The path of each device's socket, empty for one that was passed as a descriptor. */
  readonly paths: readonly string[];
  /**
   * Stops handling messages and control requests until {@linkcode resume}. Returns the state, without the sockets of
   * handover and statistics.
   */
  freeze(): Promise<ProcessState>;
  /** Halts all rings until {@linkcode resume}, and writes their positions to `live`. */
  halt(live: LiveRegion): Promise<void>;
  /**
   * Serves again. If `areRecovered`, another process has served the rings meanwhile and has ended, so their positions are
   * unknown.
   */
  resume(areRecovered: boolean): Promise<void>;
  /**
   * Releases sockets and rings without changing them, because another process serves them. Resolves when nothing of
   * them is left in this process.
   */
  give(): Promise<void>;
}

/** One handover. */
class Handover {
  readonly #channel: HandoverChannel;
  readonly #giver: Giver;
  readonly #socket: ListeningState;
  #live: LiveRegion | undefined;
  #isFrozen = false;

  constructor(channel: HandoverChannel, giver: Giver, socket: ListeningState) {
    this.#channel = channel;
    this.#giver = giver;
    this.#socket = socket;
  }

  /** Resolves when the other process serves. If this process serves again, throws the cause. */
  async run(): Promise<void> {
    let given: GivenState | undefined;
    try {
      await this.#greet();
      await expectFrame(this.#channel, REQUEST, LOAD_MS_MAX);
      this.#isFrozen = true;
      const state = await this.#giver.freeze();
      const complete = { ...state, sockets: [...state.sockets, this.#socket] };
      given = new GivenState(complete);
      this.#live = new LiveRegion(complete);
      this.#live.rehearse();
      await this.#send(given, this.#live);
      await expectFrame(this.#channel, READY, RESTORE_MS_MAX);
      this.#live.beginHalting();
      await this.#giver.halt(this.#live);
      if (!this.#live.change(PHASE_SERVED, PHASE_HALTED)) throw new HandoverError("this process is being stopped");
      await this.#channel.send(HALTED);
      await expectFrame(this.#channel, SERVING, START_MS_MAX);
    } catch (error) {
      if (await this.#takeBack(error)) throw error;
    } finally {
      given?.release();
      this.#live?.release();
    }
  }

  async #greet(): Promise<void> {
    const { payload } = await expectFrame(this.#channel, HELLO, ANSWER_MS_MAX);
    const { protocol, program } = decodeHello(payload);
    if (protocol !== PROTOCOL_VERSION) {
      throw new HandoverError(
        `version ${program} has handover protocol ${protocol}, and this process has ${PROTOCOL_VERSION}: use a version ` +
          "with the same one",
      );
    }
    await this.#channel.send(OFFER, encodeOffer(this.#giver.paths));
  }

  async #send({ fd, fds }: GivenState, live: LiveRegion): Promise<void> {
    for (let at = 0; at < fds.length; at += FDS_PER_MESSAGE_MAX) {
      await this.#channel.send(DESCRIPTORS, undefined, fds.slice(at, at + FDS_PER_MESSAGE_MAX));
    }
    await this.#channel.send(STATE, undefined, [fd, live.fd]);
  }

  /** Serves again unless the other process serves; returns true if this process serves. */
  async #takeBack(error: unknown): Promise<boolean> {
    if (!this.#isFrozen) return true;
    const isMine = this.cancel();
    // If the new process has taken the rings and lives, it serves them, even if its SERVING is late.
    if (!isMine && !(error instanceof PeerGoneError)) return false;
    await this.#giver.resume(!isMine);
    return true;
  }

  /** Prevents the other process from serving; false if it serves already. */
  cancel(): boolean {
    const live = this.#live;
    if (live === undefined || live.phase === PHASE_CANCELLED) return true;
    return live.change(PHASE_SERVED, PHASE_CANCELLED) || live.change(PHASE_HALTED, PHASE_CANCELLED);
  }
}

/** The handover socket. */
export class HandoverServer {
  readonly #giver: Giver;
  readonly #log: Log;
  readonly #loop = new EventLoop();
  readonly #socket: ListeningSocket;
  readonly #acceptor: Acceptor;
  readonly #finished: Promise<void>;
  #current: { readonly channel: HandoverChannel; readonly handover: Handover } | undefined;
  #isGiven = false;

  /** Creates the socket at `place`. Throws {@linkcode ServerError} if that is not possible. */
  constructor(place: SocketPath, giver: Giver, log: Log) {
    this.#giver = giver;
    this.#log = log;
    try {
      this.#socket = new ListeningSocket(place);
    } catch (error) {
      this.#loop.close();
      throw error;
    }
    this.#acceptor = new Acceptor(this.#socket, this.#loop, (fd) => this.#greet(fd));
    this.#finished = this.#loop.run();
  }

  /** Starts to accept other processes. */
  start(): void {
    this.#acceptor.start();
  }

  /** Serves the connection `fd` of another process, or refuses it. */
  #greet(fd: number): void {
    const user = peerUser(fd);
    if (user !== ownUser()) {
      this.#log("warn", `a process of user ${user} is refused: only one of user ${ownUser()} can take over`);
      return closeFd(fd);
    }
    const channel = new HandoverChannel(fd, this.#loop, false);
    if (this.#current !== undefined || this.#isGiven) {
      return void this.#refuse(channel, "another process is taking over already");
    }
    void this.#give(channel);
  }

  async #give(channel: HandoverChannel): Promise<void> {
    const startMs = performance.now();
    const handover = new Handover(channel, this.#giver, { path: this.#socket.path, fd: this.#socket.fd });
    this.#current = { channel, handover };
    this.#log("info", "another process asks to take over");
    try {
      await handover.run();
      this.#isGiven = true;
      this.#log("info", `handed over in ${Math.round(performance.now() - startMs)} ms: this process ends`);
      await this.#giver.give();
      channel.close();
    } catch (error) {
      if (!isHandoverFailure(error)) throw error;
      this.#log("warn", `not handed over, this process continues: ${error.message}`);
      await this.#refuse(channel, error.message);
    } finally {
      this.#current = undefined;
    }
  }

  async #refuse(channel: HandoverChannel, reason: string): Promise<void> {
    try {
      await channel.send(REFUSED, new TextEncoder().encode(reason));
    } catch (error) {
      if (!(error instanceof HandoverError)) throw error;
    }
    channel.close();
  }

  /** Cancels a handover that is in progress, and removes the socket unless another process uses it. */
  async close(): Promise<void> {
    this.#current?.handover.cancel();
    this.#current?.channel.close();
    this.#loop.stop();
    await this.#finished;
    this.#acceptor.close(this.#isGiven);
    this.#loop.close();
  }
}

/** True for errors that the other process or the system caused. */
function isHandoverFailure(error: unknown): error is Error {
  return error instanceof HandoverError || error instanceof StateError || error instanceof SystemError;
}
