/** What starting has left in memory is given back, and nothing else. */
import { assert, assertEquals } from "@std/assert";
import { releaseFilePages } from "../../src/os/resident_memory.ts";

/** KiB of this process: resident, and of its own. */
async function resident(): Promise<{ total: number; own: number }> {
  const text = await Deno.readTextFile(`/proc/${Deno.pid}/smaps_rollup`);
  const kib = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(text)![1]);
  return { total: kib("Rss"), own: kib("Anonymous") };
}

Deno.test("pages that are as their files have them are given back, and return when they are used", async () => {
  const hash = async () => new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("abc")));
  const before = await hash();
  const { total, own } = await resident();
  releaseFilePages();
  const after = await resident();
  const filesBefore = total - own;
  const filesAfter = after.total - after.own;
  assert(filesAfter < 0.7 * filesBefore, `${filesBefore} KiB of files before, ${filesAfter} after`);
  assert(after.own > 0.5 * own, `${own} KiB of its own before, ${after.own} after`);
  assertEquals(await hash(), before);
});
