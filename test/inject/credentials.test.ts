// Which credentials a request gets and what its head looks like afterwards, wire.md section 6.

import { describe, expect, test } from "bun:test";
import { HeaderList } from "../../src/http1/headers.ts";
import {
  type Credential,
  type CredentialRule,
  CredentialTable,
  choose,
  inject,
  type SecretSlot,
} from "../../src/inject/credentials.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { Secret } from "../../src/values/secret.ts";

class FixedSlot implements SecretSlot {
  secret: Secret | undefined;

  constructor(value: string | undefined) {
    this.secret = value === undefined ? undefined : new Secret(value);
  }

  current(): Secret | undefined {
    return this.secret;
  }

  refresh(): Promise<Secret> {
    return Promise.reject(new Error("not in this test"));
  }
}

function rule(host: string, value: string, more: Partial<CredentialRule> = {}): CredentialRule {
  return {
    host,
    header: "Authorization",
    format: "",
    grant: "",
    allowCleartext: false,
    slot: new FixedSlot(value),
    ...more,
  };
}

function head(...fields: [string, string][]): HeaderList {
  const headers = new HeaderList();
  for (const [name, value] of fields) headers.push(name, value);
  return headers;
}

function lines(headers: HeaderList): string[] {
  return headers.names.map((name, i) => `${name}: ${headers.values[i]}`);
}

function lookup(rules: CredentialRule[], authority: string): readonly Credential[] {
  return CredentialTable.compile(rules).lookup(parseAuthority(authority));
}

/** The head that leaves for `authority`, as lines. */
function sent(rules: CredentialRule[], authority: string, ...fields: [string, string][]): string[] {
  const headers = head(...fields);
  inject(headers, choose(lookup(rules, authority), headers));
  return lines(headers);
}

const secrets = (credentials: readonly Credential[]) => credentials.map((c) => c.slot.current()?.reveal());

describe("host keys", () => {
  const RULES = [
    rule("api.example.com:8443", "exact-port"),
    rule("api.example.com", "exact"),
    rule("*.api.example.com", "long"),
    rule("*.example.com:8443", "pinned"),
    rule("*.example.com", "short"),
  ];

  test.each([
    ["api.example.com:8443", "exact-port"],
    ["API.Example.com.:8443", "exact-port"],
    ["api.example.com:443", "exact"],
    ["v1.api.example.com:8443", "long"],
    ["x.y.api.example.com:1", "long"],
    ["other.example.com:8443", "pinned"],
    ["other.example.com:443", "short"],
  ])("%s gets %s, in whatever order the rules stand", (authority, winner) => {
    for (let turn = 0; turn < RULES.length; turn++) {
      const turned = [...RULES.slice(turn), ...RULES.slice(0, turn)];
      expect(secrets(lookup(turned, authority))).toEqual([winner]);
      expect(secrets(lookup(turned.reverse(), authority))).toEqual([winner]);
    }
  });

  test.each(["example.com:443", "evilexample.com:443", "example.com.evil.test:443", "127.0.0.1:443"])(
    "wildcard never matches the apex or a foreign host: %s",
    (authority) => {
      expect(lookup(RULES, authority)).toEqual([]);
    },
  );

  test("a credential without a port covers any port", () => {
    expect(secrets(lookup([rule("a.test", "x")], "a.test:31337"))).toEqual(["x"]);
  });

  test("IPv6 is found with and without brackets", () => {
    expect(secrets(lookup([rule("::1", "x")], "[0:0::1]:443"))).toEqual(["x"]);
    expect(secrets(lookup([rule("[::1]:8443", "y")], "[::1]:8443"))).toEqual(["y"]);
  });

  test("only the winning key contributes", () => {
    const rules = [
      rule("api.example.com", "a", { header: "X-A" }),
      rule("*.example.com", "b", { header: "X-B" }),
    ];
    expect(sent(rules, "api.example.com:443")).toEqual(["X-A: a"]);
  });

  test("a thousand credentials are all found", () => {
    const rules: CredentialRule[] = [];
    for (let i = 0; i < 500; i++) rules.push(rule(`h${i}.test`, `e${i}`), rule(`*.z${i}.test`, `w${i}`));
    const table = CredentialTable.compile(rules);
    for (let i = 0; i < 500; i++) {
      expect(secrets(table.lookup(parseAuthority(`h${i}.test:443`)))).toEqual([`e${i}`]);
      expect(secrets(table.lookup(parseAuthority(`a.b.z${i}.test:443`)))).toEqual([`w${i}`]);
    }
  });
});

