// `bun run bench`: what a small GET over kept-alive tunnels costs, in CPU microseconds of the process under test, beside
// nginx as a static TLS reverse proxy that sets one header. Interleaved rounds, median of the ratios; wall time is
// shown and not judged. Everything listens on 127.0.0.1, on ports of its own.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const REQUESTS = Number(process.env.BENCH_REQUESTS ?? 40_000);
const CONNECTIONS = Number(process.env.BENCH_CONNECTIONS ?? 32);
/** Clock ticks a second in /proc/PID/stat. */
const TICKS = 100;
const BODY = "x".repeat(107);
const binary = process.env.MOAT_BINARY ?? "dist/moat-proxy";

const dir = mkdtempSync(join(tmpdir(), "moat-bench-"));
const children: Bun.Subprocess[] = [];

try {
  await main();
} finally {
  for (const child of children) child.kill("SIGTERM");
  await Promise.all(children.map((child) => child.exited));
  rmSync(dir, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const [upstreamPort, anchorPort] = await freePorts(2);
  if (upstreamPort === undefined || anchorPort === undefined) throw new Error("no free ports");
  makeCertificates();
  writeFileSync(join(dir, "upstream.conf"), nginxUpstream(upstreamPort));
  writeFileSync(join(dir, "anchor.conf"), nginxAnchor(anchorPort, upstreamPort));
  startNginx("upstream");
  const anchor = startNginx("anchor");
  const moat = await startMoat(upstreamPort);
  await Promise.all([listening(upstreamPort), listening(anchorPort)]);

  const nginxPlan = { proxyPort: 0, targetPort: anchorPort, caFile: join(dir, "ca.crt") };
  const moatPlan = { proxyPort: moat.port, targetPort: upstreamPort, caFile: join(dir, "moat-ca", "ca.crt") };
  await load(nginxPlan, 4_000);
  await load(moatPlan, 20_000);
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const nginx = await measure(anchor.pid, nginxPlan);
    const ours = await measure(moat.pid, moatPlan);
    rounds.push({ nginx, ours, ratio: ours.cpuMicros / nginx.cpuMicros });
    console.error(
      `round ${round + 1}: nginx ${nginx.cpuMicros.toFixed(1)} µs (${nginx.rate.toFixed(0)}/s), ` +
        `moat-proxy ${ours.cpuMicros.toFixed(1)} µs (${ours.rate.toFixed(0)}/s), ratio ${(ours.cpuMicros / nginx.cpuMicros).toFixed(2)}`,
    );
  }
  const ratios = rounds.map((round) => round.ratio).sort((a, b) => a - b);
  console.log(
    JSON.stringify({
      scenario: "small GET, kept-alive tunnels",
      connections: CONNECTIONS,
      requests: REQUESTS,
      medianRatio: median(ratios),
      spread: [ratios[0], ratios.at(-1)],
      nginxCpuMicros: median(rounds.map((round) => round.nginx.cpuMicros).sort((a, b) => a - b)),
      moatCpuMicros: median(rounds.map((round) => round.ours.cpuMicros).sort((a, b) => a - b)),
      moatRssMiB: rss(moat.pid) / 1024,
    }),
  );
}

function ignore(): void {
  // The port answers: that is all that was asked.
}

