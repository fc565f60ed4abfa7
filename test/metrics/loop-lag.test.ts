import { expect, test } from "bun:test";
import { LoopLag } from "../../src/metrics/loop-lag.ts";

/** A lag whose timer is called by hand. */
function lagged(): { lag: LoopLag; after: (ms: number) => void; pass: (ms: number) => void } {
  let now = 1_000;
  const lag = new LoopLag(() => now);
  lag.start();
  lag.stop();
  return {
    lag,
    after(ms) {
      now += ms;
      lag.sample();
    },
    pass(ms) {
      now += ms;
    },
  };
}

test("a timer on time is no lag, a late one is late by what exceeds the interval", () => {
  const { lag, after } = lagged();
  after(100);
  expect(lag.read()).toEqual({ now: 0, max: 0 });
  after(350);
  expect(lag.read()).toEqual({ now: 250, max: 250 });
  after(100);
  expect(lag.read()).toEqual({ now: 0, max: 250 });
});

test("a stall under way counts before its timer fires", () => {
  const { lag, pass } = lagged();
  pass(600);
  expect(lag.read()).toEqual({ now: 500, max: 500 });
});

test("the worst is remembered for at least half a minute and at most a minute", () => {
  const { lag, after } = lagged();
  after(400);
  for (let i = 0; i < 299; i++) after(100);
  expect(lag.read().max).toBe(300);
  for (let i = 0; i < 310; i++) after(100);
  expect(lag.read().max).toBe(0);
});

test("a clock that jumps back is no lag", () => {
  const { lag, after } = lagged();
  after(-5_000);
  expect(lag.read().now).toBe(0);
});

test("started, it samples by itself", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let calls = 0;
  const lag = new LoopLag(() => {
    calls += 1;
    if (calls === 3) resolve();
    return performance.now();
  });
  lag.start();
  // The lag's own timer keeps no process alive.
  const alive = setInterval(() => {}, 1_000);
  await promise;
  clearInterval(alive);
  lag.stop();
  expect(calls).toBeGreaterThanOrEqual(3);
});
