// Where relays and MCP servers lie, and the paths that could leave them. wire.md sections 9 and 10.

import { describe, expect, test } from "bun:test";
import { isPlainPath, isRelayName, joinPath, parseRelayTarget } from "../../src/run/relay-target.ts";

const parse = (url: string) => parseRelayTarget("relay", "r", url);

describe("a URL it can go to", () => {
  test.each([
    ["https://api.example.com", "https://api.example.com:443", "/"],
    ["https://api.example.com/", "https://api.example.com:443", "/"],
    ["HTTPS://API.Example.COM./", "https://api.example.com:443", "/"],
    ["http://api.example.com", "http://api.example.com:80", "/"],
    ["https://api.example.com:8443/v1", "https://api.example.com:8443", "/v1"],
    ["https://api.example.com/v1/", "https://api.example.com:443", "/v1/"],
    ["https://api.example.com/v1///", "https://api.example.com:443", "/v1///"],
    ["https://api.example.com///", "https://api.example.com:443", "///"],
    ["http://127.0.0.1:3000/mcp", "http://127.0.0.1:3000", "/mcp"],
    ["http://[::1]:3000/mcp", "http://[::1]:3000", "/mcp"],
    ["http://[0:0::1]/mcp", "http://[::1]:80", "/mcp"],
    ["http://localhost:3000/a/b", "http://localhost:3000", "/a/b"],
    ["https://api.example.com/@scope/x;v=1", "https://api.example.com:443", "/@scope/x;v=1"],
    ["https://api.example.com/a%20b", "https://api.example.com:443", "/a%20b"],
  ])("%s is %s and %s", (url, key, path) => {
    const target = parse(url);
    expect([target.key, target.path, target.name]).toEqual([key, path, "r"]);
    expect(key.startsWith(`${target.scheme}://`)).toBe(true);
  });
});

describe("is refused in one line that names the entry and repeats nothing of the URL", () => {
  test.each([
    ["", "nothing"],
    ["s3cret.example", "no scheme"],
    ["//s3cret.example", "no scheme"],
    ["ftp://s3cret.example", "another scheme"],
    ["file:///s3cret", "a file"],
    ["javascript:s3cret", "a script"],
    ["https:/s3cret.example", "one slash"],
    ["https:s3cret.example", "no slash"],
    ["https:\\\\s3cret.example", "backslashes, which browsers take for slashes"],
    ["https://", "no host"],
    ["https:///s3cret", "no host"],
    ["https://:443/s3cret", "no host"],
    ["https://user:s3cret@api.example.com/", "user information"],
    ["https://s3cret@api.example.com/", "a user name"],
    ["https://@s3cret.example/", "empty user information"],
    ["https://user:s3cret/@api.example.com/", "user information cut by a slash"],
    ["https://user:s3cret%40api.example.com/", "user information, encoded"],
    ["https://api.example.com\\@s3cret.example/", "two readings of the host"],
    ["https://api.example.com?s3cret", "a query"],
    ["https://api.example.com/v1?key=s3cret", "a query"],
    ["https://api.example.com/#s3cret", "a fragment"],
    ["https://api.example.com:/s3cret", "an empty port"],
    ["https://api.example.com:0/s3cret", "port 0"],
    ["https://api.example.com:65536/s3cret", "a port out of range"],
    ["https://api.example.com:s3cret/", "a port that is none"],
    ["https://api.example.com:443:s3cret/", "two ports"],
    ["https://*.s3cret.example/", "a pattern"],
    ["https://a b.s3cret.example/", "a space in the host"],
    ["https://s3crét.example/", "a host beyond ASCII"],
    ["http://127.1/s3cret", "a short address"],
    ["http://2130706433/s3cret", "a decimal address"],
    ["http://0x7f000001/s3cret", "a hexadecimal address"],
    ["http://[::1/s3cret", "an open bracket"],
    ["http://[::1]x/s3cret", "something behind the bracket"],
    ["http://[fe80::1%25eth0]/s3cret", "a zone"],
    ["https://api.example.com/s3cret path", "a space in the path"],
    ["https://api.example.com/s3cret\r\nX: y", "a line break in the path"],
    ["https://api.example.com/s3cret\n", "a line feed at the end"],
    ["https://api.example.com/s3cré", "a path beyond ASCII"],
    ["https://api.example.com/../s3cret", "dot segments in the path"],
    ["https://api.example.com/s3cret/.", "a dot segment at the end"],
    ["https://api.example.com/s3cret%2fx", "an encoded slash in the path"],
  ])("%j: %s", (url) => {
    expect(() => parse(url)).toThrow(/^relay "r": (?!.*s3cr)[^\r\n]+$/);
  });

  test("the entry is named as what it is", () => {
    expect(() => parseRelayTarget("MCP server", "linear", "x")).toThrow(
      'MCP server "linear": is no URL it can go to, expected http(s)://host[:port][/path] without user information, query and fragment',
    );
  });
});

