// Just enough WebSocket framing (RFC 6455 section 5) for a raw client: whole masked binary frames out, whole
// unmasked frames in. The other end in tests is Bun's own WebSocket server.
import type { ByteStream } from "./byte-stream.ts";

export const WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ==";
/** The answer to that key, from RFC 6455 section 1.3. */
export const WEBSOCKET_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** The field lines of an upgrade request. */
export const WEBSOCKET_FIELDS: readonly string[] = [
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  `Sec-WebSocket-Key: ${WEBSOCKET_KEY}`,
];

/** One final binary frame, masked as a client must. */
export function binaryFrame(payload: Uint8Array): Buffer {
  const mask = [0x12, 0x34, 0x56, 0x78];
  const head = Buffer.alloc(14);
  head[0] = 0x82;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  head.set(mask, 10);
  const body = Buffer.from(payload);
  for (let at = 0; at < body.length; at++) body[at] = (body[at] as number) ^ (mask[at & 3] as number);
  return Buffer.concat([head, body]);
}

/** Reads one message, joining continuation frames. */
export async function readMessage(stream: ByteStream): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (;;) {
    const [first = 0, second = 0] = await stream.readBytes(2);
    let length = second & 0x7f;
    if (length === 126) length = (await stream.readBytes(2)).readUInt16BE();
    else if (length === 127) length = Number((await stream.readBytes(8)).readBigUInt64BE());
    parts.push(await stream.readBytes(length));
    if ((first & 0x80) !== 0) return Buffer.concat(parts);
  }
}

/** A WebSocket echo server over TLS or in the clear, which remembers the upgrade requests. */
export function startEcho(tls: { cert: string; key: string } | undefined): {
  port: number;
  headers: Headers[];
  stop: () => void;
} {
  const headers: Headers[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(tls === undefined ? {} : { tls }),
    fetch(request, self) {
      headers.push(request.headers);
      return self.upgrade(request) ? undefined : new Response("no upgrade", { status: 400 });
    },
    websocket: {
      maxPayloadLength: 8 << 20,
      message(socket, data) {
        socket.send(data);
      },
    },
  });
  return { port: server.port ?? 0, headers, stop: () => void server.stop(true) };
}
