/**
 * Choosing OpenSSL's configuration and properties on the command line.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { use } from "./driving.ts";
import { configuration, refusal, servedWith, withConfiguration } from "./openssl_configurations.ts";
import { PROGRAM, run, Running, withDeviceProcess, withDirectory } from "./programs.ts";

Deno.test("a configuration file that is not there is named, and nothing is served", async () => {
  const error = await refusal(1, "--openssl-config=/nowhere/openssl.cnf");
  assertStringIncludes(error, "/nowhere/openssl.cnf");
  assertStringIncludes(error, "--openssl-config");
});

Deno.test("the providers are those of the chosen file, in workers too", async () => {
  await withConfiguration(configuration(["base", "default"]), async (file) => {
    const { names } = await servedWith("--engines=openssl", `--openssl-config=${file}`);
    assert(names.includes("AES-CBC") && names.includes("SHA1"));
    assert(!names.includes("ARC4") && !names.includes("DES-CBC"), "the legacy provider is not in the file");
    for (const workers of [0, 1]) {
      const args = [`--workers=${workers}`, `--openssl-config=${file}`, "--openssl-properties=provider=default"];
      await withDeviceProcess(args, async (path) => await use(path));
    }
  });
});

Deno.test("a property query decides what OpenSSL serves", async () => {
  const preferred = await servedWith("--engines=openssl", "--openssl-properties=?provider=base");
  assert(preferred.names.includes("AES-CBC"), "a preference takes nothing away");
  const demanded = await servedWith("--engines=openssl", "--openssl-properties=provider=default");
  assert(demanded.names.includes("AES-CBC") && !demanded.names.includes("ARC4"), "that is the legacy provider's");
});

Deno.test("a property query that nothing matches, or no random number generator, is refused", async () => {
  for (const query of ["provider=base", "provider=nosuch", "fips=yes,provider=default"]) {
    assertStringIncludes(await refusal(1, `--openssl-properties=${query}`), `with --openssl-properties=${query}`);
  }
  await withConfiguration(configuration(["default", "legacy"]), async (file) => {
    const error = await refusal(1, `--openssl-config=${file}`, "--openssl-properties=provider=legacy");
    // Without the legacy provider its module is named.
    assertMatch(error, /random number generator|the provider legacy/);
  });
});

Deno.test("a configuration without an algorithm of a device is refused", async () => {
  await withConfiguration(configuration(["base"]), async (file) => {
    assertStringIncludes(
      await refusal(1, `--openssl-config=${file}`),
      `no algorithm of a device with --openssl-config`,
    );
  });
});

/** Configurations that OpenSSL goes on without, and what they lack. */
const UNUSABLE: Readonly<Record<string, readonly [content: string, problem: string]>> = {
  "with a provider that does not exist": [configuration(["default", "nosuch"]), "the provider nosuch"],
  "with a provider under another name": [
    configuration(["default", "x"]).replace("[x_section]", "[x_section]\nidentity = soso\nmodule = /x/soso.so"),
    "the provider soso",
  ],
  "without the section of its providers": [configuration([]).replace("[list]", "[other]"), "list"],
  "whose first setting is mistyped": [
    configuration(["default"]).replace("openssl_conf", "openssl_cnf"),
    "openssl_conf",
  ],
  "that is no configuration": ["not a setting\n", "equal sign"],
};

for (const [which, [content, problem]] of Object.entries(UNUSABLE)) {
  Deno.test(`a configuration ${which} is refused if an option names it, and warned of if OPENSSL_CONF does`, async () => {
    await withConfiguration(content, async (file) => {
      const error = await refusal(1, `--openssl-config=${file}`);
      for (const part of [file, problem, "--openssl-config"]) assertStringIncludes(error, part);
      const listed = await run(PROGRAM, ["--list-algorithms"], { OPENSSL_CONF: file });
      assertEquals(listed.code, 0, listed.stderr);
      for (const part of ["warn", file, problem, "OPENSSL_CONF"]) assertStringIncludes(listed.stderr, part);
    });
  });
}

Deno.test("a mistyped OPENSSL_CONF is warned of when a device starts, an empty one is not", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    for (const [OPENSSL_CONF, isWarned] of [["/nowhere/openssl.cnf", true], ["", false]] as const) {
      const device = new Running(PROGRAM, [`--socket-path=${path}`], { env: { OPENSSL_CONF } });
      await device.said("serving");
      await use(path);
      device.kill("SIGTERM");
      const { stderr } = await device.ended();
      assertEquals(/warn: .*\/nowhere\/openssl.cnf.*OPENSSL_CONF/.test(stderr), isWarned, stderr);
      assertEquals(stderr.includes("OPENSSL_CONF"), isWarned, stderr);
    }
  });
});

Deno.test("a property query that OpenSSL does not accept is named", async () => {
  assertStringIncludes(await refusal(1, "--openssl-properties==,="), "--openssl-properties");
});
