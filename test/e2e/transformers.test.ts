// response_transformers (wire.md section 6) on the compiled binary: the OAuth workaround, and what response-scrub does
// to one answer. Large and coded streams are in scrub-streams.test.ts.
import { describe, expect, test } from "bun:test";
import { get, message } from "../support/client.ts";
import { CODINGS, type Coding, decode, encode } from "../support/coded-text.ts";
import { exchange, type Response, text, value, values } from "../support/http-message.ts";
import { runProgram, works } from "../support/programs.ts";
import { startRewriting, WAYS, type Way } from "../support/rewriting.ts";
import { credential, expectNotPrinted, OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok } from "../support/upstream.ts";

type Raw = string | Uint8Array;

/** Token SECRET for PLACEHOLDER, and the credential OTHER_SECRET in X-Api-Key. */
function scrubbed(host: string): object {
  return {
    token_substitutions: [{ host, placeholder: PLACEHOLDER, source: { type: "static", value: SECRET } }],
    credentials: [credential(host, { header: "X-Api-Key", value: OTHER_SECRET })],
    response_transformers: [{ host, kind: "response-scrub" }],
    log: { level: "debug" },
  };
}

interface Asked {
  readonly reply: Raw;
  readonly raw?: (host: string, target: (path: string) => string) => string;
  readonly way?: Way;
}

async function answered({ reply, raw, way = "tunnel" }: Asked): Promise<{ answer: Response; sent: string }> {
  await using rig = await startRewriting({ way, config: scrubbed, reply: () => reply });
  const client = await rig.open();
  const request = raw?.(rig.host, rig.target) ?? get(rig.target("/"), rig.host);
  const answer = await exchange(client, request);
  client.destroy();
  await rig.proxy.untilRecords(1);
  await rig.proxy.stop();
  expectNotPrinted(rig.proxy, [SECRET, OTHER_SECRET]);
  return { answer, sent: rig.upstream.text };
}

function reply(body: Raw, fields: readonly string[] = ["Content-Type: text/plain"]): Buffer {
  const bytes = Buffer.from(body as string, "latin1");
  const head = ["HTTP/1.1 200 OK", ...fields, `Content-Length: ${bytes.length}`, "", ""].join("\r\n");
  return Buffer.concat([Buffer.from(head, "latin1"), bytes]);
}

const LEAK = `{"token":"${SECRET}","key":"${OTHER_SECRET}","tail":"${SECRET}"}`;
const CLEAN = `{"token":"${PLACEHOLDER}","key":"[REDACTED]","tail":"${PLACEHOLDER}"}`;

describe("oauth-endpoint-workaround", () => {
  const ask = async (path: string, status: string, method = "GET"): Promise<Response> => {
    await using rig = await startRewriting({
      config: (host) => ({ response_transformers: [{ host, kind: "oauth-endpoint-workaround" }] }),
      reply: (request) => {
        const head = `HTTP/1.1 ${status}\r\nX-From: upstream\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n`;
        return request.method === "HEAD" ? head : `${head}nope`;
      },
    });
    const client = await rig.open();
    const answer = await exchange(client, message(`${method} ${path} HTTP/1.1`, [`Host: ${rig.host}`]));
    const next = await exchange(client, get("/next", rig.host));
    expect(next.status).toBe(Number(status.slice(0, 3)));
    client.destroy();
    return answer;
  };

  for (const [path, body] of [
    ["/api/oauth/profile", '{"id":"","email":"","name":""}'],
    ["/api/oauth/usage", '{"usage":{}}'],
    ["/api/oauth/profile?q=1", '{"id":"","email":"","name":""}'],
  ] as const) {
    test(`403 on ${path} becomes 200`, async () => {
      const answer = await ask(path, "403 Forbidden");
      expect([answer.status, text(answer)]).toEqual([200, body]);
      expect(value(answer, "content-type")).toBe("application/json");
      expect(value(answer, "x-moat-transformed")).toBe("oauth-scope-workaround");
    });
  }

  for (const [path, status] of [
    ["/api/oauth/profile", "401 Unauthorized"],
    ["/api/oauth/profile", "200 OK"],
    ["/api/oauth/profile", "500 Oops"],
    ["/api/oauth/profiles", "403 Forbidden"],
    ["/api/oauth/profile/x", "403 Forbidden"],
    ["/x/api/oauth/profile", "403 Forbidden"],
    ["/api/oauth/token", "403 Forbidden"],
  ] as const) {
    test(`${status} on ${path} stays as it is`, async () => {
      const answer = await ask(path, status);
      expect([answer.status, text(answer), value(answer, "x-from")]).toEqual([
        Number(status.slice(0, 3)),
        "nope",
        "upstream",
      ]);
      expect(values(answer, "x-moat-transformed")).toEqual([]);
    });
  }

  test("HEAD has no body, and the connection goes on", async () => {
    expect((await ask("/api/oauth/profile", "403 Forbidden", "HEAD")).status).toBe(200);
  });
});

