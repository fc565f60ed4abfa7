import { describe, expect, test } from "bun:test";
import {
  BadSetting,
  oneOf,
  parseAllowedIp,
  parseCapturedField,
  parseChoice,
  parseDuration,
  parseFieldName,
  parseGrant,
  parseHeaderValue,
  parseHost,
  parseListenAddress,
  parseListenPort,
  parseOrigin,
  parsePattern,
  parsePlaceholder,
  parseProfile,
  parseProvider,
  parseProxyUrl,
  parseRelayName,
  parseRelayUrl,
  parseSecret,
  parseToken,
  parseVariable,
} from "../../src/config/setting.ts";

type Parse = (text: string) => unknown;

const tables: readonly {
  name: string;
  parse: Parse;
  good: readonly (readonly [string, unknown])[];
  bad: readonly string[];
}[] = [
  {
    name: "listen port",
    parse: parseListenPort,
    good: [
      ["0", 0],
      ["8080", 8080],
      ["65535", 65535],
    ],
    bad: ["", "65536", "-1", "+1", "1.5", "0x50", "80 ", "eighty", "999999"],
  },
  {
    name: "bind address",
    parse: parseHost,
    good: [
      ["127.0.0.1", "127.0.0.1"],
      ["::", "::"],
      ["[::1]", "::1"],
      ["LOCALHOST", "localhost"],
    ],
    bad: ["", "*", "127.0.0.1:80", "http://x", "a b", "127.1", "fe80::1%eth0"],
  },
  {
    name: "duration",
    parse: (text) => parseDuration(text, 0),
    good: [
      ["0", 0],
      ["500ms", 500],
      ["10s", 10_000],
      ["15m", 900_000],
      ["1h", 3_600_000],
      ["1m30s", 90_000],
      ["1.5s", 1_500],
      ["168h", 604_800_000],
    ],
    bad: ["", "10", "10 s", "s", "-1s", "1d", "169h", "1e3s", "1s1s1s1s1s", "1.s", "9999999999s"],
  },
  {
    name: "credential header",
    parse: parseFieldName,
    good: [
      ["Authorization", "Authorization"],
      ["x-api-key", "x-api-key"],
      ["Cookie", "Cookie"],
    ],
    bad: [
      ...[
        "",
        "X Api",
        "X:Y",
        "X\r\nY",
        "Üb",
        "Host",
        "content-length",
        "Transfer-Encoding",
        "CONNECTION",
        "Upgrade",
      ],
      ...[
        "Proxy-Authorization",
        "proxy-connection",
        "TE",
        "Trailer",
        "Keep-Alive",
        "HTTP2-Settings",
        "Expect",
      ],
    ],
  },
  {
    name: "host pattern",
    parse: parsePattern,
    good: [
      ["api.example.com", "api.example.com"],
      ["*.Example.com:8443", "*.Example.com:8443"],
      ["[::1]:80", "[::1]:80"],
    ],
    bad: [
      "",
      "a b",
      "a/b",
      "https://a.example",
      "u@a.example",
      "a.*.example",
      "*",
      "a.example:0",
      "a.example:x",
    ],
  },
  {
    name: "allowed address",
    parse: parseAllowedIp,
    good: [
      ["127.0.0.1", "127.0.0.1"],
      ["10.0.0.0/8", "10.0.0.0/8"],
      ["fd00::/8", "fd00::/8"],
    ],
    bad: ["", "10.0.0.1/8", "10.0.0.0/33", "localhost", "10.0.0", "::/129"],
  },
  {
    name: "origin",
    parse: parseOrigin,
    good: [
      ["https://app.example.com", "https://app.example.com"],
      ["http://localhost:3000", "http://localhost:3000"],
    ],
    bad: [
      "",
      "null",
      "*",
      "app.example.com",
      "https://app.example.com/",
      "https://a.example/x",
      "https://u:p@a.example",
      "file:///x",
    ],
  },
  {
    name: "variable",
    parse: parseVariable,
    good: [["GITHUB_TOKEN", "GITHUB_TOKEN"]],
    bad: ["", "A-B", "1A", "$A", "A=B"],
  },
  {
    name: "credential name",
    parse: parseProvider,
    good: [["mcp-linear", "mcp-linear"]],
    bad: ["", "../github", "a/b", ".a"],
  },
  {
    name: "profile name",
    parse: parseProfile,
    good: [["work_2", "work_2"]],
    bad: ["", "../work", "a.b", "-a"],
  },
  {
    name: "header value",
    parse: parseHeaderValue,
    good: [
      ["a", "a"],
      ["a b, c;q=0.5", "a b, c;q=0.5"],
      ["$&", "$&"],
    ],
    bad: ["", " ", " a", "a ", "a\tb", "a\r\nHost: b", "a\n", "a\0", "a\x7f", "é", "€"],
  },
  {
    name: "placeholder",
    parse: parsePlaceholder,
    good: [
      ["abcd", "abcd"],
      ["{{TOKEN}}", "{{TOKEN}}"],
      ["x".repeat(512), "x".repeat(512)],
    ],
    bad: ["", "abc", "a b c", "abcd\n", "abc\0", "schlüssel", "x".repeat(513)],
  },
  {
    name: "name in a path",
    parse: parseRelayName,
    good: [
      ["linear", "linear"],
      ["oauth:notion", "oauth:notion"],
      ["größe", "größe"],
    ],
    bad: ["", "a/b", "a b", "a\n", "a\tb", "a\0", "x".repeat(129)],
  },
];

