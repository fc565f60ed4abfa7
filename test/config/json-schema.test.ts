import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DEFAULT_LIMITS } from "../../src/config/config.ts";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { loadConfig } from "../../src/config/load.ts";
import { SUPPORTED_KEYS } from "../../src/config/schema.ts";

interface Node {
  readonly description?: string;
  readonly default?: unknown;
  readonly type?: string;
  readonly additionalProperties?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
}

const schema: Node = JSON.parse(configJsonSchema());

/** `tls.client_certs[]` and the like. */
function nodeAt(place: string): Node | undefined {
  let node: Node | undefined = schema;
  for (const step of place === "" ? [] : place.split(".")) {
    node = node?.properties?.[step.replace("[]", "")];
    if (step.endsWith("[]")) node = node?.items;
  }
  return node;
}

test("the file in schema/ is current (renew it with: bun run schema)", () => {
  const shipped = readFileSync(join(import.meta.dir, "../../schema/moat-proxy.schema.json"), "utf8");
  expect(shipped).toBe(configJsonSchema());
});

describe.each(Object.entries(SUPPORTED_KEYS))("%j", (place, keys) => {
  test("has the keys that are read, each described, and no other", () => {
    const node = nodeAt(place);
    expect(node?.additionalProperties).toBe(false);
    expect(Object.keys(node?.properties ?? {})).toEqual([...keys]);
    const undescribed = Object.entries(node?.properties ?? {}).filter(([, { description }]) => !description);
    expect(undescribed.map(([key]) => key)).toEqual(
      ["credentials[]", "token_substitutions[]"].includes(place) ? ["source"] : [],
    );
  });
});

test("the defaults are those of the program", () => {
  const written = (place: string): string =>
    (SUPPORTED_KEYS[place] ?? [])
      .filter((key) => nodeAt(`${place}.${key}`)?.default !== undefined)
      .map((key) => `  ${key}: ${JSON.stringify(nodeAt(`${place}.${key}`)?.default)}\n`)
      .join("");
  const text = ["proxy", "tls", "network", "limits", "log"]
    .map((place) => `${place}:\n${written(place)}`)
    .join("");
  const load = (file: string | undefined) =>
    loadConfig({ file, flags: {}, env: { HOME: "/h" }, readFile: () => text });
  expect(load("moat.yaml")).toEqual(load(undefined));
  const limits = Object.values(DEFAULT_LIMITS).flatMap((value) =>
    typeof value === "object" ? Object.values(value) : [value],
  );
  expect(limits).toHaveLength(SUPPORTED_KEYS.limits?.length ?? 0);
  for (const key of SUPPORTED_KEYS.limits ?? []) expect(nodeAt(`limits.${key}`)).toHaveProperty("default");
});

test("a choice, a number and a boolean may stand in a variable", () => {
  const variable = { $ref: "#/definitions/fromEnvironment" };
  for (const place of ["network.policy", "network.deny_status", "proxy.port", "log.query"]) {
    expect(JSON.stringify(nodeAt(place)?.anyOf)).toContain(JSON.stringify(variable));
  }
});
