/**
 * The options of `serve()`, and the device that it returns.
 *
 * @module
 */
import type { AsymmetricForm } from "../device/negotiated_features.ts";
import type { MultiBufferChoice } from "../engine/multibuffer/policy.ts";
import type { EngineName } from "../engine/libraries.ts";
import type { Log } from "../os/log.ts";
import type { DeviceSnapshot } from "../statistics/snapshot.ts";
import type { Draft } from "../wire/drafts/draft.ts";

/** Options of `serve()`. */
export interface ServeOptions {
  /** Path of the unix socket to listen on, which must be free or left behind by a dead process. */
  readonly socketPath?: string;
  /** Descriptor of a connected or listening unix socket to serve instead; the device owns it from then on. */
  readonly fd?: number;
  /** Permissions of the socket at `socketPath`; by the process's umask if not given. */
  readonly socketMode?: number;
  /** Group id of the socket at `socketPath`; assigned by the system if not given. */
  readonly socketGroup?: number;
  /** Number of data queues; 1 if not given. */
  readonly queues?: number;
  /** Maximum number of sessions. */
  readonly maxSessions?: number;
  /**
   * Draft of the specification that the device follows: `v19` (default; used by Linux, QEMU and DPDK), `v15`
   * (January 2017), or `v5` (September 2016).
   */
  readonly draft?: Draft;
  /** Offer VIRTIO_CRYPTO_F_MUX_MODE; true if not given. v19 only. */
  readonly mux?: boolean;
  /** Numbers of the services (0 CIPHER, 1 HASH, 2 MAC, 3 AEAD, 4 AKCIPHER) in stateless mode; all if not given. */
  readonly statelessServices?: readonly number[];
  /**
   * The asymmetric service: `akcipher` (the ratified one; default with v19), `rfc3` (the earlier RFC), or `off`. v15 has
   * `rfc3` or `off` (default), v5 has none; anything else is a TypeError.
   */
  readonly asymmetric?: AsymmetricForm;
  /** Libraries that provide algorithms; all if not given. A missing one is logged; OpenSSL is required. */
  readonly engines?: readonly EngineName[];
  /** OpenSSL's configuration file, in place of the default one. Applies to the process, like the next two. */
  readonly opensslConfig?: string;
  /** Property query for all algorithms that OpenSSL fetches, as in `?provider=qat`. */
  readonly opensslProperties?: string;
  /**
   * Serve only algorithms of OpenSSL's FIPS provider, which must be active and pass its self-test. Excludes other
   * libraries, engine modules and the `rfc3` form. False if not given.
   */
  readonly fips?: boolean;
  /**
   * Engine modules, which add or replace algorithms: paths, or URLs with the scheme `file:`, as in
   * `new URL("./my_engine.ts", import.meta.url)`. The default export of each is an {@linkcode EngineModule}.
   */
  readonly engineModules?: readonly (string | URL)[];
  /**
   * When libIPSec_MB executes requests in multi-buffer batches: if run-time measurements show that it is faster (`auto`,
   * the default), always (`on`) or never (`off`).
   */
  readonly bursts?: MultiBufferChoice;
  /** Number of workers that serve the data queues; if not given 0: this thread's event loop serves them. */
  readonly workers?: number;
  /** Maximum busy-poll time of a worker, in microseconds; 50 if not given. */
  readonly pollUs?: number;
  /** CPUs to which workers are pinned in turn; none if not given. An unavailable CPU is a RangeError. */
  readonly cpus?: readonly number[];
  /**
   * Lets a frontend transfer sessions with their keys to another device (VHOST_USER_PROTOCOL_F_DEVICE_STATE), as for live
   * migration; false if not given.
   */
  readonly migratesSessions?: boolean;
  /** Serves one frontend only. */
  readonly once?: boolean;
  /**
   * Receives log lines; nothing is logged if not given. Because a frontend can cause any number of lines, each level is limited to
   * 100 lines at once and 5 per second, and the number of suppressed lines is reported.
   */
  readonly log?: Log;
  /** Cancels the start when it aborts: everything is released, and the reason is thrown. */
  readonly signal?: AbortSignal;
}

/** A running device. */
export interface ServedDevice extends AsyncDisposable {
  /** The version that OpenSSL reports. */
  readonly opensslVersion: string;
  /** Names and versions of the libraries that provide algorithms. */
  readonly libraries: readonly string[];
  /**
   * The device's counters since its start: requests, times, queues, sessions. The snapshot can be converted to JSON and
   * contains no key material. It costs the data path nothing and takes a fraction of a millisecond.
   */
  statistics(): DeviceSnapshot;
  /** Resolves when serving has ended: after {@linkcode close}, or after the only frontend has disconnected. */
  readonly finished: Promise<void>;
  /** Stops the device: the socket is removed at once, and popped requests are completed. */
  close(): Promise<void>;
}
