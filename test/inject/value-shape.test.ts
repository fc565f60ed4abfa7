// Value shaping, wire.md section 6.

import { describe, expect, test } from "bun:test";
import { shapeValue, type ValueFormat } from "../../src/inject/value-shape.ts";
import { Secret } from "../../src/values/secret.ts";

function shape(value: string, prefix?: string, format: ValueFormat = "", key = "authorization"): string {
  return shapeValue({ key, prefix, format }, new Secret(value));
}

const b64 = (text: string) => Buffer.from(text).toString("base64");

describe("value shaping", () => {
  test.each([
    ["sk-123", undefined, "Bearer sk-123"],
    ["gho_123", undefined, "Bearer gho_123"],
    ["github_pat_123", undefined, "Bearer github_pat_123"],
    ["ghp_123", undefined, "token ghp_123"],
    ["ghs_123", undefined, "token ghs_123"],
    ["GHP_123", undefined, "Bearer GHP_123"],
    ["sk-123", "token", "token sk-123"],
    ["ghp_123", "Bearer", "Bearer ghp_123"],
    ["sk-123", "House Scheme", "House Scheme sk-123"],
  ])(
    "ghp_ and ghs_ get token, an explicit prefix is put before, all others Bearer: %s, %s",
    (value, prefix, expected) => {
      expect(shape(value, prefix)).toBe(expected);
    },
  );

  test.each([
    ["Bearer abc", undefined],
    ["bearer abc", undefined],
    ["Basic dTpw", undefined],
    ["token ghp_123", undefined],
    ["Token token=abc", undefined],
    ["Digest username=a, realm=b", undefined],
    ["AWS4-HMAC-SHA256 Credential=x", undefined],
    ["Bearer abc", "token"],
    ["House abc", "House"],
    ["house abc", "House"],
  ])("a value that already has a scheme is kept: %s (prefix %s)", (value, prefix) => {
    expect(shape(value, prefix)).toBe(value);
  });

  test.each([
    ["correct horse battery", undefined, "Bearer correct horse battery"],
    ["Bearer", undefined, "Bearer Bearer"],
    ["Bearer:abc", undefined, "Bearer Bearer:abc"],
    ["bearer-abc def", undefined, "Bearer bearer-abc def"],
    ["two words", "token", "token two words"],
  ])("only a known scheme and a space count as a scheme: %s", (value, prefix, expected) => {
    expect(shape(value, prefix)).toBe(expected);
  });

  test("format basic gives Basic base64(prefix:value), whatever the value looks like", () => {
    expect(shape("ghp_1", "x-access-token", "basic")).toBe(`Basic ${b64("x-access-token:ghp_1")}`);
    expect(shape("pw", undefined, "basic")).toBe(`Basic ${b64(":pw")}`);
    expect(shape("a:b", "u", "basic")).toBe(`Basic ${b64("u:a:b")}`);
    expect(shape("Bearer x", "u", "basic")).toBe(`Basic ${b64("u:Bearer x")}`);
  });

  test("shaping is for Authorization only", () => {
    expect(shape("sk-123", undefined, "", "x-api-key")).toBe("sk-123");
    expect(shape("ghp_123", "token", "", "private-token")).toBe("ghp_123");
    expect(shape("pw", "u", "basic", "x-api-key")).toBe("pw");
  });

  test("latin1 characters pass unchanged", () => {
    expect(shape("clé")).toBe("Bearer clé");
  });
});

describe("a value that would not arrive as it is throws", () => {
  const CASES: [string, string][] = [
    ["", "is empty"],
    ["tok\r\nX-Evil: 1", "control character (0x0d)"],
    ["tok\nX", "contains a control character (0x0a)"],
    ["tok\n", "ends with a control character (0x0a)"],
    ["tok\0en", "control character (0x00)"],
    ["tok\ten", "control character (0x09)"],
    ["tok\x1ben", "control character (0x1b)"],
    ["tok\x7fen", "control character (0x7f)"],
    ["tok\u2028en", "outside latin1"],
    ["tokĊen", "outside latin1"],
    ["🔑", "outside latin1"],
    [" tok", "begins or ends with a space"],
    ["tok ", "begins or ends with a space"],
  ];
  for (const key of ["authorization", "x-api-key"]) {
    for (const format of ["", "basic", "raw", "bearer"] as const) {
      test.each(CASES)(`%j in ${key}, format "${format}": %s`, (value, problem) => {
        expect(() => shape(value, undefined, format, key)).toThrow(problem);
      });
    }
  }

  test("and the error does not hold it", () => {
    for (const [value] of CASES) {
      let text = "";
      try {
        shape(value.replace("tok", "s3cr3t"));
      } catch (error) {
        text = String(error);
      }
      expect(text).toContain("credential value");
      expect(text).not.toContain("s3cr3t");
    }
  });
});

describe("format raw takes the secret as it is, in any field", () => {
  test.each([
    ["sk-123", "authorization", undefined],
    ["ghp_123", "authorization", undefined],
    ["sk-123", "authorization", "token"],
    ["Bearer x", "authorization", "token"],
    ["sk-123", "x-api-key", undefined],
  ])("%s in %s, prefix %s", (value, key, prefix) => {
    expect(shape(value, prefix, "raw", key)).toBe(value);
  });
});

describe("format bearer puts Bearer before the secret, in any field, unless it has a scheme", () => {
  test.each([
    ["sk-123", "authorization", "Bearer sk-123"],
    ["ghp_123", "authorization", "Bearer ghp_123"],
    ["sk-123", "x-mcp-key", "Bearer sk-123"],
    ["Bearer sk-123", "authorization", "Bearer sk-123"],
    ["bearer sk-123", "x-mcp-key", "bearer sk-123"],
    ["Basic dTpw", "authorization", "Basic dTpw"],
    ["two words", "authorization", "Bearer two words"],
    ["Bearer", "authorization", "Bearer Bearer"],
  ])("%s in %s gives %s", (value, key, expected) => {
    expect(shape(value, undefined, "bearer", key)).toBe(expected);
    expect(shape(value, "token", "bearer", key)).toBe(expected);
  });
});
