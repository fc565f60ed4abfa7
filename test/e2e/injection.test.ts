// Which credential goes where, and in what form (wire.md section 6), asserted on what the upstream received.
import { describe, expect, test } from "bun:test";
import { run, startProxy } from "../support/binary.ts";
import { connectProxy, get, tlsTunnel } from "../support/client.ts";
import { exchange, type Request, text, value, values } from "../support/http-message.ts";
import {
  type Credential,
  credential,
  expectNotPrinted,
  OTHER_SECRET,
  PLACEHOLDER,
  SECRET,
} from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

interface Sent {
  readonly credentials: (upstream: Upstream) => readonly (Credential & { allow_cleartext?: boolean })[];
  readonly fields?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Sends one request through a tunnel and gives what the upstream received. */
async function received(sent: Sent): Promise<Request> {
  await using upstream = startUpstream({ reply: () => ok() });
  await using proxy = await startProxy({
    config: { credentials: sent.credentials(upstream) },
    env: sent.env ?? {},
  });
  const tls = await tlsTunnel(proxy, upstream.authority);
  expect((await exchange(tls, get("/", upstream.authority, sent.fields))).status).toBe(200);
  tls.destroy();
  await proxy.untilRecords(1, (record) => record.http_method === "GET");
  await proxy.stop();
  expectNotPrinted(proxy, [SECRET, OTHER_SECRET]);
  return upstream.requests[0] as Request;
}

describe('"An injected value always replaces the client\'s, whole, once"', () => {
  const sent: readonly (readonly [name: string, fields: readonly string[]])[] = [
    ["nothing was sent", []],
    ["a placeholder", [`Authorization: Bearer ${PLACEHOLDER}`]],
    ["lower case", [`authorization: ${PLACEHOLDER}`]],
    ["odd case", [`aUTHORIZATION: ${PLACEHOLDER}`]],
    ["twice", [`Authorization: Bearer ${PLACEHOLDER}`, `Authorization: Basic ${PLACEHOLDER}`]],
    [
      "twice in different case",
      [`Authorization: ${PLACEHOLDER}`, "X-Between: 1", `AUTHORIZATION: ${PLACEHOLDER}`],
    ],
    ["empty", ["Authorization:"]],
    [
      "the placeholder within a longer value",
      [`Authorization: Custom a="${PLACEHOLDER}", b="${PLACEHOLDER}"`],
    ],
  ];
  for (const [name, fields] of sent) {
    test(name, async () => {
      const request = await received({ credentials: (upstream) => [credential(upstream.authority)], fields });
      expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
      expect(request.rawHead).not.toContain(PLACEHOLDER);
    });
  }
});

describe("Value shaping, header Authorization only", () => {
  const b64 = (plain: string): string => Buffer.from(plain).toString("base64");
  const shapes: readonly (readonly [
    name: string,
    more: Parameters<typeof credential>[1],
    expected: string,
  ])[] = [
    ["all others get Bearer", { value: "sk-ant-123" }, "Bearer sk-ant-123"],
    ["ghp_ gets token", { value: "ghp_abc123" }, "token ghp_abc123"],
    ["ghs_ gets token", { value: "ghs_abc123" }, "token ghs_abc123"],
    ["gho_ gets Bearer", { value: "gho_abc123" }, "Bearer gho_abc123"],
    ["a value that already has a scheme is kept", { value: "Basic dXNlcjpwYXNz" }, "Basic dXNlcjpwYXNz"],
    ["a Bearer value is kept", { value: "Bearer abc" }, "Bearer abc"],
    ["format basic", { value: "pass", prefix: "user", format: "basic" }, `Basic ${b64("user:pass")}`],
    ["an explicit prefix is put before it", { value: "abc", prefix: "Token" }, "Token abc"],
    ["an explicit prefix wins over ghp_", { value: "ghp_abc", prefix: "Bearer" }, "Bearer ghp_abc"],
  ];
  for (const [name, more, expected] of shapes) {
    test(name, async () => {
      const request = await received({ credentials: (upstream) => [credential(upstream.authority, more)] });
      expect(values(request, "authorization")).toEqual([expected]);
    });
  }

  test("another header gets the value as it is", async () => {
    const request = await received({
      credentials: (upstream) => [credential(upstream.authority, { header: "x-api-key", value: "ghp_raw" })],
      fields: [`X-Api-Key: ${PLACEHOLDER}`],
    });
    expect(values(request, "x-api-key")).toEqual(["ghp_raw"]);
    expect(values(request, "authorization")).toEqual([]);
  });
});

describe("A host may have several credentials", () => {
  const two = (upstream: Upstream): Credential[] => [
    credential(upstream.authority, { header: "Authorization", grant: "one" }),
    credential(upstream.authority, { header: "x-api-key", value: OTHER_SECRET, grant: "two" }),
  ];

  test('"otherwise all": the client sent none of their header names', async () => {
    const request = await received({ credentials: two });
    expect(value(request, "authorization")).toBe(`Bearer ${SECRET}`);
    expect(value(request, "x-api-key")).toBe(OTHER_SECRET);
  });

  test('"If the client sent any of their header names, only those are injected": x-api-key', async () => {
    const request = await received({ credentials: two, fields: [`X-API-KEY: ${PLACEHOLDER}`] });
    expect(values(request, "authorization")).toEqual([]);
    expect(values(request, "x-api-key")).toEqual([OTHER_SECRET]);
  });

  test('"If the client sent any of their header names, only those are injected": Authorization', async () => {
    const request = await received({ credentials: two, fields: [`Authorization: Bearer ${PLACEHOLDER}`] });
    expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
    expect(values(request, "x-api-key")).toEqual([]);
  });

  test("both sent: both are injected", async () => {
    const fields = [`x-api-key: ${PLACEHOLDER}`, `authorization: ${PLACEHOLDER}`];
    const request = await received({ credentials: two, fields });
    expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
    expect(values(request, "x-api-key")).toEqual([OTHER_SECRET]);
    expect(request.rawHead).not.toContain(PLACEHOLDER);
  });

  test('"Same grant and header: the later replaces"', async () => {
    const request = await received({
      credentials: (upstream) => [
        credential(upstream.authority, { grant: "g", value: OTHER_SECRET }),
        credential(upstream.authority, { grant: "g", value: SECRET }),
      ],
    });
    expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
  });

  for (const order of [
    ["claude", "anthropic"],
    ["anthropic", "claude"],
  ] as const) {
    const credentials = (upstream: Upstream): Credential[] =>
      order.map((grant) =>
        credential(upstream.authority, { grant, value: grant === "claude" ? OTHER_SECRET : SECRET }),
      );

    test(`"Exactly one per header name; on a tie the grant claude loses": ${order.join(", ")}`, async () => {
      const request = await received({ credentials });
      expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
    });

    test(`"unless the client sent that header": exactly one all the same: ${order.join(", ")}`, async () => {
      const request = await received({ credentials, fields: [`Authorization: Bearer ${PLACEHOLDER}`] });
      expect(values(request, "authorization")).toHaveLength(1);
      expect(request.rawHead).not.toContain(PLACEHOLDER);
    });
  }
});

describe("Lookup: exact host:port, exact host, then wildcard; independent of order", () => {
  const port = (upstream: Upstream): number => upstream.port;
  const wrong = (host: string): Credential => credential(host, { value: OTHER_SECRET });
  const cases: readonly (readonly [
    name: string,
    winner: (upstream: Upstream) => string,
    losers: (upstream: Upstream) => readonly string[],
  ])[] = [
    ["exact host:port before exact host", (u) => `localhost:${port(u)}`, () => ["localhost"]],
    ["exact host on any port", () => "localhost", () => ["127.0.0.1", "example.test"]],
    [
      "another port does not count",
      () => "localhost",
      (u) => [`localhost:${port(u) === 65535 ? 1 : port(u) + 1}`],
    ],
    ["upper case and a trailing dot in the config", () => "LocalHost.", () => []],
    ["wildcards never match the domain itself", () => "localhost", () => ["*.localhost", "*.ocalhost"]],
  ];
  for (const [name, winner, losers] of cases) {
    for (const first of ["winner first", "winner last"]) {
      test(`${name} (${first})`, async () => {
        const request = await received({
          credentials: (upstream) => {
            const others = losers(upstream).map(wrong);
            const best = credential(winner(upstream));
            return first === "winner first" ? [best, ...others] : [...others, best];
          },
        });
        expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
      });
    }
  }

  for (const host of [
    "*.localhost",
    "alhost",
    "localhos",
    "localhost.evil.test",
    "127.0.0.1",
    "xlocalhost",
  ]) {
    test(`no credential for ${host} reaches localhost; the client's own value stays`, async () => {
      const request = await received({
        credentials: () => [credential(host)],
        fields: ["Authorization: Bearer mine"],
      });
      expect(values(request, "authorization")).toEqual(["Bearer mine"]);
      expect(request.rawHead).not.toContain(SECRET);
    });
  }
});

describe("Decision: over plain http:// a credential is sent only to a loopback or private address", () => {
  test("loopback gets it", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy({ config: { credentials: [credential("localhost")] } });
    const client = await connectProxy(proxy);
    await exchange(client, get(`http://${upstream.authority}/`, upstream.authority));
    expect(values(upstream.requests[0] as Request, "authorization")).toEqual([`Bearer ${SECRET}`]);
    client.destroy();
  });

  for (const address of ["203.0.113.7", "[2001:db8::7]", "8.8.8.8"]) {
    test(`"Otherwise 403, X-Moat-Blocked: cleartext-credential": ${address}`, async () => {
      const host = address.replace(/^\[|\]$/g, "");
      await using proxy = await startProxy({ config: { credentials: [credential(host)] } });
      const client = await connectProxy(proxy);
      const answer = await exchange(client, get(`http://${address}/`, address));
      expect(answer.status).toBe(403);
      expect(values(answer, "x-moat-blocked")).toEqual(["cleartext-credential"]);
      expect(text(answer)).not.toContain(SECRET);
      expect(await proxy.untilRecords(1)).toMatchObject([
        { http_status: 403, denied: true, deny_reason: "cleartext-credential" },
      ]);
      client.destroy();
    });
  }

  test("the same through CONNECT to a plain port", async () => {
    await using proxy = await startProxy({ config: { credentials: [credential("203.0.113.7")] } });
    const client = await connectProxy(proxy);
    await client.write("CONNECT 203.0.113.7:80 HTTP/1.1\r\nHost: 203.0.113.7:80\r\n\r\n");
    await client.readUntil("200 Connection Established\r\n\r\n");
    const answer = await exchange(client, get("/", "203.0.113.7"));
    expect(answer.status).toBe(403);
    expect(value(answer, "x-moat-blocked")).toBe("cleartext-credential");
    client.destroy();
  });
});

