// Every source keeps the contract: each class that claims it has a test file that runs it.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const SRC = join(import.meta.dir, "../../src/credentials");

const sources = [...new Bun.Glob("*.ts").scanSync({ cwd: SRC })]
  .filter((name) => readFileSync(join(SRC, name), "utf8").includes("implements CredentialSource"))
  .sort();

describe("the contract of sources", () => {
  test("is claimed by the sources of wire.md section 2", () => {
    const wanted = ["env.ts", "file.ts", "process.ts", "static.ts", "store-source.ts"];
    expect(sources).toEqual(expect.arrayContaining(wanted));
  });

  test.each(sources)("is run by the test of %s", (name) => {
    const own = readFileSync(join(import.meta.dir, name.replace(/\.ts$/, ".test.ts")), "utf8");
    expect(own).toMatch(/^ {2}keepsTheSourceContract\(\{/m);
  });
});
