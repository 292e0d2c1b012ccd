/**
 * A description of the machine.
 *
 * @module
 */

/** CPUs, Deno's version, and the current load. */
export function machine(): string {
  const cpu = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "an unknown CPU";
  const load = Deno.loadavg().map((value) => value.toFixed(2)).join(" ");
  return `${navigator.hardwareConcurrency} × ${cpu}, Deno ${Deno.version.deno}, load ${load}`;
}
