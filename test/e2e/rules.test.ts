// Method and path rules (network.rules): on every request inside a tunnel and in absolute form, first match wins,
// then the policy's default; "refused where two readings differ". What the upstream got is compared target by target.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, get, message, openTunnel, post, tlsTunnel } from "../support/client.ts";
import { exchange, type Response, text, value } from "../support/http-message.ts";
import { credential, SECRET } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

type Case = readonly [method: string, target: string, allowed: boolean, why?: string];

function expectRefused(answer: Response): void {
  expect(answer.status).toBe(403);
  expect(value(answer, "x-moat-blocked")).toBe("request-rule");
}

const bare = (method: string, target: string, host: string, fields: readonly string[] = []): string =>
  message(`${method} ${target} HTTP/1.1`, [`Host: ${host}`, ...fields]);

/** Sends all cases through one tunnel, in order; a refusal must not end it, and nothing refused may get through. */
function checked(title: string, network: (host: string) => object, cases: readonly Case[]): void {
  describe(title, () => {
    let upstream: Upstream;
    let proxy: RunningProxy;
    beforeAll(async () => {
      upstream = startUpstream({ reply: (request) => ok(request.method === "HEAD" ? "" : "through") });
      const config = { network: network(upstream.authority), credentials: [credential(upstream.authority)] };
      proxy = await startProxy({ config });
    });
    afterAll(async () => {
      upstream.close();
      await proxy[Symbol.asyncDispose]();
    });
    for (const [method, target, allowed, why] of cases) {
      const name = `${method} ${target} is ${allowed ? "allowed" : "refused"}${why === undefined ? "" : `: ${why}`}`;
      test(name, async () => {
        const before = upstream.requests.length;
        const tls = await tlsTunnel(proxy, upstream.authority);
        const answer = await exchange(tls, bare(method, target, upstream.authority));
        const sent = upstream.requests.slice(before).map((request) => `${request.method} ${request.target}`);
        if (allowed) {
          expect(answer.status).toBe(200);
          expect(sent).toEqual([`${method} ${target}`]);
        } else {
          expectRefused(answer);
          expect(sent).toEqual([]);
        }
        tls.destroy();
      });
    }
    test("all in one tunnel, in order", async () => {
      const before = upstream.requests.length;
      const tls = await tlsTunnel(proxy, upstream.authority);
      const statuses: string[] = [];
      for (const [method, target] of cases) {
        const answer = await exchange(tls, bare(method, target, upstream.authority));
        statuses.push(`${method} ${target} ${answer.status}`);
      }
      expect(statuses).toEqual(
        cases.map(([method, target, good]) => `${method} ${target} ${good ? 200 : 403}`),
      );
      const through = cases.filter(([, , good]) => good).map(([method, target]) => `${method} ${target}`);
      const sent = upstream.requests.slice(before).map((request) => `${request.method} ${request.target}`);
      expect(sent).toEqual(through);
      tls.destroy();
    });
  });
}

checked(
  "an allow list that ends in deny",
  (host) => ({
    policy: "strict",
    rules: [{ [host]: ["allow GET,HEAD /repos/**", "allow POST /repos/*/issues", "deny * /**"] }],
  }),
  [
    ["GET", "/repos/a/b", true],
    ["HEAD", "/repos/a", true],
    ["GET", "/repos/a?x=/../user", true, "the query is not looked at"],
    ["GET", "/repos/%61/b", true, "an encoded letter is that letter"],
    ["POST", "/repos/a/issues", true],
    ["POST", "/repos/a/b/issues", false, "* is one segment"],
    ["POST", "/repos//issues", false, "* is a whole segment"],
    ["POST", "/repos/a%2Fissues", false, "one segment or two"],
    ["POST", "/repos/a%2Fb/issues", false, "two readings"],
    ["DELETE", "/repos/a", false],
    ["GET", "/user", false],
    ["GET", "/", false],
    ["GET", "/repositories", false],
    ["GET", "/REPOS/a", false, "allow minds the case"],
    ["GET", "/repos/../user", false, "dot segments"],
    ["GET", "/repos/%2e%2e/user", false, "encoded dots"],
    ["GET", "/repos/.%2E/user", false],
    ["GET", "/repos/..%2fuser", false, "encoded slash"],
    ["GET", "/repos/a/..%2f..%2fuser", false],
    ["GET", "/repos/..%5cuser", false, "encoded backslash"],
    ["GET", "/repos/..\\user", false, "backslash"],
    ["GET", "/repos/..;/user", false, "path parameters"],
    ["GET", "/repos/%252e%252e/user", false, "encoded twice"],
    ["GET", "//repos/a", false, "repeated slash"],
    ["GET", "/user/../repos/a", false, "the other way round"],
  ],
);

checked(
  "a deny list under a permissive policy",
  (host) => ({ rules: [{ [host]: ["deny * /admin/**", "deny DELETE /**"] }] }),
  [
    ["GET", "/", true],
    ["GET", "/administration", true],
    ["POST", "/x/y", true],
    ["DELETE", "/x/y", false],
    ["GET", "/admin", false, "** matches none as well"],
    ["GET", "/admin/x", false],
    ["GET", "/ADMIN/x", false, "deny does not care for case"],
    ["GET", "//admin/x", false],
    ["GET", "/./admin/x", false],
    ["GET", "/x/../admin/y", false],
    ["GET", "/%61dmin/x", false],
    ["GET", "/x/%2e%2e/admin/y", false],
    ["GET", "/admin%2Fx", false],
    ["GET", "/x%2f..%2fadmin", false],
    ["GET", "/admin;a=1/x", false],
    ["GET", "/\\admin/x", false],
  ],
);

