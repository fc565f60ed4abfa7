// The pool over real connections and a clock of its own: who gets an idle connection back, for how long, and what ends
// it. Expiry is told by the clock's number alone, so nothing here waits for time to pass.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { UpstreamPool } from "../../src/net/upstream-pool.ts";
import { DestinationPolicy } from "../../src/policy/destinations.ts";
import type { Upstream as Pooled, UpstreamTarget } from "../../src/proxy/ports.ts";
import { compileRun, type RunContext } from "../../src/run/run-context.ts";
import type { ProxyError } from "../../src/values/errors.ts";
import { within } from "../support/byte-stream.ts";
import { dialOptions, target } from "../support/net-dials.ts";
import { settle, Witness } from "../support/net-witness.ts";
import { pki } from "../support/pki.ts";
import { closedPort, startUpstream, type Upstream } from "../support/upstream.ts";

const ANY_AGE = Number.POSITIVE_INFINITY;

let now = 1_000;
let pool: UpstreamPool;
let upstream: Upstream;
let to: UpstreamTarget;

function newPool(maxIdle = 10_000): UpstreamPool {
  return new UpstreamPool(dialOptions(), { now: () => now }, maxIdle);
}

beforeEach(() => {
  now = 1_000;
  pool = newPool();
  upstream = startUpstream({ tls: false, halfOpen: true });
  to = target("http", upstream.authority);
});

afterEach(() => {
  pool.destroy();
  upstream.close();
});

function newRun(runId: string | undefined): RunContext {
  const network = { policy: "permissive", allow: [], grants: [] } as const;
  return compileRun({ runId, network, credentials: [] });
}

const RUN = newRun(undefined);

/** A new connection of that run. */
function dial(run: RunContext = RUN, where: UpstreamTarget = to, from: UpstreamPool = pool): Promise<Pooled> {
  const { promise, resolve, reject } = Promise.withResolvers<Pooled>();
  from.dial(run, where, false, { onConnected: resolve, onDialFailed: reject });
  return within(promise, "upstream connection");
}

/** Puts connections into the pool, one after the other. */
async function fill(count: number, keepAliveMs?: number): Promise<Pooled[]> {
  const all: Pooled[] = [];
  for (let at = 0; at < count; at++) all.push(await dial());
  for (const one of all) pool.release(one, keepAliveMs);
  return all;
}

describe("a dial", () => {
  test("gives a connection with its run, target and nature", async () => {
    const one = await dial();
    expect(one).toMatchObject({ target: to, run: RUN, privatePeer: true });
    one.wire.write(Buffer.from("hello"));
    expect((await (await upstream.next()).readBytes(5)).toString()).toBe("hello");
    one.wire.destroy();
  });

  test("that fails says why", async () => {
    const failed: unknown = await dial(RUN, target("http", `localhost:${closedPort()}`)).catch(
      (error) => error,
    );
    expect(failed).toMatchObject({ code: "dial-failed" });
  });

  test("can be cancelled: nobody is called", async () => {
    const called: (Pooled | ProxyError)[] = [];
    const handler = {
      onConnected: (one: Pooled) => called.push(one),
      onDialFailed: (e: ProxyError) => called.push(e),
    };
    pool.dial(RUN, to, false, handler).cancel();
    await settle();
    expect(called).toEqual([]);
  });

  test("with private addresses only refuses others", async () => {
    const { promise, resolve } = Promise.withResolvers<ProxyError>();
    const nobody = { onConnected: () => undefined, onDialFailed: resolve };
    pool.dial(RUN, target("http", "192.0.2.1:80"), true, nobody);
    expect((await promise).code).toBe("cleartext-credential");
  });
});

