import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { OPTIONS } from "../../src/cli/option_table.ts";
import { exists, PROGRAM, ROOT, run, withDirectory } from "./programs.ts";

Deno.test("--help lists every option and the probe command, on standard output", async () => {
  const { code, stdout, stderr } = await run(PROGRAM, ["--help"]);
  assertEquals([code, stderr], [0, ""]);
  for (const { name } of OPTIONS) assertStringIncludes(stdout, `--${name}`);
  assertStringIncludes(stdout, "vhost-user-crypto probe --socket-path=PATH");
});

Deno.test("probe --help lists its options", async () => {
  const { code, stdout, stderr } = await run(PROGRAM, ["probe", "--help"]);
  assertEquals([code, stderr], [0, ""]);
  for (const name of ["socket-path", "queue", "quick", "json"]) assertStringIncludes(stdout, `--${name}`);
});

Deno.test("--version names program, Deno and OpenSSL", async () => {
  const { code, stdout } = await run(PROGRAM, ["--version"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^vhost-user-crypto \d+\.\d+\.\d+ \(Deno \d+\.\d+\.\d+, OpenSSL 3\..+\)\n$/);
});

Deno.test("--print-capabilities prints the JSON object for management programs, regardless of other options", async () => {
  const { code, stdout, stderr } = await run(PROGRAM, ["--print-capabilities", "--queues=0", "--tag=x"]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(JSON.parse(stdout), { type: "crypto" });
});

const WRONG: readonly { readonly args: readonly string[]; readonly says: string }[] = [
  { args: [], says: "no socket given" },
  { args: ["--socket-path=/tmp/x", "--fd=3"], says: "exclude each other" },
  { args: ["--socket-path="], says: "--socket-path needs a value" },
  { args: ["--socket-path=/tmp/x", "-s", "/tmp/y"], says: "--socket-path was given more than once" },
  { args: ["--engines="], says: "--engines needs a value" },
  { args: ["--socket-path=/tmp/x", "--once=yes"], says: "--once takes no value" },
  { args: ["--list-algorithms=json"], says: "--list-algorithms takes no value" },
  { args: ["--json"], says: "--json is for --list-algorithms" },
  { args: ["--print-completion=tcsh"], says: "--print-completion takes one of bash, zsh, fish" },
  { args: ["--socket-path=/tmp/x", "--socket-count=17"], says: "--socket-count takes a whole number from 1 to 16" },
  { args: ["--socket-path=/tmp/x", "--pin-cpus=0"], says: "give --workers too" },
  { args: ["--socket-path=/tmp/x", "--log-format=xml"], says: "--log-format takes one of text, json" },
  { args: ["--socket-path=/tmp/x", "--queues=0"], says: "--queues takes a whole number from 1 to 64" },
  { args: ["--socket-path=/tmp/x", "--queues=two"], says: 'not "two"' },
  { args: ["--socket-path=/tmp/x", "--mux=maybe"], says: "--mux takes one of on, off" },
  { args: ["--socket-path=/tmp/x", "--stateless=cipher,rsa"], says: 'not "rsa"' },
  { args: ["--socket-path=/tmp/x", "--engines=openssl,mbedtls"], says: 'not "mbedtls"' },
  { args: ["--socket-path=/tmp/x", "--socket-mode=abc"], says: "--socket-mode takes three or four octal digits" },
  { args: ["--socket-path=/tmp/x", "--nonsense"], says: "--nonsense" },
  { args: ["--socket-path=/tmp/x", "--draft=v10"], says: "--draft takes one of v19, v15, v5" },
  { args: ["--socket-path=/tmp/x", "--draft=v15", "--asymmetric=akcipher"], says: "choose rfc3 or off" },
  { args: ["--socket-path=/tmp/x", "--draft=v5", "--asymmetric=rfc3"], says: "does not go with --draft=v5" },
  { args: ["--socket-path=/tmp/x", "--draft=v15", "--mux=on"], says: "--mux is for --draft=v19" },
  { args: ["--socket-path=/tmp/x", "--draft=v5", "--stateless=none"], says: "--stateless is for --draft=v19" },
  { args: ["probe", "--socket-path=/tmp/x", "--draft=v6"], says: "--draft takes one of v19, v15, v5" },
  { args: ["serve"], says: '"serve"' },
  { args: ["--socket-path=/tmp/x", "--worker=1"], says: "did you mean --workers?" },
  { args: ["prob", "--socket-path=/tmp/x"], says: '"prob": did you mean probe?' },
  { args: ["probe", "--socket-pth=/tmp/x"], says: "did you mean --socket-path?" },
  { args: ["--socket-path=/tmp/x", "--socket-group=no-such-group"], says: 'there is no group "no-such-group"' },
  { args: ["probe"], says: "no device given" },
  { args: ["probe", "--socket-path=/tmp/x", "--queue=-1"], says: "--queue takes the number of a data queue" },
  { args: ["probe", "--socket-path=/tmp/x", "--slow"], says: "--slow" },
];

for (const { args, says } of WRONG) {
  Deno.test(`exit code 2 and one sentence for: ${args.join(" ") || "no options"}`, async () => {
    const { code, stdout, stderr } = await run(PROGRAM, args);
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, says);
    assertMatch(stderr, /^vhost-user-crypto: error: .+[^.]\nTry --help\.\n$/);
  });
}

Deno.test("without OpenSSL the program names the package to install and exits with 1", async () => {
  await withDirectory(async (directory) => {
    // An empty file that is found first simulates a host without the library.
    await Deno.writeFile(`${directory}/libcrypto.so.3`, new Uint8Array());
    const options = [`--socket-path=${directory}/never.sock`];
    const { code, stdout, stderr } = await run(PROGRAM, options, { LD_LIBRARY_PATH: directory });
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^vhost-user-crypto: error: OpenSSL 3's libcrypto cannot be opened .*libssl3.*\n$/);
    assert(!exists(`${directory}/never.sock`));
  });
});

Deno.test("without permission for FFI the program names it and exits with 1", async () => {
  const options = ["run", "--no-prompt", "--allow-read", `${ROOT}src/cli/main.ts`, "--socket-path=/tmp/never.sock"];
  const { code, stdout, stderr } = await run(`${ROOT}scripts/deno`, options);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^vhost-user-crypto: error: .*--allow-ffi.*\n$/);
});
