// TLS servers that ask their client for a certificate, made with node:tls, and the client certificates to show them.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type TLSSocket } from "node:tls";
import { Watch } from "./net-witness.ts";
import { openssl, pki } from "./pki.ts";

export interface ClientFiles extends Disposable {
  readonly dir: string;
  /** The authority of the client certificates, which vouches for no server. */
  readonly ca: string;
  /** Paths of a certificate and its key, with that common name. */
  issue(name: string, algorithm?: "EC" | "RSA"): { readonly cert: string; readonly key: string };
  /** A file with that content. */
  file(name: string, content: string): string;
}

function newKey(path: string, algorithm: "EC" | "RSA"): void {
  const options = algorithm === "EC" ? "ec_paramgen_curve:P-256" : "rsa_keygen_bits:2048";
  openssl(["genpkey", "-algorithm", algorithm, "-pkeyopt", options, "-out", path]);
}

export function clientFiles(): ClientFiles {
  const dir = mkdtempSync(join(tmpdir(), "moat-client-certs-"));
  const at = (name: string): string => join(dir, name);
  newKey(at("ca.key"), "EC");
  openssl([
    "req",
    "-x509",
    "-new",
    "-key",
    at("ca.key"),
    "-subj",
    "/CN=clients",
    "-days",
    "30",
    "-out",
    at("ca.crt"),
  ]);
  let serial = 1;
  return {
    dir,
    ca: readFileSync(at("ca.crt"), "utf8"),
    issue(name, algorithm = "EC") {
      const files = { cert: at(`${name}.crt`), key: at(`${name}.key`) };
      newKey(files.key, algorithm);
      openssl(["req", "-new", "-key", files.key, "-subj", `/CN=${name}`, "-out", at("request.csr")]);
      const authority = ["-CA", at("ca.crt"), "-CAkey", at("ca.key"), "-set_serial", String(++serial)];
      openssl(["x509", "-req", "-in", at("request.csr"), ...authority, "-days", "30", "-out", files.cert]);
      return files;
    },
    file(name, content) {
      writeFileSync(at(name), content);
      return at(name);
    },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}

export interface AskingServer extends AsyncDisposable {
  readonly port: number;
  /** Common name of each client that got through; "" for one that showed nothing. */
  readonly clients: readonly string[];
  /** Handshakes that were refused. */
  readonly refused: number;
  untilClients(count: number): Promise<void>;
  untilRefused(count: number): Promise<void>;
}

/** Says hello to each client it lets in. @param required turn away who shows no certificate of `ca` */
export async function startAskingServer(ca: string, required: boolean): Promise<AskingServer> {
  const watch = new Watch();
  const clients: string[] = [];
  const sockets = new Set<TLSSocket>();
  let refused = 0;
  const { cert, key } = pki().valid;
  const server = createServer(
    { cert, key, ca, requestCert: true, rejectUnauthorized: required },
    (socket) => {
      sockets.add(socket);
      const peer = socket.getPeerCertificate();
      const name: unknown = peer?.subject?.CN;
      clients.push(typeof name === "string" ? name : "");
      socket.on("error", () => socket.destroy());
      socket.write("hello");
      watch.changed();
    },
  );
  server.on("tlsClientError", () => {
    refused++;
    watch.changed();
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : 0,
    clients,
    get refused() {
      return refused;
    },
    untilClients: (count) => watch.until(`client number ${count}`, () => clients.length >= count),
    untilRefused: (count) => watch.until(`refusal number ${count}`, () => refused >= count),
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
