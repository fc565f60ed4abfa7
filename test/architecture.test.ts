// The rules of the layout, checked on every source file; and each rule fed with a sample that must displease it,
// so that a rule which has gone blind is noticed.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  cycles,
  isSynchronous,
  missingTests,
  RULES,
  type SourceFile,
  sourceFile,
} from "./support/architecture-rules.ts";
import { importsOf, tokenize } from "./support/source-tokens.ts";

const SRC = join(import.meta.dir, "../src");
const sources: readonly SourceFile[] = [...new Bun.Glob("**/*").scanSync({ cwd: SRC, onlyFiles: true })]
  .sort()
  .map((path) => sourceFile(path, readFileSync(join(SRC, path), "utf8")));

/** Sources without a mirrored test: pure types and constants, and entries that only join what is tested elsewhere. */
const UNTESTED = [
  "api/types.ts",
  "config/config.ts",
  "http1/head.ts",
  "http1/limits.ts",
  "index.ts",
  "main.ts",
  "proxy/decision.ts",
  "proxy/exchange/exchange-owner.ts",
  "proxy/ports.ts",
  "proxy/record.ts",
  "transform/body-stage.ts",
];

describe("the source tree", () => {
  test("is there, and every file of it is TypeScript", () => {
    expect(sources.length).toBeGreaterThan(10);
    expect(sources.map(({ path }) => path).filter((path) => !path.endsWith(".ts"))).toEqual([]);
  });

  for (const [name, rule] of Object.entries(RULES)) {
    test(`keeps the rule: ${name}`, () => {
      expect(sources.flatMap(rule)).toEqual([]);
    });
  }

  test("has no import cycles", () => {
    expect(cycles(sources)).toEqual([]);
  });

  test("has a mirrored test for every file", () => {
    const tests = [...new Bun.Glob("**/*.test.ts").scanSync({ cwd: import.meta.dir })];
    const paths = sources.map(({ path }) => path);
    expect(missingTests(paths, tests, UNTESTED)).toEqual([]);
  });

  test("every import that Bun's parser finds is found by ours", () => {
    const transpiler = new Bun.Transpiler({ loader: "ts" });
    const missed = sources.flatMap(({ path, text, imports }) => {
      const ours = new Set(imports.map(({ specifier }) => specifier));
      return transpiler
        .scanImports(text)
        .filter((found) => !ours.has(found.path))
        .map((found) => `${path}: ${found.path}`);
    });
    expect(missed).toEqual([]);
  });
});

const HEADER = "// What it is.\n// What it may not do.\n";
const LONG = `${HEADER}${"x;\n".repeat(400)}`;

