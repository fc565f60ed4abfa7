// What zod found wrong, in the words of an operator: one line per mistake, with the path as it stands in the file,
// and the nearest known key. Values are not repeated here; setting.ts decides which may be. wire.md section 2.

import type { z } from "zod";
import { NOT_YET, SOURCE_FIELDS, SOURCE_TYPES } from "./known-keys.ts";
import { didYouMean } from "./nearest.ts";
import { SUPPORTED_KEYS } from "./schema.ts";
import { shown } from "./setting.ts";
import type { Mistake, Place, YamlText } from "./yaml-text.ts";

const SOURCE_PLACE = "credentials[].source";

/** Mistakes of one zod issue; several when it lists several unknown keys. */
export function mistakesOf(issue: z.core.$ZodIssue, yaml: YamlText): readonly Mistake[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const place = [...issue.path, key];
      return at(yaml, place, unexpectedKey(issue.path, key, yaml.data));
    });
  }
  return [at(yaml, issue.path, textOf(issue, yaml.data))];
}

/** A mistake at a place: `credentials[2].host: required`. */
export function at(yaml: YamlText, place: Place, text: string): Mistake {
  const path = pathText(place);
  return { line: yaml.lineOf(place), text: path === "" ? text : `${path}: ${text}` };
}

function textOf(issue: z.core.$ZodIssue, data: unknown): string {
  const value = valueAt(data, issue.path);
  if (issue.code === "custom") return issue.message;
  if (value === undefined) return issue.code === "invalid_union" ? `required, ${expectedType()}` : "required";
  if (issue.code === "invalid_union") return unknownType(value);
  if (issue.code !== "invalid_type") return "not accepted";
  const quotes = issue.expected === "string" && typeof value !== "object" ? ": put the value in quotes" : "";
  return `expected ${EXPECTED[issue.expected] ?? issue.expected}${quotes}`;
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping of keys to values",
};

function unexpectedKey(parent: Place, key: string, data: unknown): string {
  const place = pathText(parent).replaceAll(/\[\d+\]/g, "[]");
  if (place === SOURCE_PLACE) return unexpectedSourceField(valueAt(data, [...parent, "type"]), key);
  const later = NOT_YET[place] ?? [];
  if (later.includes(key)) return "not supported yet";
  const known = [...(SUPPORTED_KEYS[place] ?? []), ...later];
  return `unknown key${didYouMean(key, known) || elsewhere(key)}`;
}

/** A key that is right in another place, such as `allow` at the top of the file. */
function elsewhere(key: string): string {
  const home = Object.entries(SUPPORTED_KEYS).find(([place, keys]) => place !== "" && keys.includes(key));
  return home === undefined ? "" : `, it belongs under ${home[0].replace("[]", "[…]")}`;
}

function unexpectedSourceField(type: unknown, key: string): string {
  const owners = Object.keys(SOURCE_FIELDS).filter((owner) => SOURCE_FIELDS[owner]?.includes(key));
  const [own] = typeof type === "string" ? (SOURCE_FIELDS[type] ?? []) : [];
  if (owners.length > 0) {
    return `is a field of source type ${owners.map(shown).join(", ")}, type ${shown(String(type))} takes ${own}`;
  }
  return `unknown key${didYouMean(key, own === undefined ? ["type"] : ["type", own])}`;
}

function unknownType(type: unknown): string {
  if (typeof type !== "string") return `unknown source type, ${expectedType()}`;
  if (Object.hasOwn(SOURCE_FIELDS, type))
    return `source type ${shown(type)} is not supported yet, ${expectedType()}`;
  return `unknown source type ${shown(type)}${didYouMean(type, SOURCE_TYPES) || `, ${expectedType()}`}`;
}

function expectedType(): string {
  return `expected ${SOURCE_TYPES.join(" or ")}`;
}

function valueAt(data: unknown, place: Place): unknown {
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
