// mitmdump with an addon that injects by host and writes a JSON line per answer. Bodies are streamed, not buffered,
// which is not its default; everything else is.

import { freePort } from "../free-ports.ts";
import { credentialHosts, policyPatterns } from "./gatekeeper.ts";
import { type Needs, NO_RUNS, proxyRoute, type Running, type Target, type World } from "./target.ts";

const ADDON = `
import json, time

class Inject:
    def __init__(self, settings):
        self.credentials = settings["credentials"]
        self.exact = set(p for p in settings["allow"] if not p.startswith("*."))
        self.wild = set(p[1:] for p in settings["allow"] if p.startswith("*."))
        self.strict = len(settings["allow"]) > 0
        self.value = settings["value"]
        self.records = open(settings["records"], "a", buffering=65536)

    def allowed(self, host, port):
        if host in self.exact or f"{host}:{port}" in self.exact:
            return True
        at = host.find(".")
        while at != -1:
            if host[at:] in self.wild:
                return True
            at = host.find(".", at + 1)
        return False

    def requestheaders(self, flow):
        host, port = flow.request.host, flow.request.port
        if self.strict and not self.allowed(host, port):
            flow.kill()
        elif host in self.credentials or f"{host}:{port}" in self.credentials:
            flow.request.headers["Authorization"] = self.value

    def responseheaders(self, flow):
        if flow.response.headers.get("content-type", "").startswith("text/event-stream"):
            flow.response.stream = True

    def response(self, flow):
        self.records.write(json.dumps({
            "time": time.time(), "method": flow.request.method, "host": flow.request.host,
            "path": flow.request.path, "status": flow.response.status_code}) + "\\n")
`;

export class Mitmdump implements Target {
  readonly name = "mitmdump";
  readonly missing: string | undefined;
  readonly #binary: string;

  constructor(binary: string) {
    this.#binary = binary;
    this.missing = Bun.which(binary) === null ? "mitmdump is not installed" : undefined;
  }

  refuses(needs: Needs): string | undefined {
    return needs.runs > 0 ? NO_RUNS : undefined;
  }

  async start(world: World, needs: Needs, label: string): Promise<Running> {
    const { ground, certificates } = world;
    const port = await freePort();
    const confdir = ground.directory(`${label}-conf`);
    const pem = (await Bun.file(certificates.caKey).text()) + (await Bun.file(certificates.ca).text());
    ground.write(`${label}-conf/mitmproxy-ca.pem`, pem);
    const settings = {
      credentials: Object.fromEntries(credentialHosts(needs).map((host) => [host, true])),
      allow: needs.patterns > 0 ? policyPatterns(needs) : [],
      value: `Bearer ${ground.secret}`,
      records: ground.path(`${label}.jsonl`),
    };
    const data = ground.write(`${label}.json`, JSON.stringify(settings));
    const script = ground.write(
      `${label.replaceAll("-", "_")}.py`,
      `${ADDON}\naddons = [Inject(json.load(open(${JSON.stringify(data)})))]\n`,
    );
    const options = [
      `confdir=${confdir}`,
      `ssl_verify_upstream_trusted_ca=${certificates.ca}`,
      "stream_large_bodies=64k",
      "flow_detail=0",
      "termlog_verbosity=error",
    ];
    const child = ground.start(label, [
      this.#binary,
      ...["--listen-host", "127.0.0.1", "--listen-port", String(port), "-s", script],
      ...(needs.passage === "opaque" ? ["--ignore-hosts", ".*"] : []),
      ...options.flatMap((option) => ["--set", option]),
    ]);
    const readyMs = await ground.ready(label, child, port);
    return { child, readyMs, route: proxyRoute(world, needs, port) };
  }
}
