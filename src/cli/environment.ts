/**
 * The environment variables that the program reads.
 *
 * @module
 */

/** Variables by name; undefined: not set, or set to nothing. */
export type Environment = (name: EnvironmentName) => string | undefined;

/** Sets how much is logged, unless --log-level does. */
export const LOG_VARIABLE = "VHOST_USER_CRYPTO_LOG";

/** What may be read: whoever starts the program allows it these. */
export type EnvironmentName = typeof LOG_VARIABLE | "LISTEN_FDS" | "LISTEN_PID" | "NOTIFY_SOCKET" | "JOURNAL_STREAM";

/** A variable of this process. One that the program may not read counts as not set: it is not worth asking for. */
export function processEnvironment(name: EnvironmentName): string | undefined {
  if (Deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") return undefined;
  return Deno.env.get(name) || undefined;
}
