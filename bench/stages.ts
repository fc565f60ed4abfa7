// Where the time of a small GET goes inside the program: the real session over wires in memory, and its larger parts each
// by themselves. No sockets, no TLS, no kernel: what those add is the difference to the scenario get-32.
// `npm run bench:stages` prints CPU µs of each; docs/performance.md explains them.

import { connectionOptions, forwardResponse } from "../src/http1/forwarding.ts";
import type { RequestHead, ResponseHead } from "../src/http1/head.ts";
import { RequestHeadReader, ResponseHeadReader } from "../src/http1/message-reader.ts";
import { responseHead } from "../src/http1/write-head.ts";
import { createLogger } from "../src/log/logger.ts";
import { createRequestIds } from "../src/log/request-id.ts";
import { createRequestLog } from "../src/log/request-log.ts";
import { Metrics } from "../src/metrics/metrics.ts";
import { ClientSession } from "../src/proxy/client-session.ts";
import type { Decision } from "../src/proxy/decision.ts";
import { decide } from "../src/proxy/dispatch.ts";
import { opening } from "../src/proxy/exchange/request-side.ts";
import type { RecordSink, Upstream } from "../src/proxy/ports.ts";
import { readRequest } from "../src/proxy/read-request.ts";
import type { RequestRecord } from "../src/proxy/record.ts";
import { Recorder } from "../src/proxy/recorder.ts";
import { upstreamTarget } from "../src/proxy/route.ts";
import type { Peer, SessionDeps } from "../src/proxy/session-deps.ts";
import { DefaultRun } from "../src/run/default-run.ts";
import { compileRun } from "../src/run/run-context.ts";
import { parseAuthority } from "../src/values/authority.ts";
import { Secret } from "../src/values/secret.ts";
import { MemoryWire } from "./memory-wire.ts";
import { median } from "./report/statistics.ts";
import { SMALL_BODY } from "./upstreams.ts";

const ROUNDS = 7;
const WARM_UP = 100_000;
const ITERATIONS = 200_000;
/** As many as the scenario has clients. */
const SESSIONS = 32;

const REQUEST = Buffer.from(
  "GET /small HTTP/1.1\r\nHost: localhost:8443\r\nAccept: */*\r\nAuthorization: Bearer placeholder\r\n\r\n",
);
/** What nginx answers. */
const RESPONSE = Buffer.from(
  `HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Thu, 26 Nov 2026 14:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: ${SMALL_BODY.length}\r\nLast-Modified: Thu, 26 Nov 2026 14:00:00 GMT\r\nConnection: keep-alive\r\nETag: "6925aa00-6b"\r\nAccept-Ranges: bytes\r\n\r\n${SMALL_BODY}`,
);

const secret = new Secret("Bearer the-real-token-0123456789abcdef");
const target = upstreamTarget("https", parseAuthority("localhost:8443"));
const run = compileRun({
  runId: undefined,
  network: { policy: "permissive", allow: [], grants: [] },
  credentials: [
    {
      host: "localhost:8443",
      header: "Authorization",
      format: "",
      grant: "bench",
      allowCleartext: false,
      slot: { current: () => secret, refresh: () => Promise.resolve(secret) },
    },
  ],
});
const peer: Peer = { clientIp: "127.0.0.1", token: undefined, user: undefined };
const upstreamWire = new MemoryWire();
const upstream: Upstream = { wire: upstreamWire, target, run, privatePeer: true };
const records = recordSink();
const deps: SessionDeps = {
  runs: new DefaultRun(run, undefined),
  upstreams: {
    take: () => upstream,
    dial: () => {
      throw new Error("there is a connection");
    },
    release: () => undefined,
    refusal: () => undefined,
  },
  interceptor: undefined,
  records,
  ids: createRequestIds(),
  clock: { now: () => performance.now() },
  detail: { captureHeaders: [], query: false },
  limits: { headMs: 60_000, handshakeMs: 10_000, idleMs: 120_000, responseHeaderMs: 900_000 },
  // Nothing in a tunnel is for the proxy itself.
  local: {} as never,
  plainPorts: new Set(),
  live: new Set(),
  lifecycle: { draining: false, tunnels: 0 },
};

