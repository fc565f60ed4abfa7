// The demo command: an API, the proxy and a client in one process, one request through all three, both ends shown.
// Needs no network, config or secret; leaves nothing behind. It starts the proxy exactly as `serve` does.

import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineCommand } from "citty";
import { version } from "../../package.json" with { type: "json" };
import { startApp } from "../app.ts";
import type { Config, CredentialConfig } from "../config/config.ts";
import { type Flags, loadConfig } from "../config/load.ts";
import { BadSetting, parseListenPort } from "../config/setting.ts";
import { descriptor } from "../log/line-writer.ts";
import { createLogger } from "../log/logger.ts";
import { Secret } from "../values/secret.ts";
import { UsageError } from "./argv.ts";
import { sendThroughProxy } from "./demo-client.ts";
import { type Arrival, type DemoUpstream, startDemoUpstream } from "./demo-upstream.ts";
import { arrival, type Check, introduction, invitation, type Sighting, sideBySide } from "./demo-view.ts";
import { stopSignal } from "./stop-signals.ts";
import { type Style, terminalStyle } from "./terminal.ts";

const HOST = "127.0.0.1";
const PLACEHOLDER = "placeholder";
const STDERR = 2;

export interface DemoOptions {
  readonly once: boolean;
  /** The proxy's port; 0 lets the operating system pick. */
  readonly port: number;
  readonly style: Style;
  readonly print: (text: string) => void;
  /** Resolves when the demo is to end; not looked at with `once`. */
  readonly ended: Promise<unknown>;
  /** True when the environment makes curl go around the proxy for loopback addresses. */
  readonly bypass: boolean;
}

/** Runs the demo and resolves when it is over and cleaned up. True when everything that it claims was seen to hold. */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  // Nobody's key, new in every run: it shows that nothing here was prepared.
  const key = `sk-demo-${randomBytes(5).toString("hex")}`;
  const dir = mkdtempSync(join(tmpdir(), "moat-proxy-demo-"));
  const arrivals: Arrival[] = [];
  let upstream: DemoUpstream | undefined;
  try {
    upstream = await startDemoUpstream(key, (seen) => {
      arrivals.push(seen);
      if (arrivals.length > 1) options.print(arrival(seen.head, seen.status, options.style));
    });
    return await withProxy(options, dir, key, upstream, arrivals);
  } finally {
    upstream?.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function withProxy(
  options: DemoOptions,
  dir: string,
  key: string,
  upstream: DemoUpstream,
  arrivals: readonly Arrival[],
): Promise<boolean> {
  const upstreamCa = join(dir, "api-ca.crt");
  writeFileSync(upstreamCa, upstream.caPem);
  const config = demoConfig(options.port, dir, upstreamCa, upstream.port, key);
  const log = createLogger({ level: "error", format: "text", output: descriptor(STDERR) });
  const app = await startApp(config, { log, version });
  try {
    // The demo intercepts, so there is a CA.
    const caPath = app.caCertPath ?? "";
    const addresses = { proxyUrl: `http://${HOST}:${app.port}`, apiUrl: upstream.url };
    options.print(introduction(addresses, version, options.style));

    const sent = [
      "GET /v1/hello HTTP/1.1",
      `Host: ${HOST}:${upstream.port}`,
      "User-Agent: demo-client",
      `Authorization: Bearer ${PLACEHOLDER}`,
      "Connection: close",
    ];
    const answer = await sendThroughProxy({
      proxyHost: HOST,
      proxyPort: app.port,
      host: HOST,
      port: upstream.port,
      caPem: readFileSync(caPath, "latin1"),
      head: sent,
    });
    const received = arrivals[0]?.head ?? [];
    const checks = verify(received, answer, key);
    options.print(sideBySide(sighting(sent, received, answer), checks, options.style));

    if (!options.once) {
      options.print(invitation(addresses, caPath, PLACEHOLDER, options.bypass, options.style));
      await options.ended;
    }
    return checks.every(({ holds }) => holds);
  } finally {
    await app.stop(0);
    log.flush();
  }
}

function demoConfig(
  port: number,
  dir: string,
  upstreamCa: string,
  upstreamPort: number,
  key: string,
): Config {
  const api = `${HOST}:${upstreamPort}`;
  const flags: Flags = {
    ...{ host: HOST, port, caDir: join(dir, "ca"), upstreamCa, logLevel: "error" },
    ...{ policy: "strict", allow: [api], allowIps: [`${HOST}/32`] },
  };
  const credential: CredentialConfig = {
    host: api,
    header: "Authorization",
    prefix: undefined,
    format: "",
    grant: "demo",
    allowCleartext: false,
    source: { type: "static", value: new Secret(key) },
    line: undefined,
  };
  return { ...loadConfig({ flags, env: {}, readFile: () => "" }), credentials: [credential] };
}

function sighting(sent: readonly string[], received: readonly string[], answer: string): Sighting {
  const end = answer.indexOf("\r\n\r\n");
  const status = answer.split("\r\n", 1)[0] ?? "";
  return { sent, received, status, body: /\{.*\}/.exec(answer.slice(end))?.[0] ?? "" };
}

/** What the demo claims, each looked up in what both ends really saw. */
function verify(received: readonly string[], answer: string, key: string): Check[] {
  const fields = received.filter((line) => /^authorization:/i.test(line));
  return [
    {
      claim: "the API received one Authorization field, with the real key",
      holds: fields.length === 1 && fields[0]?.endsWith(`Bearer ${key}`) === true,
    },
    {
      claim: "the placeholder did not leave the proxy",
      holds: received.length > 0 && !received.some((line) => line.includes(PLACEHOLDER)),
    },
    {
      claim: "the client saw nothing of the key",
      holds: answer.startsWith("HTTP/1.1 200 ") && !answer.includes(key),
    },
    // Neither side would have sent a byte of HTTP otherwise.
    { claim: "both TLS connections were verified, each against its own CA", holds: received.length > 0 },
  ];
}

function readPort(text: string): number {
  try {
    return parseListenPort(text);
  } catch (error) {
    throw error instanceof BadSetting ? new UsageError(`--port: ${error.message}`) : error;
  }
}

export const demoCommand = defineCommand({
  meta: { name: "demo", description: "Show one request going through, then serve it to try out" },
  args: {
    once: { type: "boolean", description: "End after the first request", default: false },
    port: { type: "string", description: "Port of the proxy; 0 picks a free one", default: "0" },
  },
  async run({ args }) {
    const holds = await runDemo({
      once: args.once,
      port: readPort(args.port),
      style: terminalStyle(),
      print: (text) => process.stdout.write(text),
      ended: stopSignal(process, (status) => process.exit(status)),
      bypass: Boolean(process.env.NO_PROXY || process.env.no_proxy),
    });
    if (!holds) process.exitCode = 1;
  },
});
