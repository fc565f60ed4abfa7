// Dialling for real on loopback: which upstreams are reached, which are refused and with what words. How long it may
// take and what giving up leaves behind is in dial-limits.test.ts.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { DestinationPolicy } from "../../src/policy/destinations.ts";
import { LeafCache } from "../../src/x509/leaf-cache.ts";
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
import { interceptionCa } from "../support/net-wires.ts";
import { settle, Witness } from "../support/net-witness.ts";
import { pki } from "../support/pki.ts";
import { runProgram } from "../support/programs.ts";
import { NO_ERRNO } from "../support/secrets.ts";
import { closedPort, startUpstream } from "../support/upstream.ts";

let resolver: Resolver;
beforeAll(() => {
  resolver = takeResolver();
});
afterAll(() => resolver[Symbol.dispose]());

/** A TLS server at that very address and port, which is known by that name to who trusts the interception CA. */
function namedServer(hostname: string, port: number, name: string): Disposable {
  const leaf = new LeafCache({ ca: interceptionCa(), now: Date.now }).get(name, "name");
  const server = Bun.listen({
    hostname,
    port,
    tls: { cert: leaf.certPem, key: leaf.keyPem },
    socket: { data() {} },
  });
  return { [Symbol.dispose]: () => server.stop(true) };
}

const TRUSTED = { roots: interceptionCa().certPem };

describe("an upstream over TLS", () => {
  test.each([
    ["a name", "127.0.0.1", "localhost"],
    ["an IPv4 literal with an IP SAN", "127.0.0.1", "127.0.0.1"],
    ["an IPv6 literal with an IP SAN", "::1", "[::1]"],
  ])("that is verified is handed over once, ready to use: %s", async (_, host, name) => {
    await using upstream = startUpstream({ host });
    const dialled = dialTls(`${name}:${upstream.port}`);
    const wire = await dialled.wire();
    const seen = new Witness();
    wire.handler = seen;
    expect(wire.write(Buffer.from("hello"))).toBe(true);
    const stream = await upstream.next();
    expect((await stream.readBytes(5)).toString()).toBe("hello");
    await stream.write("welcome");
    await seen.until("answer", () => seen.text === "welcome");
    await settle();
    expect(dialled.results).toHaveLength(1);
    if (name === "localhost") expect(upstream.serverNames).toEqual(["localhost"]);
    wire.destroy();
  });

  test("that speaks first is heard", async () => {
    await using upstream = startUpstream({ serve: (stream) => void stream.write("banner") });
    const seen = new Witness();
    const wire = await dialTls(upstream.authority).wire();
    wire.handler = seen;
    await seen.until("banner", () => seen.text === "banner");
    wire.destroy();
  });

  for (const kind of ["otherCa", "selfSigned", "expired", "notYetValid", "wrongName"] as const) {
    for (const name of ["localhost", "127.0.0.1"]) {
      test(`with a certificate that is ${kind} is refused, and hears nothing: ${name}`, async () => {
        await using upstream = startUpstream({ tls: pki()[kind] });
        const dialled = dialTls(`${name}:${upstream.port}`);
        const error = await dialled.error();
        expect(error.code).toBe("certificate-rejected");
        expect(error.status).toBe(502);
        expect(error.message).not.toMatch(NO_ERRNO);
        await untilAllClosed(upstream);
        expect(upstream.connections).toHaveLength(1);
        expect(upstream.text).toBe("");
        await settle();
        expect(dialled.results).toHaveLength(1);
      });
    }
  }

  test("by an authority that is not among the runtime's roots is refused when no other is named", async () => {
    await using upstream = startUpstream();
    const error = await dialTls(upstream.authority, { roots: undefined }).error();
    expect(error.code).toBe("certificate-rejected");
    expect(upstream.text).toBe("");
  });

  test("is verified whatever NODE_TLS_REJECT_UNAUTHORIZED says", async () => {
    const kinds = ["valid", "otherCa", "selfSigned", "expired", "notYetValid", "wrongName"] as const;
    const upstreams = kinds.map((kind) => startUpstream({ tls: pki()[kind] }));
    const child = await runProgram(
      [
        process.execPath,
        join(import.meta.dir, "../support/net-dial-child.ts"),
        pki().caPath,
        ...upstreams.map(({ authority }) => authority),
      ],
      { NODE_TLS_REJECT_UNAUTHORIZED: "0" },
    );
    for (const upstream of upstreams) await untilAllClosed(upstream);
    for (const upstream of upstreams) upstream.close();
    const outcomes = child.stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { outcome: string }).outcome);
    expect(outcomes).toEqual(["dialled", ...kinds.slice(1).map(() => "certificate-rejected")]);
    expect(upstreams.map(({ text }) => text !== "")).toEqual(kinds.map((kind) => kind === "valid"));
  });

  test("that speaks no TLS is not reached", async () => {
    await using upstream = startUpstream({
      tls: false,
      serve: (stream) => void stream.write("HTTP/1.1 400 Bad Request\r\n\r\n"),
    });
    const dialled = dialTls(upstream.authority);
    const error = await dialled.error();
    // No certificate was shown that could have been rejected.
    expect(error.code).toBe("dial-failed");
    expect(error.message).not.toMatch(NO_ERRNO);
    await untilAllClosed(upstream);
    await settle();
    expect(dialled.results).toHaveLength(1);
  });

  test.each(["end", "destroy"] as const)(
    "that goes away within the handshake, by %s: dial-failed",
    async (how) => {
      await using upstream = startUpstream({ tls: false });
      const dialled = dialTls(upstream.authority);
      const stream = await upstream.next();
      await stream.untilReadable();
      stream[how]();
      const error = await dialled.error();
      expect(error.code).toBe("dial-failed");
      await settle();
      expect(dialled.results).toHaveLength(1);
    },
  );
});