/** [rule, path, bad code, what the complaint says] */
const BAD: readonly (readonly [string, string, string, string])[] = [
  ["layering", "http1/a.ts", 'import { b } from "../policy/b.ts";', "http1 may not import policy"],
  ["layering", "proxy/a.ts", 'import type { B } from "../net/b.ts";', "proxy may not import net"],
  ["layering", "http1/a.ts", 'import { b } from "../x509/b.ts";', "http1 may not import x509"],
  ["layering", "values/a.ts", 'export * from "../run/b.ts";', "values may not import run"],
  ["layering", "net/a.ts", 'const b = import("../app.ts");', "net may not import app"],
  ["layering", "app.ts", 'import "./cli/b.ts";', "app may not import cli"],
  ["layering", "net/a.ts", 'import type { B } from "../../test/b.ts";', "leads out of src"],
  ["layering", "helper/a.ts", "", "no place in the order"],
  ["extensions", "http1/a.ts", 'import { b } from "./b";', "lacks its .ts extension"],
  ["packages", "net/a.ts", 'import forge from "node-forge";', "node-forge belongs in x509 only"],
  ["packages", "x509/a.ts", 'import { STS } from "@aws-sdk/client-sts";', "@aws-sdk belongs in aws only"],
  ["packages", "app.ts", 'import { runMain } from "citty";', "citty belongs in main, cli only"],
  ["packages", "net/a.ts", 'import leftPad from "left-pad";', "left-pad is not allowed"],
  ["packages", "proxy/a.ts", 'import type { Socket } from "bun";', "bun belongs in net, control only"],
  ["sockets", "proxy/a.ts", "Bun.listen({});", "listen"],
  ["sockets", "cli/a.ts", "await Bun.connect({});", "connect"],
  ["sockets", "cli/demo.ts", "Bun.serve({});", "serve"],
  ["sockets", "app.ts", "socket.upgradeTLS({});", "upgradeTLS"],
  ["sockets", "cli/a.ts", 'import { connect } from "node:net";', "node:net"],
  ["sockets", "policy/a.ts", 'import * as net from "node:net";', "node:net"],
  ["sockets", "proxy/a.ts", 'await fetch("https://a.test/");', "fetch"],
  ["llhttp", "http1/a.ts", 'process.binding("http_parser");', "llhttp"],
  ["llhttp", "net/a.ts", 'const p = process as unknown as B; p.binding("x");', "llhttp"],
  ["synchronous", "http1/a.ts", "export async function f() {}", "async"],
  ["synchronous", "policy/a.ts", "const x = await y;", "await"],
  ["synchronous", "http1/a.ts", "interface A { f(): Promise<void> }", "Promise"],
  ["synchronous", "inject/a.ts", "return new Promise(f);", "Promise"],
  ["synchronous", "inject/a.ts", "source.get().then(use);", "then"],
  ["synchronous", "proxy/exchange/a.ts", "setTimeout(f, 5);", "setTimeout"],
  ["synchronous", "proxy/tunnel.ts", "queueMicrotask(f);", "queueMicrotask"],
  ["synchronous", "proxy/client-session.ts", "process.nextTick(f);", "nextTick"],
  ["size", "net/a.ts", LONG, "402 lines, at most 400"],
  ["naming", "values/utils.ts", "", "says nothing"],
  ["naming", "net/socket-helper.ts", "", "says nothing"],
  ["naming", "common/a.ts", "", "says nothing"],
  ["naming", "net/upstreamPool.ts", "", "kebab-case"],
  ["header", "net/a.ts", "export const a = 1;\n", "0 comment lines"],
  ["header", "net/a.ts", "// One line.\nexport const a = 1;\n", "1 comment lines"],
  ["header", "net/a.ts", "// x\n".repeat(7), "comment lines"],
  ["language", "net/a.ts", "const a: any = 1;", "any"],
  ["language", "net/a.ts", "const a = <any>b;", "any"],
  ["language", "net/a.ts", "interface A { any: any }", "any"],
  ["language", "net/a.ts", "export default a;", "default export"],
  ["language", "net/a.ts", "export { a as default };", "default export"],
  ["language", "net/a.ts", "const enum A { B }", "enum"],
  ["language", "net/a.ts", "// @ts-ignore\nf();", "@ts-ignore"],
  ["language", "net/a.ts", "/* biome-ignore lint: no */ f();", "biome-ignore"],
  ["world", "proxy/a.ts", "const t = Date.now();", "now"],
  ["world", "x509/a.ts", "const t = new Date();", "Date"],
  ["world", "policy/a.ts", "process.env.HOME;", "env"],
  ["world", "run/a.ts", 'import { randomBytes } from "node:crypto";', "randomBytes"],
  ["world", "x509/a.ts", "Math.random();", "random"],
];

/** [rule, path, code that looks like a breach and is none] */
const GOOD: readonly (readonly [string, string, string])[] = [
  ["layering", "proxy/a.ts", 'import type { B } from "../run/b.ts"; import { c } from "./exchange/c.ts";'],
  [
    "layering",
    "http1/a.ts",
    '// import { b } from "../net/b.ts";\nconst s = `import { b } from "../net/b.ts"`;',
  ],
  ["packages", "net/a.ts", 'import { isIP } from "node:net"; import type { Socket } from "bun";'],
  ["packages", "cli/a.ts", 'import { defineCommand } from "citty";'],
  ["sockets", "net/a.ts", 'import { connect } from "node:net"; Bun.listen({}); s.upgradeTLS({});'],
  ["sockets", "values/a.ts", 'import { isIP, BlockList } from "node:net";'],
  ["sockets", "credentials/a.ts", "vault.fetch(key); interface A { fetch(): B } class C { fetch(k) {} }"],
  ["llhttp", "http1/llhttp.ts", 'process.binding("http_parser");'],
  ["synchronous", "inject/a.ts", "export interface A { peek(): B | Promise<B> }"],
  ["synchronous", "proxy/suspend.ts", "export async function f() { await g(); }"],
  ["synchronous", "http1/a.ts", '// never async\nconst s = "await Promise setTimeout";'],
  ["size", "net/a.ts", LONG.replace("x;\nx;\n", "")],
  ["naming", "values/command-line.ts", ""],
  ["header", "net/a.ts", `${HEADER}\nexport const a = 1;\n`],
  ["language", "net/a.ts", "interface A { any: B; c: { any?: D } }"],
  ["language", "net/a.ts", 'const many = "any"; if (list.any()) f(); switch (a) { default: b(); }'],
  ["world", "net/a.ts", "const t = performance.now(); const e = process.env.HOME;"],
  ["world", "x509/a.ts", 'import { randomBytes } from "node:crypto"; const d = new Date(now);'],
];

