/**
 * The kernel's counters of a process: CPU time, voluntary context switches, memory.
 *
 * @module
 */

/** Counters of a process, all of its threads together. */
export interface ProcessStat {
  /** CPU time, user and system, in milliseconds. */
  readonly cpuMs: number;
  /** Number of voluntary context switches, by thread. */
  readonly sleeps: ReadonlyMap<string, number>;
  /** Resident memory in bytes. */
  readonly rssBytes: number;
}

/** Milliseconds of a clock tick in /proc: USER_HZ is 100 on every Linux. */
const TICK_MS = 10;

function field(status: string, name: string): number {
  const found = new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(status);
  if (found === null) throw new Error(`/proc has no ${name}`);
  return Number(found[1]);
}

/** Reads the counters of process `pid`. */
export function processStat(pid: number): ProcessStat {
  const sleeps = new Map<string, number>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    try {
      const status = Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`);
      sleeps.set(name, field(status, "voluntary_ctxt_switches"));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // A thread can end while its counters are read.
    }
  }
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const rssBytes = field(Deno.readTextFileSync(`/proc/${pid}/status`), "VmRSS") * 1024;
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS, sleeps, rssBytes };
}

/** Number of wake-ups of a process's threads between two samples. Threads that have ended are not counted. */
export function wakeUps(before: ProcessStat, after: ProcessStat): number {
  let sum = 0;
  for (const [thread, sleeps] of after.sleeps) sum += sleeps - (before.sleeps.get(thread) ?? 0);
  return sum;
}
