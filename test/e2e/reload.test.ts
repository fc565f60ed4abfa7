// SIGHUP and `moat-proxy reload`: "validate whole, then swap whole; a bad file changes nothing and says why; open
// tunnels see the new policy with their next request". Under load: no request fails, and none meets half a config.
// MOAT_RELOAD_REQUESTS sets how many requests the test under load makes; 10000 is the full run.
import { describe, expect, test } from "bun:test";
import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BINARY, type RunningProxy, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { connectProxy, get, openTunnel, tlsTunnel } from "../support/client.ts";
import { exchange, type Response, readHead, text, value } from "../support/http-message.ts";
import { runProgram } from "../support/programs.ts";
import { configPath, REFUSED, RELOADED, reload, untilLogged } from "../support/reload.ts";
import { credential, expectNotPrinted, OTHER_SECRET, SECRET } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

const REQUESTS = Number(process.env.MOAT_RELOAD_REQUESTS ?? 1000);
const RELOADS = 20;
const BROKEN = "network:\n  policy: strict\n  allow: []\nnetwrok:\n  policy: permissive\n";

type Name = "a" | "b";

const secretOf = (name: Name, field: string): string => `real-${name}-${field}-5d41402abc4b2a76`;

/** Everything differs: two credentials, their grants, the allow list, the rules, what a record shows. */
function configOf(name: Name, secure: Upstream, plain: Upstream): object {
  const other = name === "a" ? "b" : "a";
  const authorities = [secure.authority, plain.authority];
  return {
    credentials: authorities.flatMap((host) => [
      credential(host, { value: secretOf(name, "auth"), grant: `${name}-auth` }),
      credential(host, { header: "X-Key", value: secretOf(name, "key"), grant: `${name}-key` }),
    ]),
    network: {
      policy: "strict",
      allow: [...authorities, `only-${name}.test`],
      rules: authorities.map((host) => ({ [host]: [`deny * /only-${other}`, "allow * /**"] })),
    },
    log: { query: name === "a" },
  };
}

/** Says what the upstream got: the config that a request was served by shows in both fields. */
const echo = (request: { fields: readonly (readonly [string, string])[] }): string =>
  ok(`${value(request, "authorization")}|${value(request, "x-key")}`);

/** By which config an answer was made; throws when it is no whole one. */
function servedBy(path: string, answer: Response): Name {
  const only = /^\/only-(a|b)$/.exec(path.replace(/^http:\/\/[^/]*/, "").replace(/\?.*/, ""))?.[1];
  if (answer.status === 403 && value(answer, "x-moat-blocked") === "request-rule" && only !== undefined)
    return only === "a" ? "b" : "a";
  for (const name of ["a", "b"] as const) {
    const whole = `Bearer ${secretOf(name, "auth")}|${secretOf(name, "key")}`;
    if (answer.status === 200 && text(answer) === whole && (only === undefined || only === name)) return name;
  }
  throw new Error(`neither a nor b: ${path}: ${answer.rawHead}${text(answer)}`);
}

