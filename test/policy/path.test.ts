// The readings of a path: one for what every server reads alike, several or none certain for what they do not.

import { describe, expect, test } from "bun:test";
import { foldSegment, readPath, readSegment } from "../../src/policy/path.ts";

describe("readPath, one reading", () => {
  test.each([
    ["/", []],
    ["/a", ["a"]],
    ["/a/b", ["a", "b"]],
    ["/a/b/", ["a", "b"]],
    ["/a//", ["a"]],
    ["/?q=/x/../y", []],
    ["/a?b?c", ["a"]],
    ["/a/b?x=%2f%00;..", ["a", "b"]],
    ["/%41%7a%2D%5F", ["Az-_"]],
    ["/caf%C3%A9", ["café"]],
    ["/caf%c3%a9", ["café"]],
    ["/a%20b", ["a b"]],
    ["/%40types", ["@types"]],
    ["/100%25", ["100%"]],
    ["/a:b,c=d!$&'()*+", ["a:b,c=d!$&'()*+"]],
    ["/.well-known/x", [".well-known", "x"]],
    ["/..a/a../a..b", ["..a", "a..", "a..b"]],
  ])("%s", (target, segments) => {
    expect(readPath(target)).toEqual({ readings: [{ segments, open: false }], oddity: undefined });
  });
});

describe("readPath, several readings", () => {
  test.each([
    ["/a/../b", "dot segments", ["b"], ["a", "..", "b"]],
    ["/a/./b", "dot segments", ["a", "b"], ["a", ".", "b"]],
    ["/a/%2e%2E/b", "dot segments", ["b"], ["a", "..", "b"]],
    ["/../../b", "dot segments", ["b"], ["..", "..", "b"]],
    ["/a/..", "dot segments", [], ["a", ".."]],
    ["/a//b", "repeated slashes", ["a", "b"], ["a", "", "b"]],
  ])("%s: %s", (target, oddity, usual, asSent) => {
    const path = readPath(target);
    expect(path.oddity).toBe(oddity);
    expect(path.readings[0]).toEqual({ segments: usual, open: false });
    expect(path.readings).toContainEqual({ segments: asSent, open: false });
  });

  test("slashes merged before or after dot segments are resolved", () => {
    const lists = readPath("/a//../b").readings.map(({ segments }) => segments.join("/"));
    expect(new Set(lists)).toEqual(new Set(["b", "a/b", "a/../b", "a//../b"]));
  });

  test("two slashes in front: the first segment may be taken for a host", () => {
    const lists = readPath("//a/b").readings.map(({ segments }) => segments.join("/"));
    expect(new Set(lists)).toEqual(new Set(["a/b", "/a/b", "b"]));
  });
});

describe("readPath, a certain beginning and an unknown rest", () => {
  test.each([
    ["/a/b%2fc/d", ["a"], "an encoded slash"],
    ["/a/b%2Fc", ["a"], "an encoded slash"],
    ["/%2fa", [], "an encoded slash"],
    ["/a/b%5cc", ["a"], "a backslash"],
    ["/a/b\\c", ["a"], "a backslash"],
    ["/a/b%00.png", ["a"], "a NUL or other control character"],
    ["/a/b%0ac", ["a"], "a NUL or other control character"],
    ["/a/b%c2%85c", ["a"], "a NUL or other control character"],
    ["/a/b;c=d/e", ["a"], "path parameters"],
    ["/a/b%3Bc/e", ["a"], "path parameters"],
    ["/a/b%3fc", ["a"], "an encoded ? or #"],
    ["/a/b%23c", ["a"], "an encoded ? or #"],
    ["/a/%2541", ["a"], "double percent-encoding"],
    ["/a/b%252fc", ["a"], "an encoded slash"],
    ["/a/b%EF%BC%8Fc", ["a"], "an encoded slash"],
    ["/a/b%2fc/d%5ce", ["a"], "an encoded slash"],
  ])("%s", (target, segments, oddity) => {
    expect(readPath(target)).toEqual({ readings: [{ segments, open: true }], oddity });
  });
});

