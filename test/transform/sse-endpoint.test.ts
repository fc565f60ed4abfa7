// The endpoint event rewritten, everything else byte for byte, and nothing held longer than it has to be. Against a
// plain oracle on whole streams.

import { describe, expect, test } from "bun:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { type EndpointRewrite, endpointRewriter } from "../../src/transform/sse-endpoint.ts";
import { randomSplit, seeded } from "../http1/support.ts";
import { feed, fieldsOf, RecordingSink, responseHead, transformContext } from "../support/stage-sink.ts";

const SSE = { "Content-Type": "text/event-stream" };
const underRelay: EndpointRewrite = (data) => (data.startsWith("/") ? `/mcp/one${data}` : undefined);

function begun(
  fields: Readonly<Record<string, string>> = SSE,
  status = 200,
  rewrite = underRelay,
  method = "GET",
) {
  const sink = new RecordingSink();
  const head = responseHead(status, fields);
  return { sink, head, stage: endpointRewriter(rewrite).begin(transformContext({ method }), head, sink) };
}

function passed(pieces: Iterable<Uint8Array>, rewrite = underRelay): RecordingSink {
  const { sink, stage } = begun(SSE, 200, rewrite);
  for (const piece of pieces) stage?.write(piece);
  stage?.end();
  expect(sink.breaches).toEqual([]);
  return sink;
}

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
const bytewise = (text: string): Uint8Array[] => [...bytes(text)].map((byte) => Uint8Array.of(byte));

describe("endpointRewriter: which answers", () => {
  const others: readonly (readonly [fields: Record<string, string>, status: number])[] = [
    [SSE, 201],
    [SSE, 404],
    [{}, 200],
    [{ "Content-Type": "text/plain" }, 200],
    [{ "Content-Type": "text/event-streams" }, 200],
    [{ ...SSE, "Content-Encoding": "unheard-of" }, 200],
  ];
  test.each(others)("%j with %d is left alone, its head untouched", (fields, status) => {
    const { head, stage } = begun(fields, status);
    expect(stage).toBeUndefined();
    expect(head.headers.size).toBe(Object.keys(fields).length);
  });

  test("of an event stream the head comes at once, without a length", async () => {
    const { sink } = begun({
      "Content-Type": "Text/Event-Stream; charset=utf-8",
      "Content-Length": "9",
      "X-A": "b",
    });
    await sink.until(() => sink.head !== undefined);
    expect(fieldsOf(sink.head)).toEqual(["Content-Type: Text/Event-Stream; charset=utf-8", "X-A: b"]);
  });

  test("HEAD gets that head, coded or not", () => {
    const { sink, stage } = begun({ ...SSE, "Content-Encoding": "unheard-of" }, 200, underRelay, "HEAD");
    stage?.end();
    expect(fieldsOf(sink.head)).toEqual(["Content-Type: text/event-stream"]);
    expect(sink.ended).toBe(true);
  });

  test.each([
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
  ] as const)("a stream in %s is rewritten too, and goes on without a coding", async (coding, encode) => {
    const { sink, stage } = begun({ ...SSE, "Content-Encoding": coding });
    if (stage === undefined) throw new Error("left alone");
    await feed(stage, sink, [encode("event: endpoint\ndata: /x\n\n")]);
    expect(sink.text).toBe("event: endpoint\ndata: /mcp/one/x\n\n");
    expect(sink.head?.headers.has("content-encoding")).toBe(false);
  });
});

