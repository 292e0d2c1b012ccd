/**
 * A process that listens where it is told to: for each line "listen PATH" on standard input it says "listening" or why
 * not, and for "close" it stops to listen.
 *
 * @module
 */
import { ListeningSocket } from "../../src/os/listening_socket.ts";

let socket: ListeningSocket | undefined;
const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
let rest = "";
for await (const chunk of lines) {
  const commands = (rest + chunk).split("\n");
  rest = commands.pop()!;
  for (const command of commands) {
    const [verb, path] = command.split(" ");
    try {
      if (verb === "listen") socket = new ListeningSocket({ path: path! });
      else socket?.close();
      console.log(verb === "listen" ? "listening" : "closed");
    } catch (error) {
      console.log((error as Error).message);
    }
    if (verb === "close") socket = undefined;
  }
}
