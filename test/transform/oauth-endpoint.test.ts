// The canned answers of the OAuth workaround, and all the answers that it leaves alone.

import { describe, expect, test } from "bun:test";
import { oauthEndpointWorkaround } from "../../src/transform/oauth-endpoint.ts";
import { fieldsOf, RecordingSink, responseHead, transformContext } from "../support/stage-sink.ts";

const UPSTREAM = {
  "Content-Type": "text/html",
  "Content-Encoding": "br",
  "Content-Length": "9999",
  "Set-Cookie": "session=real",
  "Cache-Control": "public",
};

function begun(path: string, status = 403, method = "GET") {
  const sink = new RecordingSink();
  const head = responseHead(status, UPSTREAM);
  const stage = oauthEndpointWorkaround.begin(transformContext({ path, method }), head, sink);
  return { sink, head, stage };
}

describe("oauth-endpoint-workaround", () => {
  const answers: readonly (readonly [path: string, body: string])[] = [
    ["/api/oauth/profile", '{"id":"","email":"","name":""}'],
    ["/api/oauth/profile?beta=1", '{"id":"","email":"","name":""}'],
    ["/api/oauth/usage", '{"usage":{}}'],
    ["/api/oauth/usage?", '{"usage":{}}'],
  ];
  test.each(answers)("a 403 on %s is empty, and nothing of the upstream's answer is left", (path, body) => {
    const { sink, stage } = begun(path);
    expect(stage?.write(Buffer.from("<html>no</html>"))).toBe(true);
    expect(sink.head).toBeUndefined();
    stage?.end();
    expect(sink.head?.status).toBe(200);
    expect(sink.head?.reason).toBe("OK");
    expect(fieldsOf(sink.head)).toEqual([
      "Content-Type: application/json",
      `Content-Length: ${body.length}`,
      "X-Moat-Transformed: oauth-scope-workaround",
    ]);
    expect(sink.text).toBe(body);
    expect(sink.ended).toBe(true);
  });

  test("HEAD gets the head without a body", () => {
    const { sink, stage } = begun("/api/oauth/usage", 403, "HEAD");
    stage?.end();
    expect(sink.head?.headers.get("content-length")).toBe("12");
    expect(sink.size).toBe(0);
    expect(sink.ended).toBe(true);
  });

  const others: readonly (readonly [path: string, status: number])[] = [
    ["/api/oauth/profile", 200],
    ["/api/oauth/profile", 401],
    ["/api/oauth/profile", 404],
    ["/api/oauth/profile/", 403],
    ["/api/oauth/Profile", 403],
    ["/api/oauth/profile%3Fx", 403],
    ["/api/oauth/token", 403],
    ["/v1/api/oauth/usage", 403],
    ["/?/api/oauth/usage", 403],
  ];
  test.each(others)("%s with %d is left alone, its head untouched", (path, status) => {
    const { head, stage } = begun(path, status);
    expect(stage).toBeUndefined();
    expect(fieldsOf(head)).toEqual(Object.entries(UPSTREAM).map(([name, value]) => `${name}: ${value}`));
  });

  test("nothing is called after abort(), not even when it comes from within the call", () => {
    const early = begun("/api/oauth/usage");
    early.stage?.abort();
    early.sink.aborted = true;
    early.stage?.end();
    expect(early.sink.breaches).toEqual([]);

    const late = begun("/api/oauth/usage");
    late.sink.onBytes = () => {
      late.stage?.abort();
      late.sink.aborted = true;
    };
    late.stage?.end();
    expect(late.sink.breaches).toEqual([]);
    expect(late.sink.ended).toBe(false);
  });

  test("a second end() is nothing", () => {
    const { sink, stage } = begun("/api/oauth/usage");
    stage?.end();
    stage?.end();
    expect(sink.breaches).toEqual([]);
  });
});
