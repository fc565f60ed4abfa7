// The limits of a dial: its time, the number of attempts under way, and that giving it up calls nobody and leaves no
// socket behind.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { connect } from "../support/client.ts";
import { hasBlackHole, type Resolver, startBlackHole, takeResolver } from "../support/net-addresses.ts";
import {
  DialWitness,
  dialOptions,
  dialPlain,
  dialTls,
  only,
  target,
  untilAllClosed,
} from "../support/net-dials.ts";
import { settle } from "../support/net-witness.ts";
import { NO_ERRNO } from "../support/secrets.ts";
import { closedPort, startUpstream } from "../support/upstream.ts";

let resolver: Resolver;
beforeAll(() => {
  resolver = takeResolver();
});
afterAll(() => resolver[Symbol.dispose]());

/** Waits until the time of another dial has run out, which began later: one with that time would have ended before. */
async function timePasses(dialMs: number): Promise<void> {
  await dialPlain(`${resolver.waiting().name}:80`, { dialMs }).error();
}

describe("time", () => {
  test("a TLS server that never answers: dial-failed after the handshake's time, and let go of", async () => {
    await using silent = startUpstream({ tls: false });
    const dialled = dialTls(silent.authority, { tlsMs: 60 });
    const error = await dialled.error();
    expect(error.code).toBe("dial-failed");
    expect(error.message).not.toMatch(NO_ERRNO);
    await untilAllClosed(silent);
    await settle();
    expect(dialled.results).toHaveLength(1);
  });

  test("a resolver that never answers: dial-failed after the dial's time; its late answer moves nobody", async () => {
    await using upstream = startUpstream({ tls: false });
    const { name, answer } = resolver.waiting();
    const dialled = dialPlain(`${name}:${upstream.port}`, { dialMs: 60 });
    expect((await dialled.error()).code).toBe("dial-failed");
    answer("127.0.0.1");
    await settle();
    expect(upstream.connections).toHaveLength(0);
    expect(dialled.results).toHaveLength(1);
  });

  test.skipIf(!hasBlackHole)(
    "an address that does not answer: dial-failed after the dial's time",
    async () => {
      await using hole = await startBlackHole("127.0.0.5");
      for (const dial of [dialPlain, dialTls]) {
        const dialled = dial(`127.0.0.5:${hole.port}`, { dialMs: 60 });
        const error = await dialled.error();
        expect(error.code).toBe("dial-failed");
        expect(error.message).not.toMatch(NO_ERRNO);
        await settle();
        expect(dialled.results).toHaveLength(1);
      }
    },
  );

  // wire.md section 14: "Upstream dial 10 s": a name with many dead addresses must not stretch it.
  test.skipIf(!hasBlackHole)("many addresses that do not answer share the dial's time", async () => {
    await using hole = await startBlackHole("0.0.0.0");
    const name = resolver.name("127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8");
    const begin = performance.now();
    const error = await dialPlain(`${name}:${hole.port}`, { dialMs: 300 }).error();
    expect(error.code).toBe("dial-failed");
    expect(performance.now() - begin).toBeLessThan(550);
  });

  // wire.md section 14: "Upstream dial 10 s, TLS 10 s", one after the other.
  test("the dial's time ends with the connection: a handshake may take its own", async () => {
    const { promise: asked, resolve: answer } = Promise.withResolvers<void>();
    await using upstream = startUpstream();
    await using slow = startUpstream({
      tls: false,
      serve(stream) {
        void (async () => {
          const onward = await connect("127.0.0.1", upstream.port);
          await asked;
          onward.sink = (bytes) => void stream.write(bytes);
          stream.sink = (bytes) => void onward.write(bytes);
          void onward.write(stream.takeUnread());
        })();
      },
    });
    const dialled = dialTls(slow.authority, { dialMs: 60, tlsMs: 3_000 });
    await timePasses(60);
    answer();
    const result = await dialled.outcome();
    expect("wire" in result).toBe(true);
    if ("wire" in result) result.wire.destroy();
  });

  test.each(["127.0.0.1", "127.0.0.9"])(
    "nothing is called before the dial has returned: %s",
    async (host) => {
      const dialled = dialPlain(`${host}:${closedPort()}`, only("127.0.0.1"));
      expect(dialled.results).toHaveLength(0);
      await dialled.error();
    },
  );
});

/** Open sockets of this process; undefined where that cannot be told. */
function openSockets(): number | undefined {
  if (!existsSync("/proc/self/fd")) return undefined;
  let count = 0;
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:")) count++;
    } catch {
      // Closed since the directory was read: the descriptor of the directory itself.
    }
  }
  return count;
}

/** What is left once sockets of earlier tests are gone. */
async function settledSockets(): Promise<number | undefined> {
  let count = openSockets();
  for (let before: number | undefined = -1; before !== count; ) {
    before = count;
    await settle();
    count = openSockets();
  }
  return count;
}

