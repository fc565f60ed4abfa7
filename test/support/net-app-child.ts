// A program for tests of app.ts: starts a proxy in the directory named first, reaches the HTTPS authority named second
// through it, stops the proxy with the client still connected, and says so. It never calls exit: what the proxy leaves
// behind keeps it alive. With `port=N` as third argument the start is expected to fail instead.
import { readFileSync } from "node:fs";
import { startApp } from "../../src/app.ts";
import { get, tlsTunnel } from "./client.ts";
import { exchange } from "./http-message.ts";
import { configIn, printed } from "./net-app.ts";
import { pki } from "./pki.ts";

const [dir = "", authority = "", port = "port=0"] = process.argv.slice(2);
const tls = { upstreamCa: process.env.UPSTREAM_CA ?? pki().caPath };
const config = configIn(dir, { tls, proxy: { port: Number(port.slice("port=".length)) } });
try {
  const app = await startApp(config, { log: printed().log, version: "0.0.0-test" });
  const caPath = app.caCertPath ?? "";
  const tunnel = await tlsTunnel({ host: app.host, port: app.port, caPath }, authority);
  const { status } = await exchange(tunnel, get("/", authority));
  await app.stop(1_000);
  console.log(`${status}, stopped, ${readFileSync(caPath, "utf8").slice(0, 27)}`);
} catch (error) {
  console.log(error instanceof Error ? error.message : error);
}
