// Proxy authentication with a static token (wire.md section 6).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectHead, connectProxy, get, startTls, tlsTunnel } from "../support/client.ts";
import { exchange, readResponse, text, value, values } from "../support/http-message.ts";
import { expectNotPrinted } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

const TOKEN = "tok:en-with-colon-0123456789";
const basic = (user: string, password: string): string =>
  Buffer.from(`${user}:${password}`).toString("base64");

let upstream: Upstream;
let plain: Upstream;
let proxy: RunningProxy;
beforeAll(async () => {
  upstream = startUpstream({ reply: () => ok("in") });
  plain = startUpstream({ tls: false, reply: () => ok("in") });
  proxy = await startProxy({ config: { proxy: { auth_token: TOKEN } } });
});
afterAll(async () => {
  upstream.close();
  plain.close();
  await proxy[Symbol.asyncDispose]();
});

describe("Token: Bearer, or the password of Basic, scheme names case-insensitive", () => {
  const accepted: readonly (readonly [string, string])[] = [
    ["Bearer", `Bearer ${TOKEN}`],
    ["bearer in lower case", `bearer ${TOKEN}`],
    ["BEARER in upper case", `BEARER ${TOKEN}`],
    ["Basic, split at the first colon", `Basic ${basic("user", TOKEN)}`],
    ["bAsIc", `bAsIc ${basic("user", TOKEN)}`],
    ["Basic with no user", `Basic ${basic("", TOKEN)}`],
  ];
  for (const [name, value_] of accepted) {
    test(`accepted: ${name}`, async () => {
      const client = await connectProxy(proxy);
      const fields = [`Proxy-Authorization: ${value_}`];
      expect(text(await exchange(client, get(`http://${plain.authority}/`, plain.authority, fields)))).toBe(
        "in",
      );
      client.destroy();
      const tls = await tlsTunnel(proxy, upstream.authority, { fields });
      expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("in");
      tls.destroy();
    });
  }

  const rejected: readonly (readonly [string, string])[] = [
    ["another token", "Bearer wrong"],
    ["a prefix of the token", `Bearer ${TOKEN.slice(0, -1)}`],
    ["the token and more", `Bearer ${TOKEN}x`],
    ["another case", `Bearer ${TOKEN.toUpperCase()}`],
    ["Basic with the token as the user", `Basic ${basic(TOKEN, "")}`],
    ["Basic with another password", `Basic ${basic("user", "wrong")}`],
    ["Basic split at the last colon", `Basic ${basic("user", TOKEN.slice(TOKEN.indexOf(":") + 1))}`],
    ["an empty Bearer", "Bearer "],
    ["Basic that is no base64", "Basic !!!!"],
    ["another scheme", `Digest ${TOKEN}`],
    ["the bare token", TOKEN],
  ];
  for (const [name, value_] of rejected) {
    test(`rejected with 407: ${name}`, async () => {
      const client = await connectProxy(proxy);
      await client.write(connectHead(upstream.authority, [`Proxy-Authorization: ${value_}`]));
      const answer = await readResponse(client, "CONNECT");
      expect(answer.status).toBe(407);
      expect(value(answer, "proxy-authenticate")).toBe('Basic realm="moat-proxy"');
      expect(text(answer)).not.toContain(TOKEN);
      client.destroy();
    });
  }

  test("two Proxy-Authorization fields are refused, though one is right", async () => {
    const client = await connectProxy(proxy);
    const fields = ["Proxy-Authorization: Bearer wrong", `Proxy-Authorization: Bearer ${TOKEN}`];
    const answer = await exchange(client, get(`http://${plain.authority}/`, plain.authority, fields));
    expect([400, 407]).toContain(answer.status);
    client.destroy();
  });
});

