/**
 * Keeps the state of one device up to date with the service manager.
 *
 * @module
 */
import type { CryptoDevice } from "../device/device.ts";
import { FileMemory } from "../device/session_memory.ts";
import { type DescriptorKeeper, KeptState, type LeftState } from "../handover/kept_state.ts";
import type { ConnectionState } from "../handover/state.ts";
import type { ConnectionKeeper } from "../vhost_user/server.ts";

/** Time, in milliseconds, after which a service manager that reads nothing is not waited for any more. */
const SENT_MS_MAX = 1000;

/** The keeper of a device, whose session table is in its memory file. */
export class DeviceKeeper implements ConnectionKeeper {
  /** The memory of the device's session table. */
  readonly memory: FileMemory = new FileMemory();
  readonly #keeper: DescriptorKeeper;
  readonly #make: () => KeptState;
  #device: CryptoDevice | undefined;
  #connection: ConnectionState | null = null;
  #state: KeptState | undefined;
  #isOver = false;
  #published: Promise<void> = Promise.resolve();

  /**
   * Keeps nothing until {@linkcode start}. `names` are kept already for device number `index`, by a process that has left
   * `left`.
   */
  constructor(index: number, keeper: DescriptorKeeper, names: readonly string[] = [], left?: LeftState) {
    this.#keeper = keeper;
    this.#make = () => new KeptState(index, keeper, names, left);
  }

  /** The device whose state is kept. */
  use(device: CryptoDevice): void {
    this.#device = device;
  }

  /** Keeps the state from now on. */
  start(): void {
    if (this.#isOver) return;
    this.#state ??= this.#make();
    this.#publish();
  }

  /** Resolves when what was kept last is valid. */
  get published(): Promise<void> {
    return this.#published;
  }

  begin(): void {
    this.#state?.begin();
  }

  changed(connection: ConnectionState | null): void {
    this.#connection = connection;
    this.#publish();
  }

  #publish(): void {
    if (this.#state === undefined) return;
    const { slots, negotiated } = { slots: this.#device!.maxSessions, negotiated: this.#device!.exportNegotiated() };
    this.#published = this.#state.publish(
      {
        negotiated,
        // The session table is kept as it is.
        sessions: { slots: 0, createdCount: 0, generations: new Uint32Array(0), sessions: [] },
        listening: null,
        connection: this.#connection,
        statistics: { connectionCount: 0, refused: {}, queues: [] },
      },
      this.memory.fd,
      slots,
    );
  }

  /** Resolves when the service manager has been told everything, or after a bounded time. */
  async sent(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, SENT_MS_MAX);
    await Promise.race([this.#keeper.sent(), promise]);
    clearTimeout(timer);
  }

  /** Forgets what is kept: the device ends, or another process serves it. */
  drop(): void {
    this.#state?.close();
    this.#state = undefined;
    this.#isOver = true;
  }

  /** Forgets what is kept, and wipes the memory of the session table, which is not mapped any more. */
  close(): void {
    this.drop();
    this.memory.wipe();
  }
}
