// A proxy inside a program: each token is a run of its own, and one host's answers are changed on their way.
// `bun examples/embed.ts` makes one request of its own and ends.

import { mkdtempSync } from "node:fs";
import { CA, Proxy, Server } from "moat-proxy";

const api = Bun.serve({
  port: 0,
  fetch: (request) => Response.json({ key: request.headers.get("x-api-key") }),
});
const changed = async (_: Request, answer: Response) => Response.json([await answer.json(), "seen"]);
const run = {
  runID: "run-1",
  credentials: { localhost: { name: "x-api-key", value: "the-real-key" } },
  responseTransformers: { localhost: [changed] },
};

const proxy = new Proxy();
proxy.setCA(CA.open(mkdtempSync("/tmp/moat-embed-")));
proxy.setContextResolver((token) => (token === "token-1" ? run : undefined));
proxy.setLogger(({ runID, url, statusCode }) => console.log(runID, statusCode, url));
await using server = new Server(proxy, { allowIPs: ["127.0.0.0/8", "::1"] });
await server.start();

const through = { proxy: `http://moat:token-1@${server.addr}` };
console.log(await (await fetch(`http://localhost:${api.port}/`, through)).json());
await api.stop(true);
