// /metrics on its own listener: it parses, its counters move, its series stay few whatever clients ask for, and
// neither a client of the proxy nor a web page can read it.
import { describe, expect, test } from "bun:test";
import { type RunningProxy, type StartOptions, startProxy } from "../support/binary.ts";
import { connect, connectProxy, get, message, openTunnel, tlsTunnel } from "../support/client.ts";
import { exchange, type Response, text, value } from "../support/http-message.ts";
import { credential, SECRET } from "../support/secrets.ts";
import { closedPort, ok, startUpstream } from "../support/upstream.ts";

interface Measured {
  readonly proxy: RunningProxy;
  readonly port: number;
}

async function startMeasured(options: StartOptions = {}): Promise<Measured> {
  // The flag takes 0, but nothing would tell which port was picked.
  const port = closedPort();
  const proxy = await startProxy({
    ...options,
    args: ["--metrics-listen", String(port), ...(options.args ?? [])],
  });
  return { proxy, port };
}

async function ask(port: number, raw: string): Promise<Response> {
  const stream = await connect("127.0.0.1", port);
  const answer = await exchange(stream, raw);
  stream.destroy();
  return answer;
}

/** The samples by series; throws when the text is not in the exposition format. */
function parse(exposition: string): Map<string, number> {
  const samples = new Map<string, number>();
  const typed = new Map<string, string>();
  expect(exposition).toEndWith("\n");
  for (const line of exposition.slice(0, -1).split("\n")) {
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    if (type !== null) {
      if (typed.has(type[1] ?? "")) throw new Error(`typed twice: ${line}`);
      typed.set(type[1] ?? "", type[2] ?? "");
      continue;
    }
    if (/^# HELP [a-zA-Z_:][a-zA-Z0-9_:]* .+$/.test(line)) continue;
    const sample =
      /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?[0-9.eE+-]+|\+Inf|NaN)$/.exec(
        line,
      );
    if (sample === null) throw new Error(`no sample: ${JSON.stringify(line)}`);
    const name = sample[1] ?? "";
    const family = typed.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "");
    if (!typed.has(family)) throw new Error(`a sample before its type: ${line}`);
    const series = `${name}${sample[2] ?? ""}`;
    if (samples.has(series)) throw new Error(`twice: ${series}`);
    samples.set(series, Number(sample[3]));
  }
  return samples;
}

async function scrape(port: number): Promise<Map<string, number>> {
  const answer = await ask(port, get("/metrics", `127.0.0.1:${port}`));
  expect(answer.status).toBe(200);
  return parse(text(answer));
}

