// The load generator, a process of its own: N keep-alive connections, closed loop, one small GET after the other, each
// answer checked to the byte. Through a CONNECT tunnel, or straight to a TLS server. Prints one JSON line.
// Loopback only: it takes a port, never a host.

import { readFileSync } from "node:fs";
import { connect as dial, type Socket } from "node:net";
import { connect as secure } from "node:tls";

interface Plan {
  /** Port of the proxy, or 0 to go straight to the target. */
  readonly proxyPort: number;
  readonly targetPort: number;
  readonly connections: number;
  readonly requests: number;
  /** PEM file: who vouches for the certificate we will see. */
  readonly caFile: string;
  /** Exactly what the body must be. */
  readonly body: string;
}

const plan = JSON.parse(Bun.argv[2] ?? "{}") as Plan;
const request = Buffer.from(
  `GET /small HTTP/1.1\r\nHost: localhost:${plan.targetPort}\r\nUser-Agent: bench\r\nAccept: */*\r\n` +
    "Authorization: Bearer placeholder\r\n\r\n",
);
const ca = readFileSync(plan.caFile, "utf8");
let left = plan.requests;
let wrong = 0;

async function openSocket(): Promise<Socket> {
  if (plan.proxyPort === 0) return dial(plan.targetPort, "127.0.0.1");
  const socket = dial(plan.proxyPort, "127.0.0.1");
  socket.write(`CONNECT localhost:${plan.targetPort} HTTP/1.1\r\nHost: localhost:${plan.targetPort}\r\n\r\n`);
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("data", (bytes) =>
      bytes.toString("latin1").startsWith("HTTP/1.1 200 ")
        ? resolve()
        : reject(new Error(bytes.toString("latin1"))),
    );
  });
  return socket;
}

async function client(): Promise<void> {
  const socket = await openSocket();
  const tls = secure({ socket, servername: "localhost", ca });
  await new Promise<void>((resolve, reject) => tls.once("secureConnect", resolve).once("error", reject));
  await new Promise<void>((resolve, reject) => {
    let answer = "";
    const next = (): void => {
      if (left-- <= 0) {
        tls.destroy();
        resolve();
        return;
      }
      answer = "";
      tls.write(request);
    };
    tls.on("error", reject);
    tls.on("data", (bytes: Buffer) => {
      answer += bytes.toString("latin1");
      const end = answer.indexOf("\r\n\r\n");
      if (end < 0 || answer.length < end + 4 + plan.body.length) return;
      if (!answer.startsWith("HTTP/1.1 200 ") || answer.slice(end + 4) !== plan.body) wrong++;
      next();
    });
    next();
  });
}

const start = performance.now();
const cpu = process.cpuUsage();
await Promise.all(Array.from({ length: plan.connections }, client));
const used = process.cpuUsage(cpu);
console.log(
  JSON.stringify({
    requests: plan.requests,
    wrong,
    seconds: (performance.now() - start) / 1000,
    generatorCpuSeconds: (used.user + used.system) / 1e6,
  }),
);
