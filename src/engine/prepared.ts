/**
 * The native contexts of a session, which an engine creates and executes operations with.
 *
 * Data path.
 *
 * @module
 */
import type { AeadTransform } from "./aead.ts";
import type { CipherTransform } from "./cipher.ts";
import type { DigestTransform } from "./digest.ts";
import type { MultiBufferSession } from "./multibuffer/session.ts";

/** The native contexts of one session; those that its kind does not need are null. */
export interface Prepared {
  readonly cipher: CipherTransform | null;
  readonly digest: DigestTransform | null;
  readonly aead: AeadTransform | null;
  /** The session's state for multi-buffer execution; null if it is not possible. */
  readonly multiBuffer: MultiBufferSession | null;
}