describe("a plain upstream", () => {
  test("is handed over once, and said to be private on loopback", async () => {
    await using upstream = startUpstream({ tls: false });
    const dialled = dialPlain(upstream.authority);
    const result = await dialled.outcome();
    if (!("wire" in result)) throw result.error;
    expect(result.privatePeer).toBe(true);
    result.wire.write(Buffer.from("hello"));
    expect((await (await upstream.next()).readBytes(5)).toString()).toBe("hello");
    await settle();
    expect(dialled.results).toHaveLength(1);
    result.wire.destroy();
  });

  test("is said to be public by the policy's word about the address dialled", async () => {
    await using upstream = startUpstream({ tls: false });
    const nothingPrivate = { verdict: () => "allowed", isPrivateOrLoopback: () => false };
    const destinations = nothingPrivate as unknown as DestinationPolicy; // all that a dial asks
    const result = await dialPlain(upstream.authority, { destinations }).outcome();
    if (!("wire" in result)) throw result.error;
    expect(result.privatePeer).toBe(false);
    result.wire.destroy();
  });
});

describe("addresses", () => {
  test("a denied literal is refused, and nobody is dialled", async () => {
    await using upstream = startUpstream({ tls: false });
    const error = await dialPlain(`127.0.0.1:${upstream.port}`, only("127.0.0.2")).error();
    expect(error).toMatchObject({ code: "destination", status: 403 });
    expect(error.message).not.toMatch(NO_ERRNO);
    await settle();
    expect(upstream.connections).toHaveLength(0);
  });

  test("denied addresses of a name are skipped, whatever their order", async () => {
    await using upstream = startUpstream({ tls: false, host: "0.0.0.0" });
    for (const addresses of [
      ["127.0.0.2", "127.0.0.1"],
      ["127.0.0.1", "127.0.0.2"],
      ["169.254.169.254", "::ffff:127.0.0.3", "127.0.0.1"],
    ]) {
      const before = upstream.connections.length;
      const wire = await dialPlain(
        `${resolver.name(...addresses)}:${upstream.port}`,
        only("127.0.0.1"),
      ).wire();
      await settle();
      expect(upstream.connections).toHaveLength(before + 1);
      expect(upstream.connections[before]?.socket?.localAddress).toBe("127.0.0.1");
      wire.destroy();
    }
  });

  test("a name with denied addresses only is refused as a destination", async () => {
    await using upstream = startUpstream({ tls: false });
    const name = resolver.name("127.0.0.1", "::1");
    const error = await dialPlain(`${name}:${upstream.port}`, only("192.0.2.1")).error();
    expect(error.code).toBe("destination");
    await settle();
    expect(upstream.connections).toHaveLength(0);
  });

  test("a name without an address is not reached", async () => {
    expect((await dialPlain(`${resolver.name()}:80`).error()).code).toBe("dial-failed");
  });

  test("a name that does not resolve is not reached, and only the cause says why", async () => {
    const error = await dialPlain("no-such-name.invalid:80").error();
    expect(error).toMatchObject({ code: "dial-failed", status: 502 });
    expect(error.message).not.toMatch(NO_ERRNO);
    expect(String(error.cause)).toContain("ENOTFOUND");
  });

  test("localhost is reached on the one address that listens", async () => {
    await using upstream = startUpstream({ name: "localhost" });
    const wire = await dialTls(`localhost:${upstream.port}`).wire();
    await upstream.next();
    expect(upstream.serverNames).toEqual(["localhost"]);
    wire.destroy();
  });

  test.each([
    ["127.0.0.1", ["::1", "127.0.0.1"]],
    ["127.0.0.1", ["127.0.0.1", "::1"]],
    ["::1", ["127.0.0.1", "::1"]],
    ["::1", ["127.0.0.2", "127.0.0.3", "::1"]],
  ])("only %s of %p listens: it is found without waiting for the pace", async (host, addresses) => {
    await using upstream = startUpstream({ tls: false, host });
    const begin = performance.now();
    const wire = await dialPlain(`${resolver.name(...addresses)}:${upstream.port}`).wire();
    expect(performance.now() - begin).toBeLessThan(200);
    await settle();
    expect(upstream.connections).toHaveLength(1);
    wire.destroy();
  });

  // A name with more addresses than a service has is a way to make us open connections.
  test.each([
    [8, true],
    [9, false],
  ])("the one that listens is number %p: it is found: %p", async (number, found) => {
    await using upstream = startUpstream({ tls: false });
    const addresses = Array.from({ length: number - 1 }, (_, at) => `127.0.1.${at + 1}`);
    const dialled = dialPlain(`${resolver.name(...addresses, "127.0.0.1")}:${upstream.port}`);
    const result = await dialled.outcome();
    expect("wire" in result).toBe(found);
    if ("wire" in result) result.wire.destroy();
    await settle();
    expect(upstream.connections).toHaveLength(found ? 1 : 0);
  });

  test("nobody listens on any: dial-failed, with neither errno nor address in the message", async () => {
    const dialled = dialPlain(`${resolver.name("127.0.0.1", "::1", "127.0.0.2")}:${closedPort()}`);
    const error = await dialled.error();
    expect(error).toMatchObject({ code: "dial-failed", status: 502 });
    expect(error.message).not.toMatch(NO_ERRNO);
    await settle();
    expect(dialled.results).toHaveLength(1);
  });

  test.each([
    ["literal", "127.0.0.1"],
    ["literal", "[::1]"],
    ["name", "localhost"],
  ])("connection refused for a %s, %s: dial-failed, the cause is for the log", async (_, host) => {
    for (const dial of [dialPlain, dialTls]) {
      const error = await dial(`${host}:${closedPort()}`).error();
      expect(error.code).toBe("dial-failed");
      expect(error.message).not.toMatch(NO_ERRNO);
      expect(String(error.cause)).toContain("ECONNREFUSED");
    }
  });

  test("a bad certificate on one address and a good one on the next: the next is used", async () => {
    await using bad = startUpstream({ tls: pki().expired });
    const name = resolver.name("127.0.0.1", "127.0.0.2");
    using _good = namedServer("127.0.0.2", bad.port, name);
    const wire = await dialTls(`${name}:${bad.port}`, TRUSTED).wire();
    expect(bad.text).toBe("");
    wire.destroy();
  });

  test.each([
    ["first", ["127.0.0.1", "127.0.0.2"]],
    ["last", ["127.0.0.2", "127.0.0.1"]],
  ])("a bad certificate (%s) says more than a refused connection", async (_, addresses) => {
    await using bad = startUpstream({ tls: pki().expired });
    const error = await dialTls(`${resolver.name(...addresses)}:${bad.port}`).error();
    expect(error.code).toBe("certificate-rejected");
  });

  test("the next address is tried while the first one hangs in its handshake, which is then given up", async () => {
    await using silent = startUpstream({ tls: false });
    const name = resolver.name("127.0.0.1", "127.0.0.2");
    using _good = namedServer("127.0.0.2", silent.port, name);
    const begin = performance.now();
    const wire = await dialTls(`${name}:${silent.port}`, TRUSTED).wire();
    // RFC 8305 section 5: 250 ms.
    expect(performance.now() - begin).toBeGreaterThan(240);
    await untilAllClosed(silent);
    expect(silent.connections).toHaveLength(1);
    wire.destroy();
  });

  test.skipIf(!hasBlackHole)(
    "the next address is tried while the first one does not answer at all",
    async () => {
      await using upstream = startUpstream({ tls: false });
      await using _hole = await startBlackHole("127.0.0.5", upstream.port);
      const begin = performance.now();
      const wire = await dialPlain(`${resolver.name("127.0.0.5", "127.0.0.1")}:${upstream.port}`).wire();
      const took = performance.now() - begin;
      expect(took).toBeGreaterThan(240);
      expect(took).toBeLessThan(900);
      wire.destroy();
    },
  );
});

