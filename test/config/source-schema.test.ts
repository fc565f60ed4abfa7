import { expect, test } from "bun:test";
import { sourceOf, sourceSchema } from "../../src/config/source-schema.ts";
import { Secret } from "../../src/values/secret.ts";

const cases: readonly (readonly [object, object])[] = [
  [
    { type: "env", var: "X" },
    { type: "env", variable: "X" },
  ],
  [
    { type: "file", path: "/run/secret" },
    { type: "file", path: "/run/secret" },
  ],
  [
    { type: "process", command: "print-token" },
    { type: "process", command: "print-token", ttlMs: 300_000 },
  ],
  [
    { type: "process", command: "print-token", ttl: "1h" },
    { type: "process", command: "print-token", ttlMs: 3_600_000 },
  ],
  [
    { type: "store", provider: "mcp-linear" },
    { type: "store", provider: "mcp-linear", profile: undefined },
  ],
  [
    { type: "store", provider: "github", profile: "work" },
    { type: "store", provider: "github", profile: "work" },
  ],
];
for (const [written, meant] of cases) {
  test(JSON.stringify(written), () => expect(sourceOf(sourceSchema.parse(written)) as object).toEqual(meant));
}

test("a static value becomes a Secret", () => {
  const source = sourceOf(sourceSchema.parse({ type: "static", value: "hunter2" }));
  expect(source).toEqual({ type: "static", value: expect.any(Secret) });
});

test.each([
  [{ type: "process", command: "" }],
  [{ type: "process", command: "x", ttl: "0" }],
  [{ type: "process", command: "x", ttl: 300 }],
  [{ type: "file", path: "" }],
  [{ type: "file", path: "x", value: "y" }],
  [{ type: "store" }],
  [{ type: "store", provider: "../github" }],
  [{ type: "store", provider: "github", profile: "" }],
  [{ type: "store", provider: "github", profile: "../work" }],
  [{ type: "store", provider: "github", path: "x" }],
  [{ type: "aws-secretsmanager", secret: "x" }],
])("refused: %j", (source) => expect(sourceSchema.safeParse(source).success).toBe(false));
