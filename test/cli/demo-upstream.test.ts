// The demo's API: who it answers, what it reports, and that its certificate verifies against its own CA only.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { get } from "node:https";
import { type Arrival, type DemoUpstream, startDemoUpstream } from "../../src/cli/demo-upstream.ts";

const arrivals: Arrival[] = [];
let upstream: DemoUpstream;
beforeAll(async () => {
  upstream = await startDemoUpstream("the-key", (arrival) => arrivals.push(arrival));
});
afterAll(() => upstream.stop());

function request(headers: Record<string, string>, ca: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options = { ca, headers, agent: false };
    get(`${upstream.url}/v1/hello?q=1`, options, (response) => {
      let body = "";
      response.on("data", (bytes) => {
        body += bytes;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    }).on("error", reject);
  });
}

test("answers 200 to the key and never repeats it", async () => {
  const { status, body } = await request({ Authorization: "Bearer the-key" }, upstream.caPem);
  expect(status).toBe(200);
  expect(body).not.toContain("the-key");
});

test("reports the head as it was received", async () => {
  await request({ "X-MiXeD": "a", Authorization: "Bearer the-key" }, upstream.caPem);
  const seen = arrivals.at(-1);
  expect(seen?.status).toBe(200);
  expect(seen?.head[0]).toBe("GET /v1/hello?q=1 HTTP/1.1");
  expect(seen?.head).toContain("X-MiXeD: a");
  expect(seen?.head).toContain("Authorization: Bearer the-key");
});

test.each([["Bearer placeholder"], ["the-key"], ["Bearer the-key2"]])("answers 401 to %p", async (value) => {
  const { status } = await request({ Authorization: value }, upstream.caPem);
  expect(status).toBe(401);
  expect(arrivals.at(-1)?.status).toBe(401);
});

test("is verified by its own CA only", async () => {
  const other = await startDemoUpstream("other", () => {});
  const before = arrivals.length;
  try {
    const failure = await request({}, other.caPem).catch((error: Error) => error);
    expect(failure).toBeInstanceOf(Error);
    expect(arrivals.length).toBe(before);
  } finally {
    other.stop();
  }
});
