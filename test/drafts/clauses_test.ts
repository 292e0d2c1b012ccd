/** The checks of `conform` for drafts v15 and v5 against this device: they cover every duty of the device, and all pass. */
import { assertEquals } from "@std/assert";
import { DRAFT_GROUPS } from "../../src/tools/conform/catalogue.ts";
import { checksOf } from "../../src/tools/conform/check.ts";
import { runChecks } from "../../src/tools/conform/run.ts";
import { withDevice } from "../device/harness.ts";

/** Lines of the texts on which a duty of the device begins. v5's section on MAC, line 563, refers to that on HASH. */
const NORMATIVE_LINES: Readonly<Record<"v15" | "v5", readonly number[]>> = {
  v15: [
    ...[303, 304, 305, 306, 307, 308, 309, 310, 340, 341, 683, 684, 699, 784, 785, 840, 841],
    ...[1022, 1023, 1024, 1025, 1027, 1028, 1029, 1030, 1164, 1165, 1166, 1167, 1168],
  ],
  v5: [132, 133, 134, 135, 156, 157, 439, 441, 442, 455, 526, 528, 563, 657, 658, 660, 663, 664, 665, 766, 768],
};

for (const group of DRAFT_GROUPS) {
  Deno.test(`every duty of the device in the normative text of draft ${group.draft}`, async (t) => {
    const draft = group.draft as "v15" | "v5";
    await withDevice({ draft, asymmetric: "off" }, async ({ path }) => {
      const { results } = await runChecks(path, checksOf(group), { draft });
      const covered = new Set<number>();
      for (const { check: { id, clause: { duty, reference } }, verdict, failure, reason } of results) {
        await t.step(`${id}: ${duty}`, () => assertEquals(verdict, "passed", Deno.inspect(failure ?? reason)));
        covered.add(reference[draft]!);
      }
      assertEquals([...covered].sort((a, b) => a - b), NORMATIVE_LINES[draft]);
    });
  });
}