describe("private addresses only", () => {
  test("a public literal or name is refused with the cleartext rule, and not dialled", async () => {
    for (const host of ["192.0.2.1", resolver.name("198.51.100.7", "2001:db8::1")]) {
      const dialled = new DialWitness(target("http", `${host}:80`), dialOptions(), true);
      const error = await dialled.error();
      expect(error).toMatchObject({ code: "cleartext-credential", status: 403 });
    }
  });

  test("loopback is dialled", async () => {
    await using upstream = startUpstream({ tls: false });
    const dialled = new DialWitness(target("http", upstream.authority), dialOptions(), true);
    (await dialled.wire()).destroy();
  });

  test("of a name with both kinds only the private address is dialled", async () => {
    await using upstream = startUpstream({ tls: false });
    const name = resolver.name("198.51.100.7", "127.0.0.1", "2001:db8::1");
    const dialled = new DialWitness(target("http", `${name}:${upstream.port}`), dialOptions(), true);
    const begin = performance.now();
    const result = await dialled.outcome();
    expect("wire" in result && result.privatePeer).toBe(true);
    // The public one was not even waited for.
    expect(performance.now() - begin).toBeLessThan(200);
    if ("wire" in result) result.wire.destroy();
  });

  test("a denied address stays denied", async () => {
    const dialled = new DialWitness(target("http", "127.0.0.1:80"), dialOptions(only("192.0.2.1")), true);
    expect((await dialled.error()).code).toBe("destination");
  });
});
