/**
 * Numbers and layouts of the specification's draft v15 (January 2017) where they differ from v19's. Control requests are
 * those of v19 without MUX_MODE. A data request has one layout, with room for a session's parameters whether it uses a
 * session or not: that of v19's stateless requests, with a padding where v19 has `queue_id`, and with additional data
 * behind the source.
 *
 * @module
 */
/**
 * Feature bit numbers (v15, Feature bits): sessions are available for a service. They are the numbers of v19's bits of
 * the opposite meaning. Bit 0 is not defined.
 */
export const F_CIPHER_SESSION_MODE = 1;
export const F_HASH_SESSION_MODE = 2;
export const F_MAC_SESSION_MODE = 3;
export const F_AEAD_SESSION_MODE = 4;

/** `flag` of a data request: it uses a session, or carries its parameters and keys. */
export const FLAG_SESSION_MODE = 1;
export const FLAG_NONE_SESSION_MODE = 2;
