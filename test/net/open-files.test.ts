// The share of connections under a limit on open files: read from the text of /proc, split so that clients, their
// upstreams and what is idle fit together.
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { connectionBudget, openFilesLimit, ownConnectionBudget } from "../../src/net/open-files.ts";
import { runProgram } from "../support/programs.ts";

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max processes             63432                63432                processes 
Max open files            1024                 1048576              files     
Max locked memory         8388608              8388608              bytes     
`;

describe("the limit", () => {
  test.each([
    ["the soft one", LIMITS, 1024],
    ["none", LIMITS.replace("1024     ", "unlimited"), undefined],
    ["not stated", LIMITS.replace(/^Max open.*\n/m, ""), undefined],
    ["an empty text", "", undefined],
  ])("%s", (_, text, limit) => {
    expect(openFilesLimit(text)).toBe(limit);
  });
});

describe("the budget", () => {
  test.each([64, 100, 256, 1_024, 20_000, 1_048_576])(
    "of %p files holds clients, upstreams and idle ones",
    (limit) => {
      const { clients, idleUpstreams } = connectionBudget(limit);
      expect(clients).toBeGreaterThan(0);
      expect(idleUpstreams).toBeGreaterThan(0);
      // Log, listener, event loop and the like want some.
      expect(2 * clients + idleUpstreams).toBeLessThanOrEqual(limit - 24);
    },
  );

  test.each([0, 8, 32, 33])("of hardly any files (%p) still serves somebody", (limit) => {
    expect(connectionBudget(limit).clients).toBeGreaterThanOrEqual(1);
  });

  test("without a limit is beyond any configuration", () => {
    expect(connectionBudget(undefined).clients).toBeGreaterThan(1e12);
  });

  test.skipIf(!existsSync("/proc/self/limits"))("of a process is that of its own limit", async () => {
    expect(ownConnectionBudget().clients).toBeGreaterThan(0);
    const source = join(import.meta.dir, "../../src/net/open-files.ts");
    const script = `const m = await import(${JSON.stringify(source)}); console.log(JSON.stringify(m.ownConnectionBudget()));`;
    const shell = ["sh", "-c", 'ulimit -n 200; exec "$0" -e "$1"', process.execPath, script];
    expect(JSON.parse((await runProgram(shell)).stdout)).toEqual(connectionBudget(200));
  });
});
