import { describe, expect, test } from "bun:test";
import { fileSchema } from "../../src/config/schema.ts";

const credential = { host: "a.example", source: { type: "static", value: "v" } };

describe("accepts", () => {
  const cases: readonly (readonly [string, object])[] = [
    ["nothing", {}],
    ["empty sections", { proxy: {}, tls: {}, credentials: [], network: {}, limits: {}, log: {} }],
    [
      "the empty spellings of the reference",
      { credentials: [{ ...credential, prefix: "", format: "", grant: "" }] },
    ],
    ["the last port", { proxy: { port: 65_535 }, tls: { plain_ports: [1, 65_535] } }],
  ];
  for (const [name, data] of cases) test(name, () => expect(fileSchema.safeParse(data).success).toBe(true));
});

describe("refuses", () => {
  const cases: readonly (readonly [string, object])[] = [
    ["a fraction as a port", { proxy: { port: 80.5 } }],
    ["a negative port", { proxy: { port: -1 } }],
    ["port 0 as a plain port", { tls: { plain_ports: [0] } }],
    ["no connections at all", { limits: { max_connections: 0 } }],
    ["a bare number as a duration", { limits: { dial_timeout: 10 } }],
    ["a credential without a host", { credentials: [{ source: credential.source }] }],
    ["a credential without a source", { credentials: [{ host: "a.example" }] }],
    ["a line break in a label", { credentials: [{ ...credential, prefix: "a\nb" }] }],
    ["a hop-by-hop field as a credential", { credentials: [{ ...credential, header: "Transfer-Encoding" }] }],
    ["a word as a boolean", { tls: { intercept: "yes" } }],
  ];
  for (const [name, data] of cases) test(name, () => expect(fileSchema.safeParse(data).success).toBe(false));
});

test("what it makes of a secret prints [secret]", () => {
  const parsed = fileSchema.parse({ proxy: { auth_token: "hunter2" }, credentials: [credential] });
  expect(JSON.stringify(parsed)).not.toContain("hunter2");
  expect(parsed.proxy?.auth_token?.reveal()).toBe("hunter2");
});
