/**
 * Invalid engine modules: each is refused before anything is served, with an error that names the remedy.
 *
 * @module
 */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CryptoDriver, EngineModuleError, serve, virtioCrypto as v } from "../../mod.ts";
import { exists, PROGRAM, run, withDeviceProcess, withDirectory } from "../cli/programs.ts";
import { engineAt } from "./support.ts";

const CIPHER = "{ algo: 1, keyLens: [16], ivLen: 0, create() {} }";

/** Sources of modules, and the error for each. */
const REFUSED: Readonly<Record<string, string>> = {
  "": "has to export an EngineModule as its default, not undefined",
  "export default 5": "has to export an EngineModule as its default, not 5",
  "export default {": "cannot be loaded: ",
  "throw new Error('of its own')": "cannot be loaded: of its own",
  "export default { ciphers: [] }": 'needs a name of 1 to 40 letters, digits, ".", "_" and "-", not undefined',
  "export default { name: 'a b' }": 'needs a name of 1 to 40 letters, digits, ".", "_" and "-", not "a b"',
  "export default { name: 'x' }": "has no algorithms: it needs some of ciphers, hashes, macs, aeads",
  "export default { name: 'x', cipher: [] }": 'has no property "cipher": it knows name, ciphers, hashes, macs, aeads',
  "export default { name: 'x', macs: 7 }": "needs as macs a list, not 7",
  "export default { name: 'x', macs: [7] }": "has 7 among its macs",
  [`export default { name: 'x', ciphers: [{ ...${CIPHER}, algo: 15 }] }`]:
    "its cipher 15 has an unknown number: cipher numbers are 1, 2, 3",
  [`export default { name: 'x', ciphers: [{ ...${CIPHER}, keyLens: [16, 65] }] }`]:
    "its cipher 1 needs as keyLens a list of numbers of bytes from 1 to 64, not 65",
  [`export default { name: 'x', ciphers: [{ ...${CIPHER}, keyLens: [] }] }`]: "from 1 to 64, not an empty list",
  [`export default { name: 'x', ciphers: [{ ...${CIPHER}, keyLens: undefined }] }`]: "from 1 to 64, not undefined",
  [`export default { name: 'x', ciphers: [{ ...${CIPHER}, ivLen: 1.5 }] }`]:
    "its cipher 1 needs as ivLen a number of bytes from 0 to 128, not 1.5",
  [`export default { name: 'x', ciphers: [{ ...${CIPHER}, blockBytes: 0 }] }`]:
    "its cipher 1 needs as blockBytes a number of bytes from 1 to 4096, not 0",
  [`export default { name: 'x', ciphers: [{ ...${CIPHER}, direct: 1 }] }`]: "needs as direct true or false, not 1",
  [`export default { name: 'x', ciphers: [{ ...${CIPHER}, create: null }] }`]: "needs as create a function, not null",
  [`export default { name: 'x', ciphers: [{ ...${CIPHER}, ivlen: 3 }] }`]:
    'its cipher 1 has no property "ivlen": it knows algo, direct, create, ivLen, blockBytes, keyLens',
  [`export default { name: 'x', ciphers: [${CIPHER}, ${CIPHER}] }`]: "it has cipher 1 twice",
  "export default { name: 'x', macs: [{ algo: 1, keyLens: [513], digestBytes: 1, create() {} }] }":
    "its mac 1 needs as keyLens a list of numbers of bytes from 0 to 512, not 513",
  "export default { name: 'x', macs: [{ algo: 50, keyLens: [1], digestBytes: 0, create() {} }] }":
    "its mac 50 needs as digestBytes a number of bytes from 1 to 4096, not 0",
  "export default { name: 'x', aeads: [{ algo: 4, keyLens: [1], ivLens: [1], tagLens: [1], create() {} }] }":
    "its aead 4 has an unknown number: aead numbers are 1, 2, 3",
  "export default { name: 'x', aeads: [{ algo: 1, keyLens: [1], ivLens: [1], tagLens: [65], create() {} }] }":
    "its aead 1 needs as tagLens a list of numbers of bytes from 1 to 64, not 65",
};

