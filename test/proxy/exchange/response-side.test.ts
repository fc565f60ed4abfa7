// Answers on their way down: framing for what the client speaks, every span as it comes, and what may follow.
// RFC 9112 section 6.3, wire.md section 4.
import { afterEach, describe, expect, test } from "bun:test";
import type { FakeWire } from "../../support/fake-wire.ts";
import { finishRigs, head, SessionRig } from "../../support/session-rig.ts";

afterEach(finishRigs);

interface Asked {
  readonly rig: SessionRig;
  readonly client: FakeWire;
  readonly upstream: FakeWire;
}

/** A request under way, its head already at the upstream. */
function ask(method = "GET", version = "HTTP/1.1", ...fields: readonly string[]): Asked {
  const rig = new SessionRig();
  rig.client.says(head(`${method} http://api.test/a ${version}`, "Host: api.test", ...fields));
  const upstream = rig.dialled();
  upstream.heard();
  return { rig, client: rig.client, upstream };
}

type End = "open" | "fin";

interface Case {
  readonly name: string;
  readonly method?: string;
  readonly version?: string;
  readonly fields?: readonly string[];
  /** What the upstream says; `FIN` for its FIN. */
  readonly answer: readonly string[];
  /** What the client hears, whole. */
  readonly heard: string;
  readonly status: number;
  readonly size: number;
  /** How the client's connection stands afterwards. */
  readonly client: End;
  /** The upstream's connection went back to the pool. */
  readonly reused: boolean;
}