/** Counted and written as JSON, in batches, to an output that takes everything. */
function recordSink(): RecordSink {
  const log = createRequestLog(
    createLogger({ level: "info", format: "json", output: ({ length }) => length }),
  );
  // Nobody scrapes it.
  const metrics = new Metrics({ version: "0", grants: ["bench"], gauges: {} as never });
  return {
    write(record) {
      metrics.observe(record);
      log.write(record);
    },
  };
}

function session(): ClientSession {
  const tunnel = { target, owner: { onInnerClosed: () => undefined } };
  const made = new ClientSession(deps, new MemoryWire(), { ...peer }, tunnel);
  made.onSecured();
  return made;
}

const sessions = Array.from({ length: SESSIONS }, session);
const requests = new RequestHeadReader();
const responses = new ResponseHeadReader();
const recorder = new Recorder(deps);
const sink = { onDecided: () => undefined };

function readRequestHead(): RequestHead {
  requests.read(REQUEST);
  return requests.take() as RequestHead; // the bytes are a whole head
}

function readResponseHead(): ResponseHead {
  responses.read(RESPONSE);
  return responses.take() as ResponseHead; // the same
}

function decideOn(head: RequestHead): Extract<Decision, { kind: "exchange" }> {
  const current = readRequest(head, peer, target, recorder);
  recorder.drop();
  return decide(current, peer, target, deps, sink) as Extract<Decision, { kind: "exchange" }>; // nothing to wait for
}

const head = readRequestHead();
const answer = readResponseHead();
const { request } = decideOn(head);
const record: RequestRecord = { ...request.record, status: 200, durationMs: 1.234, responseSize: 107 };
let turn = 0;

/** Each with the stages that it contains only to have something to work on. */
const STAGES: readonly { name: string; work: () => unknown; without?: () => unknown }[] = [
  { name: "request head read", work: readRequestHead },
  { name: "decided: run, policy, destination, credentials", work: () => decideOn(head) },
  {
    name: "request written: stripped, injected, latin1 text",
    work: () => opening({ ...request, head: { ...head, headers: head.headers.clone() } }, undefined),
    without: () => ({ ...request, head: { ...head, headers: head.headers.clone() } }),
  },
  { name: "response head read", work: readResponseHead },
  {
    name: "response written: stripped, latin1 text",
    work: () => {
      const headers = answer.headers.clone();
      forwardResponse(headers, connectionOptions(headers, "bad-response"), false, "default");
      return responseHead(answer.status, answer.reason, headers);
    },
    without: () => answer.headers.clone(),
  },
  { name: "record: JSON line, metrics, batch", work: () => records.write(record) },
  {
    name: "all of it: a session over memory",
    work: () => {
      // As from a socket: buffers of their own, in turn for each connection.
      sessions[turn++ % SESSIONS]?.onData(Buffer.from(REQUEST));
      upstreamWire.handler.onData(Buffer.from(RESPONSE));
    },
  },
];

function cost(work: () => unknown): number {
  const before = process.cpuUsage();
  for (let i = 0; i < ITERATIONS; i++) work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / ITERATIONS;
}

for (const { work, without } of STAGES) {
  for (let i = 0; i < WARM_UP; i++) work();
  for (let i = 0; i < WARM_UP; i++) without?.();
}
const costs = STAGES.map(() => [] as number[]);
for (let round = 0; round < ROUNDS; round++) {
  for (const [i, { work, without }] of STAGES.entries()) {
    costs[i]?.push(cost(work) - (without === undefined ? 0 : cost(without)));
  }
}
console.log("| stage | CPU µs |\n|---|---|");
for (const [i, { name }] of STAGES.entries()) {
  console.log(`| ${name} | ${median(costs[i] ?? []).toFixed(2)} |`);
}
