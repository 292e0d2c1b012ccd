/**
 * The program, which stays in memory after its end until it is killed, so that its memory can be searched.
 *
 * @module
 */
import { main } from "../../src/cli/main.ts";

const code = await main(Deno.args);
console.log(`ended with ${code}`);
setInterval(() => {}, 60_000);
