import { describe, expect, test } from "bun:test";
import { MintLimiter, type MintLimiterOptions } from "../../src/x509/mint-limiter.ts";

function open(options: Omit<MintLimiterOptions, "now"> = {}) {
  const clock = { ms: 1_000_000 };
  const limiter = new MintLimiter({ ...options, now: () => clock.ms });
  const allowed = (client: string, tries: number): number =>
    Array.from({ length: tries }, () => limiter.allow(client)).filter(Boolean).length;
  return { limiter, clock, allowed };
}

test("50 leaves at once, then none, and other clients are not touched", () => {
  const { allowed } = open();
  expect(allowed("192.0.2.1", 80)).toBe(50);
  expect(allowed("192.0.2.2", 80)).toBe(50);
  expect(allowed("192.0.2.1", 10)).toBe(0);
});

describe("the allowance comes back with time", () => {
  test.each([
    [0, 0],
    [19, 0],
    [20, 1],
    [500, 25],
    [1000, 50],
    [60_000, 50],
    [-5000, 0],
  ])("after %i ms: %i", (ms, expected) => {
    const { clock, allowed } = open();
    allowed("192.0.2.1", 50);
    clock.ms += ms;
    expect(allowed("192.0.2.1", 100)).toBe(expected);
  });

  test("in small steps too, and refused tries do not delay it", () => {
    const { clock, allowed } = open();
    allowed("192.0.2.1", 50);
    let won = 0;
    for (let i = 0; i < 1000; i++) {
      clock.ms += 1;
      won += allowed("192.0.2.1", 3);
    }
    expect(won).toBeGreaterThanOrEqual(49);
    expect(won).toBeLessThanOrEqual(50);
  });

  test("also after a clock that went back", () => {
    const { clock, allowed } = open();
    allowed("192.0.2.1", 50);
    clock.ms -= 3_600_000;
    expect(allowed("192.0.2.1", 10)).toBe(0);
    clock.ms += 1000;
    expect(allowed("192.0.2.1", 60)).toBe(50);
  });
});

describe("the table of clients is bounded", () => {
  test("a client that has refilled makes room", () => {
    const { limiter, clock, allowed } = open({ perSecond: 2, maxClients: 3 });
    for (const client of ["a", "b", "c"]) allowed(client, 2);
    clock.ms += 1000;
    expect(allowed("d", 3)).toBe(2);
    expect(limiter.clients).toBe(3);
  });

  test("a used-up allowance is never forgotten early, so a flood of addresses wins nothing", () => {
    const { limiter, clock, allowed } = open({ perSecond: 2, maxClients: 3 });
    for (const client of ["a", "b", "c"]) allowed(client, 2);
    clock.ms += 499;
    expect(allowed("d", 1)).toBe(0);
    expect(allowed("a", 1)).toBe(0);
    expect(limiter.clients).toBe(3);
  });
});
