// Answers that are cut short, malformed or missing: 502 while nothing of them has been sent, a cut afterwards, and never
// a clean end that makes half an answer look whole. wire.md section 4.
import { afterEach, describe, expect, test } from "bun:test";
import { finishRigs, head, plainReply, SessionRig } from "../../support/session-rig.ts";

afterEach(finishRigs);

/** A request under way, its head already at the upstream. */
function ask(version = "HTTP/1.1") {
  const rig = new SessionRig();
  rig.client.says(head(`GET http://api.test/a ${version}`, "Host: api.test"));
  const upstream = rig.dialled();
  upstream.heard();
  return { rig, client: rig.client, upstream };
}

describe("a truncated answer destroys the client's connection", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["Content-Length", `${head("HTTP/1.1 200 OK", "Content-Length: 5")}hel`],
    ["chunked, inside a chunk", `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}5\r\nhel`],
    ["chunked, between chunks", `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}5\r\nhello\r\n`],
    ["chunked, inside the trailers", `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}0\r\nX: 1\r\n`],
  ];
  for (const [what, answer] of cases) {
    for (const end of ["fin", "reset"] as const) {
      test(`${what}, by ${end}`, () => {
        const { rig, client, upstream } = ask();
        upstream.says(answer);
        upstream[end]();
        expect(client.state).toBe("destroyed");
        expect(upstream.closed).toBe(true);
        expect(client.heard()).not.toContain("\r\n0\r\n");
        expect(rig.log()).toEqual([
          "http GET api.test/a 200 error=the upstream closed the connection without a complete answer",
        ]);
      });
    }
  }

  test("a close-delimited one that ends by reset", () => {
    const { rig, client, upstream } = ask("HTTP/1.0");
    upstream.says(`${head("HTTP/1.1 200 OK")}hello`);
    upstream.reset();
    expect(client.state).toBe("destroyed");
    expect(rig.records.map(({ status, error }) => [status, error !== undefined])).toEqual([[200, true]]);
  });
});

const MALFORMED = plainReply("502 Bad Gateway", "the upstream's answer is malformed\n");

describe("a malformed answer", () => {
  const heads: readonly (readonly [string, string])[] = [
    ["garbage", "garbage\r\n\r\n"],
    ["HTTP/2", "HTTP/2.0 200 OK\r\n\r\n"],
    ["another protocol", "SSH-2.0-x\r\n"],
    ["two lengths", head("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 2")],
    ["two equal lengths", head("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 1")],
    ["a length and chunked", head("HTTP/1.1 200 OK", "Content-Length: 1", "Transfer-Encoding: chunked")],
    ["a list of lengths", head("HTTP/1.1 200 OK", "Content-Length: 1, 1")],
    ["a negative length", head("HTTP/1.1 200 OK", "Content-Length: -1")],
    ["a coding before chunked", head("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked")],
    ["chunked on HTTP/1.0", head("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")],
    ["a field across lines", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n"],
    ["a bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
    ["NUL in a value", head("HTTP/1.1 200 OK", "A: \0", "Content-Length: 0")],
    ["a space before the colon", head("HTTP/1.1 200 OK", "Content-Length : 0")],
    ["an oversized head", head("HTTP/1.1 200 OK", `X: ${"x".repeat(70_000)}`)],
    ["201 fields", head("HTTP/1.1 200 OK", ...Array<string>(201).fill("X: y"))],
  ];
  for (const [what, answer] of heads) {
    test(`${what}: 502, nothing of it, the client may go on`, () => {
      const { rig, client, upstream } = ask();
      upstream.says(answer);
      expect(client.heard()).toBe(MALFORMED);
      expect(client.state).toBe("open");
      expect(upstream.state).toBe("destroyed");
      expect(rig.upstreams.dials).toHaveLength(1);
      expect(rig.records.map(({ status, error }) => [status, error?.split(":")[0]])).toEqual([
        [502, "the upstream's answer is malformed"],
      ]);
    });
  }

  test("Connection naming Content-Length is 502", () => {
    const { rig, client, upstream } = ask();
    upstream.says(head("HTTP/1.1 200 OK", "Connection: content-length", "Content-Length: 0"));
    expect(client.heard()).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
    expect(upstream.state).toBe("destroyed");
    expect(rig.records.map(({ status }) => status)).toEqual([502]);
  });

  const bodies = ["zz\r\n", "5\r\nhelloX", "5\nhello", "-1\r\n", "0\r\nbad trailer\r\n\r\n"];
  for (const chunks of bodies) {
    test(`${JSON.stringify(chunks)} after the head: cut`, () => {
      const { rig, client, upstream } = ask();
      upstream.says(head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"));
      upstream.says(chunks);
      expect(client.state).toBe("destroyed");
      expect(upstream.state).toBe("destroyed");
      expect(client.heard()).not.toContain("\r\n0\r\n\r\n");
      expect(rig.records.map(({ status, error }) => [status, error !== undefined])).toEqual([[200, true]]);
    });
  }

  test("none at all is 502", () => {
    for (const end of ["fin", "reset"] as const) {
      const { rig, client, upstream } = ask();
      upstream[end]();
      const body = "the upstream closed the connection without a complete answer\n";
      expect(client.heard()).toBe(plainReply("502 Bad Gateway", body));
      expect(client.state).toBe("open");
      expect(rig.log()).toEqual([`http GET api.test/a 502 error=${body.trim()}`]);
    }
  });

  test("half a head is 502", () => {
    const { rig, client, upstream } = ask();
    upstream.says("HTTP/1.1 200 OK\r\nConte").fin();
    expect(client.heard()).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
    expect(rig.records.map(({ status }) => status)).toEqual([502]);
  });

  test("behind a 100 is 502", () => {
    const { rig, client, upstream } = ask();
    upstream.says(head("HTTP/1.1 100 Continue"), "garbage\r\n\r\n");
    expect(client.heard()).toBe(head("HTTP/1.1 100 Continue") + MALFORMED);
    expect(rig.records.map(({ status }) => status)).toEqual([502]);
  });
});
