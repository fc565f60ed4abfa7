// Completion scripts for bash, zsh and fish from a tree of commands. Pure text; nothing here is run. The manuals:
// bash(1) Programmable Completion, zshcompsys(1), fish complete(1).

export interface FlagNode {
  readonly name: string;
  /** What follows the flag: nothing, one of `words`, a file, a directory, or any text. */
  readonly kind: "none" | "word" | "file" | "dir" | "text";
  readonly words: readonly string[];
  readonly description: string;
}

export interface CommandNode {
  /** The command behind the program's name; empty for the program. */
  readonly words: readonly string[];
  readonly description: string;
  readonly flags: readonly FlagNode[];
  /** Words that may stand beside the flags, where they are known. */
  readonly operands: readonly string[];
  readonly children: readonly CommandNode[];
}

const PROGRAM = "moat-proxy";

export const SCRIPTS: Readonly<Record<string, (root: CommandNode) => string[]>> = { bash, zsh, fish };

function everyNode(root: CommandNode): CommandNode[] {
  return [root, ...root.children.flatMap(everyNode)];
}

function lastWord({ words }: CommandNode): string {
  return words.at(-1) ?? "";
}

/** Written for bash 3.2, which macOS has: no compopt there, no mapfile. */
function bash(root: CommandNode): string[] {
  const nodes = everyNode(root);
  const named = nodes.filter(({ words }) => words.length > 0);
  const values = nodes.flatMap((node) =>
    node.flags
      .filter(({ kind }) => kind !== "none")
      .map((flag) => `    '${[...node.words, `--${flag.name}`].join(" ")}') ${bashValue(flag)} ;;`),
  );
  const words = nodes.map((node) => {
    const flags = node.flags.map(({ name }) => `--${name}`).join(" ");
    const first = [...node.children.map(lastWord), ...node.operands].join(" ");
    return `    '${node.words.join(" ")}') words='${first}' flags='${flags}' ;;`;
  });
  return [
    `# bash completion for ${PROGRAM}`,
    "_moat_proxy() {",
    "  local cur prev at= i words flags IFS=$' \\t\\n'",
    "  COMPREPLY=()",
    `  cur=${"$"}{COMP_WORDS[COMP_CWORD]}`,
    `  prev=${"$"}{COMP_WORDS[COMP_CWORD-1]}`,
    "  # --flag=value arrives as three words",
    "  if [[ $cur == = ]]; then cur=",
    `  elif [[ $prev == = ]]; then prev=${"$"}{COMP_WORDS[COMP_CWORD-2]}; fi`,
    "  for ((i = 1; i < COMP_CWORD; i++)); do",
    `    case "${"$"}{at:+$at }${"$"}{COMP_WORDS[i]}" in`,
    `      ${named.map((node) => `'${node.words.join(" ")}'`).join("|")})`,
    `        at="${"$"}{at:+$at }${"$"}{COMP_WORDS[i]}" ;;`,
    "      *) break ;;",
    "    esac",
    "  done",
    `  case "${"$"}{at:+$at }$prev" in`,
    ...values,
    "  esac",
    '  case "$at" in',
    ...words,
    "  esac",
    "  [[ $cur == -* || -z $words ]] && words=$flags",
    '  COMPREPLY=($(compgen -W "$words" -- "$cur"))',
    "}",
    `complete -F _moat_proxy ${PROGRAM}`,
  ];
}

function bashValue({ kind, words }: FlagNode): string {
  if (kind === "word") return `COMPREPLY=($(compgen -W '${words.join(" ")}' -- "$cur")); return`;
  if (kind === "text") return "return";
  const option = kind === "dir" ? "-d" : "-f";
  return `IFS=$'\\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen ${option} -- "$cur")); return`;
}

function zsh(root: CommandNode): string[] {
  return [
    `#compdef ${PROGRAM}`,
    `compdef _${PROGRAM} ${PROGRAM}`,
    "",
    `_${PROGRAM}() {`,
    ...zshNode(root, "  "),
    "}",
    "",
    "# Autoloaded it is to run at once, sourced it is not.",
    `if [[ $funcstack[1] == _${PROGRAM} ]]; then _${PROGRAM} "$@"; fi`,
  ];
}

function zshNode(node: CommandNode, indent: string): string[] {
  if (node.children.length === 0) return [`${indent}_arguments \\`, ...zshArguments(node, `${indent}  `)];
  const list = node.children.map(
    (child) => `${indent}  ${zshQuoted(`${lastWord(child)}:${child.description.replaceAll(":", "\\:")}`)}`,
  );
  return [
    `${indent}local -a commands=(`,
    ...list,
    `${indent})`,
    `${indent}if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then`,
    `${indent}  _describe command commands`,
    `${indent}  return`,
    `${indent}fi`,
    `${indent}case $words[2] in`,
    ...node.children.flatMap((child) => [
      `${indent}  ${lastWord(child)})`,
      `${indent}    shift words; (( CURRENT-- ))`,
      ...zshNode(child, `${indent}    `),
      `${indent}    ;;`,
    ]),
    `${indent}  *)`,
    `${indent}    _arguments \\`,
    ...zshArguments(node, `${indent}      `),
    `${indent}    ;;`,
    `${indent}esac`,
  ];
}

function zshArguments({ flags, operands }: CommandNode, indent: string): string[] {
  const specs = flags.map(({ name, kind, words, description }) => {
    const text = description.replaceAll(/[[\]\\]/g, "\\$&");
    const action = { none: "", word: `(${words.join(" ")})`, file: "_files", dir: "_files -/", text: "" }[
      kind
    ];
    return `*--${name}${kind === "none" ? "" : "="}[${text}]${kind === "none" ? "" : `:value:${action || " "}`}`;
  });
  if (operands.length > 0) specs.push(`1:word:(${operands.join(" ")})`);
  return specs.map((spec, i) => `${indent}${zshQuoted(spec)}${i === specs.length - 1 ? "" : " \\"}`);
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fish(root: CommandNode): string[] {
  const lines = [`# fish completion for ${PROGRAM}`, `complete -c ${PROGRAM} -f`];
  for (const node of everyNode(root)) {
    const condition = fishCondition(node, root);
    for (const child of node.children) {
      lines.push(fishLine(condition, `-a ${lastWord(child)}`, child.description));
    }
    if (node.operands.length > 0) lines.push(fishLine(condition, `-a '${node.operands.join(" ")}'`, ""));
    // The program's own flags are those of its default command.
    for (const flag of node.flags) lines.push(fishLine(condition, fishFlag(flag), flag.description));
  }
  return lines;
}

/** True while the words so far are exactly this command, as far as fish can tell. */
function fishCondition(node: CommandNode, root: CommandNode): string {
  if (node === root) return "__fish_use_subcommand";
  const seen = node.words.map((word) => `__fish_seen_subcommand_from ${word}`);
  const deeper = node.children.map(lastWord).join(" ");
  return [...seen, ...(deeper === "" ? [] : [`not __fish_seen_subcommand_from ${deeper}`])].join("; and ");
}

function fishFlag({ name, kind, words }: FlagNode): string {
  const value = {
    none: "",
    word: ` -x -a '${words.join(" ")}'`,
    file: " -r -F",
    dir: " -x -a '(__fish_complete_directories)'",
    text: " -x",
  };
  return `-l ${name}${value[kind]}`;
}

function fishLine(condition: string, what: string, description: string): string {
  const text = description.replaceAll(/['\\]/g, "\\$&");
  return `complete -c ${PROGRAM} -n '${condition}' ${what}${text === "" ? "" : ` -d '${text}'`}`;
}
