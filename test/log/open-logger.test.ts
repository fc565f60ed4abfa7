import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLogger } from "../../src/log/open-logger.ts";
import { PLAIN } from "./records.ts";

const dir = mkdtempSync(join(tmpdir(), "moat-log-"));
afterAll(() => rmSync(dir, { recursive: true }));
const MODULE = new URL("../../src/log/open-logger.ts", import.meta.url).pathname;

/** A program that opens the logger and does `work` with it. */
function script(settings: object, work: string): string[] {
  const code = `
    import { openLogger } from ${JSON.stringify(MODULE)};
    const log = openLogger(${JSON.stringify(settings)}, process.env);
    const record = ${JSON.stringify(PLAIN)};
    ${work}`;
  return [process.execPath, "-e", code];
}

const ENV = { PATH: process.env.PATH ?? "/usr/bin:/bin", TERM: "xterm" };
const LOG_ONE = 'log.request("info", record); log.flush();';

/** What the program writes to a terminal of that many columns. */
async function onTerminal(command: string[], env: Record<string, string> = {}, cols = 80): Promise<string> {
  let text = "";
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const child = Bun.spawn(command, {
    env: { ...ENV, ...env },
    terminal: {
      ...{ cols, rows: 24, exit: () => end() },
      data(_terminal, bytes) {
        text += Buffer.from(bytes).toString();
      },
    },
  });
  await child.exited;
  // The end of the stream, behind which nothing more can come.
  await ended;
  child.terminal?.close();
  return text;
}

describe("on a real terminal", () => {
  const command = script({ level: "info", format: "text", output: "stderr" }, LOG_ONE);

  test("text has columns and colour", async () => {
    const text = await onTerminal(command);
    expect(text).toContain("\u001b[32m200\u001b[0m GET");
    expect(text).not.toContain("request_id");
  });

  test("NO_COLOR keeps the columns", async () => {
    const text = await onTerminal(command, { NO_COLOR: "1" });
    expect(text).not.toContain("\u001b[");
    expect(text).toMatch(/^\d\d:\d\d:\d\d INFO {2}200 GET +12ms api\.example\.com\/v1\/x\r\n$/);
  });

  test("its width is used", async () => {
    const long = `log.request("info", { ...record, path: "/" + "x".repeat(300) }); log.flush();`;
    for (const cols of [80, 120]) {
      const wide = script({ level: "info", format: "text", output: "stderr" }, long);
      const text = await onTerminal(wide, { NO_COLOR: "1" }, cols);
      expect(text.replace("\r\n", "")).toHaveLength(cols);
    }
  });

  test("on stdout too", async () => {
    const stdout = script({ level: "info", format: "text", output: "stdout" }, LOG_ONE);
    expect(await onTerminal(stdout)).toContain("\u001b[32m200");
  });

  test("JSON has none of it", async () => {
    const json = script({ level: "info", format: "json", output: "stderr" }, LOG_ONE);
    expect(JSON.parse(await onTerminal(json))).toMatchObject({ http_status: 200 });
  });
});

test("in a pipe text has keys and no colour, unless FORCE_COLOR asks for it", async () => {
  const command = script({ level: "info", format: "text", output: "stderr" }, LOG_ONE);
  for (const [env, expected] of [
    [{}, "Z INFO  request request_id=req_1 "],
    [{ FORCE_COLOR: "1" }, "Z \u001b[32mINFO \u001b[0m request request_id=req_1 "],
  ] as const) {
    const child = Bun.spawnSync(command, { env: { ...ENV, ...env } });
    expect(child.stderr.toString()).toContain(expected);
  }
});

test("a file gets the lines, and after a reopen the new file does", () => {
  const path = join(dir, "a.log");
  const log = openLogger({ level: "info", format: "json", output: path }, {});
  log.info("one");
  log.flush();
  rmSync(path);
  log.reopen();
  log.info("two");
  log.flush();
  expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ msg: "two" });
});

test("a file that cannot be opened is the caller's to report", () => {
  const path = join(dir, "none", "a.log");
  expect(() => openLogger({ level: "info", format: "text", output: path }, {})).toThrow(
    `log output ${path}: its directory does not exist`,
  );
});

test.if(process.platform === "linux")(
  "a full device: one line on stderr, every line counted, nothing waits",
  () => {
    const work = `
    for (let i = 0; i < 30000; i++) log.request("info", record);
    log.flush();
    console.log(log.lost);`;
    const child = Bun.spawnSync(script({ level: "info", format: "json", output: "/dev/full" }, work), {
      env: ENV,
    });
    expect(child.stderr.toString()).toBe(
      "moat-proxy: log output /dev/full: no space left on the device; serving goes on, lost lines are counted\n",
    );
    // 4 MiB of lines of some 230 bytes wait in memory; the others are lost.
    const lost = Number(child.stdout.toString());
    expect(lost).toBeGreaterThan(10_000);
    expect(lost).toBeLessThan(30_000);
  },
);

test.if(process.platform === "linux")("a terminal stopped with Ctrl-S stalls nothing", async () => {
  // Not by way of stdin: reading a terminal makes it non-blocking for all who share it.
  const work = `
    process.on("SIGUSR2", () => {
      for (let i = 0; i < 5000; i++) log.request("info", record);
      require("node:fs").writeFileSync(process.env.DONE, "went on");
      process.exit(0);
    });
    setInterval(() => undefined, 1000);
    log.info("ready"); log.flush();`;
  const done = join(dir, "done");
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  let text = "";
  const child = Bun.spawn(script({ level: "info", format: "text", output: "stderr" }, work), {
    env: { ...ENV, DONE: done },
    timeout: 4_000,
    killSignal: "SIGKILL",
    terminal: {
      ...{ cols: 80, rows: 24 },
      data(_terminal, bytes) {
        text += Buffer.from(bytes).toString();
        if (text.includes("ready")) resolve();
      },
    },
  });
  await ready;
  child.terminal?.write("\u0013");
  child.kill("SIGUSR2");
  await child.exited;
  child.terminal?.close();
  expect(readFileSync(done, "utf8")).toBe("went on");
});
