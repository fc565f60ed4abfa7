// Verdicts: hosts, order, and the ways past a path rule that others have fallen for, each with its name.

import { describe, expect, test } from "bun:test";
import { compileRules, OVERRIDE_FIELDS } from "../../src/policy/rules.ts";
import { parseAuthority } from "../../src/values/authority.ts";

const API = parseAuthority("api.test:443");

/** Only below /public; and everything but below /admin. */
const OPEN_ONE = compileRules([{ host: "api.test", rules: ["allow GET /public/**", "deny * /**"] }]);
const CLOSE_ONE = compileRules([{ host: "api.test", rules: ["deny * /admin/**"] }]);

describe("order and hosts", () => {
  const table = compileRules([
    { host: "api.test", rules: ["deny * /repos/secret/**", "allow GET,HEAD /repos/**"] },
    { host: "*.test", rules: ["deny * /**"] },
    { host: "free.test", rules: [] },
    { host: "api.test:8443", rules: ["allow * /**"] },
    { host: "API.test.", rules: ["deny DELETE /**"] },
  ]);

  test.each([
    ["api.test:443", "GET", "/repos/a", "allow", "allow GET,HEAD /repos/**"],
    ["api.test:443", "GET", "/repos/secret/a", "deny", "deny * /repos/secret/**"],
    ["api.test:443", "GET", "/repos/secret", "deny", "deny * /repos/secret/**"],
    ["api.test:443", "DELETE", "/repos/a", "deny", "deny DELETE /**"],
    ["api.test:80", "GET", "/repos/a", "allow", "allow GET,HEAD /repos/**"],
    ["api.test:8443", "DELETE", "/x", "allow", "allow * /**"],
    ["other.test:443", "GET", "/x", "deny", "deny * /**"],
  ])("%s %s %s: %s by %s", (authority, method, target, kind, rule) => {
    expect(table.verdict(parseAuthority(authority), method, target)).toMatchObject({ kind, rule });
  });

  test.each([
    ["api.test:443", "POST", "/repos/a"],
    ["api.test:443", "GET", "/user"],
    ["free.test:443", "GET", "/x"],
    ["test:443", "GET", "/x"],
    ["example.com:443", "GET", "/../%2f"],
    ["127.0.0.1:443", "GET", "/x"],
  ])("%s %s %s: no rule covers it", (authority, method, target) => {
    expect(table.verdict(parseAuthority(authority), method, target)).toEqual({ kind: "none" });
  });

  test("the verdict names the host pattern as written", () => {
    expect(table.verdict(parseAuthority("other.test:443"), "GET", "/x")).toEqual({
      kind: "deny",
      rule: "deny * /**",
      host: "*.test",
    });
  });

  test.each([
    ["api.test:443", true],
    ["other.test:443", true],
    ["free.test:443", false],
    ["example.com:443", false],
  ])("covers %s: %p", (authority, covered) => {
    expect(table.covers(parseAuthority(authority))).toBe(covered);
  });

  test("describe: every rule in words, in order, and which are never reached", () => {
    const described = compileRules([
      { host: "*.test", rules: ["allow GET /a", "deny * /**", "allow GET /b"] },
      { host: "free.test", rules: [] },
    ]).describe();
    expect(described).toEqual([
      { host: "*.test", rule: "allow GET /a", text: "allows GET on /a alone" },
      { host: "*.test", rule: "deny * /**", text: "denies every method on every path" },
      {
        host: "*.test",
        rule: "allow GET /b",
        text: "allows GET on /b alone (never reached: an earlier rule covers all of it)",
      },
    ]);
  });

  test.each([
    [{ host: "api test", rules: [] }, "white space"],
    [{ host: "api.test", rules: ["allow /a"] }, 'rule "allow /a" for api.test'],
  ])("a mistake is named: %j", (item, message) => {
    expect(() => compileRules([item])).toThrow(message);
  });

  test("override fields are lower case, as headers are compared", () => {
    expect(OVERRIDE_FIELDS.length).toBeGreaterThan(0);
    expect(OVERRIDE_FIELDS.filter((name) => name !== name.toLowerCase())).toEqual([]);
  });
});

