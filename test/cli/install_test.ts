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
  `lib/systemd/system/${NAME}@.service`,
  `lib/systemd/system/${NAME}@.socket`,
  `lib/systemd/system/${NAME}.service`,
  `lib/systemd/system/${NAME}.socket`,
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

Deno.test("installed texts equal the program's output, and a description for management programs is installed", async () => {
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
      // The first start compiles the program, which may take longer than a driver waits for an answer.
      await program.said("serving");
      await use(path);
      const { code, stderr } = await program.ended();
      assertEquals(code, 0, stderr);
      assertStringIncludes(stderr, "on descriptor 3");
    });
  });
});

Deno.test("DESTDIR prefixes the paths of files and is not in their contents", async () => {
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

Deno.test("a built binary is installed, with units that hide home directories", async () => {
  await withDirectory(async (directory) => {
    // A checkout whose binary is a script that starts the source.
    const checkout = `${directory}/checkout`;
    await Deno.mkdir(`${checkout}/dist`, { recursive: true });
    const copied = await run("cp", ["-r", `${ROOT}scripts`, checkout]);
    assertEquals(copied.code, 0, copied.stderr);
    const binary = `#!/bin/sh\nexec ${PROGRAM} "$@"\n`;
    await Deno.writeTextFile(`${checkout}/dist/${NAME}`, binary, { mode: 0o755 });
    const prefix = `${directory}/usr`;
    const { code, stderr } = await run(`${checkout}/scripts/install`, [], { PREFIX: prefix, DESTDIR: "" });
    assertEquals(code, 0, stderr);
    assert(!stderr.includes("closed to others"), stderr);
    assertEquals(await Deno.readTextFile(`${prefix}/bin/${NAME}`), binary);
    assertMatch(await Deno.readTextFile(`${prefix}/lib/systemd/system/${NAME}.service`), /^ProtectHome=yes$/m);
  });
});

Deno.test("an installation that is not possible is refused with a reason", async () => {
  const wrong = await run(INSTALL, ["--luncher"]);
  assertEquals(wrong.code, 1);
  assertStringIncludes(wrong.stderr, 'takes --launcher, --uninstall or nothing, not "--luncher"');
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

/** Runs a copy of `scripts` in a checkout of its own below `directory`; `env` is added to the environment. */
async function installFrom(directory: string, args: string[], env: Readonly<Record<string, string>>) {
  const checkout = `${directory}/checkout`;
  await Deno.mkdir(`${checkout}/dist`, { recursive: true });
  const copied = await run("cp", ["-r", `${ROOT}scripts`, `${ROOT}src`, `${ROOT}ffi`, `${ROOT}deno.json`, checkout]);
  assertEquals(copied.code, 0, copied.stderr);
  return await run(`${checkout}/scripts/install`, args, { PREFIX: `${directory}/usr`, DESTDIR: "", ...env });
}

Deno.test("a binary that is not the program is not installed", async () => {
  await withDirectory(async (directory) => {
    await Deno.mkdir(`${directory}/checkout/dist`, { recursive: true });
    await Deno.copyFile("/bin/true", `${directory}/checkout/dist/${NAME}`);
    const { code, stderr } = await installFrom(directory, [], {});
    assertEquals(code, 1);
    assertMatch(stderr, /dist\/vhost-user-crypto is not the program, as --version prints ".*": build it again/);
    assert(!exists(`${directory}/usr`));
  });
});

Deno.test("a Deno and a checkout that the services' users cannot reach are told of", async () => {
  await withDirectory(async (directory) => {
    const { stdout: path } = await run(`${ROOT}scripts/deno`, ["eval", "console.log(Deno.execPath())"]);
    await Deno.mkdir(`${directory}/closed`, { mode: 0o700 });
    const deno = `${directory}/closed/deno`;
    await Deno.copyFile(path.trimEnd(), deno);
    const { code, stderr } = await installFrom(directory, ["--launcher"], { DENO: deno });
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, `${directory}/closed, in which Deno is, is closed to others`);
    assertStringIncludes(stderr, `Deno is ${deno}, and the systemd units have a /tmp of their own`);
    assertStringIncludes(stderr, "this checkout is ");
  });
});

Deno.test("what was installed is uninstalled, and nothing else", async () => {
  await withInstallation(async (prefix) => {
    await Deno.writeTextFile(`${prefix}/bin/other`, "");
    const { code, stdout, stderr } = await run(INSTALL, ["--uninstall"], { PREFIX: prefix, DESTDIR: "" });
    assertEquals(code, 0, stderr);
    assertEquals(stdout.trimEnd().split("\n").sort(), FILES.map((file) => `${prefix}/${file}`).sort());
    for (const file of FILES) assert(!exists(`${prefix}/${file}`), file);
    assert(exists(`${prefix}/bin/other`));
    assertStringIncludes(stderr, "devices that run go on until they are stopped");
  });
});

Deno.test("the description for management programs goes where they look", async () => {
  await withDirectory(async (directory) => {
    const { code, stdout, stderr } = await run(INSTALL, ["--launcher"], { DESTDIR: directory, PREFIX: "/usr/local" });
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, `${directory}/etc/qemu/vhost-user/50-${NAME}.json\n`);
    assert(exists(`${directory}/etc/qemu/vhost-user/50-${NAME}.json`));
  });
});

Deno.test("units permit what V8 needs and have no placeholders", async () => {
  await withInstallation(async (prefix) => {
    for (const file of FILES.slice(6)) {
      const text = await Deno.readTextFile(`${prefix}/${file}`);
      assert(!/@[A-Z]+@/.test(text), text);
      assert(!/^MemoryDenyWriteExecute=/m.test(text), text);
    }
    const template = await Deno.readTextFile(`${prefix}/${FILES[6]}`);
    assertMatch(template, /^Requires=vhost-user-crypto@%i\.socket$/m);
    assertMatch(template, /^User=vuc-%i$/m);
    assertMatch(template, /^CacheDirectory=vhost-user-crypto-%i$/m);
    assertMatch(template, /^RuntimeDirectory=vhost-user-crypto-%i$/m);
  });
});

Deno.test("the unit without instance shares no path and no user with any instance", async () => {
  await withInstallation(async (prefix) => {
    const settings = /^(?:ListenStream|User|CacheDirectory|RuntimeDirectory|EnvironmentFile)=(.*)$/gm;
    const valuesIn = async (file: string) =>
      [...(await Deno.readTextFile(`${prefix}/${file}`)).matchAll(settings)].map(([, value]) => value!);
    const single = [...await valuesIn(FILES[8]!), ...await valuesIn(FILES[9]!)];
    const template = [...await valuesIn(FILES[6]!), ...await valuesIn(FILES[7]!)];
    assertEquals([single.length, template.length], [5, 5]);
    for (const value of single) {
      for (const pattern of template) {
        const [begin = "", end = ""] = pattern.split("%i");
        const isInstance = value.length > begin.length + end.length && value.startsWith(begin) && value.endsWith(end);
        assert(!isInstance, `${value} is ${pattern} of an instance`);
      }
    }
  });
});

const hasAnalyze = findProgram("systemd-analyze", "systemd");
Deno.test({ name: "systemd-analyze accepts the units", ignore: !hasAnalyze }, async () => {
  await withInstallation(async (prefix) => {
    for (const file of FILES.slice(6)) {
      const { code, stdout, stderr } = await run("systemd-analyze", ["verify", "--man=no", `${prefix}/${file}`]);
      assertEquals([code, stdout, stderr], [0, "", ""], file);
    }
  });
});
