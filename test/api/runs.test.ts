// Runs by token, end to end: what the resolver answers for each request, isolation under load, and revocation of what is
// open. wire.md sections 4 and 6.

import { describe, expect, test } from "bun:test";
import type { ContextResolver, RunContextData } from "../../src/index.ts";
import { type ByteStream, within } from "../support/byte-stream.ts";
import { connectHead, connectProxy, get, message, openTunnel } from "../support/client.ts";
import { type Embedded, embed, getOnce, showing, tunnelTo } from "../support/embedded.ts";
import { exchange, type Response, readHead, readResponse, value, values } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { OTHER_SECRET, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";
import { binaryFrame, readMessage, startEcho, WEBSOCKET_FIELDS } from "../support/websocket.ts";

/** wire.md section 4: within 2 s; and a little for a machine that is busy. */
const REVOKED_WITHIN_MS = 3_000;

function runWith(runID: string, secret: string): RunContextData {
  return { runID, credentials: { localhost: { name: "X-Api-Key", value: secret } } };
}

/** A table of tokens that a test changes. */
function tokens(entries: Readonly<Record<string, RunContextData>>): Map<string, RunContextData> {
  return new Map(Object.entries(entries));
}

function blocked(answer: Response): unknown {
  return [answer.status, value(answer, "x-moat-blocked")];
}

describe("ContextResolver", () => {
  const answers: readonly (readonly [string, ContextResolver, number | "run"])[] = [
    ["a value", () => runWith("r", SECRET), "run"],
    ["a promise", async () => runWith("r", SECRET), "run"],
    ["undefined", () => undefined, 407],
    ["null", () => null, 407],
    ["a promise of undefined", async () => undefined, 407],
    [
      "an exception",
      () => {
        throw new Error("resolver broke");
      },
      503,
    ],
    ["a rejection", () => Promise.reject(new Error("resolver broke")), 503],
    ["a text", (() => "r") as unknown as ContextResolver, 503],
    ["an object without runID", (() => ({})) as unknown as ContextResolver, 503],
    ["a policy that is none", (() => ({ runID: "r", policy: "Strict" })) as unknown as ContextResolver, 503],
    [
      "a policy under another name",
      (() => ({ runID: "r", Policy: "strict" })) as unknown as ContextResolver,
      503,
    ],
    ["an unknown grant", () => ({ runID: "r", grants: ["nope"] }), 503],
    ["a bad value", () => runWith("r", `${SECRET}\n`), 503],
  ];

  test.each(answers)("that answers with %s", async (_what, resolver, expected) => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using embedded = await embed((proxy) => {
      proxy.setCredential("localhost", `Bearer ${OTHER_SECRET}`);
      proxy.setContextResolver(resolver);
    });
    if (expected === "run") {
      await getOnce(embedded, upstream, [], "token");
      expect(values(upstream.requests[0] ?? { fields: [] }, "x-api-key")).toEqual([SECRET]);
      expect(values(upstream.requests[0] ?? { fields: [] }, "authorization")).toEqual([]);
      return;
    }
    const { stream, reply } = await openTunnel(embedded, upstream.authority, { fields: showing("token") });
    expect(reply.status).toBe(expected);
    expect(reply.body.toString()).not.toContain("resolver broke");
    // The connection stays usable, and nothing has reached the upstream.
    expect((await exchange(stream, connectHead("localhost:bad", showing("token")))).status).toBe(expected);
    expect(upstream.connections).toEqual([]);
    await embedded.untilLogged(2);
    expect(embedded.logged[0]?.runID).toBe("");
    expect(JSON.stringify(embedded.logged.map(({ err }) => err?.message))).not.toContain(SECRET);
    stream.destroy();
  });

  test("that breaks inside an open tunnel: 503, and the tunnel goes on when it works again", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const run = runWith("r", SECRET);
    let broken = false;
    await using embedded = await embed((proxy) =>
      proxy.setContextResolver(async () => {
        if (broken) throw new Error("resolver broke");
        return run;
      }),
    );
    const tunnel = await tunnelTo(embedded, upstream, "token");
    const statuses: number[] = [];
    for (const state of [false, true, false]) {
      broken = state;
      statuses.push((await exchange(tunnel, get("/", upstream.authority))).status);
    }
    expect(statuses).toEqual([200, 503, 200]);
    expect(upstream.requests).toHaveLength(2);
    tunnel.destroy();
  });

  test("is asked for every request, and a changed run counts from the next one on", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const table = tokens({ one: runWith("r", SECRET) });
    await using embedded = await embed((proxy) => proxy.setContextResolver((token) => table.get(token)));
    const tunnel = await tunnelTo(embedded, upstream, "one");
    await exchange(tunnel, get("/", upstream.authority));
    table.set("one", runWith("r", OTHER_SECRET));
    await exchange(tunnel, get("/", upstream.authority));
    table.set("one", { runID: "r", policy: "strict" });
    expect(blocked(await exchange(tunnel, get("/", upstream.authority)))).toEqual([403, "request-rule"]);
    expect(upstream.requests.map((request) => value(request, "x-api-key"))).toEqual([SECRET, OTHER_SECRET]);
    expect(upstream.connections).toHaveLength(2);
    tunnel.destroy();
  });
});

