// The clients that people use reach a TLS upstream through the compiled binary with a credential that they
// have never seen. curl, Python (urllib, requests), Node.js fetch, undici's ProxyAgent and git.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import { values } from "../support/http-message.ts";
import { node24, type Outcome, runProgram, undiciEntry, works } from "../support/programs.ts";
import { credential, expectNotPrinted, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

interface ClientCase {
  readonly name: string;
  readonly missing: boolean;
  /** Runs one request to `url` with the placeholder; prints the body of the answer. */
  readonly run: (proxy: RunningProxy, url: string) => Promise<Outcome>;
}

const URLLIB = `
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
print(urllib.request.urlopen(request, timeout=20).read().decode())
`;
const REQUESTS = `
import sys, requests
answer = requests.get(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]}, timeout=20)
print(answer.status_code, dict(answer.headers), answer.text)
`;
const FETCH = `
const [url, placeholder] = process.argv.slice(-2);
const answer = await fetch(url, { headers: { authorization: "Bearer " + placeholder } });
console.log(answer.status, [...answer.headers], await answer.text());
`;
const PROXY_AGENT = `
const [entry, proxy, url, placeholder] = process.argv.slice(-4);
const { ProxyAgent, request } = await import(entry);
const dispatcher = new ProxyAgent({ uri: proxy, requestTls: { ca: process.env.CA_PEM } });
const answer = await request(url, { dispatcher, headers: { authorization: "Bearer " + placeholder } });
console.log(answer.statusCode, answer.headers, await answer.body.text());
await dispatcher.close();
`;

const node = node24();
const undici = undiciEntry();

function nodeScript(program: string, script: string, args: readonly string[]): string[] {
  return [program, "--input-type=module", "-e", script, "--", ...args];
}

const clients: ClientCase[] = [
  {
    name: "curl",
    missing: !works(["curl", "--version"]),
    run: (proxy, url) =>
      runProgram(
        ["curl", "-sS", "-i", "--proxy", proxy.url, "--cacert", proxy.caPath].concat([
          "-H",
          `Authorization: Bearer ${PLACEHOLDER}`,
          url,
        ]),
      ),
  },
  {
    name: "Python urllib",
    missing: !works(["python3", "--version"]),
    run: (proxy, url) =>
      runProgram(["python3", "-c", URLLIB, url, PLACEHOLDER], {
        https_proxy: proxy.url,
        SSL_CERT_FILE: proxy.caPath,
      }),
  },
  {
    name: "Python requests",
    missing: !works(["python3", "-c", "import requests"]),
    run: (proxy, url) =>
      runProgram(["python3", "-c", REQUESTS, url, PLACEHOLDER], {
        HTTPS_PROXY: proxy.url,
        REQUESTS_CA_BUNDLE: proxy.caPath,
      }),
  },
  {
    name: "Node.js 24 fetch with NODE_USE_ENV_PROXY",
    missing: node === undefined,
    run: (proxy, url) =>
      runProgram(nodeScript(node ?? "", FETCH, [url, PLACEHOLDER]), {
        NODE_USE_ENV_PROXY: "1",
        HTTPS_PROXY: proxy.url,
        NODE_EXTRA_CA_CERTS: proxy.caPath,
      }),
  },
  {
    name: "undici's ProxyAgent",
    missing: !works(["node", "--version"]) || undici === undefined,
    run: (proxy, url) =>
      runProgram(nodeScript("node", PROXY_AGENT, [undici ?? "", proxy.url, url, PLACEHOLDER]), {
        CA_PEM: readFileSync(proxy.caPath, "utf8"),
      }),
  },
];

const BODY = "hello from the upstream";

describe("each client reaches a TLS upstream through the proxy, and the upstream received exactly one Authorization, the real one", () => {
  for (const client of clients) {
    for (const host of ["localhost", "127.0.0.1"]) {
      test.skipIf(client.missing)(
        `${client.name}, ${host}`,
        async () => {
          await using upstream = startUpstream({ name: host, reply: () => ok(BODY) });
          await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
          const outcome = await client.run(proxy, `https://${upstream.authority}/v1/items?page=2`);
          expect(outcome).toMatchObject({ code: 0, stdout: expect.stringContaining(BODY) });
          expect(upstream.requests).toHaveLength(1);
          const request = upstream.requests[0] as NonNullable<(typeof upstream.requests)[0]>;
          expect(request.startLine).toBe("GET /v1/items?page=2 HTTP/1.1");
          expect(values(request, "authorization")).toEqual([`Bearer ${SECRET}`]);
          expect(values(request, "host")).toEqual([upstream.authority]);
          expect(values(request, "proxy-authorization")).toEqual([]);
          expect(values(request, "proxy-connection")).toEqual([]);
          expect(upstream.text).not.toContain(PLACEHOLDER);
          expect(outcome.stdout + outcome.stderr).not.toContain(SECRET);
          await proxy.untilRecords(1, (record) => record.http_method === "GET");
          await proxy.stop();
          expectNotPrinted(proxy, [SECRET, PLACEHOLDER]);
        },
        40_000,
      );
    }
  }
});

describe("each client authenticates to the proxy with the URL that the proxy printed", () => {
  for (const client of clients) {
    test.skipIf(client.missing)(
      client.name,
      async () => {
        await using upstream = startUpstream({ reply: () => ok(BODY) });
        await using proxy = await startProxy({
          args: ["--bind", "0.0.0.0"],
          config: { credentials: [credential(upstream.authority)] },
        });
        expect(proxy.token).toMatch(/^[0-9a-f]{64}$/);
        const url = proxy.url.replace("0.0.0.0", "127.0.0.1");
        const local = Object.defineProperties(Object.create(proxy) as RunningProxy, { url: { value: url } });
        const outcome = await client.run(local, `https://${upstream.authority}/`);
        expect(outcome).toMatchObject({ code: 0, stdout: expect.stringContaining(BODY) });
        expect(upstream.text).toContain(`Bearer ${SECRET}`);
        expect(upstream.text).not.toContain(proxy.token ?? "?");
        expect(upstream.text.toLowerCase()).not.toContain("proxy-");
      },
      40_000,
    );
  }
});

describe("git ls-remote over HTTPS", () => {
  let dir = "";
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "moat-git-"));
    const env = { GIT_CONFIG_NOSYSTEM: "1", HOME: dir };
    const git = async (...args: string[]): Promise<void> => {
      const outcome = await runProgram(["git", ...args], env);
      if (outcome.code !== 0) throw new Error(`git ${args.join(" ")}: ${outcome.stderr}`);
    };
    mkdirSync(join(dir, "work"));
    const work = ["-C", join(dir, "work"), "-c", "user.name=t", "-c", "user.email=t@example.test"];
    await git(...work, "init", "-q", "-b", "main");
    writeFileSync(join(dir, "work", "file"), "content\n");
    await git(...work, "add", "file");
    await git(...work, "commit", "-q", "-m", "one");
    await git("clone", "-q", "--bare", join(dir, "work"), join(dir, "repo.git"));
    await git("-C", join(dir, "repo.git"), "update-server-info");
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  /** A dumb HTTP git server that answers only the real credential. */
  function gitServer(): Upstream {
    const expected = `Basic ${Buffer.from(`x-access-token:${SECRET}`).toString("base64")}`;
    return startUpstream({
      reply: async (request) => {
        if (values(request, "authorization").join() !== expected) {
          return 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="git"\r\nContent-Length: 0\r\n\r\n';
        }
        const file = Bun.file(join(dir, request.target.replace(/\?.*/, "")));
        if (!(await file.exists())) return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        return ok(Buffer.from(await file.bytes()).toString("latin1"), ["Content-Type: text/plain"]);
      },
    });
  }

  const modes = [
    { name: "with a placeholder user and password in the URL", userinfo: `x-access-token:${PLACEHOLDER}@` },
    { name: "with no credential at all", userinfo: "" },
  ];
  for (const { name, userinfo } of modes) {
    test.skipIf(!works(["git", "--version"]))(
      name,
      async () => {
        await using upstream = gitServer();
        const real = credential(upstream.authority, { format: "basic", prefix: "x-access-token" });
        await using proxy = await startProxy({ config: { credentials: [real] } });
        const outcome = await runProgram(
          ["git", "ls-remote", `https://${userinfo}${upstream.authority}/repo.git`],
          {
            https_proxy: proxy.url,
            GIT_SSL_CAINFO: proxy.caPath,
            GIT_CONFIG_NOSYSTEM: "1",
            GIT_TERMINAL_PROMPT: "0",
          },
        );
        expect(outcome).toMatchObject({ code: 0, stdout: expect.stringContaining("refs/heads/main") });
        for (const request of upstream.requests) expect(values(request, "authorization")).toHaveLength(1);
        expect(upstream.text).not.toContain(Buffer.from(`x-access-token:${PLACEHOLDER}`).toString("base64"));
        expect(outcome.stdout + outcome.stderr).not.toContain(SECRET);
        await proxy.stop();
        expectNotPrinted(proxy, [SECRET, Buffer.from(`x-access-token:${SECRET}`).toString("base64")]);
      },
      40_000,
    );
  }
});