describe("under load", () => {
  test(
    `${REQUESTS} requests across ${RELOADS} reloads, two in ten of a bad file: none dropped, none half-applied`,
    async () => {
      await using secure = startUpstream({ reply: echo });
      await using plain = startUpstream({ tls: false, reply: echo });
      await using proxy = await startProxy({ config: configOf("a", secure, plain) });
      let settled: Name | undefined = "a";
      let epoch = 0;
      let begun = 0;
      let done = 0;
      const counts = { a: 0, b: 0, certain: 0, denied: 0 };
      const paths = ["/either?q=1", "/only-a?q=1", "/only-b?q=1"];
      const progress: (() => void)[] = [];

      const one = async (stream: ByteStream, prefix: string, host: string): Promise<void> => {
        const path = paths[begun++ % paths.length] ?? "";
        const before = { settled, epoch };
        const answer = await exchange(stream, get(`${prefix}${path}`, host));
        const name = servedBy(path, answer);
        if (before.settled !== undefined && before.epoch === epoch) {
          counts.certain++;
          if (name !== before.settled)
            throw new Error(`${path}: by ${name} while ${before.settled} is in use`);
        }
        counts[name]++;
        if (answer.status === 403) counts.denied++;
        done++;
        for (const wake of progress.splice(0)) wake();
      };
      const keepAlive = async (): Promise<void> => {
        const tls = await tlsTunnel(proxy, secure.authority);
        while (begun < REQUESTS) await one(tls, "", secure.authority);
        tls.destroy();
      };
      const fresh = async (): Promise<void> => {
        while (begun < REQUESTS) {
          const tls = await tlsTunnel(proxy, secure.authority);
          await one(tls, "", secure.authority);
          tls.destroy();
        }
      };
      const cleartext = async (): Promise<void> => {
        const stream = await connectProxy(proxy);
        while (begun < REQUESTS) await one(stream, `http://${plain.authority}`, plain.authority);
        stream.destroy();
      };
      const reloading = async (): Promise<number> => {
        let made = 0;
        let current: Name = "a";
        for (; made < RELOADS; made++) {
          const due = ((made + 0.5) * REQUESTS) / RELOADS;
          while (done < due && begun < REQUESTS) await new Promise<void>((wake) => progress.push(wake));
          if (made % 10 === 3 || made % 10 === 7) {
            const said = await reload(proxy, BROKEN, REFUSED);
            expect(said).toMatch(/moat-proxy\.yaml:4: netwrok: unknown key/);
            continue;
          }
          current = current === "a" ? "b" : "a";
          settled = undefined;
          epoch++;
          await reload(proxy, configOf(current, secure, plain));
          settled = current;
        }
        return made;
      };
      const workers = [keepAlive, keepAlive, keepAlive, keepAlive, fresh, fresh, cleartext];
      const [made] = await Promise.all([reloading(), ...workers.map((work) => work())]);

      expect(made).toBe(RELOADS);
      expect(done).toBe(begun);
      expect(done).toBeGreaterThanOrEqual(REQUESTS);
      // The run would show nothing if one config had served nearly all, or no request fell between reloads.
      for (const count of [counts.a, counts.b, counts.certain, counts.denied])
        expect(count).toBeGreaterThan(REQUESTS / 10);
      expect(secure.requests.length + plain.requests.length).toBe(done - counts.denied);
      expect(await proxy.stop()).toBe(0);
      const records = proxy.records().filter((record) => record.http_method === "GET");
      expect(records).toHaveLength(done);
      // A record, too, is of one config: its grants and whether it shows the query.
      const mixed = records.filter((record) => {
        if (record.http_status !== 200) return false;
        const grants = JSON.stringify(record.grants);
        return (
          grants !==
          (record.http_query === undefined
            ? JSON.stringify(["b-auth", "b-key"])
            : JSON.stringify(["a-auth", "a-key"]))
        );
      });
      expect(mixed).toEqual([]);
      expectNotPrinted(proxy, [secretOf("a", "auth"), secretOf("b", "auth"), secretOf("a", "key")]);
    },
    30_000 + REQUESTS * 20,
  );
});

