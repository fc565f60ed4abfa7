// log.capture_headers and log.query: what the client sent shows in the record, what the proxy put in never does.
import { describe, expect, test } from "bun:test";
import { run, startProxy } from "../support/binary.ts";
import { connectProxy, get, tlsTunnel } from "../support/client.ts";
import { exchange, values } from "../support/http-message.ts";
import { credential, expectNotPrinted, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";

describe("capture_headers", () => {
  test("the client's fields, in a tunnel and in plain http; absent ones leave no key; others are not shown", async () => {
    await using secure = startUpstream({ reply: () => ok() });
    await using plain = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy({
      config: { log: { capture_headers: ["X-Agent", "user-agent", "X-Absent"] } },
    });
    const fields = ["x-agent: one", "User-Agent: tester/1", "X-Other: not-captured"];
    const tls = await tlsTunnel(proxy, secure.authority);
    await exchange(tls, get("/", secure.authority, fields));
    const client = await connectProxy(proxy);
    await exchange(client, get(`http://${plain.authority}/`, plain.authority, fields));
    for (const record of await proxy.untilRecords(2)) {
      expect(record).toMatchObject({ "header_x-agent": "one", "header_user-agent": "tester/1" });
      expect(Object.keys(record).filter((key) => key.startsWith("header_"))).toHaveLength(2);
    }
    expectNotPrinted(proxy, ["not-captured"]);
    tls.destroy();
    client.destroy();
  });

  test("a captured field that a credential replaces shows what the client sent", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy({
      config: {
        log: { capture_headers: ["X-Api-Key"] },
        credentials: [credential(upstream.authority, { header: "X-Api-Key" })],
      },
    });
    const tls = await tlsTunnel(proxy, upstream.authority);
    await exchange(tls, get("/", upstream.authority, [`X-Api-Key: ${PLACEHOLDER}`]));
    await exchange(tls, get("/", upstream.authority));
    await proxy.untilRecords(2);
    expect(upstream.requests.map((request) => values(request, "x-api-key"))).toEqual([[SECRET], [SECRET]]);
    expectNotPrinted(proxy, [SECRET]);
    tls.destroy();
  });

  test("at most 256 characters; a repeated field; bytes that are no ASCII", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy({
      config: { log: { capture_headers: ["X-Long", "X-Twice", "X-Raw"] } },
    });
    const tls = await tlsTunnel(proxy, upstream.authority);
    const fields = [
      `X-Long: ${"l".repeat(5000)}`,
      "X-Twice: one",
      "X-Twice: two",
      "X-Raw: caf\u00e9\u0085\u009b31m",
    ];
    await exchange(tls, get("/", upstream.authority, fields));
    const [record] = await proxy.untilRecords(1);
    expect(String(record?.["header_x-long"])).toStartWith("l".repeat(200));
    expect(String(record?.["header_x-long"]).length).toBeLessThanOrEqual(257);
    expect(String(record?.["header_x-twice"])).toContain("one");
    expect(String(record?.["header_x-twice"])).toContain("two");
    expect(String(record?.["header_x-raw"])).not.toMatch(/\p{Cc}/u);
    tls.destroy();
  });

  test("a refused request is captured as well", async () => {
    await using proxy = await startProxy({
      config: { log: { capture_headers: ["X-Agent"] }, network: { policy: "strict" } },
    });
    const client = await connectProxy(proxy);
    await exchange(client, get("http://denied.test/", "denied.test", ["X-Agent: one"]));
    expect(await proxy.untilRecords(1)).toMatchObject([{ denied: true, "header_x-agent": "one" }]);
    client.destroy();
  });

  for (const name of ["Authorization", "proxy-authorization", "COOKIE"]) {
    test(`${name} is refused: exit 1, with its line`, async () => {
      const config = `log:\n  level: info\n  capture_headers: [X-Agent, ${name}]\n`;
      await using process = run({ config });
      expect(await process.exited).toBe(1);
      expect(process.stdout).toBe("");
      expect(process.stderr).toMatch(/moat-proxy\.yaml:3: log\.capture_headers\[1\]/);
    });
  }

  test("ten are taken, eleven are refused", async () => {
    const named = (count: number): object => ({
      log: { capture_headers: Array.from({ length: count }, (_, index) => `X-Field-${index}`) },
    });
    await using _ = await startProxy({ config: named(10) });
    await using process = run({ config: named(11) });
    expect(await process.exited).toBe(1);
    expect(process.stderr).toContain("at most 10");
  });
});

describe("log.query", () => {
  for (const [query, shown] of [
    [true, "a=1&b=%20two"],
    [false, undefined],
  ] as const) {
    test(`${query}`, async () => {
      await using upstream = startUpstream({ reply: () => ok() });
      await using proxy = await startProxy({ config: { log: { query } } });
      const tls = await tlsTunnel(proxy, upstream.authority);
      await exchange(tls, get("/path?a=1&b=%20two", upstream.authority));
      const [record] = await proxy.untilRecords(1);
      expect(record?.http_path).toBe("/path");
      expect(record?.http_query).toBe(shown);
      expect(upstream.requests[0]?.target).toBe("/path?a=1&b=%20two");
      tls.destroy();
    });
  }

  test("at most 2,048 characters", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy({ config: { log: { query: true } } });
    const tls = await tlsTunnel(proxy, upstream.authority);
    await exchange(tls, get(`/?${"q".repeat(9000)}`, upstream.authority));
    const [record] = await proxy.untilRecords(1);
    expect(String(record?.http_query).length).toBeLessThanOrEqual(2_049);
    expect(String(record?.http_query)).toStartWith("q".repeat(2_000));
    tls.destroy();
  });
});
