// What a logger of the embedding program is shown of both messages: bounded, text only, without secrets, and without
// any effect on what passes. wire.md section 12.
import { afterEach, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { HeaderList } from "../../src/http1/headers.ts";
import { MAX_BODY_SIZE, MessageCapture } from "../../src/proxy/message-capture.ts";
import type { RequestRecord } from "../../src/proxy/record.ts";
import { responseScrub } from "../../src/transform/scrub.ts";
import {
  credential,
  finishRigs,
  head,
  type RigOptions,
  ScriptedSlot,
  SessionRig,
} from "../support/session-rig.ts";

afterEach(finishRigs);

const STUB = "stub-token";
const REAL = "the-real-token";

function fields(...list: readonly (readonly [string, string])[]): HeaderList {
  const headers = new HeaderList();
  for (const [name, value] of list) headers.push(name, value);
  return headers;
}

function capture(type: string | undefined, coding?: string): MessageCapture {
  const headers = fields();
  if (type !== undefined) headers.push("Content-Type", type);
  if (coding !== undefined) headers.push("Content-Encoding", coding);
  return new MessageCapture("/", headers);
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("latin1");
}

describe("a body is kept", () => {
  const types: readonly (readonly [string | undefined, boolean])[] = [
    ["text/plain", true],
    ["TEXT/HTML; charset=utf-8", true],
    ["application/json", true],
    ["application/problem+json; x=y", true],
    ["application/vnd.api+json", true],
    ["application/xml", true],
    ["application/x-www-form-urlencoded", true],
    ["application/x-ndjson", true],
    ["application/octet-stream", false],
    ["application/jsonish", false],
    ["image/svg+xml", false],
    ["image/png", false],
    ["multipart/form-data", false],
    ["", false],
    [undefined, false],
  ];
  for (const [type, kept] of types) {
    test(`of type ${type}: ${kept}`, () => {
      const message = capture(type);
      message.onRequestBody(Buffer.from("hello"));
      expect(text(message.requestBody)).toBe(kept ? "hello" : undefined);
    });
  }

  test("only when it is not encoded", () => {
    for (const [coding, kept] of [
      ["gzip", false],
      [" Identity ", true],
    ] as const) {
      const message = capture("text/plain", coding);
      message.onRequestBody(Buffer.from("hello"));
      expect(message.requestBody !== undefined).toBe(kept);
    }
  });

  test("up to 8192 bytes, however it comes", () => {
    const message = capture("text/plain");
    for (let i = 0; i < 100_000; i++) message.onRequestBody(Buffer.from("x"));
    expect(message.requestBody?.length).toBe(MAX_BODY_SIZE);
    expect(MAX_BODY_SIZE).toBe(8192);
    const whole = capture("text/plain");
    whole.onRequestBody(Buffer.alloc(1_000_000, "y"));
    expect(text(whole.requestBody)).toBe("y".repeat(8192));
  });

  test("as it was when it came, whatever becomes of the buffer", () => {
    const message = capture("text/plain");
    const bytes = Buffer.from("hello");
    message.onRequestBody(bytes);
    bytes.fill("x");
    expect(text(message.requestBody)).toBe("hello");
  });

  test("without secrets, one on the edge too", () => {
    const message = capture("text/plain");
    const long = "s".repeat(5_000);
    message.hide([
      { secret: REAL, placeholder: STUB },
      { secret: long, placeholder: "[REDACTED]" },
    ]);
    message.onRequestBody(Buffer.from(`${REAL} ${"x".repeat(8_170)}${long}`));
    const shown = text(message.requestBody) ?? "";
    expect(shown).toStartWith(`${STUB} xxx`);
    expect(shown).toEndWith("x[REDACTED]".slice(0, 8192 - shown.indexOf("[") + 1));
    expect(shown).not.toContain("ss");
    expect(shown.length).toBeLessThanOrEqual(8192);
  });

  test("and none is there when nothing came", () => {
    expect(capture("text/plain").requestBody).toBeUndefined();
    expect(capture("text/plain").responseBody).toBeUndefined();
  });
});

describe("a field value", () => {
  test("is shown without secrets", () => {
    const message = capture("text/plain");
    expect(message.shownValue(`Bearer ${REAL}`)).toBe(`Bearer ${REAL}`);
    message.hide([{ secret: REAL, placeholder: STUB }]);
    expect(message.shownValue(`Bearer ${REAL}, ${REAL}`)).toBe(`Bearer ${STUB}, ${STUB}`);
  });

  test("of the head is the client's: what is done to the head afterwards is not seen", () => {
    const headers = fields(["Authorization", "mine"]);
    const message = new MessageCapture("/", headers);
    headers.set("Authorization", REAL);
    expect(message.requestHeaders.get("authorization")).toBe("mine");
  });
});

describe("in a session", () => {
  function logged(options: RigOptions = {}): SessionRig {
    const rig = new SessionRig(options);
    rig.deps.detail = { captureHeaders: [], query: false, messages: true };
    return rig;
  }

  /** All that a logger could see. */
  function seen({ message, ...record }: RequestRecord): string {
    const shown: unknown[] = [record, message?.target];
    for (const list of [message?.requestHeaders, message?.responseHeaders]) {
      for (let i = 0; i < (list?.size ?? 0); i++) {
        shown.push(`${list?.names[i]}: ${message?.shownValue(list?.values[i] ?? "")}`);
      }
    }
    return `${JSON.stringify(shown)}${text(message?.requestBody)}${text(message?.responseBody)}`;
  }

  test("heads are the client's and the client's answer; bodies have no secret; nothing is changed", () => {
    const rig = logged({
      credentials: [credential("api.test", "injected-secret")],
      more: {
        substitutions: [{ host: "api.test", placeholder: STUB, slot: new ScriptedSlot(REAL) }],
      },
    });
    const inner = rig.tunnel();
    const body = `{"key":"${STUB}"}`;
    inner.says(
      head(
        `POST /${STUB}?q HTTP/1.1`,
        "Host: api.test",
        "Content-Type: application/json",
        `Content-Length: ${body.length}`,
      ) + body,
    );
    const upstream = rig.dialled();
    expect(upstream.heard()).toContain(REAL);
    const echo = `${REAL} injected-secret`;
    const answer = head(
      "HTTP/1.1 200 OK",
      "Content-Type: text/plain",
      `X-Echo: ${echo}`,
      `Content-Length: ${echo.length}`,
    );
    upstream.says(answer + echo);
    expect(inner.heard()).toBe(answer.replace(REAL, STUB) + echo);
    const record = rig.records[0];
    if (record === undefined) throw new Error("no record");
    const { message } = record;
    expect(message?.target).toBe(`/${STUB}?q`);
    expect(text(message?.requestBody)).toBe(body);
    expect(text(message?.responseBody)).toBe(`${STUB} [REDACTED]`);
    expect(message?.responseHeaders?.get("content-type")).toBe("text/plain");
    expect(seen(record)).not.toContain(REAL);
    expect(seen(record)).not.toContain("injected-secret");
  });

  test("each span is passed on when it comes", () => {
    const rig = logged();
    const inner = rig.tunnel();
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    upstream.says(head("HTTP/1.1 200 OK", "Content-Type: text/plain", "Content-Length: 20000"));
    inner.heard();
    for (let i = 0; i < 20; i++) {
      upstream.says("x".repeat(1000));
      expect(inner.heard()).toBe("x".repeat(1000));
    }
    expect(rig.records[0]?.message?.responseBody?.length).toBe(8192);
  });

  test("a streamed request body is seen as it came", () => {
    const rig = logged();
    const inner = rig.tunnel();
    inner.says(
      head("POST / HTTP/1.1", "Host: api.test", "Content-Type: text/plain", "Transfer-Encoding: chunked"),
    );
    const upstream = rig.dialled();
    upstream.heard();
    inner.says("5\r\nhello\r\n");
    expect(upstream.heard()).toBe("5\r\nhello\r\n");
    inner.says("0\r\n\r\n");
    upstream.says(head("HTTP/1.1 204 No Content"));
    expect(text(rig.records[0]?.message?.requestBody)).toBe("hello");
    expect(rig.records[0]?.message?.responseBody).toBeUndefined();
  });

  test("of an answer that a transformer makes, what the client got is seen", async () => {
    const rig = logged({
      more: {
        substitutions: [{ host: "api.test", placeholder: STUB, slot: new ScriptedSlot(REAL) }],
        transformers: [{ host: "api.test", transformer: responseScrub }],
      },
    });
    const inner = rig.tunnel();
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    const body = gzipSync(`<${REAL}>`);
    const upstream = rig.dialled();
    upstream.says(
      head(
        "HTTP/1.1 200 OK",
        "Content-Type: text/html",
        "Content-Encoding: gzip",
        `Content-Length: ${body.length}`,
      ),
      body,
    );
    for (const end = performance.now() + 4_000; rig.records.length === 0 && performance.now() < end; ) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(text(rig.records[0]?.message?.responseBody)).toBe(`<${STUB}>`);
    expect(rig.records[0]?.message?.responseHeaders?.has("content-encoding")).toBe(false);
  });

  test("nothing is kept when no logger asks for it", () => {
    const rig = new SessionRig();
    rig.client.says(head("GET http://api.test/ HTTP/1.1", "Host: api.test"));
    rig.dialled().says(head("HTTP/1.1 204 No Content"));
    expect(rig.records[0]?.message).toBeUndefined();
  });

  test("a 101 is shown as the client got it", () => {
    const rig = logged({
      more: {
        substitutions: [{ host: "api.test", placeholder: STUB, slot: new ScriptedSlot(REAL) }],
      },
    });
    const inner = rig.tunnel();
    inner.says(head("GET / HTTP/1.1", "Host: api.test", "Connection: Upgrade", "Upgrade: websocket"));
    rig
      .dialled()
      .says(
        head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", `X-A: ${REAL}`),
      );
    inner.reset();
    expect(rig.records[0]?.message?.responseHeaders?.get("x-a")).toBe(STUB);
  });
});
