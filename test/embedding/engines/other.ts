/**
 * A second engine module with one algorithm, which inverts the last four bits of every byte. It is not cryptography.
 *
 * @module
 */
import type { EngineModule } from "../../../src/engine/modules/description.ts";

const module: EngineModule = {
  name: "other",
  ciphers: [{
    algo: 13, // CIPHER_AES_XTS, whose keys are otherwise longer
    keyLens: [16],
    ivLen: 0,
    create: () => ({
      setKey: () => true,
      run({ source, destination }) {
        for (let i = 0; i < source.length; i++) destination.bytes[i] = source.bytes[i]! ^ 0x0f;
        return "done";
      },
      free() {},
    }),
  }],
};
export default module;
