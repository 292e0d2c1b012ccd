/**
 * The program's version, and when it was made.
 *
 * @module
 */
import config from "../../deno.json" with { type: "json" };

/** As in deno.json. */
export const VERSION: string = config.version;

/** The day of that version, as manual pages have it. */
export const VERSION_DATE = "2026-11-21";
