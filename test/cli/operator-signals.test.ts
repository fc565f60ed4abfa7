import { expect, test } from "bun:test";
import { operatorSignals, type SignalHost } from "../../src/cli/operator-signals.ts";

function host(): SignalHost & { send(signal: string): void; readonly killed: string[] } {
  const listeners = new Map<string, () => void>();
  const killed: string[] = [];
  return {
    pid: 42,
    on: (signal, listener) => void listeners.set(signal, listener),
    kill: (pid, signal) => void killed.push(`${pid} ${signal}`),
    send: (signal) => listeners.get(signal)?.(),
    killed,
  };
}

test("each signal has its listener", () => {
  const own = host();
  const seen: string[] = [];
  const signals = operatorSignals(own, () => false);
  signals.onReload(() => seen.push("reload"));
  signals.onReopen(() => seen.push("reopen"));
  own.send("SIGHUP");
  own.send("SIGUSR1");
  own.send("SIGHUP");
  expect(seen).toEqual(["reload", "reopen", "reload"]);
  expect(own.killed).toEqual([]);
});

test("a signal before its listener waits for it, once", () => {
  const own = host();
  let reloads = 0;
  const signals = operatorSignals(own, () => false);
  own.send("SIGHUP");
  own.send("SIGHUP");
  signals.onReload(() => reloads++);
  expect(reloads).toBe(1);
});

test("SIGHUP in a terminal reloads while the terminal is there, and stops when it is gone", () => {
  const own = host();
  let there = true;
  let reloads = 0;
  operatorSignals(own, () => there).onReload(() => reloads++);
  own.send("SIGHUP");
  there = false;
  own.send("SIGHUP");
  expect([reloads, own.killed]).toEqual([1, ["42 SIGTERM"]]);
});
