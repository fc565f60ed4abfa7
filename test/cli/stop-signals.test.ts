import { expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import { stopSignal } from "../../src/cli/stop-signals.ts";

test("the first signal asks for a stop, every later one ends at once with its own status", async () => {
  const source = new EventEmitter();
  const ended: number[] = [];
  const signal = stopSignal(source, (status) => ended.push(status));
  source.emit("SIGTERM");
  expect(await signal).toBe("SIGTERM");
  expect(ended).toEqual([]);
  source.emit("SIGINT");
  source.emit("SIGTERM");
  expect(ended).toEqual([130, 143]);
});
