import { describe, expect, test } from "bun:test";
import { Metrics } from "../../src/metrics/metrics.ts";
import type { RequestRecord } from "../../src/proxy/record.ts";
import { PLAIN } from "../log/records.ts";
import { gaugeSources } from "./sources.ts";

function metrics(grants: readonly string[] = ["github", "openai"]): Metrics {
  return new Metrics({ version: "1.2.3", grants, gauges: gaugeSources() });
}

function scraped(records: readonly Partial<RequestRecord>[], counting = metrics()): string[] {
  for (const record of records) counting.observe({ ...PLAIN, ...record });
  return counting.render().split("\n");
}

/** The samples of a family that are not zero. */
function samples(lines: readonly string[], name: string): string[] {
  return lines.filter((line) => line.startsWith(name) && !line.endsWith(" 0"));
}

describe("a request counts once, under its kind of destination, status and verdict", () => {
  const cases: readonly (readonly [string, Partial<RequestRecord>, string])[] = [
    ["plain", {}, 'class="allowed",status="2xx",verdict="allowed"'],
    ["injected", { injectedHeaders: ["x"] }, 'class="credentialed",status="2xx",verdict="allowed"'],
    [
      "with a grant",
      { grants: ["github"], status: 404 },
      'class="credentialed",status="4xx",verdict="allowed"',
    ],
    ["denied", { denied: true, status: 407 }, 'class="denied",status="4xx",verdict="denied"'],
    ["failed", { error: "x", status: 502 }, 'class="allowed",status="5xx",verdict="failed"'],
    ["cut short", { error: "x", status: 200 }, 'class="allowed",status="2xx",verdict="failed"'],
    ["left", { status: 0 }, 'class="allowed",status="none",verdict="left"'],
    ["local", { local: true }, 'class="local",status="2xx",verdict="allowed"'],
    [
      "local and denied",
      { local: true, denied: true, status: 403 },
      'class="local",status="4xx",verdict="denied"',
    ],
    ["upgraded", { status: 101 }, 'class="allowed",status="1xx",verdict="allowed"'],
    ["a status of no class", { status: 999 }, 'class="allowed",status="none",verdict="allowed"'],
  ];
  for (const [name, record, labels] of cases)
    test(name, () =>
      expect(samples(scraped([record, record]), "moat_requests_total")).toEqual([
        `moat_requests_total{${labels}} 2`,
      ]),
    );
});

test("grants have series of their own, unknown ones share one", () => {
  const lines = scraped([
    { grants: ["github", "openai"] },
    { grants: ["github"] },
    { grants: ["who"] },
    { grants: [] },
  ]);
  expect(samples(lines, "moat_grant_requests_total").sort()).toEqual([
    'moat_grant_requests_total{grant="github"} 2',
    'moat_grant_requests_total{grant="openai"} 1',
    'moat_grant_requests_total{grant="other"} 1',
  ]);
});

test("a reload adds names and keeps what was counted", () => {
  const counting = metrics(["github"]);
  scraped([{ grants: ["github"] }], counting);
  counting.knowGrants(["github", "npm"]);
  expect(samples(scraped([{ grants: ["npm"] }], counting), "moat_grant_requests_total")).toEqual([
    'moat_grant_requests_total{grant="github"} 1',
    'moat_grant_requests_total{grant="npm"} 1',
  ]);
});

test("denials count by error code, without what was said of it", () => {
  const denied = (denyReason: string) => ({ denied: true, denyReason });
  const lines = scraped([
    denied("network-policy"),
    denied("network-policy"),
    denied("malformed-request: bad \u0000 bytes"),
    denied("Something else entirely"),
  ]);
  expect(samples(lines, "moat_denials_total").sort()).toEqual([
    'moat_denials_total{reason="malformed-request"} 1',
    'moat_denials_total{reason="network-policy"} 2',
    'moat_denials_total{reason="other"} 1',
  ]);
});

