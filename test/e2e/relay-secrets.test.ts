// Relays together with token substitution and response-scrub (wire.md sections 6, 9 and 10), and the paths beyond the
// base that an upstream has announced: nobody else can make them up.
import { describe, expect, test } from "bun:test";
import { ask } from "../support/ask.ts";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, get } from "../support/client.ts";
import { chunk } from "../support/coded-text.ts";
import { type Request, readHead, text, value } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { credential, expectNotPrinted, OTHER_SECRET, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

const TOKEN = "relay-secrets-token-2d8e";

/** The upstream as relay `up` and `two` and as MCP server `up`, with a substitution, a credential and response-scrub. */
function start(upstream: Upstream, more: object = {}): Promise<RunningProxy> {
  const host = upstream.authority;
  const url = `https://${host}/base`;
  return startProxy({
    loopback: false,
    args: ["--upstream-ca", pki().caPath],
    config: {
      relays: [
        { name: "up", url },
        { name: "two", url: `https://${host}/other` },
      ],
      mcp_servers: [{ name: "up", url, auth: { grant: "g", header: "X-Key" } }],
      credentials: [credential("elsewhere.test", { header: "X-Key", grant: "g", value: OTHER_SECRET })],
      token_substitutions: [{ host, placeholder: PLACEHOLDER, source: { type: "static", value: SECRET } }],
      response_transformers: [{ host, kind: "response-scrub" }],
      ...more,
    },
  });
}

function redirect(location: string): string {
  return `HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`;
}

describe("the event stream of an MCP server with response-scrub", () => {
  test("secrets are hidden in its events, which pass at once, and its endpoint still leads through the relay", async () => {
    await using upstream = startUpstream();
    await using proxy = await start(upstream);
    const client = await connectProxy(proxy);
    void client.write(get("/mcp/up/sse", "localhost", ["Accept: text/event-stream"]));
    const server = await upstream.next();
    await readHead(server);
    await server.write(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    await readHead(client);
    await server.write(chunk(`event: endpoint\ndata: /messages/${SECRET}?s=1\n\n`));
    await client.readUntil("data: ");
    const endpoint = (await client.readUntil("\n")).trim();
    expect(endpoint).toStartWith("/mcp/up/");
    for (const event of [
      `data: {"token":"${SECRET}"}\n\n`,
      `data: {"key":"${OTHER_SECRET}"}\n\n`,
      "data: last\n\n",
    ]) {
      await server.write(chunk(event));
      await client.readUntil(event.replace(SECRET, PLACEHOLDER).replace(OTHER_SECRET, "[REDACTED]").trim());
    }
    expect(client.text).not.toContain(SECRET);
    expect(client.text).not.toContain(OTHER_SECRET);
    const second = await connectProxy(proxy);
    void second.write(get(endpoint, "localhost"));
    expect((await readHead(await upstream.next())).startLine).toBe(`GET /messages/${SECRET}?s=1 HTTP/1.1`);
    second.destroy();
    client.destroy();
  });

  test("bodies that are no event stream are scrubbed as well", async () => {
    await using upstream = startUpstream({
      reply: (request) => ok(`${SECRET} ${value(request, "x-key")}`, ["Content-Type: text/plain"]),
    });
    await using proxy = await start(upstream);
    expect(text(await ask(proxy, "/mcp/up"))).toBe(`${PLACEHOLDER} [REDACTED]`);
  });
});

describe("paths beyond the base that the upstream has announced", () => {
  for (const kind of ["relay", "mcp"]) {
    test(`${kind}: one that holds a token shows the placeholder, and following it works`, async () => {
      const reply = (request: Request): string =>
        request.target === "/base/x"
          ? redirect(`/outside/bot${SECRET}/next?q=1`)
          : ok(request.target.replace(SECRET, "<token>"));
      await using upstream = startUpstream({ reply });
      await using proxy = await start(upstream);
      const location = value(await ask(proxy, `/${kind}/up/x`), "location") ?? "";
      expect(location).not.toContain(SECRET);
      const answer = await ask(proxy, location);
      expect([answer.status, text(answer)]).toEqual([200, "/outside/bot<token>/next?q=1"]);
    });
  }

  test("nobody else can make them up: changed, cut, moved to another relay, or of another token", async () => {
    const reply = (request: Request): string =>
      request.target.endsWith("/x") ? redirect("/outside/a") : ok(request.target);
    await using upstream = startUpstream({ reply });
    await using proxy = await start(upstream);
    const location = value(await ask(proxy, "/relay/up/x"), "location") ?? "";
    expect(text(await ask(proxy, location))).toBe("/outside/a");
    const seal = location.slice("/relay/up".length, -"/outside/a".length);
    for (const forged of [
      `/relay/up${seal}/outside/b`,
      `/relay/up${seal}/outside/a/b`,
      `/relay/up${seal}/outside/a/../b`,
      `/relay/up${seal}/outside/%61`,
      `/relay/two${seal}/outside/a`,
      `/mcp/up${seal}/outside/a`,
      `/relay/up${seal.slice(0, -1)}/outside/a`,
      `/relay/up/~${"A".repeat(43)}/outside/a`,
    ]) {
      const answer = await ask(proxy, forged);
      if (answer.status === 200) expect(text(answer)).toMatch(/^\/(base|other)\//);
      else expect(answer.status).toBe(400);
    }
  });
});

test("a run token on a request that is refused for its Host, its Origin or its path is not logged", async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  await using proxy = await start(upstream, { proxy: { auth_token: TOKEN }, log: { level: "debug" } });
  for (const kind of ["relay", "mcp"]) {
    expect((await ask(proxy, `/${kind}/${TOKEN}/up/x`, ["Origin: https://evil.example"])).status).toBe(403);
    expect((await ask(proxy, `/${kind}/${TOKEN}/up/..`)).status).toBe(400);
    expect((await ask(proxy, `/${kind}/${TOKEN}`)).status).toBeGreaterThanOrEqual(400);
    expect(
      (await ask(proxy, `http://localhost:${proxy.port}/${kind}/${TOKEN}/up`)).status,
    ).toBeGreaterThanOrEqual(400);
  }
  await proxy.untilRecords(8);
  await proxy.stop();
  expect(proxy.stderr).not.toContain(TOKEN);
  expectNotPrinted(proxy, [SECRET, OTHER_SECRET]);
});
