// Compiling a run: its parts arrive, and its mistakes are named.

import { describe, expect, test } from "bun:test";
import type { CredentialRule } from "../../src/inject/credentials.ts";
import { compileRun, type RunSettings } from "../../src/run/run-context.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { Secret } from "../../src/values/secret.ts";

const SECRET = new Secret("s3cr3t");

const CREDENTIAL: CredentialRule = {
  host: "api.example.com",
  header: "Authorization",
  format: "",
  grant: "",
  allowCleartext: false,
  slot: { current: () => SECRET, refresh: () => Promise.resolve(SECRET) },
};

function settings(more: Partial<RunSettings> = {}): RunSettings {
  return {
    runId: undefined,
    network: { policy: "strict", allow: ["*.example.com"], grants: [] },
    credentials: [CREDENTIAL],
    ...more,
  };
}

describe("compileRun", () => {
  test("compiles policy and credentials into one immutable value", () => {
    const run = compileRun(settings({ runId: "run-1" }));
    const authority = parseAuthority("api.example.com:443");
    expect(run.runId).toBe("run-1");
    expect(run.policy.allows(authority)).toBe(true);
    expect(run.policy.allows(parseAuthority("example.org:443"))).toBe(false);
    expect(run.injection.credentials.lookup(authority).map((c) => c.header)).toEqual(["Authorization"]);
    expect(Object.isFrozen(run)).toBe(true);
  });

  test("a later change of the settings does not reach the run", () => {
    const allow = ["a.test"];
    const credentials: CredentialRule[] = [];
    const run = compileRun(settings({ network: { policy: "strict", allow, grants: [] }, credentials }));
    allow.push("b.test");
    credentials.push(CREDENTIAL);
    expect(run.policy.allows(parseAuthority("b.test:443"))).toBe(false);
    expect(run.injection.credentials.lookup(parseAuthority("api.example.com:443"))).toEqual([]);
  });

  test("what is not said is empty", () => {
    const run = compileRun(settings());
    const authority = parseAuthority("api.example.com:443");
    expect([run.mcpServers.size, run.awsHandler, run.denyStatus]).toEqual([0, undefined, 407]);
    expect([run.transformers.lookup(authority), run.passthrough.lookup(authority)]).toEqual([
      undefined,
      undefined,
    ]);
    expect(run.injection.lookup("https://api.example.com:443", authority)).toMatchObject({
      ...{ extra: [], remove: new Set(), substitutions: [], stubs: [] },
    });
  });

  test("the refusal's status and the handler of /_aws/credentials arrive", () => {
    const awsHandler = (): Response => new Response();
    const network = { policy: "strict", allow: [], grants: [], denyStatus: 403 } as const;
    const run = compileRun(settings({ network, awsHandler }));
    expect([run.denyStatus, run.awsHandler]).toEqual([403, awsHandler]);
  });

  test("a host without rules in the list of rules is an entry of the allow list", () => {
    const rules = [
      { host: "bare.test", rules: [] },
      { host: "ruled.test", rules: ["allow GET /**"] },
    ];
    const run = compileRun(settings({ network: { policy: "strict", allow: [], grants: [], rules } }));
    expect(run.policy.allows(parseAuthority("bare.test:443"))).toBe(true);
    expect(run.policy.allows(parseAuthority("ruled.test:443"))).toBe(false);
    expect(run.rules.admits(parseAuthority("ruled.test:443"))).toBe(true);
  });

  test("what is put into, taken out of and replaced in requests arrives by host", () => {
    const run = compileRun(
      settings({
        extraHeaders: [{ host: "api.example.com", header: "X-Beta", value: "1" }],
        removeHeaders: [{ host: "*.example.com", header: "Cookie" }],
        substitutions: [{ host: "api.example.com", placeholder: "tok-placeholder", slot: CREDENTIAL.slot }],
      }),
    );
    const at = run.injection.lookup("https://api.example.com:443", parseAuthority("api.example.com:443"));
    expect(at.extra.map(({ header }) => header)).toEqual(["X-Beta"]);
    expect([...at.remove]).toEqual(["cookie"]);
    expect(at.substitutions.map(({ placeholder }) => placeholder)).toEqual(["tok-placeholder"]);
  });

  test("a host with passthrough is found by its pattern", () => {
    const run = compileRun(settings({ passthrough: ["*.pinned.test", "b.test:8443"] }));
    const passes = (authority: string) => run.passthrough.lookup(parseAuthority(authority)) === true;
    expect(["a.pinned.test:443", "b.test:8443"].map(passes)).toEqual([true, true]);
    expect(["pinned.test:443", "b.test:443"].map(passes)).toEqual([false, false]);
  });
});

