// The transformers that docs/response-transformers.md shows, run as they stand there.

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beginCustom } from "../../src/proxy/custom-transform.ts";
import type { ResponseTransformer } from "../../src/transform/body-stage.ts";
import { AnswerSink, answered, asked } from "../support/answer-sink.ts";
import { blocks } from "../support/documents.ts";
import { scratchDir } from "../support/scratch.ts";

const NAMES = ["withoutEmail", "capitals", "marked", "counted"] as const;

async function example(name: string): Promise<ResponseTransformer> {
  const path = join(scratchDir("moat-examples-"), "examples.ts");
  const source = blocks("docs/response-transformers.md", "ts").join("\n");
  writeFileSync(path, `${source}\nexport { ${NAMES.join(", ")} };`);
  return ((await import(path)) as Record<string, ResponseTransformer>)[name] as ResponseTransformer;
}

async function run(name: string, path: string): Promise<AnswerSink> {
  const transform = await example(name);
  const sink = new AnswerSink();
  const body = '{"email":"e","name":"n"}';
  const head = answered(200, [["Content-Length", String(body.length)]]);
  const stage = beginCustom([transform], asked({ path }), head, sink);
  stage.write(Buffer.from(body));
  stage.end();
  await sink.over();
  expect(sink.breaches).toEqual([]);
  return sink;
}

describe("the examples of the document", () => {
  const whole = '{"email":"e","name":"n"}';
  const json = "content-type: application/json;charset=utf-8";
  test.each([
    ["withoutEmail", "/user", '{"name":"n"}', json],
    ["withoutEmail", "/other", whole, "Content-Length: 24"],
    ["capitals", "/", whole.toUpperCase(), undefined],
    ["marked", "/", whole, "x-checked: yes"],
    ["counted", "/", whole, "Content-Length: 24"],
  ])("do what they say: %s of %s", async (name, path, body, last) => {
    const sink = await run(name, path);
    expect(sink.text).toBe(body);
    expect(sink.lines.slice(1).at(-1)).toBe(last as string);
  });
});
