// The fakes are judges of signatures, so they are judged first: by the examples that AWS publishes with their results
// (Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)"), and by what has been tampered with.
import { describe, expect, test } from "bun:test";
import {
  readAwsChunked,
  SIGNED_CHUNKS,
  SIGNED_CHUNKS_TRAILER,
  UNSIGNED_CHUNKS_TRAILER,
  writeAwsChunked,
} from "../support/aws-chunked.ts";
import { amzDate, signS3 } from "../support/aws-signer.ts";
import type { Request } from "../support/http-message.ts";
import { SignatureError, type Verified, verify } from "../support/sigv4.ts";

const KEY = { id: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
const TIME = "20130524T000000Z";
const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const CREDENTIAL = `${KEY.id}/20130524/us-east-1/s3/aws4_request`;

function request(method: string, target: string, fields: Request["fields"], body = Buffer.alloc(0)): Request {
  const startLine = `${method} ${target} HTTP/1.1`;
  return { method, target, fields, body, startLine, rawHead: "", trailers: [], complete: true };
}

function check(sent: Request): Verified {
  return verify(sent, {
    service: "s3",
    keyFor: (id) => (id === KEY.id ? KEY : undefined),
    now: () => Date.parse("2013-05-24T00:00:00Z"),
  });
}

function authorization(signed: string, signature: string): readonly [string, string] {
  return [
    "Authorization",
    `AWS4-HMAC-SHA256 Credential=${CREDENTIAL},SignedHeaders=${signed},Signature=${signature}`,
  ];
}

const HOST = ["Host", "examplebucket.s3.amazonaws.com"] as const;
const DATE = ["x-amz-date", TIME] as const;

describe("published examples verify", () => {
  test("GET object with a range", () => {
    const signed = "host;range;x-amz-content-sha256;x-amz-date";
    const signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
    const fields = [
      HOST,
      authorization(signed, signature),
      ["Range", "bytes=0-9"],
      ["x-amz-content-sha256", EMPTY],
      DATE,
    ] as const;
    expect(check(request("GET", "/test.txt", fields)).signature).toBe(signature);
  });

  test("PUT object with a character that has to be encoded", () => {
    const signed = "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class";
    const signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
    const fields = [
      HOST,
      ["Date", "Fri, 24 May 2013 00:00:00 GMT"],
      authorization(signed, signature),
      DATE,
      ["x-amz-storage-class", "REDUCED_REDUNDANCY"],
      ["x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"],
    ] as const;
    for (const target of ["/test%24file.text", "/test$file.text"])
      expect(check(request("PUT", target, fields)).signature).toBe(signature);
  });

  test.each([
    ["/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"],
    ["/?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"],
    ["/?prefix=J&max-keys=2", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"],
  ])("GET %s", (target, signature) => {
    const fields = [
      HOST,
      authorization("host;x-amz-content-sha256;x-amz-date", signature),
      DATE,
      ["x-amz-content-sha256", EMPTY],
    ] as const;
    expect(check(request("GET", target, fields)).signature).toBe(signature);
  });

  test("a signature in the query", () => {
    const signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    const target = `/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(CREDENTIAL)}&X-Amz-Date=${TIME}&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=${signature}`;
    expect(check(request("GET", target, [HOST])).signature).toBe(signature);
  });
});

/** The example of a chunked upload: 65 KiB of the letter a, in chunks of 64 KiB. */
function chunked(payload: string, signature: string, signed: string, more: Request["fields"]): Verified {
  const fields = [
    ["Host", "s3.amazonaws.com"] as const,
    DATE,
    ["x-amz-storage-class", "REDUCED_REDUNDANCY"] as const,
    authorization(signed, signature),
    ["x-amz-content-sha256", payload] as const,
    ["Content-Encoding", "aws-chunked"] as const,
    ["x-amz-decoded-content-length", "66560"] as const,
    ...more,
  ];
  return check(request("PUT", "/examplebucket/chunkObject.txt", fields));
}

const CONTENT = Buffer.alloc(66_560, "a");

function exampleBody(signatures: readonly string[], end: string): Buffer {
  const [first, second, last] = signatures;
  return Buffer.concat([
    Buffer.from(`10000;chunk-signature=${first}\r\n`),
    CONTENT.subarray(0, 65_536),
    Buffer.from(`\r\n400;chunk-signature=${second}\r\n`),
    CONTENT.subarray(65_536),
    Buffer.from(`\r\n0;chunk-signature=${last}\r\n${end}\r\n`),
  ]);
}

describe("published examples of chunked uploads verify", () => {
  const signed = {
    seed: () =>
      chunked(
        SIGNED_CHUNKS,
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
        [["Content-Length", "66824"]],
      ),
    body: exampleBody(
      [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
      ],
      "",
    ),
  };
  const trailed = {
    seed: () =>
      chunked(
        SIGNED_CHUNKS_TRAILER,
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
        [["x-amz-trailer", "x-amz-checksum-crc32c"]],
      ),
    body: exampleBody(
      [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
      ],
      "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n",
    ),
  };

  test("signed chunks", () => {
    expect(signed.body).toHaveLength(66_824);
    expect(readAwsChunked(signed.body, signed.seed())).toEqual(CONTENT);
    expect(Buffer.concat(writeAwsChunked(CONTENT, 65_536, signed.seed())).equals(signed.body)).toBe(true);
  });

  test("signed chunks and a signed trailer", () => {
    expect(readAwsChunked(trailed.body, trailed.seed())).toEqual(CONTENT);
    const written = writeAwsChunked(CONTENT, 65_536, trailed.seed(), ["x-amz-checksum-crc32c:sOO8/Q=="]);
    expect(Buffer.concat(written).equals(trailed.body)).toBe(true);
  });

  test.each([
    [
      "a byte of the content",
      (body: string) => body.replace("aaa\r\n400", "aab\r\n400"),
      "signature of a chunk",
    ],
    ["chunks of other sizes", (body: string) => body.replace("400;", "3ff;"), "a chunk"],
    ["a checksum", (body: string) => body.replace("sOO8/Q", "sOO8/A"), "the crc32c of the content"],
    [
      "the trailer's signature",
      (body: string) => body.replace("d81f82", "d81f83"),
      "signature of the trailers",
    ],
    [
      "a chunk that is missing",
      (body: string) => body.replace(/400;[\s\S]*?\r\n0;/, "0;"),
      "signature of a chunk",
    ],
    ["more behind the end", (body: string) => `${body}more`, "bytes behind the end"],
    ["no end", (body: string) => body.slice(0, -200), "a line has no end"],
  ])("and no longer with %s changed", (_name, change, complaint) => {
    const body = Buffer.from(change(trailed.body.toString("latin1")), "latin1");
    expect(body.equals(trailed.body)).toBe(false);
    expect(() => readAwsChunked(body, trailed.seed())).toThrow(complaint);
  });

  test("unsigned chunks with a checksum", () => {
    const seed = { ...trailed.seed(), payload: UNSIGNED_CHUNKS_TRAILER };
    const written = Buffer.concat(writeAwsChunked(CONTENT, 8_192, seed, ["x-amz-checksum-crc32c:sOO8/Q=="]));
    expect(readAwsChunked(written, seed)).toEqual(CONTENT);
    const changed = Buffer.from(written.toString("latin1").replace("aaa\r\n0\r\n", "aab\r\n0\r\n"), "latin1");
    expect(() => readAwsChunked(changed, seed)).toThrow("the crc32c of the content");
  });
});

describe("what was changed on the way is found", () => {
  const time = amzDate();
  const key = { ...KEY, sessionToken: "the-session-token" };
  const base = {
    method: "GET",
    target: "/bucket/a%20b?z=1&a=2",
    fields: [
      ["Host", "localhost:1"],
      ["X-Amz-Date", time],
      ["X-Amz-Content-Sha256", EMPTY],
      ["X-Amz-Security-Token", key.sessionToken],
      ["X-Amz-Meta-A", "one"],
      ["X-Amz-Meta-A", "two"],
    ] as [string, string][],
    signedHeaders: ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-meta-a", "x-amz-security-token"],
    payload: EMPTY,
    ...{ key, time },
  };
  const fields: [string, string][] = [...base.fields, ["Authorization", signS3(base).authorization]];
  const verifyNow = (sent: Request, keyFor = (id: string) => (id === KEY.id ? key : undefined)) =>
    verify(sent, { service: "s3", keyFor });
  const swap = (name: string, value: string): [string, string][] =>
    fields.map(([field, old]) => (field === name ? [field, value] : [field, old]));

  test("nothing", () => {
    expect(verifyNow(request("GET", base.target, fields)).key).toEqual(key);
  });

  test.each([
    ["the method", "HEAD", base.target, fields, "mismatch"],
    ["the path", "GET", "/bucket/a+b?z=1&a=2", fields, "mismatch"],
    ["a slash in it", "GET", "/bucket//a%20b?z=1&a=2", fields, "mismatch"],
    ["the query", "GET", "/bucket/a%20b?z=1&a=3", fields, "mismatch"],
    ["the host", "GET", base.target, swap("Host", "localhost:2"), "mismatch"],
    [
      "the order of equal fields",
      "GET",
      base.target,
      [...fields.slice(0, 4), ["X-Amz-Meta-A", "two"], ["X-Amz-Meta-A", "one"], ...fields.slice(6)],
      "mismatch",
    ],
    ["a field more", "GET", base.target, [...fields, ["X-Amz-Acl", "public-read"]], "unsigned-header"],
    ["the session token", "GET", base.target, swap("X-Amz-Security-Token", "other"), "wrong-token"],
    ["no signature", "GET", base.target, fields.slice(0, -1), "missing"],
    ["an old date", "GET", base.target, swap("X-Amz-Date", `${time.slice(0, 8)}T000000Z`), "skewed"],
  ] as const)("%s", (_name, method, target, sent, fault) => {
    let found: unknown;
    try {
      verify(request(method, target, sent), {
        service: "s3",
        keyFor: () => key,
        // Noon of the day of signing, so that midnight of it is too far away whatever the time is now.
        now: () =>
          Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z")),
      });
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(SignatureError);
    expect((found as SignatureError).fault).toBe(fault);
  });

  test("a key that nobody knows, and one that has ended", () => {
    const sent = request("GET", base.target, fields);
    expect(() => verifyNow(sent, () => undefined)).toThrow("the access key is not known");
    expect(() => verify(sent, { service: "s3", keyFor: () => ({ ...key, expiresAt: 0 }) })).toThrow(
      "the session has ended",
    );
  });
});
