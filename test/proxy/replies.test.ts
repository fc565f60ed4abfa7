// What the proxy answers itself, byte for byte: the fixed strings of the contract, and nothing of what lies behind
// an error. wire.md sections 4, 6, 7 and 8.
import { describe, expect, test } from "bun:test";
import { errorReply, type Reply, replyBytes } from "../../src/proxy/replies.ts";
import { type ErrorCode, ProxyError } from "../../src/values/errors.ts";

const TEXT = "Content-Type: text/plain; charset=utf-8\r\n";

function bytesOf(code: ErrorCode, message: string, host = "api.test", close = false): string {
  const reply = errorReply(new ProxyError(code, message, new Error("ECONNREFUSED 192.0.2.1:443")), host);
  return Buffer.from(replyBytes(reply, false, close)).toString("latin1");
}

/** [code, message, exact bytes] */
const EXACT: readonly (readonly [ErrorCode, string, string])[] = [
  [
    "auth-required",
    "Proxy authentication required",
    `HTTP/1.1 407 Proxy Authentication Required\r\n${TEXT}Content-Length: 30\r\n` +
      'Proxy-Authenticate: Basic realm="moat-proxy"\r\n\r\nProxy authentication required\n',
  ],
  [
    "invalid-token",
    "Invalid proxy token",
    `HTTP/1.1 407 Proxy Authentication Required\r\n${TEXT}Content-Length: 20\r\n` +
      'Proxy-Authenticate: Basic realm="moat-proxy"\r\n\r\nInvalid proxy token\n',
  ],
  [
    "network-policy",
    "not shown",
    `HTTP/1.1 407 Proxy Authentication Required\r\n${TEXT}Content-Length: 147\r\n` +
      "Proxy-Authenticate: Moat-Policy\r\nX-Moat-Blocked: network-policy\r\n\r\n" +
      'Moat: request blocked by network policy.\nHost "api.test" is not in the allow list.\n' +
      "Add it to network.allow in moat.yaml or use policy: permissive.\n",
  ],
  [
    "misdirected",
    "Misdirected Request",
    `HTTP/1.1 421 Misdirected Request\r\n${TEXT}Content-Length: 20\r\n\r\nMisdirected Request\n`,
  ],
  [
    "destination",
    "not allowed",
    `HTTP/1.1 403 Forbidden\r\n${TEXT}Content-Length: 12\r\nX-Moat-Blocked: destination\r\n\r\nnot allowed\n`,
  ],
  [
    "run-revoked",
    "over",
    `HTTP/1.1 403 Forbidden\r\n${TEXT}Content-Length: 5\r\nX-Moat-Blocked: run\r\n\r\nover\n`,
  ],
  [
    "request-rule",
    "no",
    `HTTP/1.1 403 Forbidden\r\n${TEXT}Content-Length: 3\r\nX-Moat-Blocked: request-rule\r\n\r\nno\n`,
  ],
  [
    "cleartext-credential",
    "no",
    `HTTP/1.1 403 Forbidden\r\n${TEXT}Content-Length: 3\r\nX-Moat-Blocked: cleartext-credential\r\n\r\nno\n`,
  ],
  [
    "too-many-leaves",
    "too many",
    `HTTP/1.1 429 Too Many Requests\r\n${TEXT}Content-Length: 9\r\nRetry-After: 1\r\n\r\ntoo many\n`,
  ],
  [
    "too-many-connections",
    "too many",
    `HTTP/1.1 503 Service Unavailable\r\n${TEXT}Content-Length: 9\r\nRetry-After: 1\r\n\r\ntoo many\n`,
  ],
  [
    "dial-failed",
    "cannot connect",
    `HTTP/1.1 502 Bad Gateway\r\n${TEXT}Content-Length: 15\r\n\r\ncannot connect\n`,
  ],
  ["response-timeout", "slow", `HTTP/1.1 504 Gateway Timeout\r\n${TEXT}Content-Length: 5\r\n\r\nslow\n`],
];

describe("the reply to an error", () => {
  for (const [code, message, bytes] of EXACT) {
    test(`${code}, byte for byte`, () => {
      expect(bytesOf(code, message)).toBe(bytes);
    });
  }

  test("never shows what lies behind the error", () => {
    for (const [code, message] of EXACT) {
      expect(bytesOf(code, message)).not.toContain("ECONNREFUSED");
      expect(bytesOf(code, message)).not.toContain("192.0.2.1");
    }
  });

  test("names the host of a policy refusal only", () => {
    expect(bytesOf("network-policy", "", "a.test")).toContain('Host "a.test"');
    expect(bytesOf("misdirected", "no", "a.test")).not.toContain("a.test");
  });
});

describe("reply bytes", () => {
  const reply: Reply = { status: 200, fields: [["X-A", "b"]], contentType: "text/x", body: "grün" };

  test("Content-Length counts bytes", () => {
    expect(Buffer.from(replyBytes(reply, false, false)).toString("utf8")).toBe(
      "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 5\r\nX-A: b\r\n\r\ngrün",
    );
  });

  test("HEAD gets the length without the content", () => {
    expect(Buffer.from(replyBytes(reply, true, false)).toString("utf8")).toBe(
      "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 5\r\nX-A: b\r\n\r\n",
    );
  });

  test("the end of the connection is announced", () => {
    expect(Buffer.from(replyBytes(reply, true, true)).toString("utf8")).toBe(
      "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 5\r\nX-A: b\r\nConnection: close\r\n\r\n",
    );
  });

  test("a value that would split the head is refused", () => {
    const bad: Reply = { ...reply, fields: [["X-A", "b\r\nX-Evil: 1"]] };
    expect(() => replyBytes(bad, false, false)).toThrow("unsafe head");
  });
});
