// token_substitutions (wire.md section 6): where the token is put, what stays untouched, and that it is nowhere else.
import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { startProxy } from "../support/binary.ts";
import { connectProxy, get, message, post } from "../support/client.ts";
import { exchange, type Request, readResponse, text, value, values } from "../support/http-message.ts";
import { reload } from "../support/reload.ts";
import { type Rewriting, startRewriting, WAYS, type Way } from "../support/rewriting.ts";
import { expectNotPrinted, OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok } from "../support/upstream.ts";

const b64 = (plain: string): string => Buffer.from(plain, "latin1").toString("base64");
const KIB64 = 65_536;

export function substitution(host: string, token = SECRET, placeholder = PLACEHOLDER): object {
  return { host, placeholder, source: { type: "static", value: token } };
}

interface Case {
  readonly way?: Way;
  readonly token?: string;
  readonly raw: (rig: Rewriting) => string;
  readonly log?: object;
}

/** Sends `raw`; gives what the upstream received and the record. The token must not be printed. */
async function received(
  sent: Case,
): Promise<{ request: Request; record: Readonly<Record<string, unknown>> }> {
  const token = sent.token ?? SECRET;
  await using rig = await startRewriting({
    ...(sent.way === undefined ? {} : { way: sent.way }),
    config: (host) => ({
      token_substitutions: [substitution(host, token)],
      log: { level: "debug", ...sent.log },
    }),
    reply: () => ok(),
  });
  const client = await rig.open();
  expect((await exchange(client, sent.raw(rig))).status).toBe(200);
  client.destroy();
  const [record] = await rig.proxy.untilRecords(1, (line) => line.http_status === 200);
  await rig.proxy.stop();
  expectNotPrinted(rig.proxy, [token, encodeURIComponent(token), b64(token)]);
  return { request: rig.upstream.requests[0] as Request, record: record ?? {} };
}

for (const way of WAYS) {
  describe(`by ${way}`, () => {
    test("in the path; the record shows the placeholder; the query is untouched", async () => {
      const path = `/bot${PLACEHOLDER}/file/${PLACEHOLDER}`;
      const { request, record } = await received({
        way,
        raw: (rig) => get(rig.target(`${path}?key=${PLACEHOLDER}`), rig.host),
      });
      expect(request.target).toBe(`/bot${SECRET}/file/${SECRET}?key=${PLACEHOLDER}`);
      expect(record.http_path).toBe(path);
    });

    test("in Authorization: Bearer", async () => {
      const { request } = await received({
        way,
        raw: (rig) =>
          get(rig.target("/"), rig.host, [`authorization: Bearer ${PLACEHOLDER}`, `X-Other: ${PLACEHOLDER}`]),
      });
      expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
      expect(value(request, "x-other")).toBe(PLACEHOLDER);
    });

    for (const [name, sent, wanted] of [
      ["password", `me:${PLACEHOLDER}`, `me:${SECRET}`],
      ["user name", `${PLACEHOLDER}:`, `${SECRET}:`],
      ["both", `${PLACEHOLDER}:x${PLACEHOLDER}`, `${SECRET}:x${SECRET}`],
    ] as const) {
      test(`in Authorization: Basic, ${name}`, async () => {
        const { request } = await received({
          way,
          raw: (rig) => get(rig.target("/"), rig.host, [`Authorization: Basic ${b64(sent)}`]),
        });
        expect(values(request, "authorization")).toEqual([`Basic ${b64(wanted)}`]);
      });
    }

    test("in a body: Content-Length follows", async () => {
      const body = (token: string): string => `{"a":"${token}","b":["${token}"]}`;
      const { request, record } = await received({
        way,
        raw: (rig) => post(rig.target("/"), rig.host, body(PLACEHOLDER), ["Content-Type: application/json"]),
      });
      expect(text(request)).toBe(body(SECRET));
      expect(values(request, "content-length")).toEqual([String(body(SECRET).length)]);
      expect(record.substitution_skipped).toBeUndefined();
    });
  });
}

/** Bytes that mean something in a path, in JSON, in a form or in a header. */
const ODD = 'tok/en:"quoted"\\ +&=%41?#<é>;';

