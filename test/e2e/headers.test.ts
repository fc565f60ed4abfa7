// extra_headers and remove_headers (wire.md section 6), asserted on what the upstream received.
import { describe, expect, test } from "bun:test";
import { run, startProxy } from "../support/binary.ts";
import { connectProxy, get, message, post, tlsTunnel } from "../support/client.ts";
import { exchange, type Request, text, value, values } from "../support/http-message.ts";
import { type Rewriting, startRewriting, WAYS, type Way } from "../support/rewriting.ts";
import { credential, expectNotPrinted, OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";
import { startEcho, WEBSOCKET_FIELDS } from "../support/websocket.ts";

type Config = (authority: string, upstream: Upstream) => object;

const extra = (host: string, header = "anthropic-beta", more = "oauth-2025"): object => ({
  host,
  header,
  value: more,
});

/** Sends one GET with `fields` and gives what the upstream received. */
async function received(
  config: Config,
  fields: readonly string[] = [],
  way: Way = "tunnel",
): Promise<Request> {
  await using rig = await startRewriting({ way, config, reply: () => ok() });
  const client = await rig.open();
  expect((await exchange(client, get(rig.target("/"), rig.host, fields))).status).toBe(200);
  client.destroy();
  return rig.upstream.requests[0] as Request;
}

/** The members of a list field, over all its lines (RFC 9110 section 5.3). */
function members(request: Request, name: string): string[] {
  return values(request, name).flatMap((line) => line.split(",").map((member) => member.trim()));
}

for (const way of WAYS) {
  describe(`extra_headers by ${way}`, () => {
    const config: Config = (host) => ({ extra_headers: [extra(host)] });

    test('"else set": the client sent none', async () => {
      expect(values(await received(config, [], way), "anthropic-beta")).toEqual(["oauth-2025"]);
    });

    test('"appended to the client\'s own value with a comma"', async () => {
      const request = await received(config, ["Anthropic-Beta: tools-2024"], way);
      expect(values(request, "anthropic-beta")).toHaveLength(1);
      expect(value(request, "anthropic-beta")).toMatch(/^tools-2024, ?oauth-2025$/);
    });

    test("the client's own lines keep their order in front of it", async () => {
      const request = await received(
        config,
        ["anthropic-beta: a, b", "X-Between: 1", "ANTHROPIC-BETA: c"],
        way,
      );
      expect(members(request, "anthropic-beta")).toEqual(["a", "b", "c", "oauth-2025"]);
    });

    test("several requests on one connection get it once each", async () => {
      await using rig = await startRewriting({ way, config, reply: () => ok() });
      const client = await rig.open();
      for (const own of ["one", "two", "three"])
        await exchange(client, get(rig.target("/"), rig.host, [`anthropic-beta: ${own}`]));
      await exchange(client, get(rig.target("/"), rig.host));
      expect(rig.upstream.requests.map((request) => members(request, "anthropic-beta"))).toEqual([
        ["one", "oauth-2025"],
        ["two", "oauth-2025"],
        ["three", "oauth-2025"],
        ["oauth-2025"],
      ]);
      client.destroy();
    });
  });

  describe(`remove_headers by ${way}`, () => {
    const config: Config = (host) => ({ remove_headers: [{ host, header: "X-Api-Key" }] });

    test("the client's own value goes, in any case and as often as it came", async () => {
      const fields = ["x-api-key: 1", "X-Kept: 1", "X-API-KEY: 2", "X-Api-Key-Id: kept"];
      const request = await received(config, fields, way);
      expect(request.rawHead.toLowerCase()).not.toContain("x-api-key:");
      expect(value(request, "x-kept")).toBe("1");
      expect(value(request, "x-api-key-id")).toBe("kept");
    });

    test('"an injected one never does"', async () => {
      const request = await received(
        (host) => ({
          remove_headers: [{ host, header: "authorization" }],
          credentials: [credential(host)],
        }),
        [`Authorization: Bearer ${PLACEHOLDER}`],
        way,
      );
      expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
    });
  });
}

describe('"Order: remove, substitute, inject, extra"', () => {
  test("what is removed is not there to be appended to", async () => {
    const request = await received(
      (host) => ({ remove_headers: [{ host, header: "anthropic-beta" }], extra_headers: [extra(host)] }),
      ["Anthropic-Beta: own"],
    );
    expect(values(request, "anthropic-beta")).toEqual(["oauth-2025"]);
  });

  test("what is removed is not there to be substituted: no token goes out", async () => {
    const request = await received(
      (host) => ({
        remove_headers: [{ host, header: "Authorization" }],
        token_substitutions: [{ host, placeholder: PLACEHOLDER, source: { type: "static", value: SECRET } }],
      }),
      [`Authorization: Bearer ${PLACEHOLDER}`],
    );
    expect(values(request, "authorization")).toEqual([]);
    expect(request.rawHead).not.toContain(SECRET);
  });

  test("an injected value replaces a substituted one whole", async () => {
    const request = await received(
      (host) => ({
        token_substitutions: [
          { host, placeholder: PLACEHOLDER, source: { type: "static", value: OTHER_SECRET } },
        ],
        credentials: [credential(host)],
      }),
      [`Authorization: Bearer ${PLACEHOLDER}`],
    );
    expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
  });

  test('"Nothing is appended to a header that carries a credential"', async () => {
    const request = await received((host) => ({
      credentials: [credential(host, { header: "X-Api-Key" })],
      extra_headers: [extra(host, "x-api-key", "appended")],
    }));
    expect(values(request, "x-api-key")).toEqual([SECRET]);
  });

  test("all four on one request", async () => {
    const request = await received(
      (host) => ({
        remove_headers: [{ host, header: "x-drop" }],
        token_substitutions: [
          { host, placeholder: PLACEHOLDER, source: { type: "static", value: OTHER_SECRET } },
        ],
        credentials: [credential(host, { header: "X-Api-Key" })],
        extra_headers: [extra(host)],
      }),
      ["X-Drop: 1", `Authorization: Bearer ${PLACEHOLDER}`, "anthropic-beta: own", "x-api-key: stub"],
    );
    expect(values(request, "x-drop")).toEqual([]);
    expect(values(request, "authorization")).toEqual([`Bearer ${OTHER_SECRET}`]);
    expect(values(request, "x-api-key")).toEqual([SECRET]);
    expect(members(request, "anthropic-beta")).toEqual(["own", "oauth-2025"]);
  });
});

describe('"only the most specific host pattern of each list counts"', () => {
  const port = (host: string): string => host.slice(host.lastIndexOf(":"));
  const cases: readonly (readonly [name: string, config: Config, beta: readonly string[], kept: boolean])[] =
    [
      [
        "host:port before host",
        (host) => ({ extra_headers: [extra("localhost", "anthropic-beta", "host"), extra(host)] }),
        ["oauth-2025"],
        true,
      ],
      [
        "host:port before host, whatever the order",
        (host) => ({ extra_headers: [extra(host), extra("localhost", "anthropic-beta", "host")] }),
        ["oauth-2025"],
        true,
      ],
      [
        "a host without a port is every port",
        () => ({ extra_headers: [extra("LOCALHOST.")] }),
        ["oauth-2025"],
        true,
      ],
      ["another port is another host", () => ({ extra_headers: [extra("localhost:1")] }), [], true],
      [
        "a wildcard is not the domain itself",
        (host) => ({ extra_headers: [extra(`*.localhost${port(host)}`)] }),
        [],
        true,
      ],
      [
        "the address is not the name",
        (host) => ({ extra_headers: [extra(`127.0.0.1${port(host)}`)] }),
        [],
        true,
      ],
      [
        "each list ranks for itself",
        (host) => ({
          extra_headers: [extra(host)],
          remove_headers: [{ host: "localhost", header: "x-own" }],
        }),
        ["oauth-2025"],
        false,
      ],
      [
        "several of one pattern all count, in order",
        (host) => ({
          extra_headers: [extra(host, "anthropic-beta", "one"), extra(host, "Anthropic-Beta", "two")],
        }),
        ["one", "two"],
        true,
      ],
    ];
  for (const [name, config, beta, kept] of cases) {
    test(name, async () => {
      const request = await received(config, ["X-Own: 1"]);
      expect(members(request, "anthropic-beta")).toEqual([...beta]);
      expect(values(request, "x-own")).toEqual(kept ? ["1"] : []);
    });
  }
});

describe("attacks", () => {
  test("Connection naming the field strips the client's own, never what is added or injected", async () => {
    const request = await received(
      (host) => ({ extra_headers: [extra(host)], credentials: [credential(host)] }),
      ["Connection: anthropic-beta, authorization", "Anthropic-Beta: own", `Authorization: ${PLACEHOLDER}`],
    );
    expect(values(request, "anthropic-beta")).toEqual(["oauth-2025"]);
    expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
    expect(request.rawHead).not.toContain(PLACEHOLDER);
  });

  for (const header of ["Host", "Content-Length", "Transfer-Encoding", "Connection", "Proxy-Authorization"]) {
    for (const list of ["remove_headers", "extra_headers"]) {
      test(`${list} of ${header} never breaks the framing: refused, or without effect`, async () => {
        await using upstream = startUpstream({ reply: () => ok() });
        const item = { host: upstream.authority, header };
        const config = { [list]: [list === "extra_headers" ? { ...item, value: "7" } : item] };
        await using child = run({ config });
        if (!(await child.started())) {
          expect(await child.exited).toBe(1);
          expect(child.stderr).toContain(list);
          return;
        }
        const port = Number(new URL(child.stdout.trim()).port);
        const tls = await tlsTunnel({ host: "127.0.0.1", port, caPath: child.caPath }, upstream.authority);
        await exchange(tls, post("/", upstream.authority, "hello"));
        const [request] = upstream.requests;
        expect(text(request as Request)).toBe("hello");
        expect(values(request as Request, "host")).toEqual([upstream.authority]);
        tls.destroy();
      });
    }
  }

  for (const [name, bad] of [
    ["a line break in the value", { header: "x-a", value: "1\r\nX-Injected: 1" }],
    ["a line break in the name", { header: "x-a: 1\r\nX-Injected", value: "1" }],
    ["a space in the name", { header: "x a", value: "1" }],
    ["an empty name", { header: "", value: "1" }],
  ] as const) {
    test(`${name} is refused at the start`, async () => {
      await using child = run({ config: { extra_headers: [{ host: "example.test", ...bad }] } });
      expect(await child.exited).toBe(1);
      expect(child.stderr).toContain("extra_headers");
    });
  }
});

test("no other host gets them, and no other host loses its fields", async () => {
  await using other = startUpstream({ reply: () => ok() });
  await using rig = await startRewriting({
    config: (host) => ({ extra_headers: [extra(host)], remove_headers: [{ host, header: "x-own" }] }),
    reply: () => ok(),
  });
  const tls = await tlsTunnel(rig.proxy, other.authority);
  await exchange(tls, get("/", other.authority, ["X-Own: 1"]));
  const [request] = other.requests;
  expect(values(request as Request, "anthropic-beta")).toEqual([]);
  expect(values(request as Request, "x-own")).toEqual(["1"]);
  tls.destroy();
});

test("all other fields keep their order, their case and their bytes; the body too", async () => {
  await using rig = await startRewriting({
    config: (host) => ({ extra_headers: [extra(host)], remove_headers: [{ host, header: "x-drop" }] }),
    reply: () => ok(),
  });
  const client = await rig.open();
  const fields = ["zULU:  spaced  ", "X-Drop: 1", "alpha: 1", "ZULU: 2", "accept: */*"];
  await exchange(client, post("/p", rig.host, "a body\r\n\0", fields));
  const [request] = rig.upstream.requests;
  const kept = (request as Request).fields.filter(([name]) => /^(zulu|alpha|accept)$/i.test(name));
  expect(kept).toEqual([
    ["zULU", "spaced"],
    ["alpha", "1"],
    ["ZULU", "2"],
    ["accept", "*/*"],
  ]);
  expect(text(request as Request)).toBe("a body\r\n\0");
  client.destroy();
});

test("an upgrade to WebSocket gets them too", async () => {
  const echo = startEcho(undefined);
  await using proxy = await startProxy({ config: { extra_headers: [extra("127.0.0.1")] } });
  const client = await connectProxy(proxy);
  const authority = `127.0.0.1:${echo.port}`;
  const answer = await exchange(client, get(`http://${authority}/`, authority, WEBSOCKET_FIELDS));
  expect(answer.status).toBe(101);
  expect(echo.headers[0]?.get("anthropic-beta")).toBe("oauth-2025");
  client.destroy();
  echo.stop();
});

test("HTTP/1.0 clients get them", async () => {
  await using rig = await startRewriting({
    way: "plain http",
    config: (host) => ({ extra_headers: [extra(host)] }),
    reply: () => ok(),
  });
  const client = await rig.open();
  const answer = await exchange(client, message(`GET ${rig.target("/")} HTTP/1.0`, ["anthropic-beta: own"]));
  expect(answer.status).toBe(200);
  expect(members(rig.upstream.requests[0] as Request, "anthropic-beta")).toEqual(["own", "oauth-2025"]);
  client.destroy();
});

test("values from variables are shown in no message", async () => {
  await using rig: Rewriting = await startRewriting({
    config: (host) => ({
      extra_headers: [extra(host, "x-tenant", `$${"{TENANT}"}`)],
      log: { level: "debug" },
    }),
    reply: () => ok(),
    start: { env: { TENANT: OTHER_SECRET } },
  });
  const client = await rig.open();
  await exchange(client, get("/", rig.host));
  expect(value(rig.upstream.requests[0] as Request, "x-tenant")).toBe(OTHER_SECRET);
  client.destroy();
  await rig.proxy.untilRecords(1);
  await rig.proxy.stop();
  expectNotPrinted(rig.proxy, [OTHER_SECRET]);
});
