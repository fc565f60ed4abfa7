// The static source, wire.md section 2.

import { describe, expect, test } from "bun:test";
import { StaticSource } from "../../src/credentials/static.ts";
import { Secret } from "../../src/values/secret.ts";
import { keepsTheSourceContract } from "./source-contract.ts";

describe("StaticSource", () => {
  keepsTheSourceContract({ working: (value) => new StaticSource(new Secret(value)), failing: undefined });

  test("gives the configured secret, the same object each time, without an end", () => {
    const secret = new Secret("s3cr3t");
    const source = new StaticSource(secret);
    expect(source.fetch().secret).toBe(secret);
    expect(source.fetch()).toBe(source.fetch());
    expect(source.fetch().expiresAt).toBeUndefined();
  });

  test("an empty value is refused at once", () => {
    expect(() => new StaticSource(new Secret(""))).toThrow("static value is empty");
  });

  test("the description holds no secret", () => {
    expect(new StaticSource(new Secret("s3cr3t")).describe()).toBe("static value");
  });
});