test("durations by kind of destination; what lasts as long as the client likes is left out", () => {
  const lines = scraped([
    { durationMs: 20 },
    { durationMs: 20_000 },
    { durationMs: 3_600_000, method: "CONNECT" },
    { durationMs: 3_600_000, status: 101 },
  ]);
  const name = "moat_request_duration_seconds";
  expect(lines).toContain(`${name}_bucket{class="allowed",le="0.01"} 0`);
  expect(lines).toContain(`${name}_bucket{class="allowed",le="0.025"} 1`);
  expect(lines).toContain(`${name}_bucket{class="allowed",le="+Inf"} 2`);
  expect(lines).toContain(`${name}_sum{class="allowed"} 20.02`);
  expect(lines).toContain(`${name}_count{class="allowed"} 2`);
  expect(lines).toContain(`${name}_count{class="local"} 0`);
});

test("bytes, version and gauges are there", () => {
  const lines = scraped([{ requestSize: 5, responseSize: 7 }, { responseSize: 1 }]);
  expect(lines).toContain("moat_request_body_bytes_total 5");
  expect(lines).toContain("moat_response_body_bytes_total 8");
  expect(lines).toContain('moat_build_info{version="1.2.3"} 1');
  expect(lines).toContain("moat_tunnels 2");
});

test("every line has the form of the exposition format, every family one type, every series one line", () => {
  const lines = scraped([{ grants: ["github"] }, { denied: true, denyReason: "destination", status: 403 }]);
  expect(lines.pop()).toBe("");
  const label = '[a-z]+="(?:[^"\\\\]|\\\\.)*"';
  const sample = new RegExp(`^([a-z_]+)(?:\\{${label}(?:,${label})*\\})? [0-9.e+-]+$`);
  const comment = /^# (?:HELP|TYPE) ([a-z_]+) \S.*$/;
  for (const line of lines) expect(line).toMatch(line.startsWith("#") ? comment : sample);
  const types = lines.filter((line) => line.startsWith("# TYPE "));
  expect(new Set(types.map((line) => line.split(" ")[2])).size).toBe(types.length);
  const series = lines
    .filter((line) => !line.startsWith("#"))
    .map((line) => line.slice(0, line.lastIndexOf(" ")));
  expect(new Set(series).size).toBe(series.length);
});

/** A number in the letters of an error code. */
function letters(number: number): string {
  return [...String(number)].map((digit) => "abcdefghij"[Number(digit)]).join("");
}

test("whatever clients ask for, the number of series is bounded, and none of it is shown", () => {
  const counting = metrics(Array.from({ length: 5_000 }, (_, i) => `grant-${i}`));
  const verdicts: readonly Partial<RequestRecord>[] = [
    {},
    { denied: true },
    { error: "hostile" },
    { local: true },
  ];
  for (let i = 0; i < 10_000; i++) {
    counting.observe({
      ...PLAIN,
      ...{
        requestId: `hostile-${i}`,
        method: `HOSTILE${i}`,
        host: `hostile-${i}.test`,
        path: `/hostile/${i}`,
      },
      ...{
        status: i % 1_000,
        userId: `hostile-${i}`,
        clientIp: `10.0.${i >> 8}.${i & 255}`,
        runId: `hostile-${i}`,
      },
      ...{ grants: [`grant-${i % 7_000}`, `hostile-${i}`], injectedHeaders: [`x-hostile-${i}`] },
      ...{
        denyReason: i % 2 === 0 ? `${letters(i)}: hostile` : `hostile\n"} ${i}`,
        query: `hostile=${i}`,
      },
      ...verdicts[i % 4],
    });
  }
  const text = counting.render();
  const series = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(series.length).toBeLessThan(400);
  expect(text.length).toBeLessThan(50_000);
  expect(text).not.toMatch(/hostile\.test|\/hostile|HOSTILE|10\.0\./);
  expect(series.filter((line) => line.startsWith("moat_grant_requests_total")).length).toBeLessThanOrEqual(
    101,
  );
  expect(series.filter((line) => line.startsWith("moat_denials_total")).length).toBeLessThanOrEqual(65);
});
