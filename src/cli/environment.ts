/**
 * The environment variables that the program reads.
 *
 * @module
 */

/** Variables by name; undefined if not set or empty. */
export type Environment = (name: EnvironmentName) => string | undefined;

/** The log level, unless --log-level is given. */
export const LOG_VARIABLE = "VHOST_USER_CRYPTO_LOG";

/** The variables that the program reads; its launcher permits these. */
export type EnvironmentName =
  | typeof LOG_VARIABLE
  | "LISTEN_FDS"
  | "LISTEN_FDNAMES"
  | "LISTEN_PID"
  | "NOTIFY_SOCKET"
  | "JOURNAL_STREAM";

/** A variable of this process. A variable without permission counts as not set, so that nothing prompts for it. */
export function processEnvironment(name: EnvironmentName): string | undefined {
  if (Deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") return undefined;
  return Deno.env.get(name) || undefined;
}