describe("refusal()", () => {
  test.each([
    ["https", "169.254.169.254:443", "destination"],
    ["http", "[::ffff:127.0.0.1]:80", "destination"],
    ["https", "127.0.0.1:443", "destination"],
    ["https", "192.0.2.1:443", undefined],
    // A name is judged when its addresses are known.
    ["https", "localhost:443", undefined],
  ] as const)("of %s://%s: %p", (scheme, authority, code) => {
    const destinations = new DestinationPolicy({ allowIps: [], ownAddresses: () => [] });
    const strict = new UpstreamPool(dialOptions({ destinations }), { now: () => now }, 10);
    expect(strict.refusal(target(scheme, authority))?.code).toBe(code as never);
  });
});

describe("take()", () => {
  test("finds an older one when the freshest has announced less time", async () => {
    const [older, freshest] = await Promise.all([dial(), dial()]);
    pool.release(older, undefined);
    now += 1_000;
    pool.release(freshest, 5_000);
    now += 4_500;
    expect(pool.take(RUN, to, 5_000)).toBeUndefined();
    expect(pool.take(RUN, to, 6_000)).toBe(older);
    expect(pool.take(RUN, to, ANY_AGE)).toBeUndefined();
    expect(pool.idle).toBe(1);
    pool.sweep(now);
    expect(pool.idle).toBe(0);
  });

  test("gives what was released, the last first, each once", async () => {
    const [first, second, third] = await fill(3);
    expect(pool.take(RUN, to, ANY_AGE)).toBe(third as Pooled);
    expect(pool.take(RUN, to, ANY_AGE)).toBe(second as Pooled);
    pool.release(third as Pooled, undefined);
    expect(pool.take(RUN, to, ANY_AGE)).toBe(third as Pooled);
    expect(pool.take(RUN, to, ANY_AGE)).toBe(first as Pooled);
    expect(pool.take(RUN, to, ANY_AGE)).toBeUndefined();
    for (const one of [first, second, third]) one?.wire.destroy();
  });

  test("gives one that carries bytes both ways", async () => {
    const [one] = await fill(1);
    const again = pool.take(RUN, to, ANY_AGE);
    expect(again).toBe(one as Pooled);
    const seen = new Witness();
    if (again !== undefined) again.wire.handler = seen;
    again?.wire.write(Buffer.from("second"));
    const stream = await upstream.next();
    expect((await stream.readBytes(6)).toString()).toBe("second");
    await stream.write("answer");
    await seen.until("answer", () => seen.text === "answer");
    one?.wire.destroy();
  });

  test("never gives a connection to another run, not even to an equal one", async () => {
    await fill(1);
    expect(pool.take(newRun(undefined), to, ANY_AGE)).toBeUndefined();
    expect(pool.take(newRun("r1"), to, ANY_AGE)).toBeUndefined();
    expect(pool.take(RUN, to, ANY_AGE)).toBeDefined();
  });

  test("never gives a connection to another scheme, host or port", async () => {
    await fill(1);
    const { port } = upstream;
    for (const other of [
      target("https", `localhost:${port}`),
      target("http", `127.0.0.1:${port}`),
      target("http", `localhost:${port === 65535 ? 1 : port + 1}`),
    ]) {
      expect(pool.take(RUN, other, ANY_AGE)).toBeUndefined();
    }
    // Another spelling of the same authority is the same target.
    expect(pool.take(RUN, target("http", `LOCALHOST.:${port}`), ANY_AGE)).toBeDefined();
  });

  test("keeps verified connections apart from plain ones", async () => {
    await using secure = startUpstream({ tls: pki().valid });
    const https = target("https", secure.authority);
    const one = await dial(RUN, https);
    pool.release(one, undefined);
    expect(pool.take(RUN, target("http", secure.authority), ANY_AGE)).toBeUndefined();
    expect(pool.take(RUN, https, ANY_AGE)).toBe(one);
    one.wire.destroy();
  });

  // wire.md section 4: "A request that may not be repeated takes one idle for less than 2 s".
  test.each([
    [1_999, true],
    [2_000, false],
    [2_001, false],
  ])("with at most 2 s of idleness: after %p ms %p", async (idle, given) => {
    await fill(1);
    now += idle;
    expect(pool.take(RUN, to, 2_000) !== undefined).toBe(given);
    // One that may be repeated takes what the other left.
    if (!given) expect(pool.take(RUN, to, ANY_AGE)).toBeDefined();
  });
});

