// The certificates that the proxy shows to a client, fetched and verified by the openssl command line in its strict
// mode, and OpenSSL's reading of their extensions.
import { expect } from "bun:test";
import { X509Certificate } from "node:crypto";
import { createConnection, createServer, isIP } from "node:net";
import type { RunningProxy } from "./binary.ts";
import { connectHead } from "./client.ts";
import { openssl } from "./pki.ts";
import { runProgram } from "./programs.ts";

/** A local port that leads into a tunnel to `authority`, for a client that speaks no CONNECT to IPv6 literals. */
function relayInto(proxy: RunningProxy, authority: string): { port: number; stop: () => void } {
  const listener = createServer((local) => {
    const outer = createConnection(proxy.port, "127.0.0.1");
    outer.write(connectHead(authority));
    outer.once("data", (reply) => {
      if (!reply.toString("latin1").startsWith("HTTP/1.1 200 ")) return void local.destroy();
      outer.pipe(local).pipe(outer);
    });
    outer.on("error", () => local.destroy());
    local.on("error", () => outer.destroy());
  });
  listener.listen(0, "127.0.0.1");
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, stop: () => void listener.close() };
}

/** The chain that a client of `authority` is shown, verified by OpenSSL's strict mode. */
export async function chainFor(proxy: RunningProxy, authority: string): Promise<X509Certificate[]> {
  const host = authority.slice(0, authority.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  const name = isIP(host) > 0 ? ["-verify_ip", host] : ["-servername", host, "-verify_hostname", host];
  const relay = relayInto(proxy, authority);
  const outcome = await runProgram(
    ["openssl", "s_client", "-connect", `127.0.0.1:${relay.port}`, "-showcerts"].concat([
      "-CAfile",
      proxy.caPath,
      "-x509_strict",
      "-verify_return_error",
      ...name,
    ]),
    {},
    "",
  );
  relay.stop();
  expect(outcome.stdout + outcome.stderr).toContain("Verify return code: 0 (ok)");
  const pems = outcome.stdout.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return pems.map((pem) => new X509Certificate(pem));
}

/** OpenSSL's description of a certificate. */
export function described(certificate: X509Certificate): string {
  return openssl(["x509", "-noout", "-text"], certificate.toString());
}

export function extension(text: string, title: string): string {
  return new RegExp(`${title}:\\s*(critical)?\\s*\\n\\s+(.*)`).exec(text)?.slice(1).join(" ").trim() ?? "";
}
