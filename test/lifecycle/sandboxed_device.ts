/**
 * A device in its sandbox that tries what it must not be able to do, from its event loop and from an isolate started
 * later, and prints what came of it as JSON; then it serves on.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { serve } from "../../src/cli/serve.ts";
import { errno } from "../../src/os/errno.ts";
import { enterSandbox } from "../../src/os/sandbox.ts";

const [socketPath, victim, workers] = Deno.args as [string, string, string];
const device = await serve({ socketPath, workers: Number(workers), asymmetric: "akcipher" });
const missing = enterSandbox([socketPath.replace(/[^/]*$/, "")]);

const tried: Record<string, string> = {};
function attempt(name: string, action: () => unknown): void {
  try {
    const result = action();
    tried[name] = result === -1 ? `errno ${errno()}` : "done";
  } catch (error) {
    tried[name] = (error as Error).name;
  }
}

attempt("write a file", () => Deno.writeTextFileSync(`${victim}/new`, "x"));
attempt("append to a file", () => Deno.writeTextFileSync(`${victim}/old`, "x", { append: true }));
attempt("truncate a file", () => Deno.truncateSync(`${victim}/old`, 0));
attempt("rename a file", () => Deno.renameSync(`${victim}/old`, `${victim}/older`));
attempt("change a file's mode", () => Deno.chmodSync(`${victim}/old`, 0o777));
attempt("make a directory", () => Deno.mkdirSync(`${victim}/directory`));
attempt("remove a file elsewhere", () => Deno.removeSync(`${victim}/old`));
attempt("run a program", () => new Deno.Command("/bin/true").outputSync());
attempt("open a network socket", () => libc.socket(2, 1, 0));
attempt("open a unix socket", () => libc.socket(1, 1, 0));
attempt("trace a process", () => Number(libc.syscall(101n, 16n, BigInt(Deno.ppid), 0n, 0n, 0n, 0n)));
attempt("kill a process", () => Number(libc.syscall(62n, BigInt(Deno.ppid), 0n, 0n, 0n, 0n, 0n)));
attempt("fork", () => Number(libc.syscall(57n, 0n, 0n, 0n, 0n, 0n, 0n)));
attempt("fork by clone", () => Number(libc.syscall(56n, 17n, 0n, 0n, 0n, 0n, 0n)));
attempt("mount", () => Number(libc.syscall(165n, 0n, 0n, 0n, 0n, 0n, 0n)));
attempt("set up io_uring", () => Number(libc.syscall(425n, 1n, 0n, 0n, 0n, 0n, 0n)));
console.log(JSON.stringify({ missing, tried }));

Deno.addSignalListener("SIGTERM", () => void device.close());
await device.finished;
Deno.exit(0);
