/**
 * Keeps the state of one device, as stored with the service manager, up to date.
 *
 * @module
 */
import type { CryptoDevice } from "../device/device.ts";
import { FileMemory } from "../device/session_memory.ts";
import { type DescriptorKeeper, KeptState, type LeftState } from "../handover/kept_state.ts";
import type { ConnectionState } from "../handover/state.ts";
import type { ConnectionKeeper } from "../vhost_user/server.ts";

/** Maximum wait for a service manager that does not read, in milliseconds. */
const SENT_MS_MAX = 1000;

/** Stores the state of a device, whose session table is in the keeper's memory file. */
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
   * Stores nothing until {@linkcode start}. `names` are the descriptors that an earlier process, which has left `left`, has
   * stored for device `index`.
   */
  constructor(index: number, keeper: DescriptorKeeper, names: readonly string[] = [], left?: LeftState) {
    this.#keeper = keeper;
    this.#make = () => new KeptState(index, keeper, names, left);
  }

  /** Sets the device whose state is stored. */
  use(device: CryptoDevice): void {
    this.#device = device;
  }

  /** Stores the state now, and after each change. */
  start(): void {
    if (this.#isOver) return;
    this.#state ??= this.#make();
    this.#publish();
  }

  /** Resolves when the state stored last is valid. */
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
        // The file of the session table is stored instead.
        sessions: { slots: 0, createdCount: 0, firstGeneration: 0, generations: new Uint32Array(0), sessions: [] },
        listening: null,
        connection: this.#connection,
        statistics: { connectionCount: 0, refused: {}, queues: [] },
      },
      this.memory.fd,
      slots,
    );
  }

  /** Resolves when all messages to the service manager have been sent, or after SENT_MS_MAX. */
  async sent(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, SENT_MS_MAX);
    await Promise.race([this.#keeper.sent(), promise]);
    clearTimeout(timer);
  }

  /** Drops the stored state: the device ends, or another process serves it. */
  drop(): void {
    this.#state?.close();
    this.#state = undefined;
    this.#isOver = true;
  }

  /** Drops the stored state and wipes the memory of the session table, which must not be mapped any more. */
  close(): void {
    this.drop();
    this.memory.wipe();
  }
}
