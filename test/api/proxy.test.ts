// Every operation of the reference's Proxy, named as there: what the upstream receives when it was set, before the start
// and in an open tunnel.

import { describe, expect, test } from "bun:test";
import * as library from "../../src/index.ts";
import { type CredentialStore, MoatProxy, Secret } from "../../src/index.ts";
import { type ByteStream, within } from "../support/byte-stream.ts";
import { connectHead, connectProxy, get, openTunnel, post } from "../support/client.ts";
import { type Embedded, embed, getOnce, showing, tunnelTo } from "../support/embedded.ts";
import { exchange, type Request, text, value, values } from "../support/http-message.ts";
import { OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

function upstreamThatAnswers(): Upstream {
  return startUpstream({ reply: () => ok() });
}

function last(upstream: Upstream): Request {
  const request = upstream.requests.at(-1);
  if (request === undefined) throw new Error("the upstream got no request");
  return request;
}

/** Sends GET in the tunnel and gives what the upstream got. */
async function received(tunnel: ByteStream, upstream: Upstream, ...fields: string[]): Promise<Request> {
  expect((await exchange(tunnel, get("/", upstream.authority, fields))).status).toBe(200);
  return last(upstream);
}

/** Runs `act` on a tunnel that is open while the proxy is being changed. */
async function inOneTunnel(
  upstream: Upstream,
  act: (proxy: MoatProxy, tunnel: ByteStream, embedded: Embedded) => Promise<void>,
): Promise<void> {
  await using embedded = await embed();
  const tunnel = await tunnelTo(embedded, upstream);
  await act(embedded.proxy, tunnel, embedded);
  tunnel.destroy();
}

describe("Proxy", () => {
  test("without any setting forwards what the client sent, and nothing else", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (_proxy, tunnel) => {
      const request = await received(tunnel, upstream, `Authorization: Bearer ${PLACEHOLDER}`);
      expect(values(request, "authorization")).toEqual([`Bearer ${PLACEHOLDER}`]);
    });
  });

  test("is there under a name of its own too, for files that need the global Proxy", () => {
    expect(library.Proxy).toBe(library.MoatProxy);
  });
});

describe("SetCredential", () => {
  test("sends the value as it is in Authorization, whatever the client sent there", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      proxy.setCredential(upstream.authority, `token ${SECRET}`);
      const request = await received(tunnel, upstream, `Authorization: Bearer ${PLACEHOLDER}`);
      expect(values(request, "authorization")).toEqual([`token ${SECRET}`]);
    });
  });

  test("again replaces the value, however the host is written", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      const values_: string[] = [];
      for (const host of ["localhost", "LOCALHOST", "localhost.", "localhost"]) {
        proxy.setCredential(host, `Bearer ${host}-${values_.length}`);
        values_.push(value(await received(tunnel, upstream), "authorization") ?? "");
      }
      expect(values_).toEqual([
        "Bearer localhost-0",
        "Bearer LOCALHOST-1",
        "Bearer localhost.-2",
        "Bearer localhost-3",
      ]);
    });
  });

  test("for another host puts nothing into this one's requests", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      proxy.setCredential("api.example.com", `Bearer ${SECRET}`);
      proxy.setCredential("*.localhost", `Bearer ${SECRET}`);
      expect(values(await received(tunnel, upstream), "authorization")).toEqual([]);
    });
  });
});

describe("SetCredentialHeader", () => {
  test("sends the value in the field named, under that name", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      proxy.setCredentialHeader(upstream.authority, "X-Api-Key", SECRET);
      const request = await received(tunnel, upstream);
      expect(request.rawHead).toContain(`\r\nX-Api-Key: ${SECRET}\r\n`);
      expect(values(request, "authorization")).toEqual([]);
    });
  });
});

