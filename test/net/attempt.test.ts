// What an attempt keeps of a verified upstream, and what it offers: TLS sessions, on real sockets. Verification itself is
// dial.test.ts, the way through another proxy via-proxy.test.ts.
import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import type { Instant } from "../../src/net/upstream-sessions.ts";
import { sClient } from "../support/net-clients.ts";
import { DialWitness, dialOptions, target } from "../support/net-dials.ts";
import { Watch } from "../support/net-witness.ts";
import { pki, type ServerCertificate } from "../support/pki.ts";

type Version = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

/** An upstream that greets, and remembers how each handshake went. */
class Greeter extends Watch implements AsyncDisposable {
  readonly handshakes: ("full" | "resumed")[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    super();
    this.#server = server;
    server.on("secureConnection", (socket: TLSSocket) => {
      this.handshakes.push(socket.isSessionReused() ? "resumed" : "full");
      socket.on("error", () => socket.destroy());
      socket.write("hello");
      this.changed();
    });
  }

  static async start(version: Version, certificate: ServerCertificate = pki().valid): Promise<Greeter> {
    const server = createServer({ ...certificate, minVersion: version, maxVersion: version });
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    const greeter = new Greeter(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return greeter;
  }

  get port(): number {
    return portOf(this.#server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
  }
}

function portOf(server: Server): number {
  const address = server.address();
  return address !== null && typeof address === "object" ? address.port : 0;
}

type Options = ReturnType<typeof dialOptions>;

function dial(port: number, run: object, options: Options): DialWitness {
  return new DialWitness(target("https", `localhost:${port}`), options, false, run);
}

/** Dials and waits for the greeting, behind which the sessions have come. */
async function greet(port: number, run: object, options: Options): Promise<void> {
  const wire = await dial(port, run, options).wire();
  const { promise, resolve } = Promise.withResolvers<void>();
  wire.handler = { onData: () => resolve(), onDrain() {}, onEnd() {}, onClose: () => resolve() };
  await promise;
  wire.destroy();
}

describe.each<Version>(["TLSv1.2", "TLSv1.3"])("an upstream that speaks %s", (version) => {
  test("is resumed by the same run, time and again", async () => {
    await using upstream = await Greeter.start(version);
    const options = dialOptions();
    const run = {};
    for (let i = 0; i < 4; i++) await greet(upstream.port, run, options);
    expect(upstream.handshakes).toEqual(["full", "resumed", "resumed", "resumed"]);
  });

  test("is verified anew by another run, and under another configuration", async () => {
    await using upstream = await Greeter.start(version);
    const options = dialOptions();
    const run = {};
    await greet(upstream.port, run, options);
    await greet(upstream.port, {}, options);
    await greet(upstream.port, run, dialOptions());
    expect(upstream.handshakes).toEqual(["full", "full", "full"]);
  });

  test("leaves no session when its certificate was refused", async () => {
    await using upstream = await Greeter.start(version, pki().otherCa);
    const options = dialOptions();
    const run = {};
    for (let i = 0; i < 2; i++) {
      const error = await dial(upstream.port, run, options).error();
      expect(error.code).toBe("certificate-rejected");
    }
    const { key } = target("https", `localhost:${upstream.port}`);
    expect(options.tls.sessions.place(run, key).offer()).toBeUndefined();
  });
});

test.each<[Version, string]>([
  ["TLSv1", "-tls1"],
  ["TLSv1.1", "-tls1_1"],
])("an upstream that speaks %s only is refused, although others talk to it", async (version, option) => {
  await using upstream = await Greeter.start(version);
  const error = await dial(upstream.port, {}, dialOptions()).error();
  expect(error.code).toBe("dial-failed");
  expect(upstream.handshakes).toEqual([]);
  const { stdout } = await sClient(
    { port: upstream.port },
    [option, "-cipher", "DEFAULT:@SECLEVEL=0"],
    pki().ca,
  );
  expect(stdout).toContain("Verify return code: 0 (ok)");
});

test("a session is as old as the verification behind it, not as its ticket", async () => {
  await using upstream = await Greeter.start("TLSv1.3");
  const options = dialOptions();
  const run = {};
  const { key } = target("https", `localhost:${upstream.port}`);
  const place = options.tls.sessions.place(run, key);
  await greet(upstream.port, run, options);
  const first = place.offer();
  await greet(upstream.port, run, options);
  const second = place.offer();
  expect(upstream.handshakes).toEqual(["full", "resumed"]);
  expect(second?.ticket).not.toEqual(first?.ticket);
  expect(second?.verifiedAt).toEqual(first?.verifiedAt as Instant);
});

test("what is no session is passed over", async () => {
  await using upstream = await Greeter.start("TLSv1.3");
  const options = dialOptions();
  const run = {};
  const { key } = target("https", `localhost:${upstream.port}`);
  const place = options.tls.sessions.place(run, key);
  place.keep({ ticket: Buffer.from("no session"), verifiedAt: place.now() });
  await greet(upstream.port, run, options);
  expect(upstream.handshakes).toEqual(["full"]);
});

test("an upstream that breaks when it is to resume is asked without at the next attempt", async () => {
  await using upstream = await Greeter.start("TLSv1.3");
  const sockets = new Set<Socket>();
  let connections = 0;
  const front = createTcpServer((client) => {
    sockets.add(client);
    client.on("error", () => client.destroy());
    if (++connections === 2) {
      client.once("data", () => client.destroy());
      return;
    }
    const back = connect(upstream.port, "127.0.0.1");
    sockets.add(back);
    back.on("error", () => client.destroy());
    client.pipe(back).pipe(client);
  });
  front.listen(0, "127.0.0.1");
  await once(front, "listening");
  const options = dialOptions();
  const run = {};
  await greet(portOf(front), run, options);
  const error = await dial(portOf(front), run, options).error();
  await greet(portOf(front), run, options);
  front.close();
  for (const socket of sockets) socket.destroy();
  expect(error.code).toBe("dial-failed");
  expect(upstream.handshakes).toEqual(["full", "full"]);
});
