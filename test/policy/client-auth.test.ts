// Reading and comparing proxy tokens, wire.md section 6.

import { describe, expect, test } from "bun:test";
import { HeaderList } from "../../src/http1/headers.ts";
import { digestMatches, readProxyToken, tokenDigest, tokensEqual } from "../../src/policy/client-auth.ts";
import { ProxyError } from "../../src/values/errors.ts";

function head(...values: string[]): HeaderList {
  const headers = new HeaderList();
  headers.push("Host", "example.com");
  for (const value of values) headers.push("Proxy-Authorization", value);
  return headers;
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

describe("readProxyToken", () => {
  test("no field means missing", () => {
    expect(readProxyToken(head())).toEqual({ token: undefined, user: undefined });
  });

  test.each([
    ["Bearer abc", "abc", undefined],
    ["bearer abc", "abc", undefined],
    ["BEARER   abc", "abc", undefined],
    [basic("moat:abc"), "abc", "moat"],
    [basic("moat:abc").replace("Basic", "bAsIc"), "abc", "moat"],
    [basic("moat:ab").replace(/=+$/, ""), "ab", "moat"],
    [basic(":abc"), "abc", undefined],
  ])("scheme names are case-insensitive: %s", (value, token, user) => {
    expect(readProxyToken(head(value))).toEqual({ token, user });
  });

  test("Basic is split at the first colon", () => {
    expect(readProxyToken(head(basic("moat:a:b:c")))).toEqual({ token: "a:b:c", user: "moat" });
  });

  test.each([
    ["", "empty field"],
    ["abc", "no scheme"],
    ["Bearer", "no credentials"],
    ["Bearer ", "empty credentials"],
    ["Basic", "no credentials"],
    ["Basic ", "empty credentials"],
    ["Basic !!!!", "no base64"],
    ["Basic bW9hd-ph_mM", "base64url"],
    ["Basic bW9h dDph", "space inside"],
    ["Basic =", "padding alone"],
    [basic("no colon"), "no colon"],
    [basic("moat:"), "empty password"],
    ["Digest username=moat", "another scheme"],
    ["Basic\tbW9hdDphYmM=", "tab"],
  ])("%j is an unknown token, never a missing one: %s", (value) => {
    expect(readProxyToken(head(value))).toEqual({ token: "", user: undefined });
  });

  test("several Proxy-Authorization fields are a malformed request, even equal ones", () => {
    let thrown: unknown;
    try {
      readProxyToken(head("Bearer abc", "Bearer abc"));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ProxyError);
    expect((thrown as ProxyError).code).toBe("malformed-request");
    expect((thrown as ProxyError).message).not.toContain("abc");
  });

  test("a token in the place of the user name is not reported as a user", () => {
    expect(readProxyToken(head(basic("secret-token:"))).user).toBeUndefined();
    expect(readProxyToken(head(basic("secret-token:secret-token"))).user).toBeUndefined();
    expect(readProxyToken(head(basic("secret-token"))).user).toBeUndefined();
  });

  test("Authorization is not Proxy-Authorization", () => {
    const headers = new HeaderList();
    headers.push("Authorization", "Bearer abc");
    expect(readProxyToken(headers).token).toBeUndefined();
  });
});

describe("tokensEqual", () => {
  test.each([
    ["abc", "abc", true],
    ["abc", "abd", false],
    ["abc", "abcd", false],
    ["abcd", "abc", false],
    ["abc", "ABC", false],
    ["abc", "", false],
    ["", "abc", false],
    ["", "", false],
    ["tökén", "tökén", true],
  ])("%j and %j: %p", (a, b, expected) => {
    expect(tokensEqual(a, b)).toBe(expected);
    expect(digestMatches(a, tokenDigest(b))).toBe(expected);
  });

  test("a digest is 32 bytes whatever the length, so comparing never throws", () => {
    for (const token of ["", "a", "a".repeat(60_000)]) expect(tokenDigest(token).length).toBe(32);
  });
});
