// A raw client of the proxy: sends exactly the bytes it is told, verifies the proxy's leaf certificates
// strictly, and shows raw answers. It adds no header field by itself.
import { readFileSync } from "node:fs";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { Socket } from "bun";
import { ByteStream, streamHandlers, within } from "./byte-stream.ts";
import { type Response, readResponse } from "./http-message.ts";

/** Where the proxy is, and what authority its leaves come from. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly caPath: string;
}

export interface TunnelOptions {
  /** Whole field lines for the CONNECT request, without CRLF. */
  readonly fields?: readonly string[];
  /** Protocols to offer, best first. */
  readonly alpn?: readonly string[];
  /** Verify against this PEM instead of the proxy's CA. */
  readonly ca?: string;
  /** Keep our side open when the proxy ends its own. */
  readonly halfOpen?: boolean;
}

/** Opens a TCP connection to `host:port`. When the peer ends, it closes, unless it may stay `halfOpen`. */
export async function connect(host: string, port: number, halfOpen = false): Promise<ByteStream> {
  const stream = new ByteStream();
  await Bun.connect<ByteStream>({
    hostname: host,
    port,
    data: stream,
    allowHalfOpen: halfOpen,
    socket: streamHandlers,
  });
  return stream;
}

/** Opens a TCP connection to the proxy. */
export function connectProxy(proxy: Pick<Target, "host" | "port">, halfOpen = false): Promise<ByteStream> {
  return connect(proxy.host, proxy.port, halfOpen);
}

/** The bytes of a CONNECT request; Host repeats the authority. */
export function connectHead(authority: string, fields: readonly string[] = []): string {
  return [`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`, ...fields, "", ""].join("\r\n");
}

/** Sends CONNECT on a new connection and reads the answer. After 200 the stream is the tunnel. */
export async function openTunnel(
  proxy: Target,
  authority: string,
  options: TunnelOptions = {},
): Promise<{ stream: ByteStream; reply: Response }> {
  const stream = await connectProxy(proxy, options.halfOpen);
  void stream.write(connectHead(authority, options.fields));
  // A successful answer to CONNECT has no body, whatever it says: read it like one to HEAD.
  const peek = await within(stream.untilReadable(), "answer to CONNECT");
  if (!peek) throw new Error("the proxy closed the connection on CONNECT");
  const succeeded = stream.unread.toString("latin1").startsWith("HTTP/1.1 200");
  return { stream, reply: await readResponse(stream, succeeded ? "HEAD" : "CONNECT") };
}

/** The host of an authority, without brackets. */
export function hostOf(authority: string): string {
  return authority.slice(0, authority.lastIndexOf(":")).replace(/^\[|\]$/g, "");
}

/** Protocol names in the form of RFC 7301: the only one that Bun's sockets read rightly. */
export function alpnWire(names: readonly string[]): Buffer {
  return Buffer.concat(
    names.map((name) => Buffer.concat([Buffer.of(name.length), Buffer.from(name, "latin1")])),
  );
}

/** Starts TLS on a tunnel and verifies chain and name. Rejects when either is wrong. */
export async function startTls(
  raw: ByteStream,
  authority: string,
  ca: string,
  alpn?: readonly string[],
): Promise<ByteStream> {
  const host = hostOf(authority).replace(/\.$/, "");
  const stream = new ByteStream();
  const socket = raw.socket;
  if (socket === undefined) throw new Error("not connected");
  raw.muted = true;
  const [, tls] = socket.upgradeTLS<ByteStream>({
    data: stream,
    tls: {
      ca,
      serverName: host,
      rejectUnauthorized: true,
      ...(alpn === undefined ? {} : { ALPNProtocols: alpnWire(alpn) }),
    },
    socket: {
      ...streamHandlers,
      handshake(secured: Socket<ByteStream>, success: boolean, failure: Error | null) {
        // The typings say that this cannot be null; it is while the peer has shown no certificate.
        const peer = secured.getPeerCertificate() as unknown as PeerCertificate | null;
        const misnamed = success && peer !== null ? checkServerIdentity(host, peer) : undefined;
        stream.onHandshake(success && misnamed === undefined, failure ?? misnamed);
        if (misnamed !== undefined) secured.terminate();
      },
    },
  });
  stream.socket = tls;
  await within(stream.handshake, "TLS handshake with the proxy");
  return stream;
}

/** CONNECT, 200, verified TLS: a stream on which the test speaks HTTP to the authority. */
export async function tlsTunnel(
  proxy: Target,
  authority: string,
  options: TunnelOptions = {},
): Promise<ByteStream> {
  const { stream, reply } = await openTunnel(proxy, authority, options);
  if (reply.status !== 200)
    throw new Error(`CONNECT ${authority}: ${reply.startLine} ${reply.body.toString("latin1")}`);
  return startTls(stream, authority, options.ca ?? readFileSync(proxy.caPath, "utf8"), options.alpn);
}

/** Request bytes: start line, field lines, body. */
export function message(startLine: string, fields: readonly string[] = [], body = ""): string {
  return [startLine, ...fields, "", body].join("\r\n");
}

/** `GET <target>` with Host and more field lines. */
export function get(target: string, host: string, fields: readonly string[] = []): string {
  return message(`GET ${target} HTTP/1.1`, [`Host: ${host}`, ...fields]);
}

/** A request with Content-Length. */
export function post(target: string, host: string, body: string, fields: readonly string[] = []): string {
  return message(
    `POST ${target} HTTP/1.1`,
    [`Host: ${host}`, ...fields, `Content-Length: ${body.length}`],
    body,
  );
}