/** `count` requests of one run over tunnels that are kept alive; each value that its upstream saw. */
async function many(
  embedded: Embedded,
  authority: string,
  token: string,
  tunnels: readonly ByteStream[],
  count: number,
): Promise<string[]> {
  const seen: string[] = [];
  let left = count;
  await Promise.all(
    tunnels.map(async (tunnel) => {
      while (left-- > 0) {
        const answer = await exchange(tunnel, get(`/${token}`, authority));
        seen.push(answer.body.toString());
      }
    }),
  );
  expect(embedded.port).toBeGreaterThan(0);
  return seen;
}

describe("isolation", () => {
  test("two runs, one host, 200 requests each at once: no crossed credential, no shared upstream connection", async () => {
    const byConnection = new Map<ByteStream, Set<string>>();
    await using upstream = startUpstream({
      reply: (request, stream) => {
        const key = value(request, "x-api-key") ?? "none";
        const seen = byConnection.get(stream) ?? new Set();
        byConnection.set(stream, seen.add(key));
        // The path says whose request it was.
        return ok(`${request.target} ${key}`);
      },
    });
    const runs = { one: runWith("run-one", SECRET), two: runWith("run-two", OTHER_SECRET) };
    const table = tokens(runs);
    let asked = 0;
    await using embedded = await embed((proxy) =>
      proxy.setContextResolver((token) =>
        asked++ % 2 === 0 ? table.get(token) : Promise.resolve(table.get(token)),
      ),
    );
    const LANES = 200;
    const open = (token: string) =>
      Promise.all(Array.from({ length: LANES }, () => tunnelTo(embedded, upstream, token)));
    const [ones, twos] = await Promise.all([open("one"), open("two")]);
    for (let round = 0; round < 2; round++) {
      const [first, second] = await Promise.all([
        many(embedded, upstream.authority, "one", ones, LANES),
        many(embedded, upstream.authority, "two", twos, LANES),
      ]);
      expect(first).toEqual(Array(LANES).fill(`/one ${SECRET}`));
      expect(second).toEqual(Array(LANES).fill(`/two ${OTHER_SECRET}`));
    }
    expect([...byConnection.values()].filter((keys) => keys.size !== 1)).toEqual([]);
    // Connections were kept and used again, so that sharing would have been possible.
    expect(byConnection.size).toBeLessThan(4 * LANES);
    for (const tunnel of [...ones, ...twos]) tunnel.destroy();
  });

  test("two tokens whose runs say the same do not share a connection, unless they are the same object", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const same = runWith("r", SECRET);
    const table = tokens({ one: same, two: runWith("r", SECRET), three: same });
    await using embedded = await embed((proxy) => proxy.setContextResolver((token) => table.get(token)));
    for (const token of ["one", "two", "three"]) {
      const client = await connectProxy(embedded);
      const tunnel = await tunnelTo(embedded, upstream, token);
      await exchange(tunnel, get("/", upstream.authority));
      tunnel.destroy();
      client.destroy();
    }
    expect(upstream.connections).toHaveLength(2);
  });

  test("nothing of the proxy's own settings reaches a run but the store and the AWS handler", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using embedded = await embed((proxy) => {
      proxy.setCredential("localhost", `Bearer ${SECRET}`);
      proxy.addExtraHeader("localhost", "X-Extra", "1");
      proxy.removeRequestHeader("localhost", "X-Own");
      proxy.setTokenSubstitution("localhost", "placeholder", SECRET);
      proxy.addResponseTransformer("localhost", () => new Response("transformed"));
      proxy.setNetworkPolicy("strict");
      proxy.setContextResolver(() => ({ runID: "r" }));
    });
    const answer = await getOnce(embedded, upstream, ["X-Own: placeholder"], "any");
    expect(answer.body.toString()).toBe("ok");
    const [request] = upstream.requests;
    expect(request?.fields.map(([name]) => name)).toEqual(["Host", "X-Own", "X-Request-Id"]);
    expect(value(request ?? { fields: [] }, "x-own")).toBe("placeholder");
  });
});

