// MCP servers of a run: where they lie, and whose credential they get. wire.md section 9: a run's credentials first,
// then the credential store; `oauth:` grants get `Bearer `.

import { describe, expect, test } from "bun:test";
import { type CredentialRule, CredentialTable, type SecretSlot } from "../../src/inject/credentials.ts";
import { compileMcpServer, type McpServerRule, stubsByTarget } from "../../src/run/mcp-server.ts";
import { Secret } from "../../src/values/secret.ts";

function slotOf(value: string): SecretSlot {
  const secret = new Secret(value);
  return { current: () => secret, refresh: () => Promise.resolve(secret) };
}

function own(grant: string, value: string, more: Partial<CredentialRule> = {}): CredentialRule {
  const shape = { header: "Authorization", format: "", allowCleartext: false } as const;
  return { host: "mcp.test", ...shape, grant, slot: slotOf(value), ...more };
}

const noStore = () => undefined;
const URL_OF = "https://mcp.test/base";

function compile(
  auth: McpServerRule["auth"],
  credentials: readonly CredentialRule[] = [],
  store: (grant: string) => SecretSlot | undefined = noStore,
) {
  const table = CredentialTable.compile(credentials);
  return compileMcpServer({ name: "linear", url: URL_OF, auth }, table, store);
}

/** The field that carries the credential, and its value. */
function sent(...args: Parameters<typeof compile>): string | undefined {
  const credential = compile(...args).stub?.credential;
  return credential && `${credential.header}: ${credential.value()}`;
}

test("without auth it has no stub, and its place is read from the URL", () => {
  expect(compile(undefined)).toMatchObject({
    ...{ name: "linear", scheme: "https", key: "https://mcp.test:443", path: "/base", stub: undefined },
  });
});

test("the stub is moat-stub- and the grant, in the field of its auth", () => {
  const { stub } = compile({ grant: "mcp-linear", header: "X-Mcp-Key" });
  expect(stub).toMatchObject({ server: "linear", grant: "mcp-linear", key: "x-mcp-key" });
  expect(stub?.value).toBe("moat-stub-mcp-linear");
});

describe("the credential", () => {
  const auth = { grant: "g", header: "Authorization" };
  const oauth = (header: string) => ({ grant: "oauth:notion", header });
  const store = (value: string) => () => slotOf(value);
  const cases: readonly (readonly [string, string | undefined, Parameters<typeof compile>])[] = [
    ["nowhere: none", undefined, [auth]],
    ["of another grant: none", undefined, [auth, [own("other", "x")]]],
    ["without a grant: none", undefined, [auth, [own("", "x")]]],
    ["the run's own, shaped as the run says", "Authorization: Bearer mine", [auth, [own("g", "mine")]]],
    [
      "the run's own, with its prefix",
      "Authorization: token mine",
      [auth, [own("g", "mine", { prefix: "token" })]],
    ],
    [
      "the run's own before the store's",
      "Authorization: Bearer mine",
      [auth, [own("g", "mine")], store("s")],
    ],
    ["the store's, as it is", "Authorization: stored", [auth, [own("other", "x")], store("stored")]],
    [
      "the run's own under another field, as it is",
      "X-Mcp-Key: mine",
      [{ grant: "g", header: "X-Mcp-Key" }, [own("g", "mine")]],
    ],
    [
      "the run's own field in another case, as the run writes it",
      "authorization: Bearer mine",
      [auth, [own("g", "mine", { header: "authorization" })]],
    ],
    ["oauth: with Bearer", "Authorization: Bearer at", [oauth("Authorization"), [], store("at")]],
    ["oauth: with Bearer in any field", "X-Mcp-Key: Bearer at", [oauth("X-Mcp-Key"), [], store("at")]],
    ["oauth: with Bearer once", "Authorization: Bearer at", [oauth("Authorization"), [], store("Bearer at")]],
    [
      "of two of the run the one configured last",
      "Authorization: Bearer new",
      [auth, [own("g", "old"), own("g", "new", { host: "elsewhere.test" })]],
    ],
  ];
  test.each(cases)("%s", (_name, expected, args) => {
    expect(sent(...args)).toBe(expected);
  });

  test("the store is asked for exactly this grant, and only where the run has none", () => {
    const asked: string[] = [];
    const store = (grant: string): undefined => {
      asked.push(grant);
    };
    compile(auth, [own("g", "mine")], store);
    compile({ grant: "oauth:notion", header: "Authorization" }, [own("g", "mine")], store);
    expect(asked).toEqual(["oauth:notion"]);
  });

  test("the store's does not travel in the clear, whatever another credential may", () => {
    const rules = [own("other", "x", { allowCleartext: true })];
    expect(compile(auth, rules, () => slotOf("s")).stub?.credential?.allowCleartext).toBe(false);
    const elsewhere = { grant: "g", header: "X-Mcp-Key" };
    const free = [own("g", "x", { allowCleartext: true })];
    expect(compile(elsewhere, free).stub?.credential?.allowCleartext).toBe(false);
  });
});

describe("a mistake is named at once, not with the first request", () => {
  test.each([
    [{ auth: { grant: "", header: "Authorization" } }, 'MCP server "linear": auth has an empty grant'],
    [{ auth: { grant: "g", header: "Host" } }, 'header "Host" cannot carry a credential'],
    [{ auth: { grant: "g", header: "X\r\nY" } }, "is no header name"],
    [{ name: "a/b" }, 'MCP server "a/b": a name is 1 to 128 characters without slash and white space'],
    [{ name: "" }, 'MCP server "": a name is'],
    [{ url: "https://u:s3cret@mcp.test/" }, 'MCP server "linear": is no URL it can go to'],
    [{ url: "mcp.test" }, 'MCP server "linear": is no URL it can go to'],
    [{ url: "https://mcp.test/a/../b" }, 'MCP server "linear": the path of its URL has dot segments'],
  ] as [Partial<McpServerRule>, string][])("%j: %s", (more, problem) => {
    const rule: McpServerRule = { name: "linear", url: URL_OF, ...more };
    // Also where the run has a credential of that grant.
    for (const credentials of [[], [own("g", "x")]]) {
      const go = () => compileMcpServer(rule, CredentialTable.compile(credentials), noStore);
      expect(go).toThrow(problem);
      expect(go).toThrow(/^(?!.*s3cret)[^\r\n]+$/);
    }
  });
});

test("stubs are found by scheme, host and port; servers without one have none", () => {
  const table = CredentialTable.compile([]);
  const at = (name: string, url: string, grant?: string) =>
    compileMcpServer(
      { name, url, auth: grant === undefined ? undefined : { grant, header: "Authorization" } },
      table,
      noStore,
    );
  const stubs = stubsByTarget([
    at("a", "https://mcp.test/a", "ga"),
    at("b", "https://MCP.test:443/b", "gb"),
    at("c", "http://mcp.test/c", "gc"),
    at("d", "https://other.test/d"),
  ]);
  expect([...stubs].map(([key, list]) => [key, list.map(({ server }) => server)])).toEqual([
    ["https://mcp.test:443", ["a", "b"]],
    ["http://mcp.test:80", ["c"]],
  ]);
});
