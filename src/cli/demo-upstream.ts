// The demo's HTTPS API: wants one key, answers 200 to it and 401 to all else, and tells what it received.
// Lives on loopback with a throw-away CA of its own. For the demo only; the proxy's data path never uses it.

import { createServer } from "node:https";
import { CertificateAuthority } from "../x509/ca.ts";
import { generateLeafKey, issueLeaf } from "../x509/leaf.ts";

const HOST = "127.0.0.1";

export interface Arrival {
  /** The head as received, one line each: names as sent, order kept. */
  readonly head: readonly string[];
  readonly status: number;
}

export interface DemoUpstream {
  readonly port: number;
  readonly url: string;
  /** PEM of the CA that vouches for it. */
  readonly caPem: string;
  stop(): void;
}

/** @param key the bearer token that is answered with 200 */
export async function startDemoUpstream(
  key: string,
  onArrival: (arrival: Arrival) => void,
): Promise<DemoUpstream> {
  const { ca } = CertificateAuthority.generate(new Date());
  const leaf = issueLeaf(ca, HOST, "ipv4", generateLeafKey(), Date.now());
  const server = createServer({ key: leaf.keyPem, cert: leaf.certPem }, (request, response) => {
    const known = request.headers.authorization === `Bearer ${key}`;
    const status = known ? 200 : 401;
    const head = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
    for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
      head.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    }
    onArrival({ head, status });
    request.resume();
    response.writeHead(status, { "content-type": "application/json" });
    response.end(known ? '{"message":"Hello, your key is valid."}\n' : '{"error":"This key is unknown."}\n');
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, HOST, () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("the demo API has no port"));
      else resolve(address.port);
    });
  });
  return {
    port,
    url: `https://${HOST}:${port}`,
    caPem: ca.certPem,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
