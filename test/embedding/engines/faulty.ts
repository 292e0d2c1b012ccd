/**
 * An engine module whose algorithms fail, each in a different way.
 *
 * @module
 */
import type { EngineModule, EngineOutcome, EngineTransform } from "../../../src/engine/modules/description.ts";

function fail(where: string): never {
  throw new Error(`thrown by\n${where}`);
}

/** A transform that works except for the methods in `wrong`. */
function transform(wrong: Partial<EngineTransform>): EngineTransform {
  return { setKey: () => true, run: () => "done", free() {}, ...wrong };
}

const cipher = (algo: number, wrong: Partial<EngineTransform>) => ({
  algo,
  keyLens: [16],
  ivLen: 0,
  create: () => transform(wrong),
});

const module: EngineModule = {
  name: "faulty",
  ciphers: [
    cipher(1, { run: () => fail("run") }),
    cipher(2, { setKey: () => fail("setKey") }),
    cipher(3, { run: () => "fine" as EngineOutcome }),
    cipher(4, { run: () => Promise.reject(new Error("late")) as unknown as EngineOutcome }),
    cipher(5, { free: () => fail("free") }),
    { ...cipher(6, {}), create: () => fail("create") },
    cipher(7, { setKey: () => false }),
  ],
  hashes: [{ algo: 1, digestBytes: 16, create: () => transform({ run: () => fail("digest") }) }],
  aeads: [{
    algo: 1,
    keyLens: [16],
    ivLens: [12],
    tagLens: [16],
    create: () =>
      transform({
        run({ destination }) {
          destination.bytes.fill(0x55, 0, destination.length);
          return fail("aead");
        },
      }),
  }],
};
export default module;
