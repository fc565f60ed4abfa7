import { describe, expect, test } from "bun:test";
import { createLogger } from "../../src/log/logger.ts";
import { createRequestLog } from "../../src/log/request-log.ts";
import { MAX_PATH, type RequestRecord } from "../../src/proxy/record.ts";
import { everyText, PLAIN } from "./records.ts";

/** The one line of a record, parsed. */
function logged(changes: Partial<RequestRecord>): Record<string, unknown> {
  let text = "";
  const log = createLogger({
    level: "debug",
    format: "json",
    output: (bytes) => {
      text += Buffer.from(bytes).toString();
      return bytes.length;
    },
  });
  createRequestLog(log).write({ ...PLAIN, ...changes });
  log.flush();
  expect(text.split("\n")).toHaveLength(2);
  return JSON.parse(text) as Record<string, unknown>;
}

describe("level", () => {
  const cases: readonly (readonly [string, Partial<RequestRecord>, string])[] = [
    ["success", { status: 204 }, "info"],
    ["redirect", { status: 302 }, "info"],
    ["upgrade", { status: 101 }, "info"],
    ["client error", { status: 404 }, "warn"],
    ["denied below 400", { status: 200, denied: true }, "warn"],
    ["denied", { status: 407, denied: true }, "warn"],
    ["server error", { status: 500 }, "error"],
    ["error with a good status", { status: 200, error: "body cut short" }, "error"],
    ["a client that went away is no error", { status: 0 }, "info"],
  ];
  for (const [name, record, level] of cases) test(name, () => expect(logged(record).level).toBe(level));
});

test("every text is bounded", () => {
  const fields = logged({
    ...everyText("x".repeat(100_000)),
    ...{ requestId: "r", runId: "r", clientIp: "c" },
  });
  expect(String(fields.http_path).length).toBe(MAX_PATH);
  expect(String(fields.http_query).length).toBe(MAX_PATH);
  expect(String(fields["header_x-y"]).length).toBe(256);
  for (const key of ["http_method", "http_host", "user_id", "deny_reason", "error"])
    expect(String(fields[key])).toMatch(/^x{1,511}…$/);
});

test("one text beyond its bound leaves the others and the record as they were", () => {
  const record: RequestRecord = { ...PLAIN, captured: [["accept", "y".repeat(300)]] };
  const fields = logged(record);
  expect(fields).toMatchObject({ http_path: "/v1/x", request_id: "req_1" });
  expect(String(fields.header_accept)).toHaveLength(256);
  expect(record.captured?.[0]?.[1]).toHaveLength(300);
});

test("a token in the path of a local endpoint is hidden, unless the endpoint has seen to it", () => {
  const path = (proxyType: RequestRecord["proxyType"], sent: string): unknown =>
    logged({ proxyType, path: sent }).http_path;
  expect(path("http", "/relay/s3cret/slack")).toBe("/relay/[token]/slack");
  expect(path("relay", "/relay/slack/x")).toBe("/relay/slack/x");
  expect(path("connect", "/relay/x/y")).toBe("/relay/x/y");
});
