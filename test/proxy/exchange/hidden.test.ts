// What must not be seen again of a request's secrets, in each spelling in which it was sent.
import { describe, expect, test } from "bun:test";
import { Credential, type CredentialRule } from "../../../src/inject/credentials.ts";
import { Substitution } from "../../../src/inject/token-substitution.ts";
import { hiddenCredential, hiddenToken } from "../../../src/proxy/exchange/hidden.ts";
import { ProxyError } from "../../../src/values/errors.ts";
import { Secret } from "../../../src/values/secret.ts";
import { credential, ScriptedSlot } from "../../support/session-rig.ts";

function hidden(secret: string | undefined, more: Partial<CredentialRule> = {}): unknown {
  return hiddenCredential(new Credential(credential("api.test", new ScriptedSlot(secret), more)));
}

describe("a credential", () => {
  const shown = (secret: string): unknown => ({ secret, placeholder: "[REDACTED]" });

  test("is hidden without its scheme, which is no secret", () => {
    expect(hidden("a-long-secret")).toEqual([shown("a-long-secret")]);
  });

  test("of Basic is hidden in both spellings", () => {
    expect(hidden("a-long-secret", { format: "basic", prefix: "user" })).toEqual([
      shown("a-long-secret"),
      shown(btoa("user:a-long-secret")),
    ]);
  });

  test("that is short may stand in an answer by accident, and is not looked for", () => {
    expect(hidden("1234567")).toEqual([]);
    expect(hidden("12345678")).toEqual([shown("12345678")]);
  });

  test("that is not at hand has been sent nowhere", () => {
    expect(hidden(undefined)).toEqual([]);
  });

  test("that has just expired is hidden all the same", () => {
    const slot = Object.assign(new ScriptedSlot(), { held: () => new Secret("held-secret") });
    expect(hiddenCredential(new Credential(credential("api.test", slot)))).toEqual([
      { secret: "held-secret", placeholder: "[REDACTED]" },
    ]);
  });
});

describe("a substituted token", () => {
  const substitution = (secret?: string): Substitution =>
    new Substitution({ host: "api.test", placeholder: "stub-token", slot: new ScriptedSlot(secret) });

  test("is shown as the placeholder that the client knows, however short it is", () => {
    expect(hiddenToken(substitution("r"))).toEqual([
      { secret: "r", placeholder: "stub-token" },
      { secret: "r", placeholder: "stub-token" },
    ]);
  });

  test("that is not at hand cannot be hidden, and that is said", () => {
    expect(() => hiddenToken(substitution())).toThrow(ProxyError);
  });
});
