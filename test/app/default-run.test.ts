// The one run of a configuration: every list of the file reaches the run, and each secret its own slot.

import { expect, test } from "bun:test";
import { defaultRunSettings, secretHolders } from "../../src/app/default-run.ts";
import { loadConfig } from "../../src/config/load.ts";
import { oauthEndpointWorkaround } from "../../src/transform/oauth-endpoint.ts";
import { responseScrub } from "../../src/transform/scrub.ts";

const YAML = `credentials:
  - { host: a.example, source: { type: env, var: A } }
extra_headers:
  - { host: b.example, header: X-Beta, value: "1" }
remove_headers:
  - { host: b.example, header: X-Debug }
token_substitutions:
  - { host: c.example, placeholder: token-placeholder, source: { type: env, var: C } }
response_transformers:
  - { host: d.example, kind: response-scrub }
  - { host: d.example, kind: oauth-endpoint-workaround }
mcp_servers:
  - { name: linear, url: "https://e.example/mcp", auth: { grant: linear } }
tls: { passthrough: [f.example] }
`;

test("every list of the file is in it, and whoever has a source gets the slot made for it", () => {
  const config = loadConfig({ file: "moat.yaml", flags: {}, env: {}, readFile: () => YAML });
  const slots = new Map<object, object>();
  const settings = defaultRunSettings(
    config,
    (holder) => {
      const slot = { current: () => undefined, refresh: () => Promise.reject(new Error("none")) };
      slots.set(holder, slot);
      return slot;
    },
    () => undefined,
  );
  expect([...slots.keys()]).toEqual([...secretHolders(config)]);
  expect(settings.credentials.map(({ host, slot }) => [host, slot])).toEqual([
    ["a.example", slots.get(config.credentials[0] ?? {})],
  ] as never);
  expect(settings.substitutions?.map(({ host, slot }) => [host, slot])).toEqual([
    ["c.example", slots.get(config.tokenSubstitutions[0] ?? {})],
  ] as never);
  expect(settings.transformers).toEqual([
    { host: "d.example", transformer: responseScrub },
    { host: "d.example", transformer: oauthEndpointWorkaround },
  ]);
  expect(settings).toMatchObject({
    runId: undefined,
    passthrough: ["f.example"],
    extraHeaders: [{ host: "b.example", header: "X-Beta", value: "1" }],
    removeHeaders: [{ host: "b.example", header: "X-Debug" }],
    mcpServers: [{ name: "linear", auth: { grant: "linear", header: "Authorization" } }],
  });
});
