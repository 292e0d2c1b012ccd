/**
 * Why a data request is answered with INVSESS. The numbers are negative, so that a search for a session returns its slot
 * or the reason.
 *
 * Data path.
 *
 * @module
 */

/** No session has such an id: it is 0, or its upper 32 bits are not. */
export const ID_INVALID = -1;
/** The device has not created a session with this id; another process may have. */
export const ID_UNKNOWN = -2;
/** The session has been destroyed. */
export const ID_DESTROYED = -3;
/** Drafts v15 and v5: the session is of another service than the request. */
export const ID_OF_OTHER_SERVICE = -4;

/** Labels of the reasons in metrics: reason -1 is the first. */
export const INVSESS_REASONS: readonly string[] = ["invalid", "unknown", "destroyed", "other_service"];