describe("407", () => {
  for (const [name, head, expected] of [
    ["missing, CONNECT", () => connectHead(upstream.authority), "Proxy authentication required"],
    [
      "unknown, CONNECT",
      () => connectHead(upstream.authority, ["Proxy-Authorization: Bearer no"]),
      "Invalid proxy token",
    ],
    [
      "missing, absolute-form",
      () => get(`http://${plain.authority}/`, plain.authority),
      "Proxy authentication required",
    ],
    [
      "unknown, absolute-form",
      () => get(`http://${plain.authority}/`, plain.authority, ["Proxy-Authorization: Bearer no"]),
      "Invalid proxy token",
    ],
  ] as const) {
    test(`"Missing: 407 \`Proxy authentication required\`; unknown: 407 \`Invalid proxy token\`": ${name}`, async () => {
      const before = upstream.connections.length + plain.requests.length;
      const client = await connectProxy(proxy);
      void client.write(head());
      const answer = await readResponse(client);
      expect(answer.status).toBe(407);
      expect(text(answer).trim()).toBe(expected);
      expect(values(answer, "proxy-authenticate")).toEqual(['Basic realm="moat-proxy"']);
      expect(values(answer, "x-moat-blocked")).toEqual([]);
      expect(upstream.connections.length + plain.requests.length).toBe(before);
      client.destroy();
    });
  }

  test('"the connection stays open for a retry", for CONNECT', async () => {
    const client = await connectProxy(proxy);
    void client.write(connectHead(upstream.authority));
    expect((await readResponse(client)).status).toBe(407);
    void client.write(connectHead(upstream.authority, ["Proxy-Authorization: Bearer wrong"]));
    expect((await readResponse(client)).status).toBe(407);
    void client.write(connectHead(upstream.authority, [`Proxy-Authorization: Bearer ${TOKEN}`]));
    expect((await client.readUntil("\r\n\r\n")).startsWith("HTTP/1.1 200 ")).toBe(true);
    const ca = await Bun.file(proxy.caPath).text();
    const tls = await startTls(client, upstream.authority, ca);
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("in");
    tls.destroy();
  });

  test('"the connection stays open for a retry", for plain http with a body', async () => {
    const client = await connectProxy(proxy);
    const target = `http://${plain.authority}/`;
    const raw = `POST ${target} HTTP/1.1\r\nHost: ${plain.authority}\r\nContent-Length: 4\r\n`;
    expect((await exchange(client, `${raw}\r\nbody`)).status).toBe(407);
    expect(text(await exchange(client, `${raw}Proxy-Authorization: Bearer ${TOKEN}\r\n\r\nbody`))).toBe("in");
    client.destroy();
  });

  test("a connection once authenticated is not authenticated for good: each plain request says its token", async () => {
    const client = await connectProxy(proxy);
    const fields = [`Proxy-Authorization: Bearer ${TOKEN}`];
    const target = `http://${plain.authority}/`;
    expect((await exchange(client, get(target, plain.authority, fields))).status).toBe(200);
    expect((await exchange(client, get(target, plain.authority))).status).toBe(407);
    client.destroy();
  });
});

test("Proxy-Authorization never reaches the upstream, not even one sent inside a tunnel", async () => {
  const fields = [`Proxy-Authorization: Bearer ${TOKEN}`];
  const tls = await tlsTunnel(proxy, upstream.authority, { fields });
  await exchange(tls, get("/", upstream.authority, fields));
  const client = await connectProxy(proxy);
  await exchange(client, get(`http://${plain.authority}/`, plain.authority, fields));
  expect((upstream.text + plain.text).toLowerCase()).not.toContain("proxy-authorization");
  expect(upstream.text + plain.text).not.toContain(TOKEN);
  tls.destroy();
  client.destroy();
});

test('"the user name is only logged", and the token is nowhere in the log', async () => {
  await using own = await startProxy({ config: { proxy: { auth_token: TOKEN } } });
  const client = await connectProxy(own);
  const fields = [`Proxy-Authorization: Basic ${basic("agent-seven", TOKEN)}`];
  await exchange(client, get(`http://${plain.authority}/`, plain.authority, fields));
  const [record] = await own.untilRecords(1);
  expect(record?.user_id).toBe("agent-seven");
  client.destroy();
  await own.stop();
  expectNotPrinted(own, [TOKEN, basic("agent-seven", TOKEN)]);
});

test("a request without a token leaves one record, denied, level WARN", async () => {
  await using own = await startProxy({ config: { proxy: { auth_token: TOKEN } } });
  const client = await connectProxy(own);
  await exchange(client, connectHead(upstream.authority), "CONNECT");
  const records = await own.untilRecords(1);
  expect(records).toMatchObject([{ http_method: "CONNECT", http_status: 407, denied: true }]);
  expect(String(records[0]?.level).toUpperCase()).toBe("WARN");
  client.destroy();
});
