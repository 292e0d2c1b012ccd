/**
 * The help texts, from the tables of options and commands.
 *
 * @module
 */
import type { OptionRow } from "./command_line.ts";
import { COMMANDS, OPTION_GROUPS } from "./option_table.ts";
import type { CommandRow } from "./command_line.ts";
import { wrap } from "./wrap.ts";

const WIDTH = 80;
const INDENT = 28;

function paragraph(text: string): string {
  return wrap(text, WIDTH).join("\n");
}

function optionText({ name, short, value, help }: OptionRow): string {
  const left = `  ${short ? `-${short}, ` : "    "}--${name}${value ? `=${value}` : ""}`;
  const lines = wrap(help, WIDTH - INDENT).map((line) => " ".repeat(INDENT) + line);
  if (left.length > INDENT - 2) return [left, ...lines].join("\n");
  return [left + lines[0]!.slice(left.length), ...lines.slice(1)].join("\n");
}

/** The text of `--help`. */
export function helpText(): string {
  const usages = COMMANDS.map(({ name, usage }) => `       vhost-user-crypto ${name} ${usage}`);
  const commands = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(INDENT - 2)}${summary} (${name} --help)`);
  const groups = OPTION_GROUPS.map(({ title, options }) => `${title}:\n${options.map(optionText).join("\n")}`);
  return `Usage: vhost-user-crypto --socket-path=PATH [OPTION]...
${usages.join("\n")}

${paragraph("Serves a virtio crypto device, implemented with OpenSSL, to a VMM over vhost-user.")}

${groups.join("\n\n")}

Commands:
${commands.join("\n")}

${paragraph("Exit status: 0 after a clean end, 1 after a runtime failure, 2 for a wrong command line.")}`;
}

/** The text of `--help` of a command. */
export function commandHelpText({ name, usage, about, options, exitStatus }: CommandRow): string {
  return `Usage: vhost-user-crypto ${name} ${usage}

${about.map(paragraph).join("\n\n")}

${options.map(optionText).join("\n")}

${paragraph(`Exit status: ${exitStatus}`)}`;
}