describe("SetCredentialWithGrant", () => {
  test("keeps the credentials of two grants apart; the client's placeholder chooses", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      proxy.setCredentialWithGrant(upstream.authority, "x-api-key", SECRET, "anthropic");
      proxy.setCredentialWithGrant(upstream.authority, "Authorization", `Bearer ${OTHER_SECRET}`, "claude");
      const asked = await received(tunnel, upstream, `x-api-key: ${PLACEHOLDER}`);
      expect([values(asked, "x-api-key"), values(asked, "authorization")]).toEqual([[SECRET], []]);
      const all = await received(tunnel, upstream);
      expect([values(all, "x-api-key"), values(all, "authorization")]).toEqual([
        [SECRET],
        [`Bearer ${OTHER_SECRET}`],
      ]);
    });
  });

  test("again for the same host, grant and field replaces", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      for (const secret of [OTHER_SECRET, SECRET]) {
        proxy.setCredentialWithGrant(upstream.authority, "X-Api-Key", secret, "one");
      }
      expect(values(await received(tunnel, upstream), "x-api-key")).toEqual([SECRET]);
    });
  });
});

describe("AddExtraHeader", () => {
  test("appends to what the client sent, else sets; more than one come together", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      proxy.addExtraHeader(upstream.authority, "anthropic-beta", "tools");
      const request = await received(tunnel, upstream, "Anthropic-Beta: own");
      expect(values(request, "anthropic-beta")).toEqual(["own, tools"]);
      proxy.addExtraHeader("localhost", "x-version", "not for this key");
      proxy.addExtraHeader(upstream.authority, "anthropic-beta", "more");
      const next = await received(tunnel, upstream);
      expect([values(next, "anthropic-beta"), values(next, "x-version")]).toEqual([["tools, more"], []]);
    });
  });
});

describe("RemoveRequestHeader", () => {
  test("drops the client's field, and never the injected one of that name", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      proxy.removeRequestHeader(upstream.authority, "X-Api-Key");
      proxy.removeRequestHeader(upstream.authority, "x-api-key");
      proxy.removeRequestHeader(upstream.authority, "X-Telemetry");
      const request = await received(tunnel, upstream, "x-api-key: mine", "X-Telemetry: on", "X-Kept: yes");
      expect([values(request, "x-api-key"), values(request, "x-telemetry")]).toEqual([[], []]);
      expect(value(request, "x-kept")).toBe("yes");
      proxy.setCredentialHeader(upstream.authority, "x-api-key", SECRET);
      expect(values(await received(tunnel, upstream), "x-api-key")).toEqual([SECRET]);
    });
  });
});

describe("SetTokenSubstitution", () => {
  test("puts the real token into path, Authorization and body; the client never sees it", async () => {
    await using upstream = startUpstream({ reply: () => ok("ok", [`X-Echo: ${SECRET}`]) });
    await inOneTunnel(upstream, async (proxy, tunnel, embedded) => {
      proxy.setTokenSubstitution(upstream.authority, PLACEHOLDER, SECRET);
      const raw = post(`/bot${PLACEHOLDER}/send?q=${PLACEHOLDER}`, upstream.authority, `t=${PLACEHOLDER}`, [
        `Authorization: Bearer ${PLACEHOLDER}`,
      ]);
      const answer = await exchange(tunnel, raw);
      const request = last(upstream);
      expect([request.target, value(request, "authorization"), text(request)]).toEqual([
        `/bot${SECRET}/send?q=${PLACEHOLDER}`,
        `Bearer ${SECRET}`,
        `t=${SECRET}`,
      ]);
      expect(value(answer, "x-echo")).toBe(PLACEHOLDER);
      await embedded.untilLogged(1);
      expect(JSON.stringify(embedded.logged)).not.toContain(SECRET);
    });
  });

  test("again for the same placeholder replaces", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      proxy.setTokenSubstitution(upstream.authority, PLACEHOLDER, OTHER_SECRET);
      proxy.setTokenSubstitution(upstream.authority, PLACEHOLDER, SECRET);
      const request = await received(tunnel, upstream, `Authorization: ${PLACEHOLDER}`);
      expect(value(request, "authorization")).toBe(SECRET);
    });
  });
});

