// Answers that a transformer makes, in a session: what the client hears byte for byte, backpressure, cuts, reuse of both
// connections, deadlines. wire.md section 6 (response transformers); docs/response-transformers.md.
import { afterEach, describe, expect, test } from "bun:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import type { ResponseHead } from "../../../src/http1/head.ts";
import type {
  AnyTransformer,
  BodyStage,
  ResponseTransformer,
  StageSink,
  TransformContext,
  Transformer,
} from "../../../src/transform/body-stage.ts";
import { oauthEndpointWorkaround } from "../../../src/transform/oauth-endpoint.ts";
import { responseScrub } from "../../../src/transform/scrub.ts";
import { ProxyError } from "../../../src/values/errors.ts";
import type { FakeWire } from "../../support/fake-wire.ts";
import {
  credential,
  finishRigs,
  head,
  plainReply,
  type RigOptions,
  ScriptedSlot,
  SessionRig,
} from "../../support/session-rig.ts";

afterEach(finishRigs);

const STUB = "stub-token";
const REAL = "the-real-token";
const NEXT = head("GET /next HTTP/1.1", "Host: api.test");
const OK = `${head("HTTP/1.1 200 OK", "Content-Type: image/png", "Content-Length: 2")}ok`;
const FAILED = plainReply("502 Bad Gateway", "a response transformer failed\n");
const LATE = plainReply("502 Bad Gateway", "a response transformer did not answer in time\n");

interface Asked {
  readonly rig: SessionRig;
  readonly inner: FakeWire;
  readonly upstream: FakeWire;
  /** All that the client has heard since. */
  heard(): string;
}

function transformed(transformers: readonly AnyTransformer[], more: RigOptions = {}): RigOptions {
  return {
    ...more,
    more: {
      substitutions: [{ host: "api.test", placeholder: STUB, slot: new ScriptedSlot(REAL) }],
      transformers: transformers.map((transformer) => ({ host: "api.test", transformer })),
      ...more.more,
    },
  };
}

/** A request under way inside a tunnel, its head at the upstream. */
function ask(
  transformers: readonly AnyTransformer[],
  line = "GET /a HTTP/1.1",
  options: RigOptions = {},
  ...fields: readonly string[]
): Asked {
  const rig = new SessionRig(transformed(transformers, options));
  const inner = rig.tunnel();
  inner.says(head(line, "Host: api.test", ...fields));
  const upstream = rig.dialled();
  upstream.heard();
  let all = "";
  return {
    ...{ rig, inner, upstream },
    heard() {
      all += inner.heard();
      return all;
    },
  };
}

/** Stages and streams take their turns; waits for what is to come, and a little beyond. */
async function until(condition: () => boolean): Promise<void> {
  // Decoders work on threads of their own: turns of the loop say nothing about them.
  for (const end = performance.now() + 4_000; !condition() && performance.now() < end; ) await turnOver();
  expect(condition()).toBe(true);
  for (let turn = 0; turn < 3; turn++) await turnOver();
}

