// Requests that the client has signed itself go through the interception unchanged: S3 verifies the signature of what
// reaches it, and the test compares the bytes. Signed heads, chunk by chunk signed bodies, signed trailers, presigned URLs.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  checksum,
  SIGNED_CHUNKS,
  SIGNED_CHUNKS_TRAILER,
  UNSIGNED_CHUNKS_TRAILER,
  writeAwsChunked,
} from "../support/aws-chunked.ts";
import { amzDate, signS3 } from "../support/aws-signer.ts";
import { type RunningProxy, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { tlsTunnel } from "../support/client.ts";
import { type FakeS3, startFakeS3 } from "../support/fake-s3.ts";
import { type Response, readResponse } from "../support/http-message.ts";
import { type Outcome, runProgram, works } from "../support/programs.ts";
import { scratchDir } from "../support/scratch.ts";
import { sha256, UNSIGNED } from "../support/sigv4.ts";

const KEY = {
  id: "ASIASANDBOXKEY000001",
  secret: "sandbox-secret/0123456789+abcdefghijklmn",
  sessionToken: `session-token//${"y".repeat(400)}+==`,
};

let s3: FakeS3;
let proxy: RunningProxy;
beforeAll(async () => {
  s3 = startFakeS3({ keyFor: (id) => (id === KEY.id ? KEY : undefined) });
  proxy = await startProxy({ args: ["--policy", "strict", "--allow", s3.authority] });
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await s3?.[Symbol.asyncDispose]();
});

interface Signed {
  readonly method: string;
  readonly target: string;
  readonly payload: string;
  /** Beside Host and the X-Amz fields that every request has; signed where the name is in `sign`. */
  readonly fields?: readonly (readonly [string, string])[];
  readonly sign?: readonly string[];
}

/** The head as it is sent, and what its chunks go on from. */
function head({ method, target, payload, fields = [], sign = [] }: Signed) {
  const time = amzDate();
  const all: (readonly [string, string])[] = [
    ["x-AMZ-date", time],
    ["Host", s3.authority],
    ["X-Amz-Content-SHA256", payload],
    ["X-Amz-Security-Token", KEY.sessionToken],
    ...fields,
  ];
  const always = ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];
  const signedHeaders = [...new Set([...always, ...sign])].sort();
  const { authorization, seed } = signS3({
    method,
    target,
    fields: all,
    signedHeaders,
    payload,
    key: KEY,
    time,
  });
  const lines = [...all, ["Authorization", authorization] as const].map(
    ([name, value]) => `${name}: ${value}`,
  );
  return { text: `${method} ${target} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`, seed };
}

const tunnel = (): Promise<ByteStream> => tlsTunnel(proxy, s3.authority);

/** Without the field that the proxy adds, and the one that belongs to the connection and is written anew. */
function endToEnd(rawHead: string): string {
  return rawHead.replaceAll(/^(?:x-request-id|transfer-encoding): .*\r\n/gim, "");
}

async function send(
  stream: ByteStream,
  parts: readonly (string | Buffer)[],
  method: string,
): Promise<Response> {
  for (const part of parts) await stream.write(part);
  return readResponse(stream, method);
}

/** The last request at S3 is the head that was sent, byte for byte, and was not refused. */
function expectUnchanged(sent: string, reply: Response): void {
  const last = s3.requests.at(-1);
  expect({
    head: endToEnd(last?.rawHead ?? ""),
    status: reply.status,
    complaints: s3.complaints,
  }).toEqual({
    head: endToEnd(sent),
    status: 200,
    complaints: [],
  });
}

const CONTENT = Buffer.from(Array.from({ length: 150_000 }, (_, i) => (i * 7919) % 256));

