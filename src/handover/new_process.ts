/**
 * The new process's side of a handover: it requests the state of the old process's devices, and serves them after the
 * old process has halted them or has ended.
 *
 * @module
 */
import { closeFd } from "../os/event_fd.ts";
import { EventLoop } from "../os/event_loop.ts";
import { connectUnix, ownUser, peerUser } from "../os/unix_socket.ts";
import { HandoverChannel, HandoverError, PeerGoneError } from "./channel.ts";
import { type HaltedDevice, LiveRegion, PHASE_HALTED, PHASE_SERVED, PHASE_TAKEN } from "./live_region.ts";
import {
  ANSWER_MS_MAX,
  decodeOffer,
  DESCRIPTORS,
  encodeHello,
  expectFrame,
  HALTED,
  HELLO,
  OFFER,
  PROTOCOL_VERSION,
  READY,
  REFUSED,
  REQUEST,
  RESTORE_MS_MAX,
  SERVING,
  STATE,
  unexpected,
} from "./protocol.ts";
import type { ProcessState } from "./state.ts";
import { ReceivedState } from "./state_memory.ts";

/** Maximum number of descriptors of a state; 16 devices with 64 queues and 64 memory regions each have fewer. */
const FDS_MAX = 8192;

/** A handover on a connection to the old process. */
export class TakeOver {
  /** The path of each device's socket, empty for one that was passed as a descriptor. */
  readonly paths: readonly string[];
  readonly #channel: HandoverChannel;
  readonly #loop: EventLoop;
  readonly #finished: Promise<void>;
  #received: ReceivedState | undefined;
  #live: LiveRegion | undefined;
  #isTaken = false;

  private constructor(channel: HandoverChannel, loop: EventLoop, finished: Promise<void>, paths: readonly string[]) {
    this.#channel = channel;
    this.#loop = loop;
    this.#finished = finished;
    this.paths = paths;
  }

  /**
   * Connects to the handover socket `path` of a process of the same user; `program` is this program's version. Throws
   * {@linkcode HandoverError} or {@linkcode SystemError}.
   */
  static async begin(path: string, program: string): Promise<TakeOver> {
    const fd = connectUnix(path);
    const user = peerUser(fd);
    if (user !== ownUser()) {
      closeFd(fd);
      throw new HandoverError(`${path} belongs to user ${user}, and this process to ${ownUser()}: use the same user`);
    }
    const loop = new EventLoop();
    const channel = new HandoverChannel(fd, loop, true);
    const finished = loop.run();
    try {
      await channel.send(HELLO, encodeHello({ protocol: PROTOCOL_VERSION, program }));
      const { payload } = await expectFrame(channel, OFFER, ANSWER_MS_MAX);
      return new TakeOver(channel, loop, finished, decodeOffer(payload));
    } catch (error) {
      channel.close();
      loop.stop();
      await finished;
      loop.close();
      throw error;
    }
  }

  /**
   * Requests the state, when everything is ready to serve it. The caller owns its descriptors; its keys are views of
   * memory that is valid until {@linkcode halted}. Throws {@linkcode HandoverError}, {@linkcode StateError} or
   * {@linkcode SystemError}.
   */
  async request(): Promise<ProcessState> {
    await this.#channel.send(REQUEST);
    const fds: number[] = [];
    try {
      const [stateFd, liveFd] = await this.#receiveFds(fds);
      try {
        this.#received = new ReceivedState(stateFd, fds);
      } catch (error) {
        closeFd(liveFd);
        throw error;
      }
      this.#live = new LiveRegion(this.#received.state, liveFd);
      this.#live.rehearse();
      return this.#received.state;
    } catch (error) {
      for (const fd of fds) closeFd(fd);
      throw error;
    }
  }

  /** Receives the state's descriptors, which are appended to `fds`, then its memory file and that of the live region. */
  async #receiveFds(fds: number[]): Promise<[stateFd: number, liveFd: number]> {
    for (;;) {
      const frame = await this.#channel.receive(ANSWER_MS_MAX);
      const { type, fds: sent } = frame;
      const [stateFd, liveFd] = sent;
      if (type === STATE && sent.length === 2) return [stateFd!, liveFd!];
      if (type !== DESCRIPTORS || sent.length === 0 || fds.length + sent.length > FDS_MAX) {
        throw unexpected(frame, STATE);
      }
      fds.push(...sent);
    }
  }

  /**
   * Reports that the state is restored, and waits until the old process has halted its devices. Afterwards only this
   * process may serve them. Returns the positions of each device; undefined if the old process ended before halting it.
   * Throws {@linkcode HandoverError} if the old process continues.
   */
  async halted(): Promise<(HaltedDevice | undefined)[]> {
    const live = this.#live!;
    this.#received!.release();
    try {
      await this.#channel.send(READY);
      await expectFrame(this.#channel, HALTED, RESTORE_MS_MAX);
    } catch (error) {
      // A process that has ended does not serve any more; but it may have cancelled the handover before.
      if (!(error instanceof PeerGoneError) || !live.change(PHASE_SERVED, PHASE_TAKEN) && live.phase !== PHASE_HALTED) {
        throw error;
      }
    }
    if (live.phase !== PHASE_TAKEN && !live.change(PHASE_HALTED, PHASE_TAKEN)) {
      throw new HandoverError("the old process has waited too long, and continues");
    }
    this.#isTaken = true;
    return this.#received!.state.devices.map((_, index) => live.read(index));
  }

  /** Milliseconds since the old process began to halt the rings; undefined if it has not recorded that. */
  get pauseMs(): number | undefined {
    return this.#live?.pauseMs;
  }

  /** Reports that this process serves the devices, so that the old process ends. */
  async served(): Promise<void> {
    try {
      await this.#channel.send(SERVING);
    } catch (error) {
      if (!(error instanceof PeerGoneError)) throw error;
    }
  }

  /** Waits, for a bounded time, until the old process has released everything and closes the connection. */
  async released(): Promise<void> {
    try {
      const { fds } = await this.#channel.receive(ANSWER_MS_MAX);
      for (const fd of fds) closeFd(fd);
    } catch (error) {
      if (!(error instanceof HandoverError)) throw error;
    }
  }

  /** Reports why this process does not take over, so that the old process continues. */
  async refuse(reason: string): Promise<void> {
    try {
      await this.#channel.send(REFUSED, new TextEncoder().encode(reason));
    } catch (error) {
      if (!(error instanceof HandoverError)) throw error;
    }
  }

  /** True if this process is the only one that may serve the devices. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /**
   * Closes the connection. If the devices are taken, {@linkcode served} must come first; otherwise the old process
   * serves them again.
   */
  async close(): Promise<void> {
    this.#channel.close();
    this.#loop.stop();
    await this.#finished;
    this.#loop.close();
    this.#live?.release();
  }
}