function turnOver(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The pieces of a chunked body put together. */
function unchunked(heard: string): string {
  const [start = "", ...rest] = heard.split("\r\n\r\n");
  let body = rest.join("\r\n\r\n");
  let out = "";
  for (;;) {
    const end = body.indexOf("\r\n");
    const size = Number.parseInt(body.slice(0, end), 16);
    if (!(size > 0)) return `${start}\r\n\r\n${out}${body}`;
    out += body.slice(end + 2, end + 2 + size);
    body = body.slice(end + 2 + size + 2);
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

describe("oauth-endpoint-workaround", () => {
  const canned = (body: string): string =>
    head(
      "HTTP/1.1 200 OK",
      "Content-Type: application/json",
      `Content-Length: ${body.length}`,
      "X-Moat-Transformed: oauth-scope-workaround",
    ) + body;

  for (const [path, body] of [
    ["/api/oauth/profile", '{"id":"","email":"","name":""}'],
    ["/api/oauth/usage?x=1", '{"usage":{}}'],
  ] as const) {
    test(`answers 403 on ${path}; both connections go on`, () => {
      const { rig, inner, upstream } = ask([oauthEndpointWorkaround], `GET ${path} HTTP/1.1`);
      upstream.says(head("HTTP/1.1 403 Forbidden", "Content-Type: text/html", "Content-Length: 9"), "no");
      expect(inner.heard()).toBe("");
      upstream.says(" access");
      expect(inner.heard()).toBe(canned(body));
      expect(rig.upstreams.released).toHaveLength(1);
      inner.says(NEXT);
      upstream.says(OK);
      expect(inner.heard()).toBe(OK);
      expect(rig.records).toMatchObject([{ status: 200, responseSize: body.length }, { status: 200 }]);
    });
  }

  test("leaves any other answer alone, byte for byte", () => {
    const { inner, upstream } = ask([oauthEndpointWorkaround], "GET /api/oauth/profile HTTP/1.1");
    const answer = `${head("HTTP/1.1 401 Unauthorized", "Content-Length: 2")}no`;
    upstream.says(answer);
    expect(inner.heard()).toBe(answer);
  });

  test("answers HEAD without a body", () => {
    const { rig, inner, upstream } = ask([oauthEndpointWorkaround], "HEAD /api/oauth/usage HTTP/1.1");
    upstream.says(head("HTTP/1.1 403 Forbidden", "Content-Length: 9"));
    expect(inner.heard()).toBe(canned('{"usage":{}}').replace('{"usage":{}}', ""));
    expect(rig.upstreams.released).toHaveLength(1);
    inner.says(NEXT);
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
  });

  test("a 403 that is cut is no answer", () => {
    const { inner, upstream } = ask([oauthEndpointWorkaround], "GET /api/oauth/usage HTTP/1.1");
    upstream.says(`${head("HTTP/1.1 403 Forbidden", "Content-Length: 9")}no`).fin();
    expect(inner.heard()).toBe(
      plainReply("502 Bad Gateway", "the upstream closed the connection without a complete answer\n"),
    );
    expect(inner.state).toBe("open");
  });

  test("a 403 that never ends is 504 or 502 in the end, and not a connection for ever", () => {
    const { rig, inner, upstream } = ask([oauthEndpointWorkaround], "GET /api/oauth/usage HTTP/1.1");
    upstream.says(`${head("HTTP/1.1 403 Forbidden", "Content-Length: 9")}no`);
    rig.pass(900_000);
    expect(inner.heard()).toBe(LATE);
    expect(upstream.state).toBe("destroyed");
  });
});

describe("response-scrub", () => {
  test("hides the token in text, chunked, span by span", async () => {
    const { rig, inner, upstream, heard } = ask([responseScrub]);
    upstream.says(head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"));
    await until(() => heard() !== "");
    expect(heard()).toBe(
      head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"),
    );
    upstream.says("7\r\ndata: 1\r\n");
    expect(inner.heard()).toBe("7\r\ndata: 1\r\n");
    upstream.says("b\r\n the-real-t\r\n");
    expect(inner.heard()).toBe("1\r\n \r\n");
    upstream.says("6\r\noken\n\n\r\n");
    expect(inner.heard()).toBe("c\r\nstub-token\n\n\r\n");
    upstream.says("0\r\n\r\n");
    expect(inner.heard()).toBe("0\r\n\r\n");
    expect(rig.upstreams.released).toHaveLength(1);
    expect(rig.records).toMatchObject([{ status: 200, responseSize: 20, error: undefined }]);
  });

  test("replaces what described the upstream's bytes; the rest of the head stays, hop by hop fields go", () => {
    const { inner, upstream } = ask([responseScrub]);
    upstream.says(
      head(
        "HTTP/1.1 200 Fine",
        "Content-Length: 14",
        'ETag: "a"',
        "Connection: close, X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        `X-Echo: ${REAL}`,
      ) + REAL,
    );
    expect(inner.heard()).toBe(
      `${head("HTTP/1.1 200 Fine", 'ETag: W/"a"', `X-Echo: ${STUB}`, "Transfer-Encoding: chunked")}a\r\n${STUB}\r\n0\r\n\r\n`,
    );
    expect(upstream.state).toBe("destroyed");
    expect(inner.state).toBe("open");
  });

  test("hides the credential that was injected, which the client has no name for", () => {
    const { inner, upstream } = ask([responseScrub], "GET /a HTTP/1.1", {
      credentials: [credential("api.test", "injected-secret", { header: "X-Key" })],
    });
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 15")}injected-secret`);
    expect(inner.heard()).toEndWith("a\r\n[REDACTED]\r\n0\r\n\r\n");
  });

  test("asks the upstream for what it can read, and for no pieces", () => {
    const rig = new SessionRig(transformed([responseScrub]));
    const inner = rig.tunnel();
    inner.says(
      head("GET / HTTP/1.1", "Host: api.test", "Accept-Encoding: br, dcz;q=1, *", "Range: bytes=0-4"),
    );
    expect(rig.dialled().heard()).toBe(
      head("GET / HTTP/1.1", "Host: api.test", "Accept-Encoding: br", "X-Request-Id: req-2"),
    );
  });

  for (const [coding, encode] of [
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
  ] as const) {
    test(`undoes ${coding}; both connections go on`, async () => {
      const { rig, inner, upstream, heard } = ask([responseScrub]);
      const body = latin1(encode(`${"x".repeat(100)}${REAL}${"y".repeat(100)}`));
      upstream.says(
        head("HTTP/1.1 200 OK", `Content-Encoding: ${coding}`, `Content-Length: ${body.length}`) + body,
      );
      await until(() => heard().endsWith("0\r\n\r\n"));
      expect(unchunked(heard())).toBe(
        `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}${"x".repeat(100)}${STUB}${"y".repeat(100)}0\r\n\r\n`,
      );
      expect(rig.upstreams.released).toHaveLength(1);
      inner.says(NEXT);
      upstream.says(OK);
      expect(inner.heard()).toBe(OK);
    });
  }

  test("a coding that it cannot undo is 502, and nothing of the body is sent", () => {
    const { inner, upstream } = ask([responseScrub]);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Encoding: dcz", "Content-Length: 14")}${REAL}`);
    const reply = inner.heard();
    expect(reply).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
    expect(reply).toContain("cannot be searched for secrets");
    expect(reply).not.toContain(REAL);
    expect(upstream.state).toBe("destroyed");
    expect(inner.state).toBe("open");
  });

  test("a body that is not in its coding is never sent as it came, however it is chunked", async () => {
    const { rig, inner, upstream, heard } = ask([responseScrub]);
    const chunk = `e\r\n${REAL}\r\n`;
    upstream.says(
      head("HTTP/1.1 200 OK", "Content-Encoding: gzip", "Transfer-Encoding: chunked") +
        chunk +
        chunk +
        `${chunk}0\r\n\r\n`,
    );
    // Before its head has gone on that is a reply, and after it a cut.
    await until(() => rig.records.length > 0);
    expect(heard()).not.toContain(REAL);
    if (inner.state === "open") expect(heard()).toStartWith("HTTP/1.1 502 ");
    else expect(heard()).not.toContain("0\r\n\r\n");
  });

  test("a gzip body that is cut is a cut for the client", async () => {
    const { rig, inner, upstream, heard } = ask([responseScrub]);
    const body = latin1(gzipSync("x".repeat(1000))).slice(0, -4);
    upstream.says(head("HTTP/1.1 200 OK", "Content-Encoding: gzip", `Content-Length: ${body.length}`) + body);
    await until(() => inner.state !== "open");
    expect(heard()).not.toContain("0\r\n\r\n");
    expect(inner.state).toBe("destroyed");
    expect(rig.records).toHaveLength(1);
    expect(rig.records[0]?.error).toContain("cut short");
  });

  test("an upstream that breaks off in the middle is a cut for the client, and is recorded", () => {
    const { rig, inner, upstream } = ask([responseScrub]);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 50")}hello`).fin();
    expect(inner.heard()).toBe(`${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}5\r\nhello\r\n`);
    expect(inner.state).toBe("destroyed");
    expect(rig.log()).toEqual([
      "connect GET api.test/a 200 error=the upstream closed the connection without a complete answer",
    ]);
  });

  for (const [line, status] of [
    ["HEAD /a HTTP/1.1", "200 OK"],
    ["GET /a HTTP/1.1", "204 No Content"],
    ["GET /a HTTP/1.1", "304 Not Modified"],
  ] as const) {
    test(`an answer ${status} to ${line.slice(0, 4)} has no body`, () => {
      const { rig, inner, upstream } = ask([responseScrub], line);
      upstream.says(head(`HTTP/1.1 ${status}`, "Content-Encoding: gzip", `X-A: ${REAL}`));
      expect(inner.heard()).toBe(head(`HTTP/1.1 ${status}`, `X-A: ${STUB}`));
      expect(rig.upstreams.released).toHaveLength(1);
      inner.says(NEXT);
      upstream.says(OK);
      expect(inner.heard()).toBe(OK);
    });
  }

  test("a body that ends with its connection stays one", () => {
    const { rig, inner, upstream } = ask([responseScrub]);
    upstream.says(head("HTTP/1.1 200 OK", "Content-Type: text/plain"), `${REAL}!`);
    expect(inner.heard()).toBe(
      `${head("HTTP/1.1 200 OK", "Content-Type: text/plain", "Connection: close")}${STUB}!`,
    );
    upstream.fin();
    expect(inner.heard()).toBe("");
    expect(inner.state).toBe("fin");
    expect(rig.upstreams.released).toEqual([]);
    expect(rig.log()).toEqual(["connect GET api.test/a 200"]);
  });

  test("a body that ends with its connection is cut when the connection is", () => {
    const { rig, inner, upstream } = ask([responseScrub]);
    upstream.says(head("HTTP/1.1 200 OK"), "half").reset();
    expect(inner.heard()).toBe(`${head("HTTP/1.1 200 OK", "Connection: close")}half`);
    expect(inner.state).toBe("destroyed");
    expect(rig.records[0]?.error).toContain("without a complete answer");
  });

  test("an HTTP/1.0 client gets the body until its connection ends", () => {
    const { rig, inner, upstream } = ask([responseScrub], "GET /a HTTP/1.0", {}, "Connection: keep-alive");
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 14")}${REAL}`);
    expect(inner.heard()).toBe(`${head("HTTP/1.1 200 OK", "Connection: close")}${STUB}`);
    expect(inner.state).toBe("fin");
    expect(rig.upstreams.released).toHaveLength(1);
  });

  test("trailers come through, without the token and without sums of other bytes", () => {
    const { inner, upstream } = ask([responseScrub]);
    upstream.says(
      `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\nX-T: ${REAL}\r\nContent-Digest: sha-256=:a:\r\n\r\n`,
    );
    expect(inner.heard()).toBe(
      `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\nX-T: ${STUB}\r\n\r\n`,
    );
  });

  test("a host without anything to hide is left alone", () => {
    const { inner, upstream } = ask([responseScrub], "GET /a HTTP/1.1", { more: { substitutions: [] } });
    const answer = `${head("HTTP/1.1 200 OK", "Content-Encoding: dcz", "Content-Length: 2")}ok`;
    upstream.says(answer);
    expect(inner.heard()).toBe(answer);
  });

  describe("and a slow client", () => {
    test("pauses the upstream; what waits is bounded, and all arrives", () => {
      const { rig, inner, upstream, heard } = ask([responseScrub]);
      upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 300000"), "-");
      heard();
      inner.acceptUpTo(1000);
      for (let i = 0; i < 30; i++) upstream.says("x".repeat(9_999) + (i === 29 ? "" : "-"));
      expect(upstream.paused).toBe(true);
      expect(inner.backlog).toBeLessThan(25_000);
      expect(upstream.unread).toBeGreaterThan(250_000);
      for (let i = 0; i < 5; i++) inner.takes(1000);
      expect(upstream.unread).toBeGreaterThan(250_000);
      inner.drain();
      expect(heard()).toEndWith("0\r\n\r\n");
      expect(rig.records[0]).toMatchObject({ responseSize: 300_000, status: 200 });
      expect(rig.upstreams.released).toHaveLength(1);
      expect(upstream.paused).toBe(false);
    });

    test("of a compressed body pauses the upstream too, and all arrives", async () => {
      const { rig, inner, upstream, heard } = ask([responseScrub]);
      const plain = Buffer.alloc(4_000_000, `${REAL} `);
      const body = gzipSync(plain);
      upstream.says(head("HTTP/1.1 200 OK", "Content-Encoding: gzip", `Content-Length: ${body.length}`));
      await until(() => heard() !== "");
      inner.acceptUpTo(1000);
      upstream.says(body);
      await until(() => inner.backlog > 0);
      expect(inner.backlog).toBeLessThan(200_000);
      let size = 0;
      while (rig.records.length === 0) {
        inner.takes(50_000);
        size += inner.heard().length;
        expect(inner.backlog).toBeLessThan(200_000);
        await turnOver();
      }
      inner.drain();
      expect(rig.records).toMatchObject([{ status: 200, error: undefined }]);
      expect(size).toBeGreaterThan(2_500_000);
      expect(rig.upstreams.released).toHaveLength(1);
    });

    test("who leaves in the middle ends the stage and the upstream", async () => {
      const { rig, inner, upstream } = ask([responseScrub]);
      upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 300000"), "x".repeat(1000));
      inner.acceptUpTo(0);
      upstream.says("x".repeat(1000));
      inner.reset();
      expect(upstream.state).toBe("destroyed");
      await turnOver();
      expect(rig.records).toMatchObject([{ status: 200, error: undefined }]);
    });

    test("who leaves in the middle of a compressed body ends the stage and the upstream", async () => {
      const { rig, inner, upstream, heard } = ask([responseScrub]);
      const body = gzipSync(Buffer.alloc(1_000_000, "abc "));
      upstream.says(head("HTTP/1.1 200 OK", "Content-Encoding: gzip", "Content-Length: 9999999"), body);
      await until(() => heard() !== "");
      inner.reset();
      expect(upstream.state).toBe("destroyed");
      for (let turn = 0; turn < 5; turn++) await turnOver();
      expect(rig.records).toMatchObject([{ status: 200, error: undefined }]);
    });
  });
});

describe("an upstream", () => {
  test("that says more than its answer while a stage works on it is not used again", async () => {
    const { rig, inner, upstream, heard } = ask([responseScrub]);
    const body = latin1(gzipSync(REAL));
    upstream.says(head("HTTP/1.1 200 OK", "Content-Encoding: gzip", `Content-Length: ${body.length}`) + body);
    upstream.says("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    await until(() => heard().endsWith("0\r\n\r\n"));
    expect(rig.upstreams.released).toEqual([]);
    expect(upstream.state).toBe("destroyed");
    inner.says(NEXT);
    rig.dialled().says(OK);
    expect(inner.heard()).toBe(OK);
  });

  test("that says more in the same read is not used again either", async () => {
    const { rig, upstream, heard } = ask([() => undefined]);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 2")}okHTTP/1.1 200 OK\r\n`);
    await until(() => heard().endsWith("ok"));
    expect(rig.upstreams.released).toEqual([]);
    expect(upstream.state).toBe("destroyed");
  });

  test("that leaves after its answer, while a stage works on it, has answered", async () => {
    const { rig, inner, upstream, heard } = ask([responseScrub]);
    const body = latin1(gzipSync(REAL));
    upstream
      .says(head("HTTP/1.1 200 OK", "Content-Encoding: gzip", `Content-Length: ${body.length}`) + body)
      .fin();
    await until(() => heard().endsWith("0\r\n\r\n"));
    expect(unchunked(heard())).toEndWith(`\r\n\r\n${STUB}0\r\n\r\n`);
    expect(inner.state).toBe("open");
    expect(rig.log()).toEqual(["connect GET api.test/a 200"]);
  });
});

describe("a function", () => {
  test("that declines leaves the answer, byte for byte, and both connections", async () => {
    const { rig, inner, upstream, heard } = ask([() => undefined]);
    const answer = `${head("HTTP/1.1 200 Fine", "X-odd:  1", "Set-Cookie: a", "Set-Cookie: b", "Content-Length: 5")}hello`;
    upstream.says(answer);
    await until(() => heard().endsWith("hello"));
    expect(heard()).toBe(answer.replace("X-odd:  1", "X-odd: 1"));
    expect(rig.upstreams.released).toHaveLength(1);
    inner.says(NEXT);
    upstream.says(OK);
    await until(() => heard() === answer.replace("X-odd:  1", "X-odd: 1") + OK);
    expect(rig.records).toHaveLength(2);
  });

  test("that answers is heard instead", async () => {
    const { rig, inner, upstream, heard } = ask([
      async (request, response) =>
        Response.json(
          { url: request.url, was: response.status, said: await response.text() },
          { status: 418 },
        ),
    ]);
    upstream.says(`${head("HTTP/1.1 403 Forbidden", "Content-Length: 2")}no`);
    await until(() => heard().endsWith("0\r\n\r\n"));
    const body = '{"url":"https://api.test/a","was":403,"said":"no"}';
    const start = heard().slice(0, heard().indexOf("\r\n\r\n"));
    expect(start).toStartWith("HTTP/1.1 418 ");
    expect(start.toLowerCase()).toContain("content-type: application/json");
    expect(start).toEndWith("Transfer-Encoding: chunked");
    expect(unchunked(heard())).toEndWith(`\r\n\r\n${body}0\r\n\r\n`);
    expect(rig.upstreams.released).toHaveLength(1);
    expect(rig.records[0]).toMatchObject({ status: 418, responseSize: body.length });
    expect(inner.state).toBe("open");
  });

  test("that answers with no interest in the body does not keep the upstream waiting", async () => {
    const { rig, inner, upstream, heard } = ask([() => new Response(null, { status: 202 })]);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 500000")}x`);
    await until(() => heard().includes("\r\n\r\n"));
    expect(heard()).toBe(head("HTTP/1.1 202 Accepted", "Content-Length: 0"));
    expect(rig.upstreams.released).toEqual([]);
    expect(upstream.state).toBe("destroyed");
    inner.says(NEXT);
    rig.dialled().says(OK);
    await until(() => rig.records.length === 2);
    const answer = head("HTTP/1.1 202 Accepted", "Content-Length: 0");
    expect(heard()).toBe(answer + answer);
  });

  for (const [what, bad] of [
    [
      "throws",
      () => {
        throw new Error("oops");
      },
    ],
    ["rejects", () => Promise.reject(new Error("oops"))],
    ["returns what is no Response", () => ({ status: 200 }) as unknown as Response],
    ["answers with a body that fails at once", () => new Response(failing())],
    ["answers 101", () => Response.error()],
  ] as const) {
    test(`that ${what} is 502 and nothing else, and the connection goes on`, async () => {
      const { rig, inner, upstream, heard } = ask([bad, () => new Response("the next one is not asked")]);
      upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 14")}${REAL}`);
      await until(() => heard() !== "");
      expect(heard()).toBe(FAILED);
      expect(upstream.state).toBe("destroyed");
      expect(rig.records).toHaveLength(1);
      expect(rig.records[0]?.error).toStartWith("a response transformer failed");
      inner.says(NEXT);
      rig.dialled().says(OK);
      await until(() => heard().length > FAILED.length);
      expect(heard()).toStartWith(FAILED);
    });
  }

  function failing(): ReadableStream<Uint8Array> {
    return new ReadableStream({
      start(controller) {
        controller.error(new Error("oops"));
      },
    });
  }

  test("that never answers is 502, 30 s after the upstream's last byte", async () => {
    const { rig, inner, upstream, heard } = ask([() => new Promise(() => undefined)]);
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 14"), REAL.slice(1));
    await until(() => true);
    rig.pass(60_000);
    expect(heard()).toBe("");
    upstream.says("x");
    rig.pass(29_999);
    expect(heard()).toBe("");
    rig.pass(1);
    expect(heard()).toBe(LATE);
    expect(inner.state).toBe("open");
    expect(upstream.state).toBe("destroyed");
    expect(rig.log()).toEqual([
      "connect GET api.test/a 502 error=a response transformer did not answer in time",
    ]);
  });

  test("that never answers is not given more time by bytes that nobody asked for", async () => {
    const { rig, upstream, heard } = ask([() => new Promise(() => undefined)]);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`);
    await until(() => true);
    rig.pass(20_000);
    upstream.says("more");
    rig.pass(10_000);
    expect(heard()).toBe(LATE);
  });

  test("that reads a long body is not too late as long as the body comes", async () => {
    const { rig, upstream, heard } = ask([async (_, response) => new Response(await response.bytes())]);
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 4"));
    for (const byte of "okay") {
      rig.pass(800_000);
      upstream.says(byte);
      await until(() => true);
    }
    await until(() => heard().endsWith("0\r\n\r\n"));
    expect(unchunked(heard())).toEndWith("\r\n\r\nokay0\r\n\r\n");
  });

  test("that never answers while the upstream is silent is 502 at the upstream's deadline", async () => {
    const { rig, upstream, heard } = ask([() => new Promise(() => undefined)], undefined, {
      more: {},
    });
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 2"));
    await until(() => true);
    rig.pass(899_999);
    expect(heard()).toBe("");
    rig.pass(1);
    expect(heard()).toBe(LATE);
  });

  test("cannot make a wrong Content-Length: the proxy frames its answer", async () => {
    const { inner, upstream, heard } = ask([
      () => new Response("hello", { headers: { "Content-Length": "2", "X-A": "1" } }),
    ]);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`);
    await until(() => heard().endsWith("0\r\n\r\n"));
    expect(heard()).not.toContain("Content-Length");
    expect(unchunked(heard())).toEndWith("\r\n\r\nhello0\r\n\r\n");
    expect(inner.state).toBe("open");
  });

  const trailed = `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\nX-T: 1\r\nContent-Digest: x\r\n\r\n`;
  const trailers: readonly (readonly [what: string, fn: ResponseTransformer, kept: boolean])[] = [
    ["answers itself", async (_, response) => new Response(await response.bytes()), false],
    ["declines", () => undefined, true],
    ["changes the headers", (_, response) => response, true],
  ];
  for (const [what, fn, kept] of trailers) {
    test(`that ${what} ${kept ? "leaves" : "gets none of"} the upstream's trailers, but for sums of bytes`, async () => {
      const { rig, upstream, heard } = ask([fn]);
      upstream.says(trailed);
      await until(() => rig.records.length > 0);
      expect(heard()).toEndWith(kept ? "\r\n0\r\nX-T: 1\r\n\r\n" : "\r\n0\r\n\r\n");
      expect(rig.upstreams.released).toHaveLength(1);
    });
  }

  test("is shown no field that was the upstream connection's own business, nor is the client", async () => {
    let shown: string | null | undefined;
    const { upstream, heard } = ask([
      (_, response) => {
        shown = response.headers.get("x-hop");
        return response;
      },
    ]);
    upstream.says(
      `${head("HTTP/1.1 200 OK", "Connection: X-Hop", "X-Hop: 1", "X-End: 2", "Content-Length: 2")}ok`,
    );
    await until(() => heard().endsWith("ok"));
    expect(shown).toBeNull();
    expect(heard()).toBe(`${head("HTTP/1.1 200 OK", "X-End: 2", "Content-Length: 2")}ok`);
  });

  test("sees the request as the client sent it, without the secrets and the proxy's own fields", async () => {
    const seen: Record<string, string>[] = [];
    const rig = new SessionRig(
      transformed([(request) => void seen.push(Object.fromEntries(request.headers))], {
        credentials: [credential("api.test", "injected-secret", { header: "X-Key" })],
      }),
    );
    const inner = rig.tunnel();
    inner.says(
      head(
        "GET / HTTP/1.1",
        "Host: api.test",
        `Authorization: ${STUB}`,
        "Proxy-Authorization: Bearer t",
        "X-Key: mine",
        "Accept-Encoding: br",
      ),
    );
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head(
        "GET / HTTP/1.1",
        "Host: api.test",
        `Authorization: ${REAL}`,
        "X-Key: injected-secret",
        "Accept-Encoding: identity",
        "X-Request-Id: req-2",
      ),
    );
    upstream.says(OK);
    await until(() => seen.length > 0);
    expect(seen).toEqual([
      { host: "api.test", authorization: STUB, "x-key": "mine", "accept-encoding": "br" },
    ]);
  });

  test("of a client that leaves is told so, and what it answers later is ignored", async () => {
    let reason: unknown;
    const late = Promise.withResolvers<Response>();
    const { rig, inner, upstream } = ask([
      (_, response) => {
        response.text().catch((error: unknown) => {
          reason = error;
        });
        return late.promise;
      },
    ]);
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 14"), "x");
    await until(() => true);
    inner.reset();
    await until(() => reason !== undefined);
    late.resolve(new Response("late"));
    await until(() => true);
    expect(upstream.state).toBe("destroyed");
    expect(rig.records).toMatchObject([{ status: 0, error: undefined }]);
  });

  test("whose upstream breaks off has failed, before its answer with a reply", async () => {
    const { inner, upstream, heard } = ask([async (_, response) => new Response(await response.bytes())]);
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 14"), "x").fin();
    await until(() => heard() !== "");
    expect(heard()).toBe(
      plainReply("502 Bad Gateway", "the upstream closed the connection without a complete answer\n"),
    );
    expect(inner.state).toBe("open");
  });

  test("whose stream fails in the middle is a cut for the client", async () => {
    let send: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        send = controller;
      },
    });
    const { rig, inner, upstream, heard } = ask([() => new Response(body)]);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`);
    send?.enqueue(Buffer.from("half"));
    await until(() => heard().includes("half"));
    send?.error(new Error("oops"));
    await until(() => inner.state !== "open");
    expect(inner.state).toBe("destroyed");
    expect(heard()).not.toContain("0\r\n\r\n");
    expect(rig.log()).toEqual(["connect GET api.test/a 200 error=a response transformer failed: oops"]);
  });

  test("behind which a built-in one stands leaves the answer to it", async () => {
    const { upstream, heard } = ask([() => undefined, responseScrub]);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 14")}${REAL}`);
    await until(() => heard().endsWith("0\r\n\r\n"));
    expect(unchunked(heard())).toBe(
      `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}${STUB}0\r\n\r\n`,
    );
  });
});