describe("transformers", () => {
  const one = (): undefined => undefined;
  const two = (): undefined => undefined;
  const wide = (): undefined => undefined;
  const { transformers } = compileRun(
    settings({
      transformers: [
        { host: "*.example.com", transformer: wide },
        { host: "api.example.com", transformer: one },
        { host: "API.Example.com.", transformer: two },
      ],
    }),
  );

  test("of one host are asked in the order in which they stand", () => {
    expect(transformers.lookup(parseAuthority("api.example.com:443"))).toEqual([one, two]);
  });

  test("of the winning pattern only", () => {
    expect(transformers.lookup(parseAuthority("www.example.com:443"))).toEqual([wide]);
    expect(transformers.lookup(parseAuthority("example.com:443"))).toBeUndefined();
  });
});

describe("MCP servers", () => {
  const linear = {
    ...{ name: "linear", url: "https://mcp.test/mcp" },
    auth: { grant: "g", header: "Authorization" },
  };
  const at = (run: ReturnType<typeof compileRun>, key: string) =>
    run.injection.lookup(key, parseAuthority(key.replace(/^https?:\/\//, ""))).stubs;

  test("are found by name, their stubs by scheme, host and port", () => {
    const run = compileRun(settings({ mcpServers: [linear, { name: "open", url: "http://open.test/" }] }));
    expect([...run.mcpServers.keys()]).toEqual(["linear", "open"]);
    const stub = run.mcpServers.get("linear")?.stub;
    expect(stub).toBeDefined();
    expect(at(run, "https://mcp.test:443")).toEqual(stub === undefined ? [] : [stub]);
    expect(at(run, "http://mcp.test:80")).toEqual([]);
    expect(at(run, "http://open.test:80")).toEqual([]);
  });

  test("with a credential may not lie on a host that never gets one", () => {
    const passthrough = ["*.test"];
    expect(() => compileRun(settings({ mcpServers: [linear], passthrough }))).toThrow(
      'MCP server "linear": its host mcp.test is in tls.passthrough and never gets a credential',
    );
    const { name, url } = linear;
    expect(compileRun(settings({ mcpServers: [{ name, url }], passthrough })).mcpServers.has(name)).toBe(
      true,
    );
  });

  test("take the run's own credential, then the store's, else none", () => {
    const stored = new Secret("stored");
    const slot = { current: () => stored, refresh: () => Promise.resolve(stored) };
    const value = (more: Partial<RunSettings>) =>
      compileRun(settings({ mcpServers: [linear], ...more }))
        .mcpServers.get("linear")
        ?.stub?.credential?.value();
    const storeSlot = (grant: string) => (grant === "g" ? slot : undefined);
    expect(value({ credentials: [{ ...CREDENTIAL, grant: "g" }], storeSlot })).toBe("Bearer s3cr3t");
    expect(value({ storeSlot })).toBe("stored");
    expect(value({})).toBeUndefined();
  });
});

describe("a mistake", () => {
  test.each([
    [{ network: { policy: "strict", allow: ["a b"], grants: [] } }, '"a b"'],
    [{ network: { policy: "permissive", allow: [], grants: ["nope"] } }, 'unknown grant "nope"'],
    [{ credentials: [{ ...CREDENTIAL, host: "api.example.com/v1" }] }, "slash"],
    [{ passthrough: ["a/b"] }, '"a/b"'],
    [{ transformers: [{ host: "a@b", transformer: () => undefined }] }, '"a@b"'],
    [{ extraHeaders: [{ host: "a.test", header: "Host", value: "x" }] }, "extra header for a.test"],
    [{ removeHeaders: [{ host: "a.test", header: "TE" }] }, "removed header for a.test"],
    [
      { substitutions: [{ host: "a.test", placeholder: "abc", slot: CREDENTIAL.slot }] },
      "token substitution for a.test",
    ],
    [{ mcpServers: [{ name: "a b", url: "https://a.test" }] }, 'MCP server "a b"'],
    [
      {
        mcpServers: [
          { name: "a", url: "https://a.test" },
          { name: "a", url: "https://b.test" },
        ],
      },
      'MCP server "a": given twice',
    ],
  ] as [Partial<RunSettings>, string][])("is named in one line: %#", (more, problem) => {
    expect(() => compileRun(settings(more))).toThrow(problem);
    expect(() => compileRun(settings(more))).toThrow(/^[^\r\n]+$/);
  });
});