/** The sum of all series of a name whose labels hold `labels`. */
function sum(samples: Map<string, number>, name: string, ...labels: string[]): number {
  return [...samples]
    .filter(
      ([series]) => series.replace(/\{.*/, "") === name && labels.every((label) => series.includes(label)),
    )
    .reduce((total, [, count]) => total + count, 0);
}

describe("what is told", () => {
  test("counters move with requests, by class, status, verdict, grant and reason", async () => {
    await using upstream = startUpstream({
      reply: (request) => ok(request.target === "/" ? "12 bytes long" : "x"),
    });
    await using bare = startUpstream({ reply: () => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" });
    const { proxy, port } = await startMeasured({
      config: {
        network: { policy: "strict", allow: [upstream.authority, bare.authority, "localhost:1"] },
        credentials: [credential(upstream.authority, { grant: "mygrant" })],
      },
    });
    await using _ = proxy;
    const before = await scrape(port);
    const tls = await tlsTunnel(proxy, upstream.authority);
    for (let count = 0; count < 3; count++) await exchange(tls, get("/", upstream.authority));
    const other = await tlsTunnel(proxy, bare.authority);
    await exchange(other, get("/", bare.authority));
    const client = await connectProxy(proxy);
    await exchange(client, get("http://denied.test/", "denied.test"));
    await exchange(client, get("http://localhost:1/", "localhost:1"));
    await proxy.untilRecords(6);
    const after = await scrape(port);
    const moved = (name: string, ...labels: string[]): number =>
      sum(after, name, ...labels) - sum(before, name, ...labels);
    expect(moved("moat_requests_total", 'class="credentialed"', 'status="2xx"', 'verdict="allowed"')).toBe(3);
    expect(moved("moat_requests_total", 'class="allowed"', 'status="4xx"', 'verdict="allowed"')).toBe(1);
    expect(moved("moat_requests_total", 'class="denied"', 'status="4xx"', 'verdict="denied"')).toBe(1);
    expect(moved("moat_requests_total", 'status="5xx"', 'verdict="failed"')).toBe(1);
    expect(moved("moat_requests_total")).toBe(6);
    expect(moved("moat_grant_requests_total", 'grant="mygrant"')).toBe(3);
    expect(moved("moat_denials_total")).toBe(1);
    expect(moved("moat_denials_total", "network-policy")).toBe(1);
    expect(moved("moat_response_body_bytes_total")).toBeGreaterThanOrEqual(39);
    expect(moved("moat_request_duration_seconds_count")).toBe(6);
    expect(moved("moat_leaf_mints_total")).toBeGreaterThanOrEqual(1);
    expect(sum(after, "moat_client_connections")).toBe(3);
    expect(sum(after, "moat_upstream_idle_connections")).toBe(2);
    expect(sum(after, "process_resident_memory_bytes")).toBeGreaterThan(1_000_000);
    expect(sum(after, "moat_log_lines_lost_total")).toBe(0);
    expect(after.has("moat_event_loop_lag_seconds")).toBe(true);
    expect(sum(after, "moat_ca_expiry_timestamp_seconds")).toBeGreaterThan(Date.now() / 1000);
    for (const stream of [tls, other, client]) stream.destroy();
  });

  test("histogram buckets are cumulative and end in +Inf, equal to the count", async () => {
    const { proxy, port } = await startMeasured();
    await using _ = proxy;
    const client = await connectProxy(proxy);
    for (let count = 0; count < 5; count++) await exchange(client, get("/nothing", "localhost"));
    await proxy.untilRecords(5);
    const samples = [...(await scrape(port))];
    const buckets = samples.filter(
      ([series]) => series.startsWith("moat_request_duration_seconds_bucket") && series.includes('"local"'),
    );
    const counts = buckets.map(([, count]) => count);
    expect(counts).toEqual([...counts].sort((one, two) => one - two));
    expect(buckets.at(-1)?.[0]).toContain('le="+Inf"');
    expect(buckets.at(-1)?.[1]).toBe(5);
    client.destroy();
  });

  test("open tunnels are counted while they are open", async () => {
    await using upstream = startUpstream({ tls: false });
    const { proxy, port } = await startMeasured({ args: ["--no-intercept"] });
    await using _ = proxy;
    const { stream } = await openTunnel(proxy, upstream.authority);
    expect(sum(await scrape(port), "moat_tunnels")).toBe(1);
    stream.destroy();
    await proxy.untilRecords(1);
    expect(sum(await scrape(port), "moat_tunnels")).toBe(0);
  });

  test("source refreshes and failures", async () => {
    const source = { type: "process", command: "echo value-0123" };
    const { proxy, port } = await startMeasured({ config: { credentials: [{ host: "a.test", source }] } });
    await using _ = proxy;
    const samples = await scrape(port);
    expect(sum(samples, "moat_source_refreshes_total")).toBe(1);
    expect(sum(samples, "moat_source_failures_total")).toBe(0);
  });
});

test("500 hosts, methods, paths and user names add no series, and no name of theirs is shown", async () => {
  await using upstream = startUpstream({ host: "0.0.0.0", name: "127.0.0.1", tls: false, reply: () => ok() });
  const { proxy, port } = await startMeasured({
    config: {
      network: {
        policy: "strict",
        allow: ["*.allowed.test", ...Array.from({ length: 250 }, (_, n) => `127.1.2.${n}:${upstream.port}`)],
      },
      credentials: [credential("127.1.2.1")],
    },
  });
  await using _ = proxy;
  const client = await connectProxy(proxy);
  const round = async (n: number): Promise<void> => {
    const methods = ["GET", "PUT", "PATCH", "DELETE", "PROPFIND", "SEARCH"];
    const method = methods[n % methods.length] ?? "GET";
    const denied = `needle-${n}-${crypto.randomUUID()}.test`;
    await exchange(client, message(`${method} http://${denied}/needle-${n} HTTP/1.1`, [`Host: ${denied}`]));
    const near = `127.1.2.${n % 250}:${upstream.port}`;
    await exchange(client, get(`http://${near}/needle-${n}`, near, [`User-Agent: needle-${n}`]));
    await exchange(client, get(`/needle-${n}`, "localhost"));
    if (n % 25 === 0) (await tlsTunnel(proxy, `needle-${n}.allowed.test:443`)).destroy();
  };
  for (const n of [0, 1, 25]) await round(n);
  const before = await scrape(port);
  for (let n = 2; n < 502; n++) await round(n);
  const answer = await ask(port, get("/metrics", "localhost"));
  const after = parse(text(answer));
  expect(sum(after, "moat_requests_total")).toBeGreaterThanOrEqual(1_500);
  expect([...after.keys()].filter((series) => !before.has(series))).toEqual([]);
  expect(after.size).toBeLessThan(300);
  for (const needle of ["needle", "127.1.2", SECRET]) expect(text(answer)).not.toContain(needle);
  client.destroy();
}, 30_000);

test("150 grants: at most 100 have series of their own, the rest count as other", async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  const credentials = Array.from({ length: 150 }, (_, n) =>
    credential(upstream.authority, { header: `X-Key-${n}`, grant: `grant-${n}` }),
  );
  const { proxy, port } = await startMeasured({ config: { credentials } });
  await using _ = proxy;
  const tls = await tlsTunnel(proxy, upstream.authority);
  await exchange(tls, get("/", upstream.authority));
  await proxy.untilRecords(1);
  const samples = await scrape(port);
  const grants = [...samples.keys()].filter((series) => series.startsWith("moat_grant_requests_total"));
  expect(grants.length).toBeLessThanOrEqual(101);
  expect(sum(samples, "moat_grant_requests_total")).toBe(150);
  expect(sum(samples, "moat_grant_requests_total", 'grant="other"')).toBeGreaterThanOrEqual(50);
  tls.destroy();
});

describe("who cannot read it", () => {
  const cases: readonly (readonly [name: string, fields: readonly string[], status: number])[] = [
    ["no web page", ["Host: localhost"], 200],
    ["a page with an Origin", ["Host: localhost", "Origin: http://evil.test"], 403],
    ["a page with Origin null", ["Host: localhost", "Origin: null"], 403],
    ["a page without Origin, by Sec-Fetch-Site", ["Host: localhost", "Sec-Fetch-Site: cross-site"], 403],
    ["a rebound name", ["Host: evil.test"], 421],
    ["a name that only looks local", ["Host: localhost.evil.test"], 421],
  ];
  for (const [name, fields, status] of cases) {
    test(`${name}: ${status}`, async () => {
      const { proxy, port } = await startMeasured();
      await using _ = proxy;
      const answer = await ask(port, message("GET /metrics HTTP/1.1", fields));
      expect(answer.status).toBe(status);
      if (status !== 200) expect(text(answer)).not.toContain("moat_");
    });
  }

  test("other paths are 404, other methods are not served", async () => {
    const { proxy, port } = await startMeasured();
    await using _ = proxy;
    for (const path of ["/", "/metrics/x", "/healthz", "/ca.crt"])
      expect([path, (await ask(port, get(path, "localhost"))).status]).toEqual([path, 404]);
    const answer = await ask(
      port,
      message("POST /metrics HTTP/1.1", ["Host: localhost", "Content-Length: 0"]),
    );
    expect(answer.status).toBe(405);
  });

  test("not on the proxy's own port", async () => {
    const { proxy } = await startMeasured();
    await using _ = proxy;
    expect((await ask(proxy.port, get("/metrics", "localhost"))).status).toBe(404);
  });

  for (const loopback of [false, true]) {
    test(`not through the proxy${loopback ? ", even where loopback addresses are allowed" : ""}`, async () => {
      const { proxy, port } = await startMeasured({ loopback });
      await using _ = proxy;
      for (const host of ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"]) {
        const client = await connectProxy(proxy);
        const answer = await exchange(client, get(`http://${host}:${port}/metrics`, `${host}:${port}`));
        expect([host, answer.status, value(answer, "x-moat-blocked")]).toEqual([host, 403, "destination"]);
        client.destroy();
      }
    });
  }

  test("listens on loopback only when a bare port is given, and not at all without the flag", async () => {
    const { proxy, port } = await startMeasured();
    await using _ = proxy;
    // 127.0.0.2 is an address of this machine where only a wildcard listener would answer.
    await expect(connect("127.0.0.2", port)).rejects.toThrow();
  });

  test("a port that is taken: exit 1, named", async () => {
    await using taken = startUpstream({ tls: false });
    await expect(startMeasuredOn(taken.port)).rejects.toThrow(String(taken.port));
  });
});

function startMeasuredOn(port: number): Promise<RunningProxy> {
  return startProxy({ args: ["--metrics-listen", String(port)] });
}