describe("a token with special characters", () => {
  test("in the path is one segment of it: percent-encoded where it must be", async () => {
    const token = "1234:AA/b?c#d%41 e+f";
    const { request } = await received({
      token,
      raw: (rig) => get(`/bot${PLACEHOLDER}/getMe?q=1`, rig.host),
    });
    expect(request.target).toMatch(/^\/bot[^/?#\s]+\/getMe\?q=1$/);
    expect(decodeURIComponent(/^\/bot([^/]+)/.exec(request.target)?.[1] ?? "")).toBe(token);
  });

  test("in JSON it is escaped", async () => {
    const token = ODD.replace("é", "e");
    const { request } = await received({
      token,
      raw: (rig) =>
        post("/", rig.host, `{"t":"x${PLACEHOLDER}"}`, ["Content-Type: application/json; charset=utf-8"]),
    });
    expect(JSON.parse(request.body.toString("utf8"))).toEqual({ t: `x${token}` });
  });

  test("in JSON of a vendor's type too", async () => {
    const { request } = await received({
      token: 'a"b',
      raw: (rig) => post("/", rig.host, `{"t":"${PLACEHOLDER}"}`, ["Content-Type: application/vnd.api+json"]),
    });
    expect(JSON.parse(request.body.toString("utf8"))).toEqual({ t: 'a"b' });
  });

  test("in a form it is percent-encoded", async () => {
    const token = ODD.replace("é", "e");
    const { request } = await received({
      token,
      raw: (rig) =>
        post("/", rig.host, `a=1&t=${PLACEHOLDER}&b=2`, ["Content-Type: application/x-www-form-urlencoded"]),
    });
    expect([...new URLSearchParams(text(request))]).toEqual([
      ["a", "1"],
      ["t", token],
      ["b", "2"],
    ]);
  });

  test("in any other body it is put as it is, and no other byte changes", async () => {
    const around = Array.from({ length: 256 }, (_, at) => String.fromCharCode(at)).join("");
    const { request } = await received({
      token: "a+b/c==",
      raw: (rig) =>
        post("/", rig.host, around + PLACEHOLDER + around, ["Content-Type: application/octet-stream"]),
    });
    expect(text(request)).toBe(`${around}a+b/c==${around}`);
  });

  test("a token that holds another placeholder is not substituted again", async () => {
    await using rig = await startRewriting({
      config: (host) => ({
        token_substitutions: [
          substitution(host, "token-one-holds-stub-two", "stub-one"),
          substitution(host, "token-two-holds-stub-one", "stub-two"),
        ],
      }),
      reply: () => ok(),
    });
    const client = await rig.open();
    await exchange(client, post("/stub-two", rig.host, "stub-one stub-two", ["Authorization: stub-one"]));
    const [request] = rig.upstream.requests;
    expect(request?.target).toBe("/token-two-holds-stub-one");
    expect(value(request as Request, "authorization")).toBe("token-one-holds-stub-two");
    expect(text(request as Request)).toBe("token-one-holds-stub-two token-two-holds-stub-one");
    client.destroy();
  });
});

describe('"the body when its length is known and at most 64 KiB"', () => {
  const padded = (size: number): string => PLACEHOLDER + "x".repeat(size - PLACEHOLDER.length);

  for (const size of [PLACEHOLDER.length, KIB64 - 1, KIB64]) {
    test(`${size} bytes: substituted`, async () => {
      const { request, record } = await received({ raw: (rig) => post("/", rig.host, padded(size)) });
      expect(text(request)).toBe(padded(size).replace(PLACEHOLDER, SECRET));
      expect(record.substitution_skipped).toBeUndefined();
    });
  }

  test("a placeholder at the very end of 64 KiB", async () => {
    const fill = "x".repeat(KIB64 - PLACEHOLDER.length);
    const { request } = await received({ raw: (rig) => post("/", rig.host, fill + PLACEHOLDER) });
    expect(text(request)).toBe(fill + SECRET);
  });

  test("64 KiB full of placeholders, with a longer token", async () => {
    const many = Math.floor(KIB64 / 8);
    await using rig = await startRewriting({
      config: (host) => ({ token_substitutions: [substitution(host, "T".repeat(64), "stub-123")] }),
      reply: () => ok(),
    });
    const client = await rig.open();
    await exchange(client, post("/", rig.host, "stub-123".repeat(many)));
    expect(text(rig.upstream.requests[0] as Request)).toBe("T".repeat(64 * many));
    client.destroy();
  });

  const chunked = (body: string): string => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  const compressed = gzipSync(PLACEHOLDER.repeat(9)).toString("latin1");
  const unchanged: readonly (readonly [string, (host: string) => string, string])[] = [
    ["64 KiB and one byte", (host) => post("/", host, padded(KIB64 + 1)), padded(KIB64 + 1)],
    [
      "chunked",
      (host) =>
        message("POST / HTTP/1.1", [`Host: ${host}`, "Transfer-Encoding: chunked"], chunked(PLACEHOLDER)),
      PLACEHOLDER,
    ],
    ["encoded", (host) => post("/", host, compressed, ["Content-Encoding: gzip"]), compressed],
  ];
  for (const [name, raw, body] of unchanged) {
    test(`${name}: streams unchanged, and the record says substitution_skipped`, async () => {
      const { request, record } = await received({ raw: (rig) => raw(rig.host) });
      expect(text(request)).toBe(body);
      expect(String(record.substitution_skipped ?? "")).not.toBe("");
    });
  }

  test("what is skipped in the body is still done in the path and in Authorization", async () => {
    const { request } = await received({
      raw: (rig) => post(`/${PLACEHOLDER}`, rig.host, padded(KIB64 + 1), [`Authorization: ${PLACEHOLDER}`]),
    });
    expect(request.target).toBe(`/${SECRET}`);
    expect(value(request, "authorization")).toBe(SECRET);
  });
});

test("pipelined requests are substituted each for itself and answered in order", async () => {
  await using rig = await startRewriting({
    config: (host) => ({ token_substitutions: [substitution(host)] }),
    reply: (request) => ok(request.target.replace(SECRET, "<token>")),
  });
  const client = await rig.open();
  const body = `{"t":"${PLACEHOLDER}"}`;
  const json = ["Content-Type: application/json"];
  await client.write(
    post(`/1/${PLACEHOLDER}`, rig.host, body, json) +
      get(`/2/${PLACEHOLDER}`, rig.host) +
      post("/3", rig.host, body, json) +
      get("/4", rig.host),
  );
  const answers: string[] = [];
  for (let count = 0; count < 4; count++) answers.push(text(await readResponse(client)));
  expect(answers).toEqual(["/1/<token>", "/2/<token>", "/3", "/4"]);
  expect(rig.upstream.requests.map(text)).toEqual([`{"t":"${SECRET}"}`, "", `{"t":"${SECRET}"}`, ""]);
  client.destroy();
});

test("a reload changes the token for the next request of an open tunnel", async () => {
  const config = (host: string, token: string): object => ({
    token_substitutions: [substitution(host, token)],
  });
  await using rig = await startRewriting({ config: (host) => config(host, SECRET), reply: () => ok() });
  const client = await rig.open();
  await exchange(client, get(`/${PLACEHOLDER}`, rig.host));
  await reload(rig.proxy, config(rig.host, OTHER_SECRET));
  await exchange(client, get(`/${PLACEHOLDER}`, rig.host));
  expect(rig.upstream.requests.map((request) => request.target)).toEqual([`/${SECRET}`, `/${OTHER_SECRET}`]);
  client.destroy();
});

describe("cleartext rule: over plain http:// such a host is reached at loopback and private addresses only", () => {
  for (const [name, path, fields] of [
    ["with the placeholder in the path", `/${PLACEHOLDER}`, []],
    ["with the placeholder in Authorization", "/", [`Authorization: ${PLACEHOLDER}`]],
  ] as const) {
    test(name, async () => {
      await using proxy = await startProxy({
        config: { token_substitutions: [substitution("203.0.113.7")] },
      });
      const client = await connectProxy(proxy);
      const answer = await exchange(client, get(`http://203.0.113.7${path}`, "203.0.113.7", fields));
      expect(answer.status).toBe(403);
      expect(values(answer, "x-moat-blocked")).toEqual(["cleartext-credential"]);
      expect(text(answer)).not.toContain(SECRET);
      client.destroy();
    });
  }
});

test("log.query shows the placeholder of a query, and nothing shows the token", async () => {
  const { record } = await received({
    raw: (rig) => get(`/${PLACEHOLDER}?k=${PLACEHOLDER}`, rig.host),
    log: { query: true },
  });
  expect(record.http_path).toBe(`/${PLACEHOLDER}`);
  expect(String(record.http_query)).toContain("k=");
});

test("an upstream that cannot be reached is reported without the token", async () => {
  await using rig = await startRewriting({
    config: (host) => ({ token_substitutions: [substitution(host)], log: { level: "debug" } }),
    serve: (stream) => stream.destroy(),
  });
  const client = await rig.open();
  const answer = await exchange(client, post(`/${PLACEHOLDER}`, rig.host, PLACEHOLDER));
  expect(answer.status).toBe(502);
  expect(answer.rawHead + text(answer)).not.toContain(SECRET);
  client.destroy();
  await rig.proxy.untilRecords(1);
  await rig.proxy.stop();
  expectNotPrinted(rig.proxy, [SECRET]);
});