describe("cancel()", () => {
  test("while the name is resolved: nothing is called, nobody is dialled", async () => {
    await using upstream = startUpstream({ tls: false });
    const { name, answer } = resolver.waiting();
    const dialled = dialPlain(`${name}:${upstream.port}`, { dialMs: 30 });
    dialled.dial.cancel();
    answer("127.0.0.1");
    await timePasses(30);
    await settle();
    expect(upstream.connections).toHaveLength(0);
    expect(dialled.results).toEqual([]);
  });

  test.each(["http", "https"] as const)(
    "while connecting (%s): the connection is closed unused",
    async (scheme) => {
      await using upstream = startUpstream(scheme === "http" ? { tls: false } : {});
      const dialled = new DialWitness(target(scheme, `127.0.0.1:${upstream.port}`), dialOptions());
      // The literal is dialled in a microtask of its own; the connection opens in a later turn.
      await Promise.resolve();
      await Promise.resolve();
      dialled.dial.cancel();
      await settle();
      await untilAllClosed(upstream);
      expect(dialled.results).toEqual([]);
      expect(upstream.text).toBe("");
    },
  );

  test("within the handshake: the connection is closed, nothing is called", async () => {
    await using silent = startUpstream({ tls: false });
    const dialled = dialTls(silent.authority, { tlsMs: 30 });
    const stream = await silent.next();
    await stream.untilReadable();
    dialled.dial.cancel();
    await stream.whenClosed();
    await timePasses(30);
    await settle();
    expect(dialled.results).toEqual([]);
  });

  test("twice, or after the outcome: no effect", async () => {
    await using upstream = startUpstream();
    const dialled = dialTls(upstream.authority);
    const wire = await dialled.wire();
    dialled.dial.cancel();
    dialled.dial.cancel();
    wire.write(Buffer.from("still there"));
    expect((await (await upstream.next()).readBytes(11)).toString()).toBe("still there");
    wire.destroy();
  });

  test("leaves no socket behind, at whatever stage it comes", async () => {
    await using upstream = startUpstream();
    await using silent = startUpstream({ tls: false });
    const before = await settledSockets();
    for (let round = 0; round < 60; round++) {
      const authority = round % 2 === 0 ? upstream.authority : silent.authority;
      const dialled = dialTls(round % 3 === 0 ? authority : authority.replace("localhost", "127.0.0.1"));
      // From not at all to well within the handshake.
      for (let turn = 0; turn < round % 10; turn++) await new Promise((resolve) => setImmediate(resolve));
      dialled.dial.cancel();
      if (dialled.results[0] !== undefined && "wire" in dialled.results[0]) dialled.results[0].wire.destroy();
    }
    await settle();
    for (const server of [upstream, silent]) await untilAllClosed(server);
    await settle();
    // Sockets of earlier tests may still have gone meanwhile; a leak would show sixty times.
    expect((await settledSockets()) ?? 0).toBeLessThanOrEqual(before ?? 0);
  });

  // A connection attempt that the kernel goes on with cannot be called off; it must not be kept when it succeeds.
  test.skipIf(!hasBlackHole)(
    "of an address that does not answer: the attempt ends with the listener",
    async () => {
      const before = await settledSockets();
      const hole = await startBlackHole("127.0.0.5");
      const dialled = dialPlain(`127.0.0.5:${hole.port}`);
      await settle();
      dialled.dial.cancel();
      await hole[Symbol.asyncDispose]();
      await settle();
      expect(dialled.results).toEqual([]);
      // The kernel asks again after a second, and is told that nobody listens.
      while ((openSockets() ?? 0) > (before ?? 0)) await settle();
    },
  );
});

describe("connection attempts under way", () => {
  test("are counted while they last, whatever becomes of them", async () => {
    await using upstream = startUpstream();
    const attempts = { pending: 0, max: 10 };
    const wire = await dialTls(upstream.authority, { attempts }).wire();
    await dialTls(`127.0.0.1:${closedPort()}`, { attempts }).error();
    const cancelled = dialTls(upstream.authority, { attempts });
    await Promise.resolve();
    cancelled.dial.cancel();
    await settle();
    expect(attempts).toEqual({ pending: 0, max: 10 });
    wire.destroy();
  });

  test("beyond their bound are not begun: dial-failed, and nobody is dialled", async () => {
    await using upstream = startUpstream({ tls: false });
    const attempts = { pending: 10, max: 10 };
    const dialled = dialPlain(`${resolver.name("127.0.0.1", "127.0.0.2")}:${upstream.port}`, { attempts });
    expect((await dialled.error()).code).toBe("dial-failed");
    await settle();
    expect(dialled.results).toHaveLength(1);
    expect(upstream.connections).toHaveLength(0);
    expect(attempts.pending).toBe(10);
  });
});
