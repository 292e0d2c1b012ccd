/**
 * A device in its sandbox that tries what it must not be able to do, from its event loop and from a worker started
 * later, and prints what came of it as JSON; then it serves on.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { serve } from "../../src/cli/serve.ts";
import { errno } from "../../src/os/errno.ts";
import { enterSandbox } from "../../src/os/sandbox.ts";
import { type SystemCall, systemCallNumber } from "../../src/os/system_calls.ts";

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

/** Makes a system call, of which the other arguments are 0. */
function call(name: SystemCall, ...args: number[]): number {
  const [a = 0n, b = 0n] = args.map(BigInt);
  return Number(libc.syscall(BigInt(systemCallNumber(name)), a, b, 0n, 0n, 0n, 0n));
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
attempt("trace a process", () => call("ptrace", 16, Deno.ppid));
attempt("kill a process", () => call("kill", Deno.ppid));
if (systemCallNumber("fork") >= 0) attempt("fork", () => call("fork"));
attempt("fork by clone", () => call("clone", 17));
attempt("mount", () => call("mount"));
attempt("set up io_uring", () => call("io_uring_setup", 1));
console.log(JSON.stringify({ missing, tried }));

Deno.addSignalListener("SIGTERM", () => void device.close());
await device.finished;
Deno.exit(0);
