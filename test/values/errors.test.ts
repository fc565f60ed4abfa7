// The one error class: each code with its status, its blame and whether the connection survives, as the contract
// fixes them; and that the cause stays out of what a client could see.

import { describe, expect, test } from "bun:test";
import { type ErrorCode, ProxyError } from "../../src/values/errors.ts";

/** [status, blame, fatal]; a code without its line does not compile. */
const CONTRACT: Readonly<
  Record<ErrorCode, readonly [status: number, blame: ProxyError["blame"], fatal: boolean]>
> = {
  "malformed-request": [400, "client", true],
  "invalid-host": [400, "client", true],
  "invalid-port": [400, "client", true],
  "method-not-allowed": [405, "client", false],
  "request-timeout": [408, "client", true],
  "not-found": [404, "client", false],
  misdirected: [421, "client", false],
  "head-too-large": [431, "client", true],
  "unsupported-coding": [501, "client", true],
  "unsupported-version": [505, "client", true],
  "too-many-leaves": [429, "client", false],
  "too-many-connections": [503, "client", true],
  "handshake-failed": [400, "operator", true],
  "invalid-path": [400, "client", false],
  unauthorized: [401, "client", false],
  "auth-required": [407, "client", false],
  "invalid-token": [407, "client", false],
  "network-policy": [407, "policy", false],
  "network-policy-forbidden": [403, "policy", false],
  "request-rule": [403, "policy", false],
  "run-revoked": [403, "policy", true],
  "cleartext-credential": [403, "policy", false],
  destination: [403, "policy", false],
  "local-origin": [403, "policy", false],
  "local-host": [421, "policy", false],
  "dial-failed": [502, "upstream", false],
  "certificate-rejected": [502, "upstream", false],
  "upstream-closed": [502, "upstream", false],
  "bad-response": [502, "upstream", false],
  "unasked-upgrade": [502, "upstream", false],
  "response-timeout": [504, "upstream", false],
  "relay-failed": [502, "upstream", false],
  "relay-credential": [500, "operator", false],
  "run-unresolved": [503, "operator", false],
  "transform-failed": [502, "operator", false],
  "credential-failed": [502, "operator", false],
  "handler-failed": [500, "operator", false],
  "internal-error": [500, "proxy", true],
};

describe("ProxyError", () => {
  // The keys are all of ErrorCode and nothing else, by the type above.
  test.each(Object.keys(CONTRACT) as ErrorCode[])("%s", (code) => {
    const error = new ProxyError(code, "message");
    const [status, blame, fatal] = CONTRACT[code];
    expect([error.status, error.blame, error.fatal]).toEqual([status, blame, fatal]);
    expect(error.code).toBe(code);
  });

  test("is an Error with its name, message and stack", () => {
    const error = new ProxyError("not-found", "no such thing");
    expect(error).toBeInstanceOf(Error);
    expect([error.name, error.message, String(error)]).toEqual([
      "ProxyError",
      "no such thing",
      "ProxyError: no such thing",
    ]);
    expect(error.stack).toContain("errors.test.ts");
  });

  test("keeps a cause for the log, out of message and JSON", () => {
    const cause = new Error("connect ECONNREFUSED 192.0.2.1:443");
    const error = new ProxyError("dial-failed", "upstream not reachable", cause);
    expect(error.cause).toBe(cause);
    expect(`${error.message} ${String(error)} ${JSON.stringify(error)}`).not.toContain("ECONNREFUSED");
  });

  test("has no cause property when there is no cause", () => {
    expect("cause" in new ProxyError("not-found", "x")).toBe(false);
  });
});
