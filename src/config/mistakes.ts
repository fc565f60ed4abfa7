// What zod found wrong, in the words of an operator: one line per mistake, with the path as it stands in the file,
// and the nearest known key. Values are read from the file as written: what came from the environment is not shown.
// wire.md section 2.

import type { z } from "zod";
import { NOT_YET, SOURCE_FIELDS, SOURCE_TYPES } from "./known-keys.ts";
import { didYouMean } from "./nearest.ts";
import { SUPPORTED_KEYS } from "./schema.ts";
import { oneOf, shown } from "./setting.ts";
import type { Filled } from "./variables.ts";
import type { Mistake, Place, YamlText } from "./yaml-text.ts";

const SOURCE_PLACES: ReadonlySet<string> = new Set(["credentials[].source", "token_substitutions[].source"]);

/** Mistakes of one zod issue: several for several unknown keys, none where the value's variable was the mistake. */
export function mistakesOf(
  issue: z.core.$ZodIssue,
  yaml: YamlText,
  filled: Filled,
  base: Place = [],
): readonly Mistake[] {
  const place = [...base, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => at(yaml, [...place, key], unexpectedKey(place, key, yaml.data)));
  }
  if (filled.failedAt(place)) return [];
  const value = valueAt(yaml.data, place);
  const meant = issue.code === "invalid_union" ? meantBranch(issue, value) : undefined;
  if (meant !== undefined) return meant.flatMap((inner) => mistakesOf(inner, yaml, filled, place));
  const variables = filled.variablesAt(place);
  const text = variables === undefined ? textOf(issue, value) : filledText(issue, variables);
  return [at(yaml, place, text)];
}

/** Of a value that may have several shapes, the mistakes of the one that it plainly was to have. */
function meantBranch(
  issue: z.core.$ZodIssueInvalidUnion,
  value: unknown,
): readonly z.core.$ZodIssue[] | undefined {
  if (value === undefined || "discriminator" in issue) return undefined;
  return issue.errors.find((branch) => !branch.some(isOtherType));
}

function isOtherType(issue: z.core.$ZodIssue): boolean {
  return issue.code === "invalid_type" && issue.path.length === 0;
}

/** A mistake at a place: `credentials[2].host: required`. */
export function at(yaml: YamlText, place: Place, text: string): Mistake {
  const path = pathText(place);
  return { line: yaml.lineOf(place), text: path === "" ? text : `${path}: ${text}` };
}

function textOf(issue: z.core.$ZodIssue, value: unknown): string {
  if (issue.code === "custom") return issue.message;
  const isType = issue.code === "invalid_union" && "discriminator" in issue;
  if (value === undefined) return isType ? `required, expected ${oneOf(SOURCE_TYPES)}` : "required";
  if (isType) return unknownType(value);
  if (issue.code === "invalid_union") return `expected ${oneOf(issue.errors.map(typeOf))}`;
  if (issue.code === "invalid_value") return `${rejectedValue(value)}expected ${valuesOf(issue)}`;
  if (issue.code !== "invalid_type") return "not accepted";
  const quotes = issue.expected === "string" && typeof value !== "object" ? ": put the value in quotes" : "";
  return `expected ${EXPECTED[issue.expected] ?? issue.expected}${quotes}`;
}

/** The same about a value that came from the environment and is not shown. */
function filledText(issue: z.core.$ZodIssue, variables: string): string {
  const problem = (): string => {
    if (issue.code === "custom") {
      const masked: unknown = issue.params?.masked;
      return typeof masked === "string" ? masked : issue.message;
    }
    if (issue.code === "invalid_value") return `is not accepted, expected ${valuesOf(issue)}`;
    if (issue.code === "invalid_type") return `expected ${EXPECTED[issue.expected] ?? issue.expected}`;
    return "is not accepted";
  };
  return `with ${variables} filled in: ${problem()}`;
}

function rejectedValue(value: unknown): string {
  if (typeof value === "object") return "";
  return `${typeof value === "string" ? shown(value) : String(value)} is not accepted, `;
}

function valuesOf(issue: z.core.$ZodIssueInvalidValue): string {
  return oneOf(issue.values.map((value) => (value === "" ? '""' : String(value))));
}

function typeOf(branch: readonly z.core.$ZodIssue[]): string {
  const [issue] = branch;
  return issue?.code === "invalid_type" ? (EXPECTED[issue.expected] ?? issue.expected) : "another value";
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  record: "a mapping of keys to values",
  object: "a mapping of keys to values",
};

function unexpectedKey(parent: Place, key: string, data: unknown): string {
  const place = pathText(parent).replaceAll(/\[\d+\]/g, "[]");
  if (SOURCE_PLACES.has(place)) return unexpectedSourceField(valueAt(data, [...parent, "type"]), key);
  const later = NOT_YET[place] ?? [];
  if (later.includes(key)) return "not supported yet";
  const known = [...(SUPPORTED_KEYS[place] ?? []), ...later];
  return `unknown key${didYouMean(key, known) || elsewhere(place, key)}`;
}

/** A key that is right in another place, such as `allow` at the top of the file; one below is nearer than any other. */
function elsewhere(place: string, key: string): string {
  const homes = Object.keys(SUPPORTED_KEYS).filter((home) => SUPPORTED_KEYS[home]?.includes(key));
  const home =
    homes.find((candidate) => place !== "" && candidate.startsWith(`${place}.`)) ??
    homes.find((candidate) => candidate !== "");
  return home === undefined ? "" : `, it belongs under ${home.replace("[]", "[…]")}`;
}

function unexpectedSourceField(type: unknown, key: string): string {
  const owners = Object.keys(SOURCE_FIELDS).filter((owner) => SOURCE_FIELDS[owner]?.includes(key));
  const own =
    typeof type === "string" && Object.hasOwn(SOURCE_FIELDS, type) ? SOURCE_FIELDS[type] : undefined;
  if (owners.length > 0 && own !== undefined) {
    const takes = `type ${shown(String(type))} takes ${own.join(" and ")}`;
    return `is a field of source type ${owners.map((owner) => shown(owner)).join(", ")}, ${takes}`;
  }
  return `unknown key${didYouMean(key, ["type", ...(own ?? [])])}`;
}

function unknownType(type: unknown): string {
  const expected = `expected ${oneOf(SOURCE_TYPES)}`;
  if (typeof type !== "string") return `unknown source type, ${expected}`;
  if (Object.hasOwn(SOURCE_FIELDS, type))
    return `source type ${shown(type)} is not supported yet, ${expected}`;
  return `unknown source type ${shown(type)}${didYouMean(type, SOURCE_TYPES) || `, ${expected}`}`;
}

/** Undefined where there is nothing. */
export function valueAt(data: unknown, place: Place): unknown {
  let value = data;
  for (const step of place) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    // The value is plain data made by the YAML reader; hasOwn has just seen the key.
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}

/** `credentials[2].source`; a key from the file is cut and escaped where it is no plain word. */
function pathText(place: Place): string {
  let text = "";
  for (const step of place) {
    if (typeof step === "number") text += `[${step}]`;
    else {
      const key = String(step);
      text += `${text === "" ? "" : "."}${/^[\w-]{1,64}$/.test(key) ? key : shown(key)}`;
    }
  }
  return text;
}