describe("a revoked run", () => {
  test("the next request in its open tunnel is 403 run, then the tunnel closes", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const table = tokens({ one: runWith("r", SECRET) });
    await using embedded = await embed((proxy) => proxy.setContextResolver((token) => table.get(token)));
    const tunnel = await tunnelTo(embedded, upstream, "one");
    await exchange(tunnel, get("/", upstream.authority));
    table.delete("one");
    expect(blocked(await exchange(tunnel, get("/", upstream.authority)))).toEqual([403, "run"]);
    await tunnel.whenEnded();
    expect(upstream.requests).toHaveLength(1);
    tunnel.destroy();
  });

  test.each([["at once"], ["later"]])(
    "its event stream ends within 2 s; the resolver answers %s",
    async (when) => {
      await using upstream = startUpstream();
      const table = tokens({ one: runWith("r", SECRET), two: runWith("s", SECRET) });
      await using embedded = await embed((proxy) =>
        proxy.setContextResolver((token) =>
          when === "later" ? Promise.resolve(table.get(token)) : table.get(token),
        ),
      );
      const streams = await Promise.all(
        ["one", "two"].map(async (token) => {
          const tunnel = await tunnelTo(embedded, upstream, token);
          await tunnel.write(get("/events", upstream.authority));
          const source = await upstream.next();
          await source.readUntil("\r\n\r\n");
          await source.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
          await tunnel.readUntil("data: 1\n\n");
          return { tunnel, source };
        }),
      );
      table.delete("one");
      const [revoked, other] = streams;
      await revoked?.tunnel.whenClosed(REVOKED_WITHIN_MS);
      await revoked?.source.whenClosed();
      await other?.source.write("data: 2\n\n");
      await other?.tunnel.readUntil("data: 2\n\n");
      for (const { tunnel } of streams) tunnel.destroy();
    },
  );

  test("its WebSocket ends within 2 s", async () => {
    const echo = startEcho(pki().valid);
    const table = tokens({ one: runWith("r", SECRET) });
    await using embedded = await embed((proxy) =>
      proxy.setContextResolver(async (token) => table.get(token)),
    );
    const authority = `localhost:${echo.port}`;
    const tunnel = await tunnelTo(embedded, { authority } as Parameters<typeof tunnelTo>[1], "one");
    void tunnel.write(message("GET /socket HTTP/1.1", [`Host: ${authority}`, ...WEBSOCKET_FIELDS]));
    expect((await readHead(tunnel)).startLine).toContain("101");
    void tunnel.write(binaryFrame(Buffer.from("hello")));
    expect((await readMessage(tunnel)).toString()).toBe("hello");
    expect(echo.headers[0]?.get("x-api-key")).toBe(SECRET);
    table.delete("one");
    await tunnel.whenClosed(REVOKED_WITHIN_MS);
    echo.stop();
  });

  test("a resolver that breaks while a stream runs ends neither the stream nor the process", async () => {
    await using upstream = startUpstream();
    const run = runWith("r", SECRET);
    let asked = 0;
    const askedInVain = Promise.withResolvers<void>();
    await using embedded = await embed((proxy) =>
      proxy.setContextResolver(() => {
        if (++asked <= 2) return run;
        askedInVain.resolve();
        throw new Error("resolver broke");
      }),
    );
    const tunnel = await tunnelTo(embedded, upstream, "one");
    await tunnel.write(get("/events", upstream.authority));
    const source = await upstream.next();
    await source.readUntil("\r\n\r\n");
    await source.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    await within(askedInVain.promise, "look-up by the sweep");
    await source.write("def");
    expect((await readResponse(tunnel)).body.toString()).toBe("abcdef");
    tunnel.destroy();
  });
});