describe("a lifetime", () => {
  // wire.md section 4: "dropped after 50 s idle or its Keep-Alive: timeout minus 1 s".
  test.each([
    ["none announced", undefined, 49_999, true],
    ["none announced", undefined, 50_000, false],
    ["5 s", 5_000, 3_999, true],
    ["5 s", 5_000, 4_000, false],
    ["two minutes, more than ours", 120_000, 49_999, true],
    ["two minutes, more than ours", 120_000, 50_000, false],
  ])("%s (%p ms): after %p ms it is given: %p", async (_, keepAliveMs, idle, given) => {
    await fill(1, keepAliveMs);
    now += idle;
    expect(pool.take(RUN, to, ANY_AGE) !== undefined).toBe(given);
  });

  test.each([0, 999, 1_000])(
    "of at most a second (%p ms) is none: the connection closes",
    async (keepAliveMs) => {
      await fill(1, keepAliveMs);
      expect(pool.take(RUN, to, ANY_AGE)).toBeUndefined();
      expect((await (await upstream.next()).readToEnd()).length).toBe(0);
    },
  );

  test("begins anew with each release", async () => {
    const [one] = await fill(1);
    now += 40_000;
    pool.release(pool.take(RUN, to, ANY_AGE) as Pooled, undefined);
    now += 40_000;
    expect(pool.take(RUN, to, ANY_AGE)).toBe(one as Pooled);
  });
});

describe("sweep()", () => {
  test("closes what has expired and keeps the rest", async () => {
    const [old] = await fill(1);
    now += 30_000;
    const young = await dial();
    pool.release(young, undefined);
    const [oldStream, youngStream] = [await upstream.next(), await upstream.next()];
    pool.sweep(now);
    expect(old?.wire.closed).toBe(false);
    now += 20_000;
    pool.sweep(now);
    expect(old?.wire.closed).toBe(true);
    expect(young.wire.closed).toBe(false);
    await oldStream.whenEnded();
    expect(youngStream.ended).toBe(false);
    expect(pool.take(RUN, to, ANY_AGE)).toBe(young);
    expect(pool.take(RUN, to, ANY_AGE)).toBeUndefined();
  });

  test("takes each run and target by itself", async () => {
    const other = newRun("other");
    const [one] = await fill(1, 5_000);
    const two = await dial(other);
    pool.release(two, undefined);
    now += 10_000;
    pool.sweep(now);
    expect(one?.wire.closed).toBe(true);
    expect(pool.take(other, to, ANY_AGE)).toBe(two);
  });

  test("does not touch what is in use", async () => {
    await fill(1);
    const used = pool.take(RUN, to, ANY_AGE);
    now += 1_000_000;
    pool.sweep(now);
    expect(used?.wire.closed).toBe(false);
    used?.wire.destroy();
  });
});

