/**
 * The program's version and its date.
 *
 * @module
 */
import config from "../../deno.json" with { type: "json" };

/** As in deno.json. */
export const VERSION: string = config.version;

/** The date of the version, for the manual page. */
export const VERSION_DATE = "2026-11-21";
