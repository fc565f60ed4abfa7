// Who asks, with which run, and what becomes of the request: authentication, re-authorisation inside tunnels, runs that
// have to be looked up, 421, 400 and 405. wire.md sections 4 and 6.
import { afterEach, describe, expect, test } from "bun:test";
import { ProxyError } from "../../src/values/errors.ts";
import {
  credential,
  ESTABLISHED,
  finishRigs,
  head,
  makeRun,
  plainReply,
  ScriptedRuns,
  SessionRig,
  settled,
} from "../support/session-rig.ts";

afterEach(finishRigs);

const GET = head("GET http://api.test/a HTTP/1.1", "Host: api.test");
const INNER = head("GET /a HTTP/1.1", "Host: api.test");
const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;
const CHALLENGE = 'Proxy-Authenticate: Basic realm="moat-proxy"';
const MISSING = plainReply("407 Proxy Authentication Required", "Proxy authentication required\n", CHALLENGE);
const UNKNOWN = plainReply("407 Proxy Authentication Required", "Invalid proxy token\n", CHALLENGE);
const GONE = plainReply(
  "403 Forbidden",
  "Moat: the run of this tunnel has ended.\n",
  "X-Moat-Blocked: run",
  "Connection: close",
);

function basic(userPass: string): string {
  return `Basic ${Buffer.from(userPass).toString("base64")}`;
}

