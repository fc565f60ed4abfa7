// The contract that every source keeps; a new source joins the table.

import { describe, expect, test } from "bun:test";
import { EnvSource } from "../../src/credentials/env.ts";
import type { CredentialSource } from "../../src/credentials/source.ts";
import { StaticSource } from "../../src/credentials/static.ts";
import { Secret } from "../../src/values/secret.ts";

const VALUE = "s3cr3t-value";

const SOURCES: [string, () => CredentialSource][] = [
  ["static", () => new StaticSource(new Secret(VALUE))],
  ["env", () => new EnvSource("API_KEY", { API_KEY: VALUE })],
];

describe.each(SOURCES)("%s source", (_, make) => {
  test("fetches the value, again and again", async () => {
    const source = make();
    expect((await source.fetch()).reveal()).toBe(VALUE);
    expect((await source.fetch()).reveal()).toBe(VALUE);
  });

  test("describes itself without the secret", () => {
    expect(make().describe()).not.toBe("");
    expect(make().describe()).not.toContain(VALUE);
  });

  test("hands out a secret that does not print", async () => {
    const secret = await make().fetch();
    expect(`${secret}${JSON.stringify({ secret })}${Bun.inspect(secret)}`).not.toContain(VALUE);
  });
});
