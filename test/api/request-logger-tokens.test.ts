// What a logger of an embedding program must not be shown, and what it must not do to the process.

import { afterEach, describe, expect, test } from "bun:test";
import { type RequestLogData, requestLogData, tellLogger } from "../../src/api/request-logger.ts";
import type { Logger } from "../../src/log/logger.ts";
import { finishRigs, head, makeRun, ScriptedRuns, SessionRig, settled } from "../support/session-rig.ts";

afterEach(finishRigs);

const TOKEN = "f".repeat(64);

function rigWithServer(): SessionRig {
  const mcpServers = [{ name: "srv", url: "https://mcp.test/mcp" }];
  const awsHandler = (): Response => new Response("{}", { headers: { "Content-Type": "application/json" } });
  const rig = new SessionRig({
    runs: new ScriptedRuns(makeRun({ runId: "r", more: { mcpServers, awsHandler } }), true),
  });
  rig.deps.detail = { captureHeaders: [], query: false, messages: true };
  return rig;
}

/** All of it as text. */
function shown(data: RequestLogData | undefined): string {
  if (data === undefined) throw new Error("nothing was recorded");
  const { requestHeaders, responseHeaders, requestBody, responseBody, url, err } = data;
  const bodies = [requestBody, responseBody].map((body) => Buffer.from(body ?? []).toString());
  return JSON.stringify([url, String(err), ...requestHeaders, ...responseHeaders, ...bodies]);
}

function lastShown(rig: SessionRig): string {
  const record = rig.records.at(-1);
  return shown(record === undefined ? undefined : requestLogData(record));
}

describe("the token of a run", () => {
  test("is not shown in what a relay makes of the upstream's addresses, nor in the client's fields", async () => {
    const rig = rigWithServer();
    rig.client.says(
      head(`GET /mcp/${TOKEN}/srv HTTP/1.1`, "Host: localhost", `Referer: http://localhost/mcp/${TOKEN}/srv`),
    );
    const upstream = rig.dialled();
    const event = "event: endpoint\ndata: /mcp/messages\n\n";
    const fields = ["Content-Type: text/event-stream", "Content-Location: /mcp/x"];
    upstream.says(head("HTTP/1.1 200 OK", ...fields, `Content-Length: ${event.length}`) + event);
    await settled();
    const heard = rig.client.heard();
    expect(heard).toContain(`/mcp/${TOKEN}/srv/messages`);
    expect(heard).toContain(`Content-Location: /mcp/${TOKEN}/srv/x`);
    expect(lastShown(rig)).toContain("/mcp/[token]/srv/messages");
    expect(lastShown(rig)).not.toContain(TOKEN);
  });

  test("is not shown in the Authorization of a request for AWS credentials", async () => {
    const rig = rigWithServer();
    rig.client.says(
      head("GET /_aws/credentials HTTP/1.1", "Host: localhost", `Authorization: Bearer ${TOKEN}`),
    );
    await settled();
    expect(rig.client.heard()).toStartWith("HTTP/1.1 200 OK\r\n");
    expect(lastShown(rig)).not.toContain(TOKEN);
  });

  test.each([
    ["a web page", `GET /mcp/${TOKEN}/srv HTTP/1.1`, "Origin: http://evil.test"],
    ["one that shows it twice", `GET /mcp/${TOKEN}/srv HTTP/1.1`, `Proxy-Authorization: Bearer ${TOKEN}`],
    ["one without a name", `GET /mcp/${TOKEN} HTTP/1.1`, "Accept: */*"],
  ])("is not shown in what is refused: %s", async (_, line, field) => {
    const rig = rigWithServer();
    rig.client.says(head(line, "Host: localhost", field));
    await settled();
    expect(rig.client.heard()).toMatch(/^HTTP\/1.1 40[034] /);
    expect(lastShown(rig)).not.toContain(TOKEN);
    expect(String(rig.records[0]?.denyReason)).not.toContain(TOKEN);
  });
});

describe("a logger that fails", () => {
  test.each([
    [
      "at once",
      (): never => {
        throw new Error("disk full");
      },
    ],
    ["later", () => Promise.reject(new Error("disk full"))],
  ])("%s harms nobody: the log says so", async (_, logger) => {
    const rig = rigWithServer();
    rig.client.says(head("GET /healthz HTTP/1.1", "Host: localhost"));
    const told: unknown[] = [];
    const log = { error: (...line: unknown[]) => told.push(line) } as unknown as Logger; // the one method used
    const [record] = rig.records;
    if (record !== undefined) tellLogger(logger, record, log);
    await settled();
    expect(told).toEqual([["the request logger failed", { error: "disk full" }]]);
  });
});