describe("a signed head arrives byte for byte", () => {
  const targets = [
    "/bucket/plain.txt",
    "/bucket/a%20b/c%2Fd/%e2%82%ac%E2%82%AC/~tilde%7Etilde",
    "/bucket//double//slashes/./dot/../dots",
    "/bucket/plus+and%2Bplus/semi;colon/at@colon:comma,dollar$",
    "/bucket/x?z=last&a=first&z=again&empty=&novalue&%C3%A9=1+2%20",
    "/bucket/x?list-type=2&prefix=a%2Fb&delimiter=/&continuation-token=1%2Babc==",
  ];
  for (const target of targets) {
    test(`PUT ${target}`, async () => {
      const body = Buffer.from(`content of ${target}`);
      const { text } = head({
        method: "PUT",
        target,
        payload: sha256(body),
        fields: [["Content-Length", String(body.length)]],
      });
      const stream = await tunnel();
      const reply = await send(stream, [text, body], "PUT");
      expectUnchanged(text, reply);
    });
  }

  test("fields of one name stay in their order and apart, values keep their spaces, names their case", async () => {
    const { text } = head({
      method: "PUT",
      target: "/bucket/meta",
      payload: sha256(""),
      fields: [
        ["X-Amz-Meta-Tag", "second, first"],
        ["content-TYPE", "text/plain;  charset=utf-8"],
        ["x-amz-meta-tag", "third"],
        ["Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="],
        ["Content-Length", "0"],
        ["X-AMZ-META-TAG", "a  b   c"],
        ["amz-sdk-invocation-id", "0f3b"],
        ["amz-sdk-request", "attempt=1; max=3"],
        ["User-Agent", "test/1.0  md/x"],
      ],
      sign: [
        "x-amz-meta-tag",
        "content-type",
        "content-md5",
        "content-length",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "user-agent",
      ],
    });
    const stream = await tunnel();
    expectUnchanged(text, await send(stream, [text], "PUT"));
  });

  test("GET of what was put gives the same bytes, ranges and conditions included in the signature", async () => {
    const put = head({
      method: "PUT",
      target: "/bucket/bytes%20of%20it",
      payload: UNSIGNED,
      fields: [["Content-Length", String(CONTENT.length)]],
    });
    const stream = await tunnel();
    expectUnchanged(put.text, await send(stream, [put.text, CONTENT], "PUT"));
    const get = head({
      method: "GET",
      target: "/bucket/bytes%20of%20it",
      payload: sha256(""),
      fields: [
        ["Range", "bytes=0-"],
        ["If-None-Match", '"x"'],
      ],
      sign: ["range", "if-none-match"],
    });
    const reply = await send(stream, [get.text], "GET");
    expectUnchanged(get.text, reply);
    expect(reply.body.equals(CONTENT)).toBe(true);
  });

  test("a changed byte is found: the fake is no yes-man", async () => {
    const { text } = head({ method: "GET", target: "/bucket/plain.txt", payload: sha256("") });
    const stream = await tunnel();
    const reply = await send(stream, [text.replace("plain.txt", "plain.txx")], "GET");
    expect([reply.status, s3.refusals]).toEqual([403, ["SignatureDoesNotMatch"]]);
    s3.forget();
  });
});

describe("aws-chunked bodies arrive as they were signed", () => {
  const codings = [
    { name: "signed chunks", payload: SIGNED_CHUNKS, trailers: [] },
    {
      name: "signed chunks with a signed trailer",
      payload: SIGNED_CHUNKS_TRAILER,
      trailers: ["x-amz-checksum-crc32c"],
    },
    {
      name: "unsigned chunks with a checksum",
      payload: UNSIGNED_CHUNKS_TRAILER,
      trailers: ["x-amz-checksum-crc32"],
    },
  ];
  for (const { name, payload, trailers } of codings) {
    const announced = trailers.map((trailer) => ["X-Amz-Trailer", trailer] as const);
    const fields = [
      ["Content-Encoding", "aws-chunked"] as const,
      ["X-Amz-Decoded-Content-Length", String(CONTENT.length)] as const,
      ...announced,
    ];
    const sign = [
      "content-encoding",
      "x-amz-decoded-content-length",
      ...announced.map(() => "x-amz-trailer"),
    ];
    const lines = trailers.map(
      (trailer) => `${trailer}:${checksum(trailer.slice("x-amz-checksum-".length), CONTENT)}`,
    );

    for (const framing of ["Content-Length", "Transfer-Encoding: chunked"] as const) {
      test(`${name}, ${framing}`, async () => {
        const target = `/bucket/${payload}`;
        const build = (length: number) =>
          head({
            method: "PUT",
            target,
            payload,
            fields: [
              ...fields,
              framing === "Content-Length"
                ? ["Content-Length", String(length)]
                : ["Transfer-Encoding", "chunked"],
            ],
            sign,
          });
        // The length of the body does not depend on the signatures in it.
        const length = Buffer.concat(writeAwsChunked(CONTENT, 65_536, build(0).seed, lines)).length;
        const { text, seed } = build(length);
        const chunks = writeAwsChunked(CONTENT, 65_536, seed, lines);
        const body =
          framing === "Content-Length" ? chunks : [...chunks.map(httpChunk), Buffer.from("0\r\n\r\n")];
        const stream = await tunnel();
        expectUnchanged(text, await send(stream, [text, ...body], "PUT"));
        expect(s3.requests.at(-1)?.body.equals(Buffer.concat(chunks))).toBe(true);
        expect(s3.objects.get(target)?.equals(CONTENT)).toBe(true);
      });
    }
  }

  test("with Expect: 100-continue the 100 comes from S3 before the body", async () => {
    const { text } = head({
      method: "PUT",
      target: "/bucket/expect",
      payload: sha256("later"),
      fields: [
        ["Expect", "100-continue"],
        ["Content-Length", "5"],
      ],
    });
    const stream = await tunnel();
    await stream.write(text);
    expect((await readResponse(stream, "PUT")).status).toBe(100);
    expectUnchanged(text, await send(stream, ["later"], "PUT"));
  });
});

