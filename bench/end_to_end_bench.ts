/**
 * R3, R6 and the stateless half of R7: a device in another process and a driver in this one, both polling the ring,
 * with 64 requests in flight.
 */
import { F_CIPHER_STATELESS_MODE, F_MUX_MODE } from "../src/wire/virtio_crypto.ts";
import { bare } from "./support/bare.ts";
import { ITERATIONS, someOf } from "./support/brief.ts";
import { connectToOwnDevice } from "./support/command.ts";
import {
  bits,
  DIRECT,
  DRIVER_OPTIONS,
  type Load,
  PACKED,
  PATIENT_DEVICE,
  pinDriver,
  spinningLoad,
} from "./support/far_side.ts";
import { mixedLoad } from "./support/mixed_load.ts";
import { AES_128_CBC, WORKLOADS } from "./support/workloads.ts";

/** Requests of an iteration. */
const COUNT = 1024;
const stateless = DIRECT | bits(F_MUX_MODE, F_CIPHER_STATELESS_MODE);
const [driver, packedDriver, statelessDriver] = [
  await connectToOwnDevice(PATIENT_DEVICE, DRIVER_OPTIONS),
  await connectToOwnDevice(PATIENT_DEVICE, { ...DRIVER_OPTIONS, features: PACKED }),
  await connectToOwnDevice(PATIENT_DEVICE, { ...DRIVER_OPTIONS, features: stateless }),
];
pinDriver();

/** A queue holds the chains of one load only, so each load replaces the previous one. */
let current: Load | undefined;

function benchLoad(name: string, group: string, make: () => Promise<Load>): void {
  let load: Load | undefined;
  Deno.bench(name, { group: `${group}: ${COUNT} requests`, ...ITERATIONS }, async () => {
    if (load === undefined) {
      await current?.end();
      current = load = await make();
    }
    load.variant.measure(COUNT);
  });
}

for (const workload of WORKLOADS) {
  for (const sizeBytes of someOf([16, 64, 256, 1024, 4096, 16384, 65536])) {
    const group = `${workload.name}, ${sizeBytes} B, end to end`;
    const alone = bare(workload, sizeBytes);
    Deno.bench(
      `${workload.name}, ${sizeBytes} B: bare EVP`,
      { group: `${group}: ${COUNT} requests`, baseline: true, ...ITERATIONS },
      () => void alone.measure(COUNT),
    );
    benchLoad(`${workload.name}, ${sizeBytes} B: split`, group, () => spinningLoad(driver, workload, [sizeBytes]));
    if (workload !== AES_128_CBC) continue;
    const packed = () => spinningLoad(packedDriver, workload, [sizeBytes]);
    benchLoad(`${workload.name}, ${sizeBytes} B: packed`, group, packed);
  }
}
for (const sessions of someOf([1, 64, 4095])) {
  benchLoad(`64/576/1408 B, ${sessions} sessions`, "mixed sizes", () => mixedLoad(driver, sessions));
}
benchLoad(
  "AES-128-CBC, 64 B, a fresh key each",
  "stateless",
  () => spinningLoad(statelessDriver, AES_128_CBC, [64], { mode: "stateless", freshKeys: true }),
);