checked(
  "the default where no rule matches: strict refuses",
  (host) => ({ policy: "strict", rules: [{ [host]: ["allow GET /public/**"] }] }),
  [
    ["GET", "/public/x", true],
    ["GET", "/private", false],
    ["POST", "/public/x", false],
  ],
);

checked(
  "the default where no rule matches: strict allows what allow names",
  (host) => ({ policy: "strict", allow: [host], rules: [{ [host]: ["deny DELETE /**"] }] }),
  [
    ["GET", "/private", true],
    ["DELETE", "/private", false],
  ],
);

checked(
  "the first match decides",
  (host) => ({ rules: [{ [host]: ["deny GET /a/b", "allow * /a/**", "deny * /**"] }] }),
  [
    ["GET", "/a/b", false],
    ["POST", "/a/b", true],
    ["GET", "/a/c", true],
    ["GET", "/b", false],
  ],
);

checked(
  "of several patterns the most specific one counts, and only its rules",
  (host) => ({
    rules: [{ "*.localhost": ["deny * /**"] }, { [host]: ["allow GET /mine", "deny * /**"] }],
  }),
  [
    ["GET", "/mine", true],
    ["GET", "/yours", false],
  ],
);

describe("around a refusal", () => {
  const network = (host: string): object => ({
    policy: "strict",
    rules: [{ [host]: ["allow * /open/**", "deny * /**"] }],
  });

  test("a refused body is drained and the tunnel serves the next request, with its credential", async () => {
    await using upstream = startUpstream({ reply: (request) => ok(value(request, "authorization")) });
    const host = upstream.authority;
    await using proxy = await startProxy({
      config: { network: network(host), credentials: [credential(host)] },
    });
    const tls = await tlsTunnel(proxy, host);
    expectRefused(await exchange(tls, post("/closed", host, "b".repeat(10_000))));
    expect(text(await exchange(tls, post("/open/x", host, "body")))).toBe(`Bearer ${SECRET}`);
    expect(upstream.requests.map((request) => request.target)).toEqual(["/open/x"]);
    tls.destroy();
  });

  test("pipelined: the refused one in the middle does not reach the upstream, the others keep their order", async () => {
    await using upstream = startUpstream({ reply: (request) => ok(request.target) });
    const host = upstream.authority;
    await using proxy = await startProxy({ config: { network: network(host) } });
    const tls = await tlsTunnel(proxy, host);
    const first = await exchange(
      tls,
      ["/open/1", "/closed", "/open/2"].map((path) => get(path, host)).join(""),
    );
    expect(text(first)).toBe("/open/1");
    expectRefused(await exchange(tls, "", "GET"));
    expect(text(await exchange(tls, "", "GET"))).toBe("/open/2");
    tls.destroy();
  });

  test("absolute form: plain http, and inside a tunnel", async () => {
    await using plain = startUpstream({ tls: false, reply: () => ok() });
    await using secure = startUpstream({ reply: () => ok() });
    const rules = [plain, secure].map((upstream) => ({
      [upstream.authority]: ["allow GET /open/**", "deny * /**"],
    }));
    await using proxy = await startProxy({ config: { network: { policy: "strict", rules } } });
    const client = await connectProxy(proxy);
    const at = (path: string): string => get(`http://${plain.authority}${path}`, plain.authority);
    expectRefused(await exchange(client, at("/closed")));
    expectRefused(await exchange(client, at("/open/../closed")));
    expect((await exchange(client, at("/open/x"))).status).toBe(200);
    const tls = await tlsTunnel(proxy, secure.authority);
    expectRefused(await exchange(tls, get(`https://${secure.authority}/closed`, secure.authority)));
    expect((await exchange(tls, get(`https://${secure.authority}/open/x`, secure.authority))).status).toBe(
      200,
    );
    expect([...plain.requests, ...secure.requests]).toHaveLength(2);
    client.destroy();
    tls.destroy();
  });

  test("a WebSocket upgrade is a GET like any other", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const host = upstream.authority;
    await using proxy = await startProxy({ config: { network: network(host) } });
    const tls = await tlsTunnel(proxy, host);
    const fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    expectRefused(
      await exchange(tls, get("/closed", host, [...fields, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="])),
    );
    expect(upstream.connections).toHaveLength(0);
    tls.destroy();
  });

  test("fields that override method or path are refused on a host with rules", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const host = upstream.authority;
    await using proxy = await startProxy({ config: { network: network(host) } });
    for (const field of [
      "X-HTTP-Method-Override: DELETE",
      "x-http-method: PUT",
      "X-Method-Override: PATCH",
      "X-Original-URL: /closed",
      "X-Rewrite-URL: /closed",
    ]) {
      const tls = await tlsTunnel(proxy, host);
      const answer = await exchange(tls, get("/open/x", host, [field]));
      expect([field, answer.status]).toEqual([field, 403]);
      tls.destroy();
    }
    expect(upstream.requests).toHaveLength(0);
  });

  test("the record: denied, WARN, with its reason", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const host = upstream.authority;
    await using proxy = await startProxy({
      config: { network: network(host), credentials: [credential(host)] },
    });
    const tls = await tlsTunnel(proxy, host);
    await exchange(tls, bare("DELETE", "/closed", host));
    const [record] = await proxy.untilRecords(1, (candidate) => candidate.http_method === "DELETE");
    expect(record).toMatchObject({ http_status: 403, denied: true, level: "warn", http_path: "/closed" });
    expect(String(record?.deny_reason)).toStartWith("request-rule");
    expect(record?.credential_injected).not.toBe(true);
    tls.destroy();
  });

  test("a port without rules is not reached by the rules of another: strict refuses its CONNECT", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy({ config: { network: network(upstream.authority) } });
    const { stream, reply } = await openTunnel(proxy, "localhost:1");
    expect(reply.status).toBe(407);
    stream.destroy();
  });
});