describe("AddResponseTransformer", () => {
  test("asks in the order of registration; the first that answers wins", async () => {
    await using upstream = startUpstream({ reply: () => ok("from the upstream") });
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      const seen: string[] = [];
      proxy.addResponseTransformer(upstream.authority, (request) => void seen.push(request.method));
      proxy.addResponseTransformer(upstream.authority, async (_request, response) =>
        Response.json([await response.text()]),
      );
      proxy.addResponseTransformer(upstream.authority, () => new Response("never"));
      const answer = await exchange(tunnel, get("/", upstream.authority));
      expect([text(answer), seen]).toEqual(['["from the upstream"]', ["GET"]]);
    });
  });

  test("knows the built-in ones by name", async () => {
    await using upstream = startUpstream({
      reply: ({ target }) =>
        target.startsWith("/api/oauth")
          ? "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
          : ok(SECRET, ["Content-Type: text/plain"]),
    });
    await inOneTunnel(upstream, async (proxy, tunnel) => {
      proxy.addResponseTransformer(upstream.authority, "oauth-endpoint-workaround");
      proxy.addResponseTransformer(upstream.authority, "response-scrub");
      proxy.setTokenSubstitution(upstream.authority, PLACEHOLDER, SECRET);
      const profile = await exchange(tunnel, get("/api/oauth/profile", upstream.authority));
      expect([profile.status, text(profile)]).toEqual([200, '{"id":"","email":"","name":""}']);
      expect(text(await exchange(tunnel, get("/", upstream.authority)))).toBe(PLACEHOLDER);
    });
  });

  test("a transformer that throws makes a 502, and the logger hears why", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel, embedded) => {
      proxy.addResponseTransformer(upstream.authority, () => {
        throw new Error("no such luck");
      });
      expect((await exchange(tunnel, get("/", upstream.authority))).status).toBe(502);
      await embedded.untilLogged(1);
      expect(embedded.logged[0]?.err?.message).toContain("no such luck");
    });
  });
});

describe("AddRelay", () => {
  test("serves the target under /relay/<name>/, with the credential of its host", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok("relayed") });
    await using embedded = await embed();
    embedded.proxy.addRelay("api", `http://${upstream.authority}/v1`);
    embedded.proxy.setCredential(upstream.authority, `Bearer ${SECRET}`);
    const client = await connectProxy(embedded);
    const answer = await exchange(client, get("/relay/api/things?q=1", "localhost"));
    expect([answer.status, text(answer)]).toEqual([200, "relayed"]);
    expect([last(upstream).target, value(last(upstream), "authorization")]).toEqual([
      "/v1/things?q=1",
      `Bearer ${SECRET}`,
    ]);
    client.destroy();
  });

  test("exempts its target from the refused destinations, that port and no other", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using neighbour = startUpstream({ tls: false, reply: () => ok() });
    await using embedded = await embed(() => undefined, { allowIPs: [] });
    embedded.proxy.addRelay("own", `http://${upstream.authority}`);
    const client = await connectProxy(embedded);
    expect((await exchange(client, get("/relay/own/", "localhost"))).status).toBe(200);
    const other = await exchange(client, get(`http://${neighbour.authority}/`, neighbour.authority));
    expect([other.status, value(other, "x-moat-blocked")]).toEqual([403, "destination"]);
    expect(neighbour.connections).toEqual([]);
    client.destroy();
  });
});

describe("SetMCPServers", () => {
  test("replaces the stub by the credential of the grant, and serves /mcp/<name>", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using embedded = await embed((proxy) => {
      proxy.setCredentialWithGrant("mcp.invalid", "Authorization", `Bearer ${SECRET}`, "mcp-notes");
      proxy.setMCPServers([
        {
          name: "notes",
          url: `http://${upstream.authority}/mcp`,
          auth: { grant: "mcp-notes", header: "Authorization" },
        },
      ]);
    });
    const client = await connectProxy(embedded);
    await exchange(client, get("/mcp/notes/sub?x=1", "localhost"));
    expect([last(upstream).target, value(last(upstream), "authorization")]).toEqual([
      "/mcp/sub?x=1",
      `Bearer ${SECRET}`,
    ]);
    const stub = ["Authorization: moat-stub-mcp-notes"];
    await exchange(client, get(`http://${upstream.authority}/x`, upstream.authority, stub));
    expect(value(last(upstream), "authorization")).toBe(`Bearer ${SECRET}`);
    embedded.proxy.setMCPServers([]);
    expect((await exchange(client, get("/mcp/notes", "localhost"))).status).toBe(404);
    client.destroy();
  });
});

