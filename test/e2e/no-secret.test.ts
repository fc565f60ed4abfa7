// "No secret, token, placeholder's real value … appears anywhere" (wire.md section 12), at scale: every kind of secret in
// one config, upstreams that echo all they get or break in every way, both log formats at level debug. Whatever
// happens, no secret is printed, is in a command line, a scrape or a ready file, or comes back through response-scrub.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { connectProxy, get, message, post, tlsTunnel } from "../support/client.ts";
import { chunk, encode } from "../support/coded-text.ts";
import type { Request } from "../support/http-message.ts";
import { REFUSED, reload } from "../support/reload.ts";
import { scratchDir } from "../support/scratch.ts";
import { closedPort, startUpstream, type Upstream } from "../support/upstream.ts";

/** Every secret that the proxy knows, by what it is for. Some hold what has to be escaped somewhere. */
const SECRETS = {
  header: "sEcReT-header-11aa22bb33",
  basic: "sEcReT-basic-44cc:55dd/66ee",
  env: "sEcReT-env-77ff88gg",
  file: "sEcReT-file-99hh00ii",
  process: "sEcReT-process-1j2k3l",
  token: 'sEcReT-token-"4m5n/6o+7p=',
  grant: "sEcReT-grant-8q9r0s",
  oauth: "sEcReT-oauth-1t2u3v",
} as const;
const RUN = "sEcReT-proxy-token-4w5x6y";
const PLACEHOLDER = "harmless-placeholder";

/** The forms in which a secret may show without being searched for literally. */
function forms(secret: string): string[] {
  const base64 = (plain: string): string => Buffer.from(plain).toString("base64");
  // The middle of the base64 text does not depend on what stands around the secret, only on where it begins.
  const aligned = [0, 1, 2].map((shift) => base64("x".repeat(shift) + secret).slice(4, -4));
  return [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), ...aligned];
}
const FORBIDDEN = Object.values(SECRETS).flatMap(forms);

/** The surroundings of each form of a secret in `content`. */
function leaks(content: string, more: readonly string[] = []): string[] {
  const found = [...new Set([...FORBIDDEN, ...more])].filter((form) => content.includes(form));
  return found.map((form) => {
    const at = content.indexOf(form);
    return content.slice(Math.max(0, at - 60), at + form.length + 20);
  });
}

function expectClean(what: string, content: string, more: readonly string[] = []): void {
  expect({ what, leaks: leaks(content, more) }).toEqual({ what, leaks: [] });
}

/** Answers by the last segment of the path; every answer holds what the upstream received. */
function misbehave(request: Request, stream: ByteStream): string | Uint8Array | null {
  const seen = request.rawHead + request.body.toString("latin1");
  const line = seen.replaceAll("\r\n", " | ");
  const framed = (head: string, body: string | Uint8Array): Uint8Array => {
    const bytes = Buffer.from(body as string, "latin1");
    return Buffer.concat([
      Buffer.from(`${head}\r\nContent-Length: ${bytes.length}\r\n\r\n`, "latin1"),
      bytes,
    ]);
  };
  const text = "\r\nContent-Type: text/plain";
  switch (/([a-z0-9-]+)(?:\?.*)?$/.exec(request.target)?.[1]) {
    case "gzip":
      return framed(`HTTP/1.1 200 OK${text}\r\nContent-Encoding: gzip`, encode("gzip", seen));
    case "fields":
      return framed(
        `HTTP/1.1 200 OK${text}\r\nX-Echo: ${line}\r\nLocation: /${line.replaceAll(" ", "")}`,
        "",
      );
    case "reason":
      return framed(`HTTP/1.1 200 ${line.slice(0, 900)}${text}`, "x");
    case "events":
      return framed("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream", `event: x\ndata: ${line}\n\n`);
    case "error":
      return framed(`HTTP/1.1 500 Oops${text}`, seen);
    case "refused":
      return framed(
        `HTTP/1.1 401 No${text}\r\nWWW-Authenticate: X realm="${line.replaceAll('"', "")}"`,
        seen,
      );
    case "trailers":
      return Buffer.concat([
        Buffer.from(`HTTP/1.1 200 OK${text}\r\nTransfer-Encoding: chunked\r\n\r\n`),
        chunk(seen),
        Buffer.from(`0\r\nX-Echo: ${line}\r\n\r\n`, "latin1"),
      ]);
    case "garbage":
      return `${line}\r\n\r\n`;
    case "bad-head":
      return `HTTP/1.1 200 OK\r\n${line.replaceAll(":", "")}\r\n\r\n`;
    case "bad-length":
      return `HTTP/1.1 200 OK${text}\r\nContent-Length: ${line}\r\n\r\n`;
    case "bad-chunk":
      return `HTTP/1.1 200 OK${text}\r\nTransfer-Encoding: chunked\r\n\r\n${line}\r\n`;
    case "bad-gzip":
      return framed(`HTTP/1.1 200 OK${text}\r\nContent-Encoding: gzip`, seen);
    case "short":
      void stream.write(`HTTP/1.1 200 OK${text}\r\nContent-Length: 99999\r\n\r\n${seen}`);
      return null;
    case "early":
      return `HTTP/1.1 103 Early ${line.slice(0, 500)}\r\nLink: <${line}>\r\n\r\nHTTP/1.1 204 No\r\n\r\n`;
    case "switch":
      return `HTTP/1.1 101 ${line.slice(0, 500)}\r\nUpgrade: h2c\r\n\r\n`;
    case "twice":
      return Buffer.concat([framed(`HTTP/1.1 200 OK${text}`, "a"), framed(`HTTP/1.1 200 OK${text}`, seen)]);
    case "close":
      return null;
    default:
      return framed(`HTTP/1.1 200 OK${text}`, seen);
  }
}

