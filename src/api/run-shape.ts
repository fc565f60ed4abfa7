// Whether what an embedding program gives has the form that its type promises: a resolver's answer may come from JSON or
// from a program without types. Checks form only; what the values mean is checked by what compiles them. No value of a
// credential is repeated.

import { didYouMean } from "../config/nearest.ts";
import type { RunContextData } from "./types.ts";

/** Fields of a record by host: what each entry must have. Undefined: a text, or whatever its compiler takes. */
const BY_HOST = {
  credentials: ["name", "value"],
  extraHeaders: ["name", "value"],
  removeHeaders: undefined,
  tokenSubstitutions: ["placeholder", "realToken"],
  responseTransformers: undefined,
} as const satisfies Partial<Record<keyof RunContextData, readonly string[] | undefined>>;

const FIELDS: readonly (keyof RunContextData)[] = [
  ...["runID", "credentials", "extraHeaders", "removeHeaders", "tokenSubstitutions"],
  ...["responseTransformers", "mcpServers", "policy", "allowedHosts", "grants", "awsHandler", "credStore"],
] as (keyof RunContextData)[]; // a literal spread widens to string

/** What a resolver answered. @throws Error of one line */
export function checkRun(data: unknown): asserts data is RunContextData {
  if (!isRecord(data)) throw new Error("run data: expected an object with runID");
  // A restriction under a name that nobody reads would be no restriction.
  for (const field of Object.keys(data)) {
    if (!FIELDS.some((known) => known === field)) {
      throw new Error(`run data: unknown field ${JSON.stringify(field)}${didYouMean(field, FIELDS)}`);
    }
  }
  if (typeof data.runID !== "string" || data.runID === "") {
    throw new Error("run data: runID: expected a text that names the run");
  }
  checkParts(data);
}

/** All but runID, each where it is there. @throws Error of one line */
export function checkParts(data: Readonly<Record<string, unknown>>): void {
  for (const [field, needed] of Object.entries(BY_HOST)) checkByHost(field, data[field], needed);
  checkList("mcpServers", data.mcpServers, checkServer);
  checkPolicy(data.policy);
  checkList("allowedHosts", data.allowedHosts, (pattern) => {
    if (!isRecord(pattern)) checkText("allowedHosts", pattern);
  });
  checkList("grants", data.grants, (grant) => checkText("grants", grant));
  checkFunction("awsHandler", data.awsHandler);
  checkStore("credStore", data.credStore);
}

/** @throws Error that repeats a short value: it is one of two words, or a mistake */
export function checkPolicy(policy: unknown): void {
  if (policy === undefined || policy === "strict" || policy === "permissive") return;
  const said = typeof policy === "string" ? ` ${JSON.stringify(policy.slice(0, 40))}` : "";
  throw new Error(`network policy${said}: expected strict or permissive`);
}

/** @throws Error unless it is a text */
export function checkText(what: string, value: unknown): asserts value is string {
  if (typeof value !== "string") throw new Error(`${what}: expected a text`);
}

/** @throws Error unless it is a function, or undefined */
export function checkFunction(what: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") throw new Error(`${what}: expected a function`);
}

/** @throws Error unless it is a credential store, or undefined */
export function checkStore(what: string, value: unknown): void {
  if (value === undefined) return;
  if (!isRecord(value) || typeof value.get !== "function") {
    throw new Error(`${what}: expected an object with a method get(provider)`);
  }
}

/** @throws Error unless it is a list of what `check` accepts, or undefined */
export function checkList(what: string, value: unknown, check: (item: unknown) => void): void {
  if (value === undefined) return;
  if (!Array.isArray(value)) throw new Error(`${what}: expected a list`);
  for (const item of value) check(item);
}

function checkByHost(field: string, record: unknown, needed: readonly string[] | undefined): void {
  if (record === undefined) return;
  if (!isRecord(record) || Array.isArray(record)) throw new Error(`${field}: expected an object by host`);
  for (const [host, entry] of Object.entries(record)) {
    for (const item of Array.isArray(entry) ? entry : [entry]) {
      if (needed !== undefined) checkFields(`${field} for ${host}`, item, needed);
      if (field === "credentials") checkGrant(`${field} for ${host}`, item as { readonly grant?: unknown }); // an object
      if (field === "removeHeaders") checkText(`${field} for ${host}`, item);
    }
  }
}

function checkGrant(what: string, { grant }: { readonly grant?: unknown }): void {
  if (grant !== undefined) checkText(`${what}: grant`, grant);
}

function checkServer(server: unknown): void {
  checkFields("mcpServers", server, ["name", "url"]);
  const { name, auth } = server as { readonly name: string; readonly auth?: unknown }; // checked above
  if (auth !== undefined) checkFields(`MCP server ${JSON.stringify(name)}: auth`, auth, ["grant", "header"]);
}

function checkFields(what: string, item: unknown, needed: readonly string[]): void {
  if (!isRecord(item)) throw new Error(`${what}: expected an object with ${needed.join(" and ")}`);
  for (const field of needed) checkText(`${what}: ${field}`, item[field]);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