for (const way of WAYS) {
  test(`response-scrub by ${way}: tokens become placeholders, echoed credentials [REDACTED]`, async () => {
    const { answer } = await answered({
      way,
      reply: reply(LEAK, ["Content-Type: application/json", 'ETag: "1"']),
    });
    expect(text(answer)).toBe(CLEAN);
    expect(values(answer, "content-length")).not.toContain(String(LEAK.length));
  });
}

describe("response-scrub: text types", () => {
  for (const type of [
    "text/html; charset=utf-8",
    "TEXT/CSV",
    "application/json",
    "application/problem+json",
    "application/x-ndjson",
    "application/xml",
    "application/javascript",
    "application/x-www-form-urlencoded",
  ]) {
    test(type, async () => {
      const { answer } = await answered({ reply: reply(LEAK, [`Content-Type: ${type}`]) });
      expect(text(answer)).toBe(CLEAN);
    });
  }

  test("without Content-Type text is searched, so that leaving it out hides nothing", async () => {
    const { answer } = await answered({ reply: reply(LEAK, []) });
    expect(text(answer)).toBe(CLEAN);
  });

  test("an error's body too", async () => {
    const { answer } = await answered({
      reply: `HTTP/1.1 401 No\r\nContent-Type: text/plain\r\nContent-Length: ${LEAK.length}\r\n\r\n${LEAK}`,
    });
    expect([answer.status, text(answer)]).toEqual([401, CLEAN]);
  });

  test("a body that ends with the connection", async () => {
    await using rig = await startRewriting({
      config: scrubbed,
      reply: (_, stream) => {
        void stream.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n${LEAK}`);
        return null;
      },
    });
    const client = await rig.open();
    expect(text(await exchange(client, get("/", rig.host)))).toBe(CLEAN);
    client.destroy();
  });
});

describe("response-scrub: head fields are consistent", () => {
  for (const coding of CODINGS) {
    test(`${coding}: what arrives is what its own head says`, async () => {
      const fields = [
        "Content-Type: application/json",
        `Content-Encoding: ${coding}`,
        'ETag: "strong"',
        "Vary: Accept-Encoding",
      ];
      const { answer } = await answered({
        reply: reply(encode(coding, LEAK), fields),
        raw: (host) => get("/", host, [`Accept-Encoding: ${coding}`]),
      });
      expect(answer.complete).toBe(true);
      expect(decode(value(answer, "content-encoding"), answer.body).toString()).toBe(CLEAN);
      // The strong validator names other bytes than those that are sent now (RFC 9110 section 8.8.1).
      expect(values(answer, "etag")).not.toContain('"strong"');
    });
  }

  test("checksums and ranges of the old bytes are not sent with the new ones", async () => {
    const fields = [
      "Content-Type: text/plain",
      "Accept-Ranges: bytes",
      "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==",
      "Digest: sha-256=abc",
      "Content-Digest: sha-256=:YWJj:",
      "Repr-Digest: sha-256=:YWJj:",
    ];
    const { answer } = await answered({ reply: reply(LEAK, fields) });
    for (const name of ["accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"])
      expect({ name, values: values(answer, name) }).toEqual({ name, values: [] });
  });

  test("x-gzip is gzip", async () => {
    const { answer } = await answered({
      reply: reply(encode("gzip", LEAK), ["Content-Type: text/plain", "Content-Encoding: X-GZip"]),
    });
    expect(decode(value(answer, "content-encoding"), answer.body).toString()).toBe(CLEAN);
  });

  for (const coding of ["compress", "unknown", "gzip, unknown"]) {
    test(`a coding that cannot be decoded is refused: ${coding}`, async () => {
      const { answer } = await answered({
        reply: reply(LEAK, ["Content-Type: text/plain", `Content-Encoding: ${coding}`]),
      });
      expect(answer.status).toBe(502);
      expect(text(answer)).not.toContain(SECRET);
    });
  }

  test("codings one over the other never let the secret through", async () => {
    const twice = encode("br", encode("gzip", LEAK));
    const { answer } = await answered({
      reply: reply(twice, ["Content-Type: text/plain", "Content-Encoding: gzip, br"]),
    });
    if (answer.status !== 502)
      expect(decode(value(answer, "content-encoding"), answer.body).toString()).toBe(CLEAN);
  });

  test("Accept-Encoding is narrowed to what can be decoded", async () => {
    const { sent } = await answered({
      reply: ok(),
      raw: (host) => get("/", host, ["Accept-Encoding: compress, gzip;q=0.5, foo, *"]),
    });
    const accepted = (/^accept-encoding: *(.*)$/im.exec(sent)?.[1] ?? "").trim();
    expect(accepted).not.toMatch(/compress|foo|\*/);
  });

  test("gzip that is not gzip never lets the bytes through", async () => {
    const { answer } = await answered({
      reply: reply(LEAK, ["Content-Type: text/plain", "Content-Encoding: gzip"]),
    });
    expect(text(answer)).not.toContain(SECRET);
    expect(answer.status === 502 || !answer.complete).toBe(true);
  });

  test("gzip that is cut off is not passed on as if it were whole", async () => {
    const cut = encode("gzip", LEAK.repeat(500)).subarray(0, 60);
    const { answer } = await answered({
      reply: reply(cut, ["Content-Type: text/plain", "Content-Encoding: gzip"]),
    });
    expect(text(answer)).not.toContain(SECRET);
    expect(answer.status === 502 || !answer.complete).toBe(true);
  });
});

describe("response-scrub: binary bodies are byte for byte the same", () => {
  const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, at) => (at * 7 + (at >> 7)) & 0xff));
  const holding = Buffer.concat([bytes, Buffer.from(SECRET), bytes]);
  for (const [name, body, fields] of [
    ["PNG", holding, ["Content-Type: image/png", 'ETag: "1"']],
    ["a gzip'd tarball", encode("gzip", holding), ["Content-Type: application/gzip"]],
    [
      "a tarball with Content-Encoding",
      encode("gzip", holding),
      ["Content-Type: application/x-tar", "Content-Encoding: gzip"],
    ],
    ["octet-stream", holding, ["Content-Type: application/octet-stream"]],
  ] as const) {
    test(name, async () => {
      const { answer } = await answered({ reply: reply(body, fields) });
      expect(answer.body.equals(body)).toBe(true);
      expect(values(answer, "content-length")).toEqual([String(body.length)]);
      for (const field of fields) expect(answer.rawHead).toContain(field);
    });
  }

  test("text that is no UTF-8 keeps its other bytes", async () => {
    const { answer } = await answered({ reply: reply(holding) });
    expect(answer.body.equals(Buffer.concat([bytes, Buffer.from(PLACEHOLDER), bytes]))).toBe(true);
  });
});

describe("response-scrub: requests", () => {
  for (const fields of [["Range: bytes=0-9"], ["range: bytes=5-", 'If-Range: "1"']]) {
    test(`${fields[0]}: a secret cannot be fetched piecewise`, async () => {
      const { sent } = await answered({ reply: reply("x"), raw: (host) => get("/", host, fields) });
      expect(sent.toLowerCase()).not.toMatch(/^range:/m);
    });
  }

  test("a 206 that was not asked for does not carry a piece of the secret", async () => {
    const piece = SECRET.slice(0, -3);
    const { answer } = await answered({
      reply: `HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-${piece.length - 1}/99\r\nContent-Length: ${piece.length}\r\n\r\n${piece}`,
    });
    expect(text(answer)).not.toContain(piece);
  });

  test("HEAD: no body, and no length or coding that is not so", async () => {
    const { answer } = await answered({
      reply: "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 999\r\n\r\n",
      raw: (host) => message("HEAD / HTTP/1.1", [`Host: ${host}`]),
    });
    expect([answer.status, answer.body.length]).toEqual([200, 0]);
    expect(values(answer, "content-length")).not.toContain("999");
  });

  for (const status of ["304 Not Modified", "204 No Content"]) {
    test(`${status}: no body, and the connection goes on`, async () => {
      const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nX-Kept: 1\r\n\r\n`;
      await using rig = await startRewriting({
        config: scrubbed,
        reply: (request) => (request.target === "/" ? head : reply(LEAK)),
      });
      const client = await rig.open();
      const answer = await exchange(client, get("/", rig.host));
      expect([answer.status, value(answer, "x-kept")]).toEqual([Number(status.slice(0, 3)), "1"]);
      expect(text(await exchange(client, get("/next", rig.host)))).toBe(CLEAN);
      client.destroy();
    });
  }

  for (const way of WAYS) {
    test(`a client of HTTP/1.0 by ${way} gets no chunks`, async () => {
      const { answer } = await answered({
        way,
        reply: reply(LEAK),
        raw: (host, target) => message(`GET ${target("/")} HTTP/1.0`, [`Host: ${host}`]),
      });
      expect(values(answer, "transfer-encoding")).toEqual([]);
      expect(text(answer)).toBe(CLEAN);
    });
  }
});

test("the first transformer that answers wins, the other one still works where the first has nothing to say", async () => {
  await using rig = await startRewriting({
    config: (host) => ({
      ...scrubbed(host),
      response_transformers: ["oauth-endpoint-workaround", "response-scrub"].map((kind) => ({ host, kind })),
    }),
    reply: (request) =>
      request.target === "/" ? reply(LEAK) : "HTTP/1.1 403 F\r\nContent-Length: 0\r\n\r\n",
  });
  const client = await rig.open();
  expect(text(await exchange(client, get("/", rig.host)))).toBe(CLEAN);
  expect(text(await exchange(client, get("/api/oauth/usage", rig.host)))).toBe('{"usage":{}}');
  client.destroy();
});

describe.skipIf(!works(["curl", "--version"]))("curl --compressed", () => {
  for (const coding of ["identity", ...CODINGS] as const) {
    test(coding, async () => {
      await using rig = await startRewriting({
        config: scrubbed,
        reply: () =>
          coding === "identity"
            ? reply(LEAK)
            : reply(encode(coding as Coding, LEAK), [
                "Content-Type: text/plain",
                `Content-Encoding: ${coding}`,
              ]),
      });
      const { code, stdout, stderr } = await runProgram(
        ["curl", "-sS", "--compressed", "--proxy", rig.proxy.url].concat([
          "--cacert",
          rig.proxy.caPath,
          `https://${rig.host}/`,
        ]),
      );
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: CLEAN, stderr: "" });
    });
  }
});