describe("authentication", () => {
  const cases: readonly (readonly [string, readonly string[], string, string | undefined])[] = [
    ["no field", [], MISSING, undefined],
    ["an empty field", ["Proxy-Authorization:"], UNKNOWN, undefined],
    ["another scheme", ["Proxy-Authorization: Digest t"], UNKNOWN, undefined],
    ["a wrong Bearer", ["Proxy-Authorization: Bearer wrong"], UNKNOWN, undefined],
    ["a prefix of the token", ["Proxy-Authorization: Bearer toke"], UNKNOWN, undefined],
    ["a wrong password", [`Proxy-Authorization: ${basic("alice:wrong")}`], UNKNOWN, undefined],
    ["the token as user name", [`Proxy-Authorization: ${basic("token:")}`], UNKNOWN, undefined],
    ["Authorization instead", ["Authorization: Bearer token"], MISSING, undefined],
  ];
  for (const [what, fields, reply, user] of cases) {
    test(`${what} is 407, and the connection stays open for the right one`, () => {
      const rig = new SessionRig({ token: "token" });
      rig.client.says(head("GET http://api.test/a HTTP/1.1", "Host: api.test", ...fields));
      expect(rig.client.heard()).toBe(reply);
      expect(rig.client.state).toBe("open");
      rig.client.says(
        head("GET http://api.test/a HTTP/1.1", "Host: api.test", "Proxy-Authorization: bearer token"),
      );
      rig.dialled().says(OK);
      expect(rig.client.heard()).toBe(OK);
      expect(rig.records).toMatchObject([
        { status: 407, denied: true, userId: user, clientIp: "192.0.2.7" },
        { status: 200, denied: false, userId: undefined },
      ]);
    });
  }

  test("is asked of every request on the outer connection", () => {
    const rig = new SessionRig({ token: "token" });
    rig.client.says(GET.replace("\r\n\r\n", "\r\nProxy-Authorization: Bearer token\r\n\r\n"));
    rig.dialled().says(OK);
    rig.client.says(GET);
    expect(rig.client.heard()).toBe(OK + MISSING);
  });

  test("HEAD gets the 407 without its body", () => {
    const rig = new SessionRig({ token: "token" });
    rig.client.says(GET.replace("GET", "HEAD"));
    expect(rig.client.heard()).toBe(MISSING.slice(0, MISSING.indexOf("\r\n\r\n") + 4));
    expect(rig.client.state).toBe("open");
  });

  test("is not asked again inside a tunnel, and a token shown there is not forwarded", () => {
    const rig = new SessionRig({ token: "token" });
    const inner = rig.tunnel("api.test:443", `Proxy-Authorization: ${basic("alice:token")}`);
    inner.says(head("GET /a HTTP/1.1", "Host: api.test", "Proxy-Authorization: Bearer other"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(head("GET /a HTTP/1.1", "Host: api.test", "X-Request-Id: req-2"));
    upstream.says(OK);
    expect(rig.records).toMatchObject([{ status: 200, userId: "alice" }]);
  });
});

describe("a refused request", () => {
  for (const target of ["http://alice:s3cret@api.test/a?key=s3cret", "http://api.test/a?key=s3cret"]) {
    test(`to ${target} is recorded without what is secret in it`, () => {
      const rig = new SessionRig({ token: "token" });
      rig.client.says(head(`GET ${target} HTTP/1.1`, "Host: api.test"));
      rig.client.says(head(`GET ${target} HTTP/1.1`, "Host: api.test", "Proxy-Authorization: Bearer token"));
      rig.client.reset();
      expect(rig.records).toHaveLength(2);
      expect(JSON.stringify(rig.records)).not.toContain("s3cret");
    });
  }

  test("by CONNECT with userinfo is recorded without it", () => {
    const rig = new SessionRig({ token: "token" });
    rig.client.says("CONNECT alice:s3cret@api.test:443 HTTP/1.1\r\n\r\n");
    expect(rig.records).toHaveLength(1);
    expect(JSON.stringify(rig.records)).not.toContain("s3cret");
  });
});

describe("the run inside a tunnel", () => {
  function tunnelled() {
    const run = makeRun({ runId: "run-1", credentials: [credential("api.test", "k", { header: "X-Key" })] });
    const runs = new ScriptedRuns(run, true);
    const rig = new SessionRig({ runs });
    const inner = rig.tunnel("api.test:443", "Proxy-Authorization: Bearer t1");
    return { run, runs, rig, inner };
  }

  test("is looked up for every request, by the token of the CONNECT", () => {
    const { runs, rig, inner, run } = tunnelled();
    inner.says(INNER);
    expect(rig.dial().run).toBe(run);
    const upstream = rig.dialled();
    upstream.says(OK);
    inner.says(INNER);
    upstream.says(OK);
    expect(runs.asked).toEqual(["t1", "t1", "t1"]);
    expect(rig.records.map(({ runId }) => runId)).toEqual(["run-1", "run-1"]);
  });

  test("is gone: 403 with X-Moat-Blocked: run, then the end", () => {
    const { runs, rig, inner } = tunnelled();
    inner.says(INNER);
    rig.dialled().says(OK);
    expect(inner.heard()).toBe(OK);
    runs.answer = undefined;
    inner.says(INNER + INNER);
    expect(inner.heard()).toBe(GONE);
    expect(inner.state).toBe("fin");
    expect(rig.log()).toEqual([
      "connect GET api.test/a 200",
      "connect GET api.test/a 403 denied=run-revoked",
    ]);
  });

  test("has another policy by now: 403 with X-Moat-Blocked: request-rule, and the tunnel stays", () => {
    const { run, runs, rig, inner } = tunnelled();
    runs.answer = makeRun({ runId: "run-1", network: { policy: "strict", allow: ["other.test"] } });
    inner.says(INNER);
    const body = "Moat: request blocked: the network policy no longer allows this host.\n";
    expect(inner.heard()).toBe(plainReply("403 Forbidden", body, "X-Moat-Blocked: request-rule"));
    expect(rig.upstreams.dials).toEqual([]);
    runs.answer = run;
    inner.says(INNER);
    rig.dialled().says(OK);
    expect(inner.heard()).toBe(OK);
    expect(rig.log()).toEqual([
      "connect GET api.test/a 403 denied=request-rule",
      "connect GET api.test/a 200",
    ]);
  });

  test("has other credentials by now: those are injected, over a connection of its own", () => {
    const { runs, rig, inner } = tunnelled();
    inner.says(INNER);
    const first = rig.dialled();
    expect(first.heard()).toContain("\r\nX-Key: k\r\n");
    first.says(OK);
    runs.answer = makeRun({
      runId: "run-1",
      credentials: [credential("api.test", "new", { header: "X-Key" })],
    });
    inner.says(INNER);
    expect(first.heard()).toBe("");
    const second = rig.dialled();
    expect(second.heard()).toContain("\r\nX-Key: new\r\n");
    second.says(OK);
    expect(rig.records.map(({ status }) => status)).toEqual([200, 200]);
  });
});

describe("a run that has to be looked up", () => {
  function waiting(request = GET) {
    const found = Promise.withResolvers<SessionRig["run"] | undefined>();
    const rig = new SessionRig({ runs: new ScriptedRuns(found.promise) });
    rig.client.says(request);
    return { rig, found };
  }

  test("holds the request until it is there", async () => {
    const { rig, found } = waiting();
    await settled();
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.client.writes).toEqual([]);
    found.resolve(makeRun({ runId: "late" }));
    await settled();
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(head("GET /a HTTP/1.1", "Host: api.test", "X-Request-Id: req-1"));
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.records).toMatchObject([{ status: 200, runId: "late" }]);
  });

  test("holds the client's body and what follows outside", async () => {
    const { rig, found } = waiting(
      head("POST http://api.test/a HTTP/1.1", "Host: api.test", "Content-Length: 4"),
    );
    rig.client.says("ab", "cd", GET);
    expect(rig.client.paused).toBe(true);
    expect(rig.client.unread).toBeGreaterThanOrEqual(GET.length);
    found.resolve(rig.run);
    await settled();
    const upstream = rig.dialled();
    expect(upstream.heard()).toEndWith("\r\n\r\nabcd");
    upstream.says(OK);
    await settled();
    upstream.says(OK);
    expect(rig.client.heard()).toBe(OK + OK);
    expect(rig.records.map(({ method, status }) => [method, status])).toEqual([
      ["POST", 200],
      ["GET", 200],
    ]);
  });

  test("and is none is 407", async () => {
    const { rig, found } = waiting();
    found.resolve(undefined);
    await settled();
    expect(rig.client.heard()).toBe(UNKNOWN);
    expect(rig.client.state).toBe("open");
    expect(rig.records).toMatchObject([{ status: 407, denied: true }]);
  });

  test("and cannot be found is a 5xx, and the reason stays in the record", async () => {
    const { rig, found } = waiting();
    found.reject(new Error("resolver at 192.0.2.1 is down"));
    await settled();
    const heard = rig.client.heard();
    expect(heard).toMatch(/^HTTP\/1.1 5\d\d /);
    expect(heard).not.toContain("192.0.2.1");
    expect(rig.records).toHaveLength(1);
    expect(rig.records[0]?.error).toContain("resolver at 192.0.2.1 is down");
  });

  test("and fails with an error of ours is that error", async () => {
    const { rig, found } = waiting();
    found.reject(new ProxyError("credential-failed", "credential resolution failed"));
    await settled();
    expect(rig.client.heard()).toBe(plainReply("502 Bad Gateway", "credential resolution failed\n"));
    expect(rig.client.state).toBe("open");
  });

  test("for a client that leaves meanwhile: nothing is written, nothing dialled", async () => {
    const { rig, found } = waiting();
    rig.client.reset();
    found.resolve(rig.run);
    await settled();
    expect(rig.client.writes).toEqual([]);
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.log()).toEqual(["http GET api.test/a 0"]);
  });

  test("and is not found in 30 s: the client hears of it, and the record says why", async () => {
    const { rig, found } = waiting();
    rig.pass(29_999);
    expect(rig.client.state).toBe("open");
    rig.pass(1);
    expect(rig.client.heard()).toMatch(/^HTTP\/1.1 5\d\d /);
    found.resolve(rig.run);
    await settled();
    expect(rig.upstreams.dials).toEqual([]);
    expect(rig.records.map(({ status, error }) => [status >= 500, error !== undefined])).toEqual([
      [true, true],
    ]);
  });

  test("inside a tunnel, and is gone by then: 403 and the end", async () => {
    const run = makeRun({ runId: "r" });
    const runs = new ScriptedRuns(run);
    const rig = new SessionRig({ runs });
    const inner = rig.tunnel();
    runs.answer = Promise.resolve(undefined);
    inner.says(INNER);
    await settled();
    expect(inner.heard()).toBe(GONE);
    expect(inner.state).toBe("fin");
    expect(rig.records).toMatchObject([{ status: 403, denyReason: "run-revoked" }]);
  });

  test("is awaited for CONNECT too", async () => {
    const { rig, found } = waiting("CONNECT api.test:443 HTTP/1.1\r\n\r\n");
    await settled();
    expect(rig.client.heard()).toBe("");
    expect(rig.interceptor.minted).toEqual([]);
    found.resolve(rig.run);
    await settled();
    expect(rig.client.heard()).toBe(ESTABLISHED);
  });
});