for (const { name, parse, good, bad } of tables) {
  describe(name, () => {
    for (const [text, value] of good)
      test(`takes ${JSON.stringify(text)}`, () => expect(parse(text)).toBe(value));
    for (const text of bad) {
      test(`refuses ${JSON.stringify(text)} in one line`, () => {
        expect(() => parse(text)).toThrow(BadSetting);
        expect(() => parse(text)).toThrow(/^[^\r\n]+$/);
      });
    }
  });
}

describe("secrets", () => {
  const cases: readonly (readonly [string, Parse, readonly string[], readonly string[]])[] = [
    ["token", parseToken, ["a", "x".repeat(512), "a:b@c/d?"], ["", "a b", "a\n", "ü", "x".repeat(513)]],
    ["value", parseSecret, ["a b", "Bearer x", "é"], ["", " a", "a ", "a\n", "a\rb", "a\0b", "a\tb", "€"]],
  ];
  for (const [name, parse, good, bad] of cases) {
    for (const text of good)
      test(`${name} takes ${JSON.stringify(text)}`, () => expect(String(parse(text))).toBe("[secret]"));
    for (const text of bad)
      test(`${name} refuses ${JSON.stringify(text)}`, () => expect(() => parse(text)).toThrow(BadSetting));
  }
});

describe("address to listen on", () => {
  test.each([
    ["9090", { host: "127.0.0.1", port: 9090 }],
    ["0", { host: "127.0.0.1", port: 0 }],
    ["0.0.0.0:9090", { host: "0.0.0.0", port: 9090 }],
    ["[::1]:9090", { host: "::1", port: 9090 }],
    ["Localhost:1", { host: "localhost", port: 1 }],
  ])("takes %j", (text, expected) => expect(parseListenAddress(text)).toEqual(expected));
  test.each([[""], [":9090"], ["localhost"], ["::1:9090"], ["a b:1"], ["127.0.0.1:65536"], ["http://a:1"]])(
    "refuses %j",
    (text) => expect(() => parseListenAddress(text)).toThrow(BadSetting),
  );
});

describe("upstream proxy", () => {
  const read = (text: string): string => {
    const { host, port, authorization } = parseProxyUrl(text);
    const basic = authorization?.reveal().replace("Basic ", "") ?? "";
    return `${host} ${port} ${Buffer.from(basic, "base64").toString()}`;
  };
  test.each([
    ["http://proxy.example:3128", "proxy.example 3128 "],
    ["HTTP://Proxy.Example:3128/", "proxy.example 3128 "],
    ["http://[::1]:80", "::1 80 "],
    ["http://user:pass@p.example:1", "p.example 1 user:pass"],
    ["http://user@p.example:1", "p.example 1 user:"],
    ["http://u%3Ax:a:b@p.example:1", undefined],
    ["http://user:p%40s%2Fs%25:@p.example:1", "p.example 1 user:p@s/s%:"],
    ["http://user:p@ss@p.example:1", "p.example 1 user:p@ss"],
    ["http://user:é@p.example:1", "p.example 1 user:é"],
  ])("%j", (text, expected) => {
    if (expected === undefined) expect(() => parseProxyUrl(text)).toThrow(BadSetting);
    else expect(read(text)).toBe(expected);
  });
  test.each([
    ...[[""], ["proxy:3128"], ["http://p.example"], ["http://p.example:0"], ["http://p.example:65536"]],
    ...[
      ["https://p.example:1"],
      ["socks5://p.example:1"],
      ["http://p.example:1/x"],
      ["http://p.example:1?x"],
    ],
    ...[["http://s3cret:%zz@p.example:1"], ["http://s3cret:%0d%0ax@p.example:1"], ["http://s3cret@a b:1"]],
  ])("refuses %j and does not show it", (text) => {
    expect(() => parseProxyUrl(text)).toThrow(BadSetting);
    expect(() => parseProxyUrl(text)).toThrow(/^(?!.*s3cret).*\(the value is not shown\)$/);
  });
});