function median(sorted: readonly number[]): number {
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

interface Path {
  readonly proxyPort: number;
  readonly targetPort: number;
  readonly caFile: string;
}

async function measure(pid: number, path: Path): Promise<{ cpuMicros: number; rate: number }> {
  const before = cpuTicks(pid);
  const { seconds } = await load(path, REQUESTS);
  const ticks = cpuTicks(pid) - before;
  return { cpuMicros: (ticks / TICKS / REQUESTS) * 1e6, rate: REQUESTS / seconds };
}

async function load(path: Path, requests: number): Promise<{ seconds: number }> {
  const plan = JSON.stringify({ ...path, connections: CONNECTIONS, requests, body: BODY });
  const generator = Bun.spawn([process.execPath, join(import.meta.dir, "load.ts"), plan], {
    stderr: "inherit",
  });
  const result = JSON.parse(await new Response(generator.stdout).text()) as {
    seconds: number;
    wrong: number;
  };
  if (result.wrong > 0) throw new Error(`${result.wrong} wrong answers: a fast wrong answer is a failure`);
  return result;
}

/** User and system time of a process and, for nginx, of its workers. */
function cpuTicks(pid: number): number {
  let sum = 0;
  for (const id of [pid, ...childrenOf(pid)]) {
    const stat = readFileSync(`/proc/${id}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    sum += Number(fields[11]) + Number(fields[12]);
  }
  return sum;
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1")
    .trim()
    .split(" ")
    .filter(Boolean)
    .map(Number);
}

function rss(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0);
}

function startNginx(name: string): Bun.Subprocess {
  const child = Bun.spawn(
    ["nginx", "-p", dir, "-e", join(dir, `${name}.err`), "-c", join(dir, `${name}.conf`)],
    {
      stdout: "ignore",
      stderr: "inherit",
    },
  );
  children.push(child);
  return child;
}

async function startMoat(upstreamPort: number): Promise<{ pid: number; port: number }> {
  const config = {
    credentials: [
      { host: `localhost:${upstreamPort}`, grant: "bench", source: { type: "static", value: "real" } },
    ],
  };
  writeFileSync(join(dir, "moat.yaml"), JSON.stringify(config));
  const flags = [
    "--config",
    "moat.yaml",
    "--ca-dir",
    "moat-ca",
    "--upstream-ca",
    "ca.crt",
    "--log-format",
    "json",
  ];
  const child = Bun.spawn([join(process.cwd(), binary), ...flags, "--allow-ip", "127.0.0.0/8"], {
    cwd: dir,
    stdout: "pipe",
    stderr: Bun.file(join(dir, "records.log")),
  });
  children.push(child);
  for await (const chunk of child.stdout) {
    return { pid: child.pid, port: Number(new URL(new TextDecoder().decode(chunk).trim()).port) };
  }
  throw new Error(readFileSync(join(dir, "records.log"), "utf8"));
}

function makeCertificates(): void {
  run(
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=bench",
  );
  run(
    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout leaf.key -out leaf.csr -subj /CN=localhost",
  );
  writeFileSync(join(dir, "leaf.ext"), "subjectAltName=DNS:localhost\n");
  run(
    "openssl x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out leaf.crt -days 2 -extfile leaf.ext",
  );
}

function run(command: string): void {
  const { exitCode, stderr } = Bun.spawnSync(command.split(" "), { cwd: dir });
  if (exitCode !== 0) throw new Error(stderr.toString());
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once("listening", resolve))));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: { data: ignore },
      });
      socket.end();
      return;
    } catch {
      await Bun.sleep(20);
    }
  }
  throw new Error(`nothing listens on port ${port}`);
}

function nginxCommon(name: string): string {
  return `daemon off;\nworker_processes 1;\npid ${dir}/${name}.pid;\nevents { worker_connections 1024; }\n`;
}

function nginxTls(port: number): string {
  return (
    `listen 127.0.0.1:${port} ssl;\nserver_name localhost;\nssl_certificate ${dir}/leaf.crt;\n` +
    `ssl_certificate_key ${dir}/leaf.key;\nkeepalive_requests 100000000;\n`
  );
}

function nginxUpstream(port: number): string {
  return `${nginxCommon("upstream")}http { access_log off; server { ${nginxTls(port)} location / { default_type text/plain; return 200 "${BODY}"; } } }\n`;
}

function nginxAnchor(port: number, upstream: number): string {
  return (
    `${nginxCommon("anchor")}http { log_format r '$request_id $request_method $host $uri $status $request_time';\n` +
    `access_log ${dir}/anchor.log r;\nupstream api { server 127.0.0.1:${upstream}; keepalive 64; keepalive_requests 100000000; }\n` +
    `server { ${nginxTls(port)} location / { proxy_pass https://api; proxy_http_version 1.1; ` +
    `proxy_set_header Connection ""; proxy_set_header Host localhost; proxy_set_header Authorization "Bearer real"; ` +
    `proxy_ssl_server_name on; proxy_ssl_name localhost; proxy_ssl_verify on; proxy_ssl_trusted_certificate ${dir}/ca.crt; } } }\n`
  );
}
