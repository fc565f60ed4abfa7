// The form of what a resolver answers: a table of garbage, each with the line that the operator reads.

import { describe, expect, test } from "bun:test";
import { checkRun } from "../../src/api/run-shape.ts";
import { thrownBy } from "../support/embedded.ts";
import { SECRET } from "../support/secrets.ts";

const GARBAGE: readonly (readonly [unknown, string])[] = [
  ["run-1", "run data: expected an object with runID"],
  [true, "expected an object"],
  [() => undefined, "expected an object"],
  [{}, "run data: runID: expected a text that names the run"],
  [{ runID: "" }, "runID: expected a text"],
  [{ runID: 7 }, "runID: expected a text"],
  [[], "runID: expected a text"],
  [{ RunID: "r" }, 'unknown field "RunID", did you mean "runID"?'],
  [{ runID: "r", Policy: "strict" }, 'unknown field "Policy", did you mean "policy"?'],
  [{ runID: "r", networkPolicy: "strict" }, 'unknown field "networkPolicy"'],
  [{ runID: "r", removeHeader: {} }, 'unknown field "removeHeader", did you mean "removeHeaders"?'],
  [{ runID: "r", policy: "STRICT" }, 'network policy "STRICT": expected strict or permissive'],
  [{ runID: "r", policy: 1 }, "network policy: expected strict or permissive"],
  [{ runID: "r", policy: null }, "network policy: expected strict or permissive"],
  [{ runID: "r", allowedHosts: "api.example.com" }, "allowedHosts: expected a list"],
  [{ runID: "r", allowedHosts: [7] }, "allowedHosts: expected a text"],
  [{ runID: "r", grants: "github" }, "grants: expected a list"],
  [{ runID: "r", grants: [{}] }, "grants: expected a text"],
  [{ runID: "r", credentials: [{ name: "A", value: SECRET }] }, "credentials: expected an object by host"],
  [{ runID: "r", credentials: { "a.test": SECRET } }, "credentials for a.test: expected an object with name"],
  [{ runID: "r", credentials: { "a.test": null } }, "credentials for a.test: expected an object"],
  [
    { runID: "r", credentials: { "a.test": { value: SECRET } } },
    "credentials for a.test: name: expected a text",
  ],
  [{ runID: "r", credentials: { "a.test": { name: "A", value: [SECRET] } } }, "value: expected a text"],
  [
    { runID: "r", credentials: { "a.test": [{ name: "A", value: SECRET, grant: 1 }] } },
    "grant: expected a text",
  ],
  [
    { runID: "r", extraHeaders: { "a.test": { name: "A" } } },
    "extraHeaders for a.test: value: expected a text",
  ],
  [{ runID: "r", removeHeaders: { "a.test": [{}] } }, "removeHeaders for a.test: expected a text"],
  [{ runID: "r", tokenSubstitutions: { "a.test": { placeholder: "abcd" } } }, "realToken: expected a text"],
  [{ runID: "r", mcpServers: {} }, "mcpServers: expected a list"],
  [{ runID: "r", mcpServers: [{ name: "a" }] }, "mcpServers: url: expected a text"],
  [
    { runID: "r", mcpServers: [{ name: "a", url: "b", auth: { grant: "g" } }] },
    'MCP server "a": auth: header',
  ],
  [{ runID: "r", awsHandler: {} }, "awsHandler: expected a function"],
  [{ runID: "r", credStore: {} }, "credStore: expected an object with a method get(provider)"],
];

describe("checkRun", () => {
  test.each(GARBAGE)("%j: %s", (data, says) => {
    const line = thrownBy(() => checkRun(data));
    expect(line).toContain(says);
    expect(line).not.toContain(SECRET);
  });

  test("accepts every field, alone and in lists, and fields that are undefined", () => {
    const one = { name: "X-A", value: "v" };
    const substitution = { placeholder: "abcd", realToken: "r" };
    checkRun({
      runID: "r",
      credentials: { "a.test": one, "b.test": [one, { ...one, grant: "g", allowCleartext: true }] },
      extraHeaders: { "a.test": [one], "b.test": one },
      removeHeaders: { "a.test": ["X-B"], "b.test": "X-B" },
      tokenSubstitutions: { "a.test": substitution, "b.test": [substitution] },
      responseTransformers: { "a.test": ["response-scrub", () => undefined] },
      mcpServers: [{ name: "a", url: "https://a.test", auth: { grant: "g", header: "X-A" } }],
      policy: "strict",
      allowedHosts: ["a.test", { wildcard: false, host: "b.test", port: undefined }],
      grants: ["github"],
      awsHandler: () => new Response(),
      credStore: { get: () => undefined },
    });
    checkRun({ runID: "r", policy: undefined, credentials: undefined, mcpServers: undefined });
  });
});
