// The config file to settings: its text as YAML, its variables filled in, its shape checked. Every mistake is found
// before it gives up. Files and environment arrive as parameters. wire.md section 2.

import type { z } from "zod";
import { at, mistakesOf, valueAt } from "./mistakes.ts";
import { type FileSettings, fileSchema } from "./schema.ts";
import { shown } from "./setting.ts";
import { fillVariables, type Variables } from "./variables.ts";
import { type Mistake, type Place, readYaml } from "./yaml-text.ts";

/** Text of a file; throws an error with a `code` as node:fs does. */
export type ReadFile = (path: string) => string;

export interface FileReading {
  /** Nothing when there are mistakes. */
  readonly settings: FileSettings;
  /** One line each, in the order of the file. */
  readonly mistakes: readonly string[];
  lineOf(place: Place): number | undefined;
}

/** Keys that keep somebody out: forgotten values there must not open the door that the reader takes for shut. */
const GUARDS: readonly Place[] = [
  ["proxy"],
  ["network"],
  ["proxy", "auth_token"],
  ["proxy", "auth_token_env"],
  ["network", "policy"],
  ["network", "allow"],
  ["network", "rules"],
];

export const NO_FILE: FileReading = { settings: {}, mistakes: [], lineOf: () => undefined };

export function readConfigFile(file: string, readFile: ReadFile, env: Variables): FileReading {
  const name = file.replaceAll(/\p{Cc}/gu, "");
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    return { ...NO_FILE, mistakes: [`${name}: cannot be read${reason(error)}`] };
  }
  const yaml = readYaml(text);
  const found: Mistake[] = [...yaml.mistakes];
  let settings: FileSettings = {};
  if (found.length === 0) {
    // An empty file, or one of comments, is an empty mapping.
    const filled = fillVariables(yaml.data ?? {}, env);
    for (const mistake of filled.mistakes) found.push(at(yaml, mistake.place, mistake.text));
    const result = parse(filled.data, (place) => filled.variablesAt(place) !== undefined);
    if (result.success) settings = result.data;
    else for (const issue of result.error.issues) found.push(...mistakesOf(issue, yaml, filled));
    for (const place of GUARDS) {
      if (yaml.emptyAt(place)) found.push(at(yaml, place, "has no value, give it one or remove the key"));
    }
    for (const { place, text } of crossMistakes(filled.data)) found.push(at(yaml, place, text));
    if (result.success) {
      for (const { place, path } of filesOf(settings)) {
        // A path from the environment is no secret, but no message shows what came from there.
        const which = filled.variablesAt(place) === undefined ? `${shown(path)} ` : "";
        const problem = unreadable(path, readFile);
        if (problem !== undefined) found.push(at(yaml, place, `${which}cannot be read${problem}`));
      }
    }
  }
  found.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  const mistakes = found.map((mistake) => lineText(name, mistake));
  return { settings: found.length === 0 ? settings : {}, mistakes, lineOf: yaml.lineOf };
}

function lineText(name: string, { line, text }: Mistake): string {
  return line === undefined ? `${name}: ${text}` : `${name}:${line}: ${text}`;
}

/** A variable is text; where a number or a boolean belongs, text that is one is taken for it. */
function parse(data: unknown, isFilled: (place: Place) => boolean): z.ZodSafeParseResult<FileSettings> {
  const result = fileSchema.safeParse(data);
  if (result.success) return result;
  const meant = new Map<string, { place: Place; value: unknown }>();
  for (const { code, path } of result.error.issues) {
    const value =
      code === "invalid_type" || code === "invalid_value" ? plainValue(valueAt(data, path)) : undefined;
    if (value !== undefined && isFilled(path)) meant.set(JSON.stringify(path), { place: path, value });
  }
  if (meant.size === 0) return result;
  let typed = data;
  for (const { place, value } of meant.values()) typed = replaced(typed, place, value);
  return fileSchema.safeParse(typed);
}

/** `true`, `false` and whole numbers as YAML reads them; undefined for any other text. */
function plainValue(text: unknown): unknown {
  if (typeof text !== "string") return undefined;
  if (text === "true" || text === "false") return text === "true";
  return /^-?(?:0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : undefined;
}

/** A copy of plain data with another value at one place. */
function replaced(data: unknown, [step, ...rest]: Place, value: unknown): unknown {
  if (step === undefined) return value;
  if (Array.isArray(data)) return data.map((item, i) => (i === step ? replaced(item, rest, value) : item));
  if (typeof data !== "object" || data === null) return data;
  return Object.fromEntries(
    Object.entries(data).map(([key, inner]) => [key, key === step ? replaced(inner, rest, value) : inner]),
  );
}

interface PlacedText {
  readonly place: Place;
  readonly text: string;
}

/** What two keys must agree on, seen on the raw data, so that no other mistake hides it. */
function crossMistakes(data: unknown): readonly PlacedText[] {
  const found: PlacedText[] = [];
  const given = (...place: string[]): boolean => valueAt(data, place) !== undefined;
  for (const [key, other] of [["ca_cert", "ca_key"] as const, ["ca_key", "ca_cert"] as const]) {
    if (given("tls", key) && !given("tls", other))
      found.push({ place: ["tls", key], text: `needs tls.${other} as well` });
  }
  if (given("proxy", "auth_token") && given("proxy", "auth_token_env")) {
    const text = "excludes proxy.auth_token, expected one of them";
    found.push({ place: ["proxy", "auth_token_env"], text });
  }
  return found;
}

interface NamedFile {
  readonly place: Place;
  readonly path: string;
}

/** Files whose absence is told with its line. Those of the CA are read, and judged, as a pair later. */
function filesOf({ tls = {} }: FileSettings): readonly NamedFile[] {
  const files: NamedFile[] = [];
  if (tls.upstream_ca !== undefined) files.push({ place: ["tls", "upstream_ca"], path: tls.upstream_ca });
  for (const [i, { cert, key }] of (tls.client_certs ?? []).entries()) {
    files.push({ place: ["tls", "client_certs", i, "cert"], path: cert });
    files.push({ place: ["tls", "client_certs", i, "key"], path: key });
  }
  return files;
}

function unreadable(path: string, readFile: ReadFile): string | undefined {
  try {
    readFile(path);
    return undefined;
  } catch (error) {
    return reason(error);
  }
}

/** `: no such file`, in words for the cases that an operator meets, with the code for the rest. */
export function reason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const words: Readonly<Record<string, string>> = {
    ENOENT: "no such file",
    EACCES: "permission denied",
    EISDIR: "it is a directory",
    ENOTDIR: "a part of the path is no directory",
  };
  return code === "" ? "" : `: ${words[code] ?? code}`;
}