describe("endpointRewriter: the grammar", () => {
  const BOM = "\u00ef\u00bb\u00bf";
  const E = "event: endpoint";
  const rewritten: readonly (readonly [says: string, stream: string, out: string])[] = [
    ["LF", `${E}\ndata: /x?s=1\n\n`, `${E}\ndata: /mcp/one/x?s=1\n\n`],
    ["CRLF", `${E}\r\ndata: /x\r\n\r\n`, `${E}\r\ndata: /mcp/one/x\r\n\r\n`],
    ["CR", `${E}\rdata: /x\r\r`, `${E}\rdata: /mcp/one/x\r\r`],
    ["line ends mixed", `${E}\rdata: /x\r\n\nid: 1\n\n`, `${E}\rdata: /mcp/one/x\r\n\nid: 1\n\n`],
    ["without a space", "event:endpoint\ndata:/x\n\n", "event:endpoint\ndata:/mcp/one/x\n\n"],
    ["data before event", `data: /x\n${E}\n\n`, `data: /mcp/one/x\n${E}\n\n`],
    ["a byte order mark", `${BOM}${E}\ndata: /x\n\n`, `${BOM}${E}\ndata: /mcp/one/x\n\n`],
    ["a byte order mark, data first", `${BOM}data: /x\n${E}\n\n`, `${BOM}data: /mcp/one/x\n${E}\n\n`],
    [
      "comments and other fields",
      `: hi\nid: 7\n${E}\n:c\ndata: /x\nretry: 1\ndat: y\n\n`,
      `: hi\nid: 7\n${E}\n:c\ndata: /mcp/one/x\nretry: 1\ndat: y\n\n`,
    ],
    ["empty lines before", `\n\r\n\r${E}\ndata: /x\n\n`, `\n\r\n\r${E}\ndata: /mcp/one/x\n\n`],
    ["twice", `${E}\ndata: /x\n\n${E}\ndata: /y\n\n`, `${E}\ndata: /mcp/one/x\n\n${E}\ndata: /mcp/one/y\n\n`],
    [
      "among messages",
      `data: /a\n\n${E}\ndata: /x\n\nevent: message\ndata: /b\n\n`,
      `data: /a\n\n${E}\ndata: /mcp/one/x\n\nevent: message\ndata: /b\n\n`,
    ],
    [
      "the last type counts",
      `event: message\n${E}\ndata: /x\n\n`,
      `event: message\n${E}\ndata: /mcp/one/x\n\n`,
    ],
  ];
  test.each(rewritten)("rewritten: %s", (_, stream, out) => {
    expect(passed([bytes(stream)]).text).toBe(out);
    expect(passed(bytewise(stream)).text).toBe(out);
    for (let cut = 1; cut < stream.length; cut++) {
      expect(passed([bytes(stream.slice(0, cut)), bytes(stream.slice(cut))]).text).toBe(out);
    }
  });

  const untouched: readonly (readonly [says: string, stream: string])[] = [
    ["no type", "data: /x\n\n"],
    ["another type", "event: message\ndata: /x\n\n"],
    ["another type afterwards", `${E}\ndata: /x\nevent: message\n\n`],
    ["an empty type afterwards", `${E}\ndata: /x\nevent\n\n`],
    ["a longer type", "event: endpoints\ndata: /x\n\n"],
    ["a shorter type", "event: endpoin\ndata: /x\n\n"],
    ["a type with two spaces", "event:  endpoint\ndata: /x\n\n"],
    ["a type with a space behind", "event: endpoint \ndata: /x\n\n"],
    ["a type in capitals", "event: Endpoint\ndata: /x\n\n"],
    ["a field in capitals", "Event: endpoint\nDATA: /x\n\n"],
    ["a space before the colon", "event : endpoint\ndata: /x\n\n"],
    ["a space before the field", " event: endpoint\ndata: /x\n\n"],
    ["a comment that looks like it", `:${E}\ndata: /x\n\n`],
    ["two data lines", `${E}\ndata: /x\ndata: /y\n\n`],
    ["a bare data line besides", `${E}\ndata\ndata: /y\n\n`],
    ["a bare data line behind", `${E}\ndata: /x\ndata\n\n`],
    ["no data", `${E}\n\n`],
    ["empty data that is not rewritten", `${E}\ndata:\n\n`],
    ["data that is not rewritten", `${E}\ndata: https://else.test/x\n\n`],
    ["bytes that are not UTF-8", `${E}\ndata: /\u00ff\n\n`],
    ["no empty line at the end", `${E}\ndata: /x\n`],
    ["the end within a line", `${E}\ndata: /x`],
    ["the end within a name", `${E}\ndat`],
    ["half a byte order mark", `\u00ef\u00bb${E}\ndata: /x\n\n`],
    ["two byte order marks", `${BOM}${BOM}${E}\ndata: /x\n\n`],
    ["the type of the event before", `${E}\n\ndata: /x\n\n`],
    ["nothing", ""],
  ];
  test.each(untouched)("byte for byte: %s", (_, stream) => {
    expect(passed([bytes(stream)]).text).toBe(stream);
    expect(passed(bytewise(stream)).text).toBe(stream);
    for (let cut = 1; cut < stream.length; cut++) {
      expect(passed([bytes(stream.slice(0, cut)), bytes(stream.slice(cut))]).text).toBe(stream);
    }
  });

  test("the data is UTF-8, in and out", () => {
    const seen: string[] = [];
    const sink = passed([Buffer.from("event: endpoint\ndata: /é?\u{1f511}\n\n")], (data) => {
      seen.push(data);
      return "/ü";
    });
    expect(seen).toEqual(["/é?\u{1f511}"]);
    expect(sink.bytes.toString("utf8")).toBe("event: endpoint\ndata: /ü\n\n");
  });

  test.each(["/a\n\nevent: message", "/a\rb", "/a\r\n"])(
    "a rewrite to %j is refused: it would make an event",
    (data) => {
      const sink = passed([bytes("event: endpoint\ndata: /x\n\ndata: y\n\n")], () => data);
      expect(sink.error?.code).toBe("transform-failed");
      expect(sink.text).toBe("event: endpoint\n");
    },
  );
});