function httpChunk(data: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from("\r\n")]);
}

const python = ["python3", "-c", "import botocore"];

/** The environment of a client in a sandbox: keys, proxy, CA, and no way to find any others. */
function sandbox(config: string): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: KEY.id,
    AWS_SECRET_ACCESS_KEY: KEY.secret,
    AWS_SESSION_TOKEN: KEY.sessionToken,
    AWS_DEFAULT_REGION: "us-east-1",
    AWS_CONFIG_FILE: config,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CA_BUNDLE: proxy.caPath,
    AWS_MAX_ATTEMPTS: "1",
    HTTPS_PROXY: proxy.url,
  };
}

function pathStyle(): { readonly dir: string; readonly config: string } {
  const dir = scratchDir("moat-s3-");
  const config = join(dir, "config");
  writeFileSync(config, "[default]\ns3 =\n    addressing_style = path\n");
  return { dir, config };
}

function expectServed(outcome: Outcome): void {
  expect({ ...outcome, refusals: s3.refusals, complaints: s3.complaints }).toMatchObject({
    code: 0,
    refusals: [],
    complaints: [],
  });
}

describe("the aws CLI", () => {
  test.skipIf(!works(["aws", "--version"]))(
    "puts and gets an object",
    async () => {
      const { dir, config } = pathStyle();
      const [from, to] = [join(dir, "from"), join(dir, "to")];
      writeFileSync(from, CONTENT);
      const object = ["--bucket", "bucket", "--key", "a b/ü+c~(1).bin"];
      const aws = (...args: string[]): Promise<Outcome> =>
        runProgram(["aws", "--endpoint-url", `https://${s3.authority}`, ...args], sandbox(config));
      const metadata = ["--metadata", "tag=one  two", "--content-type", "application/x-test"];
      expectServed(await aws("s3api", "put-object", ...object, "--body", from, ...metadata));
      const path = s3.requests.at(-1)?.target ?? "";
      expect(s3.objects.get(path)?.equals(CONTENT)).toBe(true);
      expectServed(await aws("s3api", "get-object", ...object, to));
      expect(Buffer.from(await Bun.file(to).bytes()).equals(CONTENT)).toBe(true);
      const records = await proxy.untilRecords(1, (record) => record.http_method === "GET");
      expect(records.every((record) => record.credential_injected !== true)).toBe(true);
    },
    60_000,
  );
});

const BOTOCORE = `
import io, sys, botocore.session
from botocore.config import Config
session = botocore.session.get_session()
s3 = session.create_client("s3", endpoint_url=sys.argv[1], config=Config(signature_version="s3v4"))
content = open(sys.argv[2], "rb").read()
class Stream(io.RawIOBase):
    def __init__(self): self.inner = io.BytesIO(content)
    def readable(self): return True
    def read(self, size=-1): return self.inner.read(size)
    def seekable(self): return True
    def seek(self, *args): return self.inner.seek(*args)
    def tell(self): return self.inner.tell()
key = "stream/%s" % sys.argv[3]
s3.put_object(Bucket="bucket", Key=key, Body=Stream(), ChecksumAlgorithm=sys.argv[3])
assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == content
listed = s3.list_objects_v2(Bucket="bucket", Prefix="stream/", Delimiter="+ ")
assert any(item["Key"] == key for item in listed["Contents"]), listed
print(s3.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": key, "ResponseContentType": "a/b c"}))
`;

describe("botocore", () => {
  test.skipIf(!works(python)).each([["CRC32"], ["SHA256"], ["SHA1"]])(
    "puts a stream with a %s trailer, gets it, lists it; curl gets it by the presigned URL",
    async (algorithm) => {
      const { dir, config } = pathStyle();
      const from = join(dir, "from");
      writeFileSync(from, CONTENT);
      const script = ["python3", "-c", BOTOCORE, `https://${s3.authority}`, from, algorithm];
      const outcome = await runProgram(script, sandbox(config));
      expectServed(outcome);
      const put = s3.requests.findLast(({ method }) => method === "PUT");
      expect(put?.fields.some(([, value]) => value === UNSIGNED_CHUNKS_TRAILER)).toBe(true);
      const curl = [
        "curl",
        "-sS",
        "--fail",
        "--proxy",
        proxy.url,
        "--cacert",
        proxy.caPath,
        "-o",
        join(dir, "to"),
      ];
      if (!works(["curl", "--version"])) return;
      expectServed(await runProgram([...curl, outcome.stdout.trim()]));
      expect(Buffer.from(await Bun.file(join(dir, "to")).bytes()).equals(CONTENT)).toBe(true);
    },
    60_000,
  );
});