const CASES: readonly Case[] = [
  {
    name: "Content-Length stays",
    answer: [head("HTTP/1.1 200 OK", "Content-Length: 5"), "hello"],
    heard: `${head("HTTP/1.1 200 OK", "Content-Length: 5")}hello`,
    status: 200,
    size: 5,
    client: "open",
    reused: true,
  },
  {
    name: "Content-Length: 0",
    answer: [head("HTTP/1.1 500 Oh no", "Content-Length: 0")],
    heard: head("HTTP/1.1 500 Oh no", "Content-Length: 0"),
    status: 500,
    size: 0,
    client: "open",
    reused: true,
  },
  {
    name: "no reason phrase",
    answer: [head("HTTP/1.1 200 ", "Content-Length: 0")],
    heard: head("HTTP/1.1 200 ", "Content-Length: 0"),
    status: 200,
    size: 0,
    client: "open",
    reused: true,
  },
  {
    name: "chunked stays chunked, chunk by chunk",
    answer: [head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), "5\r\nhello\r\n", "0\r\n\r\n"],
    heard: `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}5\r\nhello\r\n0\r\n\r\n`,
    status: 200,
    size: 5,
    client: "open",
    reused: true,
  },
  {
    name: "chunk extensions go",
    answer: [head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), "5;a=b\r\nhello\r\n0;c\r\n\r\n"],
    heard: `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}5\r\nhello\r\n0\r\n\r\n`,
    status: 200,
    size: 5,
    client: "open",
    reused: true,
  },
  {
    name: "trailers are carried, but none that would change the head",
    answer: [
      head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Trailer: X-Sum"),
      "2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a\r\nX-More: 2\r\n\r\n",
    ],
    heard:
      head("HTTP/1.1 200 OK", "Trailer: X-Sum", "Transfer-Encoding: chunked") +
      "2\r\nok\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n",
    status: 200,
    size: 2,
    client: "open",
    reused: true,
  },
  {
    name: "close-delimited stays so: an end that nobody authenticated is not certified by a last chunk",
    answer: [head("HTTP/1.1 200 OK", "Content-Type: a/b"), "hello", "world", "FIN"],
    heard: `${head("HTTP/1.1 200 OK", "Content-Type: a/b", "Connection: close")}helloworld`,
    status: 200,
    size: 10,
    client: "fin",
    reused: false,
  },
  {
    name: "an HTTP/1.0 answer becomes HTTP/1.1",
    answer: [head("HTTP/1.0 200 OK", "Content-Length: 2"), "ok"],
    heard: `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`,
    status: 200,
    size: 2,
    client: "open",
    reused: false,
  },
  {
    name: "an HTTP/1.0 answer with keep-alive is worth keeping",
    answer: [head("HTTP/1.0 200 OK", "Connection: keep-alive", "Content-Length: 2"), "ok"],
    heard: `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`,
    status: 200,
    size: 2,
    client: "open",
    reused: true,
  },
  {
    name: "Connection: close of the upstream is its own business",
    answer: [head("HTTP/1.1 200 OK", "Connection: close, X-Hop", "X-Hop: 1", "Content-Length: 2"), "ok"],
    heard: `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`,
    status: 200,
    size: 2,
    client: "open",
    reused: false,
  },
  {
    name: "hop-by-hop fields of the upstream go",
    answer: [
      head(
        "HTTP/1.1 200 OK",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "Upgrade: h2c",
        "X-A: 1",
        "Content-Length: 0",
      ),
    ],
    heard: head("HTTP/1.1 200 OK", "X-A: 1", "Content-Length: 0"),
    status: 200,
    size: 0,
    client: "open",
    reused: true,
  },
  {
    name: "Content-Length for HTTP/1.0 closes",
    version: "HTTP/1.0",
    answer: [head("HTTP/1.1 200 OK", "Content-Length: 2"), "ok"],
    heard: `${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`,
    status: 200,
    size: 2,
    client: "fin",
    reused: true,
  },
  {
    name: "Content-Length for HTTP/1.0 with keep-alive",
    version: "HTTP/1.0",
    fields: ["Connection: keep-alive"],
    answer: [head("HTTP/1.1 200 OK", "Content-Length: 2"), "ok"],
    heard: `${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: keep-alive")}ok`,
    status: 200,
    size: 2,
    client: "open",
    reused: true,
  },
  {
    name: "chunked becomes close-delimited for HTTP/1.0",
    version: "HTTP/1.0",
    fields: ["Connection: keep-alive"],
    answer: [head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), "5\r\nhello\r\n", "0\r\nX-T: 1\r\n\r\n"],
    heard: `${head("HTTP/1.1 200 OK", "Connection: close")}hello`,
    status: 200,
    size: 5,
    client: "fin",
    reused: true,
  },
  {
    name: "close-delimited stays so for HTTP/1.0",
    version: "HTTP/1.0",
    fields: ["Connection: keep-alive"],
    answer: [head("HTTP/1.1 200 OK"), "hel", "lo", "FIN"],
    heard: `${head("HTTP/1.1 200 OK", "Connection: close")}hello`,
    status: 200,
    size: 5,
    client: "fin",
    reused: false,
  },
  {
    name: "HEAD has no body, whatever Content-Length says",
    method: "HEAD",
    answer: [head("HTTP/1.1 200 OK", "Content-Length: 5000")],
    heard: head("HTTP/1.1 200 OK", "Content-Length: 5000"),
    status: 200,
    size: 0,
    client: "open",
    reused: true,
  },
  {
    name: "HEAD without a length has no body either",
    method: "HEAD",
    answer: [head("HTTP/1.1 200 OK", "X-A: 1")],
    heard: head("HTTP/1.1 200 OK", "X-A: 1"),
    status: 200,
    size: 0,
    client: "open",
    reused: true,
  },
  {
    name: "204 has no body",
    answer: [head("HTTP/1.1 204 No Content", "X-A: 1")],
    heard: head("HTTP/1.1 204 No Content", "X-A: 1"),
    status: 204,
    size: 0,
    client: "open",
    reused: true,
  },
  {
    name: "304 keeps the length of what it stands for",
    answer: [head("HTTP/1.1 304 Not Modified", "Content-Length: 5000", "ETag: x")],
    heard: head("HTTP/1.1 304 Not Modified", "Content-Length: 5000", "ETag: x"),
    status: 304,
    size: 0,
    client: "open",
    reused: true,
  },
  {
    name: "1xx are forwarded to HTTP/1.1, each at once",
    answer: [
      head("HTTP/1.1 100 Continue"),
      head("HTTP/1.1 103 Early Hints", "Link: <a>", "Connection: x", "X: 1"),
      `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`,
    ],
    heard:
      head("HTTP/1.1 100 Continue") +
      head("HTTP/1.1 103 Early Hints", "Link: <a>") +
      `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`,
    status: 200,
    size: 2,
    client: "open",
    reused: true,
  },
  {
    name: "1xx are not forwarded to HTTP/1.0",
    version: "HTTP/1.0",
    answer: [
      head("HTTP/1.1 100 Continue") + head("HTTP/1.1 103 Early Hints", "Link: <a>"),
      `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`,
    ],
    heard: `${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`,
    status: 200,
    size: 2,
    client: "fin",
    reused: true,
  },
  {
    name: "a redirect is passed on, not followed",
    answer: [head("HTTP/1.1 302 Found", "Location: http://evil.test/", "Content-Length: 0")],
    heard: head("HTTP/1.1 302 Found", "Location: http://evil.test/", "Content-Length: 0"),
    status: 302,
    size: 0,
    client: "open",
    reused: true,
  },
  {
    name: "leftover bytes behind an answer poison the upstream",
    answer: [`${head("HTTP/1.1 200 OK", "Content-Length: 2")}okHTTP/1.1 200 OK\r\n`],
    heard: `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`,
    status: 200,
    size: 2,
    client: "open",
    reused: false,
  },
  {
    name: "leftover bytes behind a HEAD answer poison the upstream",
    method: "HEAD",
    answer: [`${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`],
    heard: head("HTTP/1.1 200 OK", "Content-Length: 2"),
    status: 200,
    size: 0,
    client: "open",
    reused: false,
  },
  {
    name: "leftover bytes behind the last chunk poison the upstream",
    answer: [`${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\n\r\nX`],
    heard: `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\n\r\n`,
    status: 200,
    size: 2,
    client: "open",
    reused: false,
  },
  {
    name: "an answer and the FIN behind it are an answer",
    answer: [`${head("HTTP/1.1 200 OK", "Content-Length: 2")}o`, "k", "FIN"],
    heard: `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`,
    status: 200,
    size: 2,
    client: "open",
    reused: true,
  },
];

