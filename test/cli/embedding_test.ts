import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CryptoDriver, DescriptorLimitError, serve, ServerError } from "../../mod.ts";
import { countFds } from "../vhost_user/harness.ts";
import { exists, ROOT, run, withDirectory } from "./programs.ts";

Deno.test("serve: close() and finished, twice on one path", async () => {
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

Deno.test("serve: a start that is given up throws the reason and leaves nothing", async () => {
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

Deno.test("serve: without descriptors for all that may come nothing is started", async () => {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    const open = countFds();
    // Loads what it needs, once.
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

Deno.test("serve: once ends by itself", async () => {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    const device = await serve({ socketPath, once: true });
    const driver = await CryptoDriver.connect(socketPath);
    await driver.close();
    await device.finished;
  });
});

Deno.test("serve: a place that is taken, two places, no place", async () => {
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

Deno.test("a program that serves does not load the driver", async () => {
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
