import { describe, expect, test } from "bun:test";
import { CertificateAuthority } from "../../src/x509/ca.ts";
import { generateLeafKey } from "../../src/x509/leaf.ts";
import { LeafCache } from "../../src/x509/leaf-cache.ts";
import { DAY_MS, NOW } from "./support.ts";

const START = Math.floor(NOW.getTime() / 1000) * 1000;
const HOUR_MS = 3_600_000;
const { ca } = CertificateAuthority.generate(new Date(START));
const leafKey = generateLeafKey();

function open(capacity?: number, start = START) {
  const clock = { ms: start };
  const cache = new LeafCache({
    ca,
    leafKey,
    now: () => clock.ms,
    ...(capacity !== undefined && { capacity }),
  });
  return { cache, clock };
}

test("a second look gives the very same leaf", () => {
  const { cache } = open();
  expect(cache.has("a.test")).toBe(false);
  const leaf = cache.get("a.test", "name");
  expect(cache.has("a.test")).toBe(true);
  expect(cache.get("a.test", "name")).toBe(leaf);
  expect(cache.get("b.test", "name")).not.toBe(leaf);
  expect(cache.size).toBe(2);
});

test("all leaves share one key, made when none is given", () => {
  const cache = new LeafCache({ ca, now: () => START });
  const { keyPem } = cache.get("a.test", "name");
  expect(keyPem).toStartWith("-----BEGIN PRIVATE KEY-----");
  expect(cache.get("127.0.0.1", "ipv4").keyPem).toBe(keyPem);
  expect(open().cache.get("a.test", "name").keyPem).toBe(leafKey.pem);
});

test("the least recently used goes when the cache is full", () => {
  const { cache } = open(3);
  for (const host of ["a.test", "b.test", "c.test", "a.test", "d.test", "e.test"]) cache.get(host, "name");
  expect(cache.size).toBe(3);
  expect(["a.test", "b.test", "c.test", "d.test", "e.test"].filter((host) => cache.has(host))).toEqual([
    "a.test",
    "d.test",
    "e.test",
  ]);
});

test("holds 1000 leaves by default", () => {
  const { cache } = open();
  for (let i = 0; i < 1001; i++) cache.get(`h${i}.test`, "name");
  expect(cache.size).toBe(1000);
  expect(cache.has("h0.test")).toBe(false);
  expect(cache.has("h1.test")).toBe(true);
});

describe("a leaf is minted again", () => {
  const cases: [string, number, boolean][] = [
    ["not after five days", 5 * DAY_MS, false],
    ["not just before its last day", 6 * DAY_MS - 1, false],
    ["a day before it expires", 6 * DAY_MS, true],
    ["long after it expired", 30 * DAY_MS, true],
    ["not when the clock went back less than the backdating", -HOUR_MS, false],
    ["when the clock went back so far that it is not valid yet", -HOUR_MS - 1, true],
  ];
  test.each(cases)("%s", (_, step, renewed) => {
    const start = START + 30 * DAY_MS;
    const { cache, clock } = open(10, start);
    const first = cache.get("a.test", "name");
    clock.ms = start + step;
    expect(cache.has("a.test")).toBe(!renewed);
    expect(cache.get("a.test", "name") !== first).toBe(renewed);
    expect(cache.size).toBe(1);
    expect(cache.has("a.test")).toBe(true);
  });
});

describe("in the last week of the CA", () => {
  test("a leaf that ends with the CA is kept to its end, not minted at every call", () => {
    const { cache, clock } = open(10, ca.notAfter - 3 * DAY_MS);
    const leaf = cache.get("a.test", "name");
    expect(leaf.notAfter).toBe(ca.notAfter);
    for (const left of [2 * DAY_MS, DAY_MS, HOUR_MS, 1]) {
      clock.ms = ca.notAfter - left;
      expect(cache.get("a.test", "name")).toBe(leaf);
    }
  });

  test("an earlier leaf is replaced once", () => {
    const { cache, clock } = open(10, ca.notAfter - 8 * DAY_MS);
    const early = cache.get("a.test", "name");
    clock.ms = early.notAfter - HOUR_MS;
    const last = cache.get("a.test", "name");
    expect(last).not.toBe(early);
    expect(last.notAfter).toBe(ca.notAfter);
    expect(cache.get("a.test", "name")).toBe(last);
  });

  test("nothing is served once the CA has expired", () => {
    const { cache, clock } = open(10, ca.notAfter - DAY_MS);
    cache.get("a.test", "name");
    clock.ms = ca.notAfter + 1;
    expect(cache.has("a.test")).toBe(false);
    expect(() => cache.get("a.test", "name")).toThrow("the CA certificate of the proxy has expired");
  });
});