/** [attack, target as an attacker sends it, verdict where only /public is open, verdict where only /admin is closed] */
const ATTACKS: readonly (readonly [string, string, string, string])[] = [
  ["plain", "/admin", "deny", "deny"],
  ["slash at the end", "/admin/", "deny", "deny"],
  ["two slashes at the end", "/admin//", "deny", "deny"],
  ["query", "/admin?/public/x", "deny", "deny"],
  ["unreserved characters encoded", "/%61dmin", "deny", "deny"],
  ["unreserved characters encoded, other case of hex", "/adm%69%6E/x", "deny", "deny"],
  ["other case", "/ADMIN/x", "deny", "deny"],
  ["dot at the end, dropped by Windows", "/admin./x", "deny", "deny"],
  ["space at the end, dropped by Windows", "/admin%20/x", "deny", "deny"],
  ["fullwidth letters", "/%EF%BD%81dmin", "deny", "deny"],
  ["long s and dotless i fold to ASCII", "/adm%C4%B1n", "deny", "deny"],
  ["dot segments", "/public/../admin", "ambiguous", "ambiguous"],
  ["dot segments above the root", "/../../admin", "deny", "ambiguous"],
  ["a single dot segment", "/./admin", "deny", "ambiguous"],
  ["encoded dot segments", "/public/%2e%2e/admin", "ambiguous", "ambiguous"],
  ["half encoded dot segments", "/public/.%2E/admin", "ambiguous", "ambiguous"],
  ["into the open part by way of the closed one", "/admin/../public/x", "ambiguous", "ambiguous"],
  ["repeated slashes", "/public//../admin", "ambiguous", "ambiguous"],
  ["repeated slashes in front", "//admin", "deny", "ambiguous"],
  ["network-path reference: the first segment as host", "//public/admin", "ambiguous", "ambiguous"],
  ["three slashes in front", "///public/admin", "ambiguous", "ambiguous"],
  ["dots before slashes are merged", "/admin//../x", "deny", "ambiguous"],
  ["encoded slash", "/public%2f..%2fadmin", "ambiguous", "ambiguous"],
  ["encoded slash behind dots", "/public/..%2fadmin", "ambiguous", "ambiguous"],
  ["encoded slash at the front", "/%2fadmin", "ambiguous", "ambiguous"],
  ["encoded slash inside the closed path", "/admin%2fx", "ambiguous", "ambiguous"],
  ["backslash", "/public\\..\\admin", "ambiguous", "ambiguous"],
  ["encoded backslash", "/public/..%5cadmin", "ambiguous", "ambiguous"],
  ["backslash in front", "/\\admin", "ambiguous", "ambiguous"],
  ["NUL cuts the path", "/admin%00/x", "ambiguous", "ambiguous"],
  ["NUL inside dots", "/public/.%00./admin", "ambiguous", "ambiguous"],
  ["tab inside dots, removed by URL parsers", "/public/.%09./admin", "ambiguous", "ambiguous"],
  ["line feed", "/admin%0a", "ambiguous", "ambiguous"],
  ["path parameter", "/admin;x/y", "ambiguous", "ambiguous"],
  ["encoded path parameter", "/admin%3bx/y", "ambiguous", "ambiguous"],
  ["path parameter on dots (Tomcat)", "/public/..;/admin", "ambiguous", "ambiguous"],
  ["path parameter on dots, with a value", "/public/..;a=b/admin", "ambiguous", "ambiguous"],
  ["empty path parameter segment", "/;/admin", "ambiguous", "ambiguous"],
  ["double encoding of dots", "/public/%252e%252e/admin", "ambiguous", "ambiguous"],
  ["double encoding of the slash", "/public%252f..%252fadmin", "ambiguous", "ambiguous"],
  ["double encoding of a letter", "/%2561dmin", "ambiguous", "ambiguous"],
  ["triple encoding", "/%25252561dmin", "ambiguous", "ambiguous"],
  ["encoded question mark", "/admin%3fx", "ambiguous", "ambiguous"],
  ["encoded number sign", "/admin%23x", "ambiguous", "ambiguous"],
  ["raw number sign", "/admin#x", "ambiguous", "ambiguous"],
  ["truncated percent sequence", "/admin%", "ambiguous", "ambiguous"],
  ["percent sequence without hex", "/public/%zz/admin", "ambiguous", "ambiguous"],
  ["IIS %u sequence", "/public/%u002e%u002e/admin", "ambiguous", "ambiguous"],
  ["overlong dots, two bytes", "/public/%c0%ae%c0%ae/admin", "ambiguous", "ambiguous"],
  ["overlong slash", "/public/..%c0%afadmin", "ambiguous", "ambiguous"],
  ["overlong dot, three bytes", "/public/%e0%80%ae%e0%80%ae/admin", "ambiguous", "ambiguous"],
  ["invalid UTF-8", "/%ffadmin", "ambiguous", "ambiguous"],
  ["lone surrogate", "/%ed%a0%80", "ambiguous", "ambiguous"],
  ["fullwidth slash", "/public/..%EF%BC%8Fadmin", "ambiguous", "ambiguous"],
  ["fullwidth dots", "/public/%EF%BC%8E%EF%BC%8E/admin", "ambiguous", "ambiguous"],
  ["two dot leader", "/public/%E2%80%A5/admin", "ambiguous", "ambiguous"],
  ["dots and a space, trimmed by Windows", "/public/..%20/admin", "ambiguous", "ambiguous"],
  ["three dots", "/public/.../admin", "ambiguous", "ambiguous"],
  ["raw bytes above ASCII", "/public/\u00c0\u00ae", "ambiguous", "ambiguous"],
  ["no path at all", "admin", "ambiguous", "ambiguous"],
  ["the server as a whole", "*", "ambiguous", "ambiguous"],
  ["too deep to be read", `${"/public".repeat(257)}/admin`, "ambiguous", "ambiguous"],
];