describe("an answer", () => {
  for (const one of CASES) {
    test(one.name, () => {
      const { rig, client, upstream } = ask(one.method, one.version, ...(one.fields ?? []));
      let heard = "";
      for (const piece of one.answer) {
        if (piece === "FIN") upstream.fin();
        else upstream.says(piece);
        heard += client.heard();
      }
      expect(heard).toBe(one.heard);
      expect(client.state).toBe(one.client);
      expect(rig.upstreams.released.length === 1).toBe(one.reused);
      expect(rig.records.map(({ status, responseSize }) => [status, responseSize])).toEqual([
        [one.status, one.size],
      ]);
    });

    test(`${one.name} (byte by byte)`, () => {
      const { rig, client, upstream } = ask(one.method, one.version, ...(one.fields ?? []));
      for (const piece of one.answer) {
        if (piece === "FIN") upstream.fin();
        else upstream.saysByteByByte(piece);
      }
      const heard = client.heard();
      expect(body(heard)).toBe(body(one.heard));
      expect(client.state).toBe(one.client);
      expect(rig.records.map(({ status, responseSize }) => [status, responseSize])).toEqual([
        [one.status, one.size],
      ]);
    });
  }

  /** Heads and bodies, chunk borders removed: they fall where the bytes were cut. */
  function body(text: string): string {
    return text.replace(/\r\n[0-9a-f]+\r\n(?!\r\n)|(?<=[a-z])\r\n[0-9a-f]+\r\n/g, "");
  }

  test("each span is passed on when it comes", () => {
    const { rig, client, upstream } = ask();
    upstream.says(head("HTTP/1.1 200 OK", "Content-Type: text/event-stream"));
    expect(client.heard()).toBe(
      head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Connection: close"),
    );
    for (const event of ["data: 1\n\n", "data: 2\n\n"]) {
      upstream.says(event);
      expect(client.heard()).toBe(event);
    }
    upstream.fin();
    expect(client.heard()).toBe("");
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("head and first body bytes leave in one write", () => {
    const { rig, client, upstream } = ask();
    upstream.says(`${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\n\r\n`);
    expect(client.writes).toHaveLength(1);
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("what the upstream announces in Keep-Alive goes to the pool", () => {
    const { rig, upstream } = ask();
    upstream.says(head("HTTP/1.1 200 OK", "Keep-Alive: max=100, timeout=7", "Content-Length: 0"));
    expect(rig.upstreams.released).toEqual([{ wire: upstream, keepAliveMs: 7_000 }]);
  });
});

describe("a slow client", () => {
  test("pauses the upstream; what is at hand is all that waits", () => {
    const { rig, client, upstream } = ask();
    upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 30000"));
    client.heard();
    client.acceptUpTo(4_000);
    upstream.says("a".repeat(10_000), "b".repeat(10_000), "c".repeat(10_000));
    expect(client.heard()).toBe("a".repeat(4_000));
    expect(upstream.paused).toBe(true);
    expect(client.backlog).toBe(6_000);
    expect(upstream.unread).toBe(20_000);
    client.takes(8_000);
    expect(client.heard()).toBe("a".repeat(6_000) + "b".repeat(2_000));
    expect(upstream.unread).toBe(10_000);
    client.drain();
    expect(client.heard()).toBe("b".repeat(8_000) + "c".repeat(10_000));
    expect(upstream.paused).toBe(false);
    expect(rig.records[0]).toMatchObject({ responseSize: 30_000, status: 200 });
  });

  test("gets all of a close-delimited answer before its connection ends", () => {
    const { rig, client, upstream } = ask("GET", "HTTP/1.0");
    client.acceptUpTo(10);
    upstream.says(`${head("HTTP/1.1 200 OK")}hello`).fin();
    expect(client.state).toBe("open");
    client.drain();
    expect(client.heard()).toBe(`${head("HTTP/1.1 200 OK", "Connection: close")}hello`);
    expect(client.state).toBe("fin");
    expect(rig.log()).toEqual(["http GET api.test/a 200"]);
  });

  test("does not keep the upstream from being used again", () => {
    const { rig, client, upstream } = ask();
    client.acceptUpTo(10);
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`);
    expect(rig.upstreams.released).toHaveLength(1);
    expect(upstream.paused).toBe(false);
    client.drain();
    expect(client.heard()).toBe(`${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`);
  });
});
