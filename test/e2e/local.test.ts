// What the proxy answers itself (wire.md section 5): /healthz, /ca.crt, 404 for the rest, and who may ask.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { connectProxy, get, message, tlsTunnel } from "../support/client.ts";
import { exchange, type Response, text, value } from "../support/http-message.ts";
import { ok, startUpstream } from "../support/upstream.ts";

let proxy: RunningProxy;
beforeAll(async () => {
  proxy = await startProxy({ config: { proxy: { auth_token: "local-token" } } });
});
afterAll(() => proxy[Symbol.asyncDispose]());

async function ask(raw: string, method?: string): Promise<Response> {
  const client = await connectProxy(proxy);
  const answer = await exchange(client, raw, method);
  client.destroy();
  return answer;
}

test('"/healthz (200 `{"status":"ok"}`, no authentication)"', async () => {
  const answer = await ask(get("/healthz", "localhost"));
  expect(answer.status).toBe(200);
  expect(text(answer)).toBe('{"status":"ok"}');
  expect(value(answer, "content-type")).toStartWith("application/json");
});

test('"/ca.crt need no authentication": it is the CA certificate, never its key', async () => {
  const answer = await ask(get("/ca.crt", "127.0.0.1"));
  expect(answer.status).toBe(200);
  expect(new X509Certificate(answer.body).fingerprint256).toBe(
    new X509Certificate(readFileSync(proxy.caPath)).fingerprint256,
  );
  expect(text(answer)).not.toContain("PRIVATE KEY");
});

for (const path of ["/healthz", "/ca.crt"]) {
  test(`HEAD ${path} has no body`, async () => {
    const client = await connectProxy(proxy);
    const head = await exchange(client, message(`HEAD ${path} HTTP/1.1`, ["Host: localhost"]));
    expect(head.status).toBe(200);
    const whole = await exchange(client, get(path, "localhost"));
    expect(whole.status).toBe(200);
    expect(whole.body.length).toBeGreaterThan(0);
    client.destroy();
  });
}

for (const path of [
  "/",
  "/nothing",
  "/healthz/",
  "/healthzz",
  "//healthz",
  "/HEALTHZ",
  "/ca.key",
  "/%68ealthz",
  "/../healthz",
]) {
  test(`"Anything else is 404": ${path}`, async () => {
    expect((await ask(get(path, "localhost"))).status).toBe(404);
  });
}

test("a query does not hide the path", async () => {
  expect((await ask(get("/healthz?now", "localhost"))).status).toBe(200);
});

test("without interception there is no /ca.crt", async () => {
  await using opaque = await startProxy({ args: ["--no-intercept"] });
  const client = await connectProxy(opaque);
  expect((await exchange(client, get("/ca.crt", "localhost"))).status).toBe(404);
  client.destroy();
});

describe("Decision: absolute-form requests and requests inside a tunnel never reach these, whatever their path", () => {
  for (const path of ["/healthz", "/ca.crt"]) {
    test(`${path} by absolute-form goes to its host`, async () => {
      await using upstream = startUpstream({ tls: false, reply: () => ok("from the upstream") });
      await using own = await startProxy();
      const client = await connectProxy(own);
      const answer = await exchange(client, get(`http://${upstream.authority}${path}`, upstream.authority));
      expect(text(answer)).toBe("from the upstream");
      client.destroy();
    });

    test(`${path} inside a tunnel goes to its host`, async () => {
      await using upstream = startUpstream({ reply: () => ok("from the upstream") });
      await using own = await startProxy();
      const tls = await tlsTunnel(own, upstream.authority);
      expect(text(await exchange(tls, get(path, upstream.authority)))).toBe("from the upstream");
      tls.destroy();
    });
  }

  test("an absolute-form request needs its token, though the path is /healthz", async () => {
    expect((await ask(get("http://localhost:1/healthz", "localhost:1"))).status).toBe(407);
  });
});

describe("Decision: a local request's Host must be an IP address, localhost, host.docker.internal or moat-proxy, else 421 (DNS rebinding)", () => {
  const cases: readonly (readonly [host: string, status: number])[] = [
    ["127.0.0.1", 200],
    ["127.0.0.1:8080", 200],
    ["10.1.2.3", 200],
    ["[::1]", 200],
    ["[fd00::1]:9999", 200],
    ["localhost", 200],
    ["LOCALHOST:1", 200],
    ["host.docker.internal", 200],
    ["host.docker.internal:3128", 200],
    ["moat-proxy", 200],
    ["evil.example", 421],
    ["localhost.evil.example", 421],
    ["evil.localhost", 421],
    ["127.0.0.1.nip.io", 421],
    ["xmoat-proxy", 421],
  ];
  for (const [host, status] of cases) {
    test(`${host}: ${status}`, async () => {
      const answer = await ask(get("/healthz", host));
      expect(answer.status).toBe(status);
      if (status === 421) expect(text(answer)).not.toContain("ok");
    });
  }
  test("/ca.crt and unknown paths are guarded as well", async () => {
    expect((await ask(get("/ca.crt", "evil.example"))).status).toBe(421);
    expect((await ask(get("/nothing", "evil.example"))).status).toBe(421);
  });
});

describe("Decision: one with an Origin, or a Sec-Fetch-Site other than `none`, is 403 (web pages)", () => {
  const cases: readonly (readonly [fields: readonly string[], status: number])[] = [
    [["Origin: https://evil.example"], 403],
    [["Origin: null"], 403],
    [["Origin: http://localhost"], 403],
    [["Sec-Fetch-Site: cross-site"], 403],
    [["Sec-Fetch-Site: same-site"], 403],
    [["Sec-Fetch-Site: same-origin"], 403],
    [["sec-fetch-site: Cross-Site"], 403],
    [["Sec-Fetch-Site: none"], 200],
    [["Sec-Fetch-Site: none", "Origin: https://evil.example"], 403],
    [["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"], 403],
  ];
  for (const [fields, status] of cases) {
    test(`${fields.join(", ")}: ${status}`, async () => {
      expect((await ask(get("/healthz", "localhost", fields))).status).toBe(status);
    });
  }
  test("no answer of the proxy itself lets another origin read it", async () => {
    for (const path of ["/healthz", "/ca.crt", "/nothing"]) {
      const answer = await ask(get(path, "localhost"));
      expect(answer.rawHead.toLowerCase()).not.toContain("access-control-allow-origin");
    }
  });
});

test("local and proxied requests share one connection", async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok("proxied") });
  await using own = await startProxy();
  const client = await connectProxy(own);
  expect(text(await exchange(client, get("/healthz", "localhost")))).toBe('{"status":"ok"}');
  expect(text(await exchange(client, get(`http://${upstream.authority}/`, upstream.authority)))).toBe(
    "proxied",
  );
  expect(text(await exchange(client, get("/healthz", "localhost")))).toBe('{"status":"ok"}');
  client.destroy();
});
