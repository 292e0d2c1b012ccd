/**
 * A device served by the library with engine modules, for tests that look at who answers.
 *
 * @module
 */
import { CryptoDriver, type CryptoDriverOptions, serve, type ServeOptions } from "../../mod.ts";

/** The engine module `name` of these tests. */
export function engineAt(name: string): URL {
  return new URL(`./engines/${name}.ts`, import.meta.url);
}

/** What a device is served with, apart from where. */
export type EngineOptions = Omit<ServeOptions, "socketPath" | "log">;

/** Runs `body` with a driver connected to a device of `options`; `lines` is what the device logs. */
export async function withEngines(
  options: EngineOptions,
  body: (driver: CryptoDriver, lines: string[]) => Promise<void>,
  driverOptions: CryptoDriverOptions = {},
): Promise<void> {
  const directory = Deno.makeTempDirSync({ prefix: "vuc-engine-" });
  const socketPath = `${directory}/device.sock`;
  const lines: string[] = [];
  try {
    await using _device = await serve({
      ...options,
      socketPath,
      log: (level, line) => lines.push(`${level}: ${line}`),
    });
    await using driver = await CryptoDriver.connect(socketPath, driverOptions);
    await body(driver, lines);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}