describe("readPath, nothing certain", () => {
  test.each([
    ["/a/..%2fb", "an encoded slash"],
    ["/a/..%5cb", "a backslash"],
    ["/a/..\\b", "a backslash"],
    ["/a/..;/b", "path parameters"],
    ["/a/..;x=y/b", "path parameters"],
    ["/a/.;/b", "path parameters"],
    ["/a/..%3bx/b", "path parameters"],
    ["/a/..%00/b", "a NUL or other control character"],
    ["/a/.%00./b", "a NUL or other control character"],
    ["/a/.%09./b", "a NUL or other control character"],
    ["/a/%252e%252e/b", "double percent-encoding"],
    ["/a/%25252e%25252e/b", "double percent-encoding"],
    ["/a/%252525252e/b", "double percent-encoding"],
    ["/a/%25zz%252e/b", "double percent-encoding"],
    ["/a/..%252fb", "an encoded slash"],
    ["/a/%EF%BC%8E%EF%BC%8E/b", "dot segments"],
    ["/a/%E2%80%A5/b", "dot segments"],
    ["/a/..%20/b", "dot segments"],
    ["/a/.../b", "dot segments"],
    ["/a/%c0%ae%c0%ae/b", "percent-encoded bytes that are not UTF-8"],
    ["/a/..%c0%afb", "percent-encoded bytes that are not UTF-8"],
    ["/a/%e0%80%ae/b", "percent-encoded bytes that are not UTF-8"],
    ["/a/%f0%80%80%ae/b", "percent-encoded bytes that are not UTF-8"],
    ["/a/%ed%a0%80", "percent-encoded bytes that are not UTF-8"],
    ["/a/%ff", "percent-encoded bytes that are not UTF-8"],
    ["/a/%", "invalid percent-encoding"],
    ["/a/%2", "invalid percent-encoding"],
    ["/a/%zz", "invalid percent-encoding"],
    ["/a/%u002e%u002e/b", "invalid percent-encoding"],
    ["/a/\u00e9", "characters that no path may hold"],
    ["/a b", "characters that no path may hold"],
    ["/a\0", "characters that no path may hold"],
    ["a/b", "characters that no path may hold"],
    ["", "characters that no path may hold"],
    ["*", "the server as a whole"],
    ["/a%2fb/../c", "an encoded slash"],
    ["//a/b%2fc", "an encoded slash"],
    ["/a".repeat(257), "too many segments"],
    ["/a".repeat(30_000), "too many segments"],
    [`/a${"%41".repeat(3_000)}`, "encoding in a very long path"],
  ])("%p: %s", (target, oddity) => {
    expect(readPath(target)).toEqual({ readings: [{ segments: [], open: true }], oddity });
  });

  test("a raw # is no path, whoever lets it through", () => {
    expect(readPath("/a/b#c")).toEqual({
      readings: [{ segments: ["a"], open: true }],
      oddity: "an encoded ? or #",
    });
  });

  test("a long path without anything to decode is read", () => {
    expect(readPath(`/${"a".repeat(60_000)}`).oddity).toBeUndefined();
  });

  test("256 segments are still read", () => {
    expect(readPath("/a".repeat(256)).readings[0]?.segments.length).toBe(256);
  });
});

describe("readSegment", () => {
  test.each([
    ["a", { text: "a" }],
    ["%41b", { text: "Ab" }],
    ["%C3%A9", { text: "é" }],
    ["", { problem: "repeated slashes" }],
    [".", { problem: "dot segments" }],
    ["..", { problem: "dot segments" }],
    ["%2e", { problem: "dot segments" }],
    ["...", { problem: "dot segments" }],
    ["a%2fb", { problem: "an encoded slash" }],
    ["a;b", { problem: "path parameters" }],
    ["%zz", { problem: "invalid percent-encoding" }],
    ["%252e", { problem: "double percent-encoding" }],
  ])("%j", (raw, read) => {
    expect(readSegment(raw)).toEqual(read);
  });
});

describe("foldSegment", () => {
  test.each([
    ["admin", "admin"],
    ["ADMIN", "admin"],
    ["Admin.", "admin"],
    ["admin. . ", "admin"],
    ["\u017fecret", "secret"],
    ["\uff41dmin", "admin"],
    ["\u212aey", "key"],
    ["\u0131d", "id"],
    ["e\u0301", "\u00e9"],
    ["\u00c9", "\u00e9"],
    ["...", ""],
    ["a.b", "a.b"],
  ])("%j becomes %j", (text, folded) => {
    expect(foldSegment(text)).toBe(folded);
  });
});
