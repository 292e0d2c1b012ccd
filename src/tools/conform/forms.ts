/**
 * The forms in which checks send their requests, and the numbers of an algorithm.
 *
 * @module
 */

/**
 * The form in which a check sends its data requests. `fixed`: sessions without VIRTIO_CRYPTO_F_MUX_MODE; `mux`:
 * sessions under it; `flagged`: sessions where stateless modes are negotiated too, so that the flag tells them apart;
 * `stateless`: requests that carry their key.
 */
export type Form = "fixed" | "mux" | "flagged" | "stateless";

/** All forms, beginning with the one that deployed drivers use. */
export const FORMS: readonly Form[] = ["fixed", "mux", "flagged", "stateless"];

/** An algorithm by the numbers of its service and its own. */
export interface Algorithm {
  readonly service: number;
  readonly algo: number;
}