const ENDINGS =
  "plain gzip events fields reason error refused trailers garbage bad-head bad-length bad-chunk bad-gzip short early switch twice close".split(
    " ",
  );

function config(tls: Upstream, plain: Upstream, file: string) {
  const local = { type: "static" };
  const hosts = [tls.authority, plain.authority];
  return {
    proxy: { auth_token: RUN },
    log: { level: "debug" },
    credentials: [
      ...hosts.flatMap((host) => [
        { host, grant: "one", source: { ...local, value: SECRETS.header } },
        { host, header: "X-Env", grant: "two", source: { type: "env", var: "SECRET_ENV" } },
        { host, header: "X-File", grant: "three", source: { type: "file", path: file } },
        {
          host,
          header: "X-Process",
          grant: "four",
          source: { type: "process", command: 'printf %s "$SECRET_PROCESS"' },
        },
      ]),
      {
        host: "localhost",
        header: "Authorization",
        format: "basic",
        prefix: "me",
        grant: "five",
        source: { ...local, value: SECRETS.basic },
      },
      { host: "elsewhere.test", header: "X-G", grant: "tools", source: { ...local, value: SECRETS.grant } },
      {
        host: "elsewhere.test",
        header: "X-G",
        grant: "oauth:tools",
        source: { ...local, value: SECRETS.oauth },
      },
    ],
    token_substitutions: hosts.map((host) => ({
      host,
      placeholder: PLACEHOLDER,
      source: { ...local, value: SECRETS.token },
    })),
    response_transformers: hosts.map((host) => ({ host, kind: "response-scrub" })),
    relays: [
      { name: "tls", url: `https://${tls.authority}` },
      { name: "down", url: `http://localhost:${closedPort()}` },
    ],
    mcp_servers: [
      { name: "mcp", url: `https://${tls.authority}/mcp`, auth: { grant: "tools", header: "X-Mcp" } },
      {
        name: "oauth",
        url: `http://${plain.authority}/mcp`,
        auth: { grant: "oauth:tools", header: "X-Oauth" },
      },
      { name: "nowhere", url: `http://${plain.authority}/mcp`, auth: { grant: "mcp-nowhere" } },
    ],
  };
}

/** One connection, one request, and whatever comes back until it ends or says no more. */
async function send(proxy: RunningProxy, raw: string, tunnel?: string): Promise<string> {
  const auth = [`Proxy-Authorization: Bearer ${RUN}`];
  const client =
    tunnel === undefined ? await connectProxy(proxy) : await tlsTunnel(proxy, tunnel, { fields: auth });
  await client.write(raw);
  // All requests say Connection: close.
  await client.whenEnded();
  client.destroy();
  return client.text;
}

/** Requests to `path` in every shape that makes the proxy put secrets in. */
function shapes(target: string, host: string, fields: readonly string[]): string[] {
  const close = [...fields, "Connection: close"];
  const basic = Buffer.from(`me:${PLACEHOLDER}`).toString("base64");
  return [
    get(target, host, close),
    get(target, host, [
      ...close,
      `Authorization: Basic ${basic}`,
      "X-Mcp: moat-stub-tools",
      "X-Oauth: moat-stub-oauth:tools",
    ]),
    get(target, host, [
      ...close,
      "Accept-Encoding: gzip",
      "Range: bytes=0-5",
      `Authorization: Bearer ${PLACEHOLDER}`,
    ]),
    post(target, host, `{"t":"${PLACEHOLDER}"}`, [...close, "Content-Type: application/json"]),
    post(target, host, `t=${PLACEHOLDER}`, [...close, "Content-Type: application/x-www-form-urlencoded"]),
    message(
      `POST ${target} HTTP/1.1`,
      [`Host: ${host}`, ...close, "Transfer-Encoding: chunked"],
      `${chunk(PLACEHOLDER).toString("latin1")}0\r\n\r\n`,
    ),
  ];
}