describe("several credentials per host", () => {
  const HOST = "api.anthropic.com";
  const AT = `${HOST}:443`;
  const key = rule(HOST, "key", { header: "X-Api-Key", grant: "anthropic" });
  const oauth = rule(HOST, "oauth", { grant: "claude" });
  const other = rule(HOST, "other", { grant: "anthropic" });
  const third = rule(HOST, "third", { grant: "zeta" });

  test("if the client sent none of their header names, all are injected", () => {
    expect(sent([key, oauth], AT, ["Accept", "*/*"])).toEqual([
      "Accept: */*",
      "X-Api-Key: key",
      "Authorization: Bearer oauth",
    ]);
  });

  test.each([
    ["x-api-key", "placeholder", ["X-Api-Key: key"]],
    ["AUTHORIZATION", "Bearer placeholder", ["Authorization: Bearer oauth"]],
    ["Authorization", "", ["Authorization: Bearer oauth"]],
  ])("if the client sent any of their header names, only those are injected: %s", (name, value, expected) => {
    expect(sent([key, oauth], AT, [name, value])).toEqual(expected);
  });

  test("if the client sent both, both are injected", () => {
    const fields: [string, string][] = [
      ["authorization", "p"],
      ["x-api-key", "p"],
    ];
    expect(sent([key, oauth], AT, ...fields)).toEqual(["Authorization: Bearer oauth", "X-Api-Key: key"]);
  });

  test.each([[[oauth, other]], [[other, oauth]]])("on a tie the grant claude loses (order %#)", (rules) => {
    expect(sent(rules, AT)).toEqual(["Authorization: Bearer other"]);
  });

  test.each([[[oauth, other, third]], [[third, oauth, other]], [[other, third, oauth]]])(
    "unless the client sent that header (order %#)",
    (rules) => {
      expect(sent(rules, AT, ["Authorization", "Bearer placeholder"])).toEqual([
        "Authorization: Bearer oauth",
      ]);
    },
  );

  test("a header of another credential does not let claude win", () => {
    expect(sent([oauth, other, key], AT, ["X-Api-Key", "p"])).toEqual(["X-Api-Key: key"]);
  });

  test("among other grants the first configured wins, sent or not", () => {
    expect(sent([third, other], AT)).toEqual(["Authorization: Bearer third"]);
    expect(sent([other, third], AT)).toEqual(["Authorization: Bearer other"]);
    expect(sent([third, other], AT, ["Authorization", "p"])).toEqual(["Authorization: Bearer third"]);
  });

  test("same grant and header: the later replaces, in the earlier's place", () => {
    const newer = rule(`${HOST.toUpperCase()}.`, "newer", { header: "x-api-key", grant: "anthropic" });
    expect(sent([key, oauth, newer], AT)).toEqual(["x-api-key: newer", "Authorization: Bearer oauth"]);
  });

  test("same grant and header on another host key: both stay", () => {
    const rules = [rule("*.test", "wild", { grant: "g" }), rule("a.test", "exact", { grant: "g" })];
    expect(sent(rules, "a.test:443")).toEqual(["Authorization: Bearer exact"]);
    expect(sent(rules, "b.test:443")).toEqual(["Authorization: Bearer wild"]);
  });

  test("nothing configured, nothing changed", () => {
    expect(sent([key], "other.test:443", ["X-Api-Key", "mine"])).toEqual(["X-Api-Key: mine"]);
  });
});