describe("a built-in transformer that fails while it is given bytes", () => {
  const failing: Transformer = {
    begin: (_context, _head, sink) => ({
      write() {
        sink.onStageFailed(new ProxyError("bad-response", "cannot be searched"));
        return true;
      },
      end() {},
      abort() {},
      pause() {},
      resume() {},
    }),
  };
  const chunk = `e\r\n${REAL}\r\n`;
  const rests: readonly (readonly [string, string])[] = [
    ["more chunks", chunk + chunk],
    ["the end", "0\r\n\r\n"],
    ["what looks like an answer", "0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"],
  ];
  for (const [what, rest] of rests) {
    test(`is 502, and nothing of what was read with it is passed on: ${what}`, () => {
      const { rig, inner, upstream } = ask([failing]);
      upstream.says(head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + chunk + rest);
      expect(inner.heard()).toBe(plainReply("502 Bad Gateway", "cannot be searched\n"));
      expect(upstream.state).toBe("destroyed");
      expect(rig.log()).toEqual(["connect GET api.test/a 502 error=cannot be searched"]);
    });
  }
});

describe("a transformer whose head announces a length", () => {
  /** Announces five bytes, gives what it is told to with the end, and notes whether it was aborted. */
  class Announcing implements Transformer {
    aborted = 0;
    readonly #gives: string;

    constructor(gives: string) {
      this.#gives = gives;
    }

    begin(_context: TransformContext, came: ResponseHead, sink: StageSink): BodyStage {
      came.headers.set("Content-Length", "5");
      return {
        write: () => true,
        end: () => {
          sink.onStageHead(came);
          if (this.#gives !== "") sink.onStageBytes(Buffer.from(this.#gives));
          if (this.aborted === 0) sink.onStageEnd();
        },
        abort: () => {
          this.aborted++;
        },
        pause() {},
        resume() {},
      };
    }
  }

  const ANSWER = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;
  const ANNOUNCED = head("HTTP/1.1 200 OK", "Content-Length: 5");

  test("and keeps to it is passed on", () => {
    const stage = new Announcing("hello");
    const { rig, inner, upstream } = ask([stage]);
    upstream.says(ANSWER);
    expect(inner.heard()).toBe(`${ANNOUNCED}hello`);
    expect([inner.state, stage.aborted]).toEqual(["open", 0]);
    expect(rig.upstreams.released).toHaveLength(1);
  });

  for (const [what, gives] of [
    ["more", "helloHTTP/1.1 200 OK"],
    ["less", "hell"],
    ["nothing", ""],
  ] as const) {
    test(`and gives ${what} is cut: no byte of it is taken for the next answer`, () => {
      const stage = new Announcing(gives);
      const { rig, inner, upstream, heard } = ask([stage]);
      inner.says(NEXT);
      upstream.says(ANSWER);
      expect(ANNOUNCED + gives.slice(0, 5)).toStartWith(heard());
      expect([inner.state, upstream.state, stage.aborted]).toEqual(["destroyed", "destroyed", 1]);
      const how = what === "more" ? "more" : "less";
      expect(rig.log()).toEqual([
        `connect GET api.test/a 200 error=a response transformer failed: it gave ${how} bytes than its Content-Length announced`,
      ]);
    });
  }

  test("gives no body to HEAD and 304, whatever it announces", () => {
    for (const [line, status] of [
      ["HEAD /a HTTP/1.1", "200 OK"],
      ["GET /a HTTP/1.1", "304 Not Modified"],
    ] as const) {
      const { inner, upstream } = ask([new Announcing("")], line);
      upstream.says(head(`HTTP/1.1 ${status}`, "Content-Length: 2"));
      expect(inner.heard()).toBe(head(`HTTP/1.1 ${status}`, "Content-Length: 5"));
      expect(inner.state).toBe("open");
    }
  });

  const ends: readonly (readonly [what: string, end: (asked: Asked) => void])[] = [
    ["the client leaves", ({ inner }) => inner.reset()],
    ["the upstream breaks off", ({ upstream }) => void upstream.fin()],
    ["its time is over", ({ rig }) => rig.pass(900_000)],
    ["the proxy is killed", ({ rig }) => rig.kill()],
  ];
  for (const [what, end] of ends) {
    test(`is aborted once when ${what}`, () => {
      const stage = new Announcing("hello");
      const asked = ask([stage]);
      asked.upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 2")}o`);
      end(asked);
      expect(stage.aborted).toBe(1);
      expect(asked.upstream.closed).toBe(true);
      expect(asked.rig.records).toHaveLength(1);
    });
  }

  test("lets interim answers through before it", () => {
    const { inner, upstream } = ask([new Announcing("hello")]);
    const hints = head("HTTP/1.1 103 Early Hints", "Link: <a>");
    upstream.says(hints);
    expect(inner.heard()).toBe(hints);
    upstream.says(ANSWER);
    expect(inner.heard()).toBe(`${ANNOUNCED}hello`);
  });
});

describe("a credential that the upstream has refused", () => {
  const cases: readonly (readonly [
    what: string,
    path: string,
    said: number,
    by: AnyTransformer,
    n: number,
  ])[] = [
    ["is fetched anew when a function makes another answer of the 401", "/a", 401, teapot, 1],
    ["is fetched anew when the 403 is passed on", "/a", 403, responseScrub, 1],
    [
      "is kept when the 403 was about its scope, and the workaround answers",
      "/api/oauth/usage",
      403,
      oauthEndpointWorkaround,
      0,
    ],
    ["is kept when it was a function that refused", "/a", 200, () => new Response(null, { status: 403 }), 0],
  ];
  for (const [what, path, said, transformer, n] of cases) {
    test(what, async () => {
      let refusals = 0;
      const slot = Object.assign(new ScriptedSlot("injected"), { invalidate: () => void refusals++ });
      const { rig, upstream } = ask([transformer], `GET ${path} HTTP/1.1`, {
        credentials: [credential("api.test", slot)],
        more: { substitutions: [] },
      });
      upstream.says(`${head(`HTTP/1.1 ${said} X`, "Content-Length: 2")}no`);
      await until(() => rig.records.length > 0);
      expect(refusals).toBe(n);
    });
  }

  function teapot(): Response {
    return new Response(null, { status: 418 });
  }
});

describe("pipelined requests", () => {
  test("behind an answer that fails with the upstream's last word get their own connection back to the pool", () => {
    const { rig, inner, upstream } = ask([responseScrub]);
    const idle = rig.upstreams.putIdle(rig.run, rig.target("https://api.test:443"), 0);
    inner.says(NEXT);
    // One byte is no deflate body, and the end of the connection is when that is known.
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Encoding: deflate")}x`).fin();
    const reply = inner.heard();
    expect(reply).toStartWith("HTTP/1.1 502 ");
    expect(idle.heard()).toBe(head("GET /next HTTP/1.1", "Host: api.test", "X-Request-Id: req-3"));
    idle.says(OK);
    expect(inner.heard()).toBe(OK);
    expect(rig.upstreams.released.map(({ wire }) => wire)).toEqual([idle]);
  });

  test("are answered in order, however long a function takes over the first", async () => {
    const first = Promise.withResolvers<Response>();
    const { inner, upstream, heard } = ask([
      (request) => (request.url.endsWith("/a") ? first.promise : new Response("second")),
    ]);
    inner.says(NEXT);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`);
    await until(() => true);
    expect(heard()).toBe("");
    expect(upstream.heard()).toBe("");
    first.resolve(new Response("first"));
    await until(() => heard().endsWith("0\r\n\r\n"));
    expect(upstream.heard()).toBe(head("GET /next HTTP/1.1", "Host: api.test", "X-Request-Id: req-3"));
    upstream.says(OK);
    await until(() => heard().includes("second"));
    expect(heard().indexOf("first")).toBeLessThan(heard().indexOf("second"));
  });

  test("behind a scrubbed answer wait for it", () => {
    const { inner, upstream, heard } = ask([responseScrub]);
    inner.says(NEXT);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 14")}${REAL}`);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 14")}${REAL}`);
    const one = `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}a\r\n${STUB}\r\n0\r\n\r\n`;
    expect(heard()).toBe(one + one);
  });
});

describe("a request body still on its way", () => {
  test("goes on to the upstream while the answer is being made", async () => {
    const { rig, inner, upstream, heard } = ask(
      [responseScrub],
      "POST /a HTTP/1.1",
      {},
      "Content-Length: 100000",
    );
    inner.says("x".repeat(50_000));
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 14")}${REAL}`);
    expect(heard()).toEndWith("0\r\n\r\n");
    inner.says("x".repeat(50_000));
    expect(upstream.heard()).toBe("x".repeat(100_000));
    expect(rig.upstreams.released).toHaveLength(1);
    expect(rig.records).toMatchObject([{ requestSize: 100_000 }]);
  });
});
