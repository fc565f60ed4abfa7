// One CONNECT from its head to what the tunnel becomes: the order of the checks, the exact 200, opaque bytes, cleartext
// HTTP on a plain port, TLS that ends here. wire.md section 4.
import { afterEach, describe, expect, test } from "bun:test";
import { ProxyError } from "../../src/values/errors.ts";
import {
  dialFailed,
  ESTABLISHED,
  finishRigs,
  head,
  plainReply,
  type RigOptions,
  ScriptedRuns,
  SessionRig,
  settled,
} from "../support/session-rig.ts";

afterEach(finishRigs);

const CHALLENGE = 'Proxy-Authenticate: Basic realm="moat-proxy"';
const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;
const DESTINATION = "Moat: this destination is not allowed through the proxy.\n";

function connect(authority: string, ...fields: readonly string[]): string {
  return head(`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`, ...fields);
}

function policyBody(host: string): string {
  return (
    `Moat: request blocked by network policy.\nHost "${host}" is not in the allow list.\n` +
    "Add it to network.allow in moat.yaml or use policy: permissive.\n"
  );
}

describe("CONNECT", () => {
  test("is answered by exactly 200 and an empty line, in one write, once the leaf is there", () => {
    const rig = new SessionRig();
    rig.client.says(connect("API.test.:443"));
    expect(rig.client.writes).toEqual(["HTTP/1.1 200 Connection Established\r\n\r\n"]);
    expect(rig.interceptor.minted).toEqual(["api.test:443 for 192.0.2.7"]);
    expect(rig.upstreams.dials).toEqual([]);
    rig.client.reset();
    expect(rig.log()).toEqual(["connect CONNECT api.test 200"]);
  });

  test("from HTTP/1.0 and without Host works", () => {
    const rig = new SessionRig();
    rig.client.says("CONNECT api.test:443 HTTP/1.0\r\n\r\n");
    expect(rig.client.heard()).toBe(ESTABLISHED);
  });

  test("byte by byte works", () => {
    const rig = new SessionRig();
    rig.client.saysByteByByte(connect("[2001:DB8::1]:443"));
    expect(rig.client.heard()).toBe(ESTABLISHED);
    expect(rig.interceptor.minted).toEqual(["[2001:db8::1]:443 for 192.0.2.7"]);
  });

  const bad: readonly (readonly [string, string])[] = [
    ["api.test", "invalid host format"],
    ["http://api.test/", ""],
    ["a b:443", ""],
    ["-.test_:443/", ""],
    ["api.test:0", "invalid port"],
    ["api.test:65536", "invalid port"],
    ["api.test:https", "invalid port"],
    ["a..test:443", "invalid host format"],
    [`${"a".repeat(64)}.test:443`, "invalid host format"],
    ["2001:db8::1:443", "invalid host format"],
    ["127.1:443", "invalid host format"],
  ];
  for (const [authority, message] of bad) {
    test(`to ${authority.slice(0, 20)} is 400 ${message}, nothing is minted`, () => {
      const rig = new SessionRig();
      rig.client.says(`CONNECT ${authority} HTTP/1.1\r\nHost: api.test\r\n\r\n`);
      expect(rig.client.heard()).toMatch(new RegExp(`^HTTP/1.1 400 Bad Request\r\n[^]*${message}\n$`));
      expect(rig.interceptor.minted).toEqual([]);
      expect(rig.records.map(({ status }) => status)).toEqual([400]);
    });
  }

  test("with a body is 400", () => {
    const rig = new SessionRig();
    rig.client.says(connect("api.test:443", "Content-Length: 3"));
    expect(rig.client.heard()).toStartWith("HTTP/1.1 400 Bad Request\r\n");
    expect(rig.interceptor.minted).toEqual([]);
    expect(rig.records.map(({ status }) => status)).toEqual([400]);
  });
});

