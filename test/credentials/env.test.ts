// The env source, wire.md section 2. The environment is a parameter, so nothing is set in this process.

import { describe, expect, test } from "bun:test";
import { EnvSource } from "../../src/credentials/env.ts";
import { keepsTheSourceContract } from "./source-contract.ts";

describe("EnvSource", () => {
  keepsTheSourceContract({
    working: (value) => new EnvSource("API_KEY", { API_KEY: value }),
    failing: (value) => new EnvSource("API_KEY", { OTHER_KEY: value }),
  });

  test("gives the variable as it is, as a secret", () => {
    const { secret } = new EnvSource("API_KEY", { API_KEY: " value " }).fetch();
    expect(secret.reveal()).toBe(" value ");
    expect(String(secret)).toBe("[secret]");
  });

  test.each([
    [{}, "environment variable API_KEY is not set"],
    [{ API_KEY: undefined }, "environment variable API_KEY is not set"],
    [{ API_KEY: "" }, "environment variable API_KEY is empty"],
    [{ api_key: "other" }, "environment variable API_KEY is not set"],
  ])("%j: %s", (env: Record<string, string | undefined>, message) => {
    expect(() => new EnvSource("API_KEY", env).fetch()).toThrow(message);
  });

  test("reads anew at each fetch", () => {
    const env: Record<string, string> = { API_KEY: "one" };
    const source = new EnvSource("API_KEY", env);
    expect(source.fetch().secret.reveal()).toBe("one");
    env.API_KEY = "two";
    expect(source.fetch().secret.reveal()).toBe("two");
  });

  test("the description names the variable, not the value", () => {
    expect(new EnvSource("API_KEY", { API_KEY: "s3cr3t" }).describe()).toBe("environment variable API_KEY");
  });
});
