import { expect, test } from "bun:test";
import { shellWord } from "../../src/values/shell-word.ts";

const CASES = [
  "/home/me/.moat/ca.crt",
  "a b",
  "it's",
  "$(rm -rf x)",
  "a;b",
  "*",
  "",
  "`x`",
  "a\nb",
  "~/x",
  "!1",
];

for (const text of CASES) {
  test(`a shell reads ${JSON.stringify(text)} back as one word`, () => {
    const { stdout } = Bun.spawnSync(["sh", "-c", `printf '%s|' ${shellWord(text)}`]);
    expect(stdout.toString()).toBe(`${text}|`);
  });
}

test("a plain path stays as it is", () => expect(shellWord("/a/b-c_d.crt")).toBe("/a/b-c_d.crt"));
