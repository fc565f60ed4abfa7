// Writes the tables of docs/configuration.md and docs/commands.md: keys from the JSON Schema of the config file, flags
// from the definitions of the commands. The prose around them stays as it is. Run it with `bun run docs`; a test
// checks that nothing has to be written.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ArgDef, ArgsDef, CommandDef } from "citty";
import { mainCommand } from "../src/cli/main-command.ts";
import { configJsonSchema } from "../src/config/json-schema.ts";

/** What of JSON Schema the config file uses. */
interface Node {
  readonly description?: string;
  readonly title?: string;
  readonly default?: unknown;
  readonly type?: string;
  readonly const?: string;
  readonly enum?: readonly (string | number)[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
  readonly oneOf?: readonly Node[];
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly propertyNames?: Node;
  readonly additionalProperties?: Node | boolean;
}

/** Generated documents, from the root of the project. */
export const GENERATED = ["docs/configuration.md", "docs/commands.md"] as const;

/** `<!-- keys: tls.client_certs[] -->` or `<!-- flags: ca show -->`, then the table, then `<!-- end -->`. */
const TABLE = /^<!-- (keys|flags): (.+) -->\n[\s\S]*?^<!-- end -->$/gm;

/** The document with its tables made anew. Throws for a place that does not exist. */
export async function withTables(document: string): Promise<string> {
  let made = document;
  for (const [whole, kind, place = ""] of document.matchAll(TABLE)) {
    const rows = kind === "keys" ? keyRows(place) : await flagRows(place);
    made = made.replace(whole, () => `<!-- ${kind}: ${place} -->\n${rows.join("\n")}\n<!-- end -->`);
  }
  return made;
}

/** What stands behind `keys:` or `flags:` in a document. */
export function placesIn(document: string, kind: "keys" | "flags"): string[] {
  return [...document.matchAll(TABLE)].filter((found) => found[1] === kind).map((found) => found[2] ?? "");
}

function keyRows(place: string): string[] {
  const node = nodeAt(place);
  const head = ["| key | type | default | meaning |", "|---|---|---|---|"];
  // In a list, or for one of several shapes, a key is read in its own mapping.
  const prefix = place.endsWith("[]") ? "" : `${place}.`;
  if (node.oneOf !== undefined) return [...head, ...node.oneOf.flatMap(shapeRows)];
  return [...head, ...Object.keys(node.properties ?? {}).map((key) => keyRow(node, key, prefix))];
}

/** One of several mappings that a `type` tells apart. */
function shapeRows(node: Node): string[] {
  const { type, ...fields } = node.properties ?? {};
  const title = row(`\`type: ${type?.const}\``, "", "", node.description ?? "");
  return [title, ...Object.keys(fields).map((key) => keyRow(node, key, ""))];
}

function keyRow(node: Node, key: string, prefix: string): string {
  const own = node.properties?.[key] ?? {};
  const absent = node.required?.includes(key) ? "required" : "none";
  const fallback = own.default === undefined ? absent : code(own.default);
  return row(`\`${prefix}${key}\``, typeOf(own), fallback, own.description ?? "see below");
}

function nodeAt(place: string): Node {
  let node: Node = JSON.parse(configJsonSchema());
  for (const step of place.split(".")) {
    const next = node.properties?.[step.replace("[]", "")];
    const inner = step.endsWith("[]") ? next?.items : next;
    if (inner === undefined) throw new Error(`no ${place} in the config file`);
    node = inner;
  }
  return node;
}

function typeOf(node: Node): string {
  const shapes = node.anyOf?.filter(({ $ref }) => $ref === undefined);
  if (shapes !== undefined) return shapes.map(typeOf).join(" or ");
  if (node.oneOf !== undefined) return "mapping";
  if (node.enum !== undefined) return node.enum.map(code).join(" or ");
  if (node.type === "integer") return `${node.minimum} to ${node.maximum}`;
  if (node.type === "array") return `list: ${typeOf(node.items ?? {})}`;
  if (typeof node.additionalProperties === "object") {
    return `mapping: ${typeOf(node.propertyNames ?? {})} to ${typeOf(node.additionalProperties)}`;
  }
  if (node.type === "object") return "mapping";
  return node.title ?? node.type ?? "";
}

function code(value: unknown): string {
  return `\`${typeof value === "string" && value !== "" ? value : JSON.stringify(value)}\``;
}

/** @param words such as `ca show` */
async function flagRows(words: string): Promise<string[]> {
  const args = await argsOf(await commandAt(words));
  return [
    "| flag | meaning |",
    "|---|---|",
    ...Object.entries(args).map(([name, arg]) => flagRow(name, arg)),
  ];
}

function flagRow(name: string, { type, description = "", ...rest }: ArgDef): string {
  const hint = "valueHint" in rest ? rest.valueHint : undefined;
  if (type === "positional") return `| \`${hint ?? name.toUpperCase()}\` | ${escaped(description)} |`;
  // An enumeration is shown as it is; a bar inside a cell needs its backslash.
  const value = type === "boolean" ? "" : ` ${hint?.includes("|") ? hint : (hint ?? "value").toUpperCase()}`;
  return `| \`--${name}${escaped(value)}\` | ${escaped(description)} |`;
}

async function commandAt(words: string): Promise<CommandDef> {
  let command = mainCommand;
  for (const word of words.split(" ")) {
    const next = (await commandsOf(command))[word];
    if (next === undefined) throw new Error(`no command ${words}`);
    command = next;
  }
  return command;
}

/** The commands below a command, by name. */
export async function commandsOf(command: CommandDef): Promise<Readonly<Record<string, CommandDef>>> {
  const below = Object.entries((await resolved(command.subCommands)) ?? {});
  const loaded = below.map(async ([name, child]) => [name, await resolved(child)] as const);
  return Object.fromEntries(await Promise.all(loaded));
}

/** The arguments of a command. */
export async function argsOf(command: CommandDef): Promise<ArgsDef> {
  return (await resolved(command.args)) ?? {};
}

/** citty takes a value, a promise of one, or a function that gives either. */
async function resolved<T>(value: T | Promise<T> | (() => T | Promise<T>)): Promise<T> {
  // No definition is itself a function.
  return typeof value === "function" ? (value as () => T | Promise<T>)() : value;
}

function row(...texts: readonly string[]): string {
  return `| ${texts.map(escaped).join(" | ")} |`;
}

function escaped(text: string): string {
  return text.replaceAll("|", "\\|");
}

if (import.meta.main) {
  for (const path of GENERATED) {
    const file = join(import.meta.dir, "..", path);
    writeFileSync(file, await withTables(readFileSync(file, "utf8")));
  }
}
