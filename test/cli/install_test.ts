import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { closeFd } from "../../src/os/event_fd.ts";
import { listenUnix } from "../../src/os/unix_socket.ts";
import { inheritable, use } from "./driving.ts";
import { exists, findProgram, PROGRAM, ROOT, run, Running, withDirectory } from "./programs.ts";

const INSTALL = `${ROOT}scripts/install`;
const NAME = "vhost-user-crypto";

const FILES: readonly string[] = [
  `bin/${NAME}`,
  `share/man/man1/${NAME}.1`,
  `share/bash-completion/completions/${NAME}`,
  `share/zsh/site-functions/_${NAME}`,
  `share/fish/vendor_completions.d/${NAME}.fish`,
  `share/qemu/vhost-user/50-${NAME}.json`,
  `lib/systemd/system/${NAME}.service`,
  `lib/systemd/system/${NAME}@.service`,
  `lib/systemd/system/${NAME}.socket`,
  `lib/systemd/system/${NAME}@.socket`,
];

/** Installs the launcher below a directory of its own. */
async function withInstallation(body: (prefix: string) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const prefix = `${directory}/usr`;
    const { code, stdout, stderr } = await run(INSTALL, ["--launcher"], { PREFIX: prefix, DESTDIR: "" });
    assertEquals(code, 0, stderr);
    assertEquals(stdout.trimEnd().split("\n"), FILES.map((file) => `${prefix}/${file}`));
    await body(prefix);
  });
}

Deno.test("what is installed is what the program prints, and a description for management programs", async () => {
  await withInstallation(async (prefix) => {
    const printed = async (...args: string[]) => (await run(PROGRAM, args)).stdout;
    assertEquals(await Deno.readTextFile(`${prefix}/${FILES[1]}`), await printed("--print-man"));
    assertEquals(await Deno.readTextFile(`${prefix}/${FILES[2]}`), await printed("--print-completion=bash"));
    const descriptor = JSON.parse(await Deno.readTextFile(`${prefix}/${FILES[5]}`));
    assertEquals(Object.keys(descriptor), ["description", "type", "binary"]);
    assertEquals(descriptor.type, "crypto");
    const { code, stdout } = await run(descriptor.binary, ["--print-capabilities"]);
    assertEquals([code, JSON.parse(stdout)], [0, { type: "crypto" }]);
  });
});

Deno.test("the launcher serves as a service manager starts it: without an environment, elsewhere", async () => {
  await withInstallation(async (prefix) => {
    await withDirectory(async (directory) => {
      const path = `${directory}/c.sock`;
      const listening = listenUnix(path);
      const copy = inheritable(listening);
      const start =
        `cd / && exec env -i PATH=/usr/bin:/bin DENO_DIR=${directory} LISTEN_FDS=1 LISTEN_PID=$$ "$0" --once 3<&${copy}`;
      const program = new Running("bash", ["-c", start, `${prefix}/bin/${NAME}`]);
      closeFd(listening);
      closeFd(copy);
      await use(path);
      const { code, stderr } = await program.ended();
      assertEquals(code, 0, stderr);
      assertStringIncludes(stderr, "on descriptor 3");
    });
  });
});

Deno.test("DESTDIR stands in front of where files go, and in none of them", async () => {
  await withDirectory(async (directory) => {
    const { code, stderr } = await run(INSTALL, ["--launcher"], { PREFIX: "/usr", DESTDIR: directory });
    assertEquals(code, 0, stderr);
    for (const file of FILES) assert(exists(`${directory}/usr/${file}`), file);
    for (const file of FILES.slice(5)) {
      const text = await Deno.readTextFile(`${directory}/usr/${file}`);
      assert(!text.includes(directory), file);
      if (!file.endsWith(".socket")) assertStringIncludes(text, `/usr/bin/${NAME}`);
    }
  });
});

Deno.test("a binary that was built is installed, with units that hide home directories", async () => {
  await withDirectory(async (directory) => {
    // A checkout whose binary is a stand-in that leads to the source.
    const checkout = `${directory}/checkout`;
    await Deno.mkdir(`${checkout}/dist`, { recursive: true });
    const copied = await run("cp", ["-r", `${ROOT}scripts`, checkout]);
    assertEquals(copied.code, 0, copied.stderr);
    const binary = `#!/bin/sh\nexec ${PROGRAM} "$@"\n`;
    await Deno.writeTextFile(`${checkout}/dist/${NAME}`, binary, { mode: 0o755 });
    const prefix = `${directory}/usr`;
    const { code, stderr } = await run(`${checkout}/scripts/install`, [], { PREFIX: prefix, DESTDIR: "" });
    assertEquals([code, stderr], [0, ""]);
    assertEquals(await Deno.readTextFile(`${prefix}/bin/${NAME}`), binary);
    assertMatch(await Deno.readTextFile(`${prefix}/lib/systemd/system/${NAME}.service`), /^ProtectHome=yes$/m);
  });
});

Deno.test("what cannot be installed is told", async () => {
  const wrong = await run(INSTALL, ["--luncher"]);
  assertEquals(wrong.code, 1);
  assertStringIncludes(wrong.stderr, 'takes --launcher or nothing, not "--luncher"');
  const relative = await run(INSTALL, [], { PREFIX: "usr" });
  assertEquals(relative.code, 1);
  assertStringIncludes(relative.stderr, "PREFIX is usr, which is no absolute path");
  await withDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/file`, "");
    const { code, stderr } = await run(INSTALL, ["--launcher"], { PREFIX: `${directory}/file`, DESTDIR: "" });
    assertEquals(code, 1);
    assertStringIncludes(stderr, "set PREFIX or DESTDIR to where you may, or be root");
  });
});

Deno.test("units leave V8 what it needs, and nothing to fill in", async () => {
  await withInstallation(async (prefix) => {
    for (const file of FILES.slice(6)) {
      const text = await Deno.readTextFile(`${prefix}/${file}`);
      assert(!/@[A-Z]+@/.test(text), text);
      assert(!/^MemoryDenyWriteExecute=/m.test(text), text);
      const instance = file.includes("@") ? "%i" : "default";
      if (file.endsWith("socket")) assertStringIncludes(text, `ListenStream=/run/${NAME}/${instance}.sock\n`);
    }
    assertMatch(await Deno.readTextFile(`${prefix}/${FILES[7]}`), /^Requires=vhost-user-crypto@%i\.socket$/m);
  });
});

const hasAnalyze = findProgram("systemd-analyze", "systemd");
Deno.test({ name: "systemd has no complaint about the units", ignore: !hasAnalyze }, async () => {
  await withInstallation(async (prefix) => {
    for (const file of FILES.slice(6)) {
      const { code, stdout, stderr } = await run("systemd-analyze", ["verify", "--man=no", `${prefix}/${file}`]);
      assertEquals([code, stdout, stderr], [0, "", ""], file);
    }
  });
});