/** A sample as part of a test's name. */
function sample(code: string): string {
  return JSON.stringify(code.length > 60 ? `${code.slice(0, 60)}…` : code);
}

describe("each rule", () => {
  for (const [name, path, code, complaint] of BAD) {
    test(`${name} objects in ${path} to ${sample(code)}`, () => {
      const complaints = RULES[name]?.(sourceFile(path, code)) ?? [];
      expect(complaints.join("\n")).toContain(complaint);
    });
  }

  for (const [name, path, code] of GOOD) {
    test(`${name} accepts in ${path}: ${sample(code)}`, () => {
      expect(RULES[name]?.(sourceFile(path, code))).toEqual([]);
    });
  }

  test("has a sample that displeases it and one that does not", () => {
    const names = Object.keys(RULES);
    expect(names.filter((name) => !BAD.some(([rule]) => rule === name))).toEqual([]);
    expect(names.filter((name) => !GOOD.some(([rule]) => rule === name && name !== "extensions"))).toEqual([
      "extensions",
    ]);
  });

  test("the synchronous rule covers the folders and files of the per-byte path", () => {
    const covered = ["http1/a.ts", "policy/a.ts", "inject/a.ts", "proxy/exchange/a.ts", "proxy/tunnel.ts"];
    expect(covered.filter((path) => !isSynchronous(path))).toEqual([]);
    expect(["proxy/suspend.ts", "net/dial.ts", "run/registry.ts"].filter(isSynchronous)).toEqual([]);
  });
});

describe("cycles", () => {
  const files = (graph: Readonly<Record<string, string>>): SourceFile[] =>
    Object.entries(graph).map(([path, target]) =>
      sourceFile(path, target && `import type { X } from "${target}";`),
    );

  test("finds a cycle, through type-only imports and folders too", () => {
    const graph = { "net/a.ts": "./b.ts", "net/b.ts": "../values/c.ts", "values/c.ts": "../net/a.ts" };
    expect(cycles(files(graph))).toEqual([["net/a.ts", "net/b.ts", "values/c.ts", "net/a.ts"]]);
  });

  test("finds a file that imports itself", () => {
    expect(cycles(files({ "net/a.ts": "./a.ts" }))).toEqual([["net/a.ts", "net/a.ts"]]);
  });

  test("accepts a diamond", () => {
    const graph = { "net/a.ts": "./c.ts", "net/b.ts": "./c.ts", "net/c.ts": "", "net/d.ts": "./a.ts" };
    expect(cycles(files(graph))).toEqual([]);
  });
});

describe("mirrored tests", () => {
  test("names a file without a test", () => {
    expect(missingTests(["net/a.ts", "net/b.ts"], ["net/a.test.ts"], [])).toEqual([
      "src/net/b.ts has no test/net/b.test.ts",
    ]);
  });
  test("accepts an exception, and rejects one that has become stale", () => {
    expect(missingTests(["net/b.ts"], [], ["net/b.ts"])).toEqual([]);
    expect(missingTests(["net/b.ts"], ["net/b.test.ts"], ["net/b.ts"])).toHaveLength(1);
  });
});

describe("the lexer", () => {
  const kinds = (source: string): string[] => tokenize(source).map(({ kind, text }) => `${kind}:${text}`);

  test("tells comments, strings, templates and regular expressions from code", () => {
    expect(kinds('a // "b"\n"// c"')).toEqual(["word:a", 'comment:// "b"', "string:// c"]);
    expect(kinds("`a $" + "{b({})} // $" + "{`c`}`")).toEqual([
      "template:a ",
      "word:b",
      "punctuation:(",
      "punctuation:{",
      "punctuation:}",
      "punctuation:)",
      "template: // ",
      "template:c",
      "template:",
    ]);
    expect(kinds("x = /[/]\"'/g; y = a / b")).toContain("regexp:/[/]\"'/g");
    expect(kinds("y = a / b / c").filter((token) => token.startsWith("regexp"))).toEqual([]);
  });

  test("counts lines", () => {
    expect(tokenize("/*\n*/ a\n`\n` b").map(({ line }) => line)).toEqual([1, 2, 3, 4]);
  });

  test("reads every form of import", () => {
    const source = `
      import a, { type b, c as d, type } from "m1";
      import type { e } from "m2";
      import * as f from 'm3';
      import "m4";
      export { g } from "m5";
      export * from "m6";
      export type { h } from "m7";
      const i = await import("m8");
      export const from = "m9";
      export type J = { from: "m10" };
      const k = import.meta.dir;`;
    const found = importsOf(tokenize(source));
    expect(found.map(({ specifier }) => specifier)).toEqual(["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"]);
    expect(found[0]?.names).toEqual(["b", "c", "type"]);
    expect(found[0]?.line).toBe(2);
  });
});
