// Content-Encoding as a list of what can be undone, and Accept-Encoding narrowed to it.

import { describe, expect, test } from "bun:test";
import { HeaderList } from "../../src/http1/headers.ts";
import { codingsOf, narrowAcceptEncoding } from "../../src/transform/content-coding.ts";

function fields(name: string, values: readonly string[]): HeaderList {
  const headers = new HeaderList();
  for (const value of values) headers.push(name, value);
  return headers;
}

describe("codingsOf", () => {
  const known: readonly (readonly [values: string[], codings: string[]])[] = [
    [[], []],
    [[""], []],
    [["identity"], []],
    [["gzip"], ["gzip"]],
    [["X-GZIP"], ["gzip"]],
    [["deflate"], ["deflate"]],
    [["br"], ["br"]],
    [[" zstd "], ["zstd"]],
    [["gzip, br"], ["gzip", "br"]],
    [
      ["gzip", "br"],
      ["gzip", "br"],
    ],
    [[",gzip,, identity ,deflate,br"], ["gzip", "deflate", "br"]],
  ];
  test.each(known)("%j is %j", (values, codings) => {
    expect(codingsOf(fields("Content-Encoding", values))).toEqual(codings as never);
  });

  const unknown = [
    "compress",
    "dcb",
    "dcz",
    "aws-chunked",
    "exi",
    "gzip;q=1",
    "gzip br",
    "br, sdch",
    "*",
    "utf-8",
  ];
  test.each(unknown)("%j cannot be undone", (value) => {
    expect(codingsOf(fields("Content-Encoding", [value]))).toBeUndefined();
  });

  test("a fourth coding is one too many: each costs a window of memory", () => {
    expect(codingsOf(fields("Content-Encoding", ["br, br, br"]))).toHaveLength(3);
    expect(codingsOf(fields("Content-Encoding", ["br, br, br, br"]))).toBeUndefined();
  });
});

describe("narrowAcceptEncoding", () => {
  const cases: readonly (readonly [says: string, values: string[], result: string | undefined])[] = [
    ["absent stays absent", [], undefined],
    ["what can be undone stays as it is", ["gzip, deflate, br, zstd"], "gzip, deflate, br, zstd"],
    ["weights stay", ["gzip;q=0.5, br ; q=1.000, identity;q=0"], "gzip;q=0.5, br ; q=1.000, identity;q=0"],
    ["what cannot be undone goes", ["gzip, dcb, dcz, compress;q=0.9, br"], "gzip, br"],
    ["any coding means unknown ones too", ["*"], "identity"],
    ["any coding besides", ["GZip, *;q=0.1"], "GZip"],
    ["several fields become one", ["dcb", "x-gzip", "br"], "x-gzip, br"],
    ["nothing left is identity", ["dcb, dcz"], "identity"],
    ["an empty field is identity", [""], "identity"],
    ["a coding ruled out stays ruled out, identity goes", ["gzip;q=0, dcb"], "gzip;q=0"],
    ["nothing left that may be sent is identity", ["dcb, identity;q=0"], "identity"],
    ["nothing left that may be sent, with weights", ["dcb, br;q=0.0, identity;q=0.000"], "identity"],
    ["a weight that is none is dropped with its coding", ["gzip;q=x, br;q=2, zstd;level=3"], "identity"],
  ];
  test.each(cases)("%s", (_, values, result) => {
    const headers = fields("accept-encoding", values);
    headers.push("Accept", "*/*");
    narrowAcceptEncoding(headers);
    expect(headers.joined("accept-encoding")).toBe(result);
    expect(headers.count("accept-encoding")).toBe(result === undefined ? 0 : 1);
    expect(headers.get("accept")).toBe("*/*");
  });
});
