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

interface GraphModule {
  readonly specifier: string;
  readonly dependencies?: readonly { readonly code?: { readonly specifier: string } }[];
}

/** The modules that Deno reads before `entry` runs, by their URLs; those of types are not among them. */
async function modulesOf(entry: string): Promise<string[]> {
  const { stdout } = await run(`${ROOT}scripts/deno`, ["info", "--json", `${ROOT}src/cli/${entry}`]);
  const { roots, modules } = JSON.parse(stdout) as { roots: string[]; modules: GraphModule[] };
  const read = new Set(roots);
  for (const specifier of read) {
    for (const { code } of modules.find((module) => module.specifier === specifier)?.dependencies ?? []) {
      if (code !== undefined) read.add(code.specifier);
    }
  }
  return [...read];
}

Deno.test("the serving program does not read the driver and the tools, nor a text the modules of a device", async () => {
  const isDriver = (specifier: string) => /\/src\/(driver|tools)\//.test(specifier);
  const [main, serve, probe] = await Promise.all(["main.ts", "serve_devices.ts", "driver_commands.ts"].map(modulesOf));
  assertEquals([...main!, ...serve!].filter(isDriver), []);
  assertEquals(main!.filter((specifier) => /\/src\/(vhost_user|worker)\//.test(specifier)), []);
  assert(serve!.some((specifier) => specifier.includes("/src/vhost_user/")) && probe!.some(isDriver));
});
