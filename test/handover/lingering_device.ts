/**
 * The program, which stays in memory after it has ended, until it is killed: what it has left there can be searched.
 *
 * @module
 */
import { main } from "../../src/cli/main.ts";

const code = await main(Deno.args);
console.log(`ended with ${code}`);
setInterval(() => {}, 60_000);