describe("SetCredentialStore", () => {
  const stored = (provider: string, secret: string) => ({
    provider,
    token: new Secret(secret),
    createdAt: 0,
  });

  test("is asked for a grant of an MCP server that no credential has", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    const asked: string[] = [];
    const store: CredentialStore = {
      async get(provider) {
        asked.push(provider);
        return provider === "oauth:notes" ? stored(provider, SECRET) : undefined;
      },
    };
    await using embedded = await embed((proxy) => {
      proxy.setMCPServers([
        {
          name: "notes",
          url: `http://${upstream.authority}/mcp`,
          auth: { grant: "oauth:notes", header: "Authorization" },
        },
        {
          name: "other",
          url: `http://${upstream.authority}/o`,
          auth: { grant: "nobody", header: "X-Key" },
        },
      ]);
    });
    const client = await connectProxy(embedded);
    expect((await exchange(client, get("/mcp/notes", "localhost"))).status).toBe(500);
    embedded.proxy.setCredentialStore(store);
    expect((await exchange(client, get("/mcp/notes", "localhost"))).status).toBe(200);
    expect(value(last(upstream), "authorization")).toBe(`Bearer ${SECRET}`);
    expect((await exchange(client, get("/mcp/other", "localhost"))).status).toBeGreaterThanOrEqual(500);
    expect(asked.sort()).toEqual(["nobody", "oauth:notes"]);
    expect(upstream.requests).toHaveLength(1);
    client.destroy();
  });
});

describe("SetNetworkPolicy", () => {
  test("strict lets through what is allowed, in open tunnels too", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel, embedded) => {
      proxy.setNetworkPolicy("strict", [upstream.authority], ["github"]);
      await received(tunnel, upstream);
      proxy.setNetworkPolicy("strict", ["api.example.com"]);
      const denied = await exchange(tunnel, get("/", upstream.authority));
      expect([denied.status, value(denied, "x-moat-blocked")]).toEqual([403, "request-rule"]);
      const { stream, reply } = await openTunnel(embedded, upstream.authority);
      expect([reply.status, value(reply, "x-moat-blocked")]).toEqual([407, "network-policy"]);
      stream.destroy();
      proxy.setNetworkPolicy("permissive");
      await received(tunnel, upstream);
      expect(upstream.requests).toHaveLength(2);
    });
  });
});

describe("SetAuthToken", () => {
  test("is asked for from now on, on open connections too, and no longer after undefined", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel, embedded) => {
      const outer = await connectProxy(embedded);
      proxy.setAuthToken("let-me-in");
      const status = async (fields: readonly string[] = []): Promise<number> =>
        (await exchange(outer, connectHead("localhost:bad", fields))).status;
      expect([await status(), await status(showing("wrong"))]).toEqual([407, 407]);
      const inside = await exchange(tunnel, get("/", upstream.authority));
      expect([inside.status, value(inside, "x-moat-blocked")]).toEqual([403, "run"]);
      await getOnce(embedded, upstream, [], "let-me-in");
      proxy.setAuthToken(undefined);
      await getOnce(embedded, upstream);
      expect(upstream.requests).toHaveLength(2);
      expect(upstream.text).not.toContain("let-me-in");
      outer.destroy();
    });
  });
});

describe("SetContextResolver", () => {
  test("makes tokens select runs, and the proxy's own settings count no longer", async () => {
    await using upstream = upstreamThatAnswers();
    await using embedded = await embed((proxy) => {
      proxy.setCredential(upstream.authority, `Bearer ${OTHER_SECRET}`);
      proxy.setAuthToken("static");
    });
    const run = { runID: "r", credentials: { localhost: { name: "X-Key", value: SECRET } } };
    embedded.proxy.setContextResolver((token) => (token === "one" ? run : undefined));
    await getOnce(embedded, upstream, [], "one");
    expect([values(last(upstream), "x-key"), values(last(upstream), "authorization")]).toEqual([
      [SECRET],
      [],
    ]);
    await expect(getOnce(embedded, upstream, [], "static")).rejects.toThrow("407");
    embedded.proxy.setContextResolver(undefined);
    await getOnce(embedded, upstream, [], "static");
    expect(values(last(upstream), "authorization")).toEqual([`Bearer ${OTHER_SECRET}`]);
  });
});

