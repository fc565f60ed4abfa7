// Which answers may show a secret as text.

import { describe, expect, test } from "bun:test";
import { HeaderList } from "../../src/http1/headers.ts";
import { hidesSecrets, isTextual } from "../../src/transform/textual-type.ts";

function typed(...values: string[]): HeaderList {
  const headers = new HeaderList();
  for (const value of values) headers.push("Content-Type", value);
  return headers;
}

describe("isTextual", () => {
  const textual = [
    ...["text/plain", "text/html; charset=utf-8", "TEXT/EVENT-STREAM", "text/x-anything", "text/csv"],
    ...[
      "application/json",
      "application/json;charset=utf-8",
      "application/problem+json",
      "Application/LD+JSON",
    ],
    ...[
      "application/xml",
      "application/soap+xml",
      "image/svg+xml",
      "application/javascript",
      "application/x-javascript",
    ],
    ...[
      "application/ecmascript",
      "application/x-www-form-urlencoded",
      "application/x-ndjson",
      "application/ndjson",
    ],
    ...["application/jsonl", "application/jsonlines", "application/json-seq", "application/graphql"],
    ...[
      "application/graphql-response+json",
      "application/yaml",
      "application/x-yaml",
      "application/openapi+yaml",
    ],
    ...[
      "application/toml",
      "application/event-stream",
      "application/stream+json",
      "application/vnd.api+json ; v=1",
    ],
    // Parts may be text: a batch, or byte ranges of one; an echoed message.
    ...["multipart/byteranges; boundary=x", "multipart/mixed", "message/http"],
    // What has a charset is text by any name.
    ...["application/vnd.github.raw; charset=utf-8", "application/octet-stream;x=1;CHARSET=utf-8"],
    // No media type: clients guess.
    ...["", "json", "/", "text", "application/", "application/json, text/html", "text /plain"],
  ];
  test.each(textual)("%j is text", (value) => {
    expect(isTextual(typed(value))).toBe(true);
  });

  const binary = [
    ...["application/octet-stream", "image/png", "video/mp4", "audio/mpeg", "font/woff2", "application/pdf"],
    ...[
      "application/zip",
      "application/gzip",
      "application/grpc",
      "application/x-protobuf",
      "application/cbor",
    ],
    ...["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "application/wasm"],
    ...["application/jsonwhatever", "application/vnd.xml.zip", "application/x-git-upload-pack-result"],
  ];
  test.each(binary)("%j is not", (value) => {
    expect(isTextual(typed(value))).toBe(false);
  });

  test("a missing type is text, and so are several of which one is", () => {
    expect(isTextual(typed())).toBe(true);
    expect(isTextual(typed("image/png", "text/html"))).toBe(true);
    expect(isTextual(typed("image/png", "image/png"))).toBe(false);
  });
});

describe("hidesSecrets", () => {
  const hiding = [
    "utf-32",
    "UTF-32LE",
    "utf32",
    '"utf-32be"',
    "'utf-32'",
    "utf-7",
    "ucs-4",
    "iso-10646-ucs-4",
  ];
  test.each([...hiding, "ebcdic-cp-us", "ibm037", "cp037"])("charset=%s does", (charset) => {
    expect(hidesSecrets(typed(`text/plain; charset=${charset}`))).toBe(true);
    expect(hidesSecrets(typed(`text/plain;format=flowed ;Charset = ${charset};x=y`))).toBe(true);
  });

  test.each([
    "utf-8",
    "us-ascii",
    "iso-8859-1",
    "windows-1252",
    "shift_jis",
    "gb18030",
    "utf-16",
    "ucs-2",
    "iso-10646-ucs-2",
    '"utf-8"',
  ])("charset=%s does not", (charset) => {
    expect(hidesSecrets(typed(`text/plain; charset=${charset}`))).toBe(false);
  });

  test("of two charsets the worse counts", () => {
    expect(hidesSecrets(typed("text/plain; charset=utf-8; charset=utf-32"))).toBe(true);
    expect(hidesSecrets(typed("text/plain", "text/plain; charset=utf-32"))).toBe(true);
    expect(hidesSecrets(typed())).toBe(false);
  });
});