describe("a bug", () => {
  test("is 500 without a word about it, then the end; the record tells", () => {
    const runs = {
      authRequired: false,
      lookup: () => {
        throw new Error("inner workings");
      },
    };
    const rig = new SessionRig({ runs });
    rig.client.says(GET + GET);
    expect(rig.client.heard()).toBe(
      plainReply("500 Internal Server Error", "internal error\n", "Connection: close"),
    );
    expect(rig.client.state).toBe("fin");
    expect(rig.log()).toEqual(["http GET api.test/a 500 error=internal error: inner workings"]);
  });
});

describe("a connection that has carried requests", () => {
  test("may turn into a tunnel", () => {
    const rig = new SessionRig();
    rig.client.says(GET);
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
    const inner = rig.tunnel();
    inner.says(INNER);
    rig.dialled().says(OK);
    expect(inner.heard()).toBe(OK);
    expect(rig.log()).toEqual(["http GET api.test/a 200", "connect GET api.test/a 200"]);
  });
});

describe("inside a tunnel", () => {
  const MISDIRECTED = plainReply("421 Misdirected Request", "Misdirected Request\n");

  /** [what, request line, Host, reply] */
  const cases: readonly (readonly [string, string, readonly string[], string])[] = [
    ["another Host", "GET / HTTP/1.1", ["Host: evil.test"], MISDIRECTED],
    ["another port", "GET / HTTP/1.1", ["Host: api.test:80"], MISDIRECTED],
    ["another absolute target", "GET https://evil.test/ HTTP/1.1", ["Host: api.test"], MISDIRECTED],
    [
      "TRACE",
      "TRACE / HTTP/1.1",
      ["Host: api.test"],
      plainReply("405 Method Not Allowed", "TRACE is not allowed\n"),
    ],
  ];
  for (const [what, line, fields, reply] of cases) {
    test(`${what} is ${reply.slice(9, 12)}, and the tunnel stays`, () => {
      const rig = new SessionRig({ credentials: [credential("*.test", "k")] });
      const inner = rig.tunnel();
      inner.says(head(line, ...fields));
      expect(inner.heard()).toBe(reply);
      expect(rig.upstreams.dials).toEqual([]);
      inner.says(INNER);
      rig.dialled().says(OK);
      expect(inner.heard()).toBe(OK);
      expect(rig.records.map(({ status }) => status)).toEqual([Number(reply.slice(9, 12)), 200]);
    });
  }

  const fatal: readonly (readonly [string, string, readonly string[]])[] = [
    ["CONNECT", "CONNECT api.test:443 HTTP/1.1", ["Host: api.test:443"]],
    ["no Host", "GET / HTTP/1.1", []],
    ["two Hosts", "GET / HTTP/1.1", ["Host: api.test", "Host: api.test"]],
    ["* with GET", "GET * HTTP/1.1", ["Host: api.test"]],
  ];
  for (const [what, line, fields] of fatal) {
    test(`${what} is 400`, () => {
      const rig = new SessionRig();
      const inner = rig.tunnel();
      inner.says(head(line, ...fields));
      expect(inner.heard()).toStartWith("HTTP/1.1 400 Bad Request\r\n");
      expect(rig.upstreams.dials).toEqual([]);
      expect(rig.records.map(({ status }) => status)).toEqual([400]);
    });
  }

  test("an HTTP/1.0 request without Host gets the tunnel's", () => {
    const rig = new SessionRig();
    rig.tunnel("api.test:8443").says("GET / HTTP/1.0\r\n\r\n");
    expect(rig.dialled().heard()).toBe(head("GET / HTTP/1.1", "Host: api.test:8443", "X-Request-Id: req-2"));
    rig.client.reset();
    expect(rig.log()).toEqual(["connect GET api.test:8443/ 0"]);
  });

  test("Host spelled otherwise goes on in the canonical spelling: a shared front end may tell them apart", () => {
    const rig = new SessionRig();
    rig.tunnel().says(head("GET / HTTP/1.1", "hOST: API.Test.:443"));
    expect(rig.dialled().heard()).toBe(head("GET / HTTP/1.1", "Host: api.test", "X-Request-Id: req-2"));
    rig.client.reset();
  });
});