describe("an open tunnel sees the new configuration with its next request", () => {
  test("the policy: a host that is no longer allowed is refused inside, and served again later", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const allowing = (allow: readonly string[]): object => ({ network: { policy: "strict", allow } });
    await using proxy = await startProxy({ config: allowing([upstream.authority]) });
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect((await exchange(tls, get("/1", upstream.authority))).status).toBe(200);
    await reload(proxy, allowing(["other.test"]));
    const refused = await exchange(tls, get("/2", upstream.authority));
    expect(refused.status).toBe(403);
    expect(value(refused, "x-moat-blocked")).toBeString();
    const { stream, reply } = await openTunnel(proxy, upstream.authority);
    expect(reply.status).toBe(407);
    stream.destroy();
    await reload(proxy, allowing([upstream.authority]));
    const again = tls.ended ? await tlsTunnel(proxy, upstream.authority) : tls;
    expect((await exchange(again, get("/3", upstream.authority))).status).toBe(200);
    expect(upstream.requests.map((request) => request.target)).toEqual(["/1", "/3"]);
    again.destroy();
  });

  test("the credential: the value is the new one, and gone when it is removed", async () => {
    await using upstream = startUpstream({
      reply: (request) => ok(value(request, "authorization") ?? "none"),
    });
    const host = upstream.authority;
    await using proxy = await startProxy({ config: { credentials: [credential(host)] } });
    const tls = await tlsTunnel(proxy, host);
    expect(text(await exchange(tls, get("/", host)))).toBe(`Bearer ${SECRET}`);
    await reload(proxy, { credentials: [credential(host, { value: OTHER_SECRET })] });
    expect(text(await exchange(tls, get("/", host)))).toBe(`Bearer ${OTHER_SECRET}`);
    await reload(proxy, { credentials: [] });
    expect(text(await exchange(tls, get("/", host)))).toBe("none");
    tls.destroy();
    expectNotPrinted(proxy, [SECRET, OTHER_SECRET]);
  });

  test("the token: a tunnel whose token is no longer right gets 403 and is closed", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const withToken = (token: string): object => ({ proxy: { auth_token: token } });
    await using proxy = await startProxy({ config: withToken("first-token-0123456789") });
    const fields = ["Proxy-Authorization: Bearer first-token-0123456789"];
    const tls = await tlsTunnel(proxy, upstream.authority, { fields });
    expect((await exchange(tls, get("/1", upstream.authority))).status).toBe(200);
    await reload(proxy, withToken("second-token-9876543210"));
    expect((await exchange(tls, get("/2", upstream.authority))).status).toBe(403);
    await tls.whenClosed();
    expect(upstream.requests).toHaveLength(1);
    const { stream, reply } = await openTunnel(proxy, upstream.authority, { fields });
    expect(reply.status).toBe(407);
    stream.destroy();
  });

  test("a request that runs goes on as it began, and its tunnel then follows the new policy", async () => {
    await using upstream = startUpstream();
    await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
    const tls = await tlsTunnel(proxy, upstream.authority);
    void tls.write(get("/long", upstream.authority));
    const server = await upstream.next();
    await readHead(server);
    await server.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    await tls.readUntil("first");
    await reload(proxy, { network: { policy: "strict", allow: ["other.test"] } });
    await server.write("-last");
    await tls.readUntil("-last");
    expect((await exchange(tls, get("/next", upstream.authority))).status).toBe(403);
    tls.destroy();
  });
});

describe("a bad file changes nothing and says why", () => {
  const broken: readonly (readonly [name: string, yaml: string, said: RegExp])[] = [
    [
      "an unknown key, with its line",
      BROKEN,
      /moat-proxy\.yaml:4: netwrok: unknown key, did you mean \\"network\\"/,
    ],
    ["no YAML", "network: [\n", /moat-proxy\.yaml:\d+/],
    [
      "a source that fails",
      "credentials:\n  - host: fails.test\n    source: { type: process, command: 'echo shown-nowhere; exit 3' }\n",
      /fails\.test/,
    ],
    [
      "a variable that is not set",
      `proxy:\n  host: 127.0.0.1\nnetwork:\n  allow: ["\${MOAT_TEST_UNSET}"]\n`,
      /moat-proxy\.yaml:4:.*MOAT_TEST_UNSET/,
    ],
    ["a wrong value", "network:\n  policy: strickt\n", /moat-proxy\.yaml:2: network\.policy/],
  ];
  for (const [name, yaml, said] of broken) {
    test(name, async () => {
      await using upstream = startUpstream({ reply: (request) => ok(value(request, "authorization")) });
      await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
      const tls = await tlsTunnel(proxy, upstream.authority);
      const log = await reload(proxy, yaml, REFUSED);
      expect(log).toMatch(said);
      expect(log).not.toContain("shown-nowhere");
      expect(log).not.toContain(RELOADED);
      expect(text(await exchange(tls, get("/", upstream.authority)))).toBe(`Bearer ${SECRET}`);
      tls.destroy();
      const second = await tlsTunnel(proxy, upstream.authority);
      expect(text(await exchange(second, get("/", upstream.authority)))).toBe(`Bearer ${SECRET}`);
      second.destroy();
    });
  }

  test("a file that is gone", async () => {
    await using proxy = await startProxy({ config: { network: { policy: "strict" } } });
    unlinkSync(configPath(proxy));
    const offset = proxy.stderr.length;
    proxy.signal("SIGHUP");
    expect(await untilLogged(proxy, REFUSED, offset)).toContain("moat-proxy.yaml");
    const { stream, reply } = await openTunnel(proxy, "denied.test:443");
    expect(reply.status).toBe(407);
    stream.destroy();
  });

  test("flags still win over the file after a reload", async () => {
    await using proxy = await startProxy({
      args: ["--policy", "strict"],
      config: { network: { policy: "permissive" } },
    });
    await reload(proxy, { network: { policy: "permissive", allow: ["allowed.test"] } });
    const statuses = [];
    for (const host of ["allowed.test:443", "denied.test:443"]) {
      const { stream, reply } = await openTunnel(proxy, host);
      statuses.push(reply.status);
      stream.destroy();
    }
    expect(statuses).toEqual([200, 407]);
  });

  test("without a config file SIGHUP ends nothing", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok("alive") });
    await using proxy = await startProxy();
    proxy.signal("SIGHUP");
    await untilLogged(proxy, RELOADED, 0);
    const client = await connectProxy(proxy);
    const answer = await exchange(client, get(`http://${upstream.authority}/`, upstream.authority));
    expect(text(answer)).toBe("alive");
    client.destroy();
  });

  test("keys that need a restart are named and change nothing", async () => {
    await using proxy = await startProxy({ config: { limits: { max_connections: 100 } } });
    const log = await reload(proxy, { limits: { max_connections: 101 } });
    expect(log).toContain("limits.max_connections");
  });
});

