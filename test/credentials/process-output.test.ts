// What a command printed, read as a secret; and what of its error output may be shown.

import { describe, expect, test } from "bun:test";
import { readOutput, readStderr } from "../../src/credentials/process-output.ts";

const NOW = Date.parse("2030-01-01T00:00:00Z");
const TTL = 300_000;

function read(text: string | Uint8Array): { value: string; expiresAt: number | undefined } {
  const { secret, expiresAt } = readOutput(Buffer.from(text as string), TTL, NOW);
  return { value: secret.reveal(), expiresAt };
}

describe("readOutput", () => {
  test.each([
    ["token\n", "token"],
    ["  token \r\n\n", "token"],
    ["Bearer a b", "Bearer a b"],
    ["to\x1b[0mken", "to[0mken"],
    ["to\0k\ten\x7f", "token"],
    ["one\ntwo", "onetwo"],
    ['"quoted"', '"quoted"'],
    ["[1]", "[1]"],
  ])("plain text %j lives for the ttl", (text, value) => {
    expect(read(text)).toEqual({ value, expiresAt: NOW + TTL });
  });

  test.each([
    ['{"token":"t"}', "t", NOW + TTL],
    ['{"value":"t"}', "t", NOW + TTL],
    [' {"token": " t\\n" } \n', "t", NOW + TTL],
    ['{"Version":1,"token":"t","Expiration":"2030-01-01T01:00:00Z"}', "t", NOW + 3_600_000],
    ['{"token":"t","Expiration":"2030-01-01T02:00:00.500+01:00"}', "t", NOW + 3_600_500],
    ['{"token":"t","expiration":"2030-01-01T00:00:01Z"}', "t", NOW + 1_000],
    ['{"token":"t","Expiration":null}', "t", NOW + TTL],
  ])("JSON %s", (text, value, expiresAt) => {
    expect(read(text)).toEqual({ value, expiresAt });
  });

  test.each([
    ["", "printed nothing"],
    [" \n\t", "printed nothing"],
    ["\x1b\x07", "printed nothing"],
    [Uint8Array.of(0x73, 0x33, 0xff), "not UTF-8"],
    ['{"token":"s3cr3t"', "begins like JSON, but is none"],
    ["{s3cr3t}", "begins like JSON, but is none"],
    ['{"access":"s3cr3t"}', 'without "token" or "value"'],
    ['{"Version":1,"AccessKeyId":"s3cr3t","SecretAccessKey":"s3cr3t"}', "AWS keys"],
    ['{"token":"s3cr3t","value":"s3cr3t"}', "one of them is enough"],
    ['{"token":5}', "is no string"],
    ['{"token":null}', 'without "token" or "value"'],
    ['{"token":{"value":"s3cr3t"}}', "is no string"],
    ['{"token":" "}', "empty secret"],
    ['{"token":"s3cr3t","Expiration":"tomorrow"}', "no RFC 3339 time"],
    ['{"token":"s3cr3t","Expiration":"2030-01-01"}', "no RFC 3339 time"],
    ['{"token":"s3cr3t","Expiration":"2030-13-01T00:00:00Z"}', "no RFC 3339 time"],
    ['{"token":"s3cr3t","Expiration":1893456000}', "no RFC 3339 time"],
    ['{"token":"s3cr3t","Expiration":"2030-01-01T00:00:00Z"}', "already expired"],
    ['{"token":"s3cr3t","Expiration":"2029-12-31T23:59:59Z"}', "already expired"],
  ])("%j is refused without being shown", (text, problem) => {
    let message = "";
    try {
      read(text);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain(problem);
    expect(message).not.toContain("s3cr3t");
    expect(message).not.toContain("\n");
  });
});

describe("readStderr", () => {
  test.each([
    ["", "", ""],
    ["not signed in\n", "", "not signed in"],
    ["line one\r\nline two\n", "", "line one line two"],
    ["\x1b[31mred\x1b[0m\x00", "", "[31mred[0m"],
    ["+ echo s3cr3t-value", "s3cr3t-value\n", "+ echo [secret]"],
    ["got s3cr3t-value, s3cr3t-value", '{"token": "s3cr3t-value"}', "got [secret], [secret]"],
    ["an error", "an", "an error"],
  ])("%j beside %j becomes %j", (stderr, stdout, shown) => {
    expect(readStderr(Buffer.from(stderr), Buffer.from(stdout))).toBe(shown);
  });

  test("at most 256 characters, the last ones, whole", () => {
    const shown = readStderr(Buffer.from(`${"x".repeat(500)}${"\u{1f511}".repeat(100)}`), Buffer.alloc(0));
    expect([...shown].length).toBe(256);
    expect(shown).toEndWith("\u{1f511}".repeat(100));
    expect(shown.isWellFormed()).toBe(true);
  });
});