describe("endpointRewriter: what is held", () => {
  const atOnce = [
    "event: message\ndata: {",
    "event: message\ndata: {}\n\n",
    "data: {}\n\n",
    ": keep-alive\n",
    ": keep",
    "id: 1\nretry: 5\nevent: endpo",
    "data: one\ndata: two",
    "data\n",
    "event: endpoint\n",
    "dx",
  ];
  test.each(atOnce)("%j passes at once", (text) => {
    const { sink, stage } = begun();
    stage?.write(bytes(text));
    expect(sink.text).toBe(text);
  });

  test("a chunk in which nothing is held goes on as the very same bytes", () => {
    const { sink, stage } = begun();
    const chunk = bytes("event: message\ndata: {}\n\n");
    stage?.write(chunk);
    expect(sink.chunks).toHaveLength(1);
    expect(sink.chunks[0]?.buffer).toBe(chunk.buffer);
  });

  test("an event whose type is open waits for its empty line, and no longer", () => {
    const { sink, stage } = begun();
    stage?.write(bytes("id: 1\ndata: /x"));
    expect(sink.text).toBe("id: 1\n");
    stage?.write(bytes("y\r"));
    expect(sink.text).toBe("id: 1\n");
    stage?.write(bytes("\r"));
    expect(sink.text).toBe("id: 1\ndata: /xy\r\r");
    stage?.write(bytes("\ndata: /z\nevent: message\nx"));
    expect(sink.text).toBe("id: 1\ndata: /xy\r\r\ndata: /z\nevent: message\nx");
  });

  test("an event above 64 KiB streams, and is not rewritten whether it comes in one piece or in many", () => {
    const large = `data: /${"x".repeat(70_000)}\nevent: endpoint\n\n`;
    const after = "event: endpoint\ndata: /y\n\n";
    for (const piece of [1, 1000, 65_536, 100_000]) {
      const { sink, stage } = begun();
      const all = bytes(large);
      let most = 0;
      for (let at = 0; at < all.length; at += piece) {
        stage?.write(all.subarray(at, at + piece));
        most = Math.max(most, Math.min(at + piece, all.length) - sink.size);
      }
      expect(most).toBeLessThanOrEqual(64 * 1024);
      stage?.write(bytes(after));
      expect(sink.text).toBe(`${large}event: endpoint\ndata: /mcp/one/y\n\n`);
    }
  });

  test("an event of 64 KiB less a little is still rewritten", () => {
    const path = `/${"x".repeat(65_000)}`;
    const stream = `data: ${path}\nevent: endpoint\n\n`;
    for (const pieces of [[bytes(stream)], bytewise(stream)]) {
      expect(passed(pieces).text).toBe(`data: /mcp/one${path}\nevent: endpoint\n\n`);
    }
  });
});

/** The same by lines, on a whole stream without byte order mark. An event is left alone once another type follows data. */
function oracle(stream: string): string {
  let out = "";
  let event: string[] = [];
  for (const line of stream.match(/[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$/g) ?? []) {
    event.push(line);
    if (/^[\r\n]/.test(line)) {
      out += rewrittenEvent(event);
      event = [];
    }
  }
  return out + event.join("");
}

function rewrittenEvent(lines: readonly string[]): string {
  let type = "";
  let data = 0;
  let left = false;
  for (const line of lines) {
    const [, name, value = ""] = /^([^:\r\n]*)(?::[ ]?([^\r\n]*))?/.exec(line) ?? [];
    if (name === "event") {
      type = value;
      if (type !== "endpoint" && type !== "" && data > 0) left = true;
    }
    if (name === "data") {
      data++;
      if (type !== "endpoint" && type !== "" && data === 1) left = true;
      if (!/^data:/.test(line)) left = true;
    }
  }
  if (left || type !== "endpoint" || data !== 1) return lines.join("");
  return lines
    .map((line) => line.replace(/^(data:[ ]?)(\/[^\r\n]*)/, (_, start, path) => `${start}/mcp/one${path}`))
    .join("");
}

test("random streams in random pieces: the same as the oracle", () => {
  const random = seeded(0x55e);
  const pick = (from: readonly string[]): string => from[random(from.length)] ?? "";
  const lines = [
    ...[
      "event: endpoint",
      "event:endpoint",
      "event: endpoint",
      "event: message",
      "event",
      "event: endpoints",
    ],
    ...[
      "data: /x",
      "data:/y",
      "data: https://e.test/",
      "data",
      "data:",
      "dat",
      "datax: /x",
      ": data: /x",
      "id: 1",
      "e",
    ],
    ...["", "", "", ""],
  ];
  let changed = 0;
  for (let round = 0; round < 3000; round++) {
    const end = pick(["\n", "\r\n", "\r"]);
    const event = (): string[] => Array.from({ length: random(4) }, () => pick(lines));
    const kept = (): string[] => (random(2) === 0 ? [] : [pick(lines)]);
    const aimed = (): string[] => [
      "event: endpoint",
      ...kept(),
      pick(["data: /x", "data:/y"]),
      ...kept(),
      "",
    ];
    const parts = Array.from({ length: random(5) }, () => (random(2) === 0 ? aimed() : event()));
    const stream = parts
      .flat()
      .map((line) => line + (random(9) === 0 ? pick(["\n", "\r\n", "\r"]) : end))
      .join("");
    const expected = oracle(stream);
    if (expected !== stream) changed++;
    expect(passed(randomSplit(bytes(stream), random)).text).toBe(expected);
  }
  expect(changed).toBeGreaterThan(1000);
});
