// A fake of S3 over TLS: PUT, GET, HEAD and a listing, path-style, for requests whose signature is right and for no other. It
// keeps every request as it came, so that a test can say what reached it, byte for byte.
import { isAwsChunked, readAwsChunked } from "./aws-chunked.ts";
import type { ByteStream } from "./byte-stream.ts";
import { type Request, readRequest, value } from "./http-message.ts";
import {
  type AccessKey,
  SignatureError,
  type SignatureFault,
  sha256,
  UNSIGNED,
  type Verified,
  verify,
} from "./sigv4.ts";
import { startUpstream } from "./upstream.ts";

export interface FakeS3 extends AsyncDisposable {
  /** host:port of the TLS listener. */
  readonly authority: string;
  /** Objects by raw path, as it was sent. */
  readonly objects: ReadonlyMap<string, Buffer>;
  /** Every request, good or bad, in order. */
  readonly requests: readonly Request[];
  /** Codes of refusals, in order. */
  readonly refusals: readonly string[];
  /** What was wrong, in the words of the check. */
  readonly complaints: readonly string[];
  /** Drops refusals and complaints, for a test that wanted them. */
  forget(): void;
}

export interface S3Options {
  readonly keyFor: (id: string) => AccessKey | undefined;
}

const FAULTS: Readonly<Record<SignatureFault, readonly [status: number, code: string]>> = {
  missing: [403, "AccessDenied"],
  incomplete: [400, "AuthorizationHeaderMalformed"],
  "unknown-key": [403, "InvalidAccessKeyId"],
  "wrong-token": [400, "InvalidToken"],
  expired: [400, "ExpiredToken"],
  skewed: [403, "RequestTimeTooSkewed"],
  "unsigned-header": [403, "AccessDenied"],
  mismatch: [403, "SignatureDoesNotMatch"],
};

class BadPayload extends Error {}

export function startFakeS3({ keyFor }: S3Options): FakeS3 {
  const objects = new Map<string, Buffer>();
  const requests: Request[] = [];
  const refusals: string[] = [];
  const complaints: string[] = [];

  const refuse = (request: Request, status: number, code: string, complaint: string): Buffer => {
    refusals.push(code);
    complaints.push(complaint);
    const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${code}</Message><RequestId>${crypto.randomUUID()}</RequestId></Error>`;
    return response(request, status, Buffer.from(xml), ["Content-Type: application/xml"]);
  };
  const answer = (request: Request): Buffer => {
    requests.push(request);
    let content: Buffer;
    try {
      content = contentOf(request, verify(request, { service: "s3", keyFor }));
    } catch (error) {
      if (error instanceof SignatureError) return refuse(request, ...FAULTS[error.fault], error.message);
      if (error instanceof BadPayload)
        return refuse(request, 400, "XAmzContentSHA256Mismatch", error.message);
      throw error;
    }
    const [path = ""] = request.target.split("?", 1);
    const etag = (body: Buffer): string => `ETag: "${sha256(body).slice(0, 32)}"`;
    if (request.method === "PUT") {
      objects.set(path, content);
      return response(request, 200, Buffer.alloc(0), [etag(content)]);
    }
    const stored = objects.get(path);
    if (stored !== undefined)
      return response(request, 200, stored, [etag(stored), "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT"]);
    if (request.target.includes("list-type=2"))
      return response(request, 200, listing(objects), ["Content-Type: application/xml"]);
    return refuse(request, 404, "NoSuchKey", path);
  };
  const serve = async (stream: ByteStream): Promise<void> => {
    try {
      while (await stream.untilReadable()) {
        const request = await readRequest(stream, (head) => {
          if (value(head, "expect")?.toLowerCase() === "100-continue")
            void stream.write("HTTP/1.1 100 Continue\r\n\r\n");
        });
        if (!request.complete) return stream.destroy();
        void stream.write(answer(request));
      }
      stream.end();
    } catch {
      // The connection ended, between requests or inside one, or was idle for too long: the client's to notice.
      stream.destroy();
    }
  };

  const upstream = startUpstream({ serve: (stream) => void serve(stream) });
  return {
    authority: upstream.authority,
    ...{ objects, requests, refusals, complaints },
    forget() {
      refusals.length = 0;
      complaints.length = 0;
    },
    [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose](),
  };
}

/** The object in a request, with whatever its payload hash promises. */
function contentOf(request: Request, verified: Verified): Buffer {
  const { payload } = verified;
  if (isAwsChunked(payload)) {
    let content: Buffer;
    try {
      content = readAwsChunked(request.body, verified);
    } catch (error) {
      throw new BadPayload(error instanceof Error ? error.message : "");
    }
    if (Number(value(request, "x-amz-decoded-content-length")) !== content.length)
      throw new BadPayload("x-amz-decoded-content-length is not that of the content");
    return content;
  }
  if (payload !== UNSIGNED && sha256(request.body) !== payload)
    throw new BadPayload("the body is not the one that was signed");
  return request.body;
}

function response(request: Request, status: number, body: Buffer, fields: readonly string[]): Buffer {
  const head = [
    `HTTP/1.1 ${status} ${status === 200 ? "OK" : "Refused"}`,
    `x-amz-request-id: ${crypto.randomUUID().slice(0, 16).toUpperCase()}`,
    ...fields,
    `Content-Length: ${body.length}`,
    "",
    "",
  ].join("\r\n");
  return Buffer.concat([Buffer.from(head), ...(request.method === "HEAD" ? [] : [body])]);
}

function listing(objects: ReadonlyMap<string, Buffer>): Buffer {
  const contents = [...objects].map(
    ([path, body]) =>
      `<Contents><Key>${decodeURIComponent(path.split("/").slice(2).join("/"))}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag><Size>${body.length}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  );
  return Buffer.from(
    `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix></Prefix><KeyCount>${objects.size}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>${contents.join("")}</ListBucketResult>`,
  );
}
