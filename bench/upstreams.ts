// The servers behind the proxies: nginx, with TLS and without, for what it can do; the bench's own for the rest.
// All of them refuse a request that does not carry the credential, so that one which was not injected shows.

import { join } from "node:path";
import { freePort, freePorts } from "./free-ports.ts";
import type { Certificates, Ground } from "./ground.ts";
import { nginxCommand, nginxMain, nginxTls } from "./nginx-text.ts";
import { patternAt } from "./pattern.ts";
import { manyHost } from "./plan.ts";

export const SMALL_BODY = "x".repeat(107);
export const JSON_BYTES = 16_384;
export const MEGABYTE = 1_000_000;

export interface Upstreams {
  /** Root processes. */
  readonly pids: readonly number[];
  /** nginx with TLS, undefined when it is not installed. */
  readonly nginx: number | undefined;
  /** nginx without. */
  readonly plain: number | undefined;
  /** The bench's own, TLS. */
  readonly own: number;
}

export async function startUpstreams(ground: Ground, certificates: Certificates): Promise<Upstreams> {
  const own = await startOwn(ground, certificates);
  if (Bun.which("nginx") === null)
    return { pids: [own.pid], nginx: undefined, plain: undefined, own: own.port };
  const [tls = 0, plain = 0] = await freePorts(2);
  const files = ground.directory("files");
  writeBody(ground, "files/1m", MEGABYTE);
  writeBody(ground, "files/100m", 100 * MEGABYTE);
  const content =
    `if ($http_authorization != "Bearer ${ground.secret}") { return 403; }\n` +
    `location = /small { default_type text/plain; return 200 "${SMALL_BODY}"; }\nroot ${files};\n`;
  const many = certificates.many.map(
    (file, i) => `server { ${nginxTls(`${manyHost(i)}:${tls}`, file, certificates.leafKey)} ${content} }\n`,
  );
  const config = ground.write(
    "upstream.conf",
    `${nginxMain(ground, "upstream")}http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;\n` +
      `server { ${nginxTls(`127.0.0.1:${tls}`, certificates.leaf, certificates.leafKey)} ${content} }\n` +
      `server { listen 127.0.0.1:${plain} backlog=4096; ${content} }\n${many.join("")} }\n`,
  );
  const child = ground.start("upstream", nginxCommand(ground, "upstream", config));
  await ground.ready("upstream", child, tls);
  return { pids: [child.pid, own.pid], nginx: tls, plain, own: own.port };
}

/** The bench's own upstream alone. */
export async function startOwn(
  ground: Ground,
  certificates: Certificates,
): Promise<{ readonly pid: number; readonly port: number }> {
  const port = await freePort();
  const settings = {
    port,
    certFile: certificates.leaf,
    keyFile: certificates.leafKey,
    authorization: `Bearer ${ground.secret}`,
    small: SMALL_BODY,
    jsonBytes: JSON_BYTES,
  };
  const child = ground.start("own-upstream", [
    process.execPath,
    join(import.meta.dir, "upstream/main.ts"),
    JSON.stringify(settings),
  ]);
  await ground.ready("own-upstream", child, port);
  return { pid: child.pid, port };
}

function writeBody(ground: Ground, name: string, bytes: number): void {
  const body = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; ) at += patternAt(at, bytes - at).copy(body, at);
  ground.write(name, body);
}
