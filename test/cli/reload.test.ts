// The signal is sent to a real process that handles it; all others are left alone.

import { describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { moatProxy, scratch } from "../support/command.ts";

/** Says `ready`, then `reloaded` for each SIGHUP, and ends with its stdin. */
const HANDLES =
  "process.on('SIGHUP',()=>console.log('reloaded'));process.stdin.resume();console.log('ready')";

interface Child extends AsyncDisposable {
  readonly pid: number;
  next(): Promise<string>;
}

function start(script: string): Child {
  const child = Bun.spawn([process.execPath, "-e", script], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
  });
  const reader = child.stdout.getReader();
  return {
    pid: child.pid,
    next: async () => new TextDecoder().decode((await reader.read()).value),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

test("by ready file and by process id", async () => {
  using place = scratch();
  await using child = start(HANDLES);
  expect(await child.next()).toBe("ready\n");
  const ready = place.file("ready.json");
  writeFileSync(ready, JSON.stringify({ url: "http://127.0.0.1:1", pid: child.pid }));
  const said = `asked process ${child.pid} to reload; its log says whether the new configuration is in use\n`;
  expect(moatProxy(["reload", "--ready-file", ready])).toEqual({ status: 0, stdout: said, stderr: "" });
  expect(await child.next()).toBe("reloaded\n");
  expect(moatProxy(["reload", "--pid", String(child.pid)]).status).toBe(0);
  expect(await child.next()).toBe("reloaded\n");
});

test.skipIf(!existsSync("/proc/self/status"))("a process that SIGHUP would end is left alone", async () => {
  await using child = start("process.stdin.resume();console.log('ready')");
  await child.next();
  expect(moatProxy(["reload", "--pid", String(child.pid)])).toEqual({
    status: 1,
    stdout: "",
    stderr: `moat-proxy: process ${child.pid} does not handle SIGHUP and would end, so it is no moat-proxy\n`,
  });
  expect(() => process.kill(child.pid, 0)).not.toThrow();
});

test("a process that has ended", async () => {
  const child = Bun.spawn([process.execPath, "-e", ""]);
  await child.exited;
  using place = scratch();
  const ready = place.file("ready.json");
  writeFileSync(ready, JSON.stringify({ pid: child.pid }));
  expect(moatProxy(["reload", "--ready-file", ready])).toEqual({
    status: 1,
    stdout: "",
    stderr: `moat-proxy: ${ready}: no process ${child.pid}; the proxy has ended\n`,
  });
});

describe("ready files that are none", () => {
  for (const text of ["", "{", "null", "[]", '{"pid":"7"}', '{"pid":0}', '{"pid":-1}', '{"pid":1.5}']) {
    test(text || "(empty)", () => {
      using place = scratch();
      const file = place.file("ready.json");
      writeFileSync(file, text);
      expect(moatProxy(["reload", "--ready-file", file])).toEqual({
        status: 1,
        stdout: "",
        stderr: `moat-proxy: ${file}: is no ready file, expected JSON with a "pid"\n`,
      });
    });
  }
});

describe("refused", () => {
  const one = "moat-proxy: reload needs --ready-file FILE or --pid N, one of them\n";
  const cases: readonly (readonly [readonly string[], number, string])[] = [
    [[], 2, one],
    [["--pid", "1", "--ready-file", "x"], 2, one],
    [["--pid", "0"], 2, 'moat-proxy: --pid: "0" is no process id, expected a number such as 4711\n'],
    [["--pid=-5"], 2, 'moat-proxy: --pid: "-5" is no process id, expected a number such as 4711\n'],
    [["--redy-file", "x"], 2, "moat-proxy: unknown flag --redy-file, did you mean --ready-file?\n"],
    [
      ["--ready-file", "/nonexistent/r.json"],
      1,
      "moat-proxy: /nonexistent/r.json: no such file, so no proxy is ready; expected what serve --ready-file wrote\n",
    ],
  ];
  for (const [args, status, stderr] of cases) {
    test(args.join(" ") || "nothing", () =>
      expect(moatProxy(["reload", ...args])).toEqual({ status, stdout: "", stderr }),
    );
  }
});