describe("names", () => {
  test.each(["a", "linear", "my-server_2.x", "größe", "日本", "a:b", "x".repeat(128), "__proto__"])(
    "%j is one",
    (name) => {
      expect(isRelayName(name)).toBe(true);
      expect(parseRelayTarget("relay", name, "https://a.test").name).toBe(name);
    },
  );
  test.each([
    "",
    "a/b",
    "/",
    "a b",
    " a",
    "a\t",
    "a\n",
    "a\u00a0b",
    "a\0b",
    "a\x7f",
    "\u2028",
    "x".repeat(129),
  ])("%j is none", (name) => {
    expect(isRelayName(name)).toBe(false);
    expect(() => parseRelayTarget("relay", name, "https://a.test")).toThrow(
      /": a name is 1 to 128 characters/,
    );
  });
});

test.each([
  ["/", "", "/"],
  ["/", "/", "/"],
  ["/", "/a", "/a"],
  ["/v1", "", "/v1"],
  ["/v1", "/", "/v1/"],
  ["/v1", "/a/b", "/v1/a/b"],
  ["/v1", "//a", "/v1//a"],
  ["/v1/", "", "/v1/"],
  ["/v1/", "/a", "/v1/a"],
])("%s joined with %j is %s", (written, sub, path) => {
  expect(joinPath(parseRelayTarget("relay", "x", `https://a.test${written}`), sub)).toBe(path);
});