describe("the order of a CONNECT's checks", () => {
  // Everything is wrong with this one; each row puts one more thing right.
  const host = "192.0.2.99:443";
  const rows: readonly (readonly [string, RigOptions, readonly string[], string, string])[] = [
    [
      "authentication first: missing",
      { token: "t", network: { policy: "strict" } },
      [],
      plainReply("407 Proxy Authentication Required", "Proxy authentication required\n", CHALLENGE),
      "auth-required",
    ],
    [
      "authentication first: wrong",
      { token: "t", network: { policy: "strict" } },
      ["Proxy-Authorization: Bearer wrong"],
      plainReply("407 Proxy Authentication Required", "Invalid proxy token\n", CHALLENGE),
      "invalid-token",
    ],
    [
      "then policy",
      { token: "t", network: { policy: "strict" } },
      ["Proxy-Authorization: Bearer t"],
      plainReply(
        "407 Proxy Authentication Required",
        policyBody("192.0.2.99"),
        "Proxy-Authenticate: Moat-Policy",
        "X-Moat-Blocked: network-policy",
      ),
      "network-policy",
    ],
    [
      "then the literal destination",
      { token: "t" },
      ["Proxy-Authorization: Bearer t"],
      plainReply("403 Forbidden", DESTINATION, "X-Moat-Blocked: destination"),
      "destination",
    ],
  ];
  for (const [what, options, fields, reply, reason] of rows) {
    test(`${what}; the connection stays open`, () => {
      const rig = new SessionRig(options);
      rig.upstreams.denied.add("192.0.2.99");
      rig.interceptor.refusal = new ProxyError("too-many-leaves", "too many new hosts in a short time");
      rig.client.says(connect(host, ...fields));
      expect(rig.client.heard()).toBe(reply);
      expect(rig.client.state).toBe("open");
      expect(rig.interceptor.minted).toEqual([]);
      expect(rig.upstreams.dials).toEqual([]);
      expect(rig.log().map((line) => line.split(" denied=")[1])).toEqual([reason]);
    });
  }

  test("then the leaf: 429 when too many are asked for", () => {
    const rig = new SessionRig();
    rig.interceptor.refusal = new ProxyError("too-many-leaves", "too many new hosts in a short time");
    rig.client.says(connect("api.test:443"));
    expect(rig.client.heard()).toBe(
      plainReply("429 Too Many Requests", "too many new hosts in a short time\n", "Retry-After: 1"),
    );
    expect(rig.client.state).toBe("open");
    expect(rig.log()).toEqual(["connect CONNECT api.test 429 denied=too-many-leaves"]);
  });

  test("407, then the same with a token: the connection goes on", () => {
    const rig = new SessionRig({ token: "t:with:colons" });
    rig.client.says(connect("api.test:443"));
    expect(rig.client.heard()).toStartWith("HTTP/1.1 407 ");
    const basic = Buffer.from("alice:t:with:colons").toString("base64");
    const inner = rig.tunnel("api.test:443", `proxy-authorization: BASIC ${basic}`);
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    expect(upstream.heard()).not.toContain(basic);
    upstream.says(OK);
    expect(rig.records.map(({ status, userId }) => [status, userId])).toEqual([
      [407, undefined],
      [200, "alice"],
    ]);
  });
});