Deno.test("invalid modules are refused, and everything is released", async () => {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    for (const [at, [text, wanted]] of Object.entries(REFUSED).entries()) {
      const path = `${directory}/engine ${at}%.ts`;
      await Deno.writeTextFile(path, text);
      const { message } = await assertRejects(() => serve({ socketPath, engineModules: [path] }), EngineModuleError);
      assertStringIncludes(message, `engine module file://${directory}/engine%20${at}%25.ts `);
      assertStringIncludes(message, wanted);
      assertEquals(exists(socketPath), false);
    }
  });
});

Deno.test("modules that are not files, missing modules, and two modules with the same algorithm are refused", async () => {
  await withDirectory(async (directory) => {
    const refusal = async (...engineModules: (string | URL)[]) => {
      const socketPath = `${directory}/device.sock`;
      return (await assertRejects(() => serve({ socketPath, engineModules }), EngineModuleError)).message;
    };
    for (const url of ["https://example.com/engine.ts", "data:text/javascript,0", "npm:engine"]) {
      assertEquals(
        await refusal(url),
        `engine module ${url} is not a file: give a path, or a URL that starts with file:`,
      );
    }
    assertStringIncludes(await refusal(`${directory}/none.ts`), "none.ts cannot be loaded: ");
    assertEquals(
      await refusal(engineAt("toy"), engineAt("counting_cbc")),
      "engine modules toy and counting-cbc both have cipher 3",
    );
  });
});

Deno.test("a module that loads in the main thread and not in a worker is refused", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/engine.ts`;
    await Deno.writeTextFile(
      path,
      `
      if ("WorkerGlobalScope" in globalThis) throw new Error("not here");
      export default { name: "shy", ciphers: [${CIPHER}] };
    `,
    );
    const socketPath = `${directory}/device.sock`;
    const options = { socketPath, engineModules: [path], queues: 2, workers: 2 };
    const { message } = await assertRejects(() => serve(options), EngineModuleError);
    assertEquals(message, `engine module file://${path} cannot be loaded: not here`);
    assertEquals(exists(socketPath), false);
    const device = await serve({ ...options, workers: 0 });
    await device.close();
  });
});

Deno.test("the program exits with 1 or 2 for invalid modules", async () => {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    const refused = await run(PROGRAM, [`--socket-path=${socketPath}`, `--engine-module=${directory}/none.ts`]);
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, `error: engine module file://${directory}/none.ts cannot be loaded: `);
    const empty = await run(PROGRAM, [`--socket-path=${socketPath}`, "--engine-module="]);
    assertEquals(empty.code, 2);
    assertStringIncludes(empty.stderr, "error: --engine-module needs a value");
  });
});

for (const workers of [0, 2]) {
  Deno.test(`the program serves modules in its sandbox, ${workers} workers`, async () => {
    const modules = ["toy", "other"].map((name) => `--engine-module=${engineAt(name).pathname}`);
    await withDeviceProcess([...modules, "--queues=2", `--workers=${workers}`], async (socketPath, { stderr }) => {
      assertStringIncludes(stderr, "engine module toy serves cipher 1, cipher 3, ");
      assertStringIncludes(stderr, "engine module other serves cipher 13");
      await using driver = await CryptoDriver.connect(socketPath, { dataQueueCount: 2 });
      for (const algo of [v.CIPHER_ARC4, v.CIPHER_AES_XTS]) {
        const key = new Uint8Array(16).fill(0x0f);
        const sessionId = await driver.createSession({ service: "cipher", algo, key, op: v.OP_ENCRYPT });
        for (const queue of [0, 1]) {
          const src = new Uint8Array(33).fill(0xff);
          const { status, dst } = await driver.cipher({ op: v.OP_ENCRYPT, sessionId, src }, { queue });
          assertEquals([status, dst.toHex()], [v.STATUS_OK, "f0".repeat(33)]);
        }
      }
    });
  });
}
