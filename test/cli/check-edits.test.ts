// What `check` says of headers, tokens, answers, relays and MCP servers: all of them, and those that meet a request.

import { describe, expect, test } from "bun:test";
import { editSections, editTexts } from "../../src/cli/check-edits.ts";
import { compileCheck } from "../../src/cli/check-plan.ts";
import { explain } from "../../src/cli/check-verdict.ts";
import { loadConfig } from "../../src/config/load.ts";
import { readConfigFile } from "../../src/config/read-file.ts";
import { SECRET } from "../support/secrets.ts";

const YAML = `extra_headers:
  - { host: a.example, header: X-Beta, value: "1" }
remove_headers:
  - { host: a.example, header: X-Debug }
token_substitutions:
  - { host: a.example, placeholder: token-placeholder, source: { type: static, value: ${SECRET} } }
response_transformers:
  - { host: a.example, kind: oauth-endpoint-workaround }
  - { host: a.example, kind: response-scrub }
relays:
  - { name: tools, url: "http://127.0.0.1:9/base" }
mcp_servers:
  - { name: linear, url: "https://a.example/mcp", auth: { grant: linear } }
  - { name: open, url: "https://b.example/mcp" }
`;

const sources = { file: "moat.yaml", flags: {}, env: {}, readFile: () => YAML };
const config = loadConfig(sources);
const reading = readConfigFile("moat.yaml", () => YAML, {});
const plan = compileCheck(config, reading, () => []);

function stepsFor(url: string): readonly string[] {
  const question = { method: "GET", url, headers: [], address: "10.0.0.1" };
  return explain(plan, question).steps.map(({ what, text }) => `${what}: ${text}`);
}

describe("the whole configuration", () => {
  test("every entry has its line, and no secret", () => {
    const sections = editSections(config, reading);
    const said = sections.flatMap(({ title, entries }) =>
      entries.map(({ line, text }) => `${title} ${line}: ${text}`),
    );
    expect(said).toEqual([
      "Headers 2: a.example: X-Beta is added",
      "Headers 4: a.example: X-Debug is removed",
      "Token substitutions 6: a.example: token-placeholder becomes a token, in the path, in Authorization and in bodies up to 64 KiB",
      "Answers 8: a.example: oauth-endpoint-workaround",
      "Answers 9: a.example: response-scrub",
      "Relays 11: /relay/tools/ goes to http://127.0.0.1:9/base",
      "MCP servers 13: /mcp/linear goes to https://a.example/mcp, with linear in Authorization",
      "MCP servers 14: /mcp/open goes to https://b.example/mcp, without a credential",
    ]);
    expect(said.join()).not.toContain(SECRET);
  });
});

describe("one request", () => {
  test("hears of every change that meets it, in the order of the data path", () => {
    expect(stepsFor("https://a.example/x").filter((step) => step.startsWith("change"))).toEqual([
      "change: the client's x-debug is removed",
      "change: token-placeholder becomes a token in the path, Authorization and small bodies",
      "change: moat-stub-linear in authorization becomes the credential of the MCP server",
      "change: X-Beta: 1 is added",
      "change: the answer goes through oauth-endpoint-workaround",
      "change: the answer goes through response-scrub",
    ]);
  });

  test("for another host hears of none", () => {
    expect(stepsFor("https://c.example/x").join()).not.toContain("change");
  });

  test("over http: a token is no less a secret than a credential", () => {
    const question = { method: "GET", url: "http://a.example/", headers: [], address: "203.0.113.5" };
    expect(explain(plan, question)).toMatchObject({ status: 403, blocked: "cleartext-credential" });
  });

  test("to a relay's own target on loopback is allowed, to its neighbour not", () => {
    expect(stepsFor("http://127.0.0.1:9/x").join("\n")).toContain(
      "127.0.0.1 is named as a relay or MCP server",
    );
    const question = { method: "GET", url: "http://127.0.0.1:10/", headers: [], address: undefined };
    expect(explain(plan, question)).toMatchObject({ status: 403, blocked: "destination" });
  });

  test("a function of a program is named as one", () => {
    const none = plan.run.injection.lookup("https://x.example:443", {
      host: "x.example",
      port: 443,
      kind: "name",
    });
    expect(editTexts(none, [() => undefined])).toEqual(["the answer goes through a function"]);
  });
});
