// The refusals as a client gets them: status, X-Moat-Blocked, whether the connection goes on.
// wire.md sections 4, 6, 7 and 8.
import { describe, expect, test } from "bun:test";
import { cleartextRefusal, destinationRefusal, policyRefusal, runRefusal } from "../../src/proxy/refusals.ts";
import { errorReply } from "../../src/proxy/replies.ts";
import type { ProxyError } from "../../src/values/errors.ts";

/** [what, error, status, X-Moat-Blocked, the connection ends] */
const CASES: readonly (readonly [string, ProxyError, number, string | undefined, boolean])[] = [
  ["a host that policy denies", policyRefusal(false, "evil.test"), 407, "network-policy", false],
  [
    "a host that policy denies by now, in a tunnel",
    policyRefusal(true, "evil.test"),
    403,
    "request-rule",
    false,
  ],
  ["an unknown token", runRefusal(false), 407, undefined, false],
  ["a run that has ended, in a tunnel", runRefusal(true), 403, "run", true],
  ["a forbidden address", destinationRefusal(), 403, "destination", false],
  ["a credential in the clear", cleartextRefusal(), 403, "cleartext-credential", false],
];

describe("a refusal", () => {
  for (const [what, error, status, blocked, fatal] of CASES) {
    test(`of ${what} is ${status}`, () => {
      const reply = errorReply(error, "evil.test");
      const fields = new Map(reply.fields);
      expect(reply.status).toBe(status);
      expect(fields.get("X-Moat-Blocked")).toBe(blocked);
      expect(error.fatal).toBe(fatal);
      expect(reply.body.endsWith("\n")).toBe(true);
    });
  }

  test("of an unknown token is worded as in the contract", () => {
    expect(runRefusal(false).message).toBe("Invalid proxy token");
  });

  test("inside a tunnel never asks for proxy authentication", () => {
    for (const error of [policyRefusal(true, "evil.test"), runRefusal(true)]) {
      expect(errorReply(error, "evil.test").fields.map(([name]) => name)).not.toContain("Proxy-Authenticate");
    }
  });
});