async function requestEverything(
  proxy: RunningProxy,
  tls: Upstream,
  plain: Upstream,
): Promise<{ asked: string; answer: string }[]> {
  const auth = [`Proxy-Authorization: Bearer ${RUN}`];
  const sent: [raw: string, tunnel?: string][] = [];
  for (const ending of ENDINGS) {
    const path = `/p/${PLACEHOLDER}/${ending}`;
    for (const raw of shapes(path, tls.authority, [])) sent.push([raw, tls.authority]);
    for (const raw of shapes(`http://${plain.authority}${path}?k=${PLACEHOLDER}`, plain.authority, auth))
      sent.push([raw]);
    for (const local of [
      `/relay/${RUN}/tls${path}`,
      `/mcp/${RUN}/mcp/${ending}`,
      `/mcp/${RUN}/oauth/${ending}`,
    ])
      for (const raw of shapes(local, "localhost", [])) sent.push([raw]);
  }
  for (const path of [
    `/relay/${RUN}/down/x`,
    `/relay/${RUN}/none`,
    `/mcp/${RUN}/nowhere`,
    `/mcp/${RUN}/none`,
    `/mcp/${RUN}`,
    `/relay/${RUN}/tls/..`,
    `/mcp/${RUN}x/mcp`,
  ])
    sent.push([get(path, "localhost", ["Connection: close"])]);
  const answers: { asked: string; answer: string }[] = [];
  for (let at = 0; at < sent.length; at += 16)
    answers.push(
      ...(await Promise.all(
        sent
          .slice(at, at + 16)
          .map(async ([raw, tunnel]) => ({ asked: raw, answer: await send(proxy, raw, tunnel) })),
      )),
    );
  return answers;
}

for (const format of ["json", "text"]) {
  describe(`log format ${format}`, () => {
    test("hundreds of requests, every way to go wrong, reloads good and bad: nothing is printed or comes back", async () => {
      const file = join(scratchDir("moat-secret-"), "secret");
      writeFileSync(file, SECRETS.file, { mode: 0o600 });
      await using tls = startUpstream({ reply: misbehave });
      await using plain = startUpstream({ tls: false, reply: misbehave });
      const good = config(tls, plain, file);
      const metrics = closedPort();
      await using proxy = await startProxy({
        config: good,
        env: { SECRET_ENV: SECRETS.env, SECRET_PROCESS: SECRETS.process },
        args: ["--log-format", format, "--metrics-listen", String(metrics), "--ready-file", "ready.json"],
      });
      const answers = await requestEverything(proxy, tls, plain);
      expect(answers.length).toBeGreaterThan(500);
      // The secrets really went out: otherwise this test would show nothing.
      const received = tls.text + plain.text;
      const literal: string[] = [
        SECRETS.header,
        SECRETS.env,
        SECRETS.file,
        SECRETS.process,
        SECRETS.grant,
        SECRETS.oauth,
      ];
      expect(literal.filter((secret) => !received.includes(secret))).toEqual([]);
      expect(received).not.toContain(RUN);
      const leaking = answers.flatMap(({ asked, answer }) =>
        leaks(answer).map((around) => ({ asked, around })),
      );
      expect(leaking).toEqual([]);

      const [first, ...others] = good.credentials;
      for (const source of [
        { type: "static", value: `${SECRETS.header}\n` },
        { type: "static", valeu: SECRETS.header },
        { type: "static", value: [SECRETS.header] },
        SECRETS.header,
        { type: "process", command: `echo ${SECRETS.header}; exit 1` },
        { type: "process", command: `echo ${SECRETS.header} >&2; echo ${SECRETS.header}; exit 3` },
      ])
        await reload(proxy, { ...good, credentials: [{ ...first, source }, ...others] }, REFUSED);
      await reload(proxy, { ...good, proxy: { auth_token: `${RUN}\n` } }, REFUSED);
      const url = `http://me:${encodeURIComponent(SECRETS.basic)}@`;
      await reload(proxy, { ...good, network: { upstream_proxy: `${url}[` } }, REFUSED);
      await reload(proxy, { ...good, relays: [{ name: "a", url: `${url}x.test/` }] }, REFUSED);
      await reload(proxy, good);
      const scrape = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
      expectClean("metrics", scrape, [RUN]);
      for (const name of readdirSync(proxy.dir).filter((entry) => entry.endsWith(".json")))
        expectClean(name, readFileSync(join(proxy.dir, name), "utf8"), [RUN]);
      if (process.platform === "linux")
        expectClean("cmdline", readFileSync(`/proc/${proxy.pid}/cmdline`, "utf8"), [RUN]);
      await proxy.stop();
      // The one line on stdout is where the token belongs.
      expectClean("stdout", proxy.stdout);
      expectClean("stderr", proxy.stderr, [RUN]);
    }, 120_000);
  });
}