describe("ResolveContext", () => {
  test("gives what the resolver gives; without one, nothing", async () => {
    const proxy = new MoatProxy();
    expect(proxy.resolveContext("one")).toBeUndefined();
    const run = { runID: "r" };
    proxy.setContextResolver(async (token) => (token === "one" ? run : null));
    expect(await proxy.resolveContext("one")).toBe(run);
    expect(await proxy.resolveContext("two")).toBeNull();
  });
});

describe("SetAWSHandler", () => {
  test("answers /_aws/credentials, for the token of the proxy only", async () => {
    await using embedded = await embed((proxy) => proxy.setAuthToken("aws-token"));
    const client = await connectProxy(embedded);
    const ask = (...fields: string[]) => exchange(client, get("/_aws/credentials", "localhost", fields));
    expect((await ask("Authorization: aws-token")).status).toBe(404);
    embedded.proxy.setAWSHandler(() => Response.json({ AccessKeyId: "id" }));
    const answer = await ask("Authorization: Bearer aws-token");
    expect([answer.status, text(answer)]).toEqual([200, '{"AccessKeyId":"id"}']);
    expect([(await ask()).status, (await ask("Authorization: wrong")).status]).toEqual([401, 401]);
    await embedded.untilLogged(4);
    const shown = embedded.logged.map(({ requestHeaders }) => requestHeaders.get("authorization"));
    expect(shown).toEqual(["[REDACTED]", "[REDACTED]", null, "[REDACTED]"]);
    client.destroy();
  });

  test("the handler of a run comes first", async () => {
    const run = { runID: "r", awsHandler: async () => new Response("of the run") };
    await using embedded = await embed((proxy) => {
      proxy.setAWSHandler(() => new Response("of the proxy"));
      proxy.setContextResolver((token) => (token === "one" ? run : { runID: token }));
    });
    const client = await connectProxy(embedded);
    const ask = async (token: string) =>
      text(await exchange(client, get("/_aws/credentials", "localhost", [`Authorization: ${token}`])));
    expect([await ask("one"), await ask("two")]).toEqual(["of the run", "of the proxy"]);
    client.destroy();
  });
});

describe("SetCA", () => {
  test("without one a CONNECT is an opaque tunnel, and there is no /ca.crt", async () => {
    await using upstream = startUpstream({ tls: false });
    await using embedded = await embed((proxy) => proxy.setCA(undefined));
    const { stream, reply } = await openTunnel(embedded, upstream.authority);
    expect(reply.status).toBe(200);
    await stream.write("any bytes");
    expect((await (await upstream.next()).readBytes(9)).toString()).toBe("any bytes");
    stream.destroy();
    const client = await connectProxy(embedded);
    expect((await exchange(client, get("/ca.crt", "localhost"))).status).toBe(404);
    client.destroy();
  });

  test("while a server runs it keeps the one that it began with, for tunnels and for /ca.crt", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel, embedded) => {
      proxy.setCA(undefined);
      proxy.setCredential(upstream.authority, `Bearer ${SECRET}`);
      await received(tunnel, upstream);
      await getOnce(embedded, upstream);
      expect(values(last(upstream), "authorization")).toEqual([`Bearer ${SECRET}`]);
      const client = await connectProxy(embedded);
      expect((await exchange(client, get("/ca.crt", "localhost"))).status).toBe(200);
      client.destroy();
    });
  });
});

describe("SetLogger", () => {
  test("is told of each request after its end, and can be taken away", async () => {
    await using upstream = upstreamThatAnswers();
    await inOneTunnel(upstream, async (proxy, tunnel, embedded) => {
      await received(tunnel, upstream);
      await embedded.untilLogged(1);
      proxy.setLogger(undefined);
      await received(tunnel, upstream);
      const second = Promise.withResolvers<string>();
      proxy.setLogger(({ url }) => second.resolve(url));
      await received(tunnel, upstream);
      expect(await within(second.promise, "call of the logger")).toBe(`https://${upstream.authority}/`);
      expect(embedded.logged).toHaveLength(1);
    });
  });
});

describe("ServeHTTP", () => {
  test("has no counterpart: a Server reads the bytes of its clients itself", () => {
    expect("serveHTTP" in new MoatProxy()).toBe(false);
  });
});
