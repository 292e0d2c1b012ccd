/**
 * Devices that are broken on purpose, which the fuzzer must detect. Accepts the device's options and `--fault=`. The fault
 * is in this process only, so the device has no workers.
 *
 * @module
 */
import { main } from "../../src/cli/main.ts";
import { DataPath } from "../../src/device/data_path.ts";
import { JobPool } from "../../src/device/job_pool.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { viewOf } from "../../src/os/memory_map.ts";
import type { ChainBatch } from "../../src/virtqueue/chain.ts";
import { Connection } from "../../src/vhost_user/connection.ts";

/** Calls a function once in a number of calls. */
function every(count: number, action: () => void): () => void {
  let turn = 0;
  return () => {
    if (++turn % count === 0) action();
  };
}

/** Writes a byte after the last writable segment of the first chain. */
function overrun(batch: ChainBatch): void {
  if (batch.count === 0) return;
  const last = batch.end[0]! - 1;
  const { segments } = batch;
  if (last < batch.firstWritable[0]! || segments.isUnmapped(last)) return;
  new Uint8Array(viewOf(segments.addressOf(last) + segments.length[last]!, 1))[0] = 0x5a;
}

/** Flips a bit of the first writable byte of the first chain. */
function wrongAnswer(batch: ChainBatch): void {
  const first = batch.firstWritable[0]!;
  const { segments } = batch;
  if (batch.count === 0 || first >= batch.end[0]! || segments.isUnmapped(first)) return;
  new Uint8Array(viewOf(segments.addressOf(first), 1))[0]! ^= 1;
}

/** Each fault, by name. */
const FAULTS: Readonly<Record<string, () => void>> = {
  overrun: () => afterProcess(50, overrun),
  "wrong-answer": () => afterProcess(50, wrongAnswer),
  "wrong-later": () => {
    let batches = 0;
    afterProcess(1, (batch) => ++batches > 20 && wrongAnswer(batch));
  },
  crash: () => afterProcess(200, () => new Uint8Array(viewOf(16, 1)).fill(0)),
  hang: () =>
    afterProcess(200, () => {
      for (;;);
    }),
  "lost-request": () => afterProcess(100, (batch) => batch.count = Math.max(0, batch.count - 1)),
  "wrong-operation": () => {
    const pool = JobPool.prototype as unknown as { outputAddress: (slot: number) => number };
    const { outputAddress } = pool;
    let address = 0;
    // Every result is accessed twice: to be copied, and to be wiped.
    const sometimes = every(7, () => new Uint8Array(viewOf(address, 1))[0]! ^= 1);
    pool.outputAddress = function (slot: number): number {
      address = outputAddress.call(this, slot);
      sometimes();
      return address;
    };
  },
  "leaked-descriptor": () => {
    const close = Connection.prototype.close;
    Connection.prototype.close = function (): Promise<void> {
      // Another one that is closed again shows that opening alone is not reported.
      closeFd(createEventFd());
      createEventFd();
      return close.call(this);
    };
  },
};

function afterProcess(count: number, action: (batch: ChainBatch) => void): void {
  const process = DataPath.prototype.process;
  let batch: ChainBatch;
  const sometimes = every(count, () => action(batch));
  DataPath.prototype.process = function (...args): number {
    const handled = process.apply(this, args);
    batch = this.batch;
    sometimes();
    return handled;
  };
}

const args = [...Deno.args];
const at = args.findIndex((arg) => arg.startsWith("--fault="));
const [fault] = args.splice(at, 1);
FAULTS[fault!.slice("--fault=".length)]!();
Deno.exit(await main(args));