describe("release()", () => {
  test("resumes a paused wire, so that its end is noticed", async () => {
    const one = await dial();
    const stream = await upstream.next();
    one.wire.pause();
    pool.release(one, undefined);
    stream.end();
    await stream.whenClosed();
    expect(one.wire.closed).toBe(true);
    expect(pool.take(RUN, to, ANY_AGE)).toBeUndefined();
  });

  test("of a connection that is gone keeps nothing", async () => {
    const one = await dial();
    one.wire.destroy();
    pool.release(one, undefined);
    expect(pool.take(RUN, to, ANY_AGE)).toBeUndefined();
  });

  test("of a connection that still owes the upstream bytes closes it", async () => {
    const one = await dial();
    const stream = await upstream.next();
    stream.pause();
    const block = Buffer.alloc(1 << 20);
    let blocks = 0;
    while (one.wire.write(block)) if (++blocks > 64) throw new Error("the peer does not read, yet takes all");
    pool.release(one, undefined);
    expect(one.wire.closed).toBe(true);
    expect(pool.take(RUN, to, ANY_AGE)).toBeUndefined();
    stream.destroy();
  });

  test("keeps at most 256 per run and target", async () => {
    const all = await Promise.all(Array.from({ length: 258 }, () => dial()));
    for (const one of all) pool.release(one, undefined);
    expect(all.filter(({ wire }) => wire.closed)).toEqual(all.slice(256));
    // Another run has room of its own.
    const other = newRun("other");
    const one = await dial(other);
    pool.release(one, undefined);
    expect(pool.take(other, to, ANY_AGE)).toBe(one);
  });

  test("keeps at most as many in all as it was given, and counts what leaves", async () => {
    pool = newPool(2);
    const other = newRun("other");
    const [one, two, three] = [await dial(), await dial(other), await dial()];
    for (const each of [one, two, three]) pool.release(each, undefined);
    expect([one, two, three].map(({ wire }) => wire.closed)).toEqual([false, false, true]);
    // Room is made by a take, by a sweep, and by an upstream that goes away.
    pool.take(other, to, ANY_AGE);
    pool.release(two, 2_000);
    expect(two.wire.closed).toBe(false);
    now += 1_000;
    pool.sweep(now);
    expect(two.wire.closed).toBe(true);
    const four = await dial();
    pool.release(four, undefined);
    expect(four.wire.closed).toBe(false);
    const streams = upstream.connections;
    streams[0]?.end();
    await streams[0]?.whenClosed();
    const five = await dial();
    pool.release(five, undefined);
    expect(five.wire.closed).toBe(false);
  });
});

describe("an idle connection", () => {
  test.each([
    ["says something", "data"],
    ["ends its side", "end"],
    ["goes away", "destroy"],
  ] as const)("that %s is dropped", async (_, what) => {
    const [kept, dropped] = await fill(2);
    const [, stream] = [await upstream.next(), await upstream.next()];
    if (what === "data") void stream.write("HTTP/1.1 408 Request Timeout\r\n\r\n");
    else stream[what]();
    await stream.whenClosed();
    await settle();
    expect(dropped?.wire.closed).toBe(true);
    expect(pool.take(RUN, to, ANY_AGE)).toBe(kept as Pooled);
    expect(pool.take(RUN, to, ANY_AGE)).toBeUndefined();
    kept?.wire.destroy();
  });

  test("over TLS that says something is dropped", async () => {
    await using secure = startUpstream({ tls: pki().valid });
    const https = target("https", secure.authority);
    const one = await dial(RUN, https);
    pool.release(one, undefined);
    const stream = await secure.next();
    void stream.write("unasked");
    await stream.whenClosed();
    expect(one.wire.closed).toBe(true);
    expect(pool.take(RUN, https, ANY_AGE)).toBeUndefined();
  });

  test("in use again belongs to its user: the pool hears nothing of it", async () => {
    await fill(1);
    const used = pool.take(RUN, to, ANY_AGE) as Pooled;
    const seen = new Witness();
    used.wire.handler = seen;
    const stream = await upstream.next();
    await stream.write("answer");
    await seen.until("answer", () => seen.text === "answer");
    stream.end();
    await seen.untilEvent("end");
    expect(used.wire.closed).toBe(false);
    used.wire.destroy();
  });
});

test("destroy() ends every idle connection of every run, and none in use", async () => {
  const other = newRun("other");
  const idle = [await dial(), await dial(other)];
  const used = await dial();
  for (const one of idle) pool.release(one, undefined);
  pool.destroy();
  expect(idle.map(({ wire }) => wire.closed)).toEqual([true, true]);
  expect(used.wire.closed).toBe(false);
  expect(pool.take(RUN, to, ANY_AGE)).toBeUndefined();
  used.wire.destroy();
  for (const connection of upstream.connections) await connection.whenClosed();
});
