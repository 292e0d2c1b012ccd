/**
 * Completions for shells, from the tables of options and commands.
 *
 * @module
 */
import type { OptionRow } from "./command_line.ts";
import { COMMANDS, OPTIONS, type Shell } from "./option_table.ts";

const COMMAND_NAMES = COMMANDS.map(({ name }) => name);

/** A short description of an option: the first clause of its help without parentheses. */
function brief({ help }: OptionRow): string {
  return help.replace(/ \([^)]*\)/g, "").replace(/[.:;](?: .*|$)/, "");
}

/** `text` as one word of a shell, in single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The names of an option, with dashes. */
function dashed({ name, short }: OptionRow): string[] {
  return short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];
}

/** Bash cases for all options that take a value. */
function bashValues(options: readonly OptionRow[]): string {
  const takingValues = options.filter(({ value }) => value !== undefined);
  const pattern = (rows: readonly OptionRow[]) => rows.flatMap(dashed).join(" | ");
  const files = takingValues.filter(({ isPath }) => isPath);
  const free = takingValues.filter(({ isPath, choices }) => !isPath && choices === undefined);
  return [
    ...takingValues.flatMap((option) => {
      if (option.choices === undefined) return [];
      const complete = `_vhost_user_crypto_${option.isList ? "list" : "words"} ${quoted(option.choices.join(" "))}`;
      return [`        ${pattern([option])}) ${complete}; return ;;`];
    }),
    ...(files.length > 0 ? [`        ${pattern(files)}) _vhost_user_crypto_files; return ;;`] : []),
    ...(free.length > 0 ? [`        ${pattern(free)}) return ;;`] : []),
  ].join("\n");
}

function bashWords(options: readonly OptionRow[]): string {
  return options.map(({ name, value }) => value === undefined ? `--${name}` : `--${name}=`).join(" ");
}

function bashCommand(name: string, options: readonly OptionRow[]): string {
  return `    ${name})
      case $option in
${bashValues(options)}
      esac
      words=${quoted(bashWords(options))}
      ;;`;
}

function bashCompletion(): string {
  return `# bash completion for vhost-user-crypto

_vhost_user_crypto_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_vhost_user_crypto_list() {
  local before=
  [[ $current == *,* ]] && before=\${current%,*},
  mapfile -t COMPREPLY < <(compgen -P "$before" -W "$1" -- "\${current##*,}")
  compopt -o nospace
}

_vhost_user_crypto_files() {
  mapfile -t COMPREPLY < <(compgen -f -- "$current")
  compopt -o filenames
}

_vhost_user_crypto() {
  local current=\${COMP_WORDS[COMP_CWORD]} option=\${COMP_WORDS[COMP_CWORD-1]} words
  COMPREPLY=()
  # "=" is a word of its own: --mux=o arrives as three.
  if [[ $current == = ]]; then
    current=
  elif [[ $option == = ]]; then
    option=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  case \${COMP_WORDS[1]} in
${COMMANDS.map(({ name, options }) => bashCommand(name, options)).join("\n")}
${bashCommand("*", OPTIONS)}
  esac
  ((COMP_CWORD > 1)) || words+=' ${COMMAND_NAMES.join(" ")}'
  _vhost_user_crypto_words "$words"
  [[ \${COMPREPLY[0]-} != *= ]] || compopt -o nospace
}

complete -F _vhost_user_crypto vhost-user-crypto`;
}

/** An option as a specification of _arguments. */
function zshSpec(option: OptionRow): string {
  const { name, short, value, choices, isList, isPath } = option;
  const help = `[${brief(option).replace(/[[\]\\]/g, "\\$&")}]`;
  const values = choices === undefined
    ? " "
    : isList
    ? `_values -s , ${value} ${choices.join(" ")}`
    : `(${choices.join(" ")})`;
  const argument = value === undefined ? "" : `:${value}:${isPath ? "_files" : values}`;
  const long = value === undefined ? `--${name}` : `--${name}=`;
  if (short === undefined) return quoted(`${long}${help}${argument}`);
  const both = `{-${short}${value === undefined ? "" : "+"},${long}}`;
  return `${quoted(`(-${short} --${name})`)}${both}${quoted(`${help}${argument}`)}`;
}

function zshArguments(options: readonly OptionRow[], more: readonly string[] = []): string {
  return ["_arguments -s :", ...options.map(zshSpec), ...more].join(" \\\n    ");
}

function zshCompletion(): string {
  const commands = COMMANDS.map(({ name, options }) =>
    `  if [[ $words[2] == ${name} ]] && (( CURRENT > 2 )); then
    shift words
    (( CURRENT-- ))
    ${zshArguments(options)}
    return
  fi`
  );
  return `#compdef vhost-user-crypto

_vhost-user-crypto() {
${commands.join("\n")}
  ${zshArguments(OPTIONS, [quoted(`1::command:(${COMMAND_NAMES.join(" ")})`)])}
}

if [[ $funcstack[1] == _vhost-user-crypto ]]; then
  _vhost-user-crypto "$@"
else
  compdef _vhost-user-crypto vhost-user-crypto
fi`;
}

function fishLine(option: OptionRow, condition: string): string {
  const { name, short, value, choices, isList, isPath } = option;
  const words = choices?.join(" ") ?? "";
  const values = value === undefined
    ? []
    : isPath
    ? ["-r", "-F"]
    : ["-x", ...(choices === undefined ? [] : ["-a", quoted(isList ? `(__fish_append , ${words})` : words)])];
  return ["complete -c vhost-user-crypto", "-n", quoted(condition), ...(short === undefined ? [] : ["-s", short])]
    .concat(["-l", name], values, ["-d", quotedForFish(brief(option))]).join(" ");
}

/** `text` in single quotes for fish, which escapes quotes differently. */
function quotedForFish(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}

function fishCompletion(): string {
  const own = `not __fish_seen_subcommand_from ${COMMAND_NAMES.join(" ")}`;
  return [
    "# fish completion for vhost-user-crypto",
    "complete -c vhost-user-crypto -f",
    ...COMMANDS.map(({ name, summary }) =>
      `complete -c vhost-user-crypto -n __fish_use_subcommand -a ${name} -d ${quotedForFish(summary)}`
    ),
    ...OPTIONS.map((option) => fishLine(option, own)),
    ...COMMANDS.flatMap(({ name, options }) =>
      options.map((option) => fishLine(option, `__fish_seen_subcommand_from ${name}`))
    ),
  ].join("\n");
}

/** The completion script of `shell`. */
export function completion(shell: Shell): string {
  return { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }[shell]();
}