describe("inject", () => {
  test("replaces the client's value whole, once, in its place", () => {
    const fields: [string, string][] = [
      ["Host", "a.test"],
      ["authorization", "Bearer placeholder"],
      ["Accept", "*/*"],
      ["AUTHORIZATION", "Basic cGxhY2Vob2xkZXI="],
    ];
    expect(sent([rule("a.test", "real")], "a.test:443", ...fields)).toEqual([
      "Host: a.test",
      "Authorization: Bearer real",
      "Accept: */*",
    ]);
  });

  test("writes the header name as configured", () => {
    expect(sent([rule("a.test", "v", { header: "X-aPi-KEY" })], "a.test:443")).toEqual(["X-aPi-KEY: v"]);
  });

  test("follows a secret that changes and shapes each one once", () => {
    const slot = new FixedSlot("one");
    const credentials = lookup([rule("a.test", "", { slot })], "a.test:443");
    const secret = slot.secret as Secret;
    let reveals = 0;
    const reveal = secret.reveal.bind(secret);
    secret.reveal = () => {
      reveals++;
      return reveal();
    };
    for (let i = 0; i < 3; i++) {
      const headers = head();
      inject(headers, credentials);
      expect(lines(headers)).toEqual(["Authorization: Bearer one"]);
    }
    expect(reveals).toBe(1);
    slot.secret = new Secret("two");
    const headers = head();
    inject(headers, credentials);
    expect(lines(headers)).toEqual(["Authorization: Bearer two"]);
  });

  test.each([
    [undefined, "no secret at hand"],
    ["s3cr3t\r\nX-Evil: 1", "control character"],
    ["s3cr3t\n", "control character"],
  ])("%j fails with credential-failed, the head untouched, the cause without the secret", (value, cause) => {
    const rules = [
      rule("a.test", "fine", { header: "X-Fine" }),
      rule("a.test", "", { slot: new FixedSlot(value) }),
    ];
    const headers = head(["Authorization", "placeholder"], ["X-Fine", "placeholder"]);
    let thrown: unknown;
    try {
      inject(headers, choose(lookup(rules, "a.test:443"), headers));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ProxyError);
    const error = thrown as ProxyError;
    expect([error.code, error.message]).toEqual(["credential-failed", "credential resolution failed"]);
    expect(String(error.cause)).toContain(cause);
    expect(String(error.cause)).not.toContain("s3cr3t");
    expect(lines(headers)).toEqual(["Authorization: placeholder", "X-Fine: placeholder"]);
  });
});

describe("by grant", () => {
  const table = CredentialTable.compile([
    rule("a.test", "first", { grant: "g" }),
    rule("b.test", "second", { grant: "g", header: "X-Key" }),
    rule("c.test", "none"),
    rule("d.test", "proto", { grant: "__proto__" }),
  ]);

  test.each([
    ["g", "second"],
    ["__proto__", "proto"],
    ["G", undefined],
    ["other", undefined],
    ["constructor", undefined],
    ["", undefined],
  ])("%j finds the one configured last: %s", (grant, expected) => {
    expect(table.ofGrant(grant)?.slot.current()?.reveal()).toBe(expected);
  });
});

describe("compile", () => {
  test.each([
    [{ host: "https://a.test" }, '"https://a.test"'],
    [{ host: "a b" }, "white space"],
    [{ header: "" }, "no header name"],
    [{ header: "X Key" }, "no header name"],
    [{ header: "X-Key:" }, "no header name"],
    [{ header: "X-Key\r\nX-Evil" }, "no header name"],
    [{ header: "Host" }, "cannot carry a credential"],
    [{ header: "transfer-encoding" }, "cannot carry a credential"],
    [{ header: "Content-Length" }, "cannot carry a credential"],
    [{ header: "Connection" }, "cannot carry a credential"],
    [{ header: "Proxy-Authorization" }, "cannot carry a credential"],
    [{ prefix: "Bea\nrer" }, "no authentication scheme"],
    [{ prefix: "schlüssel" }, "no authentication scheme"],
    [{ prefix: " " }, "no authentication scheme"],
    [{ format: "bearer", prefix: "a\r\nb" }, "no authentication scheme"],
    [{ format: "basic", prefix: "user:name" }, "no colon"],
    [{ format: "basic", prefix: "user\n" }, "no control character"],
  ] as [Partial<CredentialRule>, string][])("%j is an error: %s", (more, problem) => {
    expect(() => CredentialTable.compile([rule("a.test", "v", more)])).toThrow(problem);
  });

  test.each([
    ["Bearer ", "Bearer v"],
    ["", "Bearer v"],
    [undefined, "Bearer v"],
    ["token", "token v"],
  ])("prefix %j gives %s", (prefix, expected) => {
    expect(sent([rule("a.test", "v", { prefix })], "a.test:443")).toEqual([`Authorization: ${expected}`]);
  });
});
