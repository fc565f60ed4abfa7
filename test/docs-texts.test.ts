// What the documents quote from the program: error texts, metrics, fields of records, the flags of the shipped unit.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { readServeFlags } from "../src/cli/serve-flags.ts";
import { NOT_YET, SOURCE_FIELDS, SOURCE_TYPES } from "../src/config/known-keys.ts";
import { quoted, ROOT, read } from "./support/documents.ts";

const SRC = join(ROOT, "src");
const sources = [...new Bun.Glob("**/*.ts").scanSync({ cwd: SRC })].sort().map((path) => ({
  path,
  // As the reader sees it: quotes without the backslash of a string.
  text: read(join("src", path)).replaceAll('\\"', '"'),
}));

const section = (document: string, heading: string): string =>
  `\n${read(document)}`.split(`\n${heading}\n`)[1]?.split(/^## /m)[0] ?? "";

describe("troubleshooting.md", () => {
  const headings = read("docs/troubleshooting.md").match(/^### .*$/gm) ?? [];
  const texts = headings.flatMap(quoted);

  test("has many texts, each once", () => {
    expect(texts.length).toBeGreaterThan(40);
    expect(texts.filter((text, i) => texts.indexOf(text) !== i)).toEqual([]);
  });

  test.each(texts.map((text) => [text]))("quotes the program: %j", (text) => {
    const parts = text.split("…").filter((part) => part.trim() !== "");
    const holders = sources.filter((source) => parts.every((part) => source.text.includes(part)));
    expect(holders.length).toBeGreaterThan(0);
  });

  test("names every text that a client can get for a refusal", () => {
    const refusals = read("src/proxy/refusals.ts").match(/"Moat: [^"]+"/g) ?? [];
    expect(refusals.length).toBeGreaterThan(4);
    const missing = refusals.map((text) => text.slice(1, -1)).filter((text) => !texts.includes(text));
    expect(missing).toEqual([]);
  });

  test("names every text of a 502, 503 or 504", () => {
    const code = sources.map(({ text }) => text).join("\n");
    const upstream =
      /new ProxyError\("(?:dial-failed|certificate-rejected|upstream-closed|bad-response|unasked-upgrade|response-timeout|too-many-[a-z]+|credential-failed|transform-failed|run-unresolved)", "([^"]+)"/g;
    const said = [...code.matchAll(upstream)].map(([, text]) => text ?? "");
    expect(said.length).toBeGreaterThan(5);
    // One that check makes for itself and prints nowhere, and details of what is told in general.
    const known = [
      ...texts,
      "check fetches no secret",
      "the upstream sent too many interim answers",
      "the rewritten endpoint event is more than one line",
      "the run of this token could not be looked up in time",
    ];
    expect(said.filter((text) => !known.includes(text) && !/^malformed/.test(text))).toEqual([]);
  });
});

describe("observability.md", () => {
  const inCode = (paths: readonly string[], pattern: RegExp): string[] => [
    ...new Set(paths.flatMap((path) => [...read(path).matchAll(pattern)].map(([, name]) => name ?? ""))),
  ];
  const table = (heading: string): string[] =>
    section("docs/observability.md", heading)
      .split("\n")
      .filter((line) => line.startsWith("| `"))
      .flatMap((line) => quoted(line.split(" | ")[0] ?? ""));

  test("lists every metric, and no other", () => {
    const made = inCode(["src/metrics/metrics.ts", "src/metrics/gauges.ts"], /"((?:moat|process)_[a-z_]+)"/g);
    expect(table("## Metrics").sort()).toEqual(made.sort());
  });

  test("lists every field of a record, and no other", () => {
    const made = inCode(["src/log/json-layout.ts"], /[{,`]"([a-z_]+)":/g).map((name) =>
      name === "header_" ? "header_…" : name,
    );
    const listed = table("## Logs").filter((name) => name !== "header_…");
    expect(listed.sort()).toEqual(made.sort());
  });

  test("shows a record with fields of the table only", () => {
    const [line = ""] = read("docs/observability.md").match(/^\{"time".*$/m) ?? [];
    expect(Object.keys(JSON.parse(line)).filter((key) => !table("## Logs").includes(key))).toEqual([]);
  });
});

describe("what is not supported yet", () => {
  const later = [
    ...Object.values(NOT_YET).flat(),
    ...Object.keys(SOURCE_FIELDS).filter((type) => !SOURCE_TYPES.some((known) => known === type)),
  ];

  test.each([["docs/configuration.md"], ["docs/migrating-from-gatekeeper.md"]])(
    "is told in %s",
    (document) => {
      const words = quoted(section(document, "## Not supported yet"));
      expect([...new Set(later)].filter((key) => !words.some((word) => word.includes(key)))).toEqual([]);
    },
  );
});

describe("contrib/moat-proxy.service", () => {
  const unit = read("contrib/moat-proxy.service").replaceAll(/\\\n\s*/g, "");

  test("starts the proxy with flags that it takes", () => {
    const [, args = ""] = /^ExecStart=\/usr\/local\/bin\/moat-proxy serve (.*)$/m.exec(unit) ?? [];
    expect(readServeFlags(args.split(/\s+/)).port).toBe(8080);
  });

  test("lets systemd-notify speak, and the runtime compile", () => {
    expect(unit).toMatch(/^Type=notify$/m);
    expect(unit).toMatch(/^NotifyAccess=all$/m);
    expect(unit).not.toMatch(/^MemoryDenyWriteExecute=/m);
  });
});
