// The six lists beside credentials: what they take, and what they refuse. wire.md section 2.

import { describe, expect, test } from "bun:test";
import { z } from "zod";
import {
  extraHeader,
  INJECTION_KEYS,
  mcpServer,
  relay,
  removeHeader,
  responseTransformer,
  TRANSFORMER_KINDS,
  tokenSubstitution,
  uniquelyNamed,
} from "../../src/config/injection-schema.ts";

const source = { type: "env", var: "X" };
const host = "a.example";
const url = "https://a.example/v1";

type Case = readonly [schema: z.ZodType, item: object];

describe("takes", () => {
  const cases: readonly Case[] = [
    [extraHeader, { host: "*.a.example:8443", header: "X-Beta", value: "a, b;q=0.5" }],
    [extraHeader, { host, header: "Authorization", value: "x" }],
    [removeHeader, { host, header: "x-api-key" }],
    [tokenSubstitution, { host, placeholder: "{{TOKEN}}", source }],
    [responseTransformer, { host, kind: "oauth-endpoint-workaround" }],
    [responseTransformer, { host, kind: "response-scrub" }],
    [relay, { name: "größe", url }],
    [relay, { name: "a", url: "http://127.0.0.1:3000" }],
    [mcpServer, { name: "a", url }],
    [mcpServer, { name: "a", url, auth: { grant: "oauth:notion" } }],
    [mcpServer, { name: "a", url, auth: { grant: "mcp-linear", header: "X-Key" } }],
  ];
  test.each(cases.map(([schema, item]) => [item, schema] as const))("%j as written", (item, schema) => {
    expect(schema.parse(item) as object).toEqual(item);
  });
});

describe("refuses", () => {
  const cases: readonly Case[] = [
    [extraHeader, {}],
    [extraHeader, { host, header: "X-Beta" }],
    [extraHeader, { header: "X-Beta", value: "x" }],
    [extraHeader, { host: "*", header: "X-Beta", value: "x" }],
    [extraHeader, { host, header: "X Beta", value: "x" }],
    [extraHeader, { host, header: "Content-Length", value: "5" }],
    [extraHeader, { host, header: "X-Beta", value: "" }],
    [extraHeader, { host, header: "X-Beta", value: "a\r\nHost: b" }],
    [extraHeader, { host, header: "X-Beta", value: "x", grant: "g" }],
    [removeHeader, { host }],
    [removeHeader, { host, header: "Proxy-Authorization" }],
    [removeHeader, { host, header: "x", value: "y" }],
    [removeHeader, { host: "https://a.example", header: "x" }],
    [tokenSubstitution, { host, placeholder: "tok-ph" }],
    [tokenSubstitution, { host, source }],
    [tokenSubstitution, { host, placeholder: "abc", source }],
    [tokenSubstitution, { host, placeholder: "a b c d", source }],
    [tokenSubstitution, { host, placeholder: "tok-ph", source: "x" }],
    [tokenSubstitution, { host, placeholder: "tok-ph", source: { type: "env" } }],
    [tokenSubstitution, { host, placeholder: "tok-ph", source, header: "X" }],
    [responseTransformer, { host }],
    [responseTransformer, { host, kind: "" }],
    [responseTransformer, { host, kind: "Response-Scrub" }],
    [responseTransformer, { host, kind: ["response-scrub"] }],
    [responseTransformer, { host, kind: "response-scrub", module: "./x.js" }],
    [relay, { name: "a" }],
    [relay, { url }],
    [relay, { name: "", url }],
    [relay, { name: "a/b", url }],
    [relay, { name: "a", url: "a.example" }],
    [relay, { name: "a", url, auth: { grant: "g" } }],
    [mcpServer, { name: "a b", url }],
    [mcpServer, { name: "a", url: "stdio://x" }],
    [mcpServer, { name: "a", url, auth: {} }],
    [mcpServer, { name: "a", url, auth: null }],
    [mcpServer, { name: "a", url, auth: { grant: "" } }],
    [mcpServer, { name: "a", url, auth: { grant: "g", header: "TE" } }],
    [mcpServer, { name: "a", url, auth: { grant: "g", prefix: "Bearer" } }],
  ];
  test.each(cases.map(([schema, item]) => [item, schema] as const))("%j", (item, schema) => {
    expect(schema.safeParse(item).success).toBe(false);
  });
});

test("the kinds are those of the contract", () => {
  expect([...TRANSFORMER_KINDS]).toEqual(["oauth-endpoint-workaround", "response-scrub"]);
});

describe("names in a list", () => {
  const list = uniquelyNamed(z.object({ name: z.string() }), "things");
  const named = (...names: readonly unknown[]) => names.map((name) => ({ name }));

  test("that are all different, in case too, are taken", () => {
    for (const names of [[], ["a"], ["a", "A", "b", "__proto__", "constructor"]]) {
      expect(list.safeParse(named(...names)).success).toBe(true);
    }
  });

  test("each that an earlier entry has is a mistake of its own, at its place", () => {
    const issues = list.safeParse(named("a", "b", "a", "a", "b")).error?.issues ?? [];
    expect(issues.map(({ path, message }) => [path.join("."), message])).toEqual([
      ["2.name", "the same name as things[0], expected each name once"],
      ["3.name", "the same name as things[0], expected each name once"],
      ["4.name", "the same name as things[1], expected each name once"],
    ]);
  });

  test("entries of another shape are a mistake, not a crash", () => {
    for (const items of [[null, null], [1, 1], named(undefined, undefined), ["a", "a"]]) {
      expect(list.safeParse(items).success).toBe(false);
    }
  });
});

test("every key of each list is known by its place", () => {
  expect(INJECTION_KEYS).toEqual({
    "extra_headers[]": ["host", "header", "value"],
    "remove_headers[]": ["host", "header"],
    "token_substitutions[]": ["host", "placeholder", "source"],
    "response_transformers[]": ["host", "kind"],
    "relays[]": ["name", "url"],
    "mcp_servers[]": ["name", "url", "auth"],
    "mcp_servers[].auth": ["grant", "header"],
  });
});