describe("moat-proxy reload", () => {
  const strict = { network: { policy: "strict", allow: ["new.test"] } };

  async function startWithReadyFile(): Promise<{ proxy: RunningProxy; readyFile: string }> {
    const proxy = await startProxy({ args: ["--ready-file", "ready.json"], config: {} });
    return { proxy, readyFile: join(proxy.dir, "ready.json") };
  }

  for (const [name, operand] of [
    ["--pid", (proxy: RunningProxy) => ["--pid", String(proxy.pid)]],
    ["--ready-file", (_: RunningProxy, readyFile: string) => ["--ready-file", readyFile]],
  ] as const) {
    test(`${name}: exit 0, and the new file is in use`, async () => {
      const { proxy, readyFile } = await startWithReadyFile();
      await using _ = proxy;
      writeFileSync(configPath(proxy), JSON.stringify(strict));
      const offset = proxy.stderr.length;
      const ended = await runProgram([BINARY, "reload", ...operand(proxy, readyFile)]);
      expect(ended).toMatchObject({ code: 0 });
      await untilLogged(proxy, RELOADED, offset);
      const { stream, reply } = await openTunnel(proxy, "old.test:443");
      expect(reply.status).toBe(407);
      stream.destroy();
    });
  }

  test("a process that is gone, a ready file that is missing or none: exit 1 and one line that names it", async () => {
    const { proxy, readyFile } = await startWithReadyFile();
    await using _ = proxy;
    const stale = join(proxy.dir, "stale.json");
    writeFileSync(stale, readFileSync(readyFile));
    const nonsense = join(proxy.dir, "nonsense.json");
    writeFileSync(nonsense, "no json");
    expect(await proxy.stop()).toBe(0);
    const cases = [
      ["--ready-file", stale],
      ["--ready-file", join(proxy.dir, "missing.json")],
      ["--ready-file", nonsense],
      ["--pid", String(proxy.pid)],
    ] as const;
    for (const [flag, operand] of cases) {
      const { code, stdout, stderr } = await runProgram([BINARY, "reload", flag, operand]);
      expect([operand, code, stdout]).toEqual([operand, 1, ""]);
      expect(stderr.trimEnd().split("\n")).toHaveLength(1);
      expect(stderr).toContain(operand);
    }
  });

  test("wrong operands: exit 2", async () => {
    for (const args of [["--pid", "x"], ["--pid", "0"], ["--pid", "-1"], []])
      expect([args, (await runProgram([BINARY, "reload", ...args])).code]).toEqual([args, 2]);
  });
});
