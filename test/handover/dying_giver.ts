/**
 * An old process that is killed when it has to halt: before it has done so, or after.
 *
 * @module
 */
import { HandoverServer } from "../../src/handover/old_process.ts";
import { FakeGiver } from "./fake_giver.ts";

const [path, isHalted] = Deno.args;
const giver = new FakeGiver();
const halt = giver.halt.bind(giver);
giver.halt = async (live) => {
  if (isHalted === "true") await halt(live);
  Deno.kill(Deno.pid, "SIGKILL");
};
new HandoverServer({ path: path! }, giver, () => {}).start();
console.log("listening");