describe("ways past a rule", () => {
  test.each(ATTACKS)("%s: %p", (_, target, openOne, closeOne) => {
    expect(OPEN_ONE.verdict(API, "GET", target).kind).toBe(openOne as "deny");
    expect(CLOSE_ONE.verdict(API, "GET", target).kind).toBe(closeOne as "deny");
  });

  test("an ambiguous verdict says what is ambiguous", () => {
    expect(OPEN_ONE.verdict(API, "GET", "/public/..%2fadmin")).toEqual({
      kind: "ambiguous",
      reason: "an encoded slash",
    });
  });

  test("a method that only looks alike is not the method of the rule", () => {
    expect(OPEN_ONE.verdict(API, "get", "/public/x").kind).toBe("deny");
    expect(OPEN_ONE.verdict(API, "POST", "/public/x").kind).toBe("deny");
  });
});

describe("oddities that change nothing are let through", () => {
  const readOnly = compileRules([{ host: "api.test", rules: ["allow GET /**", "deny * /**"] }]);

  test.each([
    ["npm's scoped packages", "/@types%2fnode"],
    ["a percent sign", "/100%"],
    ["a latin1 name", "/caf%e9"],
    ["dots", "/a/../b"],
  ])("every path has the same answer: %s", (_, target) => {
    expect(readOnly.verdict(API, "GET", target).kind).toBe("allow");
    expect(readOnly.verdict(API, "PUT", target).kind).toBe("deny");
  });

  test.each([
    ["a project id with an encoded slash", "/public/group%2fproject/issues"],
    ["a path parameter", "/public/a;v=1/b"],
    ["a doubled slash", "/public//a"],
    ["a dot segment that stays inside", "/public/a/../b"],
    ["an encoded letter", "/public/%61"],
    ["a space", "/public/a%20b"],
    ["accents", "/public/caf%C3%A9"],
    ["a percent sign", "/public/100%25"],
    ["a query with anything", "/public/a?x=%2f..%00"],
  ])("all readings agree: %s", (_, target) => {
    expect(OPEN_ONE.verdict(API, "GET", target).kind).toBe("allow");
    expect(CLOSE_ONE.verdict(API, "GET", target).kind).toBe("none");
  });
});