describe("an intercepted tunnel", () => {
  test("carries requests, each with its own record; the CONNECT then has none", () => {
    const rig = new SessionRig();
    const inner = rig.tunnel();
    inner.says(head("GET /a HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(head("GET /a HTTP/1.1", "Host: api.test", "X-Request-Id: req-2"));
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
    inner.says(head("GET /b HTTP/1.1", "Host: api.test"));
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
    inner.reset();
    expect(rig.client.closed).toBe(true);
    expect(rig.log()).toEqual(["connect GET api.test/a 200", "connect GET api.test/b 200"]);
  });

  test("is dialled by the CONNECT authority, over TLS", () => {
    const rig = new SessionRig();
    rig.tunnel("api.test:8443").says(head("GET / HTTP/1.1", "Host: api.test:8443"));
    expect(rig.dial().target.key).toBe("https://api.test:8443");
    rig.dialled().says(OK);
    expect(rig.log()).toEqual(["connect GET api.test:8443/ 200"]);
  });

  test("hands over what came behind the CONNECT head", () => {
    const rig = new SessionRig();
    rig.client.says(`${connect("api.test:443")}\x16\x03\x01early`);
    expect(rig.client.heard()).toBe(ESTABLISHED);
    expect(rig.interceptor.tunnels[0]?.early).toBe("\x16\x03\x01early");
    rig.client.reset();
    expect(rig.log()).toEqual(["connect CONNECT api.test 200"]);
  });

  for (const [reason, said] of [
    ["not-tls", "no TLS ClientHello; list the host in tls.passthrough"],
    ["failed", "a client that pins certificates belongs in tls.passthrough"],
  ] as const) {
    test(`whose handshake ends with ${reason} closes, and the record says so`, () => {
      const rig = new SessionRig();
      rig.client.says(connect("api.test:443"));
      rig.interceptor.tunnels[0]?.failed(reason);
      expect(rig.client.closed).toBe(true);
      expect(rig.client.heard()).toBe(ESTABLISHED);
      expect(rig.records.map(({ method, status }) => [method, status])).toEqual([["CONNECT", 200]]);
      expect(JSON.stringify(rig.records[0])).toContain(said);
    });
  }

  test("whose client does not even read the 200 is closed: TLS would overtake it", () => {
    const rig = new SessionRig();
    rig.client.acceptUpTo(ESTABLISHED.length - 1);
    rig.client.says(connect("api.test:443"));
    expect(rig.interceptor.tunnels).toEqual([]);
    expect(rig.client.closed).toBe(true);
    expect(rig.records.map(({ method, status }) => [method, status])).toEqual([["CONNECT", 200]]);
    expect(JSON.stringify(rig.records[0])).toContain("does not read");
  });

  test("whose client leaves before the handshake is recorded once", () => {
    const rig = new SessionRig();
    rig.client.says(connect("api.test:443"));
    rig.client.reset();
    expect(rig.log()).toEqual(["connect CONNECT api.test 200"]);
  });

  test("whose handshake takes 10 s is closed", () => {
    const rig = new SessionRig();
    rig.client.says(connect("api.test:443"));
    rig.pass(9_999);
    expect(rig.client.closed).toBe(false);
    rig.pass(1);
    expect(rig.client.closed).toBe(true);
    expect(rig.records.map(({ method, status }) => [method, status])).toEqual([["CONNECT", 200]]);
  });

  test("that nobody uses is closed like any idle connection, and recorded once", () => {
    const rig = new SessionRig();
    const inner = rig.tunnel();
    rig.pass(60_000);
    expect(inner.state).not.toBe("open");
    inner.reset();
    expect(rig.log()).toEqual(["connect CONNECT api.test 200"]);
  });

  test("survives a failed dial: 502 inside, then the next request", () => {
    const rig = new SessionRig();
    const inner = rig.tunnel();
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    rig.dial().fail(dialFailed());
    expect(inner.heard()).toBe(plainReply("502 Bad Gateway", "cannot connect to the upstream\n"));
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    rig.dialled().says(OK);
    expect(inner.heard()).toBe(OK);
    expect(rig.records.map(({ status }) => status)).toEqual([502, 200]);
  });

  test("whose client closes inside a request drops the upstream", () => {
    const rig = new SessionRig();
    const inner = rig.tunnel();
    inner.says(head("GET / HTTP/1.1", "Host: api.test"));
    const upstream = rig.dialled();
    inner.fin();
    expect(upstream.state).toBe("destroyed");
    expect(rig.log()).toEqual(["connect GET api.test/ 0"]);
  });

  test("whose last answer is out ends with it, on both levels", () => {
    const rig = new SessionRig();
    const inner = rig.tunnel();
    inner.says(head("GET / HTTP/1.1", "Host: api.test", "Connection: close"));
    rig.dialled().says(OK);
    expect(inner.heard()).toBe(`${head("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close")}ok`);
    expect(inner.state).toBe("fin");
    inner.fin();
    expect(inner.state).toBe("closed");
    expect(rig.client.closed).toBe(true);
    expect(rig.log()).toEqual(["connect GET api.test/ 200"]);
  });
});

describe("CONNECT to a plain port", () => {
  test("carries cleartext HTTP, pinned to the authority", () => {
    const rig = new SessionRig();
    const client = rig.plainTunnel("api.test:80");
    client.says(head("GET /a HTTP/1.1", "Host: api.test"));
    expect(rig.dial().target.key).toBe("http://api.test:80");
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(head("GET /a HTTP/1.1", "Host: api.test", "X-Request-Id: req-2"));
    upstream.says(OK);
    client.says(head("GET /b HTTP/1.1", "Host: other.test"));
    expect(client.heard()).toBe(OK + plainReply("421 Misdirected Request", "Misdirected Request\n"));
    client.says(head("GET /healthz HTTP/1.1", "Host: api.test"));
    expect(upstream.heard()).toStartWith("GET /healthz HTTP/1.1\r\n");
    upstream.says(OK);
    expect(rig.interceptor.minted).toEqual([]);
    expect(rig.log()).toEqual([
      "connect GET api.test/a 200",
      "connect GET api.test/b 421 denied=misdirected",
      "connect GET api.test/healthz 200",
    ]);
  });

  test("reads a request behind the CONNECT head", () => {
    const rig = new SessionRig();
    rig.client.says(connect("api.test:80") + head("GET /early HTTP/1.1", "Host: api.test"));
    expect(rig.client.heard()).toBe(ESTABLISHED);
    rig.dialled().says(OK);
    expect(rig.client.heard()).toBe(OK);
    expect(rig.log()).toEqual(["connect GET api.test/early 200"]);
  });

  test("and no request is one record", () => {
    const rig = new SessionRig();
    rig.plainTunnel("api.test:80").fin();
    expect(rig.log()).toEqual(["connect CONNECT api.test:80 200"]);
  });

  test("and garbage is one record", () => {
    const rig = new SessionRig();
    rig.plainTunnel("api.test:80").says("\x16\x03\x01garbage");
    expect(rig.client.heard()).toStartWith("HTTP/1.1 400 Bad Request\r\n");
    expect(rig.client.state).toBe("fin");
    expect(rig.records.map(({ proxyType, status }) => [proxyType, status])).toEqual([["connect", 400]]);
  });

  test("a CONNECT inside is 400", () => {
    const rig = new SessionRig();
    rig.plainTunnel("api.test:80").says(connect("api.test:443"));
    expect(rig.client.heard()).toStartWith("HTTP/1.1 400 Bad Request\r\n");
    expect(rig.records.map(({ status }) => status)).toEqual([400]);
  });

  test("is what the configuration says it is", () => {
    const rig = new SessionRig({ plainPorts: [8080] });
    rig.client.says(connect("api.test:80"));
    expect(rig.interceptor.minted).toEqual(["api.test:80 for 192.0.2.7"]);
    const other = rig.connectClient();
    other.says(connect("api.test:8080"), head("GET / HTTP/1.1", "Host: api.test:8080"));
    expect(rig.dial().target.key).toBe("http://api.test:8080");
    rig.dialled().says(OK);
    expect(rig.log()).toEqual(["connect GET api.test:8080/ 200"]);
  });

  test("has the authority checked before the 200", () => {
    const rig = new SessionRig();
    rig.upstreams.denied.add("192.0.2.99");
    rig.client.says(connect("192.0.2.99:80"));
    expect(rig.client.heard()).toBe(plainReply("403 Forbidden", DESTINATION, "X-Moat-Blocked: destination"));
    expect(rig.log()).toEqual(["connect CONNECT 192.0.2.99:80 403 denied=destination"]);
  });
});

describe("an opaque tunnel", () => {
  function opaque() {
    const rig = new SessionRig({ intercept: false });
    rig.client.says(connect("api.test:443"));
    return rig;
  }

  test("is dialled first, then 200", () => {
    const rig = opaque();
    expect(rig.client.heard()).toBe("");
    expect(rig.dial()).toMatchObject({ privateOnly: false, run: rig.run });
    expect(rig.dial().target.authority).toMatchObject({ host: "api.test", port: 443 });
    rig.dialled();
    expect(rig.client.writes).toEqual([ESTABLISHED]);
    rig.client.reset();
    expect(rig.log()).toEqual(["connect CONNECT api.test 200"]);
  });

  test("passes on what came behind the CONNECT head", () => {
    const rig = new SessionRig({ intercept: false });
    rig.client.says(`${connect("api.test:443")}early`, "more");
    const upstream = rig.dialled();
    expect(rig.client.heard()).toBe(ESTABLISHED);
    expect(upstream.heard()).toBe("earlymore");
    rig.client.says("later");
    expect(upstream.heard()).toBe("later");
    rig.client.reset();
    expect(rig.records).toMatchObject([{ status: 200, requestSize: 14, responseSize: 0 }]);
  });

  test("is opaque on port 80 too", () => {
    const rig = new SessionRig({ intercept: false });
    rig.client.says(connect("api.test:80"), "GET / HTTP/1.1\r\n");
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe("GET / HTTP/1.1\r\n");
    rig.client.reset();
    expect(rig.log()).toEqual(["connect CONNECT api.test:80 200"]);
  });

  test("that cannot be dialled is 502 without an errno or address; the connection stays", () => {
    const rig = opaque();
    rig.dial().fail(dialFailed());
    expect(rig.client.heard()).toBe(plainReply("502 Bad Gateway", "cannot connect to the upstream\n"));
    expect(rig.client.state).toBe("open");
    expect(rig.log()).toEqual([
      "connect CONNECT api.test 502 error=cannot connect to the upstream: ECONNREFUSED 192.0.2.1",
    ]);
    rig.client.says(connect("api.test:443"));
    rig.dialled();
    expect(rig.client.heard()).toBe(ESTABLISHED);
  });

  test("to a denied name is 403", () => {
    const rig = opaque();
    rig.dial().fail(new ProxyError("destination", DESTINATION.trim()));
    expect(rig.client.heard()).toBe(plainReply("403 Forbidden", DESTINATION, "X-Moat-Blocked: destination"));
    expect(rig.log()).toEqual(["connect CONNECT api.test 403 denied=destination"]);
  });

  test("whose client leaves while dialling is never dialled to the end", () => {
    for (const leave of ["fin", "reset"] as const) {
      const rig = opaque();
      const dial = rig.dial();
      rig.client[leave]();
      expect(dial.state).toBe("cancelled");
      expect(rig.client.writes).toEqual([]);
      expect(rig.log()).toEqual(["connect CONNECT api.test 0"]);
    }
  });

  test("waits for a run that is looked up", async () => {
    const found = Promise.withResolvers<SessionRig["run"] | undefined>();
    const rig = new SessionRig({ intercept: false, runs: new ScriptedRuns(found.promise) });
    rig.client.says(connect("api.test:443"));
    await settled();
    expect(rig.upstreams.dials).toEqual([]);
    found.resolve(rig.run);
    await settled();
    rig.dialled();
    expect(rig.client.heard()).toBe(ESTABLISHED);
  });

  test("ends when the proxy does", () => {
    const rig = opaque();
    const upstream = rig.dialled();
    rig.stop();
    upstream.says("x");
    expect(rig.client.heard()).toBe(`${ESTABLISHED}x`);
    rig.kill();
    expect([rig.client.closed, upstream.closed]).toEqual([true, true]);
    expect(rig.log()).toEqual(["connect CONNECT api.test 200"]);
  });
});
