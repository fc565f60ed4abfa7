// A program that embeds moat-proxy: each token selects a run of its own, and what the logger is told goes to a file as
// JSON. Its one argument is a file with its settings.

import { CA, MoatProxy, type RunContextData, Server } from "../../src/index.ts";
import { runToken } from "../plan.ts";

export interface Embedding {
  readonly port: number;
  readonly runs: number;
  /** Every run has a credential for it. */
  readonly host: string;
  readonly secret: string;
  readonly caDir: string;
  readonly upstreamCa: string;
  readonly records: string;
}

const [file = ""] = process.argv.slice(2);
const settings = (await Bun.file(file).json()) as Embedding;
const { port, host, secret, caDir, upstreamCa } = settings;
const runs = new Map<string, RunContextData>();
for (let i = 0; i < settings.runs; i++) {
  const credential = { name: "Authorization", value: `Bearer ${secret}` };
  runs.set(runToken(i), { runID: `run-${i}`, credentials: { [host]: credential } });
}
const records = Bun.file(settings.records).writer({ highWaterMark: 64 * 1024 });

const proxy = new MoatProxy();
proxy.setCA(CA.open(caDir));
proxy.setContextResolver((token) => runs.get(token));
proxy.setLogger(({ requestID, runID, method, url, statusCode, duration, injectedHeaderName }) => {
  const record = { requestID, runID, method, url, statusCode, duration, injectedHeaderName };
  records.write(`${JSON.stringify(record)}\n`);
});
const server = new Server(proxy, { allowIPs: ["127.0.0.0/8", "::1"], upstreamCA: upstreamCa });
server.setPort(port);
await server.start();
process.once("SIGTERM", async () => {
  await server.stop();
  await records.end();
});