describe("a path that some server would read as another one", () => {
  test.each([
    ["/..", "the segment above"],
    ["/../", "the segment above, with a slash"],
    ["/../admin", "the segment above"],
    ["/a/../../admin", "further up than down"],
    ["/a/..", "at the end"],
    ["/.", "the same segment"],
    ["/./a", "the same segment"],
    ["..", "without a slash"],
    [".", "without a slash"],
    ["//../a", "behind an empty segment"],
    ["/..;/admin", "with path parameters, as Tomcat drops them"],
    ["/..;a=b/admin", "with path parameters"],
    ["/.;/a", "with path parameters"],
    ["/a/..;", "with empty parameters at the end"],
    ["/..%3b/admin", "with encoded parameters"],
    ["/..%3Ba=b", "with encoded parameters"],
    ["/%2e%2e/admin", "encoded dots"],
    ["/%2E%2E/admin", "encoded dots, upper case"],
    ["/.%2e/admin", "one dot encoded"],
    ["/%2e./admin", "one dot encoded"],
    ["/%2e", "one encoded dot"],
    ["/a%2eb", "an encoded dot in a name"],
    ["/..%2fadmin", "an encoded slash"],
    ["/..%2Fadmin", "an encoded slash"],
    ["/%2fadmin", "an encoded slash alone"],
    ["/a%2fb", "an encoded slash in a name"],
    ["/..%5cadmin", "an encoded backslash"],
    ["/..%5Cadmin", "an encoded backslash"],
    ["/a%5c..%5c", "encoded backslashes"],
    ["/..\\admin", "a backslash"],
    ["\\..\\admin", "backslashes"],
    ["/a\\b", "a backslash in a name"],
    ["/%252e%252e/admin", "dots encoded twice"],
    ["/%252E%252e", "dots encoded twice, mixed case"],
    ["/%25252e%25252e", "dots encoded three times"],
    ["/..%252fadmin", "a slash encoded twice"],
    ["/..%255cadmin", "a backslash encoded twice"],
    ["/..%25252fadmin", "a slash encoded three times"],
    ["/%%32e%%32e/admin", "a digit of the encoding encoded"],
    ["/%2%65%2%65/admin", "a letter of the encoding encoded"],
    ["/%%32%65/admin", "both of them encoded"],
    ["/%25%32%65", "the whole encoding encoded"],
    ["/..%25%32%66", "the slash so"],
    ["/%252%35%32e", "the encoding of the encoding encoded"],
    ["/a%00", "an encoded NUL"],
    ["/..%00/admin", "a NUL that ends the segment for C"],
    ["/..%2500/admin", "NUL encoded twice"],
    ["/..\0", "a raw NUL"],
    ["/.%09./admin", "a tab between the dots, which URL parsers drop"],
    ["/.%0a./admin", "a line feed between the dots"],
    ["/.%0D%0A./admin", "a line break between the dots"],
    ["/..%20/admin", "a space behind the dots, which Windows drops"],
    ["/%20../admin", "a space before the dots"],
    ["/..%2520/admin", "that space encoded twice"],
    ["/..%23/admin", "an encoded # that ends the path for a second reader"],
    ["/..%3f/admin", "an encoded ? likewise"],
    ["/..%7f/admin", "DEL behind the dots"],
    ["/%c0%ae%c0%ae/admin", "overlong dots, two bytes"],
    ["/..%c0%afadmin", "an overlong slash"],
    ["/..%c1%9cadmin", "an overlong backslash"],
    ["/%e0%80%ae%e0%80%ae/admin", "overlong dots, three bytes"],
    ["/%f0%80%80%ae", "an overlong dot, four bytes"],
    ["/%25c0%25ae%25c0%25ae", "overlong dots encoded twice"],
    ["/%ef%bc%8e%ef%bc%8e/admin", "fullwidth dots"],
    ["/a%ef%bc%8f..%ef%bc%8fadmin", "fullwidth slashes around dots"],
    ["/..%ef%bc%bcadmin", "a fullwidth backslash"],
    ["/%e2%80%a5/admin", "the two dot leader"],
    ["/%25252541", "an encoding deeper than anyone needs"],
    [`/%${"25".repeat(30_000)}2e`, "an encoding that would be decoded for minutes"],
  ])("%j: %s", (path) => {
    expect(isPlainPath(path)).toBe(false);
  });
});

describe("a path that everybody reads alike is left alone", () => {
  test.each([
    "",
    "/",
    "/a",
    "/a/b/",
    "//a",
    "/a//b",
    "/a.b",
    "/.well-known/x",
    "/..a",
    "/a..",
    "/a..b/c",
    "/...",
    "/..../x",
    "/.a.",
    "/;x=y",
    "/a;b=..",
    "/a;../b",
    "/@scope/name",
    "/a:b",
    "/a%20b",
    "/%41%42",
    "/100%25",
    "/100%",
    "/%zz",
    "/%2",
    "/a%2520b",
    "/%252541",
    "/caf%c3%a9",
    "/caf%e9",
    "/%e0%a4%85",
    "/%e6%97%a5%e6%9c%ac",
    "/%f0%9f%94%91",
    "/a%ef%bc%8fb",
    "/%e2%80%a6",
    "/a%0ab",
    "/a%3fb%23c",
    `/${"a/".repeat(10_000)}`,
    `/${"%41".repeat(20_000)}`,
  ])("%j", (path) => {
    expect(isPlainPath(path)).toBe(true);
  });
});
