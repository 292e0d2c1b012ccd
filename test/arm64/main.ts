/**
 * The device program of arm64, under emulation, and a driver of this machine's architecture: every algorithm is asked
 * known answers through the ring, with data queues in the main isolate and in a worker. Started by
 * `scripts/test --on=arm64`.
 *
 * @module
 */
import { probe } from "../../src/tools/probe.ts";
import { ROOT, Running, withDirectory } from "../cli/programs.ts";

/** Emulated, the first request of a kind takes seconds, and more on a busy machine. */
const REPLY_MS = 120_000;
const START_MS = 300_000;

/** Waits until the program listens. */
async function listening(device: Running): Promise<void> {
  const deadlineMs = performance.now() + START_MS;
  while (!device.stderr.includes("serving")) {
    if (device.hasEnded || performance.now() > deadlineMs) throw new Error(`it does not serve: ${device.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Returns whether every answer of a device with `workers` workers was right. */
async function check(workers: number): Promise<boolean> {
  let isRight = false;
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    const options = [`--socket-path=${path}`, `--workers=${workers}`, "--sandbox=off"];
    const device = new Running(`${ROOT}scripts/on-arm64`, [`${ROOT}scripts/vhost-user-crypto`, ...options]);
    try {
      await listening(device);
      const { results, passed, failed } = await probe(path, { quick: true, timeoutMs: REPLY_MS });
      for (const { name, modes } of results) {
        for (const [mode, { outcome, detail }] of Object.entries(modes)) {
          if (outcome === "failed") console.error(`FAILED on arm64, ${workers} workers: ${name}, ${mode}: ${detail}`);
        }
      }
      console.log(`arm64, ${workers} workers: ${passed} known answers passed, ${failed} failed`);
      isRight = failed === 0 && passed > 0;
    } finally {
      device.kill("SIGTERM");
      await device.ended();
    }
  });
  return isRight;
}

let areRight = true;
for (const workers of [0, 1]) areRight = await check(workers) && areRight;
Deno.exit(areRight ? 0 : 1);
