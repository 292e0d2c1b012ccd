import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CryptoDriver, DescriptorLimitError, serve, ServerError } from "../../mod.ts";
import { countFds } from "../vhost_user/harness.ts";
import { exists, ROOT, run, withDirectory } from "./programs.ts";

Deno.test("serve: close() and finished, and a second device on the same path", async () => {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    for (let round = 0; round < 2; round++) {
      const lines: string[] = [];
      const device = await serve({ socketPath, queues: 2, log: (_level, line) => lines.push(line) });
      const driver = await CryptoDriver.connect(socketPath, { dataQueueCount: 2 });
      assertEquals(driver.config?.maxDataqueues, 2);
      await driver.close();
      await device.close();
      await device.finished;
      await device.close();
      assert(!exists(socketPath));
      assertEquals(lines[0], "a frontend has connected");
    }
  });
});

Deno.test("serve: a cancelled start throws the reason and releases everything", async () => {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    const before = countFds();
    const reason = new Error("no longer wanted");
    for (const when of ["before", "during"]) {
      const controller = new AbortController();
      if (when === "before") controller.abort(reason);
      const starting = serve({ socketPath, signal: controller.signal });
      controller.abort(reason);
      assertEquals(await assertRejects(() => starting), reason);
      assert(!exists(socketPath));
    }
    assertEquals(countFds(), before);
  });
});

Deno.test("serve: a low limit of descriptors is refused at start", async () => {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    const open = countFds();
    // A first device loads all modules.
    await (await serve({ socketPath })).close();
    await assertRejects(
      () => serve({ socketPath, queues: 64, workers: 1_000_000 }),
      DescriptorLimitError,
      "or serve fewer queues or workers",
    );
    assert(!exists(socketPath));
    assert(countFds() <= open);
  });
});

Deno.test("serve: a device with `once` ends after its frontend", async () => {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    const device = await serve({ socketPath, once: true });
    const driver = await CryptoDriver.connect(socketPath);
    await driver.close();
    await device.finished;
  });
});

Deno.test("serve: a socket in use, two sockets and no socket are refused", async () => {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    const device = await serve({ socketPath });
    const { message } = await assertRejects(() => serve({ socketPath }), ServerError);
    assertStringIncludes(message, "already in use");
    await device.close();
    await assertRejects(() => serve({ socketPath, fd: 3 }), TypeError);
    await assertRejects(() => serve({}), TypeError);
  });
});

Deno.test("the serving program does not load the driver", async () => {
  const graph = await run(`${ROOT}scripts/deno`, ["info", "--json", `${ROOT}src/cli/main.ts`]);
  const modules: { specifier: string; dependencies?: { specifier: string; isDynamic?: boolean }[] }[] =
    JSON.parse(graph.stdout).modules;
  const isDriver = (specifier: string) => /\/src\/(driver|tools)\//.test(specifier);
  for (const { specifier, dependencies = [] } of modules) {
    if (isDriver(specifier)) continue;
    for (const dependency of dependencies) {
      const target = new URL(dependency.specifier, specifier).href;
      if (isDriver(target)) assert(dependency.isDynamic, `${specifier} loads ${target} statically`);
    }
  }
  assert(modules.some(({ specifier }) => isDriver(specifier)), "the probe command is in the graph");
});
