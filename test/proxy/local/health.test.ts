// The body and head of /healthz; who may ask for it is tested with local.ts.
// wire.md section 5.
import { expect, test } from "bun:test";
import { healthEndpoint } from "../../../src/proxy/local/health.ts";
import { replyBytes } from "../../../src/proxy/replies.ts";

test("health is 200 and nothing but ok", () => {
  expect(Buffer.from(replyBytes(healthEndpoint(), false, false)).toString()).toBe(
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}',
  );
});