describe("URL of a relay", () => {
  test.each([
    "https://a.example",
    "https://a.example/",
    "HTTPS://A.Example:8443/v1/",
    "http://127.0.0.1:3000/mcp",
    "http://[::1]:3000",
    "https://a.example/@scope",
  ])("takes %j as written", (text) => expect(parseRelayUrl(text)).toBe(text));

  test.each([
    "",
    "s3cret.example",
    "ftp://s3cret.example",
    "https://u:s3cret@a.example",
    "https://s3cret@a.example",
    "https://u:s3cret/@a.example",
    "https://a.example?s3cret",
    "https://a.example#s3cret",
    "https://a.example/s3cret/..",
    "https://a.example/s3cret%2f",
    "https://a.example/s3cret x",
    "https://a.example:s3cret",
    "https://a.example\\@s3cret.example",
    "https:///s3cret",
  ])("refuses %j in one line that does not show it", (text) => {
    expect(() => parseRelayUrl(text)).toThrow(BadSetting);
    expect(() => parseRelayUrl(text)).toThrow(/^(?!.*s3cret)is no URL to go to, expected [^\r\n]+$/);
  });
});

test("a field name says what it was to be used for", () => {
  expect(() => parseFieldName("Host")).toThrow('"Host" cannot carry a credential: ');
  expect(() => parseFieldName("Host", "be added")).toThrow('"Host" cannot be added: ');
  expect(() => parseFieldName("Host", "be removed")).toThrow('"Host" cannot be removed: ');
});

test("captured fields are lower case and no secrets", () => {
  expect(parseCapturedField("X-Trace-Id")).toBe("x-trace-id");
  for (const name of ["Authorization", "PROXY-Authorization", "cookie", "a b", ""]) {
    expect(() => parseCapturedField(name)).toThrow(BadSetting);
  }
});

describe("the masked message never holds the value", () => {
  const value = "s3cret/value@x";
  const parsers: readonly (readonly [string, Parse])[] = [
    ["port", parseListenPort],
    ["host", parseHost],
    ["pattern", (text) => parsePattern(text.replace("@", "/"))],
    ["address", parseAllowedIp],
    ["grant", parseGrant],
    ["choice", (text) => parseChoice(text, ["a", "b"])],
    ["duration", (text) => parseDuration(text, 0)],
    ["field", parseFieldName],
    ["captured field", parseCapturedField],
    ["listen address", parseListenAddress],
    ["proxy", parseProxyUrl],
    ["origin", parseOrigin],
    ["variable", parseVariable],
    ["credential name", parseProvider],
    ["profile name", parseProfile],
    ["header value", (text) => parseHeaderValue(`${text}\n`)],
    ["placeholder", (text) => parsePlaceholder(`${text} `)],
    ["name in a path", parseRelayName],
    ["URL of a relay", (text) => parseRelayUrl(`https://${text}?`)],
  ];
  test.each(parsers.map(([name, parse]) => [name, parse] as const))("%s", (_name, parse) => {
    const masked = (): string => {
      try {
        parse(value);
      } catch (error) {
        if (error instanceof BadSetting) return error.masked;
      }
      return value;
    };
    expect(masked()).not.toContain("s3cret");
  });
});

test("choices in words", () => {
  expect([oneOf(["a"]), oneOf(["a", "b"]), oneOf([1, 2, 3]), oneOf([])]).toEqual([
    "a",
    "a or b",
    "1, 2 or 3",
    "",
  ]);
});

test("a message repeats a long value only in part", () => {
  expect(() => parseListenPort("9".repeat(10_000))).toThrow(/^.{1,200}$/);
});
