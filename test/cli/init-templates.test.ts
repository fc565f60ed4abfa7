// The starter files against the program: each loads without a variable set, opens what its credentials go to, and
// reads well in 80 columns.

import { describe, expect, test } from "bun:test";
import { SERVICES, starterFile } from "../../src/cli/init-templates.ts";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { parseHostPattern } from "../../src/policy/host-pattern.ts";
import { NetworkPolicy } from "../../src/policy/network-policy.ts";

const NAMES = Object.keys(SERVICES);

function load(text: string): Config {
  return loadConfig({ file: "moat.yaml", flags: {}, env: { HOME: "/nonexistent" }, readFile: () => text });
}

test("the services that people ask for", () => {
  for (const name of "github anthropic openai aws npm gitlab huggingface stripe slack linear vercel".split(
    " ",
  )) {
    expect(NAMES).toContain(name);
  }
});

describe.each(
  [...NAMES.map((name) => [name]), NAMES, []].map((names) => [names.join(",") || "(none)", names] as const),
)("%s", (_title, names) => {
  const text = starterFile(names);
  const config = load(text);

  test("loads, with the credentials of the services, from the environment", () => {
    const variables = config.credentials.map(({ source }) =>
      source.type === "env" ? source.variable : source.type,
    );
    expect([...new Set(variables)]).toEqual([
      ...new Set(names.flatMap((name) => SERVICES[name]?.variables ?? [])),
    ]);
  });

  test("allows the hosts that its credentials go to", () => {
    const policy = NetworkPolicy.compile(config.network);
    for (const { host } of config.credentials) {
      expect([host, policy.allows({ host: parseHostPattern(host).host, port: 443, kind: "name" })]).toEqual([
        host,
        true,
      ]);
    }
    expect(config.network.policy).toBe(names.length === 0 ? "permissive" : "strict");
  });

  test("fits into 80 columns, and holds no tab and no secret", () => {
    expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(text).not.toContain("\t");
    expect(text).not.toContain("type: static\n");
    expect(text).toEndWith("\n");
  });
});

test("aws names a role, and opens the hosts of AWS", () => {
  const { aws, network } = load(starterFile(["aws"]));
  expect(aws).toMatchObject({ roleARN: "arn:aws:iam::123456789012:role/moat", region: "us-east-1" });
  expect(network.grants).toEqual(["aws"]);
});

test("GitHub gets Basic for git and a scheme of its own for the API", () => {
  const { credentials } = load(starterFile(["github"]));
  expect(credentials.map(({ host, format, prefix }) => [host, format, prefix])).toEqual([
    ["api.github.com", "", undefined],
    ["github.com", "basic", "x-access-token"],
  ]);
});
