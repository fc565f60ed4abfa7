// Variables of the environment in the values of the config file: ${NAME} and ${NAME:-default}; $${ is a plain ${, and
// any other $ stands for itself. What was filled in is remembered by its place, since no message may show it.
// wire.md section 2.

import type { Place } from "./yaml-text.ts";

export type Variables = Readonly<Record<string, string | undefined>>;

export interface VariableMistake {
  readonly place: Place;
  readonly text: string;
}

/** The data of a file with its variables filled in. */
export interface Filled {
  readonly data: unknown;
  readonly mistakes: readonly VariableMistake[];
  /** `${A}, ${B}`: the variables in the value at this place; undefined when there are none. */
  variablesAt(place: Place): string | undefined;
  /** True when a mistake of this value has been told already. */
  failedAt(place: Place): boolean;
}

const TOKEN = /\$\$\{|\$\{([^}]*)\}|\$\{/g;
const REFERENCE = /^([A-Za-z_][A-Za-z0-9_]{0,254})(?::-(.*))?$/s;
const MALFORMED = `expected \${NAME} or \${NAME:-default} with letters, digits and _ in the name; "$\${" is a plain "\${"`;

/** Fills the variables in; keys stay as they are, and so do commands, whose ${NAME} is the shell's. */
export function fillVariables(data: unknown, env: Variables): Filled {
  const mistakes: VariableMistake[] = [];
  const names = new Map<string, string>();
  const failed = new Set<string>();
  const walk = (value: unknown, place: Place): unknown => {
    if (typeof value === "string") return isCommand(place) ? value : fill(value, place);
    if (Array.isArray(value)) return value.map((item, i) => walk(item, [...place, i]));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, walk(inner, [...place, key])]),
    );
  };
  const fill = (text: string, place: Place): string => {
    const used: string[] = [];
    const fail = (problem: string): string => {
      failed.add(keyOf(place));
      mistakes.push({ place, text: problem });
      return "";
    };
    const filled = text.replaceAll(TOKEN, (token, body: string | undefined) => {
      if (token === "$${") return "${";
      const [, name, fallback] = REFERENCE.exec(body ?? "") ?? [];
      if (name === undefined || fallback?.includes("${")) return fail(MALFORMED);
      used.push(`\${${name}}`);
      // As in a shell with ":-": an empty variable counts as one that is not set.
      const value = (Object.hasOwn(env, name) && env[name]) || fallback;
      if (value !== undefined) return value;
      return fail(`environment variable ${name} is not set, or empty; \${${name}:-…} gives it a default`);
    });
    if (used.length > 0) names.set(keyOf(place), used.join(", "));
    return filled;
  };
  return {
    data: walk(data, []),
    mistakes,
    variablesAt: (place) => names.get(keyOf(place)),
    failedAt: (place) => failed.has(keyOf(place)),
  };
}

function isCommand(place: Place): boolean {
  return place.at(-1) === "command" && place.at(-2) === "source";
}

function keyOf(place: Place): string {
  return JSON.stringify(place.map(String));
}
