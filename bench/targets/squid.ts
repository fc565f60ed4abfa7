// Squid with ssl-bump, which mints certificates, replaces one field and writes a JSON record per request. One worker,
// no cache. Where it has helper processes, they count as its own.

import { existsSync } from "node:fs";
import { freePort } from "../free-ports.ts";
import type { Ground } from "../ground.ts";
import { policyPatterns } from "./gatekeeper.ts";
import { type Needs, NO_RUNS, proxyRoute, type Running, type Target, type World } from "./target.ts";

const CERTGEN = "/usr/lib/squid/security_file_certgen";
/** The user that Squid becomes when it is started by root. */
const USER = "proxy";
const RECORD =
  '{"time":"%ts.%03tu","method":"%rm","url":"%ru","status":%>Hs,"milliseconds":%tr,"client":"%>a","sent":%<st}';

export class Squid implements Target {
  readonly name = "squid";
  readonly missing =
    Bun.which("squid") === null
      ? "squid is not installed"
      : existsSync(CERTGEN)
        ? undefined
        : "squid here has no ssl-bump (Debian: squid-openssl)";

  refuses(needs: Needs): string | undefined {
    if (needs.runs > 0) return NO_RUNS;
    return needs.credentials > needs.hosts ? "one rule per header field, no table of credentials" : undefined;
  }

  async start(world: World, needs: Needs, label: string): Promise<Running> {
    const { ground, certificates } = world;
    const port = await freePort();
    const dir = ground.directory(label);
    const pem = (await Bun.file(certificates.ca).text()) + (await Bun.file(certificates.caKey).text());
    ground.write(`${label}/ca.pem`, pem);
    await ground.run([CERTGEN, "-c", "-s", `${dir}/certs`, "-M", "16MB"]);
    const config = ground.write(`${label}/squid.conf`, squidText(ground, needs, port, dir, certificates.ca));
    if (process.getuid?.() === 0) await ground.run(["chown", "-R", USER, dir]);
    const child = ground.start(label, ["squid", "-N", "-f", config]);
    const readyMs = await ground.ready(label, child, port);
    return { child, readyMs, route: proxyRoute(world, needs, port) };
  }
}

function squidText(ground: Ground, needs: Needs, port: number, dir: string, ca: string): string {
  const bump = `ssl-bump tls-cert=${dir}/ca.pem generate-host-certificates=on dynamic_cert_mem_cache_size=16MB`;
  const domains = policyPatterns(needs).map((pattern) => pattern.replace(/^\*/, "").replace(/:\d+$/, ""));
  ground.write(`${dir.slice(ground.dir.length + 1)}/allowed`, `${domains.join("\n")}\n`);
  return `${[
    `http_port 127.0.0.1:${port} ${needs.passage === "opaque" ? "" : bump}`,
    `sslcrtd_program ${CERTGEN} -s ${dir}/certs -M 16MB`,
    "sslcrtd_children 2 startup=1 idle=1",
    ...(needs.passage === "opaque" ? [] : ["ssl_bump bump all"]),
    `tls_outgoing_options cafile=${ca}`,
    ...(needs.patterns > 0
      ? [`acl allowed dstdomain "${dir}/allowed"`, "http_access allow allowed", "http_access deny all"]
      : ["http_access allow all"]),
    "request_header_access Authorization deny all",
    `request_header_add Authorization "Bearer ${ground.secret}" all`,
    "via off",
    "forwarded_for delete",
    "cache deny all",
    "cache_mem 8 MB",
    `logformat record ${RECORD}`,
    `access_log stdio:${dir}/access.jsonl logformat=record`,
    `cache_log ${dir}/cache.log`,
    "cache_store_log none",
    `pid_filename ${dir}/squid.pid`,
    `coredump_dir ${dir}`,
    "netdb_filename none",
    "shutdown_lifetime 0 seconds",
    "max_filedescriptors 20000",
    "client_lifetime 1 day",
    "pconn_timeout 10 minutes",
    "client_persistent_connections on",
    "server_persistent_connections on",
  ].join("\n")}\n`;
}
