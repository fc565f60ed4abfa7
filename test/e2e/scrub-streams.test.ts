// response-scrub on streams (wire.md section 6: "in text and JSON bodies of any size, streamed, compressed or not;
// nothing is truncated"): borders of chunks and of compressed blocks, events at once, memory that stays bounded.
import { describe, expect, test } from "bun:test";
import { type ByteStream, within } from "../support/byte-stream.ts";
import { get } from "../support/client.ts";
import { CODINGS, chunk, decode, encodeInBlocks } from "../support/coded-text.ts";
import { readHead, readResponse, text, value, values } from "../support/http-message.ts";
import { type Rewriting, startRewriting } from "../support/rewriting.ts";
import { credential, OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";

const CHUNKED = "Transfer-Encoding: chunked";
const MIB = 1 << 20;

function scrubbed(host: string): object {
  return {
    token_substitutions: [{ host, placeholder: PLACEHOLDER, source: { type: "static", value: SECRET } }],
    credentials: [credential(host, { header: "X-Api-Key", value: OTHER_SECRET })],
    response_transformers: [{ host, kind: "response-scrub" }],
  };
}

/** Asks for `/`; the upstream has read the request and can answer by hand. */
async function ask(
  rig: Rewriting,
  fields: readonly string[] = [],
): Promise<{ client: ByteStream; server: ByteStream }> {
  const client = await rig.open();
  void client.write(get("/", rig.host, fields));
  const server = await rig.upstream.next();
  await readHead(server);
  return { client, server };
}

function head(...fields: readonly string[]): string {
  return ["HTTP/1.1 200 OK", ...fields, "", ""].join("\r\n");
}

test("a secret cut at every place over two chunks", async () => {
  await using rig = await startRewriting({ config: scrubbed });
  const { client, server } = await ask(rig);
  await server.write(head("Content-Type: text/plain", CHUNKED));
  for (let at = 1; at < SECRET.length; at++) {
    await server.write(chunk(`<${SECRET.slice(0, at)}`));
    await server.write(chunk(`${SECRET.slice(at)}>`));
  }
  await server.write("0\r\n\r\n");
  expect(text(await readResponse(client))).toBe(`<${PLACEHOLDER}>`.repeat(SECRET.length - 1));
  client.destroy();
});

test("byte by byte, with starts that come to nothing", async () => {
  const begun = SECRET.slice(0, 12);
  const body = `${begun}${begun}${SECRET}${OTHER_SECRET.slice(0, -1)}!${OTHER_SECRET}${SECRET}${SECRET.slice(0, -1)}`;
  await using rig = await startRewriting({ config: scrubbed });
  const { client, server } = await ask(rig);
  await server.write(head("Content-Type: application/json", CHUNKED));
  for (const byte of body) await server.write(chunk(byte));
  await server.write("0\r\nX-Trailer: 1\r\n\r\n");
  expect(text(await readResponse(client))).toBe(
    body.replaceAll(SECRET, PLACEHOLDER).replaceAll(OTHER_SECRET, "[REDACTED]"),
  );
  client.destroy();
});

for (const coding of CODINGS) {
  test(`${coding}: a secret over compressed blocks, with every block in its own chunk`, async () => {
    const pieces = Array.from({ length: SECRET.length - 1 }, (_, at) => [
      `<${SECRET.slice(0, at + 1)}`,
      `${SECRET.slice(at + 1)}>`,
    ]).flat();
    const blocks = await encodeInBlocks(coding, pieces);
    await using rig = await startRewriting({ config: scrubbed });
    const { client, server } = await ask(rig, [`Accept-Encoding: ${coding}`]);
    await server.write(head("Content-Type: text/plain", CHUNKED, `Content-Encoding: ${coding}`));
    for (const block of blocks) await server.write(chunk(block));
    await server.write("0\r\n\r\n");
    const answer = await readResponse(client);
    expect(decode(value(answer, "content-encoding"), answer.body).toString()).toBe(
      `<${PLACEHOLDER}>`.repeat(SECRET.length - 1),
    );
    client.destroy();
  });
}

describe("SSE events pass at once", () => {
  const events = ["data: one\n\n", `data: ${SECRET}\n\n`, `: ${OTHER_SECRET}\n\n`, "data: four\n\n"];
  const clean = events.map((event) => event.replace(SECRET, PLACEHOLDER).replace(OTHER_SECRET, "[REDACTED]"));

  test("each is seen before the next one is sent", async () => {
    await using rig = await startRewriting({ config: scrubbed });
    const { client, server } = await ask(rig, ["Accept: text/event-stream"]);
    await server.write(head("Content-Type: text/event-stream", CHUNKED));
    await readHead(client);
    for (const [at, event] of events.entries()) {
      await server.write(chunk(event));
      await client.readUntil(clean[at] ?? "");
    }
    client.destroy();
  });

  test("an event whose end looks like the start of a secret is held back no longer than the next byte", async () => {
    await using rig = await startRewriting({ config: scrubbed });
    const { client, server } = await ask(rig);
    await server.write(head("Content-Type: text/event-stream", CHUNKED));
    await readHead(client);
    await server.write(chunk(`data: ${SECRET.slice(0, -1)}`));
    await client.readUntil("data: ");
    await server.write(chunk("\n\n"));
    await client.readUntil(SECRET.slice(0, -1));
    client.destroy();
  });

  test("the head arrives before the first event", async () => {
    await using rig = await startRewriting({ config: scrubbed });
    const { client, server } = await ask(rig);
    await server.write(head("Content-Type: text/event-stream", CHUNKED));
    expect((await readHead(client)).startLine).toBe("HTTP/1.1 200 OK");
    client.destroy();
  });

  test("compressed ones too", async () => {
    const blocks = await encodeInBlocks("gzip", events);
    await using rig = await startRewriting({ config: scrubbed });
    const { client, server } = await ask(rig, ["Accept-Encoding: gzip"]);
    await server.write(head("Content-Type: text/event-stream", CHUNKED, "Content-Encoding: gzip"));
    const answer = await readHead(client);
    // Whatever coding it comes in: a decoder that sees the bytes as they come shows each event.
    expect(["identity", undefined, "gzip"]).toContain(value(answer, "content-encoding"));
    if (value(answer, "content-encoding") === "gzip") return;
    for (const [at, event] of clean.entries()) {
      await server.write(chunk(blocks[at] ?? ""));
      await client.readUntil(event);
    }
    client.destroy();
  });
});

/** Sends `count` MiB of text that holds the token across many chunk borders; gives the peak of resident memory. */
async function pour(rig: Rewriting, server: ByteStream, count: number): Promise<number> {
  const filler = `${"lorem ipsum dolor ".repeat(3640)}\n`;
  const piece = filler + SECRET + filler.slice(0, 1000) + OTHER_SECRET;
  let peak = rig.proxy.rss();
  let cut = 1;
  for (let sent = 0; sent < count * MIB; sent += piece.length) {
    const at = filler.length + cut;
    await server.write(Buffer.concat([chunk(piece.slice(0, at)), chunk(piece.slice(at))]));
    cut = 1 + (cut % (SECRET.length - 1));
    if ((sent & 0x3f0000) === 0) peak = Math.max(peak, rig.proxy.rss());
  }
  await server.write("0\r\n\r\n");
  return Math.max(peak, rig.proxy.rss());
}

test("100 MB of text: every secret is found, nothing is cut, memory stays bounded", async () => {
  await using rig = await startRewriting({ config: scrubbed });
  const { client, server } = await ask(rig);
  await server.write(head("Content-Type: text/plain", CHUNKED));
  expect(values(await readHead(client), "content-encoding")).toEqual([]);
  let tail = "";
  let bytes = 0;
  let found = 0;
  const { promise: whole, resolve } = Promise.withResolvers<void>();
  client.sink = (data) => {
    bytes += data.length;
    const seen = tail + data.toString("latin1");
    if (seen.includes(SECRET) || seen.includes(OTHER_SECRET)) throw new Error("a secret came through");
    found += seen.split("[REDACTED]").length - tail.split("[REDACTED]").length;
    tail = seen.slice(-64);
    if (tail.endsWith("\r\n0\r\n\r\n")) resolve();
  };
  const peak = await pour(rig, server, 100);
  await within(whole, "end of the body", 60_000);
  const pieces = Math.ceil((100 * MIB) / (65_521 + SECRET.length + 1000 + OTHER_SECRET.length));
  // A [REDACTED] that is itself cut by the framing of a chunk is not counted by the search above.
  expect(found).toBeGreaterThan(pieces * 0.9);
  expect(bytes).toBeGreaterThan(95 * MIB);
  expect(peak).toBeLessThan(160_000_000);
  client.destroy();
}, 120_000);

test("a slow reader pauses the upstream, though the bytes are small while compressed", async () => {
  const [block = Buffer.alloc(0)] = await encodeInBlocks("gzip", ["x".repeat(64 * MIB)]);
  await using rig = await startRewriting({ config: scrubbed });
  const before = rig.proxy.rss();
  const { client, server } = await ask(rig, ["Accept-Encoding: gzip"]);
  client.pause();
  await server.write(head("Content-Type: text/plain", CHUNKED, "Content-Encoding: gzip"));
  void server.write(Buffer.concat([chunk(block), chunk(block), chunk(block)]));
  // A second client shows that the proxy is at work meanwhile, and gives the bomb time to go off.
  for (let round = 0; round < 10; round++) {
    const other = await rig.open();
    other.destroy();
    expect(rig.proxy.rss() - before).toBeLessThan(100_000_000);
  }
  client.destroy();
});

test("an upstream that breaks off is seen as broken off, and holds nothing back that was clean", async () => {
  await using rig = await startRewriting({ config: scrubbed });
  const { client, server } = await ask(rig);
  await server.write(head("Content-Type: text/plain", CHUNKED));
  await server.write(chunk(`begin ${SECRET.slice(0, 9)}`));
  await readHead(client);
  await client.readUntil("begin ");
  server.destroy();
  await client.readToEnd();
  expect(client.text).not.toEndWith("0\r\n\r\n");
  client.destroy();
});

test("a gzip stream that goes on in a second member is searched to its end", async () => {
  const [first, second] = await Promise.all([
    encodeInBlocks("gzip", ["one "]),
    encodeInBlocks("gzip", [`two ${SECRET}`]),
  ]);
  await using rig = await startRewriting({ config: scrubbed });
  const { client, server } = await ask(rig, ["Accept-Encoding: gzip"]);
  await server.write(head("Content-Type: text/plain", CHUNKED, "Content-Encoding: gzip"));
  await server.write(chunk(Buffer.concat([...first, ...second])));
  await server.write("0\r\n\r\n");
  const answer = await readResponse(client);
  expect(text(answer)).not.toContain(SECRET);
  if (answer.complete) expect(text(answer)).toBe(`one two ${PLACEHOLDER}`);
  client.destroy();
});
