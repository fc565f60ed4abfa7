// The demo's client: one request through the proxy over a raw socket, so that what was sent is known to the byte.
// It trusts the proxy's CA and nothing else. For the demo only. RFC 9110 section 9.3.6 (CONNECT).

import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** More than any answer of this demo; a stuck one must not hang it. */
const TIMEOUT_MS = 10_000;
const HEAD_END = "\r\n\r\n";

export interface DemoRequest {
  readonly proxyHost: string;
  readonly proxyPort: number;
  readonly host: string;
  readonly port: number;
  /** PEM of the proxy's CA. */
  readonly caPem: string;
  /** Lines of the request head; the last request on its connection. */
  readonly head: readonly string[];
}

/** Sends the request and returns all bytes of the answer as latin1. Rejects when a certificate does not verify. */
export async function sendThroughProxy(request: DemoRequest): Promise<string> {
  const socket = connect(request.proxyPort, request.proxyHost);
  const deadline = setTimeout(() => socket.destroy(new Error("no answer in time")), TIMEOUT_MS);
  try {
    await openTunnel(socket, `${request.host}:${request.port}`);
    return await exchange(socket, request);
  } finally {
    clearTimeout(deadline);
    socket.destroy();
  }
}

function openTunnel(socket: Socket, authority: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const onData = (bytes: Buffer): void => {
      answer += bytes.toString("latin1");
      if (!answer.includes(HEAD_END)) return;
      socket.off("data", onData);
      if (answer.startsWith("HTTP/1.1 200 ")) resolve();
      else reject(new Error(`the proxy refused the tunnel: ${answer.split("\r\n", 1)[0]}`));
    };
    socket.on("data", onData);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the proxy closed the connection")));
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}${HEAD_END}`);
  });
}

function exchange(socket: Socket, request: DemoRequest): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const tls = connectTls({ socket, host: request.host, ca: request.caPem, rejectUnauthorized: true });
    tls.once("secureConnect", () => tls.write(request.head.join("\r\n") + HEAD_END));
    tls.on("data", (bytes: Buffer) => {
      answer += bytes.toString("latin1");
    });
    tls.once("error", reject);
    tls.once("close", () => {
      if (answer === "") reject(new Error("the connection closed without an answer"));
      else resolve(answer);
    });
  });
}
