/**
 * A device with engine modules, for tests that check which implementation executes requests.
 *
 * @module
 */
import { CryptoDriver, type CryptoDriverOptions, serve, type ServeOptions } from "../../mod.ts";

/** The engine module `name` of these tests. */
export function engineAt(name: string): URL {
  return new URL(`./engines/${name}.ts`, import.meta.url);
}

/** Options of a device without its socket. */
export type EngineOptions = Omit<ServeOptions, "socketPath" | "log">;

/** Runs `body` with a driver connected to a device with `options`; `lines` are the lines that the device logs. */
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
