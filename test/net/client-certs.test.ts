// Client certificates: loaded with every mistake named, found by host, and shown to the upstreams they are for, over
// real sockets, and to no other.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadClientCerts } from "../../src/net/client-certs.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { startConnectProxy } from "../support/net-connect-proxy.ts";
import { dialTls } from "../support/net-dials.ts";
import { type ClientFiles, clientFiles, startAskingServer } from "../support/net-mutual-tls.ts";
import { Witness } from "../support/net-witness.ts";
import { openssl } from "../support/pki.ts";

type Files = { readonly cert: string; readonly key: string };

let files: ClientFiles;
let one: Files;
let two: Files;
beforeAll(() => {
  files = clientFiles();
  one = files.issue("one");
  two = files.issue("two", "RSA");
});
afterAll(() => files[Symbol.dispose]());

function text(path: string): string {
  return readFileSync(path, "utf8");
}

describe("an upstream that asks for a certificate", () => {
  test.each([
    ["localhost", "one"],
    ["127.0.0.1", "two"],
  ])("gets the one of its host: %s", async (host, name) => {
    await using server = await startAskingServer(files.ca, true);
    const clientCertificates = loadClientCerts([
      { host: "localhost", ...one },
      { host: "127.0.0.1", ...two },
    ]);
    const seen = new Witness();
    const wire = await dialTls(`${host}:${server.port}`, { clientCertificates }).wire();
    wire.handler = seen;
    await seen.until("greeting", () => seen.text === "hello");
    expect(server.clients).toEqual([name]);
    wire.destroy();
  });

  test("gets it through the operator's proxy, too", async () => {
    await using server = await startAskingServer(files.ca, true);
    await using proxy = await startConnectProxy();
    const upstreamProxy = { host: "127.0.0.1", port: proxy.port, authorization: undefined };
    const clientCertificates = loadClientCerts([
      { host: "*.localhost", ...one },
      { host: "127.0.0.1", ...two },
    ]);
    const wire = await dialTls(`127.0.0.1:${server.port}`, { clientCertificates, upstreamProxy }).wire();
    await server.untilClients(1);
    expect(server.clients).toEqual(["two"]);
    wire.destroy();
  });

  test("gets none that is another host's, or another port's", async () => {
    await using server = await startAskingServer(files.ca, false);
    const clientCertificates = loadClientCerts([
      { host: "api.localhost", ...one },
      { host: "*.localhost", ...one },
      { host: `127.0.0.1:${server.port + 1}`, ...two },
    ]);
    // No session is resumed either that another connection has proved itself for.
    const proved = loadClientCerts([{ host: "localhost", ...one }]);
    const dials = [
      ["localhost", clientCertificates],
      ["127.0.0.1", clientCertificates],
      ["localhost", proved],
      ["127.0.0.1", proved],
      ["localhost", undefined],
    ] as const;
    for (const [at, [host, shown]] of dials.entries()) {
      const wire = await dialTls(`${host}:${server.port}`, { clientCertificates: shown }).wire();
      await server.untilClients(at + 1);
      wire.destroy();
    }
    expect(server.clients).toEqual(["", "", "one", "", ""]);
  });

  test("and gets none turns us away", async () => {
    await using server = await startAskingServer(files.ca, true);
    const result = await dialTls(`localhost:${server.port}`).outcome();
    await server.untilRefused(1);
    // In TLS 1.3 our side of the handshake is over before the server has judged: it closes afterwards.
    if ("wire" in result) {
      const seen = new Witness();
      if (!result.wire.closed) {
        result.wire.handler = seen;
        await seen.untilOver();
      }
      expect(seen.text).toBe("");
      result.wire.destroy();
    } else expect(result.error.code).toBe("dial-failed");
    expect(server.clients).toEqual([]);
  });
});

describe("loading", () => {
  test("takes a chain, text around it, and any kind of unencrypted key", () => {
    const chain = files.file("chain.pem", `# ours\n${text(one.cert)}\n${files.ca}`);
    const sec1 = files.file("sec1.key", openssl(["ec", "-in", one.key]));
    const found = loadClientCerts([{ host: "a.test", cert: chain, key: sec1 }])(parseAuthority("a.test:443"));
    expect(found?.cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(found?.cert).not.toContain("# ours");
    expect(found?.key).toStartWith("-----BEGIN PRIVATE KEY-----");
  });

  test("reads the files once: what is loaded stays when they go", () => {
    const cert = files.file("once.crt", text(one.cert));
    const lookup = loadClientCerts([{ host: "a.test", cert, key: one.key }]);
    files.file("once.crt", "");
    expect(lookup(parseAuthority("a.test:443"))?.cert).toContain("BEGIN CERTIFICATE");
  });

  test("none: nobody has one", () => {
    expect(loadClientCerts([])(parseAuthority("a.test:443"))).toBeUndefined();
  });

  const mistakes: readonly (readonly [string, () => Files, string, "cert" | "key"])[] = [
    [
      "no certificate file",
      () => ({ ...one, cert: join(files.dir, "nowhere") }),
      "cannot be read (ENOENT)",
      "cert",
    ],
    ["no key file", () => ({ ...one, key: join(files.dir, "nowhere") }), "cannot be read (ENOENT)", "key"],
    ["a directory", () => ({ ...one, cert: files.dir }), "cannot be read (EISDIR)", "cert"],
    ["a key for a certificate", () => ({ ...one, cert: one.key }), "no PEM certificate in it", "cert"],
    ["a certificate for a key", () => ({ ...one, key: one.cert }), "no PEM private key in it", "key"],
    ["an empty key", () => ({ ...one, key: files.file("empty.key", "") }), "no PEM private key in it", "key"],
    [
      "a damaged certificate",
      () => ({
        ...one,
        cert: files.file(
          "bad.crt",
          `${text(one.cert)}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
        ),
      }),
      "certificate 2 cannot be read",
      "cert",
    ],
    [
      "the key of another",
      () => ({ ...one, key: two.key }),
      "not the key of the first certificate in",
      "key",
    ],
    [
      "a chain in the wrong order",
      () => ({ ...one, cert: files.file("order.pem", files.ca + text(one.cert)) }),
      "not the key of the first certificate in",
      "key",
    ],
    [
      "an encrypted key",
      () => ({
        ...one,
        key: files.file("enc.key", openssl(["pkcs8", "-topk8", "-in", one.key, "-passout", "pass:x"])),
      }),
      "the key is encrypted",
      "key",
    ],
    [
      "an encrypted key of the old kind",
      () => ({
        ...one,
        key: files.file("old.key", openssl(["ec", "-aes128", "-in", one.key, "-passout", "pass:x"])),
      }),
      "the key is encrypted",
      "key",
    ],
  ];
  for (const [what, make, reason, which] of mistakes) {
    test(`a mistake is one line that names host and file: ${what}`, () => {
      const item = make();
      let message = "nothing was thrown";
      try {
        loadClientCerts([{ host: "api.a.test", ...item }]);
      } catch (error) {
        message = error instanceof Error ? error.message : "not an Error";
      }
      expect(message).toStartWith(`client certificate for api.a.test: ${item[which]}: ${reason}`);
      expect(message).not.toContain("\n");
    });
  }

  test("a host named twice, however it is written, and a host that is none", () => {
    const twice = [
      { host: "a.test", ...one },
      { host: "A.test.", ...two },
    ];
    expect(() => loadClientCerts(twice)).toThrow("client certificate for A.test.: the host is named twice");
    expect(() => loadClientCerts([{ host: "https://a.test", ...one }])).toThrow(/^host pattern .* slash/);
  });
});
