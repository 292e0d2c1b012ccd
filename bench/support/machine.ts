/**
 * The machine, as far as figures depend on it.
 *
 * @module
 */

/** Processors, Deno, and how busy it is at the moment. */
export function machine(): string {
  const cpu = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "an unknown processor";
  const load = Deno.loadavg().map((value) => value.toFixed(2)).join(" ");
  return `${navigator.hardwareConcurrency} × ${cpu}, Deno ${Deno.version.deno}, load ${load}`;
}
