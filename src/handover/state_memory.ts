/**
 * The sealed memory file that carries a state from one process to another. It is on no disk and in no core dump, and the
 * process that created it wipes it.
 *
 * @module
 */
import { cleanseBytes } from "../memory/native.ts";
import { closeFd } from "../os/event_fd.ts";
import {
  createMemfd,
  fileSize,
  keepSecret,
  mapForReading,
  type Mapping,
  mapShared,
  sealAgainstShrinking,
  sealMemfd,
  unmap,
} from "../os/memory_map.ts";
import type { ProcessState } from "./state.ts";
import { StateError } from "./state_bytes.ts";
import { decodeProcessState, encodeProcessState, processStateBytes } from "./state_format.ts";

/** Maximum length of a state: enough for 16 devices with 65536 sessions each, if most keys are short. */
const STATE_BYTES_MAX = 2 ** 30;

/** A state that is sent. */
export class GivenState {
  /** The memory file. Other processes can map it for reading only. */
  readonly fd: number;
  /** The descriptors of the state, in order. Their owners keep them. */
  readonly fds: readonly number[];
  readonly #mapping: Mapping;

  /** Writes `state`. Throws {@linkcode SystemError} if there is no memory. */
  constructor(state: ProcessState) {
    const sizeBytes = processStateBytes(state);
    this.fd = createMemfd("vhost-user-crypto-state", sizeBytes);
    this.#mapping = keepSecret(mapShared(this.fd, sizeBytes));
    this.fds = encodeProcessState(state, new Uint8Array(this.#mapping.buffer));
    sealMemfd(this.fd, false);
  }

  /** Wipes the memory file, which clears it in every process that has mapped it, and closes it. */
  release(): void {
    cleanseBytes(this.#mapping.address, this.#mapping.sizeBytes);
    unmap(this.#mapping);
    closeFd(this.fd);
  }
}

/** A state that was received. */
export class ReceivedState {
  /** The state, whose keys are views of memory until {@linkcode release}. */
  readonly state: ProcessState;
  readonly #mapping: Mapping;

  /** Reads the state in the memory file `fd`, which it closes. Throws {@linkcode StateError} and {@linkcode SystemError}. */
  constructor(fd: number, fds: readonly number[]) {
    try {
      const { sizeBytes } = fileSize(fd);
      if (sizeBytes === 0 || sizeBytes > STATE_BYTES_MAX) {
        throw new StateError(`a state cannot have ${sizeBytes} bytes`);
      }
      if (!sealAgainstShrinking(fd)) throw new StateError("the state is not in a sealed memory file");
      this.#mapping = keepSecret(mapForReading(fd, sizeBytes));
    } finally {
      closeFd(fd);
    }
    try {
      this.state = decodeProcessState(new Uint8Array(this.#mapping.buffer), fds);
    } catch (error) {
      unmap(this.#mapping);
      throw error;
    }
  }

  /** Unmaps the memory: keys must have been copied. */
  release(): void {
    unmap(this.#mapping);
  }
}
