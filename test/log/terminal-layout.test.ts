import { describe, expect, test } from "bun:test";
import { shortDuration, terminalLayout } from "../../src/log/terminal-layout.ts";
import type { RequestRecord } from "../../src/proxy/record.ts";
import { everyText, FORGERY, PLAIN } from "./records.ts";

const AT = new Date(2026, 0, 2, 3, 4, 5).getTime();
const plain = (columns = 80) => terminalLayout({ colour: false, columns: () => columns });
const row = (changes: Partial<RequestRecord>, columns = 80): string =>
  plain(columns).request(AT, "info", { ...PLAIN, ...changes });

describe("a request is one row, its columns aligned", () => {
  const cases: readonly (readonly [string, Partial<RequestRecord>, string])[] = [
    ["plain", {}, "03:04:05 INFO  200 GET       12ms api.example.com/v1/x\n"],
    [
      "with a grant",
      { grants: ["github"], injectedHeaders: ["authorization"] },
      "03:04:05 INFO  200 GET       12ms api.example.com/v1/x  with github\n",
    ],
    [
      "with a credential of no grant",
      { injectedHeaders: ["x-api-key"] },
      "03:04:05 INFO  200 GET       12ms api.example.com/v1/x  with x-api-key\n",
    ],
    [
      "denied",
      {
        method: "CONNECT",
        path: "",
        status: 407,
        denied: true,
        denyReason: "network-policy",
        durationMs: 0.21,
      },
      "03:04:05 INFO  407 CONNECT  0.2ms api.example.com  denied: network-policy\n",
    ],
    [
      "failed",
      { status: 502, error: "upstream closed", durationMs: 9_970 },
      "03:04:05 INFO  502 GET        10s api.example.com/v1/x  upstream closed\n",
    ],
    ["left", { status: 0 }, "03:04:05 INFO    - GET       12ms api.example.com/v1/x  the client left\n"],
    ["with its query", { query: "a=1" }, "03:04:05 INFO  200 GET       12ms api.example.com/v1/x?a=1\n"],
  ];
  for (const [name, changes, expected] of cases) test(name, () => expect(row(changes)).toBe(expected));
});

test("a long URL is cut so that the row ends with the terminal's last column", () => {
  for (const columns of [80, 100, 132]) {
    for (const grants of [[], ["github"]]) {
      const text = row({ path: `/${"x".repeat(300)}`, grants }, columns);
      expect(text).toHaveLength(columns + 1);
      expect(text).toContain("…");
    }
  }
});

test("a narrow terminal still shows which host", () => {
  expect(row({ path: `/${"x".repeat(300)}` }, 20)).toContain("api.example.com/xxxxxxx…\n");
});

test("the width is asked for row by row", () => {
  let columns = 80;
  const layout = terminalLayout({ colour: false, columns: () => columns });
  const long = { ...PLAIN, path: `/${"x".repeat(300)}` };
  expect(layout.request(AT, "info", long)).toHaveLength(81);
  columns = 60;
  expect(layout.request(AT, "info", long)).toHaveLength(61);
});

test("no control character reaches the terminal, from any field", () => {
  const { request, line } = plain();
  for (const text of [
    request(AT, "info", everyText(FORGERY)),
    request(AT, "info", { ...everyText(FORGERY), error: undefined }),
    request(AT, "info", { ...everyText(FORGERY), error: undefined, denied: false }),
    line(AT, "info", FORGERY, { field: FORGERY }),
  ]) {
    expect(text.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u202e]/u);
    expect(text.endsWith("\n")).toBe(true);
  }
});

test("any other line: its fields stand behind two spaces", () => {
  expect(plain().line(AT, "warn", "listening", { url: "http://x", n: 1, gone: undefined })).toBe(
    "03:04:05 WARN  listening  url=http://x n=1\n",
  );
  expect(plain().line(AT, "info", "bare", {})).toBe("03:04:05 INFO  bare\n");
});

test("colour changes nothing but the colour", () => {
  const coloured = terminalLayout({ colour: true, columns: () => 80 });
  const sgr = new RegExp(`${String.fromCharCode(27)}\\[[0-9]+m`, "g");
  for (const [level, status] of [
    ["info", 200],
    ["info", 302],
    ["info", 0],
    ["warn", 404],
    ["error", 502],
  ] as const) {
    const record = { ...PLAIN, status, grants: ["github"] };
    const text = coloured.request(AT, level, record);
    expect(text).toMatch(sgr);
    expect(text.replaceAll(sgr, "")).toBe(plain().request(AT, level, record));
  }
  expect(coloured.line(AT, "info", "m", { k: 1 }).replaceAll(sgr, "")).toBe("03:04:05 INFO  m  k=1\n");
});

for (const [ms, text] of [
  [0, "0.0ms"],
  [0.26, "0.3ms"],
  [9.94, "9.9ms"],
  [9.96, "10ms"],
  [999.4, "999ms"],
  [999.6, "1.0s"],
  [9_949, "9.9s"],
  [9_960, "10s"],
  [59_400, "59s"],
  [59_600, "1min"],
  [5_900_000, "98min"],
  [6_000_000, "2h"],
  [86_400_000 * 30, "720h"],
] as const) {
  test(`${ms} ms is ${text}`, () => expect(shortDuration(ms)).toBe(text));
}