describe("sources", () => {
  test("env: the value of the variable", async () => {
    const request = await received({
      credentials: (upstream) => [{ host: upstream.authority, source: { type: "env", var: "MY_API_KEY" } }],
      env: { MY_API_KEY: SECRET },
    });
    expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
  });

  test("env: a variable that is not set never lets a request through without its credential", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const config = {
      credentials: [{ host: upstream.authority, source: { type: "env", var: "NOT_SET_ANYWHERE" } }],
    };
    await using child = run({ config });
    if (!(await child.started())) {
      expect(await child.exited).toBe(1);
      return;
    }
    const proxy = {
      host: "127.0.0.1",
      port: Number(new URL(child.stdout.trim()).port),
      caPath: child.caPath,
    };
    const tls = await tlsTunnel(proxy, upstream.authority);
    const answer = await exchange(tls, get("/", upstream.authority, [`Authorization: ${PLACEHOLDER}`]));
    expect(answer.status).toBeGreaterThanOrEqual(500);
    expect(upstream.text).toBe("");
    tls.destroy();
  });

  for (const [name, bad] of [
    ["a line break", "secret\r\nX-Injected: 1"],
    ["a NUL", "secret\x00"],
  ] as const) {
    test(`a value with ${name} is never written into a request`, async () => {
      await using upstream = startUpstream({ reply: () => ok() });
      await using child = run({ config: { credentials: [credential(upstream.authority, { value: bad })] } });
      if (await child.started()) {
        const proxy = {
          host: "127.0.0.1",
          port: Number(new URL(child.stdout.trim()).port),
          caPath: child.caPath,
        };
        const tls = await tlsTunnel(proxy, upstream.authority);
        expect((await exchange(tls, get("/", upstream.authority))).status).toBeGreaterThanOrEqual(500);
        tls.destroy();
      } else expect(await child.exited).toBe(1);
      expect(upstream.text).toBe("");
      expect(child.stderr).not.toContain("X-Injected");
    });
  }
});