describe("the proxy's own endpoints", () => {
  const HEALTHY = `${head("HTTP/1.1 200 OK", "Content-Type: application/json", "Content-Length: 15")}{"status":"ok"}`;

  test("answer origin-form on the outer connection, without authentication", () => {
    const rig = new SessionRig({ token: "token" });
    rig.client.says(head("GET /healthz HTTP/1.1", "Host: 127.0.0.1:8080"));
    expect(rig.client.heard()).toBe(HEALTHY);
    expect(rig.client.state).toBe("open");
    rig.client.says(head("GET /other HTTP/1.1", "Host: localhost"));
    expect(rig.client.heard()).toBe(plainReply("404 Not Found", "not found\n"));
    expect(rig.log()).toEqual([
      "http GET moat-proxy/healthz 200",
      "http GET moat-proxy/other 404 denied=not-found",
    ]);
  });

  test("do not answer absolute-form, whatever its path", () => {
    const rig = new SessionRig();
    rig.client.says(head("GET http://api.test/healthz HTTP/1.1", "Host: localhost"));
    expect(rig.dialled().heard()).toStartWith("GET /healthz HTTP/1.1\r\nHost: api.test\r\n");
    rig.client.reset();
    expect(rig.log()).toEqual(["http GET api.test/healthz 0"]);
  });

  test("do not answer inside a tunnel", () => {
    const rig = new SessionRig();
    rig.tunnel().says(head("GET /healthz HTTP/1.1", "Host: api.test"));
    expect(rig.dialled().heard()).toStartWith("GET /healthz HTTP/1.1\r\n");
    rig.client.reset();
    expect(rig.log()).toEqual(["connect GET api.test/healthz 0"]);
  });

  test("read and drop a body, and go on", () => {
    const rig = new SessionRig();
    const withBody = head("GET /healthz HTTP/1.1", "Host: localhost", "Content-Length: 5");
    rig.client.says(`${withBody}hello${head("HEAD /healthz HTTP/1.1", "Host: localhost")}`);
    expect(rig.client.heard()).toBe(HEALTHY + HEALTHY.slice(0, -15));
    expect(rig.records.map(({ method, status }) => [method, status])).toEqual([
      ["GET", 200],
      ["HEAD", 200],
    ]);
  });
});
