// Reads HTTP/1.1 messages from a ByteStream for tests, on both sides. A small, strict reader of its own,
// so that the proxy's parser is never judged by itself. RFC 9112 framing: chunked, Content-Length, close.
import { type ByteStream, StreamEnded } from "./byte-stream.ts";

export interface Message {
  /** The head as it came, with the empty line. */
  readonly rawHead: string;
  readonly startLine: string;
  /** Fields in order, names as sent. */
  readonly fields: readonly (readonly [string, string])[];
  /** The body after removing chunked framing. */
  readonly body: Buffer;
  readonly trailers: readonly (readonly [string, string])[];
  /** False when the stream ended before the framing said so. */
  readonly complete: boolean;
}

export interface Response extends Message {
  readonly status: number;
}

export interface Request extends Message {
  readonly method: string;
  readonly target: string;
}

/** All values of a field, whatever the case of its name. */
export function values(message: Pick<Message, "fields">, name: string): string[] {
  const wanted = name.toLowerCase();
  return message.fields.filter(([field]) => field.toLowerCase() === wanted).map(([, value]) => value);
}

/** The single value of a field; undefined when absent; throws when there are several. */
export function value(message: Pick<Message, "fields">, name: string): string | undefined {
  const all = values(message, name);
  if (all.length > 1) throw new Error(`${name} came ${all.length} times`);
  return all[0];
}

export function text(message: Message): string {
  return message.body.toString("latin1");
}

function parseFields(lines: readonly string[]): (readonly [string, string])[] {
  return lines.map((line) => {
    const colon = line.indexOf(":");
    if (colon <= 0) throw new Error(`not a header field: ${JSON.stringify(line)}`);
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
}

interface Head {
  rawHead: string;
  startLine: string;
  fields: (readonly [string, string])[];
}

/** Reads one head, without its body. */
export async function readHead(stream: ByteStream): Promise<Head> {
  const rawHead = await stream.readUntil("\r\n\r\n");
  const [startLine = "", ...lines] = rawHead.slice(0, -4).split("\r\n");
  return { rawHead, startLine, fields: parseFields(lines) };
}

interface Body {
  body: Buffer;
  trailers: (readonly [string, string])[];
  complete: boolean;
}

async function readChunked(stream: ByteStream): Promise<Body> {
  const parts: Buffer[] = [];
  try {
    for (;;) {
      const line = await stream.readUntil("\r\n");
      const size = Number.parseInt(line, 16);
      if (!Number.isInteger(size)) throw new Error(`bad chunk size ${JSON.stringify(line)}`);
      if (size === 0) break;
      parts.push(await stream.readBytes(size));
      if ((await stream.readBytes(2)).toString("latin1") !== "\r\n")
        throw new Error("chunk without its CRLF");
    }
    const lines: string[] = [];
    for (;;) {
      const line = await stream.readUntil("\r\n");
      if (line === "\r\n") break;
      lines.push(line.slice(0, -2));
    }
    return { body: Buffer.concat(parts), trailers: parseFields(lines), complete: true };
  } catch (error) {
    if (!(error instanceof StreamEnded)) throw error;
    return { body: Buffer.concat(parts), trailers: [], complete: false };
  }
}

async function readSized(stream: ByteStream, length: number): Promise<Body> {
  try {
    return { body: await stream.readBytes(length), trailers: [], complete: true };
  } catch (error) {
    if (!(error instanceof StreamEnded)) throw error;
    return { body: await stream.readToEnd(), trailers: [], complete: false };
  }
}

async function readBody(stream: ByteStream, head: Head, untilClose: boolean): Promise<Body> {
  const coding = value(head, "transfer-encoding");
  const length = value(head, "content-length");
  if (coding !== undefined && length !== undefined)
    throw new Error("both Content-Length and Transfer-Encoding");
  if (coding !== undefined) {
    if (coding.toLowerCase() !== "chunked") throw new Error(`transfer coding ${coding}`);
    return readChunked(stream);
  }
  if (length !== undefined) return readSized(stream, Number(length));
  if (!untilClose) return { body: Buffer.alloc(0), trailers: [], complete: true };
  return { body: await stream.readToEnd(), trailers: [], complete: true };
}

/** Parses "HTTP/1.1 200 OK". */
function statusOf(startLine: string): number {
  const match = /^HTTP\/1\.[01] (\d{3})(?: .*)?$/.exec(startLine);
  if (match === null) throw new Error(`not a status line: ${JSON.stringify(startLine)}`);
  return Number(match[1]);
}

/** Reads the next response of any kind, 1xx included. `method` is that of the request: HEAD has no body. */
export async function readResponse(stream: ByteStream, method = "GET"): Promise<Response> {
  const head = await readHead(stream);
  const status = statusOf(head.startLine);
  const bodiless = method === "HEAD" || status < 200 || status === 204 || status === 304;
  const none: Body = { body: Buffer.alloc(0), trailers: [], complete: true };
  const rest = bodiless ? none : await readBody(stream, head, true);
  return { ...head, status, ...rest };
}

/** Reads the next request with its body. @param onHead called before the body is waited for: where a 100 is sent */
export async function readRequest(
  stream: ByteStream,
  onHead: (head: Pick<Message, "startLine" | "fields">) => void = () => undefined,
): Promise<Request> {
  const head = await readHead(stream);
  onHead(head);
  const [method = "", target = ""] = head.startLine.split(" ");
  return { ...head, method, target, ...(await readBody(stream, head, false)) };
}

/** Sends `raw` and reads the answer to it. */
export async function exchange(
  stream: ByteStream,
  raw: string | Uint8Array,
  method?: string,
): Promise<Response> {
  void stream.write(raw);
  const verb =
    method ?? /^[A-Z]+/.exec(typeof raw === "string" ? raw : Buffer.from(raw).toString("latin1"))?.[0];
  return readResponse(stream, verb);
}
