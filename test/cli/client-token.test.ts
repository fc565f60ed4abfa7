import { describe, expect, test } from "bun:test";
import { isLoopback, openBindWarning, withClientToken } from "../../src/cli/client-token.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Secret } from "../../src/values/secret.ts";

const load = (flags: Parameters<typeof loadConfig>[0]["flags"]) =>
  loadConfig({ flags, env: { HOME: "/h" }, readFile: () => "" });
const random = (count: number): Uint8Array => new Uint8Array(count).fill(0xab);

describe("Decision: a non-loopback bind without a token generates one", () => {
  test("32 random bytes in hex", () => {
    const config = withClientToken(load({ host: "0.0.0.0" }), random);
    expect(config.proxy.authToken?.reveal()).toBe("ab".repeat(32));
  });

  test("not on loopback, not with --no-auth, not over a given token", () => {
    const given = new Secret("given");
    expect(withClientToken(load({ host: "::1" }), random).proxy.authToken).toBeUndefined();
    expect(withClientToken(load({ host: "::", noAuth: true }), random).proxy.authToken).toBeUndefined();
    expect(withClientToken(load({ host: "::", authToken: given }), random).proxy.authToken).toBe(given);
  });
});

test("--token-out asks for one on loopback too, and replaces none", () => {
  const given = new Secret("given");
  expect(withClientToken(load({}), random, true).proxy.authToken?.reveal()).toBe("ab".repeat(32));
  expect(withClientToken(load({ authToken: given }), random, true).proxy.authToken).toBe(given);
});

test("--no-auth warns where others can reach the proxy", () => {
  expect(openBindWarning(load({ host: "0.0.0.0", noAuth: true }))).toContain("--no-auth on 0.0.0.0");
  expect(openBindWarning(load({ host: "127.0.0.1", noAuth: true }))).toBeUndefined();
  expect(openBindWarning(load({ host: "0.0.0.0" }))).toBeUndefined();
});

describe("loopback", () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ["127.0.0.1", true],
    ["127.255.255.254", true],
    ["::1", true],
    ["::ffff:127.0.0.1", true],
    ["::ffff:7f00:1", true],
    ["localhost", true],
    ["0.0.0.0", false],
    ["::", false],
    ["1::1", false],
    ["128.0.0.1", false],
    ["192.168.0.1", false],
    ["localhost.example", false],
    ["proxy.example", false],
  ];
  for (const [host, expected] of cases)
    test(`${host}: ${expected}`, () => expect(isLoopback(host)).toBe(expected));
});
