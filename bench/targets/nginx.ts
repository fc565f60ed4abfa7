// The anchor: nginx as a static reverse proxy with one worker, which sets one field, verifies the upstream, keeps
// upstream connections, and writes a JSON record per request. It looks nothing up and decides nothing: the least
// that the job can cost. Clients talk to it directly, not through CONNECT. Bodies are streamed, as by the proxies.

import { freePort } from "../free-ports.ts";
import { hasStreamModule, nginxCommand, nginxMain, nginxTls } from "../nginx-text.ts";
import { type Needs, PLACEHOLDER, type Running, type Target, type World } from "./target.ts";

const RECORD =
  '{"time":"$time_iso8601","id":"$request_id","method":"$request_method","host":"$http_host","path":"$uri",' +
  '"status":$status,"seconds":$request_time,"client":"$remote_addr","sent":$body_bytes_sent}';

export class Nginx implements Target {
  readonly name = "nginx";
  readonly missing = Bun.which("nginx") === null ? "nginx is not installed" : undefined;

  refuses(needs: Needs): string | undefined {
    if (needs.passage === "opaque" && !hasStreamModule()) return "nginx's stream module is not installed";
    return undefined;
  }

  async start(world: World, needs: Needs, label: string): Promise<Running> {
    const { ground, certificates } = world;
    const port = await freePort();
    const body = needs.passage === "opaque" ? streamText(port, needs) : httpText(world, needs, port, label);
    const config = ground.write(`${label}.conf`, `${nginxMain(ground, label)}${body}`);
    const child = ground.start(label, nginxCommand(ground, label, config));
    const readyMs = await ground.ready(label, child, port);
    const secure = needs.passage === "secure";
    const authorization = needs.passage === "opaque" ? `Bearer ${ground.secret}` : PLACEHOLDER;
    const route = {
      way: secure ? "tls" : "plain",
      port,
      originPort: needs.originPort,
      authorization,
    } as const;
    return { child, readyMs, route: { ...route, caFile: certificates.ca } };
  }
}

function streamText(port: number, needs: Needs): string {
  return `stream { server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${needs.originPort}; } }\n`;
}

function httpText(world: World, needs: Needs, port: number, label: string): string {
  const { ground, certificates } = world;
  const secure = needs.passage === "secure";
  const listen = secure
    ? nginxTls(`127.0.0.1:${port}`, certificates.leaf, certificates.leafKey)
    : `listen 127.0.0.1:${port} backlog=4096;\n`;
  const verify =
    "proxy_ssl_server_name on; proxy_ssl_name localhost; proxy_ssl_verify on; " +
    `proxy_ssl_trusted_certificate ${certificates.ca}; proxy_ssl_protocols TLSv1.2 TLSv1.3;`;
  return (
    `http { log_format record escape=json '${RECORD}';\naccess_log ${ground.path(`${label}.jsonl`)} record;\n` +
    "keepalive_requests 1000000000; keepalive_timeout 600s; client_max_body_size 0;\n" +
    "proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_buffers 16 16k; proxy_buffer_size 16k;\n" +
    `upstream origin { server 127.0.0.1:${needs.originPort}; keepalive 512; keepalive_requests 1000000000; }\n` +
    `server { ${listen} location / { proxy_pass ${secure ? "https" : "http"}://origin; proxy_http_version 1.1; ` +
    `proxy_set_header Connection ""; proxy_set_header Host localhost:${needs.originPort}; ` +
    `proxy_set_header Authorization "Bearer ${ground.secret}"; ${secure ? verify : ""} }\n` +
    `location /events { proxy_pass ${secure ? "https" : "http"}://origin; proxy_http_version 1.1; ` +
    `proxy_buffering off; proxy_set_header Connection ""; proxy_set_header Host localhost:${needs.originPort}; ` +
    `proxy_set_header Authorization "Bearer ${ground.secret}"; ${secure ? verify : ""} } } }\n`
  );
}
