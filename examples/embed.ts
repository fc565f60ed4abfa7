// A proxy inside a program: each token is a run of its own, and one host's answers are changed on their way.
// `bun examples/embed.ts` makes one request of its own and ends.

import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { CA, Proxy, Server } from "moat-proxy";

await using api = Bun.serve({
  port: 0,
  fetch: (request) => Response.json({ key: request.headers.get("x-api-key") }),
});
const changed = async (_: Request, answer: Response) => Response.json([await answer.json(), "seen"]);
const run = {
  runID: "run-1",
  credentials: { localhost: { name: "x-api-key", value: "the-real-key" } },
  responseTransformers: { localhost: changed },
};

await using dir = await mkdtempDisposable(`${tmpdir()}/moat-embed-`);
const proxy = new Proxy();
proxy.setCA(CA.open(dir.path));
proxy.setContextResolver((token) => (token === "token-1" ? run : undefined));
proxy.setLogger(({ runID, url, statusCode }) => console.log(runID, statusCode, url));
await using server = new Server(proxy, { allowIPs: ["127.0.0.0/8", "::1"] });
await server.start();

const through = { proxy: `http://moat:token-1@${server.addr}`, keepalive: false };
const answer = await fetch(`http://localhost:${api.port}/`, through);
console.log(await answer.json());
