// Requests over relays: what of the client's own must not reach the upstream.

import { afterEach, expect, test } from "bun:test";
import { finishRigs, head, makeRun, ScriptedRuns, SessionRig } from "../../support/session-rig.ts";

afterEach(finishRigs);

const TOKEN = "f".repeat(64);

test("a Referer, which clients send when they follow a redirect, does not tell the upstream the token in it", () => {
  const run = makeRun({ more: { mcpServers: [{ name: "srv", url: "https://mcp.test/mcp" }] } });
  const rig = new SessionRig({ runs: new ScriptedRuns(run, true) });
  rig.client.says(
    head(`GET /mcp/${TOKEN}/srv HTTP/1.1`, "Host: localhost", `Referer: http://localhost/mcp/${TOKEN}/srv`),
  );
  expect(rig.dialled().heard()).toBe(head("GET /mcp HTTP/1.1", "Host: mcp.test", "X-Request-Id: req-1"));
});
