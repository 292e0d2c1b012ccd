/**
 * Requests with sizes of network packets, distributed over a number of sessions.
 *
 * @module
 */
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { type Load, spinningLoad } from "./far_side.ts";
import { AES_128_CBC } from "./workloads.ts";

/** The sizes, in turn. */
export const MIXED_SIZES: readonly number[] = [64, 576, 1408];
const DEPTH = 96;
const SESSION_ID_OFFSET = 8;

function setSession(header: Uint8Array, id: number): void {
  for (let i = 0; i < 4; i++) header[SESSION_ID_OFFSET + i] = id >>> 8 * i;
}

/** A load over `sessions` sessions, each of which has been used once, and one more. */
export async function mixedLoad(driver: CryptoDriver, sessions: number): Promise<Load> {
  const ids: number[] = [];
  while (ids.length < sessions) ids.push(await driver.createSession(AES_128_CBC.session));
  const load = await spinningLoad(driver, AES_128_CBC, MIXED_SIZES, {
    depth: DEPTH,
    before: (chain, submission) => setSession(chain.blocks.get("header")!.bytes, ids[submission % ids.length]!),
  });
  load.variant.measure(sessions + DEPTH);
  return {
    ...load,
    async end() {
      await load.end();
      for (const id of ids) await driver.destroySession("cipher", id);
    },
  };
}
