// What one authority's requests get: each kind of rule by its own winning host pattern. wire.md section 6.

import { describe, expect, test } from "bun:test";
import { InjectionPlan, type InjectionRules, NO_INJECTION } from "../../src/inject/injection-plan.ts";
import { McpStub } from "../../src/inject/mcp-stub.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { slotOf } from "./support.ts";

const NOTHING: InjectionRules = { credentials: [] };
const credential = (host: string, header: string, value = "v") => ({
  ...{ host, header, format: "" as const, grant: "", allowCleartext: false, slot: slotOf(value) },
});
const substitution = (host: string, placeholder: string, value = "v") => ({
  ...{ host, placeholder, slot: slotOf(value) },
});

/** What is found for an authority, in words. */
function found(rules: InjectionRules, authority: string) {
  const at = InjectionPlan.compile(rules).lookup(`https://${authority}`, parseAuthority(authority));
  return {
    credentials: at.credentials.map(({ header }) => header),
    extra: at.extra.map(({ header, value }) => `${header}=${value}`),
    remove: [...at.remove],
    substitutions: at.substitutions.map(({ placeholder }) => placeholder),
  };
}

const RULES: InjectionRules = {
  credentials: [credential("api.a.test", "X-Key"), credential("*.a.test", "X-Wild")],
  extraHeaders: [
    { host: "*.a.test", header: "X-Flag", value: "wild" },
    { host: "b.a.test", header: "X-Flag", value: "exact" },
    { host: "b.a.test:8443", header: "X-Flag", value: "port" },
  ],
  removeHeaders: [
    { host: "*.a.test", header: "X-Gone" },
    { host: "*.a.test", header: "X-GONE" },
    { host: "*.a.test", header: "Cookie" },
    { host: "api.a.test", header: "Referer" },
  ],
  substitutions: [substitution("*.test", "placeholder")],
};

describe("each kind has its own winning pattern, and those that do not win contribute nothing", () => {
  test.each([
    ["api.a.test:443", ["X-Key"], ["X-Flag=wild"], ["referer"], ["placeholder"]],
    ["b.a.test:443", ["X-Wild"], ["X-Flag=exact"], ["x-gone", "cookie"], ["placeholder"]],
    ["b.a.test:8443", ["X-Wild"], ["X-Flag=port"], ["x-gone", "cookie"], ["placeholder"]],
    ["z.test:443", [], [], [], ["placeholder"]],
    ["test:443", [], [], [], []],
    ["api.a.test.evil.example:443", [], [], [], []],
  ])("%s", (authority, credentials, extra, remove, substitutions) => {
    expect(found(RULES, authority)).toEqual({ credentials, extra, remove, substitutions });
  });

  test("in whatever order the rules stand", () => {
    const { extraHeaders = [], credentials } = RULES;
    const turned = { credentials: credentials.toReversed(), extraHeaders: extraHeaders.toReversed() };
    expect(found(turned, "b.a.test:8443").extra).toEqual(["X-Flag=port"]);
    expect(found(turned, "api.a.test:1").credentials).toEqual(["X-Key"]);
  });

  test("patterns of one host in several spellings are the same", () => {
    const extraHeaders = [
      { host: "A.Test.", header: "X-A", value: "1" },
      { host: "a.test", header: "X-B", value: "2" },
    ];
    expect(found({ ...NOTHING, extraHeaders }, "a.test:443").extra).toEqual(["X-A=1", "X-B=2"]);
  });
});

test("of two substitutions with the same placeholder the later takes the earlier's place", () => {
  const substitutions = [
    substitution("a.test", "first-one", "old"),
    substitution("a.test", "second-one"),
    substitution("A.test", "first-one", "new"),
  ];
  const at = InjectionPlan.compile({ ...NOTHING, substitutions }).lookup(
    "https://a.test:443",
    parseAuthority("a.test:443"),
  );
  expect(at.substitutions.map((item) => [item.placeholder, item.real()])).toEqual([
    ["first-one", "new"],
    ["second-one", "v"],
  ]);
});

describe("stubs", () => {
  const stub = new McpStub("s", "g", "X-Key", undefined);
  const plan = InjectionPlan.compile(
    { credentials: [credential("other.test", "X")] },
    () => new Map([["https://mcp.test:443", [stub]]]),
  );

  test.each([
    ["https", "mcp.test:443", true],
    ["http", "mcp.test:443", false],
    ["http", "mcp.test:80", false],
    ["https", "mcp.test:8443", false],
    ["https", "x.mcp.test:443", false],
  ])("%s://%s: %p; one for https:// is never replaced on http://", (scheme, authority, expected) => {
    const at = plan.lookup(`${scheme}://${authority}`, parseAuthority(authority));
    expect(at.stubs).toEqual(expected ? [stub] : []);
  });

  test("are made from the run's compiled credentials", () => {
    let grants: unknown;
    const rules = { credentials: [{ ...credential("a.test", "X"), grant: "g" }] };
    InjectionPlan.compile(rules, (credentials) => {
      grants = credentials.ofGrant("g")?.header;
      return new Map();
    });
    expect(grants).toBe("X");
  });
});

describe("looking up", () => {
  test("gives a frozen value; a host with no rules gets empty lists", () => {
    const plan = InjectionPlan.compile(RULES);
    const authority = parseAuthority("api.a.test:443");
    const first = plan.lookup("https://api.a.test:443", authority);
    expect(Object.isFrozen(first)).toBe(true);
    expect(plan.lookup("https://c.example:443", parseAuthority("c.example:443"))).toEqual(NO_INJECTION);
  });

  test("a client that asks for ten thousand hosts finds the right rules every time", () => {
    const plan = InjectionPlan.compile(RULES);
    for (let i = 0; i < 10_000; i++) {
      const name = i % 2 === 0 ? `h${i}.a.test:443` : `h${i}.example:443`;
      const { extra } = plan.lookup(`https://${name}`, parseAuthority(name));
      expect(extra.length).toBe(i % 2 === 0 ? 1 : 0);
    }
  });

  test("a later change of the rules does not reach the plan", () => {
    const extraHeaders = [{ host: "a.test", header: "X-A", value: "1" }];
    const plan = InjectionPlan.compile({ ...NOTHING, extraHeaders });
    extraHeaders.push({ host: "a.test", header: "X-B", value: "2" });
    expect(plan.lookup("https://a.test:443", parseAuthority("a.test:443")).extra).toHaveLength(1);
  });
});

test.each([
  [{ credentials: [credential("a b", "X")] }, "white space"],
  [{ ...NOTHING, extraHeaders: [{ host: "a.test", header: "Host", value: "x" }] }, "extra header for a.test"],
  [{ ...NOTHING, removeHeaders: [{ host: "a.test", header: "TE" }] }, "removed header for a.test"],
  [{ ...NOTHING, removeHeaders: [{ host: "a/b", header: "X" }] }, '"a/b" contains a slash'],
  [{ ...NOTHING, substitutions: [substitution("a.test", "abc")] }, "token substitution for a.test"],
] as [InjectionRules, string][])("a mistake is named in one line: %#", (rules, problem) => {
  expect(() => InjectionPlan.compile(rules)).toThrow(problem);
  expect(() => InjectionPlan.compile(rules)).toThrow(/^[^\r\n]+$/);
});
